/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cursor over octets whose first fault sticks, and RFC 7011's grammar on it: message (section 3.1),
 * sets (3.3), templates (3.4.1), options templates (3.4.2), variable length (7).
 */
#include "ipfix_walk.h"

enum { TEMPLATE_SET = 2, OPTIONS_TEMPLATE_SET = 3, FIRST_DATA_SET = 256 };
enum { MESSAGE_HEADER = 16, SET_HEADER = 4 };

struct cursor {
	struct slice rest;
	const char *wrong;
};

static void refuse(struct cursor *c, const char *why)
{
	if (c->wrong == NULL)
		c->wrong = why;
}

static void require(struct cursor *c, bool holds, const char *why)
{
	if (!holds)
		refuse(c, why);
}

static struct slice take(struct cursor *c, size_t octets)
{
	struct slice taken = SLICE_NONE;
	require(c, octets <= c->rest.len, "cut short");
	if (c->wrong != NULL)
		return taken;
	taken = slice_of(c->rest.data, octets);
	slice_skip(&c->rest, octets);
	return taken;
}

uint64_t walk_number(struct slice value)
{
	uint64_t n = 0;
	for (size_t i = 0; i < value.len; i++)
		n = n << 8 | (unsigned char)value.data[i];
	return n;
}

static uint16_t take16(struct cursor *c)
{
	return (uint16_t)walk_number(take(c, 2));
}

static uint32_t take32(struct cursor *c)
{
	return (uint32_t)walk_number(take(c, 4));
}

/* The value of one element of a record. */
static struct slice take_value(struct cursor *c, const struct walk_element *e)
{
	if (e->octets != WALK_VARIABLE)
		return take(c, e->octets);
	size_t len = (size_t)walk_number(take(c, 1));
	if (len == UINT8_MAX) {
		len = take16(c);
		require(c, len >= UINT8_MAX, "three octets of length where one would do");
	}
	return take(c, len);
}

/* ---- templates ------------------------------------------------------------------------------ */

static struct walk_template *find_template(struct walk_domain *d, unsigned id)
{
	for (unsigned i = 0; i < d->templates; i++)
		if (d->template[i].id == id)
			return &d->template[i];
	return NULL;
}

static void take_element(struct cursor *c, struct walk_template *t)
{
	uint16_t number = take16(c);
	struct walk_element e = { .octets = take16(c), .number = number & 0x7fff };
	if (number & 0x8000) {
		e.enterprise = take32(c);
		require(c, e.enterprise != 0, "enterprise number 0");
	}
	require(c, e.number != 0 && e.octets != 0, "element of no number or length");
	t->element[t->count++] = e;
}

static bool same_template(const struct walk_template *a, const struct walk_template *b)
{
	bool same = a->scope == b->scope && a->count == b->count;
	for (unsigned i = 0; same && i < a->count; i++)
		same = a->element[i].enterprise == b->element[i].enterprise &&
		       a->element[i].number == b->element[i].number &&
		       a->element[i].octets == b->element[i].octets;
	return same;
}

static void learn(struct walk *w, struct cursor *c, struct walk_domain *d,
		  const struct walk_template *t)
{
	struct walk_template *known = find_template(d, t->id);
	if (known == NULL) {
		require(c, d->templates < WALK_TEMPLATES, "more templates than there may be");
		if (c->wrong != NULL)
			return;
		known = &d->template[d->templates++];
		*known = *t;
	}
	require(c, same_template(known, t), "template that changes");
	w->message.templates++;
	if (c->wrong == NULL && w->on_template != NULL)
		w->on_template(w->context, d->number, known);
}

static void take_template(struct walk *w, struct cursor *c, struct walk_domain *d, bool options)
{
	struct walk_template t = { .id = take16(c) };
	unsigned count = take16(c);
	require(c, t.id >= FIRST_DATA_SET, "template id below 256");
	require(c, count != 0, "template withdrawn, or padding");
	require(c, count <= WALK_ELEMENTS, "more elements than there may be");
	if (options) {
		t.scope = take16(c);
		require(c, t.scope != 0 && t.scope <= count, "scope of no or too many elements");
	}
	while (c->wrong == NULL && t.count < count)
		take_element(c, &t);
	if (c->wrong == NULL)
		learn(w, c, d, &t);
}

static void take_templates(struct walk *w, struct cursor *set, struct walk_domain *d, bool options)
{
	unsigned taken = 0;
	do
		take_template(w, set, d, options);
	while (set->wrong == NULL && set->rest.len > 0 && ++taken > 0);
	require(set, !options || taken == 0, "two Options Templates in a set");
}

