/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receive ─▶ payload_next ─▶ logevents_next ─▶ flow_parse ─▶ filter_keeps ─▶ output_flow ─▶ deliver
 *            octets to        documents to      text to       or not          values to
 *            documents        events            values                        octets
 *
 * Turns are short, so that one peer's large payload holds up neither the loop nor the others, and
 * the owner stops giving turns while an output is full. What is lost on the way is counted by
 * reason and told once per peer and reason.
 */
#include "pipeline.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"

enum {
	EVENTS_A_TURN = 2000,
	OCTETS_A_TURN = 512 * 1024, /* that unpacking may gather before others have a turn */
};

/* Reasons beside the faults that are told once per peer. */
enum { TELL_SKIPDATA = FAULT_COUNT, TELL_UNKNOWN_FIELD, TELL_HIDDEN };

struct intake {
	struct pipeline *pipeline;
	const struct limits *limits;
	const struct sources *sources;
	const struct filter *filter; /* NULL: every flow is wanted */
	char peer[LOG_ESCAPED];	     /* for log lines */
	enum payload_source source;
	struct payload *payload;
	struct documents documents;
	bool unpacked; /* WHOLE: all of its documents are there */
	bool damaged; /* STREAM: damage says how, told once the documents before it are converted */
	struct fault damage;
	uint64_t documents_done;
	uint64_t flows; /* wanted or not */
	uint64_t rejected;

	/* which events are handed to the outputs, and counted */
	uint64_t event;	      /* events done */
	uint64_t emit_from;   /* the first that is handed over */
	uint64_t emit_to;     /* and the first that is not any more */
	struct stats aside;   /* counts of the others */
	bool emitting;	      /* the event at hand goes to the outputs */
	struct stats *counts; /* of the event at hand */

	/* the document being converted */
	bool open;
	struct logevents events;
	struct origin origin;
	struct buf origin_text;	     /* what escapes in its names were undone into */
	const struct format *format; /* NULL below a bad header line */
	struct format *header;	     /* room for a header line's format */
	bool header_holds;
};

void pipeline_init(struct pipeline *p, const struct limits *limits, const struct sources *sources,
		   struct stats *stats, struct once *once)
{
	*p = (struct pipeline){
		.limits = limits,
		.sources = sources,
		.stats = stats,
		.once = once,
		.quick = quick_parser_of(machine_here()),
	};
	buf_init(&p->scratch, LINE_LIMIT);
}

void pipeline_deinit(struct pipeline *p)
{
	buf_deinit(&p->scratch);
}

bool pipeline_full(const struct pipeline *p)
{
	for (unsigned i = 0; i < p->outputs; i++)
		if (output_full(p->output[i]))
			return true;
	return false;
}

void pipeline_flush(struct pipeline *p)
{
	for (unsigned i = 0; i < p->outputs; i++)
		output_flush(p->output[i]);
}

bool pipeline_begin_outputs(struct pipeline *p, const struct format *columns)
{
	for (unsigned n = 0; n < p->outputs; n++)
		if (!output_begin(p->output[n], columns))
			return false;
	return true;
}

/* Before the first of them gets the flow, so that all of them get it or none. */
static bool prepare_outputs(struct pipeline *p, const struct flow *flow)
{
	for (unsigned n = 0; n < p->outputs; n++)
		if (!output_prepare(p->output[n], flow))
			return false;
	return true;
}

bool pipeline_emit(struct pipeline *p, const struct flow *flow)
{
	if (!prepare_outputs(p, flow))
		return false;
	for (unsigned n = 0; n < p->outputs; n++)
		output_flow(p->output[n], flow);
	return true;
}

/* ---- an intake ------------------------------------------------------------------------------- */

struct intake *intake_new(struct pipeline *p, enum payload_source source, const char *peer)
{
	struct intake *i = calloc(1, sizeof(*i));
	if (i == NULL)
		return NULL;
	i->pipeline = p;
	i->limits = p->limits;
	i->sources = p->sources;
	i->filter = p->filter;
	log_escape(slice_text(peer), i->peer);
	i->source = source;
	i->emit_to = UINT64_MAX;
	i->payload = payload_new(source, p->limits, p->stats);
	if (i->payload != NULL && source == PAYLOAD_STREAM)
		payload_keep_usual(i->payload, &p->usual);
	documents_init(&i->documents);
	logevents_init(&i->events);
	buf_init(&i->origin_text, LINE_LIMIT);
	if (i->payload == NULL)
		intake_free(&i);
	return i;
}

