/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves the patterns of "sources" and that format, exporter and domain each come from the first
 * rule that has it and matches: the format by what the CloudWatch message says, the others by the
 * record, which knows its account better.
 */
#include "support.h"

#include "flow/flow.h"
#include "flow/source.h"

static const struct {
	const char *pattern;
	const char *text;
	bool fits;
} globs[] = {
	{ "", "", true },
	{ "", "a", false },
	{ "a", "", false },
	{ "a", "a", true },
	{ "a", "A", false },
	{ "a", "ab", false },
	{ "ab", "a", false },
	{ "*", "", true },
	{ "*", "anything/at all", true },
	{ "**", "", true },
	{ "**", "a", true },
	{ "a*", "a", true },
	{ "a*", "abc", true },
	{ "a*", "ba", false },
	{ "*a", "a", true },
	{ "*a", "ba", true },
	{ "*a", "ab", false },
	{ "*a", "aba", true },
	{ "a*c", "ac", true },
	{ "a*c", "abbc", true },
	{ "a*c", "abcd", false },
	{ "a*b*c", "aXbYbZc", true },
	{ "a*b*c", "acb", false },
	{ "*ab", "aab", true },
	{ "*aab", "aaab", true },
	{ "*a*a*", "a", false },
	{ "*a*a*", "aa", true },
	{ "a?c", "abc", false },
	{ "a?c", "a?c", true },
	{ "[a]", "a", false },
	{ "a\\*", "a*", false },
	{ "/vpc/prod*", "/vpc/prod-1", true },
	{ "/vpc/prod*", "/vpc/dev", false },
	{ "eni-*9", "eni-1235b8ca123456789", true },
	/* quadratic at most: a matcher that tries every star anew would not end */
	{ "*a*a*a*a*a*a*a*a*a*a*a*a*b",
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
};

static void test_globs(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(globs); i++)
		if (glob_match(globs[i].pattern, slice_text(globs[i].text)) != globs[i].fits)
			fail_msg("\"%s\" and \"%s\"", globs[i].pattern, globs[i].text);
	assert_true(glob_match("*", SLICE_NONE));
	assert_true(glob_match("a", slice_of("abc", 1)));
	assert_false(glob_match("a", slice_of("a\0", 2)));
}

/* ---- rules ---------------------------------------------------------------------------------- */

/* group, account, vpc, interface, and what the rule gives; NULL or 0 for nothing. */
static const struct {
	const char *group, *account, *vpc, *interface;
	const char *format;
	const char *exporter;
	uint32_t domain;
} rules[] = {
	{ .group = "/one*", .format = "version srcaddr" },
	{ .group = "/one/a", .format = "version dstaddr", .exporter = "10.0.0.1" },
	{ .group = "/one*", .exporter = "10.0.0.2", .domain = 2 },
	{ .account = "111*", .format = "account-id vpc-id interface-id", .domain = 3 },
	{ .vpc = "vpc-1", .exporter = "10.0.0.4" },
	{ .vpc = "vpc-*", .interface = "eni-1", .exporter = "10.0.0.5", .domain = 5 },
	{ .group = "/all", .exporter = "2001:db8::6", .domain = 6 },
};

