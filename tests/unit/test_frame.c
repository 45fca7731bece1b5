/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that command lines are read as the protocol says, that malformed and over-long ones are
 * refused and never half taken, that a line may be cut anywhere, and that the first octets of a
 * connection tell framed peers from all others.
 */
#include "support.h"

#include "receive/frame.h"

#define ID64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* A line, and what it says: "PUT id length", "AUTH token", or "! why". */
static const struct {
	const char *line;
	const char *says;
} rows[] = {
	{ "PUT a 1\n", "PUT a 1" },
	{ "PUT 0 0\n", "PUT 0 0" },
	{ "PUT aZ09._- 12345\n", "PUT aZ09._- 12345" },
	{ "PUT " ID64 " 7\n", "PUT " ID64 " 7" },
	{ "PUT a 007\n", "PUT a 7" },
	{ "PUT a 999999999999999999\n", "PUT a 999999999999999999" },
	{ "AUTH secret\n", "AUTH secret" },
	{ "AUTH a b \n", "AUTH a b " },
	{ "AUTH \n", "AUTH " },
	{ "PUT a\n", "! bad id" },
	{ "PUT \n", "! bad id" },
	{ "PUT  1\n", "! bad id" },
	{ "PUT  a 1\n", "! bad id" },
	{ "PUT -a 1\n", "! bad id" },
	{ "PUT .a 1\n", "! bad id" },
	{ "PUT _a 1\n", "! bad id" },
	{ "PUT a/b 1\n", "! bad id" },
	{ "PUT a:b 1\n", "! bad id" },
	{ "PUT a\x01 1\n", "! bad id" },
	{ "PUT caf\xc3\xa9 1\n", "! bad id" },
	{ "PUT " ID64 "a 7\n", "! bad id" },
	{ "PUT\ta 1\n", "! unknown command" },
	{ "PUT a \n", "! bad length" },
	{ "PUT a  1\n", "! bad length" },
	{ "PUT a 1 \n", "! bad length" },
	{ "PUT a 1\r\n", "! bad length" },
	{ "PUT a -1\n", "! bad length" },
	{ "PUT a +1\n", "! bad length" },
	{ "PUT a 1e3\n", "! bad length" },
	{ "PUT a 0x10\n", "! bad length" },
	{ "PUT a 1.0\n", "! bad length" },
	{ "PUT a 1 2\n", "! bad length" },
	{ "PUT a 18446744073709551616\n", "! bad length" },
	{ "PUT a 18446744073709551615\n", "! bad length" },
	{ "\n", "! unknown command" },
	{ "PUT\n", "! unknown command" },
	{ "AUTH\n", "! unknown command" },
	{ "AUTHx y\n", "! unknown command" },
	{ "put a 1\n", "! unknown command" },
	{ " PUT a 1\n", "! unknown command" },
	{ "GET / HTTP/1.1\n", "! unknown command" },
	{ "ACK a 1\n", "! unknown command" },
	{ "2 123456789010 eni\n", "! unknown command" },
};

static enum step next(struct slice *in, char says[FRAME_LINE + 32])
{
	struct frame frame = { .length = 0 };
	const char *why = "";
	enum step step = frame_next(in, &frame, &why);
	says[0] = '\0';
	if (step == STEP_BAD)
		(void)snprintf(says, FRAME_LINE + 32, "! %s", why);
	else if (step == STEP_OK && frame.kind == FRAME_PUT)
		(void)snprintf(says, FRAME_LINE + 32, "PUT %s %llu", frame.id,
			       (unsigned long long)frame.length);
	else if (step == STEP_OK)
		(void)snprintf(says, FRAME_LINE + 32, "AUTH %.*s", (int)frame.token.len,
			       frame.token.data);
	return step;
}

