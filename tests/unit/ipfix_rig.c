/* SPDX-License-Identifier: Apache-2.0 */
/* See ipfix_rig.h. */
#include "ipfix_rig.h"

enum { STREAM_LIMIT = 64 << 20 };

/* ---- what the collector sees ---------------------------------------------------------------- */

static struct seen *add_seen(struct rig *r, const struct walk_template *t)
{
	/* Doubles at the powers of two. */
	if ((r->count & (r->count - 1)) == 0) {
		size_t room = r->count == 0 ? 1 : 2 * (size_t)r->count;
		r->seen = realloc(r->seen, room * sizeof(*r->seen));
		assert_non_null(r->seen);
	}
	struct seen *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	r->seen[r->count++] = s;
	s->message = r->messages;
	s->template = *t;
	return s;
}

static void on_template(void *context, uint32_t domain, const struct walk_template *t)
{
	(void)domain;
	add_seen(context, t);
}

static void on_record(void *context, const struct walk_record *record)
{
	struct seen *s = add_seen(context, record->template);
	char *copy = malloc(record->octets.len);
	assert_non_null(copy);
	memcpy(copy, record->octets.data, record->octets.len);
	s->is_record = true;
	s->record = *record;
	s->record.template = &s->template;
	s->record.octets.data = copy;
}

void rig_forget(struct rig *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		free((char *)(uintptr_t)r->seen[i]->record.octets.data);
		free(r->seen[i]);
	}
	free(r->seen);
	r->seen = NULL;
	r->count = 0;
}

static void send_batch(struct rig *r, struct batch *b)
{
	encoder_stamp(&r->encoder, b);
	assert_true(b->bytes.len <= r->encoder.settings.message_size);
	const char *wrong = walk_message(&r->walk, buf_slice(&b->bytes));
	if (wrong != NULL)
		fail_msg("message %u: %s", r->messages, wrong);
	assert_int_equal(r->walk.message.records, b->records);
	assert_true(buf_add(&r->stream, b->bytes.data, b->bytes.len));
	r->messages++;
	batch_clear(b);
}

/* ---- sessions ------------------------------------------------------------------------------- */

struct encoder_settings rig_settings(void)
{
	return (struct encoder_settings){
		.class = &encoder_ipfix,
		.message_size = 1400,
		.refresh_ms = 600 * 1000,
		.refresh_messages = 4096,
	};
}

static void make_batch(struct rig *r, struct batch *b)
{
	size_t size = encoder_batch_size(&r->encoder);
	batch_init(b, size);
	assert_true(buf_reserve(&b->bytes, size));
}

void rig_begin(struct rig *r, const struct encoder_settings *settings, const char *columns)
{
	struct format none = { .count = 0 };
	struct slice where;
	memset(r, 0, sizeof(*r));
	memset(none.place, -1, sizeof(none.place));
	if (columns != NULL)
		assert_int_equal(format_parse(&none, slice_text(columns), COLUMN_LIMIT, &where),
				 FORMAT_OK);
	r->source.domain = 7;
	assert_true(source_set_exporter(&r->source, SLICE_LITERAL("192.0.2.1")));
	r->walk.context = r;
	r->walk.on_template = on_template;
	r->walk.on_record = on_record;
	r->now_ms = 1000 * 1000;
	buf_init(&r->stream, STREAM_LIMIT);
	encoder_init(&r->encoder, settings);
	assert_true(encoder_begin(&r->encoder, &none));
	make_batch(r, &r->batch);
	make_batch(r, &r->ahead);
	encoder_new_session(&r->encoder);
}

void rig_end(struct rig *r)
{
	rig_forget(r);
	encoder_deinit(&r->encoder);
	buf_deinit(&r->batch.bytes);
	buf_deinit(&r->ahead.bytes);
	buf_deinit(&r->stream);
	free(r->line);
}

void rig_session(struct rig *r)
{
	rig_forget(r);
	r->stream.len = 0;
	encoder_new_session(&r->encoder);
	walk_new_session(&r->walk);
}

/* ---- flows ---------------------------------------------------------------------------------- */

