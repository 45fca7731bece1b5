/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each stage of the pipeline costs, in memory: payload files are read once, then converted again
 * and again. Outputs hand their blocks to a transport that drops them (transport_writer), so
 * encoders and outputs are the real ones and no kernel takes part.
 *
 *   pipeline [--rounds N] [--csv FILE] [--flow-format FORMAT] PAYLOAD...
 *
 * A row a stage, each with all stages before it: nanoseconds of processor time an event, the median of
 * the rounds, and how many times what inflating the same payloads and nothing else takes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "decode/gunzip.h"
#include "deliver/transport.h"
#include "pipeline.h"

enum {
	ROUNDS = 7,
	ROUNDS_MOST = 101,
	READ = 64 * 1024,     /* octets of an unframed peer at a time */
	ROUND_NS = 100000000, /* a round is at least so long */
	MESSAGE_MOST = 65535,
};

struct file {
	char *octets;
	size_t len;
};

struct bench {
	struct file *file;
	size_t files;
	unsigned rounds;
	struct limits limits;
	struct format format;
	struct sources sources;
	uint64_t events; /* of all files */
	uv_loop_t loop;
	FILE *csv;
	double fast; /* ns an event of inflating alone, by the engine in use and by zlib */
	double zlib;
};

static void fail(const char *what)
{
	fprintf(stderr, "pipeline: %s\n", what);
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
		fail("no memory");
	**t = (struct transport){ .class = &transport_writer, .output = o };
	output_session(o);
	return 0;
}

/* ---- stages: each goes over all files once --------------------------------------------------- */

static void inflate_file(const struct inflater_class *engine, const struct bench *b,
			 const struct file *f)
{
	struct slice in = slice_of(f->octets, f->len);
	struct slice out;
	struct fault fault;
	struct gunzip *g = gunzip_new_by(engine, &b->limits, NULL);
	enum step step = STEP_OK;
	while (g != NULL && step == STEP_OK)
		step = gunzip_next(g, &in, &out, &fault);
	if (step != STEP_MORE)
		fail("a payload is no gzip");
	gunzip_free(&g);
}

static void stage_inflate(const struct bench *b, void *engine)
{
	for (size_t i = 0; i < b->files; i++)
		inflate_file(*(const struct inflater_class **)engine, b, &b->file[i]);
}

static void stage_scan(const struct bench *b, void *unused)
{
	(void)unused;
	for (size_t i = 0; i < b->files; i++) {
		struct stats stats = { .events = 0 };
		struct payload *p = payload_new(PAYLOAD_WHOLE, &b->limits, &stats);
		struct slice in = slice_of(b->file[i].octets, b->file[i].len);
		struct documents documents;
		struct fault fault;
		enum step step = STEP_OK;
		documents_init(&documents);
		while (p != NULL && step == STEP_OK)
			step = payload_next(p, &in, true, &documents, &fault);
		if (step != STEP_MORE)
			fail("a payload cannot be unpacked");
		documents_free(&documents);
		payload_free(&p);
	}
}

/* A pipeline with at most one output, and how payloads come. */
struct way {
	const struct encoder_class *encoder; /* NULL: no output */
	enum payload_source source;
};

static void convert_file(struct pipeline *p, enum payload_source source, const struct file *f)
{
	struct intake *i = intake_new(p, source, "bench");
	size_t piece = source == PAYLOAD_WHOLE ? f->len : READ;
	struct fault fault;
	enum step step = STEP_MORE;
	if (i == NULL)
		fail("no memory");
	for (size_t done = 0; step == STEP_MORE && done < f->len; done += piece) {
		size_t n = piece < f->len - done ? piece : f->len - done;
		struct slice in = slice_of(f->octets + done, n);
		do
			step = intake_run(i, &in, done + n == f->len, &fault);
		while (step == STEP_OK);
	}
	if (step == STEP_BAD)
		fail(fault_text(fault.code));
	pipeline_flush(p);
	intake_free(&i);
}

/* A pipeline that is made once and converts again and again. */
struct run {
	enum payload_source source;
	struct pipeline pipeline;
	struct output_config config;
	struct stats stats;
	struct once once;
	char name[8];
};

static struct run *run_new(struct bench *b, const struct way *way)
{
	struct run *r = calloc(1, sizeof(*r));
	if (r == NULL)
		fail("no memory");
	r->source = way->source;
	r->config = (struct output_config){
		.name = r->name,
		.destination = { .kind = DESTINATION_FILE, .path = r->name },
		.encoder = { .class = way->encoder, .message_size = MESSAGE_MOST },
	};
	pipeline_init(&r->pipeline, &b->limits, &b->sources, &r->stats, &r->once);
	if (way->encoder != NULL) {
		if (output_open(&r->pipeline.output[0], &r->config, NULL, &b->loop, NULL, NULL) !=
		    0)
			fail("no memory");
		r->pipeline.outputs = 1;
	}
	return r;
}

static void run_free(struct bench *b, struct run *r)
{
	if (r->pipeline.outputs > 0)
		output_close(&r->pipeline.output[0], false);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	pipeline_deinit(&r->pipeline);
	free(r);
}

static void stage_convert(const struct bench *b, void *run)
{
	struct run *r = run;
	for (size_t i = 0; i < b->files; i++)
		convert_file(&r->pipeline, r->source, &b->file[i]);
}

