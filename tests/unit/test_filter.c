/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves what --filter keeps: filter-rows.tsv has expressions with a record and the verdict,
 * filter-mistakes.tsv what is refused, where, and in which words. Then what no row can say: limits, how
 * a mistake is shown in a long expression, and random expressions against an evaluator that walks their
 * tree. Every record is asked about as values and as a line.
 */
#include "support.h"

#include "base/limits.h"
#include "flow/filter.h"
#include "flow/filter_program.h"
#include "flow/flow.h"
#include "flow/quick.h"

enum { EXPRESSIONS = 4000, RECORDS = 12, DEPTH = 4, TEXT_MOST = 1 << 17 };

static struct filter *compiled(const char *text)
{
	struct filter *f;
	struct filter_mistake mistake;
	if (!filter_compile(&f, slice_text(text), &mistake))
		fail_msg("%s: at %zu: %s", text, mistake.at, mistake.why);
	return f;
}

/* "dstport=22 action=REJECT" into a flow that has these fields only. */
static void set_flow(struct flow *flow, char *record)
{
	struct fault fault;
	flow_begin(flow, format_every_field());
	for (char *pair = strsep(&record, " "); pair != NULL; pair = strsep(&record, " ")) {
		char *name = strsep(&pair, "=");
		if (*name == '\0')
			continue;
		enum field field = field_by_name(slice_text(name));
		if (field == FIELD_UNKNOWN ||
		    !flow_set(flow, (unsigned)flow->format->place[field], slice_text(pair), &fault))
			fail_msg("bad record in row: %s", name);
	}
}

/* The same record as a line of all fields, with what may be read behind it. */
static struct slice line_of(const struct flow *flow, struct buf *line)
{
	for (unsigned i = 0; i < flow->format->count; i++) {
		struct slice text = flow_text(flow, i);
		text = text.len == 0 ? SLICE_LITERAL("-") : text;
		assert_true((i == 0 || buf_add(line, " ", 1)) &&
			    buf_add(line, text.data, text.len));
	}
	size_t len = line->len;
	for (unsigned i = 0; i < QUICK_BEYOND; i++)
		assert_true(buf_add(line, "#", 1));
	return slice_of(line->data, len);
}

/* Records that quick ways took, which is nearly all. */
static unsigned taken;

/* Whether a filter keeps a record: the same by its values and by every quick way through its line. */
static bool keeps(const struct filter *f, const struct flow *flow)
{
	static struct flow quick;
	struct buf line;
	bool kept = filter_keeps(f, flow);
	buf_init(&line, LINE_LIMIT);
	struct slice text = line_of(flow, &line);
	for (unsigned machine = 0; machine <= machine_here(); machine++) {
		if (!quick_parser_of((enum machine)machine)(&quick, flow->format, text))
			continue;
		assert_int_equal(filter_keeps(f, &quick), kept);
		taken++;
	}
	buf_deinit(&line);
	return kept;
}

static void test_rows(void **state)
{
	(void)state;
	static struct flow flow;
	struct rows r;
	unsigned wrong = 0;
	unsigned rows = 0;
	rows_open(&r, TEST_DATA "/filter-rows.tsv");
	while (rows_next(&r, 3)) {
		struct filter *f = compiled(r.column[0]);
		set_flow(&flow, r.column[1]);
		if (keeps(f, &flow) != (strcmp(r.column[2], "keep") == 0)) {
			print_error("%s: not %s\n", r.column[0], r.column[2]);
			wrong++;
		}
		assert_true(slice_equal(filter_text(f), slice_text(r.column[0])));
		filter_free(&f);
		assert_null(f);
		rows++;
	}
	assert_int_equal(wrong, 0);
	assert_in_range(rows, 200, 1000);
	assert_true(taken > rows * 9 / 10);
}

