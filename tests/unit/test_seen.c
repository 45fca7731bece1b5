/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that a payload is known for its time and no longer, that at the limit the oldest goes, that
 * growing and forgetting lose nothing else, and that a clock that is set does no harm; and drives
 * random operations against the plainest list that could do the same. MODEL_SEQUENCES says how many.
 */
#include "support.h"

#include <uv.h>

#include "spool/seen.h"

/* Digests that a test can tell apart; the first of them share few places in the index. */
static struct seen_payload payload(uint64_t n, int64_t seconds)
{
	struct seen_payload p = { .seconds = seconds, .flows = n };
	p.digest.octets[0] = (unsigned char)(n < 64 ? n % 7 : n);
	p.digest.octets[1] = (unsigned char)(n >> 8);
	p.digest.octets[DIGEST_SIZE - 1] = (unsigned char)n;
	p.digest.octets[DIGEST_SIZE - 2] = (unsigned char)(n >> 8);
	p.digest.octets[DIGEST_SIZE - 3] = (unsigned char)(n >> 16);
	return p;
}

static struct seen *make(uint64_t most, uint64_t seconds)
{
	struct seen *s = seen_new(most, seconds);
	assert_non_null(s);
	return s;
}

static void add(struct seen *s, uint64_t n, int64_t now)
{
	struct seen_payload p = payload(n, now);
	assert_true(seen_add(s, &p, now));
}

static bool knows(struct seen *s, uint64_t n, int64_t now)
{
	struct seen_payload p = payload(n, now);
	struct seen_payload found;
	bool known = seen_find(s, &p.digest, now, &found);
	if (known)
		assert_true(digest_equal(&found.digest, &p.digest));
	return known;
}

static void test_window(void **state)
{
	(void)state;
	struct seen *s = make(100, 60);
	assert_false(knows(s, 1, 1000));
	add(s, 1, 1000);
	assert_true(knows(s, 1, 1000));
	assert_true(knows(s, 1, 1059));
	assert_false(knows(s, 1, 1060));
	assert_false(knows(s, 2, 1000));
	/* Once more within its time says nothing new; after it, it is new. */
	add(s, 1, 1030);
	assert_int_equal(seen_count(s), 1);
	assert_false(knows(s, 1, 1060));
	add(s, 1, 1060);
	assert_true(knows(s, 1, 1119));
	assert_int_equal(seen_count(s), 1);
	seen_free(&s);
	assert_null(s);
	seen_free(&s);
}

static void test_flows(void **state)
{
	(void)state;
	struct seen *s = make(100, 60);
	struct seen_payload p = payload(5, 1000);
	p.flows = UINT64_MAX;
	assert_true(seen_add(s, &p, 1000));
	struct seen_payload found;
	assert_true(seen_find(s, &p.digest, 1000, &found) && found.flows == UINT64_MAX);
	p.flows = 3;
	assert_true(seen_add(s, &p, 1001));
	assert_true(seen_find(s, &p.digest, 1001, &found) && found.flows == 3);
	seen_free(&s);
}

static void test_none(void **state)
{
	(void)state;
	struct seen *s = make(0, 60);
	add(s, 1, 1000);
	assert_false(knows(s, 1, 1000));
	seen_free(&s);
	s = make(100, 0);
	add(s, 1, 1000);
	assert_false(knows(s, 1, 1000));
	seen_free(&s);
}

/* Through several doublings, beyond the limit, and around the ring. */
static void test_limit(void **state)
{
	(void)state;
	enum { MOST = 3000, ALL = 9000 };
	struct seen *s = make(MOST, 3600);
	for (uint64_t n = 0; n < ALL; n++) {
		add(s, n, 1000);
		assert_int_equal(seen_count(s), n < MOST ? n + 1 : MOST);
		assert_true(knows(s, n, 1000));
		assert_true(knows(s, n < MOST ? 0 : n - MOST + 1, 1000));
		assert_true(n < MOST || !knows(s, n - MOST, 1000));
	}
	for (uint64_t n = 0; n < ALL; n++)
		assert_int_equal(knows(s, n, 1000), n >= ALL - MOST);
	seen_free(&s);
}

/* What is too old makes room in order, some at every addition. */
static void test_forgotten_in_order(void **state)
{
	(void)state;
	struct seen *s = make(100000, 500);
	for (int64_t n = 0; n < 3000; n++) {
		add(s, (uint64_t)n, 1000 + n);
		assert_int_equal(seen_count(s), n < 500 ? n + 1 : 500);
		for (int64_t k = n - 502; k <= n; k += 100)
			assert_int_equal(knows(s, (uint64_t)k, 1000 + n), k >= 0 && k > n - 500);
	}
	seen_free(&s);
}

static void test_clock(void **state)
{
	(void)state;
	struct seen *s = make(3, 60);
	add(s, 1, 5000);
	/* Back by an hour: what is known stays so until the time comes again. */
	assert_true(knows(s, 1, 1400));
	add(s, 2, 1400);
	assert_true(knows(s, 2, 1459));
	assert_false(knows(s, 2, 1460));
	/* Behind a younger one it is not forgotten yet, but it is new. */
	add(s, 2, 1460);
	assert_int_equal(seen_count(s), 2);
	assert_true(knows(s, 2, 1519));
	add(s, 3, 1461);
	add(s, 4, 1462);
	assert_false(knows(s, 1, 1462));
	assert_true(knows(s, 2, 1462) && knows(s, 3, 1462) && knows(s, 4, 1462));
	/* Far ahead: all is too old. */
	assert_false(knows(s, 2, INT64_C(1) << 40));
	add(s, 5, INT64_C(1) << 40);
	assert_int_equal(seen_count(s), 1);
	seen_free(&s);
}

