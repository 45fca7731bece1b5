/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that gunzip gives back what zlib's deflate was given, whatever the read size and however
 * many members; that a stream cut at any octet is never taken for a whole one; that a flipped octet
 * never lets a wrong octet pass as good; and that ratio and tally stop a bomb.
 */
#include "support.h"

#include "decode/gunzip.h"

struct result {
	struct buf out; /* all that came out */
	enum step step; /* the last: MORE or BAD */
	bool ended;	/* at the end of a member */
	unsigned members;
	enum fault_code code;
};

static struct result inflate_by(struct slice octets, size_t size, const struct limits *limits,
				uint64_t *tally)
{
	struct result r = { .step = STEP_MORE };
	struct gunzip *g = gunzip_new(limits, tally);
	struct fault fault = { .code = FAULT_COUNT };
	size_t done = 0;
	assert_non_null(g);
	buf_init(&r.out, 1 << 24);
	do {
		size_t n = size < octets.len - done ? size : octets.len - done;
		/* The piece on its own, so that octets beyond it cannot be touched unnoticed. */
		char *piece = malloc(n + (n == 0));
		assert_non_null(piece);
		if (n > 0)
			memcpy(piece, octets.data + done, n);
		struct slice in = slice_of(piece, n);
		struct slice out;
		while ((r.step = gunzip_next(g, &in, &out, &fault)) == STEP_OK) {
			bool before = r.ended;
			r.ended = gunzip_member_ended(g);
			r.members += r.ended && (!before || out.len > 0 || n > 0);
			assert_true(buf_add(&r.out, out.data, out.len));
		}
		if (r.step == STEP_MORE)
			assert_int_equal(in.len, 0);
		r.ended = gunzip_member_ended(g);
		free(piece);
		done += n;
	} while (r.step == STEP_MORE && done < octets.len);
	r.code = fault.code;
	gunzip_free(&g);
	assert_null(g);
	return r;
}

static struct limits standard;

static int set_up(void **state)
{
	(void)state;
	standard = limits_standard();
	return 0;
}

/* Text as flow logs have it, so that matches and literals mix. */
static void add_records(struct buf *to, size_t lines, uint64_t seed)
{
	struct dice dice = { seed };
	for (size_t i = 0; i < lines; i++) {
		char line[128];
		(void)snprintf(line, sizeof(line),
			       "2 123456789010 eni-1235b8ca123456789 172.31.%zu.%zu 172.31.16.21 "
			       "%zu 22 6 20 %zu 1418530010 1418530070 ACCEPT OK\n",
			       dice_below(&dice, 256), dice_below(&dice, 256),
			       dice_below(&dice, 65536), dice_below(&dice, 1000000));
		add_text(to, line);
	}
}

static void test_whole(void **state)
{
	(void)state;
	static const size_t sizes[] = { 1, 2, 3, 7, 18, 64, 1000, 65536, 1 << 24 };
	struct buf text;
	struct buf gz;
	buf_init(&text, 1 << 24);
	buf_init(&gz, 1 << 24);
	add_gzip(&gz, SLICE_NONE);
	add_records(&text, 3000, 1);
	add_gzip(&gz, buf_slice(&text));
	add_gzip(&gz, SLICE_NONE);
	add_gzip(&gz, SLICE_LITERAL("x"));
	add_text(&text, "x");
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		uint64_t tally = 5;
		struct result r = inflate_by(buf_slice(&gz), sizes[i], &standard, &tally);
		assert_int_equal(r.step, STEP_MORE);
		assert_true(r.ended);
		assert_int_equal(r.members, 4);
		assert_true(slice_equal(buf_slice(&r.out), buf_slice(&text)));
		assert_int_equal(tally, 5 + text.len);
		buf_deinit(&r.out);
	}
	buf_deinit(&text);
	buf_deinit(&gz);
}

/* Cut after every octet: never whole unless cut between two members, and never a wrong octet. */
static void test_truncated(void **state)
{
	(void)state;
	struct buf text;
	struct buf gz;
	buf_init(&text, 1 << 20);
	buf_init(&gz, 1 << 20);
	add_records(&text, 20, 2);
	add_gzip(&gz, buf_slice(&text));
	size_t first = gz.len;
	add_gzip(&gz, buf_slice(&text));
	size_t len = text.len;
	add_records(&text, 20, 2);
	for (size_t cut = 1; cut < gz.len; cut++) {
		struct result r = inflate_by(slice_of(gz.data, cut), 50, &standard, NULL);
		assert_int_equal(r.step, STEP_MORE);
		assert_int_equal(r.ended, cut == first);
		assert_true(r.out.len <= (cut <= first ? len : 2 * len));
		assert_memory_equal(r.out.data == NULL ? "" : r.out.data, text.data, r.out.len);
		buf_deinit(&r.out);
	}
	buf_deinit(&text);
	buf_deinit(&gz);
}

