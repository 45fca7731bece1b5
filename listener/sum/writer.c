/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the report to the outputs, no faster than these take it. Headers are written only now: an
 * output in which there is one has all sums, unless the process says that it failed.
 */
#include "sum/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "sum/report.h"

enum { SUMS_A_TURN = 2000 };

struct sum_writer {
	struct worker *worker;
	struct turn turn;
	struct report *report;
	const struct format *columns;
	bool begun; /* the outputs are */
	void (*on_done)(void *data, int error);
	void *data;
};

static void tell(const struct sum_writer *w)
{
	struct report_counts c = report_counts(w->report);
	log_info("sum", "done keys=%" PRIu64 " written=%" PRIu64, c.keys, c.shown);
	if (c.saturated > 0)
		log_warn("sum", "sums of 2^64 and more are given as 2^64-1 sums=%" PRIu64,
			 c.saturated);
}

static enum turn_result done(struct sum_writer *w, int error)
{
	if (error == 0)
		tell(w);
	w->on_done(w->data, error);
	return TURN_DONE;
}

static enum turn_result on_turn(struct turn *turn)
{
	struct sum_writer *w = CONTAINER_OF(turn, struct sum_writer, turn);
	struct pipeline *p = &w->worker->pipeline;
	if (!w->begun && !pipeline_begin_outputs(p, w->columns))
		return done(w, -ENOMEM);
	w->begun = true;
	for (unsigned n = 0; n < SUMS_A_TURN && !pipeline_full(p); n++) {
		const struct flow *flow;
		int error;
		enum step step = report_next(w->report, &flow, &error);
		if (step != STEP_OK)
			return done(w, error);
		if (flow == NULL)
			return TURN_YIELD;
		if (!pipeline_emit(p, flow))
			return done(w, -ENOMEM);
	}
	return TURN_YIELD;
}

struct sum_writer *sum_writer_new(struct worker *worker, struct summing *summing,
				  void (*on_done)(void *data, int error), void *data)
{
	struct sum_writer *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return NULL;
	w->worker = worker;
	w->turn = (struct turn){ .work = on_turn };
	w->columns = summing_wanted(summing)->format;
	w->on_done = on_done;
	w->data = data;
	w->report = report_new(summing);
	if (w->report == NULL) {
		free(w);
		return NULL;
	}
	worker_schedule(worker, &w->turn);
	return w;
}

void sum_writer_free(struct sum_writer **w)
{
	struct sum_writer *old = *w;
	*w = NULL;
	if (old == NULL)
		return;
	worker_unschedule(old->worker, &old->turn);
	report_free(&old->report);
	free(old);
}
