/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_GUNZIP_H
#define VPCFLOWD_DECODE_GUNZIP_H

#include "base/limits.h"
#include "base/result.h"
#include "base/slice.h"

/* What a stream takes in memory: its output window, zlib's own 32 KiB and tables. */
enum { GUNZIP_COST = 112 * 1024 };

/* One gzip stream of any number of members, inflated step by step (RFC 1952). */
struct gunzip;

/*
 * A stream, whose ratio is held to the limits over all of its members. tally, unless NULL, sums up
 * what several streams inflate and is held to the limit of inflated octets. Both are borrowed for
 * the stream's life. NULL without memory.
 */
struct gunzip *gunzip_new(const struct limits *limits, uint64_t *tally);
void gunzip_free(struct gunzip **g);

/*
 * Inflates from the front of *in. STEP_OK: *out has octets, valid until the next call, or the
 * member ended (gunzip_member_ended), or both. STEP_MORE: *in is used up and nothing came out.
 * STEP_BAD: damaged (FAULT_GZIP), or past a limit (FAULT_INFLATED, FAULT_RATIO); all octets before
 * the damage have come out in earlier calls.
 */
MUST_CHECK enum step gunzip_next(struct gunzip *g, struct slice *in, struct slice *out,
				 struct fault *fault);
/* True from the end of one member to the first octet of the next. */
bool gunzip_member_ended(const struct gunzip *g);

#endif
