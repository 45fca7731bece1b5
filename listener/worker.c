/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one loop shares among its peers: turns at the pipeline, room in memory, and the news of what
 * the outputs have written.
 */
#include "worker.h"

#include <errno.h>

#include "base/error.h"
#include "base/log.h"

enum {
	TURNS_NS = 5 * 1000 * 1000, /* turns in a row before I/O is looked at again */
	FLUSH_MS = 20,		    /* no flow waits longer for its block to fill */
	ALONE = 16,		    /* turns that a payload has in a row; most need fewer in all */
	LADEN_PART = 4,		    /* of --max-in-flight */
};

/* ---- deliveries ------------------------------------------------------------------------------ */

static bool is_delivered(const struct worker *w, const struct delivery *d)
{
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		if (output_delivered_flows(w->pipeline.output[i]) < d->mark[i])
			return false;
	return true;
}

static void finish_deliveries(struct worker *w)
{
	struct delivery *d;
	while ((d = TAILQ_FIRST(&w->deliveries)) != NULL && is_delivered(w, d)) {
		worker_forget(w, d);
		d->done(d);
	}
}

void worker_deliver(struct worker *w, struct delivery *delivery)
{
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		delivery->mark[i] = output_taken(w->pipeline.output[i]);
	delivery->queued = true;
	TAILQ_INSERT_TAIL(&w->deliveries, delivery, link);
}

void worker_forget(struct worker *w, struct delivery *delivery)
{
	if (!delivery->queued)
		return;
	TAILQ_REMOVE(&w->deliveries, delivery, link);
	delivery->queued = false;
}

bool worker_outputs_up(const struct worker *w)
{
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		if (!output_is_up(w->pipeline.output[i]))
			return false;
	return true;
}

bool worker_delivered(const struct worker *w)
{
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		if (!output_idle(w->pipeline.output[i]))
			return false;
	return true;
}

void worker_note_unspooled(struct worker *w)
{
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		w->unspooled[i] = output_taken(w->pipeline.output[i]);
}

static bool has_copies(const struct worker *w, unsigned i)
{
	return output_delivered_flows(w->pipeline.output[i]) >= w->unspooled[i];
}

bool worker_has_copies(const struct worker *w)
{
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		if (!has_copies(w, i))
			return false;
	return true;
}

