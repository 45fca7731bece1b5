/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows to data records, and the place of every message in its session. Data Sets are written here,
 * straight after the table in elements.h; templates and options are libfixbuf's (announce.c).
 *
 *   |version length time sequence domain|id len|record record …|id len|record …|
 *    `------- message header 16 -------'`set 4'
 *
 * A record's Set is that of its variant: when the next flow has another one, the next Set begins. The
 * lengths are right after every record. Export time and sequence number are stamped when the message
 * is sent, not when it is filled: a session that breaks is followed by one in which the same messages
 * stand at other places (RFC 7011 section 3.1: numbers begin at 0 in each).
 */
#include "encode/ipfix.h"

#include <endian.h>
#include <stdlib.h>
#include <time.h>

#include "encode/announce.h"
#include "encode/ipfix_record.h"

enum {
	MESSAGE_HEADER = 16,
	SET_HEADER = 4,
	VERSION = 10,
	LENGTH_AT = 2,
	TIME_AT = 4,
	SEQUENCE_AT = 8,
	SHORT_TEXT = 254,    /* longer ones have a length of three octets: RFC 7011 section 7 */
	NEWS_MS = 60 * 1000, /* names and losses are gathered for so long */
};

/* An observation domain. */
struct domain {
	uint32_t number;
	struct domain_facts facts;
	struct announcer *announcer;
	uint32_t variants;	 /* a bit for each that may occur */
	struct address exporter; /* of the last flow; facts have the one that was told */
	struct messages due;

	/* in this session */
	uint32_t sequence; /* Data Records sent: that of the next message */
	bool announced;
	bool templates_due; /* announced, but not all of them */
	uint64_t announced_ms;
	uint64_t messages;	/* since the templates were sent */
	uint64_t news_ms;	/* when names and losses were told last */
	uint64_t told_not_sent; /* flows */
	bool last_call;
};

struct ipfix {
	const struct encoder_settings *settings;
	struct record_shape shape[VARIANT_COUNT];
	record_reader facts_of;
	struct record_columns in_format; /* of the last flow's format */
	enum field aws[FIELD_COUNT];	 /* AWS's elements of a record */
	unsigned aws_count;
	const struct format *columns;
	struct announce_model *model;
	struct domain **domain;
	unsigned domains;
	unsigned last; /* looked up */
	uint64_t texts_cut;
};

/* ---- octets ---------------------------------------------------------------------------------- */

static void store16(struct buf *b, size_t at, size_t n)
{
	uint16_t wire = htobe16((uint16_t)n);
	memcpy(b->data + at, &wire, sizeof(wire));
}

static void store32(struct buf *b, size_t at, uint32_t n)
{
	uint32_t wire = htobe32(n);
	memcpy(b->data + at, &wire, sizeof(wire));
}

/* The low octets of a number, 1 to 8, in network order. */
static void put_number(struct buf *b, uint64_t n, unsigned octets)
{
	uint64_t wire = htobe64(n);
	memcpy(b->data + b->len, (const char *)&wire + sizeof(wire) - octets, octets);
	b->len += octets;
}

/* ---- records --------------------------------------------------------------------------------- */

static size_t text_octets(struct slice text)
{
	return text.len + (text.len > SHORT_TEXT ? 3 : 1);
}

static void put_text(struct slice text, struct buf *b)
{
	if (text.len > SHORT_TEXT) {
		put_number(b, UINT8_MAX, 1);
		put_number(b, text.len, 2);
	} else {
		put_number(b, text.len, 1);
	}
	buf_put(b, text);
}

/* What AWS's elements of a flow need. */
static size_t aws_octets(const struct ipfix *x, const struct flow *flow)
{
	size_t octets = 0;
	for (unsigned i = 0; i < x->aws_count; i++) {
		const struct value *v = flow_value(flow, x->aws[i]);
		bool number = field_kind(x->aws[i]) == FIELD_U64;
		octets += number ? 8 : text_octets(v == NULL ? SLICE_NONE : v->text);
	}
	return octets;
}

/*
 * Puts AWS's elements into at most room octets, which even no text at all has to fit in: a text that
 * would go beyond is left out.
 */