/*
 * Every octet changed in several ways: what is taken for a whole member is the original, octet for
 * octet (some header octets, as the time and the system, mean nothing). Anything else is damage, or
 * an end that does not come.
 */
static void test_flipped(void **state)
{
	(void)state;
	static const unsigned char flips[] = { 0x01, 0x02, 0x08, 0x10, 0x80, 0xff };
	struct buf text;
	struct buf gz;
	unsigned bad = 0;
	buf_init(&text, 1 << 20);
	buf_init(&gz, 1 << 20);
	add_records(&text, 12, 3);
	add_gzip(&gz, buf_slice(&text));
	for (size_t at = 0; at < gz.len; at++) {
		for (size_t f = 0; f < COUNT_OF(flips); f++) {
			gz.data[at] = (char)(gz.data[at] ^ flips[f]);
			struct result r = inflate_by(buf_slice(&gz), 1 << 20, &standard, NULL);
			struct result s = inflate_by(buf_slice(&gz), 1, &standard, NULL);
			assert_int_equal(r.step, s.step);
			assert_int_equal(r.ended, s.ended);
			/* How much came out before the damage was found depends on the cut. */
			size_t both = r.out.len < s.out.len ? r.out.len : s.out.len;
			assert_true(both == 0 || memcmp(r.out.data, s.out.data, both) == 0);
			if (r.step == STEP_BAD)
				assert_int_equal(r.code, FAULT_GZIP);
			else
				assert_int_equal(r.out.len, s.out.len);
			if (r.step != STEP_BAD && r.ended)
				assert_true(slice_equal(buf_slice(&r.out), buf_slice(&text)));
			bad += r.step == STEP_BAD;
			buf_deinit(&r.out);
			buf_deinit(&s.out);
			gz.data[at] = (char)(gz.data[at] ^ flips[f]);
		}
	}
	/* Nearly all of them are found; checksum and length always are. */
	assert_true(bad > gz.len * COUNT_OF(flips) * 9 / 10);
	buf_deinit(&text);
	buf_deinit(&gz);
}

/* Checksum and length (RFC 1952 section 2.3.1): all 64 bits count. */
static void test_trailer(void **state)
{
	(void)state;
	struct buf gz;
	buf_init(&gz, 1024);
	add_gzip(&gz, SLICE_LITERAL("2 123456789010 eni-1235b8ca123456789"));
	for (unsigned bit = 0; bit < 64; bit++) {
		char *octet = &gz.data[gz.len - 8 + bit / 8];
		*octet = (char)(*octet ^ 1 << bit % 8);
		struct result r = inflate_by(buf_slice(&gz), 5, &standard, NULL);
		assert_int_equal(r.step, STEP_BAD);
		assert_int_equal(r.code, FAULT_GZIP);
		buf_deinit(&r.out);
		*octet = (char)(*octet ^ 1 << bit % 8);
	}
	buf_deinit(&gz);
}

static void test_not_gzip(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"2 123456789010",   "\x1f\x8c\x08", "\x1f\x8b\x07\x01\x01",
		"\x1f\x8b\x08\xff", "\x78\x9c\x03",
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct result r = inflate_by(slice_text(rows[i]), 100, &standard, NULL);
		assert_int_equal(r.step, STEP_BAD);
		assert_int_equal(r.code, FAULT_GZIP);
		assert_int_equal(r.out.len, 0);
		buf_deinit(&r.out);
	}
}

/* What comes after a member is the next member or damage; what came out before stands. */
static void test_after_member(void **state)
{
	(void)state;
	struct buf gz;
	buf_init(&gz, 1024);
	add_gzip(&gz, SLICE_LITERAL("good"));
	add_text(&gz, "bad");
	for (size_t size = 1; size <= gz.len; size++) {
		struct result r = inflate_by(buf_slice(&gz), size, &standard, NULL);
		assert_int_equal(r.step, STEP_BAD);
		assert_int_equal(r.code, FAULT_GZIP);
		assert_true(slice_equal(buf_slice(&r.out), SLICE_LITERAL("good")));
		buf_deinit(&r.out);
	}
	buf_deinit(&gz);
}

/* ---- limits --------------------------------------------------------------------------------- */

static void add_zeros(struct buf *gz, size_t n)
{
	char *zeros = calloc(n, 1);
	assert_non_null(zeros);
	add_gzip(gz, slice_of(zeros, n));
	free(zeros);
}

