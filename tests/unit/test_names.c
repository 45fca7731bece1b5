/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves the table of interface names: what is seen is there once, with the first id of its number,
 * padded with NUL; what was told, and what not; and that it never grows past its limit.
 */
#include "support.h"

#include "encode/names.h"

static struct names names;

static int tear_down(void **state)
{
	(void)state;
	names_deinit(&names);
	return 0;
}

static void see(uint32_t number, const char *id)
{
	assert_true(names_see(&names, number, slice_text(id)));
}

/* The name of a number, or NULL. */
static const struct name *find(uint32_t number)
{
	unsigned at = 0;
	const struct name *name;
	while ((name = names_next(&names, &at, false)) != NULL)
		if (name->number == number)
			return name;
	return NULL;
}

static unsigned count(bool only_untold)
{
	unsigned at = 0;
	unsigned n = 0;
	while (names_next(&names, &at, only_untold) != NULL)
		n++;
	assert_null(names_next(&names, &at, only_untold));
	return n;
}

static void test_empty(void **state)
{
	(void)state;
	assert_int_equal(count(false), 0);
	assert_int_equal(count(true), 0);
	names_forget_told(&names);
	assert_int_equal(names.untold, 0);
	names_deinit(&names);
}

static void test_see(void **state)
{
	(void)state;
	static const struct {
		uint32_t number;
		const char *id;
		const char *text;
	} rows[] = {
		{ 1, "x", "x" },
		{ 1, "y", "x" },
		{ 0xffffffff, "eni-0123456789abcdef0", "eni-0123456789abcdef0" },
		{ 2, "tgw-attach-0123456789abcdef0", "tgw-attach-0123456789abcdef0" },
		{ 3, "1234567890123456789012345678901", "1234567890123456789012345678901" },
		{ 4, "12345678901234567890123456789012", "1234567890123456789012345678901" },
		{ 5, "123456789012345678901234567890123", "1234567890123456789012345678901" },
		{ 2, "eni-2", "tgw-attach-0123456789abcdef0" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char expected[NAME_ROOM] = { 0 };
		memcpy(expected, rows[i].text, strlen(rows[i].text));
		see(rows[i].number, rows[i].id);
		assert_memory_equal(find(rows[i].number)->text, expected, NAME_ROOM);
	}
	assert_int_equal(names.count, 6);
	assert_int_equal(names.untold, 6);
	assert_int_equal(count(false), 6);
}

/* Numbers that fall into one place have to find another. */
static void test_collisions(void **state)
{
	(void)state;
	enum { SHIFT = 20, MANY = 4095 };
	for (uint32_t i = 1; i <= MANY; i++)
		see(i << SHIFT, "x");
	for (uint32_t i = 1; i <= MANY; i++)
		assert_non_null(find(i << SHIFT));
}

static void test_told(void **state)
{
	(void)state;
	see(1, "a");
	see(2, "b");
	unsigned at = 0;
	struct name *name;
	while ((name = names_next(&names, &at, true)) != NULL)
		name->told = true;
	names.untold = 0;
	assert_int_equal(count(true), 0);
	assert_int_equal(count(false), 2);
	see(1, "a");
	assert_int_equal(names.untold, 0);
	see(3, "c");
	assert_int_equal(names.untold, 1);
	assert_int_equal(count(true), 1);
	names_forget_told(&names);
	assert_int_equal(names.untold, 3);
	assert_int_equal(count(true), 3);
}

/* At its limit it begins anew, and names that come again are told again. */
static void test_limit(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= NAMES_LIMIT; i++)
		see(i, "full");
	assert_int_equal(count(false), NAMES_LIMIT);
	see(NAMES_LIMIT, "again");
	assert_int_equal(names.count, NAMES_LIMIT);
	see(NAMES_LIMIT + 1, "a");
	assert_int_equal(names.count, 1);
	assert_int_equal(names.untold, 1);
	assert_int_equal(count(true), 1);
	assert_string_equal(find(NAMES_LIMIT + 1)->text, "a");
	see(1, "anew");
	assert_string_equal(find(1)->text, "anew");
	for (uint32_t i = 1; i < 5 * NAMES_LIMIT; i++) {
		see(i * 77777, "many");
		assert_in_range(names.count, 1, NAMES_LIMIT);
		assert_int_equal(names.untold, names.count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_empty, tear_down),
		cmocka_unit_test_teardown(test_see, tear_down),
		cmocka_unit_test_teardown(test_collisions, tear_down),
		cmocka_unit_test_teardown(test_told, tear_down),
		cmocka_unit_test_teardown(test_limit, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
