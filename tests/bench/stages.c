/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipeline's stages over payloads that lie in memory, by the functions that ship. Outputs hand their
 * blocks to a transport that drops them (transport_writer), so encoders and outputs are the real ones
 * and no kernel takes part. A payload that is not good ends the benchmark: nothing is measured of it.
 */
#include "stages.h"

#include <stdio.h>
#include <stdlib.h>

#include "decode/gunzip.h"
#include "deliver/transport.h"

enum {
	READ = 64 * 1024, /* octets of an unframed peer at a time */
	MESSAGE_MOST = 65535,
	TICK_EVENTS = 250000, /* that go by between two ticks of a watch, of a million a second */
};

struct run {
	struct bench *bench;
	const struct set *set;
	const struct stage *stage;
	/* of stages that convert */
	struct pipeline pipeline;
	struct filter *filter;
	struct output_config config;
	struct stats stats;
	struct once once;
	char name[8];
	uint64_t ticked; /* events until the last tick */
};

void bench_fail(const char *what, const char *which)
{
	fprintf(stderr, "bench_pipeline: %s: %s\n", which, what);
	exit(1);
}

/* ---- a transport that drops ------------------------------------------------------------------ */

static void drop_blocks(struct transport *t)
{
	struct block *b;
	while ((b = output_pull(t->output)) != NULL) {
		output_delivered(t->output, b);
		output_recycle(t->output, b);
	}
}

static int drop_open(struct transport **t, struct output *o, uv_loop_t *loop,
		     struct transport *beside);

static void drop_close(struct transport *t, bool abort)
{
	struct output *o = t->output;
	(void)abort;
	drop_blocks(t);
	free(t);
	output_closed(o);
}

/* Takes the place of the writer of files, which is in a library and so is not linked. */
const struct transport_class transport_writer = {
	.hand_over = TRANSPORT_HAND_OVER,
	.open = drop_open,
	.kick = drop_blocks,
	.close = drop_close,
};

static int drop_open(struct transport **t, struct output *o, uv_loop_t *loop,
		     struct transport *beside)
{
	(void)loop;
	(void)beside;
	*t = malloc(sizeof(**t));
	if (*t == NULL)
		return -ENOMEM;
	**t = (struct transport){ .class = &transport_writer, .output = o };
	output_session(o);
	return 0;
}

/* ---- stages: each goes over all files once --------------------------------------------------- */

static void pass_inflate(struct run *r)
{
	const struct inflater_class *engine = r->stage->engine ? r->stage->engine : gunzip_engine();
	for (size_t i = 0; i < r->set->files; i++) {
		struct slice in = slice_of(r->set->file[i].octets, r->set->file[i].len);
		struct slice out;
		struct fault fault;
		struct gunzip *g = gunzip_new_by(engine, &r->bench->limits, NULL);
		enum step step = STEP_OK;
		while (g != NULL && step == STEP_OK)
			step = gunzip_next(g, &in, &out, &fault);
		if (step != STEP_MORE)
			bench_fail("not gzip", r->set->name);
		gunzip_free(&g);
	}
}

/* Unpacks one payload to documents. */
static void unpack(struct run *r, const struct file *f, struct documents *documents,
		   struct payload **p)
{
	struct slice in = slice_of(f->octets, f->len);
	struct fault fault;
	enum step step = STEP_OK;
	documents_init(documents);
	*p = payload_new(PAYLOAD_WHOLE, &r->bench->limits, &r->stats);
	while (*p != NULL && step == STEP_OK)
		step = payload_next(*p, &in, true, documents, &fault);
	if (step != STEP_MORE)
		bench_fail("cannot be unpacked", r->set->name);
}

static void pass_scan(struct run *r)
{
	for (size_t i = 0; i < r->set->files; i++) {
		struct documents documents;
		struct payload *p;
		unpack(r, &r->set->file[i], &documents, &p);
		documents_free(&documents);
		payload_free(&p);
	}
}

static void pass_events(struct run *r)
{
	struct logevents events;
	struct event event;
	logevents_init(&events);
	for (size_t i = 0; i < r->set->files; i++) {
		struct documents documents;
		struct payload *p;
		unpack(r, &r->set->file[i], &documents, &p);
		while (!documents_empty(&documents)) {
			logevents_open(&events, documents.first);
			while (logevents_next(&events, &event))
				r->stats.events++;
			documents_drop_first(&documents);
		}
		documents_free(&documents);
		payload_free(&p);
	}
	logevents_deinit(&events);
}

