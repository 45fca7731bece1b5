/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_PLAIN_H
#define VPCFLOWD_DECODE_PLAIN_H

#include <stdint.h>

#include "base/buf.h"
#include "base/machine.h"

enum { PLAIN_HEAD = 128 };

struct plain;

/*
 * At the front of data an element may stand, unless first with a comma before it. How many octets are
 * plain events, all of them whole; 0 for none.
 */
typedef size_t (*plain_runner)(struct plain *p, struct slice data, size_t offset, bool first);

/* What an event was like up to its message: which octets, and which of them are any digit. */
struct plain_head {
	size_t len;  /* 0: not known */
	size_t time; /* where its timestamp begins */
	char like[PLAIN_HEAD];
	char vary[PLAIN_HEAD];
};

/*
 * The fast way through a CloudWatch message. Nearly all log events are written in one way,
 *
 *   {"id":"3195…","timestamp":1432917027000,"message":"2 123456789010 eni-… OK"}
 *   `--- before ----------------------------------------'`---- len --------'
 *                                                         at
 *
 * without a space or an escape, and with ids and times as long as those before. While the scanner
 * (json.h) finds out whether the document is valid, it asks here at every place where an element of a
 * level 2 array may stand; runs of such events are held against what the last one looked like up to its
 * message, many octets at a time, and where their messages lie is kept. So the converter that comes
 * after need not look for them again. Whatever is written in another way is the scanner's and the
 * walkers' as before, one event at a time: the answers are the same with and without, only later.
 */
struct plain {
	struct buf found; /* of struct plain_event, in order */
	size_t seen;	  /* octets of the document before those that are scanned now */
	size_t array;	  /* where the array begins that the events are elements of */
	size_t end;	  /* behind its bracket; 0: not yet */
	struct plain_head head;
	plain_runner run; /* the scanner's: data follows what was seen */
};

/* What is kept of a document, or of a queue of them, in octets: 262,144 events. */
enum { PLAIN_MOST = 2 * 1024 * 1024 };

/* Offsets from the beginning of the document. */
struct plain_event {
	uint32_t at;
	uint16_t before;
	uint16_t len;
};

void plain_init(struct plain *p);
void plain_deinit(struct plain *p);

/* One for each machine. */
size_t plain_run_anywhere(struct plain *p, struct slice data, size_t offset, bool first);
size_t plain_run_avx2(struct plain *p, struct slice data, size_t offset, bool first);
size_t plain_run_avx512(struct plain *p, struct slice data, size_t offset, bool first);
plain_runner plain_runner_of(enum machine machine);

/* ---- for the scanner: data follows what was seen --------------------------------------------- */

/* At data an array of level 2 begins. */
void plain_open(struct plain *p, size_t offset);
/* The bracket at this place ends the array. */
void plain_close(struct plain *p, size_t offset);

/* ---- for the walkers ------------------------------------------------------------------------- */

static inline size_t plain_count(const struct plain *p)
{
	return p->found.len / sizeof(struct plain_event);
}

static inline const struct plain_event *plain_events(const struct plain *p)
{
	return (const struct plain_event *)(const void *)p->found.data;
}

/* Whether the events found are those of the array that begins there. */
static inline bool plain_knows(const struct plain *p, size_t array)
{
	return p->end != 0 && p->array == array;
}

#endif
