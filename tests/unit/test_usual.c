/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that a JSON document that comes in pieces gets room for as much as the last one had, once it
 * has come some way: as it is and in gzip, not before, not more than an amount, and only where
 * payloads share what they know; and that no stream comes to hold more than it said before.
 */
#include "support.h"

#include "decode/payload.h"
#include "pipeline.h"

enum {
	WHOLE = 2000 * 1000,
	LARGE = 6 * 1000 * 1000,
	BEGUN = 300 * 1000, /* octets of a document that is as large as others */
	SHORT = 200 * 1000, /* and of one that may be much smaller */
	PIECE = 8 * 1024,
	MOST = 4 * 1024 * 1024,
};

static struct limits limits;

/* One document of that length. */
static void add_document(struct buf *to, size_t len)
{
	struct dice dice = { .state = 1 };
	add_text(to, "{\"message\":\"");
	while (len > 0) {
		const char digit = "0123456789abcdef"[dice_below(&dice, 16)];
		assert_true(buf_add(to, &digit, 1));
		len--;
	}
	add_text(to, "\"}");
}

/* What a payload holds after so many octets; SIZE_MAX: all of them. */
static size_t held_after(struct slice octets, size_t len, size_t *usual)
{
	struct stats stats = { .events = 0 };
	struct documents documents;
	struct fault fault;
	struct payload *p = payload_new(PAYLOAD_STREAM, &limits, &stats);
	assert_non_null(p);
	if (usual != NULL)
		payload_keep_usual(p, usual);
	documents_init(&documents);
	octets.len = len < octets.len ? len : octets.len;
	while (octets.len > 0) {
		struct slice in = slice_of(octets.data, octets.len < PIECE ? octets.len : PIECE);
		slice_skip(&octets, in.len);
		enum step step;
		while ((step = payload_next(p, &in, false, &documents, &fault)) == STEP_OK)
			;
		assert_int_equal(step, STEP_MORE);
	}
	size_t held = payload_held(p);
	documents_free(&documents);
	payload_free(&p);
	return held;
}

static void check(struct slice whole, size_t begun)
{
	size_t usual = 0;
	assert_true(held_after(whole, begun, NULL) < WHOLE);
	assert_true(held_after(whole, begun, &usual) < WHOLE);
	assert_int_equal(usual, 0);
	(void)held_after(whole, SIZE_MAX, &usual);
	assert_in_range(usual, WHOLE, 2 * WHOLE);
	assert_in_range(held_after(whole, begun, &usual), WHOLE, 3 * WHOLE);
	assert_true(held_after(whole, begun, NULL) < WHOLE);
}

static void test_plain(void **state)
{
	(void)state;
	size_t usual = WHOLE;
	struct buf document;
	buf_init(&document, 2 * WHOLE);
	add_document(&document, WHOLE);
	check(buf_slice(&document), BEGUN);
	assert_true(held_after(buf_slice(&document), SHORT, &usual) < 3 * SHORT);
	buf_deinit(&document);
}

static void test_gzip(void **state)
{
	(void)state;
	struct buf document;
	struct buf gzip;
	buf_init(&document, 2 * WHOLE);
	buf_init(&gzip, 2 * WHOLE);
	add_document(&document, WHOLE);
	add_gzip(&gzip, buf_slice(&document));
	check(buf_slice(&gzip), gzip.len / 5);
	buf_deinit(&document);
	buf_deinit(&gzip);
}

static void test_large(void **state)
{
	(void)state;
	size_t usual = 0;
	struct buf document;
	buf_init(&document, 2 * LARGE);
	add_document(&document, LARGE);
	(void)held_after(buf_slice(&document), SIZE_MAX, &usual);
	assert_int_equal(usual, MOST);
	assert_in_range(held_after(buf_slice(&document), BEGUN, &usual), MOST, MOST + WHOLE);
	buf_deinit(&document);
}

/* Through an intake, whose turns are bounded, in pieces of some size. */
static void check_bound(struct slice octets, size_t piece)
{
	static struct once once;
	static struct format format = { .count = 0 };
	struct sources sources = { .format = &format };
	struct stats stats = { .events = 0 };
	struct pipeline pipeline;
	struct fault fault;
	pipeline_init(&pipeline, &limits, &sources, &stats, &once);
	for (unsigned round = 0; round < 2; round++) {
		struct intake *i = intake_new(&pipeline, PAYLOAD_STREAM, "192.0.2.1");
		struct slice left = octets;
		size_t held = 0;
		assert_non_null(i);
		while (left.len > 0) {
			struct slice in = slice_of(left.data, left.len < piece ? left.len : piece);
			enum step step = STEP_OK;
			slice_skip(&left, in.len);
			while (step == STEP_OK) {
				size_t most = intake_may_hold(i, in);
				step = intake_run(i, &in, false, &fault);
				held = intake_held(i);
				assert_true(held <= most || intake_pending(i));
				/* Nor was much more said than is needed. */
				assert_true(most <= 4 * held + 8 * MOST);
			}
			assert_int_equal(step, STEP_MORE);
		}
		assert_true(held < MOST);
		/* What is no gzip asks for little. */
		static const char line[] = "2 1234";
		assert_in_range(intake_may_hold(i, slice_text(line)), held, held + 1024);
		intake_free(&i);
	}
	pipeline_deinit(&pipeline);
}

static void test_bound(void **state)
{
	(void)state;
	static const size_t pieces[] = { 1000, 64 * 1024, 256 * 1024 };
	struct buf document;
	struct buf gzip;
	buf_init(&document, 4 * LARGE);
	buf_init(&gzip, 4 * LARGE);
	add_document(&document, LARGE);
	add_document(&document, BEGUN);
	for (unsigned i = 0; i < 20000; i++)
		add_text(&document, "{\"message\":\"\"}\n");
	add_gzip(&gzip, buf_slice(&document));
	for (unsigned i = 0; i < COUNT_OF(pieces); i++) {
		check_bound(buf_slice(&document), pieces[i]);
		check_bound(buf_slice(&gzip), pieces[i]);
	}
	buf_deinit(&document);
	buf_deinit(&gzip);
}

int main(void)
{
	limits = limits_standard();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
