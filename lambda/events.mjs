// SPDX-License-Identifier: Apache-2.0
// What an event is, found out from its content, and the batches in it. A batch is
//
//   {item, octets}          a payload as it came, in most cases gzip
//   {item, object}          an S3 object that has payloads: {bucket, key}
//   {item, bad, message}    something that will never be one, and why
//
// where `item` is the number of the event's record it came from: that is what AWS is answered by.
// A record without batches (a test event) is fine and has nothing to send.
import { promisify } from "node:util";
import zlib from "node:zlib";
import { Malformed } from "./batches.mjs";

const gunzip = promisify(zlib.gunzip);

// A failed record in an SQS message in an SQS message is the deepest that anybody needs.
const DEPTH_MOST = 4;

// A control message has some 300 octets, and half as many as gzip.
const CONTROL_MOST = 2048;

// One class and no repetition: a pattern that matches the whole of 6 MB exhausts the stack.
const NOT_BASE64 = /[^A-Za-z0-9+/]/;

function isBase64(text) {
	const padding = text.endsWith("==") ? 2 : Number(text.endsWith("="));
	return text.length % 4 === 0 && !NOT_BASE64.test(text.slice(0, text.length - padding));
}

// Buffer.from skips what it does not know; half a payload would look like one.
function decode(text) {
	if (typeof text !== "string" || text === "")
		throw new Malformed("empty", "no data");
	if (!isBase64(text))
		throw new Malformed("base64", "data that is not base64");
	return Buffer.from(text, "base64");
}

function parse(text) {
	try {
		return JSON.parse(text);
	} catch {
		throw new Malformed("json", "a body that is not JSON");
	}
}

function keyOf(object) {
	try {
		return decodeURIComponent(object.key.replaceAll("+", " "));
	} catch {
		throw new Malformed("key", "an object key that cannot be decoded");
	}
}

// A record's work may fail by itself: the others are good nevertheless.
function attempt(item, work) {
	try {
		return work().map((batch) => ({ item, ...batch }));
	} catch (error) {
		if (!(error instanceof Malformed))
			throw error;
		return [{ item, bad: error.why, message: error.message }];
	}
}

function readObject(record) {
	if (!/^(s3:)?ObjectCreated:/.test(record.eventName))
		throw new Malformed("s3_event", `no ObjectCreated: ${record.eventName}`);
	const { bucket, object } = record.s3;
	if (typeof bucket?.name !== "string" || typeof object?.key !== "string")
		throw new Malformed("s3_event", "an S3 record without bucket or key");
	// What consoles make of a folder; flow logs are never empty.
	if (object.size === 0)
		return [];
	return [{ object: { bucket: bucket.name, key: keyOf(object) } }];
}

// What is inside: its batches as those of one record, its kind after a slash.
function within(event, depth, kinds) {
	if (depth > DEPTH_MOST)
		throw new Malformed("nesting", "events nested too deep");
	const { kind, batches } = readAt(event, depth);
	kinds.add(kind);
	return batches.map(({ item, ...batch }) => batch);
}

function nested(kind, items, open, depth) {
	const kinds = new Set();
	const batches = items.flatMap((item, number) => attempt(number, () => within(parse(open(item)), depth + 1, kinds)));
	return { kind: [kind, ...(kinds.size > 0 ? [[...kinds].sort().join("+")] : [])].join("/"), batches };
}

function each(kind, items, work) {
	return { kind, batches: items.flatMap((item, number) => attempt(number, () => work(item))) };
}

function one(kind, work) {
	return { kind, batches: attempt(0, work) };
}

// Kinds by what only they have. The order matters for the first two: both may hold anything.
const KINDS = [
	[(event) => isObject(event.requestPayload), (event, depth) => {
		const kinds = new Set();
		const batches = attempt(0, () => within(event.requestPayload, depth + 1, kinds));
		return { kind: ["failed", ...kinds].join("/"), batches };
	}],
	[(event) => event.Type === "Notification" && typeof event.Message === "string",
		(event, depth) => nested("sns", [event], (envelope) => envelope.Message, depth)],
	[(event) => isObject(event.awslogs),
		(event) => one("cloudwatch", () => [{ octets: decode(event.awslogs.data) }])],
	[(event) => every(event.records, (record) => isObject(record) && "data" in record),
		(event) => each("firehose", event.records, (record) => [{ octets: decode(record.data) }])],
	[(event) => every(event.Records, (record) => isObject(record?.kinesis)),
		(event) => each("kinesis", event.Records, (record) => [{ octets: decode(record.kinesis.data) }])],
	[(event) => every(event.Records, (record) => isObject(record?.s3)),
		(event) => each("s3", event.Records, readObject)],
	[(event) => every(event.Records, (record) => isObject(record?.Sns)),
		(event, depth) => nested("sns", event.Records, (record) => record.Sns.Message, depth)],
	[(event) => every(event.Records, (record) => typeof record?.body === "string" && typeof record.messageId === "string"),
		(event, depth) => nested("sqs", event.Records, (record) => record.body, depth)],
	[(event) => event.Event === "s3:TestEvent", () => ({ kind: "s3-test", batches: [] })],
];

function isObject(value) {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function every(list, is) {
	return Array.isArray(list) && list.length > 0 && list.every(is);
}

function isEmpty(event) {
	return event == null || (typeof event === "object" && [event, event.Records, event.records]
		.some((value) => value != null && Object.keys(value).length === 0));
}

function readAt(event, depth) {
	const found = isObject(event) ? KINDS.find(([is]) => is(event)) : undefined;
	if (found !== undefined)
		return found[1](event, depth);
	const bad = isEmpty(event) ? "empty" : "unknown";
	return { kind: bad, batches: [{ item: 0, bad, message: `an event that is ${bad === "empty" ? bad : "of no known kind"}` }] };
}

/** Event to {kind, batches}. Never throws: what is wrong with an event stands in its batches. */
export function readEvent(event) {
	return readAt(event, 0);
}

/**
 * Whether a payload is CloudWatch Logs' own message to a new destination, in which there are no
 * flows. Looks into a small gzip only, and never throws.
 */
export async function isControl(octets) {
	if (octets.length > CONTROL_MOST)
		return false;
	try {
		const text = await gunzip(octets, { maxOutputLength: 8 * CONTROL_MOST });
		return JSON.parse(text).messageType === "CONTROL_MESSAGE";
	} catch {
		return false;
	}
}

/** The event with nothing but this one of its records, as the failure queue gets it. */
export function onlyItem(event, kind, item) {
	if (!["kinesis", "s3", "sns", "sqs"].includes(kind.split("/")[0]) || !Array.isArray(event.Records))
		return event;
	return { ...event, Records: [event.Records[item]] };
}

/** The shortest text that readEvent finds that record in again: of a message of SQS its body. */
export function shortestText(event, kind, item) {
	return kind.split("/")[0] === "sqs" ? event.Records[item].body : JSON.stringify(onlyItem(event, kind, item));
}

/** Whether the event has already failed once and comes out of this queue, or out of none we know. */
export function cameFromQueue(event, queue) {
	if (!isObject(event))
		return false;
	const name = queue.split("/").at(-1);
	return isObject(event.requestPayload) || (Array.isArray(event.Records) &&
		event.Records.some((record) => String(record?.eventSourceARN).split(":").at(-1) === name));
}
