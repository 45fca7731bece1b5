// SPDX-License-Identifier: Apache-2.0
// What an event is and which batches are in it.
import assert from "node:assert/strict";
import { test } from "node:test";
import zlib from "node:zlib";
import { cameFromQueue, isControl, onlyItem, readEvent, shortestText } from "../../lambda/events.mjs";
import { cloudwatch, failed, firehose, kinesis, s3, sample, sns, sqs } from "./support/flows.mjs";

const one = Buffer.from("payload one");
const two = Buffer.from("payload two");

for (const name of ["control", "data-v2", "data-v2-account-level"])
	test(`the sample ${name} is passed on as the gzip it came in`, () => {
		const event = sample(`${name}.lambda-event.json`);
		const { kind, batches } = readEvent(event);
		assert.equal(kind, "cloudwatch");
		assert.equal(batches.length, 1);
		assert.equal(batches[0].octets.toString("base64"), event.awslogs.data);
		assert.deepEqual(JSON.parse(zlib.gunzipSync(batches[0].octets)), sample(`${name}.decoded.json`));
	});

for (const name of ["firehose-cwl", "firehose-direct-flowlogs"])
	test(`the sample ${name}`, () => {
		const event = sample(`${name}.http-body.json`);
		const { kind, batches } = readEvent(event);
		assert.equal(kind, "firehose");
		assert.deepEqual(batches.map(({ octets }) => octets.toString("base64")), event.records.map(({ data }) => data));
	});

const object = { bucket: "flows", key: "AWSLogs/1/a b+c.log.gz" };
const KINDS = [
	["cloudwatch", cloudwatch(one), [{ item: 0, octets: one }]],
	["kinesis", kinesis(one, two), [{ item: 0, octets: one }, { item: 1, octets: two }]],
	["firehose", firehose(one, two), [{ item: 0, octets: one }, { item: 1, octets: two }]],
	["s3", s3(object.key, "x"), [{ item: 0, object }, { item: 1, object: { bucket: "flows", key: "x" } }]],
	["sqs/s3", sqs(s3(object.key)), [{ item: 0, object }]],
	["sqs/sns/s3", sqs(sns(s3(object.key))), [{ item: 0, object }]],
	["sns/s3", { Records: [{ EventSource: "aws:sns", Sns: sns(s3(object.key)) }] }, [{ item: 0, object }]],
	["sqs/cloudwatch", sqs(cloudwatch(one), cloudwatch(two)), [{ item: 0, octets: one }, { item: 1, octets: two }]],
	["sqs/failed/cloudwatch", sqs(failed(cloudwatch(one))), [{ item: 0, octets: one }]],
	["sqs/kinesis", sqs(kinesis(one, two)), [{ item: 0, octets: one }, { item: 0, octets: two }]],
	["sqs/cloudwatch+s3", sqs(cloudwatch(one), s3("x")), [{ item: 0, octets: one }, { item: 1, object: { bucket: "flows", key: "x" } }]],
	["failed/cloudwatch", failed(cloudwatch(one)), [{ item: 0, octets: one }]],
	["failed/s3", failed(s3(object.key)), [{ item: 0, object }]],
	["failed/sqs/failed/cloudwatch", failed(sqs(failed(cloudwatch(one)))), [{ item: 0, octets: one }]],
	["s3-test", { Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "b" }, []],
	["sqs/s3-test", sqs({ Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "b" }), []],
];
for (const [kind, event, batches] of KINDS)
	test(`kind ${kind}`, () => assert.deepEqual(readEvent(event), { kind, batches }));

