/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_TESTS_BENCH_STAGES_H
#define VPCFLOWD_TESTS_BENCH_STAGES_H

#include <uv.h>

#include "decode/inflater.h"
#include "file.h"
#include "flow/filter.h"
#include "pipeline.h"

/* Payloads of one kind, which are measured together. Owns its files. */
struct set {
	const char *name;
	struct format format;
	struct sources sources; /* of the format */
	struct file *file;
	size_t files;
	uint64_t events; /* of all files */
};

/* What stages work with. */
struct bench {
	struct limits limits;
	uv_loop_t loop;
};

/*
 * One way over a set's payloads, with everything that comes before it on the pipeline's way. Made once
 * for a sample, run again and again.
 */
struct run;

struct stage {
	const char *name;
	void (*pass)(struct run *r);
	/* For pass_convert: NULL for no output, and how payloads come. */
	const struct encoder_class *encoder;
	enum payload_source source;
	/* For pass_inflate: NULL for the engine that vpcflowd uses. */
	const struct inflater_class *engine;
	/* For pass_convert: --filter's expression, or NULL. */
	const char *filter;
};

/* Ended by one without a name. */
extern const struct stage stages[];

/* Ends the process with what is wrong when anything is: so does everything here. */
_Noreturn void bench_fail(const char *what, const char *which);

struct run *run_new(struct bench *b, const struct set *set, const struct stage *stage);
/* All payloads of the set, once. */
void run_pass(struct run *r);
/* Events that its passes have converted; of stages that convert. */
uint64_t run_events(const struct run *r);
void run_free(struct run **r);

#endif