void intake_free(struct intake **i)
{
	if (*i == NULL)
		return;
	payload_free(&(*i)->payload);
	documents_free(&(*i)->documents);
	logevents_deinit(&(*i)->events);
	buf_deinit(&(*i)->origin_text);
	free((*i)->header);
	free(*i);
	*i = NULL;
}

void intake_replay(struct intake *i, uint64_t events)
{
	i->emit_from = events;
	payload_count_in(i->payload, &i->aside);
}

void intake_only_count(struct intake *i)
{
	i->emit_to = i->event;
}

void intake_count_all(struct intake *i)
{
	stats_add(i->pipeline->stats, &i->aside);
	i->aside = (struct stats){ .events = 0 };
}

uint64_t intake_emitted(const struct intake *i)
{
	if (i->event < i->emit_from)
		return i->emit_from;
	return i->event < i->emit_to ? i->event : i->emit_to;
}

/* What becomes of the event at hand. */
static void place_event(struct intake *i)
{
	i->emitting = i->event >= i->emit_from && i->event < i->emit_to;
	i->counts = i->emitting ? i->pipeline->stats : &i->aside;
}

char *intake_room(struct intake *i, size_t *room)
{
	return intake_pending(i) ? NULL : payload_room(i->payload, room);
}

bool intake_idle(const struct intake *i)
{
	return documents_empty(&i->documents) && payload_idle(i->payload);
}

bool intake_pending(const struct intake *i)
{
	return !documents_empty(&i->documents);
}

size_t intake_held(const struct intake *i)
{
	return payload_held(i->payload) + i->documents.size + i->documents.plain;
}

size_t intake_may_hold(const struct intake *i, struct slice given)
{
	size_t documents = i->documents.size + i->documents.plain;
	return documents + payload_may_hold(i->payload, given, 2 * OCTETS_A_TURN);
}

uint64_t intake_documents(const struct intake *i)
{
	return i->documents_done;
}

uint64_t intake_flows(const struct intake *i)
{
	return i->flows;
}

uint64_t intake_rejected(const struct intake *i)
{
	return i->rejected;
}

/* ---- what is told ---------------------------------------------------------------------------- */

static bool first_time(const struct intake *i, unsigned reason)
{
	return once_first(i->pipeline->once, i->peer, reason, i->pipeline->now_ms);
}

static bool is_printable(struct slice text)
{
	for (size_t n = 0; n < text.len; n++)
		if (text.data[n] < ' ' || text.data[n] > '~')
			return false;
	return true;
}

/* The first line of a browser's or a probe's words (RFC 9112 section 3). */
static bool is_http(struct slice text)
{
	const struct slice end = SLICE_LITERAL(" HTTP/1.1");
	return text.len > end.len &&
	       slice_equal(slice_of(text.data + text.len - end.len, end.len), end);
}

static void tell_columns(const struct intake *i, const struct event *event,
			 const struct fault *fault, const char *sample)
{
	char group[LOG_ESCAPED];
	bool named = i->origin.group.len > 0;
	if (!is_printable(event->text)) {
		log_warn("flow",
			 "neither gzip nor JSON nor text: no flow log peer=%s octets=\"%s\"",
			 i->peer, sample);
		return;
	}
	if (is_http(event->text)) {
		log_warn("flow",
			 "an HTTP request, which is no flow log; --http has a port of its own "
			 "peer=%s record=\"%s\"",
			 i->peer, sample);
		return;
	}
	log_warn("flow",
		 "record has another number of columns than its flow format; give the format with "
		 "%s peer=%s log-group=\"%s\" columns=%zu expected=%u record=\"%s\"",
		 named ? "--flow-format or \"sources\" in --config" : "--flow-format", i->peer,
		 log_escape(i->origin.group, group), fault->column, i->format->count, sample);
}