bool worker_may_leave(const struct worker *w)
{
	for (unsigned i = 0; i < w->pipeline.outputs; i++) {
		const struct output *o = w->pipeline.output[i];
		if (!output_idle(o) && (output_is_up(o) || !has_copies(w, i)))
			return false;
	}
	return true;
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* The queue that a turn can be given from, the preferred one first; NULL for none. */
static struct turns *next_queue(struct worker *w, struct turns *preferred)
{
	bool room = w->output_error == 0 && !pipeline_full(&w->pipeline);
	bool turns = room && !TAILQ_EMPTY(&w->turns);
	bool any_time = !TAILQ_EMPTY(&w->any_time);
	if (turns && (preferred == &w->turns || !any_time))
		return &w->turns;
	return any_time ? &w->any_time : NULL;
}

static bool can_turn(struct worker *w)
{
	return next_queue(w, &w->turns) != NULL;
}

static void on_spin(uv_idle_t *spin)
{
	(void)spin; /* its being active is what counts */
}

static void update_spin(struct worker *w)
{
	if (can_turn(w) || w->freed)
		uv_idle_start(&w->spin, on_spin);
	else
		uv_idle_stop(&w->spin);
}

/* ---- room in memory -------------------------------------------------------------------------- */

uint64_t worker_share(const struct worker *w, uint64_t limit)
{
	uint64_t share = limit / w->workers;
	return share == 0 ? 1 : share;
}

static bool within_limit(const struct worker *w, uint64_t octets)
{
	return octets <= worker_share(w, w->config->limits.in_flight);
}

/*
 * Looks at each of those who wait once, as some go back to the end of the queue, and wakes it if it fits, or
 * whatever it wants. Whether it woke any.
 */
static bool wake_some(struct worker *w, bool fitting)
{
	size_t count = 0;
	uint64_t promised = 0;
	bool woken = false;
	struct hold *hold;
	TAILQ_FOREACH(hold, &w->waiting, link)
		count++;
	while (count-- > 0 && (hold = TAILQ_FIRST(&w->waiting)) != NULL) {
		uint64_t more = hold->wanted > hold->octets ? hold->wanted - hold->octets : 0;
		TAILQ_REMOVE(&w->waiting, hold, link);
		if (fitting && !within_limit(w, w->held + promised + more)) {
			TAILQ_INSERT_TAIL(&w->waiting, hold, link);
			continue;
		}
		promised += more;
		woken = true;
		hold->waiting = false;
		hold->room_again(hold);
	}
	return woken;
}

/*
 * Out of the loop: who frees room is in the middle of something, which those who are woken might
 * change. Where nobody fits one may go beyond, which they find out.
 */
static void wake_waiting(struct worker *w)
{
	w->freed = false;
	if (!wake_some(w, true) && w->beyond == NULL)
		(void)wake_some(w, false);
}

/* Who needs no more than there is lets another go beyond it. */
static void set_held(struct worker *w, struct hold *hold, size_t octets)
{
	bool less = octets < hold->octets;
	w->held = w->held - hold->octets + octets;
	hold->octets = octets;
	w->stats.bytes_in_flight = w->held;
	if (w->beyond == hold && (octets == 0 || within_limit(w, w->held)))
		w->beyond = NULL;
	if (less && !TAILQ_EMPTY(&w->waiting)) {
		w->freed = true;
		update_spin(w);
	}
}

bool worker_hold(struct worker *w, struct hold *hold, size_t octets, bool alone)
{
	bool fits = octets <= hold->octets || within_limit(w, w->held - hold->octets + octets);
	if (!fits && alone && w->beyond == NULL)
		w->beyond = hold;
	if (fits || (alone && w->beyond == hold)) {
		set_held(w, hold, octets);
		return true;
	}
	hold->wanted = octets;
	if (!hold->waiting) {
		hold->waiting = true;
		TAILQ_INSERT_TAIL(&w->waiting, hold, link);
	}
	return false;
}

void worker_hand_over(struct worker *w, struct hold *from, struct hold *to, size_t octets)
{
	from->octets -= octets;
	to->octets += octets;
	if (w->beyond == from && from->octets == 0)
		w->beyond = to;
}

bool worker_is_laden(const struct worker *w)
{
	return w->held >= worker_share(w, w->config->limits.in_flight) / LADEN_PART;
}

void worker_release(struct worker *w, struct hold *hold)
{
	if (hold->waiting) {
		TAILQ_REMOVE(&w->waiting, hold, link);
		hold->waiting = false;
	}
	set_held(w, hold, 0);
	/* It may have been woken in place of another. */
	if (!TAILQ_EMPTY(&w->waiting)) {
		w->freed = true;
		update_spin(w);
	}
}

/* ---- giving turns ---------------------------------------------------------------------------- */

static struct turns *queue_of(struct worker *w, const struct turn *turn)
{
	return turn->any_time ? &w->any_time : &w->turns;
}

/*
 * Who holds much memory goes on while that is warm. After some turns one other is between any two: a
 * small payload does not wait for the end of a large one, and no more than two are in the works.
 */
static void put_back(struct turns *queue, struct turn *turn)
{
	struct turn *between = TAILQ_FIRST(queue);
	if (turn->kept == 0 || between == NULL)
		TAILQ_INSERT_TAIL(queue, turn, link);
	else if (turn->kept < ALONE)
		TAILQ_INSERT_HEAD(queue, turn, link);
	else
		TAILQ_INSERT_AFTER(queue, between, turn, link);
}

static void give_turn(struct worker *w, struct turns *queue)
{
	struct turn *turn = TAILQ_FIRST(queue);
	/* Off the queue first: what is scheduled within the turn counts. */
	worker_unschedule(w, turn);
	unsigned kept = turn->kept;
	enum turn_result result = turn->work(turn);
	if (result == TURN_DONE)
		return;
	worker_unschedule(w, turn);
	turn->kept = result == TURN_KEEP ? kept + 1 : 0;
	turn->queued = true;
	put_back(queue_of(w, turn), turn);
}

static void on_turns(uv_check_t *check)
{
	struct worker *w = check->data;
	uint64_t until = uv_hrtime() + TURNS_NS;
	w->pipeline.now_ms = uv_now(&w->loop);
	struct turns *queue = &w->turns;
	while ((queue = next_queue(w, queue)) != NULL && uv_hrtime() < until) {
		give_turn(w, queue);
		queue = queue == &w->turns ? &w->any_time : &w->turns;
	}
	/*
	 * While more is to come blocks fill up; before the loop sleeps they go out as they are, and
	 * now and then, since an ACK may wait for a block that nobody adds to.
	 */
	if (!can_turn(w) || w->pipeline.now_ms - w->flushed_ms >= FLUSH_MS) {
		pipeline_flush(&w->pipeline);
		w->flushed_ms = w->pipeline.now_ms;
	}
	finish_deliveries(w);
	if (w->freed)
		wake_waiting(w);
	update_spin(w);
}

void worker_schedule(struct worker *w, struct turn *turn)
{
	if (turn->queued)
		return;
	turn->queued = true;
	turn->kept = 0;
	TAILQ_INSERT_TAIL(queue_of(w, turn), turn, link);
	update_spin(w);
}

void worker_unschedule(struct worker *w, struct turn *turn)
{
	if (!turn->queued)
		return;
	TAILQ_REMOVE(queue_of(w, turn), turn, link);
	turn->queued = false;
}

/* ---- outputs --------------------------------------------------------------------------------- */

static void fail_output(struct worker *w, const struct output *o)
{
	if (w->output_error != 0)
		return;
	w->output_error = output_error(o);
	const char *why = error_text(w->output_error);
	if (!output_was_up(o))
		log_error("output", "cannot connect option=\"--output %s\" error=\"%s\"",
			  output_name(o), why);
	else if (w->output_error == -EPIPE)
		log_error("output", "its reader is gone output=%s error=\"%s\"", output_name(o),
			  why);
	else
		log_error("output", "cannot write output=%s error=\"%s\"", output_name(o), why);
	if (w->on_output_error != NULL)
		w->on_output_error(w);
}

static void look_at_outputs(struct worker *w)
{
	bool up = true;
	for (unsigned i = 0; i < w->pipeline.outputs; i++) {
		if (output_error(w->pipeline.output[i]) != 0)
			fail_output(w, w->pipeline.output[i]);
		up = up && (output_was_up(w->pipeline.output[i]) || w->config->output[i].patient);
	}
	if (w->on_outputs_up == NULL || !up || w->output_error != 0)
		return;
	void (*on_outputs_up)(struct worker * w) = w->on_outputs_up;
	w->on_outputs_up = NULL;
	on_outputs_up(w);
}

static void on_progress(void *data)
{
	struct worker *w = data;
	look_at_outputs(w);
	finish_deliveries(w);
	update_spin(w);
}

/* ---- the worker ------------------------------------------------------------------------------ */

bool worker_init(struct worker *w, const struct config *config, unsigned workers)
{
	memset(w, 0, sizeof(*w));
	w->config = config;
	w->workers = workers;
	TAILQ_INIT(&w->turns);
	TAILQ_INIT(&w->any_time);
	TAILQ_INIT(&w->deliveries);
	TAILQ_INIT(&w->waiting);
	pipeline_init(&w->pipeline, &config->limits, &config->sources, &w->stats, &w->once);
	w->pipeline.filter = config->filter;
	int error = uv_loop_init(&w->loop);
	if (error != 0) {
		log_error("worker", "no event loop error=\"%s\"", error_text(error));
		return false;
	}
	uv_idle_init(&w->loop, &w->spin);
	uv_check_init(&w->loop, &w->turn_check);
	w->turn_check.data = w;
	uv_check_start(&w->turn_check, on_turns);
	return true;
}

static int open_output(struct worker *w, const struct output_config *config,
		       const struct worker *beside, bool begin)
{
	unsigned number = w->pipeline.outputs;
	struct output **o = &w->pipeline.output[number];
	int error = output_open(o, config, beside == NULL ? NULL : beside->pipeline.output[number],
				&w->loop, on_progress, w);
	if (error != 0)
		return error;
	w->pipeline.outputs++;
	output_set_tls(*o, w->config->tls_output);
	bool known = begin || config->encoder.columns != NULL ||
		     !encoder_names_columns(&config->encoder);
	/* Sums begin them when there are some. */
	known = known && config->encoder.sums == NULL;
	return known && !output_begin(*o, &w->config->columns) ? -ENOMEM : 0;
}

bool worker_open_outputs(struct worker *w, const struct worker *beside, bool begin,
			 void (*on_outputs_up)(struct worker *w))
{
	for (size_t i = 0; i < w->config->outputs; i++) {
		const struct output_config *config = &w->config->output[i];
		int error = open_output(w, config, beside, begin);
		if (error != 0) {
			log_error("output", "cannot open option=\"--output %s\" error=\"%s\"",
				  config->name, error_text(error));
			return false;
		}
	}
	w->on_outputs_up = on_outputs_up;
	look_at_outputs(w);
	return true;
}

void worker_last_call(struct worker *w)
{
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		output_last_call(w->pipeline.output[i]);
}

void worker_set_config(struct worker *w, const struct config *config)
{
	w->config = config;
	w->pipeline.limits = &config->limits;
	w->pipeline.sources = &config->sources;
	w->pipeline.filter = config->filter;
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		output_set_tls(w->pipeline.output[i], config->tls_output);
}

int worker_close(struct worker *w, bool abort)
{
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		output_close(&w->pipeline.output[i], abort);
	w->pipeline.outputs = 0;
	uv_close((uv_handle_t *)&w->spin, NULL);
	uv_close((uv_handle_t *)&w->turn_check, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	pipeline_deinit(&w->pipeline);
	return uv_loop_close(&w->loop);
}

void worker_reopen_outputs(struct worker *w, unsigned hup)
{
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		output_reopen(w->pipeline.output[i], hup);
}

void worker_count(const struct worker *w, struct counts *sum)
{
	stats_add(&sum->stats, &w->stats);
	for (unsigned i = 0; i < w->pipeline.outputs; i++)
		output_count(w->pipeline.output[i], &sum->output[i]);
}

void counts_add(struct counts *sum, const struct counts *more)
{
	stats_add(&sum->stats, &more->stats);
	for (unsigned i = 0; i < OUTPUT_LIMIT; i++)
		output_counters_add(&sum->output[i], &more->output[i]);
}

void counts_subtract(struct counts *c, const struct counts *before)
{
	stats_subtract(&c->stats, &before->stats);
	for (unsigned i = 0; i < OUTPUT_LIMIT; i++)
		output_counters_subtract(&c->output[i], &before->output[i]);
}

void counts_print(const struct counts *c, const struct config *config, FILE *out)
{
	stats_print(&c->stats, out);
	for (unsigned i = 0; i < config->outputs; i++)
		output_counters_print(&c->output[i], &config->output[i], i, out);
}
