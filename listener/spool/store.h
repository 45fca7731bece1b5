/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SPOOL_STORE_H
#define VPCFLOWD_SPOOL_STORE_H

#include <sys/queue.h>
#include <uv.h>

#include "spool/seen.h"
#include "spool/segment.h"

/*
 * The spool's folder, and the thread that writes there. Payloads that arrive while it syncs share
 * the next fdatasync(2).
 *
 *   lock                   held by the process whose spool this is
 *   0000000000000001.put   segments (segment.h)
 *   0000000000000001.keep  the segment will not be removed (keep.h)
 *   0000000000000001.kept  a segment that had damage, or what could not be converted any more
 *   position               everything before it is delivered
 *   seen-<hour>            digests, times and flows of what was taken (seen.h)
 */
struct store;

/* A payload to be stored; part of its owner, who keeps the octets until it is done. */
struct append {
	TAILQ_ENTRY(append) link;
	struct seen_payload payload;
	struct slice octets;
	/* Not 0: what is delivered goes first, and more octets than these there must not be then. */
	uint64_t most;
	/* Called from the loop, once it is safe on disk, or error says why not. */
	void (*done)(struct append *a);
	int error;
	struct place at;
	struct place end;
};

/* Opened at the start: where to go on, and what was taken before. */
struct store_state {
	struct place delivered;
	struct place end; /* of what is there; appends come behind it */
};

/*
 * Opens or makes the folder, locks it, and fills seen. segment_size: a segment that is so large gets
 * a successor. 0; -EWOULDBLOCK when another process holds it, or another negative errno.
 */
MUST_CHECK int store_open(struct store **s, const char *path, uint64_t segment_size,
			  uv_loop_t *loop, struct seen *seen, struct store_state *state);
/*
 * Ends the thread once all that was appended is on disk; done is not called any more. With empty,
 * everything was delivered and the segments go. The folder's lock is given back. Its handle closes, so
 * the loop has to run before store_free; until then store_folder is open, for who still reads there.
 */
void store_close(struct store *s, bool empty);
void store_free(struct store **s);
/* After store_close: removes a folder in which nothing is left that is worth keeping. */
void store_remove_folder(const char *path);

void store_append(struct store *s, struct append *a);
/*
 * Notes a payload that was taken and need not be stored, for starts to come. Best effort: what finds
 * no space is tried again later.
 */
void store_remember(struct store *s, const struct seen_payload *payload);
/* Ends an append that is not tried, as if it had failed with the error. */
void store_refuse(struct store *s, struct append *a, int error);
/*
 * Everything before the place is delivered: noted, and segments that lie before it go; so does the
 * one that is written, if it has grown and nothing in it waits.
 */
void store_delivered(struct store *s, struct place to);
/* Keeps a segment under another name when it is delivered, instead of removing it. */
void store_keep(struct store *s, uint64_t segment);

/*
 * The next place, from a place on, behind which its segment has only what failed and could not be cut
 * off: who reads goes on with the next segment. UINT64_MAX in the segment: there is none.
 */
struct place store_cut(struct store *s, struct place from);

/* Octets of all segments, those about to be appended too. */
uint64_t store_octets(const struct store *s);
/* on_octets is called from the loop when they may have become others. */
void store_watch(struct store *s, void (*on_octets)(void *data), void *data);
int store_folder(const struct store *s);

#endif
