/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_OUTPUT_H
#define VPCFLOWD_DELIVER_OUTPUT_H

#include <stdio.h>
#include <uv.h>

#include "base/attributes.h"
#include "base/stats.h"
#include "base/tls.h"
#include "deliver/block.h"
#include "deliver/destination.h"
#include "encode/encoder.h"

/* What -o asked for, and what holds for all outputs. Lives as long as the output. */
struct output_config {
	char *name; /* as given, for log lines */
	struct destination destination;
	struct encoder_settings encoder;
	bool wait_for_space;	   /* files: a full disk is waited for */
	bool mend_lines;	   /* text files: a last line without an end is removed */
	bool patient;		   /* a first session may be waited for as long as it takes */
	uint64_t udp_rate;	   /* records a second, 0 for no limit */
	uint64_t reconnect_max_ms; /* the longest pause between two tries */
};

/*
 * One output of one worker: an encoder, the blocks it fills, a transport that carries them away, and
 * what was promised of them.
 *
 *   taken      flows encoded since the start
 *   delivered  of these, without a gap from the first: a payload is delivered once this has reached
 *              taken as it was after its last flow
 *
 * Belongs to the worker's thread.
 */
struct output;

/* Something was delivered, failed (output_error), or came up (output_was_up). */
typedef void (*output_progress_cb)(void *data);

/*
 * Opens the destination, or begins to. The loop must run until the output is closed. beside: the same
 * output of another worker, not closed yet, or NULL. They share a file or standard output; to a
 * collector each has a session of its own.
 */
MUST_CHECK int output_open(struct output **o, const struct output_config *config,
			   const struct output *beside, uv_loop_t *loop,
			   output_progress_cb on_progress, void *data);

/* What sessions over TLS begin with from now on; NULL changes nothing. */
void output_set_tls(struct output *o, struct tls_context *tls);

/* Whether its first session has begun: what was to be opened or connected is. */
bool output_was_up(const struct output *o);
/* Whether there is a session now. */
bool output_is_up(const struct output *o);

/*
 * Decides the columns of an output that names them first, unless --fields did; else the first flow
 * does. Later calls do nothing. False without memory.
 */
MUST_CHECK bool output_begin(struct output *o, const struct format *columns);

/*
 * Gets what output_flow or output_skipped takes for this flow, which then cannot fail: where there are
 * several outputs, all of them get a flow or none. False without memory.
 */
MUST_CHECK bool output_prepare(struct output *o, const struct flow *flow);
/* Encodes a flow, or counts it as no_address. It must have been prepared. */
void output_flow(struct output *o, const struct flow *flow);
/*
 * A record that is not sent, as one that stands for flows that AWS lost itself (SKIPDATA): IPFIX
 * tells collectors how many. It must have been prepared.
 */
void output_skipped(struct output *o, const struct flow *flow);
/* Hands what was encoded to the transport. */
void output_flush(struct output *o);
/* No more is to come: hands over what else is to be told, too. */
void output_last_call(struct output *o);
/* Above the high mark, until below the low one: encode nothing more. */
bool output_full(const struct output *o);

/*
 * Whether everything is delivered, headers and templates too. What was delivered once and would be
 * sent again, as the collector may not have read it, does not count.
 */
bool output_idle(const struct output *o);
uint64_t output_taken(const struct output *o);
uint64_t output_delivered_flows(const struct output *o);
/* 0, or why nothing more can be delivered. */
int output_error(const struct output *o);
/*
 * How many columns of a format the output does not show, though nobody asked for that with
 * --fields: its header was written before.
 */
unsigned output_hides(const struct output *o, const struct format *format);
const char *output_name(const struct output *o);

/*
 * Opens a file anew, after what was encoded until now is written. hup: how many times the process was
 * told to, as a file that several share is opened anew once.
 */
void output_reopen(struct output *o, unsigned hup);

/* Which outputs have a counter. */
enum output_kind {
	EVERY,
	NETWORK,
	AWS, /* --aws-elements */
};

/*
 * What an output counts: name, which outputs, type, metric (vpcflowd_output_ before it), meaning.
 */
#define OUTPUT_COUNTERS(X)                                                                         \
	X(flows, EVERY, COUNTER, "flows_total", "records taken")                                   \
	X(no_address, EVERY, COUNTER, "no_address_total",                                          \
	  "records left out for want of addresses")                                                \
	X(texts_cut, AWS, COUNTER, "texts_cut_total",                                              \
	  "texts of AWS's elements that did not fit a message")                                    \
	X(up, NETWORK, GAUGE, "sessions", "sessions there are now, one a worker")                  \
	X(sessions, NETWORK, COUNTER, "sessions_total",                                            \
	  "sessions begun, the first of each worker too")                                          \
	X(flows_resent, NETWORK, COUNTER, "resent_flows_total",                                    \
	  "records sent again after a session broke")                                              \
	X(flows_lost, NETWORK, COUNTER, "lost_flows_total",                                        \
	  "records in datagrams that were refused")                                                \
	X(flows_delivered, EVERY, COUNTER, "delivered_flows_total",                                \
	  "records delivered, of those taken")                                                     \
	X(full, EVERY, GAUGE, "full", "workers that wait for it to take more")                     \
	X(bytes_queued, EVERY, GAUGE, "queued_bytes",                                              \
	  "octets of records that wait to be delivered")                                           \
	X(bytes, EVERY, COUNTER, "bytes_total", "octets of records encoded")                       \
	X(bytes_written, EVERY, COUNTER, "written_bytes_total", "octets of records delivered")

struct output_counters {
#define X(member, which, type, metric, help) uint64_t member;
	OUTPUT_COUNTERS(X)
#undef X
};

extern const struct counter_row output_rows[];
extern const size_t output_row_count;

/* Whether such an output has the counter of a row. */
bool output_counts(const struct output_config *config, size_t row);

/* Adds its counters to those of the same output of other workers. */
void output_count(const struct output *o, struct output_counters *sum);
void output_counters_add(struct output_counters *sum, const struct output_counters *more);
/* Takes away what was counted before; what stands now stays as it is. */
void output_counters_subtract(struct output_counters *c, const struct output_counters *before);
/* Prints those that such an output has as outputN_name=value lines. */
void output_counters_print(const struct output_counters *c, const struct output_config *config,
			   unsigned number, FILE *out);

/*
 * Ends the output: what is encoded is delivered first where that is only a matter of writing, or
 * given up with abort. Frees it once its handles are closed, so the loop has to run on.
 */
void output_close(struct output **o, bool abort);

#endif
