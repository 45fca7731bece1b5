/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: a line with an expression of --filter, a line with a flow format, then a record.
 * Held: a mistake lies within the expression and shows a caret in its window; what is taken goes on
 * from term to term and ends; it means the same when it is put into parentheses, negated twice, or
 * joined with itself, and the opposite when negated; and as it was kept it is taken again and means the
 * same.
 */
#include <stdio.h>

#include "flow/filter_program.h"
#include "flow/flow.h"
#include "fuzz.h"

static struct filter *compile(struct slice text)
{
	struct filter *f = NULL;
	struct filter_mistake m;
	return filter_compile(&f, text, &m) ? f : NULL;
}

static void check_mistake(struct slice text)
{
	struct filter *f = NULL;
	struct filter_mistake m;
	char shown[FILTER_SHOWN + 1];
	char carets[FILTER_SHOWN + 1];
	CHECK(!filter_compile(&f, text, &m) && f == NULL);
	CHECK(m.at <= text.len && m.len >= 1 && m.why[0] != '\0' && strlen(m.why) < FILTER_WHY);
	CHECK(m.at + m.len <= text.len || (m.at == text.len && m.len == 1));
	filter_show(text, &m, shown, carets);
	size_t under = strspn(carets, " ");
	CHECK(strlen(shown) <= FILTER_SHOWN && strlen(carets) <= FILTER_SHOWN);
	CHECK(under <= strlen(shown) && carets[under] == '^');
	CHECK(under + strspn(carets + under, "^") == strlen(carets));
	for (size_t i = 0; shown[i] != '\0'; i++)
		CHECK(shown[i] >= ' ' && shown[i] <= '~');
}

static void check_terms(const struct filter *f)
{
	CHECK(f->terms >= 1 && f->terms <= FILTER_TERMS);
	for (unsigned i = 0; i < f->terms; i++) {
		const struct term *t = &f->term[i];
		CHECK(t->next[true] > i &&
		      (t->next[true] < f->terms || t->next[true] >= FILTER_DROP));
		CHECK(t->next[false] > i &&
		      (t->next[false] < f->terms || t->next[false] >= FILTER_DROP));
		CHECK(t->field < FIELD_COUNT && t->first + t->count + t->more <= FILTER_VALUES);
	}
}

/* before, the expression, between, the expression, after; without between only once. */
static void check_means(struct slice text, const char *parts[3], const struct flow *flow,
			bool wanted)
{
	struct buf written;
	buf_init(&written, SIZE_MAX / 2);
	fuzz_add(&written, slice_text(parts[0]));
	fuzz_add(&written, text);
	if (parts[1] != NULL) {
		fuzz_add(&written, slice_text(parts[1]));
		fuzz_add(&written, text);
	}
	fuzz_add(&written, slice_text(parts[2]));
	struct filter *f = compile(buf_slice(&written));
	/* Twice as much may be too much. */
	if (f != NULL || parts[1] == NULL) {
		CHECK(f != NULL);
		check_terms(f);
		CHECK(filter_keeps(f, flow) == wanted);
	}
	filter_free(&f);
	buf_deinit(&written);
}

static void check_meaning(const struct filter *f, const struct flow *flow)
{
	static const char *same[][3] = {
		{ "", NULL, "" },
		{ "not !(", NULL, ")" },
		{ "", " and ", "" },
		{ "(", ") or (", ")" },
		{ "(", ") and !! (", ") or bytes = - and bytes != -" },
	};
	static const char *other[][3] = {
		{ "not (", NULL, ")" },
		{ "!(", ") or not (", ")" },
	};
	bool wanted = filter_keeps(f, flow);
	/* "a or b and a or b" is another expression; so is one that nests as deep as may be. */
	struct slice text = filter_text(f);
	bool plain = memmem(text.data, text.len, "(", 1) == NULL;
	bool joined = plain && memmem(text.data, text.len, "|", 1) == NULL;
	for (size_t i = 0; i + 1 < text.len; i++)
		joined = joined && !((text.data[i] | 32) == 'o' && (text.data[i + 1] | 32) == 'r');
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		if ((plain || i == 0) && (joined || i != 2))
			check_means(text, same[i], flow, wanted);
	for (size_t i = 0; plain && i < sizeof(other) / sizeof(*other); i++)
		check_means(text, other[i], flow, !wanted);
	check_means(text, (const char *[3]){ "", NULL, " or version = -" }, flow,
		    wanted || flow_value(flow, FIELD_VERSION) == NULL);
}

static struct slice take_line(struct slice *in)
{
	const char *end = in->len == 0 ? NULL : memchr(in->data, '\n', in->len);
	size_t len = end == NULL ? in->len : (size_t)(end - in->data);
	struct slice line = slice_of(in->data, len);
	slice_skip(in, end == NULL ? len : len + 1);
	return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	struct slice text = take_line(&in);
	char *copy = fuzz_copy(text);
	text.data = copy;
	struct filter *f = compile(text);
	if (f == NULL) {
		check_mistake(text);
	} else {
		struct slice where;
		struct format format;
		struct flow flow = { .format = &format };
		struct fault fault;
		check_terms(f);
		if (format_parse(&format, take_line(&in), COLUMN_LIMIT, &where) == FORMAT_OK &&
		    flow_parse(&flow, &format, in, &fault))
			check_meaning(f, &flow);
	}
	filter_free(&f);
	free(copy);
	return 0;
}
