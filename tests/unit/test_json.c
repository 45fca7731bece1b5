/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that json_scan takes RFC 8259's objects and arrays and nothing else, and gives the same
 * answer (end, fault, offset) for every cut of the input into two and octet by octet; that the
 * walkers find every member and element as written; and that json_text gives strings without their
 * escapes and numbers unchanged.
 */
#include "support.h"

#include "decode/json.h"

enum { DEPTH = 6 };

#define TEXT(literal)                                                                              \
	{                                                                                          \
		(literal), sizeof(literal) - 1                                                     \
	}

/* What the scan says: OK used, MORE, or BAD with the offset. */
static const struct {
	struct slice text;
	enum step step;
	size_t at;
	enum fault_code code;
} scans[] = {
	{ TEXT("{}"), STEP_OK, 2, 0 },
	{ TEXT("[]"), STEP_OK, 2, 0 },
	{ TEXT(" \t\r\n{}"), STEP_OK, 6, 0 },
	{ TEXT("{ \t\r\n}"), STEP_OK, 6, 0 },
	{ TEXT("{}{}"), STEP_OK, 2, 0 },
	{ TEXT("{}}"), STEP_OK, 2, 0 },
	{ TEXT("[] "), STEP_OK, 2, 0 },
	{ TEXT("{\"\":1}"), STEP_OK, 6, 0 },
	{ TEXT("{\"a\":1,\"a\":2}"), STEP_OK, 13, 0 },
	{ TEXT("{ \"a\" : [ 1 , 2 ] , \"b\" : { } }"), STEP_OK, 31, 0 },
	{ TEXT("[true,false,null]"), STEP_OK, 17, 0 },
	{ TEXT("[\"\"]"), STEP_OK, 4, 0 },
	{ TEXT("[\"}]\"]"), STEP_OK, 6, 0 },
	{ TEXT("[\"\\\"]\"]"), STEP_OK, 7, 0 },
	{ TEXT("[\"\\\\\"]"), STEP_OK, 6, 0 },
	{ TEXT("[[[[[[]]]]]]"), STEP_OK, 12, 0 },
	{ TEXT("[{\"a\":[{\"a\":[{}]}]}]"), STEP_OK, 20, 0 },
	{ TEXT("[[],[],{},[[]]]"), STEP_OK, 15, 0 },
	/* numbers */
	{ TEXT("[0,-0,1,-1,10,0.0,0.5,1e1,1E1,1e+1,1e-1,1.5e10,0e0]"), STEP_OK, 51, 0 },
	{ TEXT("[123456789012345678901234567890]"), STEP_OK, 32, 0 },
	{ TEXT("[1 ]"), STEP_OK, 4, 0 },
	{ TEXT("[01]"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("[-01]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[00]"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("[+1]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[.5]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[1.]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[1.e1]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[1e]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[1e+]"), STEP_BAD, 4, FAULT_JSON },
	{ TEXT("[1e1.5]"), STEP_BAD, 4, FAULT_JSON },
	{ TEXT("[1.5.5]"), STEP_BAD, 4, FAULT_JSON },
	{ TEXT("[1ee1]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[-]"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("[--1]"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("[1-1]"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("[0x1]"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("[1 2]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[NaN]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[Infinity]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[-Infinity]"), STEP_BAD, 2, FAULT_JSON },
	/* literals */
	{ TEXT("[True]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[tru]"), STEP_BAD, 4, FAULT_JSON },
	{ TEXT("[truee]"), STEP_BAD, 5, FAULT_JSON },
	{ TEXT("[nul"), STEP_MORE, 0, 0 },
	{ TEXT("[nulll]"), STEP_BAD, 5, FAULT_JSON },
	{ TEXT("[fals\x00]"), STEP_BAD, 5, FAULT_JSON },
	/* strings */
	{ TEXT("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"), STEP_OK, 20, 0 },
	{ TEXT("[\"\\u0000\\uFFFF\\uabCD\"]"), STEP_OK, 22, 0 },
	{ TEXT("[\"\\ud83d\\ude00\"]"), STEP_OK, 16, 0 },
	{ TEXT("[\"\xc3\xa9\xf0\x9f\x98\x80\x7f\"]"), STEP_OK, 11, 0 },
	{ TEXT("[\"\\x41\"]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[\"\\'\"]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[\"\\0\"]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[\"\\\0\"]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[\"\\U0041\"]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[\"\\u004\"]"), STEP_BAD, 7, FAULT_JSON },
	{ TEXT("[\"\\u004g\"]"), STEP_BAD, 7, FAULT_JSON },
	{ TEXT("[\"\\u00 1\"]"), STEP_BAD, 6, FAULT_JSON },
	{ TEXT("[\"a\nb\"]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[\"a\tb\"]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[\"a\x1f\"]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[\"a\0b\"]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("['a']"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[\"a\" \"b\"]"), STEP_BAD, 5, FAULT_JSON },
	/* structure */
	{ TEXT("[1,]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[,1]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[,]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[1,,2]"), STEP_BAD, 3, FAULT_JSON },
	{ TEXT("[1}"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("[}"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[:]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[1:2]"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("{]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("{,}"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("{\"a\":1,}"), STEP_BAD, 7, FAULT_JSON },
	{ TEXT("{\"a\":1]"), STEP_BAD, 6, FAULT_JSON },
	{ TEXT("{\"a\"}"), STEP_BAD, 4, FAULT_JSON },
	{ TEXT("{\"a\":}"), STEP_BAD, 5, FAULT_JSON },
	{ TEXT("{\"a\",1}"), STEP_BAD, 4, FAULT_JSON },
	{ TEXT("{\"a\"::1}"), STEP_BAD, 5, FAULT_JSON },
	{ TEXT("{\"a\" 1}"), STEP_BAD, 5, FAULT_JSON },
	{ TEXT("{a:1}"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("{1:1}"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("{\"a\":1 \"b\":2}"), STEP_BAD, 7, FAULT_JSON },
	{ TEXT("{\"a\":1,,\"b\":2}"), STEP_BAD, 7, FAULT_JSON },
	{ TEXT("{\"a\":1;\"b\":2}"), STEP_BAD, 6, FAULT_JSON },
	{ TEXT("[/**/]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("[1//\n]"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("[1\x0b]"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("[1\xc2\xa0]"), STEP_BAD, 2, FAULT_JSON },
	{ TEXT("[\0]"), STEP_BAD, 1, FAULT_JSON },
	{ TEXT("\0{}"), STEP_BAD, 0, FAULT_JSON },
	{ TEXT("\xef\xbb\xbf{}"), STEP_BAD, 0, FAULT_JSON },
	{ TEXT("1"), STEP_BAD, 0, FAULT_JSON },
	{ TEXT("\"a\""), STEP_BAD, 0, FAULT_JSON },
	{ TEXT("null"), STEP_BAD, 0, FAULT_JSON },
	{ TEXT("}"), STEP_BAD, 0, FAULT_JSON },
	{ TEXT("]"), STEP_BAD, 0, FAULT_JSON },
	{ TEXT(","), STEP_BAD, 0, FAULT_JSON },
	/* depth */
	{ TEXT("[[[[[[[]]]]]]]"), STEP_BAD, 6, FAULT_JSON_DEPTH },
	{ TEXT("{\"a\":[{\"a\":[{\"a\":[{"), STEP_BAD, 18, FAULT_JSON_DEPTH },
	{ TEXT("[[[[[[1]]]]],[[[[[{"), STEP_BAD, 18, FAULT_JSON_DEPTH },
	/* not complete */
	{ TEXT(""), STEP_MORE, 0, 0 },
	{ TEXT("  "), STEP_MORE, 0, 0 },
	{ TEXT("{"), STEP_MORE, 0, 0 },
	{ TEXT("{\"a"), STEP_MORE, 0, 0 },
	{ TEXT("{\"a\\"), STEP_MORE, 0, 0 },
	{ TEXT("{\"a\\u00"), STEP_MORE, 0, 0 },
	{ TEXT("{\"a\":"), STEP_MORE, 0, 0 },
	{ TEXT("{\"a\":1"), STEP_MORE, 0, 0 },
	{ TEXT("{\"a\":[{}"), STEP_MORE, 0, 0 },
	{ TEXT("[-"), STEP_MORE, 0, 0 },
	{ TEXT("[1e"), STEP_MORE, 0, 0 },
};

struct answer {
	enum step step;
	size_t at;
	enum fault_code code;
};

/* Scans in pieces: the first of this many octets, then of `size` each (0: the rest). */
static struct answer scan(struct slice text, size_t first, size_t size, unsigned depth)
{
	struct json_scan s;
	struct fault fault = { .code = 0 };
	size_t done = 0;
	size_t n = first;
	json_scan_init(&s, depth);
	while (done < text.len) {
		size_t used = 0;
		if (n > text.len - done)
			n = text.len - done;
		enum step step = json_scan(&s, slice_of(text.data + done, n), &used, &fault);
		if (step == STEP_BAD)
			return (struct answer){ step, done + fault.offset, fault.code };
		if (step == STEP_OK)
			return (struct answer){ step, done + used, 0 };
		assert_int_equal(used, n);
		done += n;
		n = size == 0 ? text.len : size;
	}
	return (struct answer){ STEP_MORE, 0, 0 };
}

static bool same(struct answer a, struct answer b)
{
	return a.step == b.step && a.at == b.at && (a.step != STEP_BAD || a.code == b.code);
}

static void test_scan_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(scans); i++) {
		struct slice text = scans[i].text;
		struct answer expected = { scans[i].step, scans[i].at, scans[i].code };
		for (size_t first = 1; first <= text.len; first++)
			if (!same(scan(text, first, 0, DEPTH), expected))
				fail_msg("%.*s, cut after %zu: step %d at %zu", (int)text.len,
					 text.data, first, (int)scan(text, first, 0, DEPTH).step,
					 scan(text, first, 0, DEPTH).at);
		for (size_t size = 1; size <= 3; size++)
			if (!same(scan(text, size, size, DEPTH), expected))
				fail_msg("%.*s, by %zu", (int)text.len, text.data, size);
	}
}

/* Whatever damage does to a document, the cuts make no difference; nothing is read beyond it. */
static void test_scan_mutations(void **state)
{
	(void)state;
	static const char good[] = "{\"a\": [1, -2.5e+3, \"x\\u00e9\\\\\"], \"b\":{\"c\" :null}, "
				   "\"d\":[true,false,{}]}";
	static const char octets[] = "{}[]:,\"\\u0aefn1.-+ \x01\xff";
	struct dice dice = { 8259 };
	unsigned outcome[3] = { 0 };
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = sizeof(good) - 1 - dice_below(&dice, 10);
		char *text = malloc(len);
		assert_non_null(text);
		memcpy(text, good, len);
		for (size_t n = dice_below(&dice, 3); n > 0; n--)
			text[dice_below(&dice, len)] = octets[dice_below(&dice, sizeof(octets))];
		struct answer whole = scan(slice_of(text, len), len, 0, DEPTH);
		struct answer octetwise = scan(slice_of(text, len), 1, 1, DEPTH);
		struct answer cut = scan(slice_of(text, len), 1 + dice_below(&dice, len), 0, DEPTH);
		if (!same(whole, octetwise) || !same(whole, cut))
			fail_msg("%.*s", (int)len, text);
		outcome[whole.step]++;
		free(text);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_true(outcome[i] > 100);
}

static void test_deepest(void **state)
{
	(void)state;
	char text[2 * JSON_DEPTH_LIMIT + 2];
	memset(text, '[', JSON_DEPTH_LIMIT + 1);
	memset(text + JSON_DEPTH_LIMIT + 1, ']', JSON_DEPTH_LIMIT + 1);
	struct slice deepest = slice_of(text + 1, 2 * JSON_DEPTH_LIMIT);
	struct slice deeper = slice_of(text, sizeof(text));
	struct answer a = scan(deepest, 1, 1, JSON_DEPTH_LIMIT);
	assert_int_equal(a.step, STEP_OK);
	assert_int_equal(a.at, deepest.len);
	a = scan(deeper, 1, 1, JSON_DEPTH_LIMIT);
	assert_int_equal(a.step, STEP_BAD);
	assert_int_equal(a.code, FAULT_JSON_DEPTH);
}

static void test_is_object(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool object;
	} rows[] = {
		{ "{}", true },
		{ "  {\"a\":1}\r\n", true },
		{ "", false },
		{ " ", false },
		{ "[]", false },
		{ "{}{}", false },
		{ "{} x", false },
		{ "{", false },
		{ "{\"a\":1", false },
		{ "x{}", false },
		{ "1", false },
		{ "{\"a\":{\"a\":{}}}", true },
		{ "{}\x0b", false },
		{ "{\"a\":{\"a\":{\"a\":1}}}", true },
		{ "{\"a\":{\"a\":{\"a\":{}}}}", false },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (json_is_object(slice_text(rows[i].text), 3) != rows[i].object)
			fail_msg("%s", rows[i].text);
}

/* ---- walkers -------------------------------------------------------------------------------- */

/* An object or array, and its parts, each in angle brackets. */
static const struct {
	const char *text;
	const char *parts;
} walks[] = {
	{ "{}", "" },
	{ "{ }", "" },
	{ "[]", "" },
	{ "[ \n ]", "" },
	{ "[1]", "<1>" },
	{ "[1,2]", "<1><2>" },
	{ "[ 1 , -2.5e3 ]", "<1><-2.5e3>" },
	{ "[[],{},[1,2],{\"a\":1}]", "<[]><{}><[1,2]><{\"a\":1}>" },
	{ "[\"a,]\",\"\\\"\",\"\\\\\",null]", "<\"a,]\"><\"\\\"\"><\"\\\\\"><null>" },
	{ "[[ \"]\" , [ \"}\" ] ] ,true]", "<[ \"]\" , [ \"}\" ] ]><true>" },
	{ "{\"a\":1}", "<\"a\"=1>" },
	{ "{ \"a\" : 1 , \"b\" : \"x\" }", "<\"a\"=1><\"b\"=\"x\">" },
	{ "{\"a\":{\"b\":2},\"c\":[3],\"a\":4}", "<\"a\"={\"b\":2}><\"c\"=[3]><\"a\"=4>" },
	{ "{\"\":\"\"}", "<\"\"=\"\">" },
	{ "{\"a:\\\"}\":false}", "<\"a:\\\"}\"=false>" },
};

static void test_walks(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(walks); i++) {
		char parts[256] = "";
		size_t len = 0;
		struct slice key;
		struct slice value;
		struct json_walk w = json_walk(slice_text(walks[i].text));
		if (walks[i].text[0] == '{')
			while (json_member(&w, &key, &value))
				len += (size_t)snprintf(parts + len, sizeof(parts) - len,
							"<%.*s=%.*s>", (int)key.len, key.data,
							(int)value.len, value.data);
		else
			while (json_element(&w, &value))
				len += (size_t)snprintf(parts + len, sizeof(parts) - len, "<%.*s>",
							(int)value.len, value.data);
		assert_string_equal(parts, walks[i].parts);
		assert_false(json_element(&w, &value));
	}
}

static void test_is(void **state)
{
	(void)state;
	assert_true(json_is(SLICE_LITERAL("\"message\""), "message"));
	assert_true(json_is(SLICE_LITERAL("\"\""), ""));
	assert_false(json_is(SLICE_LITERAL("\"messages\""), "message"));
	assert_false(json_is(SLICE_LITERAL("\"messag\""), "message"));
	assert_false(json_is(SLICE_LITERAL("\"Message\""), "message"));
	assert_false(json_is(SLICE_NONE, ""));
	assert_true(json_is_string(SLICE_LITERAL("\"\"")));
	assert_false(json_is_string(SLICE_LITERAL("1")));
	assert_false(json_is_string(SLICE_NONE));
}

/* ---- texts ---------------------------------------------------------------------------------- */

static const struct {
	const char *value;
	struct slice text;
	bool bad;
} texts[] = {
	{ "\"\"", TEXT(""), false },
	{ "\"abc\"", TEXT("abc"), false },
	{ "\"2 - eni\"", TEXT("2 - eni"), false },
	{ "\"caf\xc3\xa9\"", TEXT("caf\xc3\xa9"), false },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", TEXT("\"\\/\b\f\n\r\t"), false },
	{ "\"\\u0041\\u00e9\\u20AC\"", TEXT("A\xc3\xa9\xe2\x82\xac"), false },
	{ "\"\\ud83d\\ude00\"", TEXT("\xf0\x9f\x98\x80"), false },
	{ "\"\\\\u0000\"", TEXT("\\u0000"), false },
	{ "\"\\u00001\"", TEXT(""), true },
	{ "\"\\u0000\"", TEXT(""), true },
	{ "\"a\\u0000b\"", TEXT(""), true },
	{ "\"\\\\\\u0000\"", TEXT(""), true },
	{ "\"\\ud83d\"", TEXT(""), true },
	{ "\"\\ud83dx\"", TEXT(""), true },
	{ "\"\\ud83d\\u0041\"", TEXT(""), true },
	{ "\"\\ude00\"", TEXT(""), true },
	{ "\"\\ude00\\ud83d\"", TEXT(""), true },
	{ "0", TEXT("0"), false },
	{ "18446744073709551615", TEXT("18446744073709551615"), false },
	{ "123456789012345678901234567890", TEXT("123456789012345678901234567890"), false },
	{ "-1.50e+03", TEXT("-1.50e+03"), false },
	{ "true", TEXT("true"), false },
	{ "false", TEXT("false"), false },
	{ "null", TEXT(""), false },
	{ "{}", TEXT(""), true },
	{ "[]", TEXT(""), true },
	{ "", TEXT(""), true },
};

static void test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct buf scratch;
		struct slice text = SLICE_NONE;
		struct fault fault = { .code = FAULT_TEXT };
		buf_init(&scratch, 64);
		bool ok = json_text(slice_text(texts[i].value), &scratch, &text, &fault);
		if (ok == texts[i].bad || (ok && !slice_equal(text, texts[i].text)) ||
		    fault.code != FAULT_TEXT)
			fail_msg("%s: %d \"%.*s\"", texts[i].value, ok, (int)text.len, text.data);
		buf_deinit(&scratch);
	}
}

/* Texts taken before stay where they are while scratch has room, and a full one refuses. */
static void test_scratch(void **state)
{
	(void)state;
	struct buf scratch;
	struct slice first;
	struct slice second;
	struct fault fault;
	buf_init(&scratch, 8);
	assert_true(buf_reserve(&scratch, 8));
	assert_true(json_text(SLICE_LITERAL("\"\\u0041bcd\""), &scratch, &first, &fault));
	assert_true(json_text(SLICE_LITERAL("\"\\u0045fgh\""), &scratch, &second, &fault));
	assert_true(slice_equal(first, SLICE_LITERAL("Abcd")));
	assert_true(slice_equal(second, SLICE_LITERAL("Efgh")));
	assert_false(json_text(SLICE_LITERAL("\"\\n\""), &scratch, &second, &fault));
	assert_int_equal(fault.code, FAULT_TEXT);
	assert_true(json_text(SLICE_LITERAL("\"plain\""), &scratch, &second, &fault));
	assert_true(slice_equal(first, SLICE_LITERAL("Abcd")));
	buf_deinit(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_rows), cmocka_unit_test(test_scan_mutations),
		cmocka_unit_test(test_deepest),	  cmocka_unit_test(test_is_object),
		cmocka_unit_test(test_walks),	  cmocka_unit_test(test_is),
		cmocka_unit_test(test_texts),	  cmocka_unit_test(test_scratch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