static void tell_column(const struct intake *i, const struct fault *fault, const char *sample)
{
	const struct format *format = i->pipeline->flow.format;
	char column[LOG_ESCAPED];
	log_warn("flow", "record rejected: %s peer=%s column=%zu field=%s record=\"%s\"",
		 fault_text(fault->code), i->peer, fault->column + 1,
		 log_escape(format_column_name(format, (unsigned)fault->column), column), sample);
}

static void reject(struct intake *i, const struct event *event, const struct fault *fault)
{
	i->rejected++;
	i->counts->rejected++;
	i->counts->fault[fault->code]++;
	if (!first_time(i, fault->code))
		return;
	char sample[LOG_ESCAPED];
	log_escape(event->text, sample);
	switch (fault->code) {
	case FAULT_COLUMNS:
		tell_columns(i, event, fault, sample);
		break;
	case FAULT_NUMBER:
	case FAULT_RANGE:
	case FAULT_ADDRESS:
		tell_column(i, fault, sample);
		break;
	default:
		log_warn("flow", "record rejected: %s peer=%s record=\"%s\"",
			 fault_text(fault->code), i->peer, sample);
	}
}

static void tell_skipdata(const struct intake *i)
{
	char group[LOG_ESCAPED];
	if (first_time(i, TELL_SKIPDATA))
		log_warn("flow", "AWS itself lost records (SKIPDATA) peer=%s log-group=\"%s\"",
			 i->peer, log_escape(i->origin.group, group));
}

/* A header line's format that an output cannot show whole, as its own header stands already. */
static void tell_hidden(const struct intake *i, const struct format *format)
{
	for (unsigned n = 0; n < i->pipeline->outputs; n++) {
		const struct output *o = i->pipeline->output[n];
		unsigned hidden = output_hides(o, format);
		if (hidden > 0 && first_time(i, TELL_HIDDEN + n))
			log_warn("flow",
				 "a header line has fields for which the output has no column; "
				 "name them with --fields peer=%s output=%s fields=%u",
				 i->peer, output_name(o), hidden);
	}
}

static void tell_unknown_fields(const struct intake *i, const struct format *format)
{
	if (format->unknown == 0 || !first_time(i, TELL_UNKNOWN_FIELD))
		return;
	for (unsigned c = 0; c < format->count; c++) {
		char name[LOG_ESCAPED];
		if (format->column[c].field == FIELD_UNKNOWN)
			log_warn("flow", "unknown field taken as text peer=%s field=%s", i->peer,
				 log_escape(format_column_name(format, c), name));
	}
}

/* ---- a record -------------------------------------------------------------------------------- */

/* Where the flow was observed; room is for the answer. */
static void locate(struct intake *i, struct source *room)
{
	struct flow *flow = &i->pipeline->flow;
	flow->origin = &i->origin;
	flow->source = sources_of(i->sources, &i->origin, flow, room);
}

/* To the outputs, or to the sums. */
static bool hand_over(struct intake *i)
{
	struct pipeline *p = i->pipeline;
	struct source room;
	if (p->sums != NULL) {
		p->sums_error = sums_add(p->sums, &p->flow);
		return p->sums_error == 0;
	}
	locate(i, &room);
	return !i->emitting || pipeline_emit(p, &p->flow);
}

static enum step emit(struct intake *i, struct fault *fault)
{
	if (!hand_over(i)) {
		fault_set(fault, FAULT_MEMORY, 0, 0);
		return STEP_BAD;
	}
	if (i->pipeline->watch != NULL && i->emitting)
		watch_flow(i->pipeline->watch, &i->pipeline->flow, i->pipeline->now_ms);
	i->counts->flows++;
	i->flows++;
	return STEP_OK;
}

static bool is_wanted(const struct intake *i)
{
	return i->filter == NULL || filter_keeps(i->filter, &i->pipeline->flow);
}

/* Taken, as its peer has nothing to send again, and that is all. */
static enum step leave_out(struct intake *i)
{
	i->counts->filtered++;
	i->flows++;
	return STEP_OK;
}

