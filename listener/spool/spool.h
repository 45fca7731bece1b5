/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SPOOL_SPOOL_H
#define VPCFLOWD_SPOOL_SPOOL_H

#include "spool/store.h"
#include "worker.h"

/*
 * --spool: payloads are safe on disk before they are acknowledged, and reach the outputs from there
 * when those are slow or down.
 *
 *   a payload ── its flows go straight to the outputs, and its octets to disk ─────────▶ ACK
 *            └── outputs are full, or others wait before it: only counted, to disk ────▶ ACK
 *                                                       │
 *   outputs ◀── replay: read back, converted ◀──────────┘
 *
 *       delivered ≤ read ≤ stored           places in the segments
 *   ────────┼──────────┼────────┼──────▶
 *    gone   │ with the │ still  │ appends
 *           │ outputs  │ to do  │ come here
 *
 * Replay keeps the order of the segments. Memory: the frames that replay has at hand, a few hundred
 * kilobytes or one payload, and a small entry for each payload that is with the outputs.
 * Belongs to the worker's thread. A worker may have others beside its own, to which nothing is put:
 * what earlier runs left.
 */
struct spool;

/*
 * What of a payload's records the outputs have got already, when it is given to the spool: the first
 * so many, or all.
 */
#define SPOOL_EVENTS_ALL UINT64_MAX

/* Opens or makes a folder. 0, or a negative errno; -EWOULDBLOCK: in use. */
MUST_CHECK int spool_open(struct spool **s, struct worker *w, const char *path, struct seen *seen);
/* Begins to replay what an earlier run left. The outputs are open. */
void spool_start(struct spool *s);

/*
 * Whether payloads wait to be converted from disk: until they are, others only get in line, so that
 * a peer's flows stay in order. spool_owe says that one more will have to wait; every spool_owe is
 * followed by spool_put of that payload, or by spool_owe_less.
 */
bool spool_behind(const struct spool *s);
void spool_owe(struct spool *s);
void spool_owe_less(struct spool *s);

/*
 * Between the two no payload is begun to be replayed: one whose flows come before theirs is still on
 * its way to the outputs.
 */
void spool_pause(struct spool *s);
void spool_go_on(struct spool *s);

/* A payload on its way to disk. */
struct spool_entry;

/*
 * Stores a payload. octets stay the caller's, and where they are, until done, which comes from the
 * loop with 0 or a negative errno; after that with SPOOL_EVENTS_ALL it is as if it had never been
 * given: its flows are with the outputs all the same. Otherwise the payload was owed. False without
 * memory: neither done nor owed any more.
 */
MUST_CHECK bool spool_put(struct spool *s, const struct seen_payload *payload, struct slice octets,
			  uint64_t events, void (*done)(void *data, int error), void *data);

/* Has a payload known over a restart that was taken without being stored, as far as that can be. */
void spool_remember(struct spool *s, const struct seen_payload *payload);

/* No payload is begun to be replayed any more; the one at hand goes on. */
void spool_stop(struct spool *s);
/* Whether the outputs have all of the payload that was at hand. */
bool spool_is_between(const struct spool *s);

/*
 * Waits until all that was put is on disk, without telling. What is delivered goes; the rest is there
 * at the next start. The loop has to run between this and spool_free.
 */
void spool_close(struct spool *s);
void spool_free(struct spool **s);

#endif