bool rig_parse(struct rig *r, const char *names, struct slice record)
{
	struct slice where;
	struct fault fault;
	if (format_parse(&r->format, slice_text(names), COLUMN_LIMIT, &where) != FORMAT_OK)
		fail_msg("bad format: %s", names);
	free(r->line);
	r->line = calloc(1, record.len + QUICK_BEYOND);
	assert_non_null(r->line);
	memcpy(r->line, record.data, record.len);
	r->flow.source = &r->source;
	r->flow.origin = &r->origin;
	if (r->quick != NULL && r->quick(&r->flow, &r->format, slice_of(r->line, record.len)))
		return true;
	return flow_parse(&r->flow, &r->format, slice_of(r->line, record.len), &fault);
}

void rig_read(struct rig *r, const char *names, const char *record)
{
	if (!rig_parse(r, names, slice_text(record)))
		fail_msg("%s does not fit %s", record, names);
	assert_true(encoder_takes(&r->encoder, &r->flow));
}

void rig_add(struct rig *r)
{
	r->lane = encoder_lane(&r->encoder, &r->flow);
	assert_int_not_equal(r->lane, LANE_NONE);
	if (r->batch.records > 0 && r->batch.lane != r->lane)
		rig_send(r);
	r->batch.lane = r->lane;
	if (encoder_add(&r->encoder, &r->flow, &r->batch))
		return;
	rig_send(r);
	r->batch.lane = r->lane;
	assert_true(encoder_add(&r->encoder, &r->flow, &r->batch));
}

unsigned rig_ahead(struct rig *r, unsigned lane)
{
	enum { ENOUGH = 1000 };
	unsigned messages = 0;
	enum step step;
	while ((step = encoder_ahead(&r->encoder, lane, r->now_ms, &r->ahead)) == STEP_OK) {
		if (lane != ANY_LANE)
			assert_int_equal(r->ahead.lane, lane);
		send_batch(r, &r->ahead);
		if (++messages == ENOUGH)
			fail_msg("something is ahead for ever");
	}
	assert_int_equal(step, STEP_MORE);
	assert_int_equal(r->ahead.bytes.len, 0);
	return messages;
}

void rig_send(struct rig *r)
{
	if (r->batch.records == 0)
		return;
	rig_ahead(r, r->batch.lane);
	send_batch(r, &r->batch);
}

/* ---- finding -------------------------------------------------------------------------------- */

static bool is_option(const struct seen *s, uint16_t number)
{
	return s->template.scope > 0 && walk_has(&s->template, 0, number);
}

const struct walk_record *rig_option(const struct rig *r, uint16_t number, unsigned nth)
{
	for (unsigned i = 0; i < r->count; i++)
		if (r->seen[i]->is_record && is_option(r->seen[i], number) && nth-- == 0)
			return &r->seen[i]->record;
	return NULL;
}

unsigned rig_options(const struct rig *r, uint16_t number)
{
	unsigned n = 0;
	while (rig_option(r, number, n) != NULL)
		n++;
	return n;
}

unsigned rig_option_templates(const struct rig *r, uint16_t number)
{
	unsigned n = 0;
	for (unsigned i = 0; i < r->count; i++)
		n += !r->seen[i]->is_record && is_option(r->seen[i], number);
	return n;
}

unsigned rig_flow_templates(const struct rig *r)
{
	unsigned n = 0;
	for (unsigned i = 0; i < r->count; i++)
		n += !r->seen[i]->is_record && r->seen[i]->template.scope == 0;
	return n;
}

static bool is_flow(const struct seen *s)
{
	return s->is_record && s->template.scope == 0;
}

const struct walk_record *rig_flow(const struct rig *r, unsigned nth)
{
	for (unsigned i = 0; i < r->count; i++)
		if (is_flow(r->seen[i]) && nth-- == 0)
			return &r->seen[i]->record;
	fail_msg("no such flow");
	return NULL;
}

unsigned rig_flows(const struct rig *r)
{
	unsigned n = 0;
	for (unsigned i = 0; i < r->count; i++)
		n += is_flow(r->seen[i]);
	return n;
}

struct slice rig_octets(const struct walk_record *record, uint16_t number)
{
	struct slice value;
	if (!walk_value(record, 0, number, &value))
		fail_msg("no element %u in template %u", number, record->template->id);
	return value;
}

uint64_t rig_number(const struct walk_record *record, uint16_t number)
{
	return walk_number(rig_octets(record, number));
}
