/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WORKER_H
#define VPCFLOWD_WORKER_H

#include <sys/queue.h>
#include <uv.h>

#include "base/stats.h"
#include "config.h"
#include "pipeline.h"

/*
 * One thread, one loop, one pipeline. Workers share nothing but what says that it may be shared.
 * Whoever has octets to convert queues for turns. Most turns are
 * given while no output is full, so a sleeping reader stops conversion, and with it reading, but
 * never the loop; those who can do without the outputs have a queue of their own, and the two take
 * turns.
 */

enum turn_result {
	TURN_DONE,  /* nothing more to do until it is scheduled again */
	TURN_YIELD, /* more to do, but others first */
	TURN_KEEP,  /* more to do, and it holds much memory: its own, and later every other one */
};

/* A place in the queue for turns; part of its owner. */
struct turn {
	TAILQ_ENTRY(turn) link;
	bool queued;
	bool any_time; /* also while an output is full: then it hands nothing over */
	unsigned kept; /* turns since it began to hold much memory */
	enum turn_result (*work)(struct turn *turn);
};

/*
 * Flows that were converted and have to be written before somebody is told. Part of its owner.
 * done is called from the loop, never from worker_deliver itself.
 */
struct delivery {
	TAILQ_ENTRY(delivery) link;
	bool queued;
	uint64_t mark[OUTPUT_LIMIT]; /* the flows each output has to have delivered */
	void (*done)(struct delivery *delivery);
};

/*
 * The octets of unfinished payloads that an owner holds, out of what all may hold together. Part of
 * its owner. When there is no room it waits; room_again is called from the loop, never from within
 * what frees the room, once a new try is worthwhile.
 */
struct hold {
	TAILQ_ENTRY(hold) link;
	bool waiting;
	size_t octets;
	size_t wanted; /* while it waits */
	void (*room_again)(struct hold *hold);
};

struct worker {
	uv_loop_t loop;
	const struct config *config; /* for new peers; each keeps a reference to its own */
	unsigned workers;	     /* that there are, with this one */
	struct stats stats;
	struct once once;
	struct pipeline pipeline;

	uv_idle_t spin; /* active while turns can be given: the loop must not sleep */
	uv_check_t turn_check;
	uint64_t flushed_ms;	       /* when blocks went out as they were */
	TAILQ_HEAD(turns, turn) turns; /* for when no output is full */
	struct turns any_time;
	TAILQ_HEAD(deliveries, delivery) deliveries;

	uint64_t held;	     /* octets of all holds */
	struct hold *beyond; /* the one that may go beyond the limit, so that somebody finishes */
	TAILQ_HEAD(holds, hold) waiting;
	bool freed; /* since those who wait were woken last */

	/* Flows that are nowhere but in the outputs, of peers that get no ACK: an end waits for them. */
	uint64_t unspooled[OUTPUT_LIMIT];

	int output_error; /* an output failed for good */
	void (*on_output_error)(struct worker *w);
	void (*on_outputs_up)(struct worker *w); /* NULL once it was called */
	void *data;				 /* the owner's */
};

/* Starts the loop's machinery, of one of so many workers. False after the reason was logged. */
MUST_CHECK bool worker_init(struct worker *w, const struct config *config, unsigned workers);
/* What this worker may have of what all may have together; at least 1. */
uint64_t worker_share(const struct worker *w, uint64_t limit);
/*
 * Opens the configured outputs, and calls on_outputs_up once all of them are: at once, or from the
 * loop when collectors have been connected to. begin: write headers now, with the configured columns,
 * instead of waiting for the first flow. beside: a worker whose files these are too, NULL for none.
 * False after the reason was logged; worker_close is due in any case.
 */
MUST_CHECK bool worker_open_outputs(struct worker *w, const struct worker *beside, bool begin,
				    void (*on_outputs_up)(struct worker *w));
/* No more is to come: the outputs send what waits for its time. */
void worker_last_call(struct worker *w);
/* New configuration for sources and limits; the old one stays with those who refer to it. */
void worker_set_config(struct worker *w, const struct config *config);
/*
 * Closes the outputs, after what they hold is written unless abort, and then everything; runs the
 * loop to its end. 0, or UV_EBUSY if somebody left a handle open.
 */
MUST_CHECK int worker_close(struct worker *w, bool abort);

void worker_schedule(struct worker *w, struct turn *turn);
void worker_unschedule(struct worker *w, struct turn *turn);

/* Calls delivery->done once all that is encoded until now is with every output. */
void worker_deliver(struct worker *w, struct delivery *delivery);
void worker_forget(struct worker *w, struct delivery *delivery);
/* Whether every output has a session now. */
bool worker_outputs_up(const struct worker *w);
/* Whether all that was encoded is written, headers too. */
bool worker_delivered(const struct worker *w);
/* What was encoded until now has no copy elsewhere. */
void worker_note_unspooled(struct worker *w);
/* With a spool: whether everything that the outputs have not delivered is on disk, too. */
bool worker_has_copies(const struct worker *w);
/* The same for outputs that are down, while those that are up have delivered: nothing to wait for. */
bool worker_may_leave(const struct worker *w);

/*
 * Asks for hold->octets to become octets. True when they are granted. Less is always granted; more
 * only within the limit, or, with alone (the owner has nothing else that would free memory), to one
 * owner beyond it: else all could wait for each other. False: wait for room_again.
 */
MUST_CHECK bool worker_hold(struct worker *w, struct hold *hold, size_t octets, bool alone);
/* Octets that one owner holds are another's from here on. */
void worker_hand_over(struct worker *w, struct hold *from, struct hold *to, size_t octets);
/*
 * Whether so much is held that who has a payload in the works need not be read from: there is enough
 * to do without, and what it sends next waits as well where it is. Its own progress changes that.
 */
bool worker_is_laden(const struct worker *w);
/* Gives everything back. */
void worker_release(struct worker *w, struct hold *hold);

/* hup: how many times the process was told to. */
void worker_reopen_outputs(struct worker *w, unsigned hup);

/* What workers have counted, with their outputs, by the order of the options. */
struct counts {
	struct stats stats;
	struct output_counters output[OUTPUT_LIMIT];
};

/* Adds what the worker has counted until now. */
void worker_count(const struct worker *w, struct counts *sum);
void counts_add(struct counts *sum, const struct counts *more);
/* Takes away what was counted before; what stands now stays as it is. */
void counts_subtract(struct counts *c, const struct counts *before);
/* As name=value, one a line. */
void counts_print(const struct counts *c, const struct config *config, FILE *out);

#endif
