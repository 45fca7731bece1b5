/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that durations find their bucket, that text which does not fit is noticed, that what is taken
 * away from counters leaves what stands now, that a publication lives as long as its holders, and
 * when a daemon is well: by rows of how it stands and what it says. What comes over HTTP is
 * test_http.py's and test_metrics.py's.
 */
#include "support.h"

#include "watch/health.h"
#include "watch/metrics.h"
#include "watch/text.h"

#define SECONDS(n) ((n)*1000000000ull)

/* ---- what it is made of ---------------------------------------------------------------------- */

static void test_latency(void **state)
{
	(void)state;
	static const struct {
		uint64_t ns;
		const char *bound;
	} rows[] = {
		{ 0, "0.0005" },
		{ 500000, "0.0005" },
		{ 500001, "0.001" },
		{ 999999, "0.001" },
		{ 1000000, "0.001" },
		{ 1000001, "0.0025" },
		{ SECONDS(1), "1" },
		{ SECONDS(1) + 1, "2.5" },
		{ SECONDS(60), "60" },
		{ SECONDS(60) + 1, "+Inf" },
		{ SECONDS(86400), "+Inf" },
	};
	struct latency all = { .sum_ns = 0 };
	struct latency before;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct latency one = { .sum_ns = 0 };
		unsigned bucket = 0;
		latency_note(&one, rows[i].ns);
		while (one.bucket[bucket] == 0)
			bucket++;
		assert_string_equal(latency_bound(bucket), rows[i].bound);
		assert_int_equal(one.sum_ns, rows[i].ns);
		before = all;
		latency_add(&all, &one);
		assert_int_equal(all.bucket[bucket], before.bucket[bucket] + 1);
		one = all;
		latency_subtract(&one, &before);
		assert_int_equal(one.bucket[bucket], 1);
		assert_int_equal(one.sum_ns, rows[i].ns);
	}
}

static void test_text(void **state)
{
	(void)state;
	char longer[1000];
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	for (size_t max = 0; max < 4096; max += 37) {
		struct buf b;
		buf_init(&b, max);
		struct text t = { .buf = &b };
		text_add(&t, "%s", "x");
		text_add(&t, "%s%d", longer, 7);
		text_add(&t, "%s", "y");
		if (max >= 2048) {
			assert_false(t.failed);
			assert_int_equal(b.len, 1002);
			assert_memory_equal(b.data, "xaa", 3);
			assert_memory_equal(b.data + 999, "a7y", 3);
		}
		/* Nothing comes after what is not there, and there is no half of a piece. */
		assert_true(b.len == 0 || b.len == 1 || b.len == 1001 || b.len == 1002);
		assert_int_equal(t.failed, b.len != 1002);
		buf_deinit(&b);
	}
}

static void test_differences(void **state)
{
	(void)state;
	struct counts before = { .stats = {
					 .flows = 10, .connections_open = 7, .spool_bytes = 900 } };
	before.stats.fault[FAULT_GZIP] = 2;
	before.stats.closed[CLOSE_CUT] = 3;
	before.output[1] = (struct output_counters){ .flows = 4, .up = 1, .bytes_queued = 50 };
	struct counts now = { .stats = { .flows = 15, .connections_open = 2, .spool_bytes = 100 } };
	now.stats.fault[FAULT_GZIP] = 5;
	now.stats.closed[CLOSE_CUT] = 4;
	now.output[1] = (struct output_counters){ .flows = 9, .up = 2, .bytes_queued = 5 };
	counts_subtract(&now, &before);
	assert_int_equal(now.stats.flows, 5);
	assert_int_equal(now.stats.connections_open, 2);
	assert_int_equal(now.stats.spool_bytes, 100);
	assert_int_equal(now.stats.fault[FAULT_GZIP], 3);
	assert_int_equal(now.stats.closed[CLOSE_CUT], 1);
	assert_int_equal(now.output[1].flows, 5);
	assert_int_equal(now.output[1].up, 2);
	assert_int_equal(now.output[1].bytes_queued, 5);
}

/* ---- publications ---------------------------------------------------------------------------- */

static struct config *config_of(int argc, char **argv)
{
	struct config *c;
	assert_true(config_load(&c, argc, argv));
	return c;
}

/* Well, with two outputs and a spool. */
static struct published *published_well(void)
{
	char *argv[] = { "vpcflowd", "-o", "csv:/tmp/a",  "-o", "ipfix:udp://127.0.0.1:9",
			 "--spool",  "/s", "--spool-max", "8M", NULL };
	struct published *p = published_new();
	assert_non_null(p);
	p->first = config_of(COUNT_OF(argv) - 1, argv);
	p->config = config_reference(p->first);
	p->stage = PUBLISHED_RUNNING;
	p->workers = 1;
	p->at_ns = uv_hrtime();
	p->output[0].up = true;
	p->output[1].up = true;
	return p;
}

