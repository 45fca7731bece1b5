// SPDX-License-Identifier: Apache-2.0
// What will never be taken, into the failure queue: a message for each record, so that one which the
// queue does not take fails alone. A message is
//
//   {requestContext, requestPayload, responsePayload}    as Lambda's own on-failure records are: the
//                                                        event with that record alone, and the reason
//   the event with that record alone                     where nothing more fits; the log has the reason
//
// and a message of SQS that does not fit either way goes as the body it was.
import { sendMessage } from "./aws.mjs";
import { isFinal } from "./delivery.mjs";
import { onlyItem, shortestText } from "./events.mjs";

// SQS's limit, in octets of UTF-8. Our messages have no attributes, which would count too.
const MESSAGE_MOST = 1024 * 1024;
// Records in a batch may be thousands, and each is a call.
const CALLS_AT_ONCE = 16;

/** A record that no message can hold; `octets` is what it would take. */
export class Oversize extends Error {
	constructor(kind, octets, reason) {
		super(`${reason}; and its ${octets} octets (${kind}) do not fit into the failure queue`);
		this.name = "Oversize";
		this.why = "too_large";
		this.octets = octets;
	}
}

function withReason(event, context, [{ name, message }]) {
	return JSON.stringify({
		version: "1.0",
		timestamp: new Date().toISOString(),
		requestContext: {
			requestId: context.awsRequestId,
			functionArn: context.invokedFunctionArn,
			condition: "Rejected",
			approximateInvokeCount: 1,
		},
		requestPayload: event,
		responsePayload: { errorType: name, errorMessage: message },
	});
}

function messageFor(event, kind, item, context, errors) {
	const whole = withReason(onlyItem(event, kind, item), context, errors);
	if (Buffer.byteLength(whole) <= MESSAGE_MOST)
		return whole;
	const least = shortestText(event, kind, item);
	const octets = Buffer.byteLength(least);
	if (octets > MESSAGE_MOST)
		throw new Oversize(kind, octets, errors[0].message);
	return least;
}

/**
 * Queues the records that failed for good, and gives how many. They are out of `failures` then; one
 * that could not be queued stays there, with what hindered it before its other errors. Never throws.
 */
export async function setAside(event, kind, failures, { queue, context, remaining }) {
	const records = [...failures].filter(([, errors]) => errors.every(isFinal));
	const left = records.values();
	let queued = 0;
	const work = async () => {
		for (const [item, errors] of left)
			try {
				await sendMessage(queue, messageFor(event, kind, item, context, errors), remaining);
				failures.delete(item);
				queued++;
			} catch (error) {
				failures.set(item, [error, ...errors]);
			}
	};
	await Promise.all(Array.from({ length: Math.min(CALLS_AT_ONCE, records.length) }, work));
	return queued;
}
