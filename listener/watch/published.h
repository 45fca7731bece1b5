/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_PUBLISHED_H
#define VPCFLOWD_WATCH_PUBLISHED_H

#include "watch/watches.h"
#include "worker.h"

/*
 * How things stood at one moment, for whoever answers over HTTP. The main loop makes one a few
 * times a second out of what the workers answered, and puts it on the board; threads that read take
 * the newest. It never changes once it is there, and goes with the last who holds it.
 *
 *   main loop ─ published_new … board_put ─▶ board ─ board_take … published_free ─▶ HTTP's thread
 *
 * The board's lock is held for as long as it takes to move a pointer, so neither waits for the other.
 */
enum published_stage { PUBLISHED_STARTING, PUBLISHED_RUNNING, PUBLISHED_DRAINING };

/* How an output of all workers stood. */
struct published_output {
	bool up;	   /* every worker has a session */
	uint64_t stuck_ms; /* for how long it has taken no more, and delivered nothing */
};

struct published {
	atomic_uint holders;
	uint64_t number;	     /* of the publication, from 1 */
	const struct config *first;  /* a reference: outputs are as it says */
	const struct config *config; /* a reference: limits and certificates in force */
	enum published_stage stage;
	unsigned workers;
	uint64_t started; /* Unix time in milliseconds */
	uint64_t time;	  /* the same, of this publication */
	uint64_t at_ns;	  /* uv_hrtime() of it */
	uint64_t uptime_ms;
	uint64_t tick_ms;     /* since the publication before; 0 for the first */
	struct counts counts; /* since the start, of all workers */
	struct counts tick; /* what was added to it in the tick; of what stands now, as it stands */
	bool spool_full;    /* it has no room for another payload */
	struct published_output output[OUTPUT_LIMIT]; /* first->outputs of them */
	const struct watches *watches;		      /* borrowed; they outlive the server */
};

/* One with nothing in it but its holder; NULL without memory. */
struct published *published_new(void);
/* One less who holds it; *p is NULL after it. */
void published_free(const struct published **p);

struct board;

/* NULL without memory. Nothing may be taken from it before something was put there. */
struct board *board_new(void);
/* What is taken from it may outlive it. */
void board_free(struct board **b);
/* Puts up a publication, which is the board's from here on, in place of the one before. */
void board_put(struct board *b, struct published *p);
/* The newest, with the caller as one more who holds it. From any thread. */
const struct published *board_take(struct board *b);

#endif
