/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that failures slow down the address they come from and no other, up to a bound, for a time,
 * and until a good token; that the table of them is bounded and forgets the oldest; and that
 * connections are counted by address to the limit and not past it.
 */
#include "support.h"

#include <errno.h>

#include "flow/address.h"
#include "receive/census.h"
#include "receive/penalties.h"

static uint64_t network(const char *text)
{
	struct address a;
	assert_true(address_parse(slice_text(text), &a));
	return address_network(&a);
}

/* ---- whose limits ---------------------------------------------------------------------------- */

static void test_network(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "10.0.0.1", "10.0.0.1", true },
		{ "10.0.0.1", "10.0.0.2", false },
		{ "10.0.0.1", "11.0.0.1", false },
		{ "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true },
		{ "2001:db8:1:2::1", "2001:db8:1:3::1", false },
		{ "2001:db8:1:2::1", "2002:db8:1:2::1", false },
		{ "::1", "0.0.0.1", false },
		{ "::1", "0.0.0.0", false },
		{ "::10.0.0.1", "10.0.0.1", false },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if ((network(rows[i].a) == network(rows[i].b)) != rows[i].same)
			fail_msg("%s and %s", rows[i].a, rows[i].b);
}

/* ---- penalties ------------------------------------------------------------------------------- */

static void test_doubling(void **state)
{
	(void)state;
	static struct penalties p;
	const uint64_t a = network("10.0.0.1");
	const uint64_t b = network("10.0.0.2");
	uint64_t now = 1;
	for (uint64_t ms = PENALTY_FIRST_MS; ms < PENALTY_MOST_MS; ms *= 2)
		assert_int_equal(penalties_fail(&p, a, now++), ms);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(penalties_fail(&p, a, now++), PENALTY_MOST_MS);
	assert_int_equal(penalties_fail(&p, b, now), PENALTY_FIRST_MS);
	penalties_forgive(&p, b);
	assert_int_equal(penalties_fail(&p, a, now), PENALTY_MOST_MS);
	penalties_forgive(&p, a);
	assert_int_equal(penalties_fail(&p, a, now), PENALTY_FIRST_MS);
	penalties_forgive(&p, network("10.0.0.3"));
	/* A while later, and just not. */
	assert_int_equal(penalties_fail(&p, a, now + PENALTY_FORGET_MS - 1), 2 * PENALTY_FIRST_MS);
	assert_int_equal(penalties_fail(&p, a, now + 2 * PENALTY_FORGET_MS), PENALTY_FIRST_MS);
}

static void test_the_oldest_makes_room(void **state)
{
	(void)state;
	static struct penalties p;
	for (uint64_t i = 0; i < PENALTY_ENTRIES; i++)
		assert_int_equal(penalties_fail(&p, i, 10 + i), PENALTY_FIRST_MS);
	/* The first has failed again, so the second is the oldest. */
	assert_int_equal(penalties_fail(&p, 0, 5000), 2 * PENALTY_FIRST_MS);
	assert_int_equal(penalties_fail(&p, 77777, 5001), PENALTY_FIRST_MS);
	assert_int_equal(penalties_fail(&p, 0, 5002), 4 * PENALTY_FIRST_MS);
	assert_int_equal(penalties_fail(&p, 2, 5003), 2 * PENALTY_FIRST_MS);
	assert_int_equal(penalties_fail(&p, 1, 5004), PENALTY_FIRST_MS);
	/* However many there are, each is slowed down from its second failure on. */
	for (uint64_t i = 0; i < 5 * PENALTY_ENTRIES; i++) {
		assert_int_equal(penalties_fail(&p, 100000 + i, 6000 + i), PENALTY_FIRST_MS);
		assert_int_equal(penalties_fail(&p, 100000 + i, 6000 + i), 2 * PENALTY_FIRST_MS);
	}
}

/* ---- connections ----------------------------------------------------------------------------- */

static struct household *enter(struct census *c, uint64_t network, uint64_t limit)
{
	struct household *h;
	int error = census_enter(c, network, limit, &h);
	assert_int_equal(error, h == NULL ? -EDQUOT : 0);
	return h;
}

static void test_census(void **state)
{
	(void)state;
	enum { NETWORKS = 5000 };
	static struct census c;
	static struct household *of[NETWORKS];
	census_init(&c, 12345);
	for (uint64_t i = 0; i < NETWORKS; i++) {
		of[i] = enter(&c, i << 16, 2);
		assert_non_null(of[i]);
		assert_ptr_equal(enter(&c, i << 16, 2), of[i]);
		assert_null(enter(&c, i << 16, 2));
	}
	for (uint64_t i = 0; i < NETWORKS; i++) {
		census_leave(of[i]);
		assert_ptr_equal(enter(&c, i << 16, 2), of[i]);
		census_leave(of[i]);
		/* A smaller limit of a configuration read since then. */
		assert_null(enter(&c, i << 16, 1));
		census_leave(of[i]);
		of[i] = enter(&c, i << 16, 1);
		assert_non_null(of[i]);
		census_leave(of[i]);
	}
	for (unsigned i = 0; i < CENSUS_BUCKETS; i++)
		assert_true(LIST_EMPTY(&c.bucket[i]));
}

/* Addresses of one network and neighbours spread over the buckets, whatever the seed. */
static void test_census_spreads(void **state)
{
	(void)state;
	static struct census c;
	static struct household *of[4 * CENSUS_BUCKETS];
	for (uint64_t seed = 0; seed < 8; seed++) {
		unsigned used = 0;
		census_init(&c, seed * 0x9e3779b97f4a7c15u + 0x123456789abcdefu);
		for (unsigned i = 0; i < COUNT_OF(of); i++) {
			uint64_t base = seed % 2 == 0 ? 0xffff0a000000u : 0x20010db800000000u;
			of[i] = enter(&c, base + i, 1);
			assert_non_null(of[i]);
		}
		for (unsigned i = 0; i < CENSUS_BUCKETS; i++)
			used += !LIST_EMPTY(&c.bucket[i]);
		assert_true(used > CENSUS_BUCKETS / 2);
		for (unsigned i = 0; i < COUNT_OF(of); i++)
			census_leave(of[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_doubling),
		cmocka_unit_test(test_the_oldest_makes_room),
		cmocka_unit_test(test_census),
		cmocka_unit_test(test_census_spreads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
