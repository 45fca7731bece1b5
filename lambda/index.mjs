// SPDX-License-Identifier: Apache-2.0
// The forwarder: an event's payloads go to vpcflowd as they came, and the invocation ends with its
// word for each.
//
//   taken              fine
//   cannot be taken    REJECT, or no payload at all: into the failure queue, or the invocation fails
//   not taken now      the invocation fails before its time is up, and AWS tries again
//
// Nothing is ever swallowed: what was not taken is in the failure queue or in AWS's hands.
import { readToken } from "./aws.mjs";
import { Delivery, isFinal } from "./delivery.mjs";
import { cameFromQueue, readEvent } from "./events.mjs";
import { setAside } from "./failures.mjs";
import { Sender } from "./sender.mjs";
import { readSettings } from "./settings.mjs";

// What the end of an invocation takes: the failure queue, the log line, the reply; and of that what
// comes after the queue.
const RESERVE_MS = 1500;
const LAST_MS = 300;
// Problems told one by one in the log line.
const TOLD_MOST = 10;

const settings = readSettings(process.env);

// The environment's one connection, and what happened on it during this invocation.
let sender = null;
let pauses = [];

async function openSender(remaining) {
	if (sender === null) {
		const token = await readToken(settings, remaining);
		sender = new Sender({ ...settings, token }, { log: (_, pause) => pauses.push(pause) });
	}
	return sender;
}

// A token that is refused may have been changed since it was read.
function forgetToken(errors) {
	if (!errors.some((error) => error.why === "auth"))
		return;
	sender.close();
	sender = null;
}

// What came out of the failure queue does not go into it again as if it were new: it stays there, and
// whoever sent it again learns that it failed.
function mayQueue(event, kind) {
	// Firehose keeps what failed itself, beside its destination's own errors.
	return settings.failureQueue !== null && kind !== "firehose" && !cameFromQueue(event, settings.failureQueue);
}

function fail(failures) {
	const errors = [...failures.values()].flat();
	// AWS shows one message; a listener that is away explains more than a payload that is bad.
	throw errors.find((error) => !isFinal(error)) ?? errors[0];
}

// Streams and queues learn which records to give again. With every one of them failed the whole
// invocation fails, which AWS understands however it was configured.
function partial(event, failures, idOf) {
	if (failures.size === event.Records.length)
		fail(failures);
	return { batchItemFailures: [...failures.keys()].sort((a, b) => a - b).map((item) => ({ itemIdentifier: idOf(event.Records[item]) })) };
}

function firehoseReply(event, failures) {
	if ([...failures.values()].flat().some((error) => !isFinal(error)))
		fail(failures);
	return {
		records: event.records.map(({ recordId, data }, item) =>
			({ recordId, result: failures.has(item) ? "ProcessingFailed" : "Ok", data })),
	};
}

function replyTo(event, kind, failures, summary) {
	switch (kind.split("/")[0]) {
	case "firehose":
		return firehoseReply(event, failures);
	case "kinesis":
		return partial(event, failures, (record) => record.kinesis.sequenceNumber);
	case "sqs":
		return partial(event, failures, (record) => record.messageId);
	default:
		return failures.size > 0 ? fail(failures) : summary;
	}
}

// The records that failed, those first that did not get into the queue: it is they that AWS has.
function describe(before, left) {
	const failures = new Map([...left, ...[...before].filter(([item]) => !left.has(item))]);
	const problems = [...failures].flatMap(([item, errors]) => errors.map((error) => ({
		item, error: error.name, why: error.why ?? error.code ?? error.name, message: error.message,
		...(error.octets === undefined ? {} : { octets: error.octets }),
	})));
	return failures.size === 0 ? {} : { failed: failures.size, problems: problems.slice(0, TOLD_MOST) };
}

function describePauses() {
	return pauses.length === 0 ? {} : { pauses: pauses.length, trouble: pauses.at(-1).trouble };
}

// CloudWatch Logs' control messages have no flows, and the log says why.
function describeControl(kind, { control, totals, failures }) {
	if (control === 0)
		return {};
	const nothingElse = control === totals.payloads && failures.size === 0;
	return { kind: nothingElse ? `${kind}/control` : kind, control };
}

async function forward(event, context, summary) {
	const remaining = () => (context.getRemainingTimeInMillis?.() ?? Infinity) - RESERVE_MS;
	const { kind, batches } = readEvent(event);
	summary.kind = kind;
	const delivery = new Delivery(await openSender(remaining), { id: context.awsRequestId, remaining });
	Object.assign(summary, delivery.totals);
	await delivery.send(batches);
	Object.assign(summary, delivery.totals, describeControl(kind, delivery));
	const failures = new Map(delivery.failures);
	forgetToken([...failures.values()].flat());
	if (mayQueue(event, kind)) {
		const left = () => remaining() + RESERVE_MS - LAST_MS;
		const queued = await setAside(event, kind, delivery.failures, { queue: settings.failureQueue, context, remaining: left });
		Object.assign(summary, queued > 0 ? { queued } : {});
	}
	Object.assign(summary, describe(failures, delivery.failures));
	return replyTo(event, kind, delivery.failures, summary);
}

/** Lambda calls this with one event at a time. */
export const handler = async (event, context = {}) => {
	const begin = performance.now();
	const summary = { level: "error", request: context.awsRequestId };
	pauses = [];
	try {
		const reply = await forward(event, context, summary);
		summary.level = summary.failed ? "warn" : "info";
		return reply;
	} catch (error) {
		summary.error = `${error.name}: ${error.message}`;
		throw error;
	} finally {
		Object.assign(summary, { milliseconds: Math.round(performance.now() - begin) }, describePauses());
		console.log(JSON.stringify(summary));
	}
};
