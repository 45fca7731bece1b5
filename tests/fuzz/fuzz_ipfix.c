/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: a line with a flow format, an octet each for message size and settings, then lines: records,
 * and between them what happens, each a ! and a letter (see happen).
 * Held: every message is what unit/ipfix_walk.h takes for well-formed, no larger than it may be, and
 * has the sequence number that follows from the records before it; flows come in the messages and
 * the order they were put in, with the values they had; AWS's elements are the record's texts, but
 * for those that were left out and counted.
 */
#include "../unit/ipfix_walk.h"
#include "encode/announce.h"
#include "encode/ipfix.h"
#include "fuzz.h"

enum { SOURCES = 3, ENTERPRISE = 6871 };

/* A flow in a batch, with its own copy of the line. */
struct carried {
	struct flow flow;
	char *line;
	struct carried *next;
};

/* A batch that fills, and what is in it. */
struct lane {
	struct batch batch;
	struct carried *first;
	struct carried **last;
};

static struct walk walk;

struct run {
	struct encoder encoder;
	struct source source[SOURCES];
	unsigned chosen; /* the source of the next record */
	struct origin origin;
	uint64_t now_ms;
	struct lane lane[SOURCES];
	unsigned lanes;
	struct batch ahead;
	const struct carried *next; /* the flow that has to come next from the message being read */
	uint64_t cut;
};

/* ---- what comes out ------------------------------------------------------------------------- */

static uint64_t number_of(const struct flow *flow, enum field field)
{
	const struct value *v = flow_value(flow, field);
	return v == NULL ? 0 : v->number;
}

static void check_number(const struct walk_record *record, uint16_t element, unsigned octets,
			 uint64_t expected)
{
	struct slice value;
	CHECK(walk_value(record, 0, element, &value));
	CHECK(value.len == octets && walk_number(value) == expected);
}

static bool has_address(const struct walk_record *record, uint16_t element, const struct value *v)
{
	struct slice value;
	return v != NULL && walk_value(record, 0, element, &value) &&
	       value.len == (v->address.version == 4 ? 4 : 16) &&
	       memcmp(value.data, v->address.octets, value.len) == 0;
}

/* The interface's view of an address, and the packet's where there is one. */
static void check_address(const struct walk_record *record, const struct flow *flow, bool source)
{
	const struct value *own = flow_value(flow, source ? FIELD_SRCADDR : FIELD_DSTADDR);
	const struct value *packet = flow_value(flow,
						source ? FIELD_PKT_SRCADDR : FIELD_PKT_DSTADDR);
	bool six = own->address.version == 6;
	uint16_t main_element = six ? (source ? 27 : 28) : (source ? 8 : 12);
	uint16_t view_element = (uint16_t)((six ? 281 : 225) + !source);
	CHECK(!walk_has(record->template, 0, six ? (source ? 8 : 12) : (source ? 27 : 28)));
	if (!walk_has(record->template, 0, view_element)) {
		CHECK(has_address(record, main_element, own));
		return;
	}
	CHECK(has_address(record, view_element, own));
	CHECK(has_address(record, main_element, packet != NULL ? packet : own));
}

static void check_elements(const struct walk_record *record, const struct flow *flow)
{
	bool six = flow->source->address.version == 6;
	const struct value exporter = { .address = flow->source->address };
	check_address(record, flow, true);
	check_address(record, flow, false);
	check_number(record, 7, 2, number_of(flow, FIELD_SRCPORT));
	check_number(record, 11, 2, number_of(flow, FIELD_DSTPORT));
	check_number(record, 4, 1, number_of(flow, FIELD_PROTOCOL));
	check_number(record, 2, 8, number_of(flow, FIELD_PACKETS));
	check_number(record, 1, 8, number_of(flow, FIELD_BYTES));
	check_number(record, 152, 8, time_milliseconds(number_of(flow, FIELD_START)));
	check_number(record, 153, 8, time_milliseconds(number_of(flow, FIELD_END)));
	check_number(record, 6, 1, number_of(flow, FIELD_TCP_FLAGS) & 0xff);
	CHECK(has_address(record, six ? 131 : 130, &exporter));
	CHECK(!walk_has(record->template, 0, six ? 130 : 131));
}

