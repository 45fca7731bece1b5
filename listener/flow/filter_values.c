/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of a filter's terms: in comes the text of one, out come ranges of 128-bit points, or words
 * and patterns. A list is sorted when it is complete, and ranges that touch become one, so that asking
 * takes as many steps as its length has binary digits. What a list may hold is FILTER_VALUES; nothing
 * here knows of the expression around a value.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/number.h"
#include "flow/address.h"
#include "flow/filter_program.h"

bool filter_wrong(struct filter_mistake *mistake, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(mistake->why, sizeof(mistake->why), format, args);
	va_end(args);
	return false;
}

enum filter_test filter_test_of(enum field field)
{
	switch (field_kind(field)) {
	case FIELD_TEXT:
		return filter_is_word(field) ? TEST_WORD : TEST_TEXT;
	case FIELD_ADDRESS:
		return TEST_ADDRESS;
	case FIELD_TIME:
		return TEST_TIME;
	default:
		return TEST_NUMBER;
	}
}

const char *filter_expects(enum field field)
{
	static const char *const kinds[] = {
		[FIELD_TEXT] = "a text",
		[FIELD_ADDRESS] = "an address or a block, as 10.0.0.0/8 or 2001:db8::/32",
		[FIELD_U8] = "a number up to 255",
		[FIELD_U16] = "a number up to 65535",
		[FIELD_U32] = "a number up to 4294967295",
		[FIELD_U64] = "a number up to 18446744073709551615",
		[FIELD_TIME] = "a time, as 2026-11-01, 2026-11-01T08:00:00Z or 1793520000",
	};
	switch (field) {
	case FIELD_PROTOCOL:
		return "a number up to 255, or a name, as tcp";
	case FIELD_SRCPORT:
	case FIELD_DSTPORT:
		return "a number up to 65535, or a name, as ssh";
	case FIELD_TCP_FLAGS:
		return "a number up to 65535, or flags, as syn or syn-ack";
	case FIELD_BYTES:
		return "a number, as 1500, 64K, 10M or 1G";
	default:
		return kinds[field_kind(field)];
	}
}

static bool expected(enum field field, struct filter_mistake *mistake)
{
	return filter_wrong(mistake, "expected %s", filter_expects(field));
}

/* ---- numbers --------------------------------------------------------------------------------- */

static uint64_t greatest(enum field field)
{
	switch (field_kind(field)) {
	case FIELD_U8:
		return UINT8_MAX;
	case FIELD_U16:
		return UINT16_MAX;
	case FIELD_U32:
		return UINT32_MAX;
	default:
		return UINT64_MAX;
	}
}

/* 64K is 65536: units as --max-payload and the others have them. */
static bool with_unit(struct slice word, uint64_t *n)
{
	static const char letters[] = "KMGTkmgt";
	char last = word.len == 0 ? '\0' : word.data[word.len - 1];
	const char *letter = last == '\0' ? NULL : strchr(letters, last);
	if (letter == NULL)
		return false;
	unsigned shift = 10 * (1 + (unsigned)(letter - letters) % 4);
	if (!number_parse(slice_of(word.data, word.len - 1), UINT64_MAX >> shift, n))
		return false;
	*n <<= shift;
	return true;
}

static bool is_digits(struct slice word)
{
	for (size_t i = 0; i < word.len; i++)
		if (word.data[i] < '0' || word.data[i] > '9')
			return false;
	return word.len > 0;
}

static bool number_of(enum field field, struct slice word, struct range *r,
		      struct filter_mistake *mistake)
{
	uint64_t most = greatest(field);
	uint64_t n;
	if (!number_parse(word, most, &n) && !(field == FIELD_BYTES && with_unit(word, &n)) &&
	    !filter_name_number(field, word, &n)) {
		const char *nearest = filter_nearest_value(field, word);
		if (is_digits(word))
			return filter_wrong(mistake, "too large: expected %s",
					    filter_expects(field));
		if (nearest != NULL)
			return filter_wrong(mistake, "no such name; do you mean %s?", nearest);
		return expected(field, mistake);
	}
	*r = (struct range){ .first = { 0, n }, .last = { 0, n } };
	return true;
}