const deep = sqs(sqs(sqs(sqs(sqs(sqs(cloudwatch(one)))))));
const BAD = [
	["unknown", "unknown", { detail: {} }],
	["unknown", "unknown", "a text"],
	["unknown", "unknown", 7],
	["unknown", "unknown", [1, 2]],
	["unknown", "unknown", { Records: [{ dynamodb: {} }] }],
	["unknown", "unknown", { Records: [null] }],
	["unknown", "unknown", { Records: [kinesis(one).Records[0], {}] }],
	["empty", "empty", {}],
	["empty", "empty", null],
	["empty", "empty", { Records: [] }],
	["empty", "empty", { records: [] }],
	["cloudwatch", "empty", { awslogs: {} }],
	["cloudwatch", "empty", { awslogs: { data: "" } }],
	["cloudwatch", "base64", { awslogs: { data: "H4sI!" } }],
	["cloudwatch", "base64", { awslogs: { data: "H4sIAAA" } }],
	["cloudwatch", "empty", { awslogs: { data: 5 } }],
	["kinesis", "base64", { Records: [{ kinesis: { data: "****" } }] }],
	["firehose", "empty", { records: [{ data: "" }] }],
	["s3", "s3_event", { Records: [{ eventName: "ObjectRemoved:Delete", s3: { bucket: { name: "b" }, object: { key: "k" } } }] }],
	["s3", "s3_event", { Records: [{ eventName: "ObjectCreated:Put", s3: { bucket: {}, object: { key: "k" } } }] }],
	["s3", "s3_event", { Records: [{ eventName: "ObjectCreated:Put", s3: {} }] }],
	["s3", "key", { Records: [{ eventName: "ObjectCreated:Put", s3: { bucket: { name: "b" }, object: { key: "%E0%A4%A" } } }] }],
	["sqs", "json", sqs("not json")],
	["sqs/unknown", "unknown", sqs({ a: 1 })],
	["sqs/empty", "empty", sqs("null")],
	["failed/unknown", "unknown", failed({ a: 1 })],
	["sqs/sqs/sqs/sqs/sqs", "nesting", deep],
];
for (const [kind, why, event] of BAD)
	test(`bad: ${kind} ${why}: ${JSON.stringify(event)?.slice(0, 60)}`, () => {
		const read = readEvent(event);
		assert.equal(read.kind, kind);
		assert.deepEqual(read.batches.map(({ item, bad }) => ({ item, bad })), [{ item: 0, bad: why }]);
	});

test("a bad record leaves the others", () => {
	const event = kinesis(one, two);
	event.Records[0].kinesis.data = "?";
	assert.deepEqual(readEvent(event).batches.map(({ item, bad, octets }) => [item, bad ?? octets.toString()]), [[0, "base64"], [1, "payload two"]]);
});

test("an empty object has nothing to send", () => {
	const event = s3("folder/");
	event.Records[0].s3.object.size = 0;
	assert.deepEqual(readEvent(event), { kind: "s3", batches: [] });
});

test("only the record that failed is set aside, and what is not made of records whole", () => {
	const event = kinesis(one, two);
	assert.deepEqual(onlyItem(event, "kinesis", 1), { Records: [event.Records[1]] });
	assert.deepEqual(onlyItem(sqs("a", "b"), "sqs/s3", 0).Records.map(({ body }) => body), ["a"]);
	const odd = { Records: [{}, {}] };
	assert.equal(onlyItem(odd, "unknown", 0), odd);
	assert.equal(onlyItem(null, "empty", 0), null);
});

test("the shortest text for a record is read as the same batches", () => {
	for (const [kind, event, item] of [["kinesis", kinesis(one, two), 1], ["sqs/cloudwatch", sqs(cloudwatch(one), cloudwatch(two)), 1],
		["cloudwatch", cloudwatch(two), 0], ["sqs/failed/cloudwatch", sqs(failed(cloudwatch(two))), 0]]) {
		const { batches } = readEvent(JSON.parse(shortestText(event, kind, item)));
		assert.deepEqual(batches, [{ item: 0, octets: two }], kind);
	}
});

test("base64 of the largest event that Lambda takes", () => {
	const data = "A".repeat(6 << 20);
	assert.equal(readEvent({ awslogs: { data } }).batches[0].octets.length, data.length * 3 / 4);
	assert.equal(readEvent({ awslogs: { data: `${data}AA=A` } }).batches[0].bad, "base64");
});

const CONTROLS = [
	["the sample", Buffer.from(sample("control.lambda-event.json").awslogs.data, "base64"), true],
	["a message of records", Buffer.from(sample("data-v2.lambda-event.json").awslogs.data, "base64"), false],
	["no gzip", one, false],
	["nothing", Buffer.alloc(0), false],
	["gzip of no JSON", zlib.gzipSync("x"), false],
	["gzip of null", zlib.gzipSync("null"), false],
	["what unpacks to much", zlib.gzipSync(`${" ".repeat(1 << 20)}{"messageType":"CONTROL_MESSAGE"}`), false],
	["what is large", Buffer.alloc(1 << 20), false],
];
for (const [what, octets, expected] of CONTROLS)
	test(`a control message? ${what}: ${expected}`, async () => assert.equal(await isControl(octets), expected));

test("what came out of the failure queue is known by its ARN", () => {
	const queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/notifications";
	assert.equal(cameFromQueue(sqs("a"), queue), true);
	assert.equal(cameFromQueue(sqs("a"), `${queue}-other`), false);
	assert.equal(cameFromQueue(failed({}), queue), true);
	for (const event of [null, "x", {}, { Records: [null] }, cloudwatch(one)])
		assert.equal(cameFromQueue(event, queue), false);
});