static void test_board(void **state)
{
	(void)state;
	struct board *b = board_new();
	assert_non_null(b);
	const struct published *held[3];
	for (unsigned i = 0; i < COUNT_OF(held); i++) {
		struct published *p = published_well();
		p->number = i;
		board_put(b, p);
		held[i] = board_take(b);
		assert_ptr_equal(held[i], p);
	}
	board_free(&b);
	assert_null(b);
	/* Nobody else has them any more: the sanitizers tell what is wrong with their ends. */
	for (unsigned i = 0; i < COUNT_OF(held); i++) {
		assert_int_equal(held[i]->number, i);
		assert_string_equal(held[i]->first->spool, "/s");
		published_free(&held[i]);
		assert_null(held[i]);
	}
	board_free(&b);
}

/* ---- health ---------------------------------------------------------------------------------- */

static void check_health(struct published *p, unsigned status, const char *says)
{
	struct buf body;
	buf_init(&body, 4096);
	assert_int_equal(health_make(&body, p), status);
	assert_int_equal(body.len, strlen(says));
	assert_memory_equal(body.data, says, body.len);
	buf_deinit(&body);
	const struct published *old = p;
	published_free(&old);
}

static void test_health(void **state)
{
	(void)state;
	check_health(published_well(), 200, "ok\n");

	struct published *p = published_well();
	p->stage = PUBLISHED_STARTING;
	p->output[0].up = false;
	check_health(p, 503, "starting\n");

	p = published_well();
	p->stage = PUBLISHED_DRAINING;
	check_health(p, 503, "stopping\n");

	p = published_well();
	p->at_ns -= SECONDS(9);
	check_health(p, 200, "ok\n");
	p = published_well();
	p->at_ns -= SECONDS(10);
	check_health(p, 503, "a worker hangs\n");

	p = published_well();
	p->output[0].stuck_ms = 1999;
	check_health(p, 200, "ok\n");
	p = published_well();
	p->output[0].stuck_ms = 2000;
	p->output[1].up = false;
	p->spool_full = true;
	check_health(p, 503,
		     "output 0 takes no flows: csv:/tmp/a\n"
		     "output 1 is not connected: ipfix:udp://127.0.0.1:9\n"
		     "the spool is full: /s\n");
}

static void test_health_of_a_spool(void **state)
{
	(void)state;
	const uint64_t mib = 1 << 20;
	/* In seconds, one after another. */
	const struct {
		uint64_t second;
		uint64_t refused, stored; /* since the last */
		uint64_t octets;
		bool full;
	} rows[] = {
		{ 0, 0, 0, 0, false },
		{ 1, 0, 5, 8 * mib, false }, /* nobody was refused yet */
		{ 2, 1, 0, 8 * mib, true },
		{ 3, 0, 0, 8 * mib, true },
		{ 90, 0, 0, 8 * mib, true },	  /* it is the spool that is full, not the disk */
		{ 91, 0, 0, 8 * mib - 1, false }, /* something has gone */
		{ 92, 1, 1, 7 * mib, true },	  /* one fitted, another did not */
		{ 93, 0, 1, 7 * mib, false },	  /* one was taken */
		{ 94, 9, 0, 2 * mib, true },	  /* the disk is full */
		{ 103, 0, 0, 2 * mib, true },
		{ 104, 0, 0, 2 * mib, false }, /* another may be tried */
		{ 105, 1, 0, 2 * mib, true },
		{ 115, 1, 0, 2 * mib, true },
		{ 116, 0, 0, 2 * mib, true },
		{ 117, 0, 0, mib, false },
	};
	struct spool_health h = { .refused = false };
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct published *p = published_well();
		p->at_ns = SECONDS(1000 + rows[i].second);
		p->tick.stats.spool_refused = rows[i].refused;
		p->tick.stats.spooled = rows[i].stored;
		p->counts.stats.spool_bytes = rows[i].octets;
		if (health_spool_is_full(&h, p) != rows[i].full)
			fail_msg("second %llu", (unsigned long long)rows[i].second);
		const struct published *old = p;
		published_free(&old);
	}
}

/* Without memory there is no half of an answer. */
static void test_no_memory(void **state)
{
	(void)state;
	const struct published *p = published_well();
	struct buf body;
	for (size_t max = 0; max < 16384; max += 512) {
		buf_init(&body, max);
		unsigned status = metrics_make(&body, p);
		assert_true(status == 0 || status == 200);
		if (status == 200)
			assert_int_equal(body.data[body.len - 1], '\n');
		buf_deinit(&body);
	}
	buf_init(&body, 8192);
	assert_int_equal(metrics_make(&body, p), 0);
	buf_deinit(&body);
	buf_init(&body, 1 << 20);
	assert_int_equal(metrics_make(&body, p), 200);
	buf_deinit(&body);
	buf_init(&body, 0);
	assert_int_equal(health_make(&body, p), 0);
	published_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_latency),	    cmocka_unit_test(test_text),
		cmocka_unit_test(test_differences), cmocka_unit_test(test_board),
		cmocka_unit_test(test_health),	    cmocka_unit_test(test_health_of_a_spool),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