/* ---- time ------------------------------------------------------------------------------------ */

static double processor_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Nanoseconds an event, the median of the rounds. */
static double measure(const struct bench *b, void (*stage)(const struct bench *, void *),
		      void *argument)
{
	double round[ROUNDS_MOST];
	stage(b, argument);
	for (unsigned i = 0; i < b->rounds; i++) {
		double began = processor_ns();
		double took;
		unsigned times = 0;
		do {
			stage(b, argument);
			times++;
			took = processor_ns() - began;
		} while (took < ROUND_NS);
		round[i] = took / times / (double)b->events;
	}
	qsort(round, b->rounds, sizeof(*round), compare);
	return round[b->rounds / 2];
}

static double measure_way(struct bench *b, const struct encoder_class *encoder,
			  enum payload_source source)
{
	struct run *r = run_new(b, &(struct way){ encoder, source });
	double ns = measure(b, stage_convert, r);
	run_free(b, r);
	return ns;
}

static void row(const struct bench *b, const char *name, double ns)
{
	printf("%-28s %8.1f %8.2f %8.2f\n", name, ns, ns / b->fast, ns / b->zlib);
	if (b->csv != NULL)
		fprintf(b->csv, "%s,%.1f,%.3f,%.3f\n", name, ns, ns / b->fast, ns / b->zlib);
}

static void table(struct bench *b)
{
	const struct inflater_class *fast = gunzip_engine();
	const struct inflater_class *zlib = &inflater_zlib;
	char name[64];
	b->fast = measure(b, stage_inflate, &fast);
	b->zlib = measure(b, stage_inflate, &zlib);
	printf("%-28s %8s %8s %8s\n", "stage", "ns/event", "x fast", "x zlib");
	if (b->csv != NULL)
		fprintf(b->csv, "stage,ns_event,ratio_fast,ratio_zlib\n");
	(void)snprintf(name, sizeof(name), "inflate (%s)", fast->name);
	row(b, name, b->fast);
	row(b, "inflate (zlib)", b->zlib);
	row(b, "scan", measure(b, stage_scan, NULL));
	row(b, "parse", measure_way(b, NULL, PAYLOAD_WHOLE));
	for (size_t i = 0; encoder_classes[i] != NULL; i++)
		row(b, encoder_classes[i]->name, measure_way(b, encoder_classes[i], PAYLOAD_WHOLE));
	row(b, "ftsq unframed", measure_way(b, &encoder_ftsq, PAYLOAD_STREAM));
}

static uint64_t count_events(struct bench *b)
{
	struct run *r = run_new(b, &(struct way){ NULL, PAYLOAD_WHOLE });
	stage_convert(b, r);
	uint64_t events = r->stats.events;
	run_free(b, r);
	return events;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void read_file(const char *path, struct file *f)
{
	FILE *in = fopen(path, "rb");
	if (in == NULL || fseek(in, 0, SEEK_END) != 0)
		fail(path);
	long len = ftell(in);
	rewind(in);
	f->len = len > 0 ? (size_t)len : 0;
	f->octets = malloc(f->len);
	if (f->len == 0 || f->octets == NULL || fread(f->octets, 1, f->len, in) != f->len)
		fail(path);
	fclose(in);
}

static void use_format(struct bench *b, const char *text)
{
	struct slice where;
	if (format_parse(&b->format, slice_text(text), COLUMN_LIMIT, &where) != FORMAT_OK)
		fail("not a flow format");
}

static int options(struct bench *b, int argc, char **argv)
{
	int at = 1;
	for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
		if (strcmp(argv[at], "--rounds") == 0)
			b->rounds = (unsigned)strtoul(argv[at + 1], NULL, 10);
		else if (strcmp(argv[at], "--flow-format") == 0)
			use_format(b, argv[at + 1]);
		else if (strcmp(argv[at], "--csv") == 0)
			b->csv = fopen(argv[at + 1], "w");
		else
			fail("unknown option");
	}
	if (at == argc || b->rounds == 0 || b->rounds > ROUNDS_MOST)
		fail("[--rounds N] [--csv FILE] [--flow-format FORMAT] PAYLOAD...");
	return at;
}

int main(int argc, char **argv)
{
	static struct bench b = { .rounds = ROUNDS };
	b.limits = limits_standard();
	use_format(&b, "default");
	int first = options(&b, argc, argv);
	b.sources = (struct sources){ .format = &b.format, .standard = { .domain = 1 } };
	if (!source_set_exporter(&b.sources.standard, SLICE_LITERAL("127.0.0.1")))
		return 1;
	b.files = (size_t)(argc - first);
	b.file = calloc(b.files, sizeof(*b.file));
	if (b.file == NULL || uv_loop_init(&b.loop) != 0)
		fail("no memory");
	for (size_t i = 0; i < b.files; i++)
		read_file(argv[first + (int)i], &b.file[i]);
	b.events = count_events(&b);
	if (b.events == 0)
		fail("no events");
	table(&b);
	for (size_t i = 0; i < b.files; i++)
		free(b.file[i].octets);
	free(b.file);
	if (b.csv != NULL)
		fclose(b.csv);
	return uv_loop_close(&b.loop) == 0 ? 0 : 1;
}
