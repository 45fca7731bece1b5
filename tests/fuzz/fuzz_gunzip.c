/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: octets to cut by and to choose limits by, then gzip or, for odd choices, what to compress.
 * Held: the same octets and verdict whatever the cut; what was compressed comes back; no limit is
 * passed by more than one window; every call makes progress.
 *
 * The ratio limit is out of reach where two cuts are compared (deflate ends at 1032:1): engines take
 * more or less of their input by the time a window is full. A low one is run by itself.
 */
#include "decode/gunzip.h"
#include "fuzz.h"

enum { WINDOW = 64 * 1024, UNREACHED_RATIO = 1100, LOW_RATIO = 20 };

struct run {
	struct buf out;
	enum fault_code verdict; /* FAULT_COUNT: it ended well */
};

static enum step inflate_piece(struct gunzip *g, struct slice *piece, struct run *r)
{
	struct fault fault;
	struct slice out;
	size_t before = piece->len;
	enum step step = gunzip_next(g, piece, &out, &fault);
	if (step == STEP_OK) {
		CHECK(out.len > 0 || gunzip_member_ended(g));
		fuzz_add(&r->out, out);
	} else if (step == STEP_MORE) {
		CHECK(piece->len == 0 && out.len == 0);
	} else {
		r->verdict = fault.code;
	}
	CHECK(piece->len <= before);
	return step;
}

static struct run run(struct slice in, uint32_t seed, const struct limits *limits)
{
	struct run r = { .verdict = FAULT_COUNT };
	struct cuts cuts = { seed };
	uint64_t tally = 0;
	enum step step = STEP_OK;
	struct gunzip *g = gunzip_new(limits, &tally);
	CHECK(g != NULL);
	buf_init(&r.out, SIZE_MAX / 2);
	while (in.len > 0 && step != STEP_BAD) {
		size_t n = cuts_next(&cuts, in.len);
		char *octets = fuzz_copy(slice_of(in.data, n));
		struct slice piece = slice_of(octets, n);
		slice_skip(&in, n);
		do
			step = inflate_piece(g, &piece, &r);
		while (step == STEP_OK);
		free(octets);
	}
	if (step != STEP_BAD && !gunzip_member_ended(g))
		r.verdict = FAULT_GZIP_CUT;
	CHECK(tally <= limits->inflated + WINDOW);
	CHECK(r.out.len <= limits->inflated);
	gunzip_free(&g);
	return r;
}

static void check_cuts(struct slice in, unsigned seed, const struct limits *limits)
{
	struct run whole = run(in, 0, limits);
	struct run cut = run(in, seed, limits);
	CHECK(whole.verdict == cut.verdict);
	/* How near to the damage, or to the limit, octets have come out depends on the cut. */
	if (whole.verdict != FAULT_COUNT && cut.out.len > whole.out.len)
		cut.out.len = whole.out.len;
	if (whole.verdict != FAULT_COUNT && whole.out.len > cut.out.len)
		whole.out.len = cut.out.len;
	CHECK(slice_equal(buf_slice(&whole.out), buf_slice(&cut.out)));
	buf_deinit(&whole.out);
	buf_deinit(&cut.out);
}

static void check_ratio(struct slice in, unsigned seed, const struct limits *limits)
{
	struct run r = run(in, seed, limits);
	/* The first window is free, one more comes out before the next look, in a member half is free. */
	CHECK(r.out.len <= 2 * limits->ratio * (in.len + 1) + 2 * WINDOW);
	buf_deinit(&r.out);
}

static void check_round_trip(struct slice in, unsigned seed, int window, struct limits *limits)
{
	struct buf packed;
	struct slice first = slice_of(in.data, in.len * seed / 256);
	struct slice second = slice_of(in.data + first.len, in.len - first.len);
	buf_init(&packed, SIZE_MAX / 2);
	fuzz_gzip(first, window, &packed);
	fuzz_gzip(second, window, &packed);
	limits->inflated = in.len;
	struct run r = run(buf_slice(&packed), seed, limits);
	CHECK(r.verdict == FAULT_COUNT && slice_equal(buf_slice(&r.out), in));
	buf_deinit(&r.out);
	buf_deinit(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	unsigned seed = fuzz_choice(&in);
	unsigned how = fuzz_choice(&in);
	struct limits limits = limits_standard();
	limits.inflated = how & 2 ? 1000 : 4 * WINDOW;
	limits.ratio = UNREACHED_RATIO;
	if (how & 1)
		check_round_trip(in, seed, 9 + (int)(how >> 2) % 7, &limits);
	else
		check_cuts(in, seed, &limits);
	limits.ratio = LOW_RATIO;
	limits.inflated = 4 * WINDOW;
	check_ratio(in, seed, &limits);
	return 0;
}
