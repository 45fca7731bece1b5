/* SPDX-License-Identifier: Apache-2.0 */
/* What the renderers of the manual are told by its tables; what they make of it is in test_manual.py. */
#include "support.h"

#include "manual/manual.h"

static void test_numbers_are_as_they_are_typed(void **state)
{
	static const struct {
		uint64_t n;
		bool size;
		const char *text;
	} rows[] = {
		{ 0, true, "0" },
		{ 1023, true, "1023" },
		{ 1024, true, "1K" },
		{ 1024, false, "1024" },
		{ 1536, true, "1536" },
		{ 16u << 20, true, "16M" },
		{ 8ull << 30, true, "8G" },
		{ 1ull << 42, true, "4096G" },
		{ UINT64_MAX, false, "18446744073709551615" },
	};
	char text[MANUAL_NUMBER];
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_string_equal(manual_number(text, rows[i].n, rows[i].size), rows[i].text);
}

static void test_the_name_of_a_value_says_what_completes_it(void **state)
{
	static const struct {
		const char *name;
		enum manual_value value;
		const char *words;
	} rows[] = {
		{ NULL, VALUE_NONE, NULL },
		{ "N", VALUE_OTHER, NULL },
		{ "FILES", VALUE_OTHER, NULL },
		{ "FILE", VALUE_FILE, NULL },
		{ "DIR", VALUE_FOLDER, NULL },
		{ "FORMAT[:DEST]", VALUE_OUTPUT, NULL },
		{ "FORMAT", VALUE_WORDS, "default|tgw" },
		{ "KEYS", VALUE_FIELDS, NULL },
		{ "more|less", VALUE_WORDS, "more|less" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct option_row row = { .name = "x", .value = rows[i].name };
		const char *words = "before";
		assert_int_equal(manual_value(&row, &words), rows[i].value);
		if (rows[i].words == NULL)
			assert_null(words);
		else
			assert_string_equal(words, rows[i].words);
	}
}

static void test_limits_are_told_from_other_options(void **state)
{
	const struct manual_limit *mtu = manual_limit("mtu");
	(void)state;
	assert_non_null(mtu);
	assert_int_equal(mtu->standard, limits_standard().mtu);
	assert_true(mtu->least < mtu->standard && mtu->standard < mtu->greatest && !mtu->size);
	assert_true(manual_limit("max-payload")->size);
	assert_null(manual_limit("listen"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_are_as_they_are_typed),
		cmocka_unit_test(test_the_name_of_a_value_says_what_completes_it),
		cmocka_unit_test(test_limits_are_told_from_other_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
