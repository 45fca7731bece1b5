/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves the bounds that heavy.h promises, against plain arrays that sum up everything: of skewed, even
 * and hostile streams, in one summary or in many that are merged, of one size or of two.
 */
#include "support.h"

#include "watch/heavy_add.h"

enum { KEYS = 4096, BITS = 4, SETS = 1 << BITS, SETS_MOST = 256 };

static const struct heavy_seed seed = { { 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9,
					  0x94d049bb133111eb, 0x2545f4914f6cdd1d } };

/* What a summary should come to. */
struct truth {
	uint64_t sum[KEYS];
	uint64_t total;
};

static struct heavy_key key_of(uint64_t n)
{
	return n % 3 == 0 ? (struct heavy_key){ n << 40, n } : (struct heavy_key){ 7, n };
}

static void make(struct heavy *t)
{
	assert_true(heavy_init(t, &seed, BITS, 0));
}

/* More sets than one has in which it is merged. */
static void make_larger(struct heavy *t, unsigned times)
{
	assert_true(heavy_init(t, &seed, BITS + times, 0));
}

static void add(struct heavy *t, struct truth *truth, uint64_t n, uint64_t weight)
{
	heavy_add(t, key_of(n), weight);
	truth->sum[n] += weight;
	truth->total += weight;
}

/* A key by Zipf's law: half of the draws are below 2^1, half of the rest below 2^2, and so on. */
static uint64_t skewed(struct dice *r)
{
	uint64_t n = 1;
	while (n < KEYS / 2 && dice_below(r, 2) == 0)
		n *= 2;
	return n - 1 + dice_below(r, n);
}

/* Every key within its bounds; every key above the floor there. */
static void check(const struct heavy *t, const struct truth *truth)
{
	uint64_t floor = heavy_floor(t);
	uint64_t total = 0;
	for (uint64_t n = 0; n < KEYS; n++) {
		struct heavy_item found = heavy_find(t, key_of(n));
		assert_true(found.least <= truth->sum[n]);
		assert_true(truth->sum[n] <= found.most);
		if (truth->sum[n] > floor)
			assert_true(found.least > 0);
		total += truth->sum[n];
	}
	assert_int_equal(total, truth->total);
	assert_int_equal(t->total, total);
	assert_true(floor * HEAVY_WAYS <= total);
}

/* The best are in order, and are what heavy_find says of them. */
static void check_best(const struct heavy *t, unsigned room)
{
	struct heavy_item item[SETS * HEAVY_WAYS + 1];
	unsigned count = heavy_best(t, item, room);
	assert_true(count <= room);
	for (unsigned i = 0; i < count; i++) {
		struct heavy_item found = heavy_find(t, item[i].key);
		assert_int_equal(found.most, item[i].most);
		assert_int_equal(found.least, item[i].least);
		if (i > 0)
			assert_true(item[i - 1].least + item[i - 1].most >=
				    item[i].least + item[i].most);
	}
}

static void test_few_keys_are_exact(void **state)
{
	(void)state;
	struct heavy t;
	struct truth truth = { .total = 0 };
	struct heavy_item item[8];
	make(&t);
	for (uint64_t i = 0; i < 100; i++)
		add(&t, &truth, i % 5, i);
	check(&t, &truth);
	assert_int_equal(heavy_floor(&t), 0);
	assert_int_equal(heavy_best(&t, item, 8), 5);
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(item[i].most, truth.sum[4 - i]);
		assert_int_equal(item[i].least, item[i].most);
		assert_int_equal(item[i].key.low, key_of(4 - i).low);
	}
	assert_int_equal(heavy_best(&t, item, 2), 2);
	assert_int_equal(item[1].most, truth.sum[3]);
	heavy_clear(&t);
	assert_int_equal(heavy_best(&t, item, 8), 0);
	heavy_deinit(&t);
}

static void test_a_weight_of_nothing_is_nothing(void **state)
{
	(void)state;
	struct heavy t;
	struct heavy_item item;
	make(&t);
	heavy_add(&t, key_of(1), 0);
	heavy_add_name(&t, SLICE_NONE, 5);
	assert_int_equal(heavy_best(&t, &item, 1), 0);
	assert_int_equal(t.total, 0);
	heavy_deinit(&t);
}