/* AWS lost flows itself: outputs that can, tell; with sums they have nothing yet to tell it with. */
static enum step skip(struct intake *i, struct fault *fault)
{
	struct pipeline *p = i->pipeline;
	struct source room;
	bool telling = i->emitting && p->sums == NULL;
	locate(i, &room);
	tell_skipdata(i);
	if (telling && !prepare_outputs(p, &p->flow)) {
		fault_set(fault, FAULT_MEMORY, 0, 0);
		return STEP_BAD;
	}
	for (unsigned n = 0; n < p->outputs && telling; n++)
		output_skipped(p->output[n], &p->flow);
	i->counts->skipdata++;
	return STEP_OK;
}

static bool parse(struct intake *i, const struct event *event, struct fault *fault)
{
	struct pipeline *p = i->pipeline;
	if (event->broken)
		return fault_set(fault, event->why, 0, 0);
	if (event->json)
		return logevents_parse_json(&p->flow, event->text, (unsigned)i->limits->depth,
					    &p->scratch, fault);
	if (i->format == NULL)
		return fault_set(fault, FAULT_HEADER, 0, 0);
	if (event->beyond >= QUICK_BEYOND && p->quick(&p->flow, i->format, event->text))
		return true;
	return flow_parse(&p->flow, i->format, event->text, fault);
}

static enum step convert_record(struct intake *i, const struct event *event, struct fault *fault)
{
	if (!parse(i, event, fault)) {
		if (fault->code == FAULT_MEMORY)
			return STEP_BAD;
		reject(i, event, fault);
		return STEP_OK;
	}
	switch (flow_status(&i->pipeline->flow)) {
	case FLOW_NODATA:
		i->counts->nodata++;
		return STEP_OK;
	case FLOW_SKIPDATA:
		return skip(i, fault);
	default:
		return is_wanted(i) ? emit(i, fault) : leave_out(i);
	}
}

static enum step convert(struct intake *i, const struct event *event, struct fault *fault)
{
	enum step step = convert_record(i, event, fault);
	if (step == STEP_BAD)
		return STEP_BAD;
	i->counts->events++;
	i->event++;
	return STEP_OK;
}

/* ---- a document ------------------------------------------------------------------------------ */

/* A header line's format holds from here on. */
static enum step take_header(struct intake *i, struct slice line, struct fault *fault)
{
	struct slice where;
	if (i->header == NULL)
		i->header = malloc(sizeof(*i->header));
	if (i->header == NULL) {
		fault_set(fault, FAULT_MEMORY, 0, 0);
		return STEP_BAD;
	}
	i->header_holds = true;
	bool good = format_parse(i->header, line, (unsigned)i->limits->columns, &where) ==
		    FORMAT_OK;
	i->format = good ? i->header : NULL;
	if (good) {
		tell_unknown_fields(i, i->header);
		tell_hidden(i, i->header);
	}
	return STEP_OK;
}

/* A name from the envelope; nothing when it is no text. False without memory. */
static bool origin_name(struct intake *i, struct slice written, struct slice *name)
{
	struct fault fault;
	if (json_is_string(written) && !json_text(written, &i->origin_text, name, &fault))
		return fault.code != FAULT_MEMORY;
	return true;
}

/* Who sent it. Without that its records might be taken for another's: false without memory. */
static bool open_cloudwatch(struct intake *i, const struct document *d)
{
	struct buf *text = &i->origin_text;
	text->len = 0;
	if (d->group.len + d->owner.len > text->max)
		return true;
	/* Both names stay where they are when the room is there before the first. */
	return buf_reserve(text, d->group.len + d->owner.len) &&
	       origin_name(i, d->group, &i->origin.group) &&
	       origin_name(i, d->owner, &i->origin.account);
}

static bool open_document(struct intake *i)
{
	const struct document *d = i->documents.first;
	i->open = true;
	i->origin = (struct origin){ .number = ++i->pipeline->documents };
	logevents_open(&i->events, d);
	if (d->kind == DOCUMENT_CONTROL)
		i->counts->control_messages++;
	if (d->kind == DOCUMENT_CLOUDWATCH && !open_cloudwatch(i, d))
		return false;
	if (d->kind != DOCUMENT_LINES || d->first_lines)
		i->header_holds = false;
	if (!i->header_holds)
		i->format = sources_format(i->sources, &i->origin);
	return true;
}

