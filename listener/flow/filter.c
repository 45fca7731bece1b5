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
	if (count > FILTER_FEW)
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
	bool in = t->count <= FILTER_FEW ? in_few_words(word, t->count, text, fold)
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

static inline bool in_few_ranges(const struct term *t, uint64_t n)
{
	unsigned in = 0;
	for (unsigned i = 0; i < t->few; i++)
		in |= n - t->low[i] <= t->span[i];
	return in != 0;
}

static inline bool in_few_keys(const struct term *t, struct slice text)
{
	uint64_t key = filter_key(text, true);
	unsigned in = 0;
	for (unsigned i = 0; i < t->few; i++)
		in |= (key == t->low[i]) & (text.len == t->span[i]);
	return in != 0;
}

/* What needs more than the term itself. */
static APART bool has_apart(const struct filter *f, const struct term *t, const struct flow *flow,
			    unsigned column)
{
	struct slice text = flow_present_text(flow, column);
	switch ((enum filter_test)t->test) {
	case TEST_NUMBER:
		return has_number(f, t, flow_number_of(flow, column, text));
	case TEST_TIME:
		return has_number(f, t, time_milliseconds(flow_number_of(flow, column, text)));
	case TEST_BITS:
		return (flow_number_of(flow, column, text) & t->low[0]) == t->low[0];
	case TEST_ADDRESS:
		return has_address(f, t, &flow->value[column].address);
	case TEST_TEXT:
	case TEST_WORD:
		return has_text(f, t, text);
	default:
		return false;
	}
}

/* Of a column that has a value. A whole one is made of none. */
static inline bool has(const struct filter *f, const struct term *t, const struct flow *flow,
		       unsigned column)
{
	const struct address *a = &flow->value[column].address;
	if (t->test == TEST_BLOCKS)
		return (a->version == 4) & in_few_ranges(t, number_v4(a));
	if (t->test == TEST_RANGES)
		return in_few_ranges(t,
				     flow_number_of(flow, column, flow_present_text(flow, column)));
	if (t->test == TEST_KEYS)
		return in_few_keys(t, flow_present_text(flow, column));
	return has_apart(f, t, flow, column);
}

static inline bool holds(const struct filter *f, const struct term *t, const struct flow *flow)
{
	int column = flow->format->place[t->field];
	if (column < 0 || !flow_has(flow, (unsigned)column))
		return t->absent;
	return has(f, t, flow, (unsigned)column) != t->negated;
}

bool filter_keeps(const struct filter *filter, const struct flow *flow)
{
	const struct term *t = filter->term;
	for (;;) {
		unsigned next = t->next[holds(filter, t, flow)];
		/* The ends are behind all of them. */
		if (next >= filter->terms)
			return next == FILTER_KEEP;
		t = &filter->term[next];
	}
}
