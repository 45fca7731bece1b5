/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves which token files are taken, that exactly their tokens are accepted and nothing near them,
 * that every octet of every token is looked at whatever came before it, that a token keeps its
 * number when the file is read again and nobody inherits one, and that what is said of a bad file
 * has no part of a token in it.
 */
#include "support.h"

#include <signal.h>
#include <sys/mman.h>

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

/* ---- no octet is left out -------------------------------------------------------------------- */

/* A page that may not be touched; the first touch is noted and then allowed. */
static char *volatile guarded;
static size_t page;
static const char *volatile touched;

static void on_touch(int number, siginfo_t *info, void *context)
{
	(void)context;
	const char *at = info->si_addr;
	if (at < guarded || at >= guarded + page || mprotect(guarded, page, PROT_READ) != 0)
		_exit(128 + number);
	touched = at;
}

/*
 * Whether the octets of the last token are read, from `from` on: they lie on a page that tells.
 */
static bool reads_the_end(const struct tokens *model, size_t from, struct slice given)
{
	size_t size = model->count * sizeof(*model->token);
	size_t before = size - sizeof(*model->token) + from;
	char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
	assert_true(pages != MAP_FAILED && before <= 2 * page);
	guarded = pages + 2 * page;
	struct tokens t = *model;
	t.token = (struct token *)(void *)(guarded - before);
	memcpy(t.token, model->token, size);
	assert_int_equal(mprotect(guarded, page, PROT_NONE), 0);
	touched = NULL;
	(void)!tokens_accept(&t, given);
	assert_int_equal(munmap(pages, 3 * page), 0);
	/* Behind the text is the number, which is read in any case. */
	return touched != NULL && touched < guarded + (TOKEN_LIMIT - from);
}

/*
 * A compare that stopped at the first octet that differs, or at the first token that matches, would
 * tell by its time how much was right. Each octet decides alone, so each one is read; and the last
 * octets are read wherever before them the difference is.
 */
static void test_every_octet_is_read(void **state)
{
	(void)state;
	struct sigaction on = { .sa_sigaction = on_touch, .sa_flags = SA_SIGINFO };
	struct sigaction before;
	char text[TOKEN_LIMIT - 1];
	struct tokens t;
	const char *why;
	/* Valgrind takes the page that may not be touched for a mistake. */
	const char *preloaded = getenv("LD_PRELOAD");
	if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL)
		skip();
	page = (size_t)sysconf(_SC_PAGESIZE);
	memset(text, 'x', sizeof(text));
	char file[3 * TOKEN_LIMIT];
	int len = snprintf(file, sizeof(file), "first\nsecond\n%.*s\n", (int)sizeof(text), text);
	assert_true(load(&t, slice_of(file, (size_t)len), &why));
	assert_int_equal(sigaction(SIGSEGV, &on, &before), 0);
	for (size_t i = 0; i < sizeof(text); i++) {
		assert_int_equal(tokens_accept(&t, slice_of(text, sizeof(text))), 3);
		text[i] = 'y';
		assert_int_equal(tokens_accept(&t, slice_of(text, sizeof(text))), 0);
		assert_true(reads_the_end(&t, TOKEN_LIMIT - 4, slice_of(text, sizeof(text))));
		text[i] = 'x';
	}
	assert_true(reads_the_end(&t, TOKEN_LIMIT - 4, SLICE_LITERAL("first")));
	assert_true(reads_the_end(&t, TOKEN_LIMIT - 4, SLICE_LITERAL("x")));
	assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
	tokens_deinit(&t);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void test_numbers(void **state)
{
	(void)state;
	static const char *const later[] = { "a\nb\n", "c\nb\n", "a\nb\n", "d\n", "d\ne\na\n" };
	struct tokens t[COUNT_OF(later)];
	const char *why;
	for (size_t i = 0; i < COUNT_OF(later); i++) {
		assert_true(load(&t[i], slice_text(later[i]), &why));
		if (i > 0)
			tokens_succeed(&t[i], &t[i - 1]);
	}
	uint32_t a = tokens_accept(&t[0], SLICE_LITERAL("a"));
	uint32_t b = tokens_accept(&t[0], SLICE_LITERAL("b"));
	assert_true(a != 0 && b != 0 && a != b);
	assert_int_equal(tokens_accept(&t[1], SLICE_LITERAL("b")), b);
	assert_true(tokens_have(&t[1], b) && tokens_have(&t[2], b) && !tokens_have(&t[3], b));
	/* Who came in by a token that was taken away is not let in by the one after it. */
	for (size_t i = 1; i < COUNT_OF(later); i++)
		assert_false(tokens_have(&t[i], a));
	for (size_t i = 0; i < COUNT_OF(later); i++) {
		assert_false(tokens_have(&t[i], 0));
		tokens_deinit(&t[i]);
	}
	/* A time without any token in between changes nothing. */
	struct tokens none = { .numbers = 7 };
	assert_true(load(&t[0], SLICE_LITERAL("z"), &why));
	tokens_succeed(&t[0], &none);
	assert_int_equal(tokens_accept(&t[0], SLICE_LITERAL("z")), 8);
	tokens_deinit(&t[0]);
}

static void test_no_file(void **state)
{
	(void)state;
	struct tokens t;
	const char *why = NULL;
	assert_false(tokens_load(&t, "/nonexistent/tokens", &why));
	assert_non_null(why);
	assert_false(tokens_load(&t, "/tmp", &why));
	assert_string_equal(why, "Is a directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),	cmocka_unit_test(test_accept),
		cmocka_unit_test(test_longest), cmocka_unit_test(test_every_octet_is_read),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_no_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
