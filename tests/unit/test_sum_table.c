/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves the table of sums: each key has one sum, however many there are, however long they are, and
 * though their hashes were the same; a budget that ends it without a loss; tables that become one; and
 * that a failing allocation, each in turn, costs nothing but what was asked for.
 */
#include "support.h"

#include <errno.h>

#include "sum/key.h"
#include "sum/table.h"

static const struct siphash_key hash_key = { { 1, 2 } };
static struct budget budget;
static struct table *table;

/* ---- memory that fails ---------------------------------------------------------------------- */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

static unsigned calls;
static unsigned failing; /* the call that fails, from 1; 0 for none */

void *__wrap_calloc(size_t n, size_t size)
{
	return ++calls == failing ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return ++calls == failing ? NULL : __real_realloc(p, size);
}

/* ---- a table -------------------------------------------------------------------------------- */

static void begin(uint64_t memory)
{
	failing = 0;
	budget.most = memory;
	atomic_init(&budget.taken, 0);
	table = table_new(&budget, &hash_key);
	assert_non_null(table);
}

static int tear_down(void **state)
{
	(void)state;
	table_free(&table);
	assert_null(table);
	assert_int_equal(atomic_load(&budget.taken), 0);
	return 0;
}

/* A key that no other number has; the length is the number's, too. */
static struct slice numbered(unsigned n, char room[32])
{
	return slice_of(room, (size_t)snprintf(room, 32, "%.*s%u", (int)(n % 20),
					       "                    ", n));
}

static int try_add(struct table *t, unsigned n, uint64_t bytes)
{
	char room[32];
	struct sum *sum;
	const struct sum one = { .bytes = bytes, .flows = 1 };
	int error = table_find(t, numbered(n, room), &sum);
	if (error == 0)
		sum_add(sum, &one);
	return error;
}

static void expect(struct table *t, unsigned n, uint64_t bytes, uint64_t flows)
{
	char room[32];
	struct sum *sum;
	size_t before = table_count(t);
	assert_int_equal(table_find(t, numbered(n, room), &sum), 0);
	assert_int_equal(table_count(t), before);
	assert_true(slice_equal(sum_key(sum), numbered(n, room)));
	assert_int_equal(sum->bytes, bytes);
	assert_int_equal(sum->flows, flows);
}

/* Sums and places move apart as it grows; what was there stays where it was. */
static void test_growth(void **state)
{
	(void)state;
	enum { MANY = 50000 };
	char room[32];
	struct sum *first;
	struct table_walk walk = { 0 };
	begin(UINT64_MAX / 2);
	assert_null(table_next(table, &walk));
	assert_int_equal(table_find(table, numbered(0, room), &first), 0);
	for (unsigned times = 1; times <= 2; times++)
		for (unsigned n = 0; n < MANY; n++)
			assert_int_equal(try_add(table, n, n), 0);
	assert_int_equal(table_count(table), MANY);
	assert_int_equal(first->flows, 2);
	for (unsigned n = 0; n < MANY; n++)
		expect(table, n, 2ull * n, 2);
	const struct sum *sum;
	for (unsigned n = 0; (sum = table_next(table, &walk)) != NULL; n++)
		assert_true(slice_equal(sum_key(sum), numbered(n, room)));
	assert_null(table_next(table, &walk));
}

static void test_collisions(void **state)
{
	(void)state;
	enum { MANY = 3000 };
	static const uint32_t tags[] = { 0, 7, UINT32_MAX };
	begin(UINT64_MAX / 2);
	for (unsigned times = 0; times < 2; times++) {
		for (unsigned n = 0; n < MANY; n++) {
			char room[32];
			struct sum *sum;
			uint32_t tag = tags[n % COUNT_OF(tags)];
			table_ask_place(table, tag);
			table_ask_sum(table, tag);
			assert_int_equal(table_find_tagged(table, tag, numbered(n, room), &sum), 0);
			assert_int_equal(sum->bytes, times * n);
			assert_true(slice_equal(sum_key(sum), numbered(n, room)));
			sum->bytes = n;
		}
		assert_int_equal(table_count(table), MANY);
	}
}

/* The longest keys there are, and none at all, one after the other over the ends of chunks. */
static void test_long_keys(void **state)
{
	(void)state;
	static char long_key[KEY_LIMIT];
	struct dice dice = { 3 };
	begin(UINT64_MAX / 2);
	memset(long_key, 'x', sizeof(long_key));
	for (unsigned times = 0; times < 2; times++) {
		dice.state = 3;
		for (unsigned n = 0; n < 300; n++) {
			struct sum *sum;
			size_t len = n == 0 ? 0 : sizeof(n) + dice_below(&dice, KEY_LIMIT - 4);
			memcpy(long_key, &n, sizeof(n));
			assert_int_equal(table_find(table, slice_of(long_key, len), &sum), 0);
			assert_int_equal(sum->key_len, len);
			assert_int_equal(sum->flows, times);
			sum->flows = 1;
		}
	}
	assert_int_equal(table_count(table), 300);
}

