/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that digests are those of FIPS 180-4 however their octets come, and that their text goes
 * both ways and nothing else is taken for one.
 */
#include "support.h"

#include "base/digest.h"

static const struct {
	const char *octets;
	const char *text;
} rows[] = {
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
	  "lmnopqrsmnopqrstnopqrstu",
	  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
};

static const char *text_of(struct slice octets)
{
	static char text[DIGEST_TEXT + 1];
	struct digest d;
	assert_true(digest_of(octets, &d));
	digest_text(&d, text);
	return text;
}

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_string_equal(text_of(slice_text(rows[i].octets)), rows[i].text);
	enum { MILLION = 1000000 };
	char *as = malloc(MILLION);
	assert_non_null(as);
	memset(as, 'a', MILLION);
	assert_string_equal(text_of(slice_of(as, MILLION)),
			    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(as);
}

static void test_chunks(void **state)
{
	(void)state;
	struct dice dice = { 7 };
	char octets[300];
	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (char)dice_below(&dice, 256);
	struct digest whole;
	assert_true(digest_of(slice_of(octets, sizeof(octets)), &whole));
	for (size_t piece = 1; piece <= sizeof(octets); piece++) {
		struct digester *d = digester_new();
		assert_non_null(d);
		for (size_t at = 0; at < sizeof(octets); at += piece) {
			size_t left = sizeof(octets) - at;
			digester_add(d, slice_of(octets + at, left < piece ? left : piece));
			digester_add(d, SLICE_NONE);
		}
		struct digest digest = digester_end(d);
		assert_true(digest_equal(&digest, &whole));
		digester_free(&d);
		assert_null(d);
		digester_free(&d);
	}
}

static void test_text(void **state)
{
	(void)state;
	struct dice dice = { 9 };
	for (int n = 0; n < 1000; n++) {
		struct digest d;
		struct digest again;
		char text[DIGEST_TEXT + 1];
		for (size_t i = 0; i < DIGEST_SIZE; i++)
			d.octets[i] = (unsigned char)dice_below(&dice, 256);
		digest_text(&d, text);
		assert_int_equal(strlen(text), DIGEST_TEXT);
		assert_true(digest_parse(slice_text(text), &again));
		assert_true(digest_equal(&d, &again));
		again.octets[dice_below(&dice, DIGEST_SIZE)] ^= 1;
		assert_false(digest_equal(&d, &again));
	}
}

/* Upper case too is not what we write: a frame's name is its digest's only text. */
static void test_refused(void **state)
{
	(void)state;
	struct digest d;
	char text[DIGEST_TEXT + 2];
	for (size_t i = 0; i < DIGEST_TEXT; i++) {
		for (unsigned c = 0; c < 256; c++) {
			memcpy(text, rows[1].text, DIGEST_TEXT);
			text[i] = (char)c;
			bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
			assert_int_equal(digest_parse(slice_of(text, DIGEST_TEXT), &d), good);
		}
	}
	memcpy(text, rows[1].text, DIGEST_TEXT);
	text[DIGEST_TEXT] = '0';
	assert_false(digest_parse(slice_of(text, DIGEST_TEXT - 1), &d));
	assert_false(digest_parse(slice_of(text, DIGEST_TEXT + 1), &d));
	assert_false(digest_parse(SLICE_NONE, &d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