static void test_bounds_hold(void **state)
{
	(void)state;
	for (uint64_t run = 1; run <= 30; run++) {
		struct dice r = { run };
		struct heavy t;
		struct truth truth = { .total = 0 };
		make(&t);
		for (unsigned i = 0; i < 5000; i++) {
			uint64_t n = run % 3 == 0 ? dice_below(&r, KEYS) : skewed(&r);
			add(&t, &truth, n, run % 2 == 0 ? 1 : 1 + dice_below(&r, 1500));
		}
		check(&t, &truth);
		check_best(&t, 1 + (unsigned)dice_below(&r, SETS * HEAVY_WAYS + 1));
		heavy_deinit(&t);
	}
}

/* Heavy keys come first, light ones wash over them, and they are not forgotten: what they had stays. */
static void test_a_flood_of_new_keys_leaves_the_heavy(void **state)
{
	(void)state;
	struct heavy t;
	struct truth truth = { .total = 0 };
	struct heavy_item item[3];
	make(&t);
	for (uint64_t n = 0; n < 3; n++)
		add(&t, &truth, n, 1000000 * (3 - n));
	for (uint64_t n = 3; n < KEYS; n++)
		add(&t, &truth, n, 1);
	check(&t, &truth);
	assert_int_equal(heavy_best(&t, item, 3), 3);
	for (uint64_t n = 0; n < 3; n++) {
		assert_int_equal(item[n].key.low, key_of(n).low);
		assert_int_equal(item[n].least, 1000000 * (3 - n));
		assert_int_equal(item[n].most, item[n].least);
	}
	heavy_deinit(&t);
}

/* Parts of any size, empty ones too, into one; and more is added to what was merged. */
static void test_bounds_hold_when_merged(void **state)
{
	(void)state;
	for (uint64_t run = 1; run <= 20; run++) {
		struct dice r = { run };
		struct heavy sum;
		struct truth truth = { .total = 0 };
		make(&sum);
		for (unsigned part = 0; part < 12; part++) {
			struct heavy t;
			make_larger(&t, (unsigned)dice_below(&r, 4));
			uint64_t adds = dice_below(&r, 4) * dice_below(&r, 500);
			for (uint64_t i = 0; i < adds; i++)
				add(&t, &truth, skewed(&r), 1 + dice_below(&r, 1500));
			heavy_merge(&sum, &t);
			for (uint64_t i = 0; i < dice_below(&r, 50); i++)
				add(&sum, &truth, skewed(&r), 1 + dice_below(&r, 1500));
			heavy_deinit(&t);
			check(&sum, &truth);
		}
		check_best(&sum, SETS * HEAVY_WAYS);
		heavy_deinit(&sum);
	}
}

/* Sums end at a limit and do not begin anew. */
static void test_sums_do_not_overflow(void **state)
{
	(void)state;
	struct heavy t;
	struct heavy more;
	make(&t);
	make(&more);
	for (unsigned i = 0; i < 3; i++) {
		heavy_add(&t, key_of(1), UINT64_MAX);
		heavy_add(&more, key_of(1), UINT64_MAX);
		heavy_add(&more, key_of(2), 1);
	}
	for (unsigned i = 0; i < 70; i++)
		heavy_merge(&t, &more);
	struct heavy_item item = heavy_find(&t, key_of(1));
	assert_int_equal(item.most, HEAVY_LIMIT);
	assert_int_equal(item.least, HEAVY_LIMIT);
	assert_int_equal(heavy_find(&t, key_of(2)).most, 210);
	assert_int_equal(t.total, UINT64_MAX);
	heavy_deinit(&t);
	heavy_deinit(&more);
}

/* The total goes on to 2^64 - 1 and stays there; a key's sum stays below. */
static void test_totals_do_not_overflow(void **state)
{
	(void)state;
	struct heavy t;
	make(&t);
	for (uint64_t i = 0; i < 64; i++) {
		assert_int_equal(t.total, i * HEAVY_LIMIT);
		heavy_add(&t, key_of(i), UINT64_MAX);
		assert_int_equal(heavy_find(&t, key_of(i)).most, HEAVY_LIMIT);
	}
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(t.total, UINT64_MAX);
		heavy_add(&t, key_of(i), 1 + i * HEAVY_LIMIT);
		assert_int_equal(heavy_find(&t, key_of(i)).most, HEAVY_LIMIT);
	}
	heavy_clear(&t);
	assert_int_equal(heavy_find(&t, key_of(5)).most, 0);
	heavy_deinit(&t);
}