static void test_rows(void **state)
{
	(void)state;
	char says[FRAME_LINE + 32];
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char more[256];
		size_t len = strlen(rows[i].line);
		(void)snprintf(more, sizeof(more), "%sPUT next 1\n", rows[i].line);
		for (size_t cut = 0; cut < len; cut++) {
			/* On the heap: nothing behind the octets that came may be looked at. */
			char *part = malloc(cut + 1);
			assert_non_null(part);
			memcpy(part, more, cut);
			part[cut] = '\n';
			struct slice in = slice_of(part, cut);
			assert_int_equal(next(&in, says), STEP_MORE);
			assert_int_equal(in.len, cut);
			free(part);
		}
		struct slice in = slice_text(more);
		enum step step = next(&in, says);
		if (strcmp(says, rows[i].says) != 0)
			fail_msg("%s says %s", rows[i].line, says);
		assert_int_equal(step, rows[i].says[0] == '!' ? STEP_BAD : STEP_OK);
		if (step == STEP_OK)
			assert_true(slice_equal(in, SLICE_LITERAL("PUT next 1\n")));
	}
	struct slice nul = SLICE_LITERAL("PUT a\0b 1\n");
	assert_int_equal(next(&nul, says), STEP_BAD);
	nul = SLICE_LITERAL("PUT a 1\0\n");
	assert_int_equal(next(&nul, says), STEP_BAD);
}

/* FRAME_LINE octets with the line end are a line, one more is too much. */
static void test_longest(void **state)
{
	(void)state;
	char line[FRAME_LINE + 2];
	char says[FRAME_LINE + 32];
	memset(line, 'x', sizeof(line));
	memcpy(line, "AUTH ", 5);
	for (size_t n = 0; n < FRAME_LINE; n++) {
		struct slice in = slice_of(line, n);
		assert_int_equal(next(&in, says), STEP_MORE);
	}
	for (size_t n = FRAME_LINE; n <= sizeof(line); n++) {
		struct slice in = slice_of(line, n);
		assert_int_equal(next(&in, says), STEP_BAD);
		assert_string_equal(says, "! line too long");
	}
	line[FRAME_LINE] = '\n';
	struct slice in = slice_of(line, FRAME_LINE + 1);
	assert_int_equal(next(&in, says), STEP_BAD);
	assert_string_equal(says, "! line too long");
	line[FRAME_LINE - 1] = '\n';
	in = slice_of(line, FRAME_LINE);
	assert_int_equal(next(&in, says), STEP_OK);
	assert_int_equal(in.len, 0);
	assert_int_equal(strlen(says), FRAME_LINE - 1);
}

static const struct {
	const char *first;
	enum frame_sniff sniff;
} sniffs[] = {
	{ "", SNIFF_MORE },	     { "P", SNIFF_MORE },	   { "PU", SNIFF_MORE },
	{ "PUT", SNIFF_MORE },	     { "PUT ", SNIFF_FRAMED },	   { "PUT a 1\n", SNIFF_FRAMED },
	{ "A", SNIFF_MORE },	     { "AU", SNIFF_MORE },	   { "AUT", SNIFF_MORE },
	{ "AUTH", SNIFF_MORE },	     { "AUTH ", SNIFF_FRAMED },	   { "AUTH x", SNIFF_FRAMED },
	{ "PUTT", SNIFF_UNFRAMED },  { "PUT\n", SNIFF_UNFRAMED },  { "PA", SNIFF_UNFRAMED },
	{ "AP", SNIFF_UNFRAMED },    { "AUTH\n", SNIFF_UNFRAMED }, { "p", SNIFF_UNFRAMED },
	{ " PUT ", SNIFF_UNFRAMED }, { "\n", SNIFF_UNFRAMED },	   { "{", SNIFF_UNFRAMED },
	{ "2", SNIFF_UNFRAMED },     { "\x1f", SNIFF_UNFRAMED },   { "\x16\x03", SNIFF_UNFRAMED },
};

static void test_sniff(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(sniffs); i++)
		if (frame_sniff(slice_text(sniffs[i].first)) != sniffs[i].sniff)
			fail_msg("\"%s\"", sniffs[i].first);
	assert_int_equal(frame_sniff(SLICE_NONE), SNIFF_MORE);
	assert_int_equal(frame_sniff(slice_of("\0", 1)), SNIFF_UNFRAMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_sniff),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
