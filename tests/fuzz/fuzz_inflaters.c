/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: an octet to cut by, one that says what the rest is: gzip; or a deflate stream, to which header
 * and trailer are made, so that what engines take for deflate is compared past the checksum.
 * Held: the engine in use has zlib's verdict however its input and room are cut, but for what `excused`
 * lists; of what is good the same octets, and of what is damaged the same first ones.
 */
#include <zlib.h>

#include "decode/gunzip.h"
#include "fuzz.h"

enum { WINDOW = 4096, MOST = 1 << 20 };

struct run {
	struct buf out;
	enum inflated verdict;
	size_t left; /* octets behind the member */
};

static struct run run(const struct inflater_class *engine, struct slice in, uint32_t seed)
{
	struct run r = { .verdict = INFLATED_MORE };
	struct cuts cuts = { seed };
	struct inflater *i = engine->new ();
	char window[WINDOW];
	CHECK(i != NULL);
	buf_init(&r.out, SIZE_MAX / 2);
	while (in.len > 0 && r.verdict == INFLATED_MORE && r.out.len < MOST) {
		size_t n = cuts_next(&cuts, in.len);
		char *octets = fuzz_copy(slice_of(in.data, n));
		struct slice piece = slice_of(octets, n);
		size_t got;
		do {
			got = seed == 0 ? WINDOW : cuts_next(&cuts, WINDOW);
			r.verdict = engine->run(i, &piece, window, &got);
			fuzz_add(&r.out, slice_of(window, got));
			CHECK(got > 0 || piece.len == 0 || r.verdict != INFLATED_MORE);
		} while (r.verdict == INFLATED_MORE && r.out.len < MOST &&
			 (got > 0 || piece.len > 0));
		slice_skip(&in, n - piece.len);
		free(octets);
	}
	r.left = in.len;
	engine->free(i);
	return r;
}

/*
 * One may find damage where the other wants more input first. And a set of codes that is not complete
 * and whose gaps the data never meets is refused by zlib, by ISA-L not: no compressor makes one, and
 * checksum and length hold.
 */
static bool excused(const struct run *zlib, const struct run *ours)
{
	return zlib->verdict == INFLATED_BAD ||
	       (zlib->verdict == INFLATED_MORE && ours->verdict == INFLATED_BAD);
}

/* A deflate stream, as far as it is one, framed so that header and trailer are right. */
static void frame(struct slice deflate, struct buf *gz)
{
	static const char header[10] = { 0x1f, (char)0x8b, 8 };
	z_stream z = { .avail_in = (uInt)deflate.len };
	struct buf out;
	int status = Z_OK;
	buf_init(&out, SIZE_MAX / 2);
	z.next_in = (Bytef *)(uintptr_t)deflate.data;
	CHECK(inflateInit2(&z, -15) == Z_OK);
	while (status == Z_OK && out.len < MOST) {
		CHECK(buf_reserve(&out, WINDOW));
		z.next_out = (Bytef *)out.data + out.len;
		z.avail_out = WINDOW;
		status = inflate(&z, Z_NO_FLUSH);
		out.len += WINDOW - z.avail_out;
	}
	uint32_t trailer[2] = { (uint32_t)crc32(0, (const Bytef *)out.data, (uInt)out.len),
				(uint32_t)out.len };
	fuzz_add(gz, slice_of(header, sizeof(header)));
	fuzz_add(gz, slice_of(deflate.data, deflate.len - z.avail_in));
	fuzz_add(gz, slice_of((const char *)trailer, sizeof(trailer)));
	inflateEnd(&z);
	buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	unsigned seed = fuzz_choice(&in);
	struct buf gz;
	buf_init(&gz, SIZE_MAX / 2);
	if (fuzz_choice(&in) & 1)
		frame(in, &gz);
	else
		fuzz_add(&gz, in);
	struct run zlib = run(&inflater_zlib, buf_slice(&gz), 0);
	struct run ours = run(gunzip_engine(), buf_slice(&gz), seed);
	bool cut_off = zlib.out.len >= MOST || ours.out.len >= MOST;
	if (!cut_off && !excused(&zlib, &ours))
		CHECK(zlib.verdict == ours.verdict);
	size_t both = zlib.out.len < ours.out.len ? zlib.out.len : ours.out.len;
	CHECK(both == 0 || memcmp(zlib.out.data, ours.out.data, both) == 0);
	if (!cut_off && zlib.verdict == INFLATED_ENDED) {
		CHECK(slice_equal(buf_slice(&zlib.out), buf_slice(&ours.out)));
		CHECK(zlib.left == ours.left);
	}
	buf_deinit(&zlib.out);
	buf_deinit(&ours.out);
	buf_deinit(&gz);
	return 0;
}