static void put_aws(struct ipfix *x, const struct flow *flow, size_t room, struct buf *b)
{
	size_t least = 0;
	for (unsigned i = 0; i < x->aws_count; i++)
		least += field_kind(x->aws[i]) == FIELD_U64 ? 8 : 1;
	room -= least;
	for (unsigned i = 0; i < x->aws_count; i++) {
		const struct value *v = flow_value(flow, x->aws[i]);
		struct slice text = v == NULL ? SLICE_NONE : v->text;
		if (field_kind(x->aws[i]) == FIELD_U64) {
			put_number(b, v == NULL ? 0 : v->number, 8);
			continue;
		}
		if (text_octets(text) - 1 > room) {
			text = SLICE_NONE;
			x->texts_cut++;
		}
		room -= text_octets(text) - 1;
		put_text(text, b);
	}
}

/*
 * Which variants a domain may see is known from the start, but for another family of exporter. All
 * their templates are sent together, so that none is news in the middle of a session.
 */
static void allow_variant(const struct ipfix *x, struct domain *d, unsigned variant)
{
	if (d->variants >> variant & 1)
		return;
	unsigned vary = VARIANT_V6 | VARIANT_DIRECTION;
	if (x->settings->packet_addresses)
		vary |= VARIANT_VIEW;
	for (unsigned v = 0; v < VARIANT_COUNT; v++)
		if ((v | vary) == (variant | vary))
			d->variants |= 1u << v;
	d->templates_due = true;
}

/* What collectors have to be told before this flow. A name that memory lacks for goes untold. */
static void see(const struct ipfix *x, struct domain *d, const struct flow *flow,
		const struct record_facts *facts)
{
	d->exporter = flow->source->address;
	if (facts->interface_id.len > 0)
		(void)!names_see(&d->facts.names, facts->interface, facts->interface_id);
	allow_variant(x, d, facts->variant);
}

/* Of a flow's format, which seldom is another than that of the flow before. */
static const struct record_columns *columns_of(struct ipfix *x, const struct format *format)
{
	if (x->in_format.serial != format->serial)
		record_columns_of(&x->in_format, format);
	return &x->in_format;
}

static void begin_message(const struct domain *d, struct batch *b)
{
	put_number(&b->bytes, VERSION, 2);
	put_number(&b->bytes, 0, 2); /* length, kept right by ipfix_add */
	put_number(&b->bytes, 0, 8); /* time and sequence, by ipfix_stamp */
	put_number(&b->bytes, d->number, 4);
	b->set_id = 0;
}

static void begin_set(unsigned id, struct batch *b)
{
	b->set = b->bytes.len;
	b->set_id = id;
	put_number(&b->bytes, id, 2);
	put_number(&b->bytes, 0, 2);
}

bool ipfix_add(struct ipfix *x, const struct flow *flow, struct batch *b)
{
	struct record_facts facts;
	x->facts_of(&facts, flow, columns_of(x, flow->format), x->settings->packet_addresses);
	const struct record_shape *shape = &x->shape[facts.variant];
	unsigned id = TEMPLATE_FLOW + facts.variant;
	bool empty = b->bytes.len == 0;
	size_t headers = empty ? MESSAGE_HEADER + SET_HEADER : b->set_id != id ? SET_HEADER : 0;
	size_t room = b->bytes.max - b->bytes.len;
	size_t aws = x->aws_count > 0 ? aws_octets(x, flow) : 0;
	if (!empty && headers + shape->octets + aws > room)
		return false;
	if (empty)
		begin_message(x->domain[b->lane], b);
	if (b->set_id != id)
		begin_set(id, b);
	char *end = record_put(b->bytes.data + b->bytes.len, flow, &facts, shape);
	b->bytes.len = (size_t)(end - b->bytes.data);
	see(x, x->domain[b->lane], flow, &facts);
	if (x->aws_count > 0)
		put_aws(x, flow, room - headers - shape->octets, &b->bytes);
	store16(&b->bytes, b->set + 2, b->bytes.len - b->set);
	store16(&b->bytes, LENGTH_AT, b->bytes.len);
	b->records++;
	tally_add(&b->tally,
		  &(struct tally){ 1, facts.number[RECORD_PACKETS], facts.number[RECORD_BYTES] });
	return true;
}

/* ---- domains --------------------------------------------------------------------------------- */

/* Log group and account as a name: text that somebody else wrote, so printable ASCII only. */
static size_t put_name(char *name, size_t len, struct slice text)
{
	for (size_t i = 0; i < text.len && len + 1 < DOMAIN_NAME_ROOM; i++)
		name[len++] = text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : '?';
	return len;
}

