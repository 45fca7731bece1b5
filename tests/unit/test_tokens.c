/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves which token files are taken, that exactly their tokens are accepted and nothing near them,
 * and that what is said of a bad file has no part of a token in it.
 */
#include "support.h"

#include "receive/tokens.h"

static bool load(struct tokens *t, struct slice text, const char **why)
{
	char path[TEMP_PATH];
	temp_file(path, text);
	bool ok = tokens_load(t, path, why);
	unlink(path);
	return ok;
}

#define TEXT(literal)                                                                              \
	{                                                                                          \
		(literal), sizeof(literal) - 1                                                     \
	}

static const struct {
	struct slice text;
	size_t count; /* 0: refused */
} files[] = {
	{ TEXT("secret\n"), 1 },
	{ TEXT("secret"), 1 },
	{ TEXT("secret\r\n"), 1 },
	{ TEXT("  secret\t \n"), 1 },
	{ TEXT("# comment\n\nsecret\n   \n# another\nsecond\n"), 2 },
	{ TEXT("  # comment\nsecret\n"), 1 },
	{ TEXT("a#b\n"), 1 },
	{ TEXT("a\na\n"), 2 },
	{ TEXT("!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~\n"), 1 },
	{ TEXT(""), 0 },
	{ TEXT("\n\n"), 0 },
	{ TEXT("# only a comment\n"), 0 },
	{ TEXT("two words\n"), 0 },
	{ TEXT("good\ntwo words\n"), 0 },
	{ TEXT("tab\there\n"), 0 },
	{ TEXT("caf\xc3\xa9\n"), 0 },
	{ TEXT("nul\0nul\n"), 0 },
	{ TEXT("\x7f\n"), 0 },
	{ TEXT("\x01\n"), 0 },
};

static void test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		struct tokens t;
		const char *why = NULL;
		bool ok = load(&t, files[i].text, &why);
		if (ok != (files[i].count > 0) || t.count != files[i].count)
			fail_msg("%s: %d, %zu tokens", files[i].text.data, ok, t.count);
		if (!ok)
			assert_non_null(why);
		tokens_deinit(&t);
		assert_int_equal(t.count, 0);
		assert_null(t.token);
	}
}

static void test_accept(void **state)
{
	(void)state;
	static const struct {
		struct slice token;
		bool accepted;
	} rows[] = {
		{ TEXT("first"), true },   { TEXT("second"), true },
		{ TEXT("third"), true },   { TEXT(""), false },
		{ TEXT("firs"), false },   { TEXT("firstx"), false },
		{ TEXT("First"), false },  { TEXT("first "), false },
		{ TEXT(" first"), false }, { TEXT("first\0"), false },
		{ TEXT("f\0rst"), false }, { TEXT("firstsecond"), false },
		{ TEXT("# no"), false },   { TEXT("first\r"), false },
		{ TEXT("\0"), false },
	};
	struct tokens t;
	const char *why;
	assert_true(load(&t, SLICE_LITERAL("first\n# no\nsecond\r\n  third  "), &why));
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		bool accepted = tokens_accept(&t, rows[i].token);
		if (accepted != rows[i].accepted)
			fail_msg("\"%s\" of %zu octets", rows[i].token.data, rows[i].token.len);
	}
	assert_false(tokens_accept(&t, SLICE_NONE));
	tokens_deinit(&t);
	assert_false(tokens_accept(&t, SLICE_LITERAL("first")));
}

static void test_longest(void **state)
{
	(void)state;
	char text[TOKEN_LIMIT + 2];
	struct tokens t;
	const char *why = NULL;
	memset(text, 'x', sizeof(text));
	assert_true(load(&t, slice_of(text, TOKEN_LIMIT - 1), &why));
	assert_true(tokens_accept(&t, slice_of(text, TOKEN_LIMIT - 1)));
	assert_false(tokens_accept(&t, slice_of(text, TOKEN_LIMIT - 2)));
	assert_false(tokens_accept(&t, slice_of(text, TOKEN_LIMIT)));
	assert_false(tokens_accept(&t, slice_of(text, TOKEN_LIMIT + 2)));
	tokens_deinit(&t);
	assert_false(load(&t, slice_of(text, TOKEN_LIMIT), &why));
	assert_null(strstr(why, "xx"));
}

static void test_no_file(void **state)
{
	(void)state;
	struct tokens t;
	const char *why = NULL;
	assert_false(tokens_load(&t, "/nonexistent/tokens", &why));
	assert_non_null(why);
	assert_false(tokens_load(&t, "/tmp", &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_no_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
