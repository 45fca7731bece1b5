/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_FRAME_H
#define VPCFLOWD_RECEIVE_FRAME_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/result.h"
#include "base/slice.h"

/*
 * The framed protocol's commands. A line, ended by \n and at most FRAME_LINE octets with it:
 *   AUTH <token>
 *   PUT <id> <length>      and then length octets of payload
 */
enum { FRAME_LINE = 512, FRAME_ID = 64 };

enum frame_kind { FRAME_PUT, FRAME_AUTH };

struct frame {
	enum frame_kind kind;
	char id[FRAME_ID + 1]; /* PUT: NUL-terminated */
	uint64_t length;       /* PUT: octets that follow */
	struct slice token;    /* AUTH: borrowed from the input */
};

enum frame_sniff {
	SNIFF_MORE,	/* cannot be told yet */
	SNIFF_FRAMED,	/* begins with a command word */
	SNIFF_UNFRAMED, /* begins with anything else */
};

/* Which kind of peer sends these first octets. */
enum frame_sniff frame_sniff(struct slice first);

/*
 * Takes one command line from the front of *in. STEP_MORE: it is not complete, nothing was taken.
 * STEP_BAD: malformed or too long; *why is a static text for the REJECT line.
 */
MUST_CHECK enum step frame_next(struct slice *in, struct frame *frame, const char **why);

#endif