static void name_domain(struct domain *d, const struct flow *flow)
{
	const struct value *recorded = flow_value(flow, FIELD_ACCOUNT_ID);
	struct slice account = recorded == NULL ? SLICE_NONE : recorded->text;
	struct slice group = SLICE_NONE;
	if (flow->origin != NULL) {
		group = flow->origin->group;
		if (flow->origin->account.len > 0)
			account = flow->origin->account;
	}
	size_t len = put_name(d->facts.name, 0, account);
	if (len > 0 && group.len > 0)
		len = put_name(d->facts.name, len, SLICE_LITERAL("/"));
	put_name(d->facts.name, len, group);
}

static void drop_due(struct domain *d)
{
	struct message *m;
	while ((m = STAILQ_FIRST(&d->due)) != NULL) {
		STAILQ_REMOVE_HEAD(&d->due, link);
		free(m);
	}
}

static void domain_free(struct domain *d)
{
	if (d == NULL)
		return;
	drop_due(d);
	names_deinit(&d->facts.names);
	announcer_free(&d->announcer);
	free(d);
}

static struct domain *domain_new(const struct ipfix *x, const struct flow *flow)
{
	struct domain *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return NULL;
	STAILQ_INIT(&d->due);
	d->number = flow->source->domain;
	d->exporter = flow->source->address;
	name_domain(d, flow);
	d->announcer = announcer_new(x->model, d->number);
	if (d->announcer == NULL) {
		domain_free(d);
		return NULL;
	}
	return d;
}

static unsigned add_domain(struct ipfix *x, const struct flow *flow)
{
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers. */
	struct domain **grown = realloc(x->domain, (x->domains + 1) * sizeof(*grown));
	if (grown == NULL)
		return LANE_NONE;
	x->domain = grown;
	struct domain *d = domain_new(x, flow);
	if (d == NULL)
		return LANE_NONE;
	x->domain[x->domains] = d;
	return x->domains++;
}

unsigned ipfix_domain(struct ipfix *x, const struct flow *flow)
{
	uint32_t number = flow->source->domain;
	if (x->last < x->domains && x->domain[x->last]->number == number)
		return x->last;
	for (x->last = 0; x->last < x->domains; x->last++)
		if (x->domain[x->last]->number == number)
			return x->last;
	return add_domain(x, flow);
}

void ipfix_not_sent(struct ipfix *x, unsigned lane, const struct tally *tally)
{
	tally_add(&x->domain[lane]->facts.not_sent, tally);
}

/* ---- sessions -------------------------------------------------------------------------------- */

void ipfix_new_session(struct ipfix *x)
{
	for (unsigned i = 0; i < x->domains; i++) {
		x->domain[i]->sequence = 0;
		x->domain[i]->last_call = false;
	}
	ipfix_repeat(x);
}

void ipfix_repeat(struct ipfix *x)
{
	for (unsigned i = 0; i < x->domains; i++) {
		struct domain *d = x->domain[i];
		drop_due(d);
		d->announced = false;
		d->told_not_sent = 0;
	}
}

void ipfix_last_call(struct ipfix *x)
{
	for (unsigned i = 0; i < x->domains; i++)
		x->domain[i]->last_call = true;
}

static bool has_untold_loss(const struct domain *d)
{
	return d->facts.not_sent.flows != d->told_not_sent;
}

/* What the domain has to tell now: everything (known by TOPIC_TYPES), or news. */
static unsigned topics_due(const struct ipfix *x, const struct domain *d, uint64_t now_ms)
{
	const struct encoder_settings *settings = x->settings;
	bool again = settings->datagrams && now_ms - d->announced_ms >= settings->refresh_ms;
	unsigned loss = d->facts.not_sent.flows > 0 ? TOPIC_LOSS : 0u;
	if (!d->announced || again)
		return TOPIC_TYPES | TOPIC_TEMPLATES | TOPIC_DOMAIN | TOPIC_NAMES | loss;
	unsigned due = 0;
	/* Without what options tell: nfcapd takes their records for gaps in the sequence. */
	if (d->templates_due || (settings->datagrams && d->messages >= settings->refresh_messages))
		due |= TOPIC_TEMPLATES;
	if (d->last_call || now_ms - d->news_ms >= NEWS_MS) {
		if (!address_equal(&d->exporter, &d->facts.exporter))
			due |= TOPIC_DOMAIN;
		/* The other family has an Options Template of its own, which was not told yet. */
		if (d->exporter.version != d->facts.exporter.version)
			due |= TOPIC_TEMPLATES;
		if (d->facts.names.untold > 0)
			due |= TOPIC_NAMES;
		if (has_untold_loss(d))
			due |= TOPIC_LOSS;
	}
	return due;
}

