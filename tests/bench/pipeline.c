/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each stage of the pipeline costs, in memory: payload files are read once, then go through each
 * stage again and again, with all stages before it.
 *
 *   bench_pipeline [--rounds N] [--sample MS] [--stage NAME]... {--set NAME FORMAT FILE...}...
 *
 * Comes in: files of payloads, a set of them of one flow format at a time. Goes out: CSV, a line a
 * sample: set,stage,round,ns_event, nanoseconds of processor time. A round takes one sample of every
 * stage of every set, so that what is compared was measured beside each other, and whatever the machine
 * does meanwhile meets all of it. scripts/bench makes medians and ratios of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/number.h"
#include "stages.h"

enum { SETS = 16, STAGES_ASKED = 16, ROUNDS_MOST = 1000, SAMPLE_MOST = 10000 };

struct asked {
	uint64_t rounds;
	uint64_t sample_ms;
	const char *stage[STAGES_ASKED]; /* none: all */
	unsigned stages;
	struct set set[SETS];
	unsigned sets;
};

/* ---- measuring ------------------------------------------------------------------------------- */

static double processor_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Nanoseconds an event. A first pass that does not count warms caches up. */
static double sample(struct bench *b, const struct set *set, const struct stage *stage,
		     uint64_t sample_ms)
{
	struct run *r = run_new(b, set, stage);
	unsigned passes = 0;
	double took;
	run_pass(r);
	double began = processor_ns();
	do {
		run_pass(r);
		passes++;
		took = processor_ns() - began;
	} while (took < (double)sample_ms * 1e6);
	run_free(&r);
	return took / passes / (double)set->events;
}

static bool is_asked(const struct asked *a, const char *name)
{
	for (unsigned i = 0; i < a->stages; i++)
		if (strcmp(a->stage[i], name) == 0)
			return true;
	return a->stages == 0;
}

static void round_of_all(struct bench *b, const struct asked *a, uint64_t round)
{
	for (unsigned i = 0; i < a->sets; i++)
		for (const struct stage *s = stages; s->name != NULL; s++)
			if (is_asked(a, s->name))
				printf("%s,%s,%llu,%.2f\n", a->set[i].name, s->name,
				       (unsigned long long)round,
				       sample(b, &a->set[i], s, a->sample_ms));
	fflush(stdout);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static void count_events(struct bench *b, struct set *set)
{
	static const struct stage *parse = stages;
	while (strcmp(parse->name, "parse") != 0)
		parse++;
	struct run *r = run_new(b, set, parse);
	run_pass(r);
	set->events = run_events(r);
	run_free(&r);
	if (set->events == 0)
		bench_fail("no events", set->name);
}

/* NAME FORMAT FILE... up to the next option; how many arguments that were. */
static int read_set(struct bench *b, struct set *set, char **argv)
{
	struct slice where;
	int at = 2;
	if (argv[0] == NULL || argv[1] == NULL)
		bench_fail("has no name and format", "--set");
	set->name = argv[0];
	if (format_parse(&set->format, slice_text(argv[1]), COLUMN_LIMIT, &where) != FORMAT_OK)
		bench_fail("not a flow format", argv[1]);
	set->sources = (struct sources){ .format = &set->format, .standard = { .domain = 1 } };
	if (!source_set_exporter(&set->sources.standard, SLICE_LITERAL("127.0.0.1")))
		bench_fail("no exporter", set->name);
	while (argv[at] != NULL && argv[at][0] != '-')
		at++;
	set->files = (size_t)at - 2;
	set->file = calloc(set->files + 1, sizeof(*set->file));
	if (set->file == NULL)
		bench_fail("no memory", set->name);
	for (size_t i = 0; i < set->files; i++)
		if (file_read(&set->file[i], argv[2 + i]) != 0)
			bench_fail("cannot be read", argv[2 + i]);
	count_events(b, set);
	return at;
}

static uint64_t number(const char *option, const char *text, uint64_t most)
{
	uint64_t n = 0;
	if (text == NULL || !number_parse(slice_text(text), most, &n) || n == 0)
		bench_fail("takes a number", option);
	return n;
}

static void options(struct bench *b, struct asked *a, char **argv)
{
	while (*argv != NULL) {
		const char *option = *argv++;
		if (strcmp(option, "--rounds") == 0)
			a->rounds = number(option, *argv++, ROUNDS_MOST);
		else if (strcmp(option, "--sample") == 0)
			a->sample_ms = number(option, *argv++, SAMPLE_MOST);
		else if (strcmp(option, "--stage") == 0 && *argv && a->stages < STAGES_ASKED)
			a->stage[a->stages++] = *argv++;
		else if (strcmp(option, "--set") == 0 && a->sets < SETS)
			argv += read_set(b, &a->set[a->sets++], argv);
		else
			bench_fail("unknown, or too many", option);
	}
	if (a->sets == 0)
		bench_fail("missing", "--set");
}

static void free_sets(struct asked *a)
{
	for (unsigned i = 0; i < a->sets; i++) {
		for (size_t n = 0; n < a->set[i].files; n++)
			file_free(&a->set[i].file[n]);
		free(a->set[i].file);
	}
}

int main(int argc, char **argv)
{
	static struct asked a = { .rounds = 5, .sample_ms = 50 };
	static struct bench b;
	(void)argc;
	b.limits = limits_standard();
	if (uv_loop_init(&b.loop) != 0)
		bench_fail("no memory", "loop");
	options(&b, &a, argv + 1);
	printf("set,stage,round,ns_event\n");
	for (uint64_t round = 0; round < a.rounds; round++)
		round_of_all(&b, &a, round);
	free_sets(&a);
	return uv_loop_close(&b.loop) == 0 ? 0 : 1;
}