/* ---- the budget ----------------------------------------------------------------------------- */

static void test_budget(void **state)
{
	(void)state;
	static const uint64_t sizes[] = { 0, 8 * 1024, 300 * 1024, 1024 * 1024, 5000 * 1000 };
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		unsigned n = 0;
		begin(sizes[i]);
		while (try_add(table, n, n) == 0)
			n++;
		assert_int_equal(try_add(table, n, n), -ENOBUFS);
		assert_int_equal(table_count(table), n);
		assert_true(atomic_load(&budget.taken) <= sizes[i]);
		/* An eighth of it, at least, is sums: keys of 20 octets and 48 of numbers. */
		assert_true(sizes[i] < 1024 * 1024 || n >= sizes[i] / 8 / 68);
		for (unsigned k = 0; k < n; k++)
			expect(table, k, k, 1);
		table_free(&table);
		assert_int_equal(atomic_load(&budget.taken), 0);
	}
}

static void test_several_of_one_budget(void **state)
{
	(void)state;
	begin(UINT64_MAX / 2);
	struct table *other = table_new(&budget, &hash_key);
	assert_int_equal(try_add(table, 1, 1), 0);
	uint64_t one = atomic_load(&budget.taken);
	assert_int_equal(try_add(other, 1, 1), 0);
	assert_int_equal(atomic_load(&budget.taken), 2 * one);
	budget.most = 3 * one - 1;
	struct table *third = table_new(&budget, &hash_key);
	assert_int_equal(try_add(third, 1, 1), -ENOBUFS);
	table_free(&other);
	assert_int_equal(try_add(third, 1, 1), 0);
	table_free(&third);
	table_free(&third);
}

/* ---- tables that become one ----------------------------------------------------------------- */

static void drain(struct table *from)
{
	bool more = true;
	while (more)
		assert_int_equal(table_drain(table, from, &more), 0);
	assert_int_equal(table_count(from), 0);
}

static void test_drain(void **state)
{
	(void)state;
	enum { MANY = 20000 };
	begin(UINT64_MAX / 2);
	struct table *from = table_new(&budget, &hash_key);
	for (unsigned n = 0; n < MANY; n++) {
		assert_int_equal(n % 3 == 0 ? 0 : try_add(table, n, n), 0);
		assert_int_equal(n % 2 == 0 ? 0 : try_add(from, n, 10), 0);
	}
	uint64_t both = atomic_load(&budget.taken);
	drain(from);
	table_free(&from);
	assert_true(atomic_load(&budget.taken) < both);
	for (unsigned n = 0; n < MANY; n++) {
		bool here = n % 3 != 0;
		bool there = n % 2 != 0;
		if (here || there)
			expect(table, n, (here ? n : 0u) + (there ? 10u : 0u),
			       here ? 1u + there : 1u);
	}
	assert_int_equal(table_count(table), MANY - MANY / 6 - 1);
	/* Of nothing. */
	from = table_new(&budget, &hash_key);
	drain(from);
	table_free(&from);
}

static void test_drain_without_room(void **state)
{
	(void)state;
	begin(UINT64_MAX / 2);
	struct table *from = table_new(&budget, &hash_key);
	for (unsigned n = 0; n < 20000; n++)
		assert_int_equal(try_add(from, n, 1), 0);
	budget.most = 0;
	bool more = true;
	assert_int_equal(table_drain(table, from, &more), -ENOBUFS);
	table_free(&from);
}

/* ---- without memory ------------------------------------------------------------------------- */

static void test_memory(void **state)
{
	(void)state;
	enum { MANY = 30000 };
	unsigned failed = 0;
	for (unsigned at = 1;; at++) {
		begin(UINT64_MAX / 2);
		calls = 0;
		failing = at;
		unsigned errors = 0;
		for (unsigned n = 0; n < MANY; n++) {
			int error = try_add(table, n, n);
			assert_true(error == 0 || error == -ENOMEM);
			errors += error != 0;
			/* The next time there is some. */
			if (error != 0)
				assert_int_equal(try_add(table, n, n), 0);
		}
		assert_int_equal(errors, at <= calls);
		for (unsigned n = 0; n < MANY; n++)
			expect(table, n, n, 1);
		table_free(&table);
		assert_int_equal(atomic_load(&budget.taken), 0);
		failed += errors;
		if (errors == 0)
			break;
	}
	/* Places, chunks and the list of them. */
	assert_true(failed > 10);
	calls = 0;
	failing = 1;
	assert_null(table_new(&budget, &hash_key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_growth, tear_down),
		cmocka_unit_test_teardown(test_collisions, tear_down),
		cmocka_unit_test_teardown(test_long_keys, tear_down),
		cmocka_unit_test_teardown(test_budget, tear_down),
		cmocka_unit_test_teardown(test_several_of_one_budget, tear_down),
		cmocka_unit_test_teardown(test_drain, tear_down),
		cmocka_unit_test_teardown(test_drain_without_room, tear_down),
		cmocka_unit_test_teardown(test_memory, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