/* A key of zeros is one like others, though those that are not there look like it. */
static void test_a_key_of_zeros(void **state)
{
	(void)state;
	const struct heavy_key zeros = { 0, 0 };
	struct dice r = { 3 };
	struct heavy sum;
	uint64_t truth = 0;
	make(&sum);
	for (unsigned part = 0; part < 40; part++) {
		struct heavy t;
		make(&t);
		for (uint64_t i = dice_below(&r, 50); i > 0; i--)
			heavy_add(&t, key_of(1 + skewed(&r)), 1);
		if (dice_below(&r, 2) == 0) {
			heavy_add(&t, zeros, 1000);
			heavy_add(&t, zeros, 500);
			truth += 1500;
		}
		heavy_merge(&sum, &t);
		struct heavy_item found = heavy_find(&sum, zeros);
		assert_true(found.least <= truth && truth <= found.most);
		assert_true(truth == 0 || found.least > 0);
		heavy_deinit(&t);
	}
	heavy_deinit(&sum);
}

/* Keys with one half the same are as different as others: hosts of one number in many networks. */
static void test_halves_of_keys(void **state)
{
	(void)state;
	struct heavy t;
	assert_true(heavy_init(&t, &seed, 8, 0));
	for (uint64_t n = 1; n <= 100; n++) {
		heavy_add(&t, (struct heavy_key){ n, 1 }, n);
		heavy_add(&t, (struct heavy_key){ 1, n }, n);
	}
	for (uint64_t n = 2; n <= 100; n++) {
		assert_int_equal(heavy_find(&t, (struct heavy_key){ n, 1 }).most, n);
		assert_int_equal(heavy_find(&t, (struct heavy_key){ 1, n }).least, n);
	}
	assert_int_equal(heavy_find(&t, (struct heavy_key){ 1, 1 }).most, 2);
	assert_int_equal(heavy_floor(&t), 0);
	heavy_deinit(&t);
}

/* The least half of a set is one number over and over: each of its keys is found, or none. */
static void test_one_set_of_one_half(void **state)
{
	(void)state;
	struct heavy t;
	assert_true(heavy_init(&t, &seed, 1, 0));
	for (unsigned round = 0; round < 3; round++)
		for (uint64_t n = 0; n < 8; n++)
			heavy_add(&t, (struct heavy_key){ n, 5 }, 100);
	for (uint64_t n = 0; n < 8; n++) {
		struct heavy_item found = heavy_find(&t, (struct heavy_key){ n, 5 });
		assert_true(found.least <= 300 && 300 <= found.most);
	}
	heavy_deinit(&t);
}

/* ---- names ----------------------------------------------------------------------------------- */

static uint64_t sum_of_name(const struct heavy *t, struct slice name, bool cut)
{
	struct heavy_item item[SETS_MOST * HEAVY_WAYS];
	unsigned count = heavy_best(t, item, SETS_MOST * HEAVY_WAYS);
	for (unsigned i = 0; i < count; i++)
		if (slice_equal(item[i].name, name) && item[i].cut == cut)
			return item[i].most;
	return 0;
}

/* Of one letter, the words are the same whatever the length. */
static void test_names_of_one_letter(void **state)
{
	(void)state;
	static const size_t lengths[] = { 7, 8, 9, 15, 16, 17, 32, 33 };
	struct heavy t;
	char name[33];
	assert_true(heavy_init(&t, &seed, 6, 40));
	memset(name, 'a', sizeof(name));
	for (size_t i = 0; i < COUNT_OF(lengths); i++)
		heavy_add_name(&t, slice_of(name, lengths[i]), 1 + i);
	for (size_t i = 0; i < COUNT_OF(lengths); i++)
		assert_int_equal(sum_of_name(&t, slice_of(name, lengths[i]), false), 1 + i);
	heavy_deinit(&t);
}

/* Of every length, by summaries that are merged, of which one has more sets. */
static void test_names_of_every_length(void **state)
{
	(void)state;
	struct heavy t;
	struct heavy more;
	char name[41];
	assert_true(heavy_init(&t, &seed, 6, 40));
	assert_true(heavy_init(&more, &seed, 8, 40));
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = (char)('a' + i % 26);
	for (size_t len = 1; len <= 40; len++) {
		heavy_add_name(&t, slice_of(name, len), len);
		heavy_add_name(&more, slice_of(name, len), 1000);
	}
	heavy_merge(&t, &more);
	for (size_t len = 1; len <= 40; len++)
		assert_int_equal(sum_of_name(&t, slice_of(name, len), false), 1000 + len);
	heavy_deinit(&t);
	heavy_deinit(&more);
}