static void convert_file(struct run *r, const struct file *f)
{
	struct intake *i = intake_new(&r->pipeline, r->stage->source, "bench");
	size_t piece = r->stage->source == PAYLOAD_WHOLE ? f->len : READ;
	struct fault fault;
	enum step step = STEP_MORE;
	if (i == NULL)
		bench_fail("no memory", r->set->name);
	for (size_t done = 0; step == STEP_MORE && done < f->len; done += piece) {
		size_t n = piece < f->len - done ? piece : f->len - done;
		struct slice in = slice_of(f->octets + done, n);
		do
			step = intake_run(i, &in, done + n == f->len, &fault);
		while (step == STEP_OK);
	}
	if (step == STEP_BAD)
		bench_fail(fault_text(fault.code), r->set->name);
	pipeline_flush(&r->pipeline);
	intake_free(&i);
}

static void pass_convert(struct run *r)
{
	for (size_t i = 0; i < r->set->files; i++)
		convert_file(r, &r->set->file[i]);
}

/* With what --http adds: who talks and who is refused. */
static void pass_watched(struct run *r)
{
	pass_convert(r);
	if (r->stats.events - r->ticked < TICK_EVENTS)
		return;
	r->ticked = r->stats.events;
	r->pipeline.now_ms += 250;
	watch_tick(r->pipeline.watch, r->pipeline.now_ms);
}

const struct stage stages[] = {
	{ .name = "inflate", .pass = pass_inflate },
	{ .name = "inflate-zlib", .pass = pass_inflate, .engine = &inflater_zlib },
	{ .name = "scan", .pass = pass_scan },
	{ .name = "events", .pass = pass_events },
	{ .name = "parse", .pass = pass_convert, .source = PAYLOAD_WHOLE },
	/* All of them are wanted, so that every term is asked. */
	{ .name = "filter",
	  .pass = pass_convert,
	  .source = PAYLOAD_WHOLE,
	  .filter =
		  "action in ACCEPT,REJECT and dstport not in 23,25 and not srcaddr in 192.0.2.0/24" },
	{ "ftsq", pass_convert, &encoder_ftsq, PAYLOAD_WHOLE, NULL, NULL },
	{ "csv", pass_convert, &encoder_csv, PAYLOAD_WHOLE, NULL, NULL },
	{ "json", pass_convert, &encoder_json, PAYLOAD_WHOLE, NULL, NULL },
	{ "ipfix", pass_convert, &encoder_ipfix, PAYLOAD_WHOLE, NULL, NULL },
	{ "ipfix-csv", pass_convert, &encoder_ipfix_csv, PAYLOAD_WHOLE, NULL, NULL },
	{ "ftsq-unframed", pass_convert, &encoder_ftsq, PAYLOAD_STREAM, NULL, NULL },
	{ "ftsq-watched", pass_watched, &encoder_ftsq, PAYLOAD_WHOLE, NULL, NULL },
	{ .name = NULL },
};

/* ---- runs ------------------------------------------------------------------------------------ */

static void open_output(struct run *r)
{
	r->config = (struct output_config){
		.name = r->name,
		.destination = { .kind = DESTINATION_FILE, .path = r->name },
		.encoder = { .class = r->stage->encoder, .message_size = MESSAGE_MOST },
	};
	if (output_open(&r->pipeline.output[0], &r->config, NULL, &r->bench->loop, NULL, NULL) != 0)
		bench_fail("no output", r->stage->name);
	r->pipeline.outputs = 1;
}

static void use_filter(struct run *r)
{
	struct filter_mistake mistake;
	if (!filter_compile(&r->filter, slice_text(r->stage->filter), &mistake))
		bench_fail(mistake.why, r->stage->name);
	r->pipeline.filter = r->filter;
}

/* The same every time, so that what is measured is. */
static const struct heavy_seed seed = { { 0x243f6a8885a308d3, 0x13198a2e03707344,
					  0xa4093822299f31d0, 0x082efa98ec4e6c89 } };

struct run *run_new(struct bench *b, const struct set *set, const struct stage *stage)
{
	struct run *r = calloc(1, sizeof(*r));
	if (r == NULL)
		bench_fail("no memory", set->name);
	r->bench = b;
	r->set = set;
	r->stage = stage;
	pipeline_init(&r->pipeline, &b->limits, &set->sources, &r->stats, &r->once);
	if (stage->encoder != NULL)
		open_output(r);
	if (stage->filter != NULL)
		use_filter(r);
	if (stage->pass == pass_watched)
		r->pipeline.watch = watch_new(&seed);
	if (stage->pass == pass_watched && r->pipeline.watch == NULL)
		bench_fail("no memory", set->name);
	return r;
}

void run_pass(struct run *r)
{
	r->stage->pass(r);
}

uint64_t run_events(const struct run *r)
{
	return r->stats.events;
}

void run_free(struct run **r)
{
	if ((*r)->pipeline.outputs > 0)
		output_close(&(*r)->pipeline.output[0], false);
	uv_run(&(*r)->bench->loop, UV_RUN_DEFAULT);
	pipeline_deinit(&(*r)->pipeline);
	filter_free(&(*r)->filter);
	watch_free(&(*r)->pipeline.watch);
	free(*r);
	*r = NULL;
}
