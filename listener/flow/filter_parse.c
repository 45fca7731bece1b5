/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An expression to a filter: in comes text, out comes a row of wired terms (filter_program.h), or the
 * place of a mistake and what was expected there.
 *
 *   either     := both { ("or" | "||") both }
 *   both       := unless { ("and" | "&&") unless }
 *   unless     := { "not" | "!" } ( "(" either ")" | comparison )
 *   comparison := field ( order value | same value | ["not"] ("in" | "has") list )
 *   list       := value { "," value }, in parentheses or brackets if one likes
 *
 * The terms of each part stand together, and what leaves a part are its ends KEEP and DROP. So "and"
 * leads the KEEP of what is before it to what is behind it, "or" the DROP, and "not" swaps the two.
 */
#include <stdio.h>
#include <stdlib.h>

#include "flow/filter_program.h"

struct parser {
	struct filter *filter;
	struct filter_mistake *mistake;
	struct slice text;
	struct token token; /* at hand */
	unsigned depth;
};

/* ---- tokens ---------------------------------------------------------------------------------- */

static void next_token(struct parser *p)
{
	p->token = filter_token_at(p->text, p->token.at + p->token.len);
}

static bool is_keyword(const struct token *t, const char *word)
{
	return t->kind == TOKEN_WORD && filter_compare_texts(t->text, slice_text(word), true) == 0;
}

static bool accept_sign(struct parser *p, enum token_kind sign)
{
	bool there = p->token.kind == sign;
	if (there)
		next_token(p);
	return there;
}

static bool accept_word(struct parser *p, const char *word)
{
	bool there = is_keyword(&p->token, word);
	if (there)
		next_token(p);
	return there;
}

