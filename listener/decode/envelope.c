/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of JSON that carry flow logs, told apart by their members and by nothing else. Members
 * may come in any order, unknown ones are ignored; of a name that comes twice the first counts, as
 * in cJSON.
 */
#include "decode/envelope.h"

/* The value of a member, empty when the object has none of that name. */
static struct slice member(struct slice object, const char *name)
{
	if (object.len == 0 || object.data[0] != '{')
		return SLICE_NONE;
	struct json_walk w = json_walk(object);
	struct slice key;
	struct slice value;
	while (json_member(&w, &key, &value))
		if (json_is(key, name))
			return value;
	return SLICE_NONE;
}

struct members {
	struct slice type, owner, group, events; /* a CloudWatch message */
	struct slice awslogs, kinesis, firehose, message;
};

static void take(struct slice *to, struct slice value)
{
	if (to->data == NULL)
		*to = value;
}

/* One walk over what may be megabytes, for all the names that decide. */
static void find_members(const struct document *d, struct members *m)
{
	*m = (struct members){ .type = SLICE_NONE };
	struct json_walk w = json_walk(slice_of(d->text, d->len));
	if (d->plain.end != 0) {
		w.known = d->text + d->plain.array;
		w.known_end = d->text + d->plain.end;
	}
	struct slice key;
	struct slice value;
	while (json_member(&w, &key, &value)) {
		if (json_is(key, "messageType"))
			take(&m->type, value);
		else if (json_is(key, "owner"))
			take(&m->owner, value);
		else if (json_is(key, "logGroup"))
			take(&m->group, value);
		else if (json_is(key, "logEvents"))
			take(&m->events, value);
		else if (json_is(key, "awslogs"))
			take(&m->awslogs, value);
		else if (json_is(key, "Records"))
			take(&m->kinesis, value);
		else if (json_is(key, "records"))
			take(&m->firehose, value);
		else if (json_is(key, "message"))
			take(&m->message, value);
	}
}

static bool is_array(struct slice value)
{
	return value.len > 0 && value.data[0] == '[';
}

static bool open_document(const struct members *m, struct document *d)
{
	if (json_is_string(m->type) && json_is(m->type, "CONTROL_MESSAGE")) {
		d->kind = DOCUMENT_CONTROL;
		return true;
	}
	if (json_is_string(m->type) && json_is(m->type, "DATA_MESSAGE") && is_array(m->events)) {
		d->kind = DOCUMENT_CLOUDWATCH;
		d->owner = m->owner;
		d->group = m->group;
		d->events = m->events;
		return true;
	}
	if (m->type.data == NULL && m->message.data != NULL) {
		d->kind = DOCUMENT_MESSAGES;
		return true;
	}
	return false;
}

bool envelope_open(struct envelope *e, struct document *document, struct fault *fault)
{
	*e = (struct envelope){ .kind = ENVELOPE_DOCUMENT };
	struct members m;
	find_members(document, &m);
	if (open_document(&m, document))
		return true;
	if (m.awslogs.data != NULL) {
		e->kind = ENVELOPE_LAMBDA;
		e->holder = m.awslogs;
	} else if (is_array(m.kinesis)) {
		e->kind = ENVELOPE_KINESIS;
		e->records = json_walk(m.kinesis);
	} else if (is_array(m.firehose)) {
		e->kind = ENVELOPE_FIREHOSE;
		e->records = json_walk(m.firehose);
	} else {
		return fault_set(fault, FAULT_JSON_SHAPE, 0, 0);
	}
	return true;
}

/* The object that has the member "data"; false after the last record. */
static bool next_holder(struct envelope *e, struct slice *holder)
{
	if (e->kind == ENVELOPE_LAMBDA) {
		*holder = e->holder;
		e->holder = SLICE_NONE;
		return holder->data != NULL;
	}
	struct slice record;
	if (!json_element(&e->records, &record))
		return false;
	*holder = e->kind == ENVELOPE_KINESIS ? member(record, "kinesis") : record;
	return true;
}

enum step envelope_data(struct envelope *e, struct buf *scratch, struct slice *data,
			struct fault *fault)
{
	struct slice holder;
	if (!next_holder(e, &holder))
		return STEP_MORE;
	struct slice value = member(holder, "data");
	fault_set(fault, FAULT_JSON_SHAPE, 0, 0);
	if (json_is_string(value) && json_text(value, scratch, data, fault))
		return STEP_OK;
	if (fault->code != FAULT_MEMORY)
		fault_set(fault, FAULT_JSON_SHAPE, 0, 0);
	return STEP_BAD;
}
