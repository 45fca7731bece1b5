/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document in, its flow log records out, one by one and without copying. Documents are whole and
 * valid here (payload.c); what can still be wrong is the single event.
 */
#include "decode/logevents.h"

#include <limits.h>

#include "base/limits.h"

/* A line as written in JSON, each octet as \u and four digits at the most, with its quotes. */
enum { MESSAGE_LIMIT = 6 * LINE_LIMIT + 2 };
/* A large document has left the nearer caches before its first event is read. */
enum { AHEAD = 4096, AHEAD_OCTETS = 256, CACHE_LINE = 64 };

void logevents_init(struct logevents *e)
{
	*e = (struct logevents){ .document = NULL };
	buf_init(&e->scratch, MESSAGE_LIMIT);
}

void logevents_deinit(struct logevents *e)
{
	buf_deinit(&e->scratch);
}

static void open_cloudwatch(struct logevents *e)
{
	const struct document *d = e->document;
	size_t array = (size_t)(d->events.data - d->text);
	e->walk = json_walk(d->events);
	e->plain = plain_events(&d->plain);
	e->plain_end = e->plain;
	if (plain_knows(&d->plain, array))
		e->plain_end += plain_count(&d->plain);
}

static void open_messages(struct logevents *e)
{
	const struct document *d = e->document;
	e->walk = (struct json_walk){ .at = d->text, .end = d->text + d->len };
	e->plain = NULL;
	e->plain_end = NULL;
}

void logevents_open(struct logevents *e, const struct document *document)
{
	e->document = document;
	e->at = 0;
	if (document->kind == DOCUMENT_CLOUDWATCH)
		open_cloudwatch(e);
	if (document->kind == DOCUMENT_MESSAGES)
		open_messages(e);
}

static struct slice trim_left(struct slice s)
{
	while (s.len > 0 && json_is_space(s.data[0]))
		slice_skip(&s, 1);
	return s;
}

static struct slice trim(struct slice s)
{
	s = trim_left(s);
	while (s.len > 0 && json_is_space(s.data[s.len - 1]))
		s.len--;
	return s;
}

/* Nearly no message has spaces around it, and the comparison is of all there may be. */
static inline bool may_have_spaces(struct slice text)
{
	return text.len > 0 && (text.data[0] <= ' ' || text.data[text.len - 1] <= ' ');
}

static inline void from_text(struct event *event)
{
	if (may_have_spaces(event->text))
		event->text = trim(event->text);
	event->json = event->text.len > 0 && event->text.data[0] == '{';
	event->line = false;
	event->broken = event->text.len > LINE_LIMIT;
	event->why = FAULT_LINE_LENGTH;
}

/* A message as written: a line in a string, JSON in a string, or an object. */
static void from_message(struct logevents *e, struct slice message, struct event *event)
{
	*event = (struct event){ .text = message, .broken = true, .why = FAULT_EVENT };
	bool object = message.len > 0 && message.data[0] == '{';
	if (!object && !json_is_string(message))
		return;
	event->why = FAULT_LINE_LENGTH;
	if (message.len > MESSAGE_LIMIT)
		return;
	struct fault fault;
	e->scratch.len = 0;
	if (!object && !json_text(message, &e->scratch, &event->text, &fault)) {
		event->why = fault.code;
		return;
	}
	from_text(event);
}

/* The member "message" of one log event, empty when it has none. */
static struct slice message_of(struct slice log_event)
{
	if (log_event.data[0] != '{')
		return SLICE_NONE;
	struct json_walk w = json_walk(log_event);
	struct slice key;
	struct slice value;
	while (json_member(&w, &key, &value))
		if (json_is(key, "message"))
			return value;
	return SLICE_NONE;
}

/* What is some events further on is fetched meanwhile: about as much as an event has. */
static inline void fetch_ahead(const struct event *event)
{
	if (event->beyond < AHEAD + AHEAD_OCTETS)
		return;
	for (unsigned i = 0; i < AHEAD_OCTETS; i += CACHE_LINE)
		__builtin_prefetch(event->text.data + AHEAD + i);
}

