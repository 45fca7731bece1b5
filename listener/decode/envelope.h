/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_ENVELOPE_H
#define VPCFLOWD_DECODE_ENVELOPE_H

#include "base/attributes.h"
#include "base/result.h"
#include "decode/document.h"
#include "decode/json.h"

/*
 * What a JSON document is, told by its members (the shapes are AWS's: CloudWatch Logs
 * "SubscriptionFilters", Lambda "Using AWS Lambda with ...", Firehose "HTTP endpoint delivery").
 */
enum envelope_kind {
	ENVELOPE_DOCUMENT, /* a document to convert; its slices are filled in */
	ENVELOPE_LAMBDA,   /* {"awslogs": {"data": base64}} */
	ENVELOPE_KINESIS,  /* {"Records": [{"kinesis": {"data": base64}}]} */
	ENVELOPE_FIREHOSE, /* {"records": [{"data": base64}]} */
};

struct envelope {
	enum envelope_kind kind;
	struct slice holder;	  /* LAMBDA: the object with the data, until it was given */
	struct json_walk records; /* KINESIS, FIREHOSE: the records to come */
};

/*
 * Looks at document->text, a valid JSON object, and fills in the envelope or the document's kind
 * and slices. False for FAULT_JSON_SHAPE.
 */
MUST_CHECK bool envelope_open(struct envelope *e, struct document *document, struct fault *fault);

/*
 * The next piece of wrapped data: base64 text, borrowed from the document unless escaped (then
 * from scratch). STEP_MORE after the last, STEP_BAD for a record without data.
 */
MUST_CHECK enum step envelope_data(struct envelope *e, struct buf *scratch, struct slice *data,
				   struct fault *fault);

#endif