static void check_aws(struct run *r, const struct walk_record *record, const struct flow *flow)
{
	for (enum field f = 0; f < FIELD_COUNT; f++) {
		struct slice octets;
		uint16_t element = field_element(f);
		bool told = walk_value(record, ENTERPRISE, element, &octets);
		CHECK(told == (r->encoder.settings.aws_elements != 0 &&
			       announce_has_field(&r->encoder.columns, f)));
		const struct value *v = flow_value(flow, f);
		if (!told)
			continue;
		if (field_kind(f) == FIELD_U64)
			CHECK(octets.len == 8 && walk_number(octets) == number_of(flow, f));
		else if (v == NULL)
			CHECK(octets.len == 0);
		else if (octets.len == 0)
			r->cut++;
		else
			CHECK(slice_equal(octets, v->text));
	}
}

static void on_template(void *context, uint32_t domain, const struct walk_template *t)
{
	struct run *r = context;
	unsigned families = 0;
	(void)domain;
	families += walk_has(t, 0, 8) || walk_has(t, 0, 12) || walk_has(t, 0, 225);
	families += walk_has(t, 0, 27) || walk_has(t, 0, 28) || walk_has(t, 0, 281);
	CHECK(families == (t->scope == 0));
	CHECK(r->encoder.settings.packet_addresses ||
	      !(walk_has(t, 0, 225) || walk_has(t, 0, 281)));
}

static void on_record(void *context, const struct walk_record *record)
{
	struct run *r = context;
	if (record->template->scope > 0)
		return;
	CHECK(r->next != NULL);
	CHECK(record->domain == r->next->flow.source->domain);
	check_elements(record, &r->next->flow);
	check_aws(r, record, &r->next->flow);
	r->next = r->next->next;
}

static void receive(struct run *r, struct batch *b, const struct carried *flows)
{
	r->next = flows;
	encoder_stamp(&r->encoder, b);
	CHECK(b->bytes.len <= r->encoder.settings.message_size);
	CHECK(walk_message(&walk, buf_slice(&b->bytes)) == NULL);
	CHECK(walk.message.records == b->records);
	CHECK(r->next == NULL);
	batch_clear(b);
}

/* ---- what happens --------------------------------------------------------------------------- */

static void send_ahead(struct run *r, unsigned lane)
{
	enum { ENOUGH = 1000 };
	unsigned messages = 0;
	enum step step;
	while ((step = encoder_ahead(&r->encoder, lane, r->now_ms, &r->ahead)) == STEP_OK) {
		CHECK(++messages < ENOUGH);
		CHECK(lane == ANY_LANE || r->ahead.lane == lane);
		receive(r, &r->ahead, NULL);
	}
	CHECK(step == STEP_MORE);
}

static void drop_flows(struct lane *l)
{
	while (l->first != NULL) {
		struct carried *c = l->first;
		l->first = c->next;
		free(c->line);
		free(c);
	}
	l->last = &l->first;
}

static void send_lane(struct run *r, unsigned lane)
{
	struct lane *l = &r->lane[lane];
	if (l->first == NULL)
		return;
	send_ahead(r, lane);
	receive(r, &l->batch, l->first);
	drop_flows(l);
}

static void send_lanes(struct run *r)
{
	for (unsigned i = 0; i < r->lanes; i++)
		send_lane(r, i);
}

static void begin_session(struct run *r)
{
	encoder_new_session(&r->encoder);
	walk_new_session(&walk);
}

static void lose(struct run *r)
{
	const struct tally some = { 1, 20, 300 };
	for (unsigned i = 0; i < r->lanes; i++)
		encoder_not_sent(&r->encoder, i, &some);
}

static void happen(struct run *r, char what)
{
	switch (what) {
	case 's':
		begin_session(r);
		return;
	case 'b': /* it breaks: what was stamped never came */
		for (unsigned i = 0; i < r->lanes; i++)
			if (r->lane[i].first != NULL)
				encoder_stamp(&r->encoder, &r->lane[i].batch);
		begin_session(r);
		return;
	case 'r':
		encoder_repeat(&r->encoder);
		return;
	case 'l':
		encoder_last_call(&r->encoder);
		return;
	case 't':
		r->now_ms += 40 * 1000;
		return;
	case 'n':
		lose(r);
		return;
	case 'a':
		send_ahead(r, ANY_LANE);
		return;
	case 'f':
		send_lanes(r);
		return;
	default:
		r->chosen = (unsigned char)what % SOURCES;
	}
}

static void carry(struct lane *l, const struct flow *flow, char *line)
{
	struct carried *c = malloc(sizeof(*c));
	CHECK(c != NULL);
	c->flow = *flow;
	c->line = line;
	c->next = NULL;
	*l->last = c;
	l->last = &c->next;
}

