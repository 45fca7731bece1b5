/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that base64_decode undoes RFC 4648 base64 of every length, appends, refuses everything
 * that is not exactly that, and leaves the output's length alone when it refuses.
 */
#include "support.h"

#include "decode/base64.h"

/* RFC 4648 section 10, and what must not pass. */
static const struct {
	const char *text;
	const char *octets; /* NULL: refused */
} rows[] = {
	{ "", "" },
	{ "Zg==", "f" },
	{ "Zm8=", "fo" },
	{ "Zm9v", "foo" },
	{ "Zm9vYg==", "foob" },
	{ "Zm9vYmE=", "fooba" },
	{ "Zm9vYmFy", "foobar" },
	{ "+/+/", "\xfb\xff\xbf" },
	{ "Zg", NULL },
	{ "Zg=", NULL },
	{ "Zm8", NULL },
	{ "Z", NULL },
	{ "Z===", NULL },
	{ "====", NULL },
	{ "===", NULL },
	{ "=", NULL },
	{ "Zg==Zg==", NULL },
	{ "Zm8=Zm8=", NULL },
	{ "Zg=v", NULL },
	{ "Z=9v", NULL },
	{ "=m9v", NULL },
	{ "Zm9v====", NULL },
	{ "Zm9v\n", NULL },
	{ "Zm9v\r\n\r\n", NULL },
	{ "Zm9\n", NULL },
	{ "Zm 9", NULL },
	{ " Zm9", NULL },
	{ "-_-_", NULL },
	{ "Zm9*", NULL },
	{ "Zm9\xc3", NULL },
	{ "Zm9\x7f", NULL },
	{ "Zg==    ", NULL },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf out;
		buf_init(&out, 64);
		add_text(&out, "before");
		bool ok = base64_decode(slice_text(rows[i].text), &out);
		if (ok != (rows[i].octets != NULL))
			fail_msg("\"%s\": %d", rows[i].text, ok);
		add_text(&out, ok ? "" : "x");
		char expected[64];
		(void)snprintf(expected, sizeof(expected), "before%s", ok ? rows[i].octets : "x");
		assert_true(slice_equal(buf_slice(&out), slice_text(expected)));
		buf_deinit(&out);
	}
}

/* Every octet in every place of a group of four: 64 of them and no other are taken. */
static void test_alphabet(void **state)
{
	(void)state;
	for (unsigned place = 0; place < 8; place++) {
		unsigned taken = 0;
		for (unsigned c = 0; c < 256; c++) {
			char text[8] = { 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A' };
			struct buf out;
			buf_init(&out, 8);
			text[place] = (char)c;
			taken += base64_decode(slice_of(text, 8), &out) && c != '=';
			buf_deinit(&out);
		}
		assert_int_equal(taken, 64);
	}
}

static void test_every_length(void **state)
{
	(void)state;
	struct dice dice = { 4648 };
	for (size_t len = 0; len <= 600; len++) {
		char octets[600];
		struct buf text;
		struct buf out;
		buf_init(&text, 1024);
		/* Exactly the room it needs: a last group that is padded may want two octets more. */
		buf_init(&out, (len + 2) / 3 * 3);
		for (size_t i = 0; i < len; i++)
			octets[i] = (char)dice_below(&dice, 256);
		add_base64(&text, slice_of(octets, len));
		assert_true(base64_decode(buf_slice(&text), &out));
		assert_true(slice_equal(buf_slice(&out), slice_of(octets, len)));
		buf_deinit(&text);
		buf_deinit(&out);
	}
}

static void test_no_room(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 5);
	assert_true(base64_decode(SLICE_LITERAL("Zm9v"), &out));
	assert_false(base64_decode(SLICE_LITERAL("Zm9v"), &out));
	assert_true(slice_equal(buf_slice(&out), SLICE_LITERAL("foo")));
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_alphabet),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