/* ---- records -------------------------------------------------------------------------------- */

static void take_record(struct walk *w, struct cursor *set, uint32_t domain,
			const struct walk_template *t)
{
	struct walk_record record = { .domain = domain, .template = t, .octets = set->rest };
	for (unsigned i = 0; i < t->count; i++)
		(void)take_value(set, &t->element[i]);
	if (set->wrong != NULL)
		return;
	record.octets.len -= set->rest.len;
	w->message.records++;
	if (w->on_record != NULL)
		w->on_record(w->context, &record);
}

static void take_records(struct walk *w, struct cursor *set, struct walk_domain *d, unsigned id)
{
	const struct walk_template *t = find_template(d, id);
	require(set, t != NULL, "data before its template");
	while (set->wrong == NULL && set->rest.len > 0)
		take_record(w, set, d->number, t);
}

struct slice walk_value_at(const struct walk_record *record, unsigned place)
{
	struct cursor c = { .rest = record->octets };
	for (unsigned i = 0; i < place; i++)
		(void)take_value(&c, &record->template->element[i]);
	return take_value(&c, &record->template->element[place]);
}

static bool find_element(const struct walk_template *t, uint32_t enterprise, uint16_t number,
			 unsigned *place)
{
	for (*place = 0; *place < t->count; ++*place)
		if (t->element[*place].enterprise == enterprise &&
		    t->element[*place].number == number)
			return true;
	return false;
}

bool walk_has(const struct walk_template *t, uint32_t enterprise, uint16_t number)
{
	unsigned place;
	return find_element(t, enterprise, number, &place);
}

bool walk_value(const struct walk_record *record, uint32_t enterprise, uint16_t number,
		struct slice *value)
{
	unsigned place;
	if (!find_element(record->template, enterprise, number, &place))
		return false;
	*value = walk_value_at(record, place);
	return true;
}

/* ---- messages ------------------------------------------------------------------------------- */

static struct walk_domain *find_domain(struct walk *w, struct cursor *c, uint32_t number)
{
	for (unsigned i = 0; i < w->domains; i++)
		if (w->domain[i].number == number)
			return &w->domain[i];
	require(c, w->domains < WALK_DOMAINS, "more domains than there may be");
	if (c->wrong != NULL)
		return NULL;
	struct walk_domain *d = &w->domain[w->domains++];
	d->number = number;
	d->sequence = 0;
	d->templates = 0;
	return d;
}

static struct walk_domain *take_header(struct walk *w, struct cursor *c)
{
	size_t octets = c->rest.len;
	require(c, octets >= MESSAGE_HEADER, "shorter than its header");
	require(c, take16(c) == 10, "not version 10");
	require(c, take16(c) == octets, "length is not the message's");
	w->message = (struct walk_message){ .time = take32(c) };
	w->message.sequence = take32(c);
	w->message.domain = take32(c);
	require(c, w->message.domain != 0, "domain 0");
	require(c, c->rest.len > 0, "message of nothing");
	if (c->wrong != NULL)
		return NULL;
	struct walk_domain *d = find_domain(w, c, w->message.domain);
	require(c, d == NULL || d->sequence == w->message.sequence, "sequence number");
	return d;
}

static void take_set(struct walk *w, struct cursor *c, struct walk_domain *d)
{
	unsigned id = take16(c);
	size_t octets = take16(c);
	require(c, octets > SET_HEADER, "set of nothing");
	struct cursor set = { .rest = take(c, octets - SET_HEADER) };
	if (c->wrong != NULL)
		return;
	w->message.sets++;
	if (id == TEMPLATE_SET || id == OPTIONS_TEMPLATE_SET)
		take_templates(w, &set, d, id == OPTIONS_TEMPLATE_SET);
	else if (id >= FIRST_DATA_SET)
		take_records(w, &set, d, id);
	else
		refuse(&set, "set of an unknown kind");
	c->wrong = set.wrong;
}

void walk_new_session(struct walk *w)
{
	w->domains = 0;
}

const char *walk_message(struct walk *w, struct slice message)
{
	struct cursor c = { .rest = message };
	struct walk_domain *d = take_header(w, &c);
	while (c.wrong == NULL && c.rest.len > 0)
		take_set(w, &c, d);
	if (c.wrong == NULL)
		d->sequence += w->message.records;
	return c.wrong;
}