static char *copy(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

static struct format *make_format(const char *text)
{
	struct slice where;
	struct format *f = malloc(sizeof(*f));
	assert_non_null(f);
	assert_int_equal(format_parse(f, slice_text(text), COLUMN_LIMIT, &where), FORMAT_OK);
	return f;
}

static void make_sources(struct sources *s)
{
	*s = (struct sources){ .count = COUNT_OF(rules) };
	s->standard.domain = 1;
	assert_true(source_set_exporter(&s->standard, SLICE_LITERAL("127.0.0.1")));
	s->format = make_format("default");
	s->rules = calloc(COUNT_OF(rules), sizeof(*s->rules));
	assert_non_null(s->rules);
	for (size_t i = 0; i < COUNT_OF(rules); i++) {
		struct source_rule *r = &s->rules[i];
		r->group = copy(rules[i].group);
		r->account = copy(rules[i].account);
		r->vpc = copy(rules[i].vpc);
		r->interface = copy(rules[i].interface);
		r->format = rules[i].format == NULL ? NULL : make_format(rules[i].format);
		r->has_exporter = rules[i].exporter != NULL;
		r->has_domain = rules[i].domain != 0;
		r->source.domain = rules[i].domain;
		if (r->has_exporter)
			assert_true(source_set_exporter(&r->source, slice_text(rules[i].exporter)));
	}
}

/* Where a document came from, its record (account, VPC, interface), and what it gets. */
static const struct {
	const char *group, *account;
	const char *record;
	unsigned columns;  /* of the format */
	const char *first; /* its second column */
	const char *exporter;
	uint32_t domain;
} origins[] = {
	{ "", "", "- - -", 14, "account-id", "127.0.0.1", 1 },
	{ "/two", "222", "222 vpc-9 eni-9", 14, "account-id", "127.0.0.1", 1 },
	{ "/one/b", "222", "- - -", 2, "srcaddr", "10.0.0.2", 2 },
	{ "/one/a", "222", "- - -", 2, "srcaddr", "10.0.0.1", 2 },
	{ "/one/a", "111", "111 vpc-1 eni-1", 2, "srcaddr", "10.0.0.1", 2 },
	{ "/two", "1112", "1112 - -", 3, "vpc-id", "127.0.0.1", 3 },
	{ "/two", "111", "- - -", 3, "vpc-id", "127.0.0.1", 3 },
	{ "/two", "111", "222 - -", 3, "vpc-id", "127.0.0.1", 1 },
	{ "/two", "222", "111 - -", 14, "account-id", "127.0.0.1", 3 },
	{ "/two", "222", "222 vpc-1 eni-9", 14, "account-id", "10.0.0.4", 1 },
	{ "/two", "222", "222 vpc-1 eni-1", 14, "account-id", "10.0.0.4", 5 },
	{ "/two", "222", "222 vpc-2 eni-1", 14, "account-id", "10.0.0.5", 5 },
	{ "/two", "222", "222 - eni-1", 14, "account-id", "127.0.0.1", 1 },
	{ "/two", "111", "111 vpc-2 eni-1", 3, "vpc-id", "10.0.0.5", 3 },
	{ "/all", "222", "222 vpc-1 -", 14, "account-id", "10.0.0.4", 6 },
	{ "/all", "222", "- - -", 14, "account-id", "2001:db8::6", 6 },
};

static void test_rules(void **state)
{
	(void)state;
	struct sources s;
	static struct flow flow;
	struct format *record = make_format("account-id vpc-id interface-id");
	make_sources(&s);
	for (size_t i = 0; i < COUNT_OF(origins); i++) {
		struct source room;
		struct fault fault;
		struct origin origin = { .group = slice_text(origins[i].group),
					 .account = slice_text(origins[i].account) };
		const struct format *f = sources_format(&s, &origin);
		assert_int_equal(f->count, origins[i].columns);
		assert_true(slice_equal(format_column_name(f, 1), slice_text(origins[i].first)));
		assert_true(flow_parse(&flow, record, slice_text(origins[i].record), &fault));
		const struct source *source = sources_of(&s, &origin, &flow, &room);
		struct address expected;
		assert_true(address_parse(slice_text(origins[i].exporter), &expected));
		if (strcmp(source->exporter, origins[i].exporter) != 0 ||
		    source->domain != origins[i].domain)
			fail_msg("row %zu: %s %u", i, source->exporter, source->domain);
		assert_int_equal(source->address.version, expected.version);
		assert_memory_equal(source->address.octets, expected.octets,
				    expected.version == 4 ? 4 : 16);
	}
	free(record);
	sources_deinit(&s);
	assert_int_equal(s.count, 0);
}

static void test_exporter(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", "host", "10.0.0", "10.0.0.1 ", "::1%1", "10.0.0.0/8"
	};
	struct source s = { .domain = 7 };
	assert_true(source_set_exporter(
		&s, SLICE_LITERAL("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")));
	assert_true(source_set_exporter(&s, slice_of("10.0.0.12", 8)));
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_false(source_set_exporter(&s, slice_text(bad[i])));
		assert_string_equal(s.exporter, "10.0.0.1");
		assert_int_equal(s.address.octets[3], 1);
	}
	assert_int_equal(s.domain, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_exporter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