static void add_record(struct run *r, const struct format *format, struct slice text)
{
	struct flow flow = { .source = &r->source[r->chosen], .origin = &r->origin };
	struct fault fault;
	char *line = fuzz_copy(text);
	text.data = line;
	if (!flow_parse(&flow, format, text, &fault) || !encoder_takes(&r->encoder, &flow)) {
		free(line);
		return;
	}
	unsigned lane = encoder_lane(&r->encoder, &flow);
	CHECK(lane < SOURCES);
	r->lanes = lane < r->lanes ? r->lanes : lane + 1;
	struct lane *l = &r->lane[lane];
	l->batch.lane = lane;
	if (!encoder_add(&r->encoder, &flow, &l->batch)) {
		CHECK(l->first != NULL);
		send_lane(r, lane);
		l->batch.lane = lane;
		CHECK(encoder_add(&r->encoder, &flow, &l->batch));
	}
	carry(l, &flow, line);
}

/* ---- one run -------------------------------------------------------------------------------- */

static struct slice take_line(struct slice *in)
{
	const char *end = in->len == 0 ? NULL : memchr(in->data, '\n', in->len);
	struct slice line = slice_of(in->data, end == NULL ? in->len : (size_t)(end - in->data));
	slice_skip(in, end == NULL ? line.len : line.len + 1);
	return line;
}

static struct encoder_settings choose_settings(struct slice *in, const struct format *format)
{
	unsigned size = fuzz_choice(in);
	unsigned bits = fuzz_choice(in);
	struct encoder_settings s = {
		.class = &encoder_ipfix,
		.columns = bits & 4 ? format_every_field() : NULL,
		.packet_addresses = bits & 1,
		.aws_elements = bits & 2 ? ENTERPRISE : 0,
		.message_size = size == UINT8_MAX ? UINT16_MAX : 576 + 5 * size,
		.datagrams = bits & 8,
		.refresh_ms = 60 * 1000,
		.refresh_messages = bits & 16 ? 1 : 64,
	};
	size_t least = announce_least_message(&s, s.columns != NULL ? s.columns : format);
	if (s.message_size < least)
		s.message_size = least;
	return s;
}

static void make_batch(struct run *r, struct batch *b)
{
	size_t size = encoder_batch_size(&r->encoder);
	batch_init(b, size);
	CHECK(buf_reserve(&b->bytes, size));
}

static void begin(struct run *r, const struct format *format, const struct encoder_settings *s)
{
	static const char *const exporters[SOURCES] = { "192.0.2.1", "2001:db8::1", "192.0.2.3" };
	static const uint32_t domains[SOURCES] = { 7, 7, UINT32_MAX };
	for (unsigned i = 0; i < SOURCES; i++) {
		r->source[i].domain = domains[i];
		CHECK(source_set_exporter(&r->source[i], slice_text(exporters[i])));
	}
	encoder_init(&r->encoder, s);
	CHECK(encoder_begin(&r->encoder, format));
	for (unsigned i = 0; i < SOURCES; i++) {
		make_batch(r, &r->lane[i].batch);
		r->lane[i].last = &r->lane[i].first;
	}
	make_batch(r, &r->ahead);
	walk.on_template = on_template;
	walk.on_record = on_record;
	walk.context = r;
	begin_session(r);
}

static void end(struct run *r)
{
	send_lanes(r);
	encoder_last_call(&r->encoder);
	send_ahead(r, ANY_LANE);
	CHECK(r->cut == ipfix_texts_cut(r->encoder.ipfix));
	for (unsigned i = 0; i < SOURCES; i++)
		buf_deinit(&r->lane[i].batch.bytes);
	buf_deinit(&r->ahead.bytes);
	encoder_deinit(&r->encoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	struct slice where;
	static struct format format;
	struct run r = { .now_ms = 1000 };
	if (format_parse(&format, take_line(&in), COLUMN_LIMIT, &where) != FORMAT_OK)
		return 0;
	struct encoder_settings settings = choose_settings(&in, &format);
	r.origin.group = slice_of((const char *)data, size < 40 ? size : 40);
	begin(&r, &format, &settings);
	while (in.len > 0) {
		struct slice line = take_line(&in);
		if (line.len == 2 && line.data[0] == '!')
			happen(&r, line.data[1]);
		else if (line.len <= LINE_LIMIT)
			add_record(&r, &format, line);
	}
	end(&r);
	return 0;
}