static void test_mistakes(void **state)
{
	(void)state;
	struct rows r;
	unsigned wrong = 0;
	unsigned rows = 0;
	rows_open(&r, TEST_DATA "/filter-mistakes.tsv");
	while (rows_next(&r, 3)) {
		struct filter *f = NULL;
		struct filter_mistake m;
		char shown[FILTER_SHOWN + 1];
		char carets[FILTER_SHOWN + 1];
		struct slice text = slice_text(r.column[0]);
		if (filter_compile(&f, text, &m))
			fail_msg("%s: not refused", r.column[0]);
		assert_null(f);
		filter_show(text, &m, shown, carets);
		assert_string_equal(shown, r.column[0]);
		if (strcmp(carets, r.column[1]) != 0 || strcmp(m.why, r.column[2]) != 0) {
			print_error("%s\n%s %s\nis not\n%s %s\n", shown, carets, m.why, r.column[1],
				    r.column[2]);
			wrong++;
		}
		rows++;
	}
	assert_int_equal(wrong, 0);
	assert_in_range(rows, 100, 1000);
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* first, then so many times more, then last. */
static char *repeated(const char *first, unsigned times, const char *more, const char *last)
{
	struct buf text;
	buf_init(&text, TEXT_MOST);
	add_text(&text, first);
	for (unsigned i = 0; i < times; i++)
		add_text(&text, more);
	assert_true(buf_add(&text, last, strlen(last) + 1));
	return text.data;
}

static void expect_refused(char *text, const char *why)
{
	struct filter *f;
	struct filter_mistake m;
	assert_false(filter_compile(&f, slice_text(text), &m));
	assert_non_null(strstr(m.why, why));
	free(text);
}

static void expect_taken(char *text)
{
	struct filter *f = compiled(text);
	filter_free(&f);
	free(text);
}

static void test_limits(void **state)
{
	(void)state;
	expect_taken(repeated("bytes=1", FILTER_TERMS - 1, " or bytes=1", ""));
	expect_refused(repeated("bytes=1", FILTER_TERMS, " or bytes=1", ""), "512 comparisons");
	expect_taken(repeated("port=1", FILTER_TERMS / 2 - 1, " or port=1", ""));
	expect_refused(repeated("port=1", FILTER_TERMS / 2, " or port=1", ""), "512 comparisons");
	expect_taken(repeated("bytes in 1", FILTER_VALUES - 1, ",1", ""));
	expect_refused(repeated("bytes in 1", FILTER_VALUES, ",1", ""), "4096 values");
	expect_taken(repeated("vpc-id in a", FILTER_VALUES - 1, ",b", ""));
	expect_refused(repeated("vpc-id in a", FILTER_VALUES, ",b", ""), "4096 values");
	expect_refused(repeated("", FILTER_NESTING + 1, "(", ""), "64 parentheses");
	char *nested = repeated("", FILTER_NESTING, "(", "bytes=1");
	expect_taken(repeated(nested, FILTER_NESTING, ")", ""));
	free(nested);
	/* It is no recursion. */
	expect_taken(repeated("", 10000, "not ", "bytes=1"));
	expect_taken(repeated("bytes=1", FILTER_TEXT - 7, " ", ""));
	expect_refused(repeated("bytes=1", FILTER_TEXT - 6, " ", ""), "65536 octets");
}

/* Each term is asked once at most, however it is wired: jumps go on only. */
static void test_terms_go_on(void **state)
{
	(void)state;
	struct filter *f = compiled(
		"not (port = 1 or not (addr != 10.0.0.1 and bytes > 1)) and "
		"(vpc-id = a* or not not end < 5 or (start > 1 and port != 3))");
	assert_int_equal(f->terms, 10);
	for (unsigned i = 0; i < f->terms; i++) {
		assert_true(f->term[i].next[true] > i && f->term[i].next[false] > i);
		assert_true(f->term[i].next[true] < f->terms ||
			    f->term[i].next[true] >= FILTER_DROP);
		assert_true(f->term[i].next[false] < f->terms ||
			    f->term[i].next[false] >= FILTER_DROP);
	}
	assert_true(filter_asks(f, FIELD_SRCPORT) && filter_asks(f, FIELD_DSTADDR));
	assert_false(filter_asks(f, FIELD_ACTION));
	filter_free(&f);
}

/* A long list is searched by halves: every value of it is found, and none beside. */
static void test_long_lists(void **state)
{
	(void)state;
	static struct flow flow;
	char number[48];
	struct buf text;
	buf_init(&text, TEXT_MOST);
	add_text(&text, "bytes in 0");
	for (unsigned i = 999; i > 0; i--) {
		(void)snprintf(number, sizeof(number), ",%u", i * 7 % 1000 * 10);
		add_text(&text, number);
	}
	add_text(&text, " and not vpc-id in a");
	for (unsigned i = 1; i < 1000; i++) {
		(void)snprintf(number, sizeof(number), ",vpc-%u", i * 7 % 1000);
		add_text(&text, number);
	}
	assert_true(buf_add(&text, "", 1));
	struct filter *f = compiled(text.data);
	for (unsigned i = 0; i < 12000; i++) {
		char record[64];
		(void)snprintf(record, sizeof(record), "bytes=%u vpc-id=vpc-%u", i, i + 5000);
		set_flow(&flow, record);
		assert_int_equal(keeps(f, &flow), i % 10 == 0 && i < 10000);
		(void)snprintf(record, sizeof(record), "bytes=0 vpc-id=vpc-%u", i);
		set_flow(&flow, record);
		assert_int_equal(keeps(f, &flow), i == 0 || i >= 1000);
	}
	filter_free(&f);
	buf_deinit(&text);
}

/* ---- what is shown --------------------------------------------------------------------------- */

static void show(const char *text, char shown[FILTER_SHOWN + 1], char carets[FILTER_SHOWN + 1])
{
	struct filter *f;
	struct filter_mistake m;
	assert_false(filter_compile(&f, slice_text(text), &m));
	filter_show(slice_text(text), &m, shown, carets);
}

/* What stands over the carets. */
static bool is_under(const char *shown, const char *carets, const char *word)
{
	size_t at = strspn(carets, " ");
	return strspn(carets + at, "^") == strlen(word) &&
	       strncmp(shown + at, word, strlen(word)) == 0;
}

static void test_what_is_shown(void **state)
{
	(void)state;
	char shown[FILTER_SHOWN + 1];
	char carets[FILTER_SHOWN + 1];
	/* Wherever the mistake is: in the window, with dots where something is left out. */
	for (unsigned before = 0; before < 40; before++)
		for (unsigned after = 0; after < 20; after++) {
			char *head = repeated("", before, "bytes=1 or ", "colour=1");
			char *text = repeated(head, after, " or bytes=1", "");
			show(text, shown, carets);
			assert_true(is_under(shown, carets, "colour"));
			assert_true(strlen(shown) <= FILTER_SHOWN);
			bool cut = strncmp(shown, "...", 3) == 0;
			assert_int_equal(cut, strncmp(shown, text, 3) != 0);
			if (strlen(text) <= FILTER_SHOWN - 1)
				assert_string_equal(shown, text);
			free(head);
			free(text);
		}
	/* Behind the end, too, at every length. */
	for (unsigned spaces = 0; spaces < 200; spaces++) {
		char *text = repeated("bytes", spaces, " ", "=");
		show(text, shown, carets);
		assert_int_equal(strlen(carets), strlen(shown) + 1);
		assert_int_equal(carets[strlen(carets) - 1], '^');
		assert_true(strlen(carets) <= FILTER_SHOWN);
		free(text);
	}
	show("vpc-id = \"a\tb\x01\xff\"\n", shown, carets);
	assert_string_equal(shown, "vpc-id = \"a b??\" ");
	assert_string_equal(carets, "         ^^^^^^^");
}

static void test_text_on_one_line(void **state)
{
	(void)state;
	struct filter *f = compiled("bytes = 1\n\tor\r\nbytes = 2");
	assert_true(slice_equal(filter_text(f), SLICE_LITERAL("bytes = 1  or  bytes = 2")));
	filter_free(&f);
}

/* ---- random expressions ---------------------------------------------------------------------- */

/* A tree of what is meant, from which the text is written, and which is walked to judge. */
enum node_kind { NODE_TEST, NODE_NOT, NODE_AND, NODE_OR };

enum { VALUES = FILTER_FEW + 2 };

struct node {
	enum node_kind kind;
	struct node *left;
	struct node *right;
	enum field field;
	unsigned sign; /* in signs */
	unsigned values;
	uint64_t from[VALUES];
	uint64_t to[VALUES];
};

static const char *const signs[] = { "=", "!=", "<", "<=", ">", ">=", "in", "not in" };
static const enum field asked[] = { FIELD_SRCPORT, FIELD_DSTPORT,   FIELD_PROTOCOL,
				    FIELD_BYTES,   FIELD_TCP_FLAGS, FIELD_SRCADDR,
				    FIELD_DSTADDR, FIELD_VPC_ID,    FIELD_FLOW_DIRECTION };

enum { SMALL = 8 }; /* values are below, so that many are hit */

static struct node *make_test(struct dice *d)
{
	struct node *n = calloc(1, sizeof(*n));
	assert_non_null(n);
	n->field = asked[dice_below(d, COUNT_OF(asked))];
	bool ordered = field_is_number(n->field);
	n->sign = (unsigned)dice_below(d, COUNT_OF(signs));
	if (!ordered && n->sign >= 2 && n->sign <= 5)
		n->sign = 7;
	n->values = n->sign < 6 ? 1 : 1 + (unsigned)dice_below(d, VALUES);
	bool ranges = field_kind(n->field) != FIELD_TEXT && (n->sign < 2 || n->sign > 5);
	for (unsigned i = 0; i < n->values; i++) {
		n->from[i] = dice_below(d, SMALL);
		n->to[i] = n->from[i] + (ranges ? dice_below(d, SMALL - n->from[i]) : 0);
	}
	return n;
}

static struct node *make_node(struct dice *d, unsigned depth)
{
	if (depth == 0 || dice_below(d, 4) == 0)
		return make_test(d);
	struct node *n = calloc(1, sizeof(*n));
	assert_non_null(n);
	n->kind = (enum node_kind)(1 + dice_below(d, 3));
	n->left = make_node(d, depth - 1);
	n->right = n->kind == NODE_NOT ? NULL : make_node(d, depth - 1);
	return n;
}

static void free_node(struct node *n)
{
	if (n == NULL)
		return;
	free_node(n->left);
	free_node(n->right);
	free(n);
}

static void write_value(const struct node *n, unsigned i, struct buf *out)
{
	const char *before = field_kind(n->field) == FIELD_TEXT	     ? "v"
			     : field_kind(n->field) == FIELD_ADDRESS ? "10.0.0."
								     : "";
	char text[64];
	if (n->from[i] == n->to[i])
		(void)snprintf(text, sizeof(text), "%s%u", before, (unsigned)n->from[i]);
	else
		(void)snprintf(text, sizeof(text), "%s%u%s%s%u", before, (unsigned)n->from[i],
			       i % 2 == 0 ? "-" : "..", before, (unsigned)n->to[i]);
	add_text(out, text);
}

static void write_test(const struct node *n, struct buf *out)
{
	struct slice name = n->values % 2 == 0 ? field_name(n->field) : field_column_name(n->field);
	assert_true(buf_add(out, name.data, name.len));
	add_text(out, n->sign < 6 ? "" : " ");
	add_text(out, signs[n->sign]);
	add_text(out, " ");
	for (unsigned i = 0; i < n->values; i++) {
		add_text(out, i > 0 ? "," : "");
		write_value(n, i, out);
	}
}

/* Only the parentheses that are needed: the rest is the parser's to know. */
static void write_node(const struct node *n, struct buf *out)
{
	static const char *const between[] = { [NODE_AND] = " and ", [NODE_OR] = " || " };
	if (n->kind == NODE_TEST) {
		write_test(n, out);
		return;
	}
	const struct node *parts[] = { n->left, n->right };
	if (n->kind == NODE_NOT)
		add_text(out, "not ");
	for (unsigned i = 0; i < 2 && parts[i] != NULL; i++) {
		bool looser = parts[i]->kind > n->kind;
		add_text(out, i > 0 ? between[n->kind] : "");
		add_text(out, looser ? "(" : "");
		write_node(parts[i], out);
		add_text(out, looser ? ")" : "");
	}
}

static bool judge_value(const struct node *n, unsigned i, uint64_t x)
{
	switch (n->sign) {
	case 2:
		return x < n->from[i];
	case 3:
		return x <= n->from[i];
	case 4:
		return x > n->from[i];
	case 5:
		return x >= n->from[i];
	default:
		return x >= n->from[i] && x <= n->to[i];
	}
}

/* record: a field's small number, SMALL for one that is not there. */
static bool judge(const struct node *n, const uint64_t record[FIELD_COUNT])
{
	if (n->kind == NODE_NOT)
		return !judge(n->left, record);
	if (n->kind == NODE_AND)
		return judge(n->left, record) && judge(n->right, record);
	if (n->kind == NODE_OR)
		return judge(n->left, record) || judge(n->right, record);
	uint64_t x = record[n->field];
	bool any = false;
	for (unsigned i = 0; i < n->values; i++)
		any = any || judge_value(n, i, x);
	bool negated = n->sign == 1 || n->sign == 7;
	return x < SMALL && any != negated;
}

static void roll_record(struct dice *d, uint64_t record[FIELD_COUNT], struct flow *flow)
{
	static char texts[COUNT_OF(asked)][32];
	struct fault fault;
	flow_begin(flow, format_every_field());
	for (unsigned i = 0; i < COUNT_OF(asked); i++) {
		enum field field = asked[i];
		const char *before = field_kind(field) == FIELD_TEXT	  ? "v"
				     : field_kind(field) == FIELD_ADDRESS ? "10.0.0."
									  : "";
		record[field] = dice_below(d, SMALL + 1);
		if (record[field] == SMALL)
			continue;
		(void)snprintf(texts[i], sizeof(texts[i]), "%s%u", before, (unsigned)record[field]);
		assert_true(flow_set(flow, (unsigned)flow->format->place[field],
				     slice_text(texts[i]), &fault));
	}
}

static void test_random_expressions(void **state)
{
	(void)state;
	static struct flow flow;
	static uint64_t record[FIELD_COUNT];
	struct dice d = { 20261101 };
	unsigned kept = 0;
	for (unsigned i = 0; i < EXPRESSIONS; i++) {
		struct node *n = make_node(&d, DEPTH);
		struct buf text;
		buf_init(&text, TEXT_MOST);
		write_node(n, &text);
		assert_true(buf_add(&text, "", 1));
		struct filter *f = compiled(text.data);
		for (unsigned k = 0; k < RECORDS; k++) {
			roll_record(&d, record, &flow);
			bool wanted = judge(n, record);
			kept += wanted;
			if (keeps(f, &flow) != wanted)
				fail_msg("%s: not %d", text.data, wanted);
		}
		filter_free(&f);
		buf_deinit(&text);
		free_node(n);
	}
	/* Neither all nor none: else it would prove little. */
	assert_in_range(kept, EXPRESSIONS * RECORDS / 5, EXPRESSIONS * RECORDS * 4 / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_terms_go_on),
		cmocka_unit_test(test_long_lists),
		cmocka_unit_test(test_what_is_shown),
		cmocka_unit_test(test_text_on_one_line),
		cmocka_unit_test(test_random_expressions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
