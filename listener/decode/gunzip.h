/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_GUNZIP_H
#define VPCFLOWD_DECODE_GUNZIP_H

#include "base/limits.h"
#include "base/result.h"
#include "base/slice.h"
#include "decode/inflater.h"

/* One gzip stream of any number of members, inflated step by step (RFC 1952). */
struct gunzip;

/*
 * A stream, whose ratio is held to the limits over all of its members. tally, unless NULL, sums up
 * what several streams inflate and is held to the limit of inflated octets. Both are borrowed for
 * the stream's life. NULL without memory.
 */
struct gunzip *gunzip_new(const struct limits *limits, uint64_t *tally);
/* The same by an engine of the caller's choice. */
struct gunzip *gunzip_new_by(const struct inflater_class *engine, const struct limits *limits,
			     uint64_t *tally);
void gunzip_free(struct gunzip **g);
/* What gunzip_new's streams are inflated by. */
const struct inflater_class *gunzip_engine(void);
/* What such a stream takes in memory. */
size_t gunzip_cost(void);

/*
 * Inflates from the front of *in. STEP_OK: *out has octets, valid until the next call, or the
 * member ended (gunzip_member_ended), or both. STEP_MORE: *in is used up and nothing came out.
 * STEP_BAD: damaged (FAULT_GZIP), or past a limit (FAULT_INFLATED, FAULT_RATIO). What has come out
 * by then are the member's first octets; how near they go to the damage depends on the engine and on
 * how the input was cut, the verdict does not.
 */
MUST_CHECK enum step gunzip_next(struct gunzip *g, struct slice *in, struct slice *out,
				 struct fault *fault);
/* The same, into the caller's room, which is not empty; *out is what of it was filled. */
MUST_CHECK enum step gunzip_next_into(struct gunzip *g, struct slice *in, char *to, size_t room,
				      struct slice *out, struct fault *fault);
/* True from the end of one member to the first octet of the next. */
bool gunzip_member_ended(const struct gunzip *g);

#endif
