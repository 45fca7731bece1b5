/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_LOGEVENTS_H
#define VPCFLOWD_DECODE_LOGEVENTS_H

#include "base/attributes.h"
#include "base/buf.h"
#include "base/result.h"
#include "decode/document.h"
#include "decode/json.h"
#include "flow/flow.h"

/* One flow log record as it came. */
struct event {
	struct slice text;
	size_t beyond; /* octets that may be read behind the text */
	bool json;     /* a log transformer's object rather than a line */
	bool line;     /* from plain lines: may be a header line */
	bool broken;   /* an event without a message, or a line that is too long, or no memory */
	enum fault_code why;
};

/* A place in a document. Borrows the document; owns what escapes were undone into. */
struct logevents {
	const struct document *document;
	struct json_walk walk; /* CLOUDWATCH, MESSAGES: the events to come */
	/* CLOUDWATCH: those of them that were found plain */
	const struct plain_event *plain;
	const struct plain_event *plain_end;
	size_t at; /* LINES: octets read */
	struct buf scratch;
};

void logevents_init(struct logevents *e);
void logevents_deinit(struct logevents *e);
/* Goes to the beginning of another document, which must live while it is read. */
void logevents_open(struct logevents *e, const struct document *document);
/*
 * The next event, in order. Blank lines are none. The event's text is valid until the next call.
 * False at the document's end.
 */
bool logevents_next(struct logevents *e, struct event *event);

/*
 * Reads a transformer's object, {"srcAddr": "10.0.0.1", "bytes": 40, ...}, into a flow of
 * format_every_field(). text begins with its brace. Unknown members are left out. The flow borrows from
 * text, and from scratch where there were escapes. False for FAULT_MESSAGE_JSON, or a field's own fault.
 */
MUST_CHECK bool logevents_parse_json(struct flow *flow, struct slice text, unsigned max_depth,
				     struct buf *scratch, struct fault *fault);

#endif