/* What is cut is told apart all the same, and says that it is cut. */
static void test_long_names(void **state)
{
	(void)state;
	struct heavy t;
	struct heavy_item item[4];
	char name[301];
	memset(name, 'x', sizeof(name));
	assert_true(heavy_init(&t, &seed, BITS, 10));
	heavy_add_name(&t, slice_of(name, 300), 5);
	heavy_add_name(&t, slice_of(name, 301), 7);
	heavy_add_name(&t, slice_of(name, 10), 9);
	heavy_add_name(&t, slice_of(name, 20), 3);
	assert_int_equal(heavy_best(&t, item, 4), 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(item[i].most, 9 - 2 * i);
		assert_int_equal(item[i].cut, i > 0);
		assert_true(slice_equal(item[i].name, slice_of(name, 10)));
	}
	heavy_deinit(&t);
}

static void test_names_differ_in_any_octet(void **state)
{
	(void)state;
	char name[40];
	struct heavy t;
	assert_true(heavy_init(&t, &seed, 8, sizeof(name)));
	for (size_t len = 1; len <= sizeof(name); len++) {
		heavy_clear(&t);
		memset(name, '0', sizeof(name));
		heavy_add_name(&t, slice_of(name, len), 100);
		for (size_t at = 0; at < len; at++) {
			name[at] = '1';
			heavy_add_name(&t, slice_of(name, len), 1 + at);
			assert_int_equal(sum_of_name(&t, slice_of(name, len), false), 1 + at);
			name[at] = '0';
		}
		assert_int_equal(sum_of_name(&t, slice_of(name, len), false), 100);
	}
	heavy_deinit(&t);
}

/* Names keep to their sums through evictions and merges of full sets. */
static void test_names_follow_their_entries(void **state)
{
	(void)state;
	struct dice r = { 11 };
	struct heavy sum;
	uint64_t truth[300] = { 0 };
	assert_true(heavy_init(&sum, &seed, BITS, 20));
	for (unsigned part = 0; part < 10; part++) {
		struct heavy t;
		assert_true(heavy_init(&t, &seed, BITS + part % 3, 20));
		for (unsigned i = 0; i < 1000; i++) {
			char name[24];
			uint64_t n = skewed(&r) % 300;
			int len = snprintf(name, sizeof(name), n % 2 ? "%u" : "eni-%016u",
					   (unsigned)n);
			heavy_add_name(&t, slice_of(name, (size_t)len), 1 + n % 7);
			truth[n] += 1 + n % 7;
		}
		heavy_merge(&sum, &t);
		heavy_deinit(&t);
	}
	struct heavy_item item[SETS * HEAVY_WAYS];
	unsigned count = heavy_best(&sum, item, SETS * HEAVY_WAYS);
	assert_true(count > SETS);
	for (unsigned i = 0; i < count; i++) {
		char text[24] = "";
		memcpy(text, item[i].name.data, item[i].name.len);
		unsigned long n = strtoul(text + (text[0] == 'e' ? 4 : 0), NULL, 10);
		assert_true(n < COUNT_OF(truth));
		assert_true(item[i].least <= truth[n] && truth[n] <= item[i].most);
	}
	heavy_deinit(&sum);
}

static void test_seeds_differ(void **state)
{
	(void)state;
	struct heavy_seed a;
	struct heavy_seed b;
	assert_int_equal(heavy_seed_make(&a), 0);
	assert_int_equal(heavy_seed_make(&b), 0);
	assert_memory_not_equal(&a, &b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_keys_are_exact),
		cmocka_unit_test(test_a_weight_of_nothing_is_nothing),
		cmocka_unit_test(test_bounds_hold),
		cmocka_unit_test(test_a_flood_of_new_keys_leaves_the_heavy),
		cmocka_unit_test(test_bounds_hold_when_merged),
		cmocka_unit_test(test_sums_do_not_overflow),
		cmocka_unit_test(test_totals_do_not_overflow),
		cmocka_unit_test(test_a_key_of_zeros),
		cmocka_unit_test(test_halves_of_keys),
		cmocka_unit_test(test_one_set_of_one_half),
		cmocka_unit_test(test_names_of_every_length),
		cmocka_unit_test(test_names_of_one_letter),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_names_differ_in_any_octet),
		cmocka_unit_test(test_names_follow_their_entries),
		cmocka_unit_test(test_seeds_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