/* A sign, or the word that means the same. */
static bool accept(struct parser *p, enum token_kind sign, const char *word)
{
	return accept_sign(p, sign) || accept_word(p, word);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

/* The why of a mistake was set, it is at this token. */
static bool wrong_at(struct parser *p, const struct token *t)
{
	p->mistake->at = t->at;
	p->mistake->len = t->len;
	return false;
}

/* At the token at hand. */
static bool wrong(struct parser *p, const char *what)
{
	if (p->token.kind == TOKEN_BAD && p->token.text.len == 0)
		what = "a quote that is not closed";
	(void)filter_wrong(p->mistake, "%s", what);
	return wrong_at(p, &p->token);
}

/* ---- terms ----------------------------------------------------------------------------------- */

static bool add_term(struct parser *p, const struct term *t, const struct token *name)
{
	struct filter *f = p->filter;
	if (f->terms == FILTER_TERMS) {
		(void)filter_wrong(p->mistake, "more than %d comparisons (addr and port are two)",
				   FILTER_TERMS);
		return wrong_at(p, name);
	}
	f->term[f->terms] = *t;
	f->term[f->terms].next[true] = FILTER_KEEP;
	f->term[f->terms].next[false] = FILTER_DROP;
	f->terms++;
	return true;
}

/* What leaves the terms from `from` on by one end goes on to another place. */
static void lead(struct filter *f, unsigned from, unsigned end, unsigned to)
{
	for (unsigned i = from; i < f->terms; i++) {
		uint16_t *next = f->term[i].next;
		for (unsigned k = 0; k < 2; k++)
			next[k] = next[k] == end ? (uint16_t)to : next[k];
	}
}

static uint16_t other_end(uint16_t end)
{
	if (end == FILTER_KEEP)
		return FILTER_DROP;
	return end == FILTER_DROP ? FILTER_KEEP : end;
}

static void negate(struct filter *f, unsigned from)
{
	for (unsigned i = from; i < f->terms; i++) {
		f->term[i].next[true] = other_end(f->term[i].next[true]);
		f->term[i].next[false] = other_end(f->term[i].next[false]);
	}
}

/* ---- a comparison ---------------------------------------------------------------------------- */

/* One field, or the two that addr and port stand for. */
struct subject {
	struct token name;
	enum field field;
	enum field second; /* FIELD_UNKNOWN for none */
};

static bool parse_subject(struct parser *p, struct subject *s)
{
	*s = (struct subject){ p->token, FIELD_UNKNOWN, FIELD_UNKNOWN };
	if (p->token.kind != TOKEN_WORD || is_keyword(&p->token, "and") ||
	    is_keyword(&p->token, "or"))
		return wrong(p, "expected a comparison, as dstport = 22, or not, or (");
	if (slice_equal(p->token.text, SLICE_LITERAL("addr"))) {
		s->field = FIELD_SRCADDR;
		s->second = FIELD_DSTADDR;
	} else if (slice_equal(p->token.text, SLICE_LITERAL("port"))) {
		s->field = FIELD_SRCPORT;
		s->second = FIELD_DSTPORT;
	} else {
		s->field = field_by_name(p->token.text);
	}
	if (s->field == FIELD_UNKNOWN) {
		const char *nearest = filter_nearest_field(p->token.text);
		if (nearest == NULL)
			return wrong(p,
				     "no such field: expected AWS's name of one, or addr or port");
		(void)filter_wrong(p->mistake, "no such field; do you mean %s?", nearest);
		return wrong_at(p, &p->token);
	}
	next_token(p);
	return true;
}

static bool is_value(const struct token *t)
{
	return t->kind == TOKEN_WORD || t->kind == TOKEN_QUOTED;
}

static bool parse_value(struct parser *p, const struct term *t, enum filter_order order)
{
	char what[FILTER_WHY];
	if (!is_value(&p->token)) {
		(void)snprintf(what, sizeof(what), "expected %s", filter_expects(t->field));
		return wrong(p, what);
	}
	if (slice_equal(p->token.text, SLICE_LITERAL("-")))
		return wrong(p, "for a field that is not there: = - and != -, without others");
	if (!filter_list_add(p->filter, t, order, p->token.text, p->mistake))
		return wrong_at(p, &p->token);
	next_token(p);
	return true;
}

/* The opening one decides which closes; TOKEN_END: none was opened. */
static bool close_list(struct parser *p, enum token_kind close, const struct token *open)
{
	if (close == TOKEN_END)
		return true;
	if (p->token.kind == TOKEN_END) {
		(void)filter_wrong(p->mistake, "this list is never closed");
		return wrong_at(p, open);
	}
	if (p->token.kind != close)
		return wrong(p, close == TOKEN_CLOSE ? "expected , or )" : "expected , or ]");
	next_token(p);
	return true;
}

static bool parse_list(struct parser *p, const struct term *t, enum filter_order order)
{
	enum token_kind close = TOKEN_END;
	struct token open = p->token;
	if (accept_sign(p, TOKEN_OPEN))
		close = TOKEN_CLOSE;
	else if (accept_sign(p, TOKEN_OPEN_LIST))
		close = TOKEN_CLOSE_LIST;
	do {
		if (!parse_value(p, t, order))
			return false;
	} while (accept_sign(p, TOKEN_COMMA));
	return close_list(p, close, &open);
}

/* = and !=: one value, or "-". */
static bool parse_same(struct parser *p, struct term *t)
{
	if (is_value(&p->token) && slice_equal(p->token.text, SLICE_LITERAL("-"))) {
		t->test = TEST_ABSENT;
		t->absent = !t->negated;
		next_token(p);
		return true;
	}
	if (!parse_value(p, t, ORDER_SAME))
		return false;
	if (p->token.kind == TOKEN_COMMA)
		return wrong(p, "a list has in before it, as dstport in 22,3389");
	filter_list_end(p->filter, t);
	return true;
}

static bool parse_ordered(struct parser *p, struct term *t, enum filter_order order)
{
	if (t->test != TEST_NUMBER && t->test != TEST_TIME) {
		(void)filter_wrong(p->mistake, "%s have no order: there are =, != and in",
				   t->test == TEST_ADDRESS ? "addresses" : "texts");
		return wrong_at(p, &p->token);
	}
	next_token(p);
	if (!parse_value(p, t, order))
		return false;
	filter_list_end(p->filter, t);
	return true;
}

static bool parse_in(struct parser *p, struct term *t)
{
	if (!parse_list(p, t, ORDER_SAME))
		return false;
	filter_list_end(p->filter, t);
	return true;
}

static bool parse_has(struct parser *p, struct term *t, const struct token *has)
{
	if (t->field != FIELD_TCP_FLAGS) {
		(void)filter_wrong(p->mistake, "has is for tcp-flags, as tcp-flags has syn,ack");
		return wrong_at(p, has);
	}
	if (!parse_list(p, t, ORDER_NONE))
		return false;
	filter_list_unite(p->filter, t);
	return true;
}

/* What is between a field and its values, and those. */
static bool parse_test(struct parser *p, struct term *t)
{
	static const enum filter_order orders[] = {
		[TOKEN_LESS] = ORDER_LESS,
		[TOKEN_LESS_SAME] = ORDER_LESS_SAME,
		[TOKEN_MORE] = ORDER_MORE,
		[TOKEN_MORE_SAME] = ORDER_MORE_SAME,
	};
	struct token sign = p->token;
	filter_list_begin(p->filter, t);
	if (sign.kind >= TOKEN_LESS && sign.kind <= TOKEN_MORE_SAME)
		return parse_ordered(p, t, orders[sign.kind]);
	t->negated = sign.kind == TOKEN_OTHER;
	if (accept_sign(p, TOKEN_SAME) || accept_sign(p, TOKEN_OTHER))
		return parse_same(p, t);
	t->negated = accept_word(p, "not");
	sign = p->token;
	if (accept_word(p, "in"))
		return parse_in(p, t);
	if (accept_word(p, "has"))
		return parse_has(p, t, &sign);
	return wrong(p, t->negated ? "expected in" : "expected =, !=, <, <=, >, >=, in or not in");
}

/* Of addr and port one end is enough; none may be what != and not in name. */
static bool parse_comparison(struct parser *p)
{
	struct subject s;
	struct term t = { .test = TEST_ABSENT };
	unsigned from = p->filter->terms;
	if (!parse_subject(p, &s))
		return false;
	t.field = (uint8_t)s.field;
	if (!parse_test(p, &t) || !add_term(p, &t, &s.name))
		return false;
	if (s.second == FIELD_UNKNOWN)
		return true;
	lead(p->filter, from, t.negated ? FILTER_KEEP : FILTER_DROP, p->filter->terms);
	t.field = (uint8_t)s.second;
	return add_term(p, &t, &s.name);
}

/* ---- and, or, not ---------------------------------------------------------------------------- */

static bool parse_either(struct parser *p);

static bool parse_parentheses(struct parser *p, const struct token *open)
{
	if (p->depth == FILTER_NESTING) {
		(void)filter_wrong(p->mistake, "more than %d parentheses within each other",
				   FILTER_NESTING);
		return wrong_at(p, open);
	}
	p->depth++;
	if (!parse_either(p))
		return false;
	p->depth--;
	if (p->token.kind == TOKEN_END) {
		(void)filter_wrong(p->mistake, "this parenthesis is never closed");
		return wrong_at(p, open);
	}
	return accept_sign(p, TOKEN_CLOSE) || wrong(p, "expected and, or, or )");
}

static bool parse_unless(struct parser *p)
{
	unsigned from = p->filter->terms;
	bool negated = false;
	while (accept(p, TOKEN_NOT, "not"))
		negated = !negated;
	struct token open = p->token;
	if (accept_sign(p, TOKEN_OPEN) ? !parse_parentheses(p, &open) : !parse_comparison(p))
		return false;
	if (negated)
		negate(p->filter, from);
	return true;
}

static bool parse_both(struct parser *p)
{
	unsigned from = p->filter->terms;
	if (!parse_unless(p))
		return false;
	while (accept(p, TOKEN_AND, "and")) {
		lead(p->filter, from, FILTER_KEEP, p->filter->terms);
		if (!parse_unless(p))
			return false;
	}
	return true;
}

static bool parse_either(struct parser *p)
{
	unsigned from = p->filter->terms;
	if (!parse_both(p))
		return false;
	while (accept(p, TOKEN_OR, "or")) {
		lead(p->filter, from, FILTER_DROP, p->filter->terms);
		if (!parse_both(p))
			return false;
	}
	return true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool parse(struct parser *p)
{
	next_token(p);
	if (p->token.kind == TOKEN_END)
		return wrong(p, "empty: expected a comparison, as dstport = 22");
	if (!parse_either(p))
		return false;
	if (p->token.kind == TOKEN_CLOSE)
		return wrong(p, "no parenthesis is open here");
	if (p->token.kind == TOKEN_COMMA)
		return wrong(p, "a list has in before it, as dstport in 22,3389");
	return p->token.kind == TOKEN_END || wrong(p, "expected and, or, or the end");
}

/* A value and what parts it from the next are two octets, so an expression has half as many at most. */
static struct filter *filter_new(size_t len)
{
	size_t values = len / 2 + 1 < FILTER_VALUES ? len / 2 + 1 : FILTER_VALUES;
	struct filter *f = calloc(1, sizeof(*f) + values * (sizeof(*f->range) + sizeof(*f->word)) +
					     (len + values) + len);
	if (f == NULL)
		return NULL;
	f->values = (unsigned)values;
	f->range = (struct range *)(void *)(f + 1);
	f->word = (struct word *)(void *)(f->range + values);
	f->pool = (char *)(f->word + values);
	f->text = f->pool + len + values;
	return f;
}

bool filter_compile(struct filter **filter, struct slice text, struct filter_mistake *mistake)
{
	*mistake = (struct filter_mistake){ .len = 1 };
	if (text.len > FILTER_TEXT)
		return filter_wrong(mistake, "longer than %d octets", FILTER_TEXT);
	struct filter *f = filter_new(text.len);
	if (f == NULL)
		return filter_wrong(mistake, "out of memory");
	struct parser p = { .filter = f, .mistake = mistake, .text = text };
	if (!parse(&p)) {
		filter_free(&f);
		return false;
	}
	for (f->len = 0; f->len < text.len; f->len++)
		f->text[f->len] = filter_is_space(text.data[f->len]) ? ' ' : text.data[f->len];
	*filter = f;
	return true;
}

/* ---- what is shown --------------------------------------------------------------------------- */

void filter_show(struct slice text, const struct filter_mistake *mistake,
		 char shown[FILTER_SHOWN + 1], char carets[FILTER_SHOWN + 1])
{
	const char cut[] = "...";
	const size_t before = FILTER_SHOWN / 2;
	const size_t places = text.len + 1; /* behind its end may be one, too */
	size_t first = places <= FILTER_SHOWN || mistake->at <= before ? 0 : mistake->at - before;
	if (first > 0 && places - first < FILTER_SHOWN)
		first = places - FILTER_SHOWN;
	size_t len = text.len - first < FILTER_SHOWN ? text.len - first : FILTER_SHOWN;
	for (size_t i = 0; i < len; i++) {
		char c = text.data[first + i];
		shown[i] = c >= ' ' && c <= '~' ? c : filter_is_space(c) ? ' ' : '?';
	}
	shown[len] = '\0';
	if (first > 0)
		memcpy(shown, cut, 3);
	if (first + len < text.len)
		memcpy(shown + len - 3, cut, 3);
	size_t at = mistake->at - first;
	size_t under = mistake->len < FILTER_SHOWN - at ? mistake->len : FILTER_SHOWN - at;
	memset(carets, ' ', at);
	memset(carets + at, '^', under);
	carets[at + under] = '\0';
}