/* Remembers what was told. */
static void note_told(struct domain *d, unsigned topics, uint64_t now_ms)
{
	if (topics & TOPIC_TYPES) {
		d->announced = true;
		d->announced_ms = now_ms;
	}
	if (topics & TOPIC_TEMPLATES) {
		d->templates_due = false;
		d->messages = 0;
	}
	if (topics & (TOPIC_DOMAIN | TOPIC_NAMES | TOPIC_LOSS))
		d->news_ms = now_ms;
	if (topics & TOPIC_LOSS)
		d->told_not_sent = d->facts.not_sent.flows;
}

/* Puts what is due into the queue. */
static bool make_due(const struct ipfix *x, struct domain *d, uint64_t now_ms)
{
	unsigned topics = topics_due(x, d, now_ms);
	if (topics == 0)
		return true;
	if (topics & TOPIC_TYPES)
		names_forget_told(&d->facts.names);
	d->facts.exporter = d->exporter;
	bool told = announce(d->announcer, topics, d->variants, &d->facts, &d->due);
	/* The first datagrams of a session may be lost: templates twice, before the first flow. */
	if (told && x->settings->datagrams && !d->announced)
		told = announce(d->announcer, TOPIC_TEMPLATES, d->variants, &d->facts, &d->due);
	if (told) {
		note_told(d, topics, now_ms);
	} else {
		drop_due(d);
		d->announced = false;
	}
	return told;
}

static void take_due(struct domain *d, unsigned lane, struct batch *b)
{
	struct message *m = STAILQ_FIRST(&d->due);
	STAILQ_REMOVE_HEAD(&d->due, link);
	buf_put(&b->bytes, slice_of(m->octets, m->len));
	b->lane = lane;
	b->records = m->records;
	free(m);
}

enum step ipfix_ahead(struct ipfix *x, unsigned lane, uint64_t now_ms, struct batch *b)
{
	unsigned first = lane == ANY_LANE ? 0 : lane;
	unsigned end = lane == ANY_LANE ? x->domains : lane + 1;
	for (unsigned i = first; i < end; i++) {
		struct domain *d = x->domain[i];
		/* A domain without a flow in this session has nothing to say, but of losses. */
		bool silent = lane == ANY_LANE && !d->announced && !has_untold_loss(d);
		if (STAILQ_EMPTY(&d->due) && !silent && !make_due(x, d, now_ms))
			return STEP_BAD;
		if (!STAILQ_EMPTY(&d->due)) {
			take_due(d, i, b);
			return STEP_OK;
		}
	}
	return STEP_MORE;
}

void ipfix_stamp(struct ipfix *x, struct batch *b)
{
	struct domain *d = x->domain[b->lane];
	store32(&b->bytes, TIME_AT, (uint32_t)time(NULL));
	store32(&b->bytes, SEQUENCE_AT, d->sequence);
	d->sequence += b->records;
	/* Of flows: what is ahead of them must not be its own reason to be sent again. */
	d->messages += b->set_id != 0;
}

uint64_t ipfix_texts_cut(const struct ipfix *x)
{
	return x->texts_cut;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void list_elements(struct ipfix *x)
{
	for (unsigned variant = 0; variant < VARIANT_COUNT; variant++)
		record_shape_of(&x->shape[variant], variant, x->settings->sums);
	for (enum field f = 0; x->settings->aws_elements != 0 && f < FIELD_COUNT; f++)
		if (announce_has_field(x->columns, f))
			x->aws[x->aws_count++] = f;
}

struct ipfix *ipfix_new(const struct encoder_settings *settings, const struct format *columns)
{
	struct ipfix *x = calloc(1, sizeof(*x));
	if (x == NULL)
		return NULL;
	x->settings = settings;
	x->columns = columns;
	x->facts_of = record_reader_of(machine_here());
	x->in_format.serial = UINT64_MAX;
	list_elements(x);
	x->model = announce_model_new(settings, columns);
	if (x->model == NULL)
		ipfix_free(&x);
	return x;
}

void ipfix_free(struct ipfix **x)
{
	struct ipfix *old = *x;
	if (old == NULL)
		return;
	*x = NULL;
	for (unsigned i = 0; i < old->domains; i++)
		domain_free(old->domain[i]);
	free(old->domain);
	announce_model_free(&old->model);
	free(old);
}

const struct encoder_class encoder_ipfix = {
	.name = "ipfix",
	.what = "IPFIX Messages (RFC 7011), for collectors",
	.needs_addresses = true,
	.messages = true,
};
