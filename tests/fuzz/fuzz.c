/* SPDX-License-Identifier: Apache-2.0 */
/* What the harnesses share: choices, cuts, packings. Every run is a function of its input alone. */
#include "fuzz.h"

#include <zlib.h>

unsigned fuzz_choice(struct slice *in)
{
	if (in->len == 0)
		return 0;
	unsigned choice = (unsigned char)in->data[0];
	slice_skip(in, 1);
	return choice;
}

char *fuzz_copy(struct slice s)
{
	char *copy = malloc(s.len > 0 ? s.len : 1);
	CHECK(copy != NULL);
	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	return copy;
}

void fuzz_add(struct buf *b, struct slice s)
{
	CHECK(buf_add(b, s.data, s.len));
}

size_t cuts_next(struct cuts *c, size_t left)
{
	if (c->seed == 0 || left == 0)
		return left;
	/* xorshift32; small pieces are as likely as large ones. */
	c->seed ^= c->seed << 13;
	c->seed ^= c->seed >> 17;
	c->seed ^= c->seed << 5;
	size_t piece = 1 + (c->seed >> 4) % (1u << (c->seed & 15));
	return piece < left ? piece : left;
}

struct slice cuts_read(struct cuts *c, struct slice *in, char *place, size_t room, char **copy)
{
	size_t n = cuts_next(c, in->len);
	if (place != NULL && n > room)
		n = room;
	struct slice piece = slice_of(in->data, n);
	slice_skip(in, n);
	*copy = place == NULL ? fuzz_copy(piece) : NULL;
	if (place != NULL && n > 0)
		memcpy(place, piece.data, n);
	return slice_of(place == NULL ? *copy : place, n);
}

void fuzz_gzip(struct slice in, int window, struct buf *out)
{
	z_stream z = { .avail_in = (uInt)in.len };
	z.next_in = (Bytef *)(uintptr_t)in.data;
	CHECK(deflateInit2(&z, 6, Z_DEFLATED, window + 16, 1, Z_DEFAULT_STRATEGY) == Z_OK);
	uLong most = deflateBound(&z, (uLong)in.len);
	CHECK(buf_reserve(out, most));
	z.next_out = (Bytef *)out->data + out->len;
	z.avail_out = (uInt)most;
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

void fuzz_base64(struct slice in, struct buf *out)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < in.len; i += 3) {
		size_t n = in.len - i < 3 ? in.len - i : 3;
		uint32_t bits = 0;
		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (unsigned char)in.data[i + k] : 0);
		char group[4];
		for (size_t k = 0; k < 4; k++)
			group[k] = k <= n ? letters[bits >> (18 - 6 * k) & 63] : '=';
		fuzz_add(out, slice_of(group, sizeof(group)));
	}
}

static void wrap(const char *before, struct slice in, bool gzip, const char *after, struct buf *out)
{
	struct buf packed;
	buf_init(&packed, SIZE_MAX / 2);
	if (gzip)
		fuzz_gzip(in, 9, &packed);
	fuzz_add(out, slice_text(before));
	fuzz_base64(gzip ? buf_slice(&packed) : in, out);
	fuzz_add(out, slice_text(after));
	buf_deinit(&packed);
}

void fuzz_pack(unsigned how, struct slice in, struct buf *out)
{
	struct buf inner;
	size_t half = in.len / 2;
	buf_init(&inner, SIZE_MAX / 2);
	switch (how % PACKINGS) {
	case 0:
		fuzz_add(out, in);
		break;
	case 1:
		fuzz_gzip(in, 9, out);
		break;
	case 2:
		fuzz_gzip(slice_of(in.data, half), 9, out);
		slice_skip(&in, half);
		fuzz_gzip(in, 9, out);
		break;
	case 3:
		wrap("{\"awslogs\":{\"data\":\"", in, true, "\"}}", out);
		break;
	case 4:
		wrap("{\"Records\":[{\"kinesis\":{\"data\":\"", in, true, "\"}}]}", out);
		break;
	case 5:
		wrap("{\"records\":[{\"data\":\"", in, false, "\"}]}", out);
		break;
	case 6:
		fuzz_gzip(in, 9, &inner);
		fuzz_gzip(buf_slice(&inner), 9, out);
		break;
	default:
		fuzz_gzip(in, 9, out);
		fuzz_add(out, SLICE_LITERAL("\na line\n"));
		fuzz_gzip(in, 9, out);
	}
	buf_deinit(&inner);
}

static bool is_size_limit(enum fault_code code)
{
	return code == FAULT_TOO_LARGE || code == FAULT_INFLATED || code == FAULT_RATIO;
}

bool fuzz_same_verdict(enum fault_code a, enum fault_code b)
{
	if (a == b || a == FAULT_RATIO || b == FAULT_RATIO)
		return true;
	return a != FAULT_COUNT && b != FAULT_COUNT && (is_size_limit(a) || is_size_limit(b));
}

void fuzz_quiet(int *argc, char ***argv)
{
	/* libFuzzer's own option for it. It reads its arguments after this and never frees them. */
	static char flag[] = "-close_fd_mask=2";
	char **longer = malloc(((size_t)*argc + 2) * sizeof(*longer));
	CHECK(longer != NULL);
	memcpy(longer, *argv, (size_t)*argc * sizeof(*longer));
	longer[(*argc)++] = flag;
	longer[*argc] = NULL;
	*argv = longer;
}