static bool time_of(struct slice word, struct range *r, struct filter_mistake *mistake)
{
	if (!filter_time(word, &r->first.low, &r->last.low))
		return expected(FIELD_START, mistake);
	r->wide = false;
	r->first.high = r->last.high = 0;
	return true;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static struct point point_of(const struct address *a)
{
	struct point p = { 0, 0 };
	uint32_t n;
	if (a->version == 4) {
		memcpy(&n, a->octets, sizeof(n));
		p.low = be32toh(n);
		return p;
	}
	memcpy(&p.high, a->octets, sizeof(p.high));
	memcpy(&p.low, a->octets + sizeof(p.high), sizeof(p.low));
	return (struct point){ be64toh(p.high), be64toh(p.low) };
}

/* Ones in the lowest n of 64 bits. */
static uint64_t ones(unsigned n)
{
	return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

static bool tell_host_bits(const struct cidr *block, struct point first,
			   struct filter_mistake *mistake)
{
	bool wide = block->base.version == 6;
	uint32_t narrow = htobe32((uint32_t)first.low);
	struct point p = { htobe64(first.high), htobe64(first.low) };
	char text[INET6_ADDRSTRLEN] = "";
	(void)inet_ntop(wide ? AF_INET6 : AF_INET, wide ? (void *)&p : (void *)&narrow, text,
			sizeof(text));
	return filter_wrong(mistake, "not where a block of that size begins; do you mean %s/%u?",
			    text, block->bits);
}

static bool block_of(struct slice word, struct range *r, struct filter_mistake *mistake)
{
	struct cidr block;
	if (!cidr_parse(word, &block))
		return expected(FIELD_SRCADDR, mistake);
	r->wide = block.base.version == 6;
	unsigned hosts = (r->wide ? 128 : 32) - block.bits;
	struct point rest = { hosts > 64 ? ones(hosts - 64) : 0, ones(hosts) };
	struct point base = point_of(&block.base);
	r->first = (struct point){ base.high & ~rest.high, base.low & ~rest.low };
	r->last = (struct point){ base.high | rest.high, base.low | rest.low };
	if (point_less(r->first, base))
		return tell_host_bits(&block, r->first, mistake);
	return true;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

static bool single(enum field field, struct slice word, struct range *r,
		   struct filter_mistake *mistake)
{
	switch (field_kind(field)) {
	case FIELD_ADDRESS:
		return block_of(word, r, mistake);
	case FIELD_TIME:
		return time_of(word, r, mistake);
	default:
		return number_of(field, word, r, mistake);
	}
}

/*
 * Where FROM..TO, or FROM-TO, is to be cut: the place of the first dot or of the hyphen, and how many
 * there are. Times and names have hyphens of their own, so only what begins with a digit or a colon is
 * cut there.
 */
static size_t find_cut(enum field field, struct slice word, size_t *cut)
{
	for (size_t i = 0; i + 1 < word.len; i++)
		if (word.data[i] == '.' && word.data[i + 1] == '.') {
			*cut = i;
			return 2;
		}
	char c = word.len == 0 ? 'x' : word.data[0];
	bool hyphen = field_kind(field) != FIELD_TIME &&
		      ((c >= '0' && c <= '9') || field_kind(field) == FIELD_ADDRESS);
	const char *at = hyphen ? memchr(word.data, '-', word.len) : NULL;
	*cut = at == NULL ? word.len : (size_t)(at - word.data);
	return at == NULL ? 0 : 1;
}

static bool range_of(enum field field, struct slice word, struct range *r,
		     struct filter_mistake *mistake)
{
	size_t cut;
	size_t cut_len = find_cut(field, word, &cut);
	struct range to = { .wide = false };
	if (cut_len == 0)
		return single(field, word, r, mistake);
	struct slice end = word;
	slice_skip(&end, cut + cut_len);
	if (!single(field, slice_of(word.data, cut), r, mistake) ||
	    !single(field, end, &to, mistake))
		return false;
	if (r->wide != to.wide)
		return filter_wrong(mistake, "a range from IPv%d to IPv%d", r->wide ? 6 : 4,
				    to.wide ? 6 : 4);
	if (point_less(to.last, r->first))
		return filter_wrong(mistake, "a range that runs backwards");
	r->last = to.last;
	return true;
}

/* Everything on one side of a value. Never true: from 1 to 0. */
static struct range side_of(struct range r, enum filter_order order)
{
	const struct range never = { .first = { 0, 1 }, .last = { 0, 0 } };
	const struct point most = { 0, UINT64_MAX };
	switch (order) {
	case ORDER_LESS:
		if (r.first.low == 0)
			return never;
		return (struct range){ .last = { 0, r.first.low - 1 } };
	case ORDER_LESS_SAME:
		return (struct range){ .last = r.last };
	case ORDER_MORE:
		if (r.last.low == UINT64_MAX)
			return never;
		return (struct range){ .first = { 0, r.last.low + 1 }, .last = most };
	case ORDER_MORE_SAME:
		return (struct range){ .first = r.first, .last = most };
	case ORDER_SAME:
	case ORDER_NONE:
		break;
	}
	return r;
}

static bool add_range(struct filter *f, enum field field, enum filter_order order,
		      struct slice word, struct filter_mistake *mistake)
{
	struct range r = { .wide = false };
	if (order == ORDER_SAME ? !range_of(field, word, &r, mistake)
				: !single(field, word, &r, mistake))
		return false;
	if (f->ranges == f->values)
		return filter_wrong(mistake, "more than %d values", FILTER_VALUES);
	f->range[f->ranges++] = side_of(r, order);
	return true;
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* What no record can have is a mistake: flow.c's grammar of a text. */
static bool check_text(struct slice word, struct filter_mistake *mistake)
{
	for (size_t i = 0; i < word.len; i++)
		if (word.data[i] <= ' ' || word.data[i] > '~')
			return filter_wrong(mistake, "records have no space, nor anything but "
						     "printable ASCII, in a text");
	if (word.len == 0)
		return filter_wrong(mistake,
				    "an empty text; for a field that is not there there is "
				    "= -");
	return true;
}

/* Folded, letters, digits and hyphens stand for nothing but themselves. */
static bool key_tells(struct slice word, bool fold)
{
	bool tells = word.len <= sizeof(uint64_t);
	for (size_t i = 0; i < word.len; i++) {
		char c = word.data[i];
		bool simple = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
		tells = tells && (simple || !fold);
	}
	return tells;
}

static bool add_word(struct filter *f, const struct term *t, struct slice word,
		     struct filter_mistake *mistake)
{
	if (!check_text(word, mistake))
		return false;
	if (f->words == f->values)
		return filter_wrong(mistake, "more than %d values", FILTER_VALUES);
	char *to = f->pool + f->pooled;
	for (size_t i = 0; i < word.len; i++) {
		bool fold = t->test == TEST_WORD && word.data[i] >= 'A' && word.data[i] <= 'Z';
		to[i] = fold ? (char)(word.data[i] - 'A' + 'a') : word.data[i];
	}
	to[word.len] = '\0';
	f->pooled += word.len + 1;
	f->word[f->words++] = (struct word){
		.text = slice_of(to, word.len),
		.key = filter_key(slice_of(to, word.len), t->test == TEST_WORD),
		.key_tells = key_tells(slice_of(to, word.len), t->test == TEST_WORD),
	};
	return true;
}

/* ---- a list ---------------------------------------------------------------------------------- */

static bool is_textual(const struct term *t)
{
	return t->test == TEST_TEXT || t->test == TEST_WORD;
}

void filter_list_begin(const struct filter *f, struct term *t)
{
	t->test = (uint8_t)filter_test_of(t->field);
	t->first = (uint16_t)(is_textual(t) ? f->words : f->ranges);
	t->count = 0;
	t->more = 0;
}

bool filter_list_add(struct filter *f, const struct term *t, enum filter_order order,
		     struct slice word, struct filter_mistake *mistake)
{
	return is_textual(t) ? add_word(f, t, word, mistake)
			     : add_range(f, t->field, order, word, mistake);
}

static bool is_pattern(struct slice word)
{
	return memchr(word.data, '*', word.len) != NULL;
}

/* Patterns last, plain ones in order. */
static int compare_words(const void *a, const void *b)
{
	struct slice x = ((const struct word *)a)->text;
	struct slice y = ((const struct word *)b)->text;
	if (is_pattern(x) != is_pattern(y))
		return is_pattern(x) ? 1 : -1;
	return filter_compare_texts(x, y, false);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a;
	const struct range *y = b;
	if (x->wide != y->wide)
		return x->wide ? 1 : -1;
	return point_less(y->first, x->first) - point_less(x->first, y->first);
}

/* The point behind; only for one that has one. */
static struct point next_point(struct point p)
{
	p.low++;
	p.high += p.low == 0;
	return p;
}

/* Whether the second, which does not begin before the first, overlaps it or follows at once. */
static bool touch(const struct range *a, const struct range *b)
{
	if (a->wide != b->wide)
		return false;
	return !point_less(a->last, b->first) ||
	       (point_less(a->last, b->last) && !point_less(next_point(a->last), b->first));
}

/* Makes one of those that touch; how many are left. */
static unsigned merge(struct range *r, unsigned count)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < count; i++) {
		if (point_less(r[i].last, r[i].first))
			continue; /* the one that is never true */
		if (kept == 0 || !touch(&r[kept - 1], &r[i]))
			r[kept++] = r[i];
		else if (point_less(r[kept - 1].last, r[i].last))
			r[kept - 1].last = r[i].last;
	}
	return kept;
}

static bool keys_tell(const struct word *word, unsigned count)
{
	bool tell = count <= FILTER_FEW;
	for (unsigned i = 0; i < count; i++)
		tell = tell && word[i].key_tells;
	return tell;
}

static void keep_keys(struct term *t, const struct word *word, unsigned count)
{
	t->test = TEST_KEYS;
	t->few = (uint16_t)count;
	for (unsigned i = 0; i < count; i++) {
		t->low[i] = word[i].key;
		t->span[i] = word[i].text.len;
	}
}

static void end_words(struct filter *f, struct term *t)
{
	struct word *word = &f->word[t->first];
	unsigned count = f->words - t->first;
	qsort(word, count, sizeof(*word), compare_words);
	while (t->count < count && !is_pattern(word[t->count].text))
		t->count++;
	t->more = (uint16_t)(count - t->count);
	if (t->test == TEST_WORD && t->more == 0 && keys_tell(word, count))
		keep_keys(t, word, count);
}

static void keep_ranges(struct term *t, const struct range *r, unsigned count)
{
	t->test = t->test == TEST_ADDRESS ? TEST_BLOCKS : TEST_RANGES;
	t->few = (uint16_t)count;
	for (unsigned i = 0; i < count; i++) {
		t->low[i] = r[i].first.low;
		t->span[i] = r[i].last.low - r[i].first.low;
	}
}

static void end_ranges(struct filter *f, struct term *t)
{
	struct range *r = &f->range[t->first];
	unsigned count = f->ranges - t->first;
	qsort(r, count, sizeof(*r), compare_ranges);
	count = merge(r, count);
	f->ranges = t->first + count;
	while (t->count < count && !r[t->count].wide)
		t->count++;
	t->more = (uint16_t)(count - t->count);
	if (t->test != TEST_TIME && t->more == 0 && count <= FILTER_FEW)
		keep_ranges(t, r, count);
}

void filter_list_end(struct filter *f, struct term *t)
{
	if (is_textual(t))
		end_words(f, t);
	else
		end_ranges(f, t);
}

void filter_list_unite(struct filter *f, struct term *t)
{
	t->low[0] = 0;
	for (unsigned i = t->first; i < f->ranges; i++)
		t->low[0] |= f->range[i].first.low;
	t->test = TEST_BITS;
}
