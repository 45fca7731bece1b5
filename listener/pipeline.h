/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_PIPELINE_H
#define VPCFLOWD_PIPELINE_H

#include "base/limits.h"
#include "base/once.h"
#include "base/stats.h"
#include "config.h"
#include "decode/logevents.h"
#include "decode/payload.h"
#include "deliver/output.h"
#include "flow/filter.h"
#include "flow/quick.h"
#include "flow/source.h"
#include "sum/sums.h"
#include "watch/watch.h"

/*
 * The spine of one worker: octets of a payload, its documents, their events, a flow, every output.
 * Borrows all that it points to; one thread.
 */
struct pipeline {
	const struct limits *limits;
	const struct sources *sources;
	const struct filter *filter; /* which flows the outputs get; NULL: all */
	struct stats *stats;
	struct once *once;
	struct output *output[OUTPUT_LIMIT];
	unsigned outputs;
	struct sums *sums;   /* --aggregate: where flows go instead; NULL: to the outputs */
	int sums_error;	     /* why they cannot take any more */
	uint64_t now_ms;     /* for once and watch; set by the loop's owner */
	uint64_t documents;  /* that were opened */
	struct watch *watch; /* NULL: nobody looks */
	quick_parser quick;
	struct flow flow;
	struct buf scratch;
	size_t usual; /* of payload_keep_usual */
};

void pipeline_init(struct pipeline *p, const struct limits *limits, const struct sources *sources,
		   struct stats *stats, struct once *once);
/* Frees what it holds itself, not the outputs. */
void pipeline_deinit(struct pipeline *p);
/* Whether some output takes no more for now. */
bool pipeline_full(const struct pipeline *p);
void pipeline_flush(struct pipeline *p);
/* Decides the columns of outputs that name them, unless that was done. False without memory. */
MUST_CHECK bool pipeline_begin_outputs(struct pipeline *p, const struct format *columns);
/* Gives a flow to all outputs, or to none: false without memory. */
MUST_CHECK bool pipeline_emit(struct pipeline *p, const struct flow *flow);

/*
 * One stream of octets from one peer on its way through a pipeline. Owns what it gathers; borrows
 * the pipeline. The limits, sources and filter that hold when it is made must live as
 * long as it does.
 */
struct intake;

/* NULL without memory. peer is for log lines: an address without its port, or a file's name. */
struct intake *intake_new(struct pipeline *p, enum payload_source source, const char *peer);
void intake_free(struct intake **i);

/*
 * Does one turn of work, a few milliseconds at most for what AWS sends. STEP_OK: there is more to
 * do, call again. STEP_MORE: *in is used up and all that it gave is converted; with end the stream
 * is finished. STEP_BAD: the fault; a stream whose fault is contained goes on, call again. Of a
 * PAYLOAD_WHOLE nothing is converted before all of it was found good, and one of whose records not
 * one could be converted ends in FAULT_NOTHING; its octets stay where they are as long as the
 * intake lives, and are all given at once.
 */
MUST_CHECK enum step intake_run(struct intake *i, struct slice *in, bool end, struct fault *fault);

/*
 * Before the first turn: a payload that was taken before and is converted again. Its first events
 * were handed to the outputs then: they are passed over, and not counted again.
 */
void intake_replay(struct intake *i, uint64_t events);
/*
 * From here on nothing is handed to the outputs, only counted in intake_flows: what is left is
 * converted later. The worker's counters leave it out until then, unless intake_count_all says that
 * there will be no later.
 */
void intake_only_count(struct intake *i);
void intake_count_all(struct intake *i);
/* Events that the outputs have no more to get of. */
uint64_t intake_emitted(const struct intake *i);

/* payload_room of a stream, while nothing waits to be converted before what would come there. */
char *intake_room(struct intake *i, size_t *room);

/* Nothing begun, nothing left to convert. */
bool intake_idle(const struct intake *i);
/* Whether documents wait to be converted. */
bool intake_pending(const struct intake *i);
/* Octets it holds of an unfinished document. */
size_t intake_held(const struct intake *i);
/* And the most that it may be after the next intake_run of a stream, beside documents that are complete. */
size_t intake_may_hold(const struct intake *i, struct slice given);
/* Documents completed so far: tells progress from trickle. */
uint64_t intake_documents(const struct intake *i);
/*
 * Records taken, and those that could not be converted. The filter does not matter: with another, as
 * after HUP, the same payload has as many.
 */
uint64_t intake_flows(const struct intake *i);
uint64_t intake_rejected(const struct intake *i);

#endif