/* ---- the model ------------------------------------------------------------------------------- */

enum { MODEL_PAYLOADS = 12, MODEL_STEPS = 40 };

/* In the order of their first coming. */
struct model {
	struct {
		uint64_t n;
		int64_t seconds;
	} seen[MODEL_PAYLOADS];
	size_t count;
	size_t most;
	int64_t window;
};

static size_t model_find(const struct model *m, uint64_t n)
{
	size_t i = 0;
	while (i < m->count && m->seen[i].n != n)
		i++;
	return i;
}

static bool model_old(const struct model *m, size_t i, int64_t now)
{
	return now - m->seen[i].seconds >= m->window;
}

static bool model_knows(const struct model *m, uint64_t n, int64_t now)
{
	size_t i = model_find(m, n);
	return i < m->count && !model_old(m, i, now);
}

static void model_add(struct model *m, uint64_t n, int64_t now)
{
	if (model_knows(m, n, now))
		return;
	while (m->count > 0 && (model_old(m, 0, now) || m->count >= m->most)) {
		m->count--;
		memmove(m->seen, m->seen + 1, m->count * sizeof(*m->seen));
	}
	size_t i = model_find(m, n);
	m->count += i == m->count;
	m->seen[i].n = n;
	m->seen[i].seconds = now;
}

static void run_sequence(uint64_t seed)
{
	struct dice dice = { seed * 2654435761u + 1 };
	struct model m = { .most = 1 + dice_below(&dice, 10), .window = 20 };
	struct seen *s = make(m.most, (uint64_t)m.window);
	int64_t now = 1000;
	for (int step = 0; step < MODEL_STEPS; step++) {
		uint64_t n = dice_below(&dice, MODEL_PAYLOADS);
		size_t jump = dice_below(&dice, 16);
		now += jump < 10 ? (int64_t)dice_below(&dice, 4)
				 : (jump == 10 ? (int64_t)dice_below(&dice, 80) - 40 : 0);
		if (dice_below(&dice, 3) > 0) {
			add(s, n, now);
			model_add(&m, n, now);
		}
		for (uint64_t k = 0; k < MODEL_PAYLOADS; k++)
			if (knows(s, k, now) != model_knows(&m, k, now))
				fail_msg("seed %llu step %d payload %llu", (unsigned long long)seed,
					 step, (unsigned long long)k);
		assert_int_equal(seen_count(s), m.count);
	}
	seen_free(&s);
}

static void test_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= model_sequences(1000); seed++)
		run_sequence(seed);
}

static struct claim claim_of(uint64_t n)
{
	return (struct claim){ .digest = payload(n, 0).digest };
}

static void test_claims(void **state)
{
	(void)state;
	struct seen *s = make(100, 60);
	struct claim mine = claim_of(1);
	struct claim theirs = claim_of(1);
	struct claim other = claim_of(8);
	struct seen_payload found;
	assert_int_equal(seen_claim(s, &mine, 1000, &found), CLAIM_HELD);
	assert_int_equal(seen_claim(s, &theirs, 1000, &found), CLAIM_OTHER);
	assert_false(theirs.held);
	assert_int_equal(seen_claim(s, &other, 1000, &found), CLAIM_HELD);
	/* Given up: the next one may. */
	seen_release(s, &mine);
	seen_release(s, &mine);
	assert_int_equal(seen_claim(s, &theirs, 1000, &found), CLAIM_HELD);
	/* Taken: nobody else does. */
	add(s, 1, 1000);
	assert_int_equal(seen_claim(s, &mine, 1001, &found), CLAIM_BEFORE);
	assert_int_equal(found.flows, 1);
	seen_release(s, &theirs);
	assert_int_equal(seen_claim(s, &mine, 1001, &found), CLAIM_BEFORE);
	assert_int_equal(seen_claim(s, &mine, 1060, &found), CLAIM_HELD);
	seen_release(s, &mine);
	seen_release(s, &other);
	seen_free(&s);
	/* Nothing is remembered: nobody waits for anybody. */
	s = make(100, 0);
	assert_int_equal(seen_claim(s, &mine, 1000, &found), CLAIM_HELD);
	assert_int_equal(seen_claim(s, &theirs, 1000, &found), CLAIM_HELD);
	seen_release(s, &mine);
	seen_release(s, &theirs);
	seen_free(&s);
}

enum { THREADS = 4, ROUNDS = 2000 };

static struct {
	struct seen *seen;
	unsigned taken[ROUNDS]; /* by however many; each claim guards its own */
} shared;

static void take_all(void *arg)
{
	(void)arg;
	for (unsigned n = 0; n < ROUNDS; n++) {
		struct claim c = claim_of(n);
		struct seen_payload found;
		enum claim_result result;
		while ((result = seen_claim(shared.seen, &c, 1000, &found)) == CLAIM_OTHER)
			;
		if (result == CLAIM_HELD) {
			struct seen_payload p = payload(n, 1000);
			shared.taken[n]++;
			(void)seen_add(shared.seen, &p, 1000);
		}
		seen_release(shared.seen, &c);
	}
}

/* Threads that all take the same payloads: each is taken once. */
static void test_threads(void **state)
{
	(void)state;
	uv_thread_t thread[THREADS];
	shared.seen = make(ROUNDS, 60);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(uv_thread_create(&thread[i], take_all, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		uv_thread_join(&thread[i]);
	for (unsigned n = 0; n < ROUNDS; n++)
		assert_int_equal(shared.taken[n], 1);
	assert_int_equal(seen_count(shared.seen), ROUNDS);
	seen_free(&shared.seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_flows),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_forgotten_in_order),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
