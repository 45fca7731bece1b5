/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_PAYLOAD_H
#define VPCFLOWD_DECODE_PAYLOAD_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/stats.h"
#include "decode/document.h"

/*
 * Octets of one peer's payloads in, documents out. What the octets are is told by themselves: gzip
 * of anything here, a CloudWatch Logs message, Lambda's, Kinesis's and Firehose's wrappings of it,
 * {"message": ...} objects, or plain lines.
 *
 * Owns everything it gathers; borrows limits and stats.
 */
struct payload;

enum payload_source {
	PAYLOAD_STREAM, /* payloads back to back; lines of any amount; each document is capped */
	PAYLOAD_WHOLE,	/* one payload, held whole: all that it unpacks to is capped */
};

/* NULL without memory. */
struct payload *payload_new(enum payload_source source, const struct limits *limits,
			    struct stats *stats);
void payload_free(struct payload **p);
/*
 * Where it is kept how large JSON documents that come in pieces are: the next one gets room for as much
 * at once, when it has come some way. Several payloads of a thread may share it, and it must live as
 * long as they do. 0: not known.
 */
void payload_keep_usual(struct payload *p, size_t *usual);
/* Other counters from here on; they must live as long as the payload. */
void payload_count_in(struct payload *p, struct stats *stats);
const struct stats *payload_counts(const struct payload *p);

/*
 * Takes octets from the front of *in; end says that none will follow these. STEP_OK: some work was
 * done and out may have got documents, complete and valid, to be converted now (a JSON document
 * with all it wraps comes at once or not at all); call again. STEP_MORE: *in is used up; with end
 * set the stream is finished in good order. STEP_BAD: the fault, with the first octets of what it
 * lies in; what came out before stands. After a fault that is contained the stream goes on behind
 * the document that was lost: call again.
 *
 * The documents are the same however the octets were cut, except that runs of lines and of messages
 * may be split.
 *
 * Octets that lie in payload_room() are not copied; what is left of them then lies elsewhere, until it
 * is used.
 *
 * Of a PAYLOAD_WHOLE the octets that were given with end set must stay where they are as long as
 * its documents do, which may lie in them; and what is left of *in is what the next call is given.
 */
MUST_CHECK enum step payload_next(struct payload *p, struct slice *in, bool end,
				  struct documents *out, struct fault *fault);

/*
 * Where the next octets of a stream may be put at once, as they would be copied there anyway, and for
 * how many there is room: behind the JSON document that is being gathered, in what memory it has. NULL,
 * and *room as it was: nowhere in particular. Until the payload is next called with anything.
 */
char *payload_room(struct payload *p, size_t *room);

/* Whether it stands between two payloads, nothing begun. */
bool payload_idle(const struct payload *p);
/* Octets that were looked at and are still in front of *in. */
size_t payload_ahead(const struct payload *p);
/* Octets held of what is not complete yet. */
size_t payload_held(const struct payload *p);
/*
 * What a stream may come to hold, beside complete documents, by these octets, and by so many that come
 * out of gzip: a bound, so that one may ask for it before.
 */
size_t payload_may_hold(const struct payload *p, struct slice given, size_t inflated);

#endif
