/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: an octet to choose by, then an address, an address block, base64, a pattern and a text, or
 * what is to be logged.
 * Held: address_parse is inet_pton, octets and all; a block contains its base; base64 comes back
 * and nothing else does; glob_match is the textbook's table, in any letter case too; log_escape stays
 * printable and short.
 */
#include <arpa/inet.h>

#include "base/log.h"
#include "decode/base64.h"
#include "flow/address.h"
#include "flow/source.h"
#include "fuzz.h"

enum { GLOB_MOST = 128 };

static void check_address(struct slice in)
{
	struct address a;
	struct cidr block;
	uint8_t octets[16];
	char *text = strndup(in.len > 0 ? in.data : "", in.len);
	CHECK(text != NULL);
	bool ours = address_parse(in, &a);
	bool whole = strlen(text) == in.len;
	bool v4 = whole && inet_pton(AF_INET, text, octets) == 1;
	bool v6 = whole && !v4 && inet_pton(AF_INET6, text, octets) == 1;
	CHECK(ours == (v4 || v6));
	if (ours) {
		CHECK(a.version == (v4 ? 4 : 6));
		CHECK(memcmp(a.octets, octets, v4 ? 4 : 16) == 0);
	}
	if (cidr_parse(in, &block)) {
		CHECK(block.bits <= (block.base.version == 4 ? 32u : 128u));
		CHECK(cidr_contains(&block, &block.base));
		block.base.octets[0] ^= 0x80;
		CHECK(!ours || !cidr_contains(&block, &a));
	}
	free(text);
}

static void check_base64(struct slice in)
{
	struct buf text;
	struct buf octets;
	buf_init(&text, SIZE_MAX / 2);
	buf_init(&octets, SIZE_MAX / 2);
	fuzz_base64(in, &text);
	CHECK(base64_decode(buf_slice(&text), &octets));
	CHECK(slice_equal(buf_slice(&octets), in));
	text.len = 0;
	if (in.len > 0 && base64_decode(in, &octets)) {
		fuzz_base64(slice_of(octets.data + in.len, octets.len - in.len), &text);
		/* The last character may have bits that belong to no octet. */
		size_t same = in.len >= 4 ? in.len - 4 : 0;
		CHECK(text.len == in.len);
		CHECK(same == 0 || memcmp(text.data, in.data, same) == 0);
	} else {
		CHECK(octets.len == in.len);
	}
	buf_deinit(&text);
	buf_deinit(&octets);
}

/* fits[i] after n characters: whether the first i of the pattern stand for them. */
static bool glob_by_table(const char *pattern, struct slice text)
{
	bool fits[GLOB_MOST + 1] = { true };
	size_t len = strlen(pattern);
	for (size_t i = 0; i < len && pattern[i] == '*'; i++)
		fits[i + 1] = true;
	for (size_t n = 0; n < text.len; n++) {
		bool before = fits[0];
		fits[0] = false;
		for (size_t i = 0; i < len; i++) {
			bool above = fits[i + 1];
			fits[i + 1] = pattern[i] == '*' ? above || fits[i]
							: before && pattern[i] == text.data[n];
			before = above;
		}
	}
	return fits[len];
}

static void check_glob(struct slice in)
{
	char pattern[GLOB_MOST + 1] = "";
	size_t n = 0;
	while (n < in.len && n < GLOB_MOST && in.data[n] != '\n' && in.data[n] != '\0') {
		pattern[n] = in.data[n];
		n++;
	}
	slice_skip(&in, n < in.len ? n + 1 : n);
	CHECK(glob_match(pattern, in) == glob_by_table(pattern, in));
	char *folded = fuzz_copy(in);
	for (size_t i = 0; i < in.len; i++)
		folded[i] = folded[i] >= 'A' && folded[i] <= 'Z' ? (char)(folded[i] | 32)
								 : folded[i];
	CHECK(glob_match_any_case(pattern, in) == glob_by_table(pattern, slice_of(folded, in.len)));
	free(folded);
}

static void check_escape(struct slice in)
{
	char out[LOG_ESCAPED];
	memset(out, '\n', sizeof(out));
	CHECK(log_escape(in, out) == out);
	CHECK(memchr(out, '\0', sizeof(out)) != NULL);
	for (const char *p = out; *p != '\0'; p++)
		CHECK(*p >= ' ' && *p <= '~' && *p != '"');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_of((const char *)data, size);
	unsigned what = fuzz_choice(&input);
	char *copy = fuzz_copy(input);
	struct slice in = slice_of(copy, input.len);
	switch (what % 4) {
	case 0:
		check_address(in);
		break;
	case 1:
		check_base64(in);
		break;
	case 2:
		check_glob(in);
		break;
	default:
		check_escape(in);
	}
	free(copy);
	return 0;
}
