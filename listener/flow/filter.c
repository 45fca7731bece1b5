/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow through a compiled filter: in comes a flow, out comes whether it is wanted. How terms are
 * wired is in filter_program.h; what they mean, filter_parse.c has decided. On the path of every
 * record: values are read as flow.h says, and a term costs a few comparisons, or with a long list as many
 * as its length has binary digits. What a record says no processor can foretell, so few branches depend
 * on it.
 */
#include <endian.h>
#include <stdlib.h>

#include "flow/filter_program.h"
#include "flow/flow.h"

/* Kept out of what most terms need, whose registers it would take. */
#define APART __attribute__((noinline))

enum { FEW = 4 };

void filter_free(struct filter **filter)
{
	free(*filter);
	*filter = NULL;
}

struct slice filter_text(const struct filter *filter)
{
	return slice_of(filter->text, filter->len);
}

bool filter_asks(const struct filter *filter, enum field field)
{
	for (unsigned i = 0; i < filter->terms; i++)
		if (filter->term[i].field == field)
			return true;
	return false;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static bool in_ranges(const struct range *r, unsigned count, struct point p)
{
	/* Down to the first that does not end before p. */
	while (count > 1) {
		unsigned half = count / 2;
		bool before = point_less(r[half - 1].last, p);
		r += before ? half : 0;
		count = before ? count - half : half;
	}
	return count == 1 && !point_less(p, r->first) && !point_less(r->last, p);
}

/* A few are looked at all: that costs less than one wrong guess. */
static bool in_list(const struct range *r, unsigned count, uint64_t n)
{
	unsigned in = 0;
	if (count > FEW)
		return in_ranges(r, count, (struct point){ 0, n });
	for (unsigned i = 0; i < count; i++)
		in |= n - r[i].first.low <= r[i].last.low - r[i].first.low;
	return in != 0;
}

static bool in_wide_list(const struct range *r, unsigned count, const struct address *a)
{
	struct point p;
	memcpy(&p.high, a->octets, sizeof(p.high));
	memcpy(&p.low, a->octets + sizeof(p.high), sizeof(p.low));
	p.high = be64toh(p.high);
	p.low = be64toh(p.low);
	return in_ranges(r, count, p);
}

int filter_compare_texts(struct slice text, struct slice word, bool fold)
{
	if (text.len != word.len)
		return text.len < word.len ? -1 : 1;
	if (!fold)
		return text.len == 0 ? 0 : memcmp(text.data, word.data, text.len);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
		if (c != word.data[i])
			return c < word.data[i] ? -1 : 1;
	}
	return 0;
}

static bool in_words(const struct word *word, unsigned count, struct slice text, bool fold)
{
	while (count > 0) {
		unsigned half = count / 2;
		int order = filter_compare_texts(text, word[half].text, fold);
		if (order == 0)
			return true;
		word += order > 0 ? half + 1 : 0;
		count = order > 0 ? count - half - 1 : half;
	}
	return false;
}

/* By keys, all of them; what one does not tell, and that is rare, the texts do. */
static bool in_few_words(const struct word *word, unsigned count, struct slice text, bool fold)
{
	uint64_t key = filter_key(text, fold);
	unsigned alike = 0;
	unsigned same = 0;
	for (unsigned i = 0; i < count; i++) {
		unsigned like = (word[i].key == key) & (word[i].text.len == text.len);
		alike |= like;
		same |= like & word[i].key_tells;
	}
	return same != 0 || (alike != 0 && in_words(word, count, text, fold));
}

static bool fits_pattern(const struct word *word, unsigned count, struct slice text, bool fold)
{
	for (unsigned i = 0; i < count; i++)
		if (fold ? glob_match_any_case(word[i].text.data, text)
			 : glob_match(word[i].text.data, text))
			return true;
	return false;
}

static bool has_text(const struct filter *f, const struct term *t, struct slice text)
{
	const struct word *word = &f->word[t->first];
	bool fold = t->test == TEST_WORD;
	bool in = t->count <= FEW ? in_few_words(word, t->count, text, fold)
				  : in_words(word, t->count, text, fold);
	return in || fits_pattern(word + t->count, t->more, text, fold);
}

/* ---- terms ----------------------------------------------------------------------------------- */

static bool has_number(const struct filter *f, const struct term *t, uint64_t n)
{
	return in_list(&f->range[t->first], t->count, n);
}

static inline uint32_t number_v4(const struct address *a)
{
	uint32_t n;
	memcpy(&n, a->octets, sizeof(n));
	return be32toh(n);
}

static bool has_address(const struct filter *f, const struct term *t, const struct address *a)
{
	if (a->version == 4)
		return has_number(f, t, number_v4(a));
	return in_wide_list(&f->range[t->first + t->count], t->more, a);
}

/* What needs more than the term itself. */
static APART bool has_apart(const struct filter *f, const struct term *t, const struct value *v)
{
	switch ((enum filter_test)t->test) {
	case TEST_NUMBER:
		return has_number(f, t, v->number);
	case TEST_TIME:
		return has_number(f, t, time_milliseconds(v->number));
	case TEST_BITS:
		return (v->number & t->low) == t->low;
	case TEST_ADDRESS:
		return has_address(f, t, &v->address);
	case TEST_TEXT:
	case TEST_WORD:
		return has_text(f, t, v->text);
	default:
		return false;
	}
}

/* Of a column that has this text. A whole value is made of it only for what needs more than the term. */
static inline bool has(const struct filter *f, const struct term *t, const struct flow *flow,
		       unsigned column, struct slice text)
{
	const struct address *a = &flow->value[column].address;
	if (t->test == TEST_RANGE)
		return flow_number_of(flow, column, text) - t->low <= t->span;
	if (t->test == TEST_KEY)
		return (text.len == t->span) & (filter_key(text, true) == t->low);
	if (t->test == TEST_BLOCK)
		return (a->version == 4) & (number_v4(a) - t->low <= t->span);
	return has_apart(f, t, flow_column(flow, column));
}

static inline bool holds(const struct filter *f, const struct term *t, const struct flow *flow)
{
	int column = flow->format->place[t->field];
	struct slice text = column < 0 ? SLICE_NONE : flow_text(flow, (unsigned)column);
	return text.len == 0 ? t->absent : has(f, t, flow, (unsigned)column, text) != t->negated;
}

bool filter_keeps(const struct filter *filter, const struct flow *flow)
{
	unsigned at = 0;
	/* The ends are behind all of them. */
	while (at < filter->terms) {
		const struct term *t = &filter->term[at];
		at = t->next[holds(filter, t, flow)];
	}
	return at == FILTER_KEEP;
}
