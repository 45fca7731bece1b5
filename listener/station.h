/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_STATION_H
#define VPCFLOWD_STATION_H

#include "config.h"
#include "receive/reader.h"
#include "receive/sockets.h"
#include "spool/seen.h"
#include "sum/sums.h"
#include "watch/watches.h"
#include "worker.h"

/*
 * A worker and all that goes with it: its server or its reader, its spool, and its end. Of so many
 * stations number 0 runs on the thread of who makes it, within whose loop it stays until
 * station_close; the others have threads of their own.
 *
 *   station_new ─▶ station_open ─▶ RUNNING ─▶ LAST_CALL ─▶ DRAINING ─▶ WRITING ─▶ OVER
 *   outputs are up ─▶ station_begin ──┘           station_end: a last call for what is on its way,
 *                                                 drain the peers, wait for the outputs
 *                                                 with --read: begins with WRITING
 *
 * Orders go to a station and news come from it by way of one lock and the loops' uv_async; whoever
 * gives orders does that from one thread.
 */
struct station;

/* What all stations have in common. Outlives them. */
struct station_plan {
	const struct config *config; /* whose outputs they open */
	unsigned stations;
	struct seen *seen;	     /* listening */
	struct sockets *sockets;     /* listening, from station_begin on */
	struct reading *reading;     /* --read */
	struct summing *summing;     /* --aggregate, else NULL */
	struct watches *watches;     /* one for each; NULL: nobody looks */
	void (*on_news)(void *data); /* there are news; called by any thread */
	void *data;
};

/* How it stands. */
struct station_news {
	bool up;	      /* all outputs are */
	bool begun;	      /* it listens, or reads */
	bool failed;	      /* for good, which was logged */
	bool over;	      /* nothing more is to come: station_close is due */
	int status;	      /* the exit status as far as it is the station's */
	unsigned answered;    /* the last question */
	struct counts counts; /* at the time of the answer, or of the end */
	size_t files;	      /* of them: files read to their end */
};

/* False after the reason was logged. */
MUST_CHECK bool station_new(struct station **s, const struct station_plan *plan, unsigned number);
uv_loop_t *station_loop(struct station *s);
/*
 * Opens the spool and the outputs, files together with station number 0, which is opened first. 0, or
 * the exit status after the reason was logged.
 */
MUST_CHECK int station_open(struct station *s, const struct station *first);
/* Starts the thread of one that is not number 0. 0 or a negative errno. */
MUST_CHECK int station_start(struct station *s);

/* ---- orders; those that come too late do nothing --------------------------------------------- */

/* Listen, or read. */
void station_begin(struct station *s);
void station_end(struct station *s);
/* At once. */
void station_abort(struct station *s);
/* Open files anew, and go by this configuration from now on, unless it is NULL. */
void station_renew(struct station *s, unsigned hup, const struct config *config);
/* Count, and say so with the question's number, when all that was ordered before is done. */
void station_ask(struct station *s, unsigned question);

/* How it stands now. */
void station_look(struct station *s, struct station_news *news);

/*
 * Ends it, if it is not over already, and frees it; with how it stood at last. 0, or UV_EBUSY if its
 * loop had handles left. Nothing else may be on the loop of number 0.
 */
void station_close(struct station **s, struct station_news *last);

#endif