static void test_ratio(void **state)
{
	(void)state;
	static const struct {
		size_t octets;
		uint64_t ratio;
		bool good;
	} rows[] = {
		{ 1000, 1, true },	 { 65535, 200, true },	  { 65535, 1, true },
		{ 1 << 20, 200, false }, { 1 << 20, 1100, true }, { 1 << 20, 900, false },
		{ 200000, 200, false },	 { 65537, 200, false },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct limits limits = standard;
		struct buf gz;
		buf_init(&gz, 1 << 22);
		add_zeros(&gz, rows[i].octets);
		limits.ratio = rows[i].ratio;
		struct result r = inflate_by(buf_slice(&gz), 100, &limits, NULL);
		if ((r.step == STEP_MORE) != rows[i].good)
			fail_msg("%zu octets, ratio %u", rows[i].octets, (unsigned)rows[i].ratio);
		if (!rows[i].good)
			assert_int_equal(r.code, FAULT_RATIO);
		/* A real bomb is stopped at the first look past 64 KiB. */
		if (rows[i].ratio == 200)
			assert_true(r.out.len <= 2 * 65536);
		buf_deinit(&r.out);
		buf_deinit(&gz);
	}
}

/* "once past 64 KiB": so many octets are not past them. */
static void test_ratio_at_64_kib(void **state)
{
	(void)state;
	struct buf gz;
	buf_init(&gz, 1 << 22);
	add_zeros(&gz, 65536);
	struct result r = inflate_by(buf_slice(&gz), 1 << 20, &standard, NULL);
	assert_int_equal(r.step, STEP_MORE);
	assert_int_equal(r.out.len, 65536);
	buf_deinit(&r.out);
	buf_deinit(&gz);
}

/* A bomb of many small members is one stream for the ratio. */
static void test_ratio_over_members(void **state)
{
	(void)state;
	struct buf gz;
	buf_init(&gz, 1 << 22);
	for (unsigned i = 0; i < 40; i++)
		add_zeros(&gz, 60000);
	struct result r = inflate_by(buf_slice(&gz), 1 << 20, &standard, NULL);
	assert_int_equal(r.step, STEP_BAD);
	assert_int_equal(r.code, FAULT_RATIO);
	buf_deinit(&r.out);
	buf_deinit(&gz);
}

/* However close to the limit, the read size does not decide. */
static void test_ratio_and_read_size(void **state)
{
	(void)state;
	static const size_t sizes[] = { 1, 2, 3, 5, 16, 333 };
	struct buf text;
	struct buf gz;
	unsigned good = 0;
	buf_init(&text, 1 << 20);
	buf_init(&gz, 1 << 22);
	for (unsigned i = 0; i < 60; i++)
		add_records(&text, 20, 4 + i % 2);
	add_gzip(&gz, buf_slice(&text));
	for (uint64_t ratio = 1; ratio <= 120; ratio++) {
		struct limits limits = standard;
		limits.ratio = ratio;
		struct result whole = inflate_by(buf_slice(&gz), 1 << 20, &limits, NULL);
		for (size_t i = 0; i < COUNT_OF(sizes); i++) {
			struct result r = inflate_by(buf_slice(&gz), sizes[i], &limits, NULL);
			if (r.step != whole.step)
				fail_msg("ratio %u, reads of %zu", (unsigned)ratio, sizes[i]);
			buf_deinit(&r.out);
		}
		good += whole.step == STEP_MORE;
		buf_deinit(&whole.out);
	}
	assert_in_range(good, 1, 119);
	buf_deinit(&text);
	buf_deinit(&gz);
}

static void test_tally(void **state)
{
	(void)state;
	struct limits limits = standard;
	struct buf text;
	struct buf gz;
	buf_init(&text, 1 << 20);
	buf_init(&gz, 1 << 22);
	add_records(&text, 1000, 6);
	add_gzip(&gz, buf_slice(&text));
	limits.inflated = 3 * text.len;
	uint64_t tally = 0;
	for (unsigned i = 0; i < 4; i++) {
		struct result r = inflate_by(buf_slice(&gz), 100, &limits, &tally);
		assert_int_equal(r.step, i < 3 ? STEP_MORE : STEP_BAD);
		if (i == 3)
			assert_int_equal(r.code, FAULT_INFLATED);
		buf_deinit(&r.out);
	}
	/* Without a tally it is a stream, which may be of any size. */
	limits.inflated = 1;
	struct result r = inflate_by(buf_slice(&gz), 100, &limits, NULL);
	assert_int_equal(r.step, STEP_MORE);
	assert_true(slice_equal(buf_slice(&r.out), buf_slice(&text)));
	buf_deinit(&r.out);
	buf_deinit(&text);
	buf_deinit(&gz);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_trailer),
		cmocka_unit_test(test_not_gzip),
		cmocka_unit_test(test_after_member),
		cmocka_unit_test(test_ratio),
		cmocka_unit_test(test_ratio_at_64_kib),
		cmocka_unit_test(test_ratio_over_members),
		cmocka_unit_test(test_ratio_and_read_size),
		cmocka_unit_test(test_tally),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