static bool may_be_header(const struct event *event)
{
	return event->line && event->text.data[0] >= 'a' && event->text.data[0] <= 'z' &&
	       format_is_header(event->text);
}

/* What is only counted needs no room in the outputs. */
static bool may_convert(const struct intake *i)
{
	return i->event >= i->emit_to || !pipeline_full(i->pipeline);
}

/* Converts up to a turn's worth. STEP_OK: documents are left. STEP_MORE: none is. */
static enum step convert_documents(struct intake *i, struct fault *fault)
{
	for (unsigned n = 0; n < EVENTS_A_TURN && may_convert(i); n++) {
		struct event event;
		place_event(i);
		if (!i->open) {
			if (documents_empty(&i->documents))
				return STEP_MORE;
			if (!open_document(i)) {
				fault_set(fault, FAULT_MEMORY, 0, 0);
				return STEP_BAD;
			}
		}
		if (!logevents_next(&i->events, &event)) {
			documents_drop_first(&i->documents);
			i->documents_done++;
			i->open = false;
			continue;
		}
		enum step step = may_be_header(&event) ? take_header(i, event.text, fault)
						       : convert(i, &event, fault);
		if (step == STEP_BAD)
			return STEP_BAD;
	}
	return STEP_OK;
}

/* ---- a turn ---------------------------------------------------------------------------------- */

/* Octets that unpacking has used, as they are and inflated. */
static uint64_t gathered(const struct intake *i, size_t given, struct slice in)
{
	return given - in.len + payload_ahead(i->payload) +
	       payload_counts(i->payload)->bytes_inflated;
}

/* All documents first; only when the last is known to be good the first is converted. */
static enum step unpack_whole(struct intake *i, struct slice *in, struct fault *fault)
{
	size_t given = in->len;
	uint64_t most = gathered(i, given, *in) + OCTETS_A_TURN;
	enum step step = STEP_OK;
	while (step == STEP_OK && gathered(i, given, *in) < most)
		step = payload_next(i->payload, in, true, &i->documents, fault);
	if (step != STEP_MORE)
		return step;
	i->unpacked = true;
	if (documents_empty(&i->documents)) {
		fault_set(fault, FAULT_EMPTY, 0, 0);
		return STEP_BAD;
	}
	return STEP_OK;
}

static enum step run_whole(struct intake *i, struct slice *in, struct fault *fault)
{
	if (!i->unpacked)
		return unpack_whole(i, in, fault);
	enum step step = convert_documents(i, fault);
	if (step == STEP_MORE && i->flows == 0 && i->rejected > 0) {
		fault_set(fault, FAULT_NOTHING, 0, 0);
		return STEP_BAD;
	}
	return step;
}

/* What came out before the damage stands, and is converted before it is told. */
static enum step run_stream(struct intake *i, struct slice *in, bool end, struct fault *fault)
{
	if (intake_pending(i)) {
		enum step step = convert_documents(i, fault);
		return step == STEP_MORE ? STEP_OK : step;
	}
	enum step step = i->damaged ? STEP_BAD : STEP_OK;
	i->damaged = false;
	size_t given = in->len;
	uint64_t most = gathered(i, given, *in) + OCTETS_A_TURN;
	while (step == STEP_OK && documents_empty(&i->documents) && gathered(i, given, *in) < most)
		step = payload_next(i->payload, in, end, &i->documents, &i->damage);
	if (step == STEP_BAD && intake_pending(i)) {
		i->damaged = true;
		return STEP_OK;
	}
	*fault = i->damage;
	return intake_pending(i) ? STEP_OK : step;
}

enum step intake_run(struct intake *i, struct slice *in, bool end, struct fault *fault)
{
	return i->source == PAYLOAD_WHOLE ? run_whole(i, in, fault) : run_stream(i, in, end, fault);
}