/* The next event if it is a plain one: no octet is looked at twice. */
static inline bool next_plain(struct logevents *e, struct event *event)
{
	const struct document *d = e->document;
	/* Those behind spaces were read as any other. */
	while (e->plain < e->plain_end && d->text + e->plain->at < e->walk.at)
		e->plain++;
	if (e->plain == e->plain_end)
		return false;
	const struct plain_event *p = e->plain;
	const char *at = e->walk.at + (*e->walk.at == ',');
	const char *message = d->text + p->at;
	if (at != message - p->before)
		return false;
	event->text = slice_of(message, p->len);
	e->walk.at = message + p->len + 2; /* quote and brace */
	event->beyond = (size_t)(d->text + d->len - (message + p->len));
	fetch_ahead(event);
	from_text(event);
	e->plain++;
	return true;
}

static bool next_log_event(struct logevents *e, struct event *event)
{
	struct slice log_event;
	if (next_plain(e, event))
		return true;
	if (!json_element(&e->walk, &log_event))
		return false;
	from_message(e, message_of(log_event), event);
	return true;
}

static bool next_line(struct logevents *e, struct event *event)
{
	const struct document *d = e->document;
	while (e->at < d->len) {
		const char *first = d->text + e->at;
		const char *end = memchr(first, '\n', d->len - e->at);
		size_t len = end == NULL ? d->len - e->at : (size_t)(end - first);
		e->at += end == NULL ? len : len + 1;
		/* A line that was cut for its length is known by that length, trailing spaces too. */
		struct slice line = trim_left(slice_of(first, len));
		bool too_long = line.len > LINE_LIMIT;
		line = trim(line);
		if (line.len == 0)
			continue;
		*event = (struct event){
			.text = line,
			.beyond = (size_t)(d->text + d->len - (line.data + line.len)),
			.line = true,
			.broken = too_long,
			.why = FAULT_LINE_LENGTH,
		};
		return true;
	}
	return false;
}

bool logevents_next(struct logevents *e, struct event *event)
{
	switch (e->document->kind) {
	case DOCUMENT_CLOUDWATCH:
	case DOCUMENT_MESSAGES:
		return next_log_event(e, event);
	case DOCUMENT_LINES:
		return next_line(e, event);
	default:
		return false;
	}
}

/* The column for a member's name; -1 when it is no field, or its column is filled already. */
static int column_of(const struct flow *flow, struct slice key)
{
	enum field field = field_by_camel_name(slice_of(key.data + 1, key.len - 2));
	if (field == FIELD_UNKNOWN || flow->value[flow->format->place[field]].text.len > 0)
		return -1;
	return flow->format->place[field];
}

bool logevents_parse_json(struct flow *flow, struct slice text, unsigned max_depth,
			  struct buf *scratch, struct fault *fault)
{
	fault_set(fault, FAULT_MESSAGE_JSON, 0, 0);
	if (!json_is_object(text, max_depth))
		return false;
	/* Texts that were unescaped must not move while the flow is used. */
	scratch->len = 0;
	if (!buf_reserve(scratch, text.len))
		return fault_set(fault, FAULT_MEMORY, 0, 0);
	flow_begin(flow, format_every_field());
	struct json_walk w = json_walk(text);
	struct slice key;
	struct slice value;
	unsigned fields = 0;
	while (json_member(&w, &key, &value)) {
		int column = column_of(flow, key);
		struct slice field_text;
		if (column < 0)
			continue;
		if (!json_text(value, scratch, &field_text, fault))
			return fault->code == FAULT_MEMORY
				       ? false
				       : fault_set(fault, FAULT_MESSAGE_JSON, 0, 0);
		if (!flow_set(flow, (unsigned)column, field_text, fault))
			return false;
		fields++;
	}
	return fields > 0;
}
