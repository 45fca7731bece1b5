/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_OUTPUT_H
#define VPCFLOWD_DELIVER_OUTPUT_H

#include <stdint.h>
#include <uv.h>

#include "base/attributes.h"
#include "deliver/block.h"
#include "encode/encoder.h"

/* What -o asked for. The texts live as long as the configuration. */
struct output_config {
	char *name; /* as given, for log lines */
	const struct encoder_class *class;
	char *path;		      /* NULL: standard output */
	const struct format *columns; /* NULL: not asked for */
	bool wait_for_space;
};

/*
 * One output of one worker: an encoder, the block it fills, and what was promised of it.
 *
 *   position   octets encoded since the start; a payload's flows are delivered once
 *   written >= the position after its last flow
 *
 * All but output_finished() belongs to the worker's thread.
 */
struct output;

/* Something was written, or failed (output_error). */
typedef void (*output_progress_cb)(void *data);

/* Opens the destination. The loop must run until output_close has called back. */
MUST_CHECK int output_open(struct output **o, const struct output_config *config, uv_loop_t *loop,
			   output_progress_cb on_progress, void *data);

/*
 * Decides the columns of an output that names them first, unless --fields did, and hands over its
 * preamble. Must come before the first flow; later calls do nothing. False without memory.
 */
MUST_CHECK bool output_begin(struct output *o, const struct format *columns);

/* Encodes a flow, or counts it as no_address. False without memory. */
MUST_CHECK bool output_flow(struct output *o, const struct flow *flow);
/* Hands what was encoded to the writer. */
void output_flush(struct output *o);
/* Above the high mark, until below the low one: encode nothing more. */
bool output_full(const struct output *o);

/* Whether nothing is open and nothing with the writer. */
bool output_idle(const struct output *o);
uint64_t output_position(const struct output *o);
uint64_t output_written(const struct output *o);
/* 0, or why nothing more can be written. */
int output_error(const struct output *o);
/* Records that were left out. */
uint64_t output_no_address(const struct output *o);
/*
 * How many columns of a format the output does not show, though nobody asked for that with
 * --fields: its header was written before.
 */
unsigned output_hides(const struct output *o, const struct format *format);
const char *output_name(const struct output *o);

/* Opens a file anew, after what was encoded until now is written. */
void output_reopen(struct output *o);
/* Prints its counters as outputN_name=value lines. */
void output_print_stats(const struct output *o, unsigned number, FILE *out);

/*
 * Ends the output: what is encoded is written first, or given up with abort. Frees it once its
 * handle is closed, so the loop has to run once more.
 */
void output_close(struct output **o, bool abort);

/* For the writer's thread: gives a block back, done or failed. */
void output_finished(struct block *block);

#endif
