// SPDX-License-Identifier: Apache-2.0
// The handler in a Lambda environment, from the event to the flows the real listener wrote.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import zlib from "node:zlib";
import { Cloud } from "./support/cloud.mjs";
import { Environment } from "./support/environment.mjs";
import { FakeListener, reset } from "./support/fake.mjs";
import { cloudwatch, failed, firehose, ftsq, HEADER, kinesis, message, object, packed, records, s3, sample, sns, sqs } from "./support/flows.mjs";
import { Listener } from "./support/listener.mjs";
import { Proxy } from "./support/proxy.mjs";

const to = ({ host, port }, more = {}) => ({ VPCFLOWD_HOST: host, VPCFLOWD_PORT: String(port), ...more });
const sum = (...lists) => ftsq(lists.flat()).sort();

async function setUp(t, { cloud: withCloud = false, queue = false, options = [], ...variables } = {}) {
	const listener = await Listener.start(t, ...options);
	const cloud = withCloud || queue ? await Cloud.start(t) : null;
	const more = { ...cloud?.variables, ...(queue ? { VPCFLOWD_FAILURE_QUEUE: cloud.queue } : {}), ...variables };
	return { listener, cloud, environment: await Environment.start(t, to(listener, more)) };
}

test("a CloudWatch Logs event: one log line says what became of it", async (t) => {
	const { listener, environment } = await setUp(t);
	const lines = records(30);
	const octets = packed(lines);
	const { error, log, lines: logged, id } = await environment.invoke(cloudwatch(octets));
	assert.equal(error, undefined);
	assert.equal(logged, 1);
	assert.ok(Number.isInteger(log.milliseconds));
	delete log.milliseconds;
	assert.deepEqual(log, { level: "info", request: id, kind: "cloudwatch", payloads: 1, bytes: octets.length, flows: 30, duplicates: 0 });
	assert.deepEqual(listener.flows(), sum(lines));
});

const SAMPLES = [
	["data-v2.lambda-event.json", "cloudwatch", 5], ["data-v2-account-level.lambda-event.json", "cloudwatch", null],
	["control.lambda-event.json", "cloudwatch/control", 0],
];
for (const [name, kind, flows] of SAMPLES)
	test(`the sample ${name}`, async (t) => {
		const { listener, environment } = await setUp(t);
		const { error, log } = await environment.invoke(sample(name));
		assert.equal(error, undefined);
		assert.equal(log.kind, kind);
		assert.equal(log.control, flows === 0 ? 1 : undefined);
		assert.equal(log.payloads, 1);
		assert.equal(log.flows, flows ?? listener.flows().length);
		assert.equal(listener.flows().length, log.flows);
	});

for (const name of ["firehose-cwl.http-body.json", "firehose-direct-flowlogs.http-body.json"])
	test(`the sample ${name} as a transform event`, async (t) => {
		const { listener, environment } = await setUp(t);
		const event = sample(name);
		event.records.forEach((record, n) => { record.recordId = `r${n}`; });
		const { reply, log } = await environment.invoke(event);
		assert.deepEqual(reply.records, event.records.map(({ recordId, data }) => ({ recordId, result: "Ok", data })));
		assert.equal(listener.flows().length, log.flows);
		assert.ok(log.flows > 0);
	});

const control = Buffer.from(sample("control.lambda-event.json").awslogs.data, "base64");

test("control messages are told from records that gave no flow, in every wrapping", async (t) => {
	const { listener, environment } = await setUp(t);
	const lines = records(2);
	const mixed = await environment.invoke(kinesis(control, packed(lines), control));
	assert.deepEqual([mixed.log.kind, mixed.log.payloads, mixed.log.control, mixed.log.flows], ["kinesis", 3, 2, 2]);
	assert.equal((await environment.invoke(kinesis(control))).log.kind, "kinesis/control");
	assert.equal((await environment.invoke(kinesis(control, Buffer.from("nothing")))).log.kind, "kinesis");
	assert.equal((await environment.invoke(sqs(cloudwatch(control)))).log.kind, "sqs/cloudwatch/control");
	const skipped = "2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA";
	const { log } = await environment.invoke(cloudwatch(packed([skipped])));
	assert.deepEqual([log.kind, log.control, log.flows], ["cloudwatch", undefined, 0]);
	assert.deepEqual(listener.flows(), sum(lines));
});

test("an event of the largest size that AWS sends", async (t) => {
	const { listener, environment } = await setUp(t);
	// What does not compress brings it there.
	const lines = records(4000);
	const filler = message(lines, { policyLevel: "x", extra: randomBytes(620000).toString("base64") });
	const octets = zlib.gzipSync(JSON.stringify(filler));
	const event = cloudwatch(octets);
	const size = JSON.stringify(event).length;
	assert.ok(size > 900000 && size <= 1024 * 1024, `${size} octets`);
	const { error, log } = await environment.invoke(event);
	assert.equal(error, undefined);
	assert.equal(log.flows, 4000);
	assert.deepEqual(listener.flows(), sum(lines));
});

test("one connection serves all invocations of an environment", async (t) => {
	const listener = await FakeListener.start(t);
	const environment = await Environment.start(t, to(listener));
	for (let n = 0; n < 5; n++)
		assert.equal((await environment.invoke(cloudwatch(packed(records(1))))).error, undefined);
	assert.equal(listener.connections, 1);
	assert.equal(new Set(listener.puts.map(({ id }) => id)).size, 5);
});

test("a connection that died while the environment was frozen is reopened, the flows come once", async (t) => {
	const { listener, environment } = await setUp(t);
	const [first, second] = [records(5), records(5)];
	await environment.invoke(cloudwatch(packed(first)));
	environment.freeze();
	await listener.down();
	await listener.up();
	environment.thaw();
	const { error, log } = await environment.invoke(cloudwatch(packed(second)));
	assert.equal(error, undefined);
	assert.equal(log.pauses, undefined);
	assert.deepEqual(listener.flows(), sum(first, second));
});

test("too little time: the invocation fails before Lambda ends it", async (t) => {
	const listener = await FakeListener.start(t, () => {});
	const environment = await Environment.start(t, to(listener));
	const begin = performance.now();
	const { error, log } = await environment.invoke(cloudwatch(packed(records(1))), { ms: 2500 });
	assert.ok(performance.now() - begin < 2400);
	assert.equal(error.errorType, "Unavailable");
	assert.equal(log.level, "error");
	assert.match(log.error, /^Unavailable: not taken in time/);
	const none = await environment.invoke(cloudwatch(packed(records(1))), { ms: 1000 });
	assert.equal(none.error.errorType, "Unavailable");
});

test("a listener that is away and comes back within the time", async (t) => {
	const { listener, environment } = await setUp(t);
	const lines = records(5);
	await listener.down();
	const invocation = environment.invoke(cloudwatch(packed(lines)));
	await new Promise((resolve) => setTimeout(resolve, 500));
	await listener.up();
	const { error, log } = await invocation;
	assert.equal(error, undefined);
	assert.ok(log.pauses >= 1);
	assert.match(log.trouble, /ECONNREFUSED/);
	assert.deepEqual(listener.flows(), sum(lines));
});

test("a listener that is away: the error names it, and the next invocation succeeds", async (t) => {
	const { listener, environment } = await setUp(t);
	const lines = records(5);
	await listener.down();
	const { error } = await environment.invoke(cloudwatch(packed(lines)), { ms: 3000 });
	assert.match(error.errorMessage, /ECONNREFUSED/);
	await listener.up();
	assert.equal((await environment.invoke(cloudwatch(packed(lines)))).error, undefined);
	assert.deepEqual(listener.flows(), sum(lines));
});

for (const [when, cutAfter] of [["before", 0], ["within", 300]])
	test(`a connection that dies ${when} the payload: the flows come once`, async (t) => {
		const listener = await Listener.start(t);
		const proxy = await Proxy.start(t, listener, (number) => (number === 0 ? { cutAfter } : {}));
		const environment = await Environment.start(t, to(proxy));
		const lines = records(50);
		const { error, log } = await environment.invoke(cloudwatch(packed(lines)));
		assert.equal(error, undefined);
		assert.equal(log.pauses, 1);
		assert.deepEqual(listener.flows(), sum(lines));
	});

test("a connection that dies after the payload: a duplicate is no flow", async (t) => {
	const listener = await FakeListener.start(t, (put, say, socket) =>
		(put.number === 0 ? reset(socket) : say(`DUP ${put.id} 50`)));
	const environment = await Environment.start(t, to(listener));
	const { error, log } = await environment.invoke(cloudwatch(packed(records(50))));
	assert.equal(error, undefined);
	assert.deepEqual([log.payloads, log.flows, log.duplicates], [1, 0, 1]);
	assert.ok(listener.puts[0].octets.equals(listener.puts[1].octets));
});

test("RETRY within the time", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => say(put.number === 0 ? `RETRY ${put.id} 0 overload` : `ACK ${put.id} 1`));
	const environment = await Environment.start(t, to(listener));
	const { error, log } = await environment.invoke(cloudwatch(packed(records(1))));
	assert.equal(error, undefined);
	assert.equal(log.trouble, "RETRY overload");
});

// What will never be taken, as a CloudWatch Logs event, and the word for it.
const notGzip = cloudwatch(Buffer.from("no gzip, no lines of any format"));
const FINAL = [
	["gzip that is not", cloudwatch(Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.from("hello")])), "cloudwatch", "gzip"],
	["gzip that is cut", cloudwatch(packed(records(50)).subarray(0, -20)), "cloudwatch", "gzip_cut"],
	["text that is no record", notGzip, "cloudwatch", "nothing_converted"],
	["base64 that is not", { awslogs: { data: "H4sI****" } }, "cloudwatch", "base64"],
	["an empty event", {}, "empty", "empty"],
	["no event", null, "empty", "empty"],
	["an event of no known kind", { detail: { a: 1 } }, "unknown", "unknown"],
];
for (const [what, event, kind, why] of FINAL) {
	test(`${what}: the invocation fails when there is no queue`, async (t) => {
		const { listener, environment } = await setUp(t);
		const { error, log, lines } = await environment.invoke(event);
		assert.match(error.errorType, /^(Rejected|Malformed)$/);
		assert.equal(lines, 1);
		assert.equal(log.kind, kind);
		assert.equal(log.problems[0].why, why);
		assert.deepEqual(listener.flows(), []);
	});
	test(`${what}: into the queue, and the invocation succeeds`, async (t) => {
		const { cloud, environment } = await setUp(t, { queue: true });
		const { error, log, id } = await environment.invoke(event);
		assert.equal(error, undefined);
		assert.equal(log.level, "warn");
		assert.equal(log.queued, 1);
		assert.equal(log.problems[0].why, why);
		assert.deepEqual(cloud.messages.map(({ requestPayload }) => requestPayload), [event]);
		assert.equal(cloud.messages[0].requestContext.requestId, id);
		assert.ok(cloud.messages[0].responsePayload.errorMessage);
	});
}

test("a queue that cannot be written to: the invocation fails", async (t) => {
	const { cloud, environment } = await setUp(t, { queue: true });
	cloud.denied.set("SendMessage", 1);
	const { error, log } = await environment.invoke(notGzip);
	assert.equal(error.errorType, "AccessDeniedException");
	assert.deepEqual(log.problems.map(({ why }) => why), ["AccessDeniedException", "nothing_converted"]);
	assert.equal(log.failed, 1);
	assert.equal((await environment.invoke(notGzip)).error, undefined);
	assert.equal(cloud.messages.length, 1);
});

const MIB = 1024 * 1024;
// The beginning of gzip and what is none, that becomes so many characters of base64.
const damaged = (characters) => Buffer.concat([Buffer.from([0x1f, 0x8b]), randomBytes(Math.floor(characters * 3 / 4) - 2)]);
const around = JSON.stringify(cloudwatch(Buffer.alloc(0))).length;

test("the largest event that fits into the queue goes there without the reason, which the log has", async (t) => {
	const { cloud, environment } = await setUp(t, { queue: true });
	const event = cloudwatch(damaged(MIB - around));
	assert.ok(JSON.stringify(event).length > MIB - 4 && JSON.stringify(event).length <= MIB);
	const { error, log } = await environment.invoke(event);
	assert.equal(error, undefined);
	assert.deepEqual([log.queued, log.problems[0].why], [1, "gzip"]);
	assert.deepEqual(cloud.messages, [event]);
	// One that is a little smaller has both.
	await environment.invoke(cloudwatch(damaged(MIB - around - 1000)));
	assert.equal(cloud.messages[1].responsePayload.errorType, "Rejected");
});

test("an event that no message can hold fails its invocation, and the log has its size", async (t) => {
	const { cloud, environment } = await setUp(t, { queue: true });
	const event = cloudwatch(damaged(MIB));
	const { error, log } = await environment.invoke(event);
	assert.equal(error.errorType, "Oversize");
	assert.match(error.errorMessage, /rejected by the listener: gzip.*do not fit into the failure queue/);
	assert.deepEqual([log.level, log.kind, log.queued, log.failed], ["error", "cloudwatch", undefined, 1]);
	assert.deepEqual(log.problems.map(({ why, octets }) => [why, octets]), [["too_large", JSON.stringify(event).length], ["gzip", undefined]]);
	assert.deepEqual(cloud.messages, []);
});

test("what is away does not go into the queue: AWS tries again", async (t) => {
	const { listener, cloud, environment } = await setUp(t, { queue: true });
	await listener.down();
	const { error } = await environment.invoke(cloudwatch(packed(records(1))), { ms: 2500 });
	assert.equal(error.errorType, "Unavailable");
	assert.deepEqual(cloud.messages, []);
});

test("failed events from the queue are delivered, in every wrapping", async (t) => {
	const { listener, environment } = await setUp(t, { queue: true });
	const lots = [1, 2, 3, 4].map((n) => records(n));
	const [a, b, c, d] = lots.map((lines) => cloudwatch(packed(lines)));
	assert.equal((await environment.invoke(failed(a))).log.kind, "failed/cloudwatch");
	const { reply, log } = await environment.invoke(sqs(failed(b), c, sqs(failed(d))));
	assert.deepEqual(reply, { batchItemFailures: [] });
	assert.equal(log.payloads, 3);
	assert.deepEqual(listener.flows(), sum(...lots));
});

test("what came out of the failure queue and fails again stays there", async (t) => {
	const { cloud, environment } = await setUp(t, { queue: true });
	const event = sqs(failed(notGzip), failed(cloudwatch(packed(records(1)))));
	for (const record of event.Records)
		record.eventSourceARN = "arn:aws:sqs:eu-west-1:123456789012:failures";
	const { reply } = await environment.invoke(event);
	assert.deepEqual(reply, { batchItemFailures: [{ itemIdentifier: "m0" }] });
	assert.equal((await environment.invoke(failed(notGzip))).error.errorType, "Rejected");
	assert.deepEqual(cloud.messages, []);
});

test("SQS of another queue: what fails for good goes into the failure queue", async (t) => {
	const { listener, cloud, environment } = await setUp(t, { queue: true });
	const lines = records(2);
	const { reply, log } = await environment.invoke(sqs("no json", cloudwatch(packed(lines))));
	assert.deepEqual(reply, { batchItemFailures: [] });
	assert.equal(log.queued, 1);
	assert.deepEqual(cloud.messages[0].requestPayload.Records.map(({ body }) => body), ["no json"]);
	assert.deepEqual(listener.flows(), sum(lines));
});

test("SQS of another queue: a message that fits into the queue as it is only", async (t) => {
	const { cloud, environment } = await setUp(t, { queue: true });
	const body = "no JSON".padEnd(MIB, ".");
	const { reply, log } = await environment.invoke(sqs(body));
	assert.deepEqual(reply, { batchItemFailures: [] });
	assert.deepEqual([log.queued, log.problems[0].why], [1, "json"]);
	assert.deepEqual(cloud.messages, [body]);
});

test("Kinesis: every record for itself", async (t) => {
	const { listener, environment } = await setUp(t);
	const lots = Array.from({ length: 40 }, () => records(10));
	const { reply, log } = await environment.invoke(kinesis(...lots.map(packed)));
	assert.deepEqual(reply, { batchItemFailures: [] });
	assert.deepEqual([log.kind, log.payloads, log.flows], ["kinesis", 40, 400]);
	assert.deepEqual(listener.flows(), sum(...lots));
});

test("Kinesis: what failed is named, the rest is taken", async (t) => {
	const { listener, environment } = await setUp(t);
	const lots = [records(3), records(4)];
	const event = kinesis(packed(lots[0]), Buffer.from("nothing"), packed(lots[1]), Buffer.from("x"));
	event.Records[3].kinesis.data = "*";
	const { reply, log } = await environment.invoke(event);
	assert.deepEqual(reply, { batchItemFailures: [{ itemIdentifier: "49591" }, { itemIdentifier: "49593" }] });
	assert.equal(log.failed, 2);
	assert.deepEqual(listener.flows(), sum(...lots));
});

test("Kinesis: with every record failed, the invocation fails", async (t) => {
	const { environment } = await setUp(t);
	assert.equal((await environment.invoke(kinesis(Buffer.from("nothing")))).error.errorType, "Rejected");
});

const queuedRecords = ({ messages }) => messages.flatMap(({ requestPayload }) => [requestPayload.Records])
	.sort(([a], [b]) => (a.kinesis.sequenceNumber < b.kinesis.sequenceNumber ? -1 : 1));

test("Kinesis: what fails for good goes into the queue, a message each", async (t) => {
	const { listener, cloud, environment } = await setUp(t, { queue: true });
	const lines = records(3);
	const bad = Array.from({ length: 40 }, (_, n) => Buffer.from(`nothing ${n}`));
	const event = kinesis(packed(lines), ...bad);
	event.Records.forEach((record, n) => { record.kinesis.sequenceNumber = String(1000 + n); });
	const { reply, log } = await environment.invoke(event);
	assert.deepEqual(reply, { batchItemFailures: [] });
	assert.deepEqual([log.queued, log.failed], [40, 40]);
	assert.deepEqual(queuedRecords(cloud), event.Records.slice(1).map((record) => [record]));
	assert.deepEqual(listener.flows(), sum(lines));
	// Which the queue gives back to us.
	const { reply: again } = await environment.invoke(sqs(cloud.messages[0], failed(cloudwatch(packed(lines)))));
	assert.equal(again.batchItemFailures.length, 0);
});

test("Kinesis: a record that no message can hold is given again, and it alone", async (t) => {
	const { listener, cloud, environment } = await setUp(t, { queue: true });
	const lines = records(3);
	const event = kinesis(packed(lines), Buffer.from("nothing"), damaged(MIB + 1000), Buffer.from("x"));
	const { reply, log } = await environment.invoke(event);
	assert.deepEqual(reply, { batchItemFailures: [{ itemIdentifier: "49592" }] });
	assert.deepEqual(queuedRecords(cloud), [[event.Records[1]], [event.Records[3]]]);
	assert.deepEqual([log.level, log.kind, log.queued, log.failed], ["warn", "kinesis", 2, 3]);
	assert.deepEqual([log.problems[0].item, log.problems[0].why], [2, "too_large"]);
	assert.ok(log.problems[0].octets > MIB);
	assert.deepEqual(listener.flows(), sum(lines));
});

test("Kinesis: a record that the queue refuses is given again, and it alone", async (t) => {
	const { listener, cloud, environment } = await setUp(t, { queue: true });
	const lines = records(3);
	cloud.denied.set("SendMessage", 1);
	const event = kinesis(packed(lines), Buffer.from("nothing"), Buffer.from("neither"));
	const { reply, log } = await environment.invoke(event);
	const named = reply.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
	const queued = queuedRecords(cloud).map(([record]) => record.kinesis.sequenceNumber);
	assert.deepEqual([named.length, queued.length], [1, 1]);
	assert.deepEqual([...named, ...queued].sort(), ["49591", "49592"]);
	assert.deepEqual([log.queued, log.problems[0].why], [1, "AccessDeniedException"]);
	assert.deepEqual(listener.flows(), sum(lines));
});

test("Kinesis: what was not taken in time is given again", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => put.number < 2 && say(`ACK ${put.id} 1`));
	const environment = await Environment.start(t, to(listener));
	const { reply } = await environment.invoke(kinesis(...[1, 2, 3, 4].map((n) => packed(records(n)))), { ms: 2500 });
	assert.deepEqual(reply.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier), ["49592", "49593"]);
});

test("Firehose: what will never be is marked, what is away fails the invocation", async (t) => {
	const { listener, cloud, environment } = await setUp(t, { queue: true });
	const lines = records(3);
	const event = firehose(packed(lines), Buffer.from("nothing"));
	const { reply, log } = await environment.invoke(event);
	assert.deepEqual(reply.records, [
		{ recordId: "r0", result: "Ok", data: event.records[0].data },
		{ recordId: "r1", result: "ProcessingFailed", data: event.records[1].data },
	]);
	assert.equal(log.level, "warn");
	assert.deepEqual(cloud.messages, []);
	assert.deepEqual(listener.flows(), sum(lines));
	await listener.down();
	assert.equal((await environment.invoke(event, { ms: 2500 })).error.errorType, "Unavailable");
});

test("an S3 object, by itself and in every wrapping", async (t) => {
	const { listener, cloud, environment } = await setUp(t, { cloud: true });
	const lots = Array.from({ length: 4 }, () => records(20));
	const key = (n) => `AWSLogs/1/vpc flow+logs/${n}.log.gz`;
	lots.forEach((lines, n) => cloud.objects.set(`flows/${key(n)}`, object(lines, HEADER)));
	assert.equal((await environment.invoke(s3(key(0)))).log.flows, 20);
	assert.deepEqual((await environment.invoke(sqs(s3(key(1))))).reply, { batchItemFailures: [] });
	assert.deepEqual((await environment.invoke(sqs(sns(s3(key(2)))))).reply, { batchItemFailures: [] });
	assert.equal((await environment.invoke(failed(s3(key(3))))).error, undefined);
	assert.deepEqual(listener.flows(), sum(...lots));
});

test("an S3 object's header names its format", async (t) => {
	const { listener, cloud, environment } = await setUp(t, { cloud: true });
	cloud.objects.set("flows/k", object(["172.31.0.1 172.31.0.2 840"], "dstaddr srcaddr bytes"));
	assert.equal((await environment.invoke(s3("k"))).log.flows, 1);
	assert.match(listener.flows()[0], /^172\.31\.0\.2,0,172\.31\.0\.1,0,0,0,840,/);
});

test("a large S3 object is cut, and every line comes once", async (t) => {
	const { listener, cloud, environment } = await setUp(t, { cloud: true });
	const lines = records(400000);
	cloud.objects.set("flows/large", object(lines, HEADER));
	const { error, log } = await environment.invoke(s3("large"), { ms: 60000 });
	assert.equal(error, undefined);
	assert.ok(log.payloads > 1, `${log.payloads} payloads`);
	assert.equal(log.flows, 400000);
	assert.deepEqual(listener.flows(), sum(lines));
});

test("S3: what cannot be read now fails the invocation, what never will be is final", async (t) => {
	const { listener, cloud, environment } = await setUp(t, { queue: true });
	const lines = records(5000);
	cloud.objects.set("flows/whole", object(lines, HEADER));
	cloud.objects.set("flows/cut", object(records(5000), HEADER).subarray(0, -100));
	cloud.objects.set("flows/parquet", Buffer.from("PAR1 and so on"));
	cloud.broken.set("flows/whole", 20000);
	assert.ok((await environment.invoke(s3("whole"))).error);
	assert.deepEqual(cloud.messages, []);
	assert.deepEqual(listener.flows(), []);
	for (const [key, why] of [["cut", "gzip_cut"], ["parquet", "gzip"], ["missing", "NoSuchKey"]]) {
		const { error, log } = await environment.invoke(s3(key));
		assert.equal(error, undefined, key);
		assert.equal(log.problems[0].why, why);
		assert.equal(log.queued, 1);
	}
	assert.equal(cloud.messages.length, 3);
	assert.equal((await environment.invoke(s3("whole"))).error, undefined);
	assert.deepEqual(listener.flows(), sum(lines));
});

test("an S3 object of which nothing can be converted goes into the queue", async (t) => {
	const { cloud, environment } = await setUp(t, { queue: true });
	cloud.objects.set("flows/odd", object(["not a record", "nor this"], HEADER));
	const { error, log } = await environment.invoke(s3("odd"));
	assert.equal(error, undefined);
	assert.equal(log.problems[0].why, "nothing_converted");
	assert.deepEqual(cloud.messages.map(({ requestPayload }) => requestPayload), [s3("odd")]);
});

test("an S3 object that is partly rejected while the listener is away: AWS tries again", async (t) => {
	const cloud = await Cloud.start(t);
	const listener = await FakeListener.start(t, (put, say) => put.number === 0 && say(`REJECT ${put.id} nothing_converted`));
	const environment = await Environment.start(t, to(listener, { ...cloud.variables, VPCFLOWD_FAILURE_QUEUE: cloud.queue }));
	cloud.objects.set("flows/large", object(Array(400000).fill(records(1)[0]), HEADER));
	const { error } = await environment.invoke(s3("large"), { ms: 6000 });
	assert.ok(listener.puts.length > 1);
	assert.equal(error.errorType, "Unavailable");
	assert.deepEqual(cloud.messages, []);
});

test("S3's test event is fine and has nothing to send", async (t) => {
	const { environment } = await setUp(t);
	const { error, log } = await environment.invoke({ Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "flows" });
	assert.equal(error, undefined);
	assert.deepEqual([log.kind, log.payloads], ["s3-test", 0]);
});

function tokenFile(listener, ...tokens) {
	const file = join(listener.folder, "tokens");
	writeFileSync(file, tokens.join("\n") + "\n");
	return file;
}

async function withTokens(t, ...tokens) {
	const listener = await Listener.start(t);
	await listener.down();
	listener.options.push("--token-file", tokenFile(listener, ...tokens));
	await listener.up();
	return listener;
}

test("a token from the environment, and a wrong one", async (t) => {
	const listener = await withTokens(t, "right-token");
	const good = await Environment.start(t, to(listener, { VPCFLOWD_TOKEN: "right-token" }));
	const lines = records(2);
	assert.equal((await good.invoke(cloudwatch(packed(lines)))).error, undefined);
	const bad = await Environment.start(t, to(listener, { VPCFLOWD_TOKEN: "wrong-token" }));
	const { error } = await bad.invoke(cloudwatch(packed(records(2))), { ms: 4000 });
	assert.equal(error.errorType, "Unavailable");
	assert.ok(!(good.text + bad.text + JSON.stringify(error)).includes("-token"));
	assert.deepEqual(listener.flows(), sum(lines));
});

const PLACES = [
	["a parameter", { VPCFLOWD_TOKEN_PARAMETER: "/vpcflowd/token" }, (cloud, token) => cloud.parameters.set("/vpcflowd/token", token), "GetParameter"],
	["a secret", { VPCFLOWD_TOKEN_SECRET: "vpcflowd" }, (cloud, token) => cloud.secrets.set("vpcflowd", token), "GetSecretValue"],
	["a secret of JSON", { VPCFLOWD_TOKEN_SECRET: "vpcflowd" }, (cloud, token) => cloud.secrets.set("vpcflowd", JSON.stringify({ token })), "GetSecretValue"],
];
for (const [what, variables, set, call] of PLACES)
	test(`a token from ${what}: read once, and again when it is refused`, async (t) => {
		const cloud = await Cloud.start(t);
		set(cloud, "first-token");
		const accept = new Set(["first-token"]);
		const listener = await FakeListener.start(t, (put, say, socket, { auths }) =>
			(accept.has(auths.at(-1)) ? say(`ACK ${put.id} 1`) : socket.end("REJECT - auth\n")));
		const environment = await Environment.start(t, to(listener, { ...cloud.variables, ...variables }));
		for (let n = 0; n < 3; n++)
			assert.equal((await environment.invoke(cloudwatch(packed(records(1))))).error, undefined);
		assert.deepEqual(cloud.calls, [call]);
		// Changed, as one changes secrets.
		set(cloud, "second-token");
		accept.clear();
		accept.add("second-token");
		listener.cut();
		const { error } = await environment.invoke(cloudwatch(packed(records(1))));
		assert.match(error.errorMessage, /auth/);
		assert.equal((await environment.invoke(cloudwatch(packed(records(1))))).error, undefined);
		assert.deepEqual(cloud.calls, [call, call]);
		assert.ok(!environment.text.includes("-token"));
	});

test("a token that cannot be read fails the invocation and is tried again", async (t) => {
	const cloud = await Cloud.start(t);
	const listener = await FakeListener.start(t);
	const environment = await Environment.start(t, to(listener, { ...cloud.variables, VPCFLOWD_TOKEN_PARAMETER: "/p" }));
	cloud.denied.set("GetParameter", 1);
	assert.equal((await environment.invoke(cloudwatch(packed(records(1))))).error.errorType, "AccessDeniedException");
	assert.match((await environment.invoke(cloudwatch(packed(records(1))))).error.errorMessage, /VPCFLOWD_TOKEN_PARAMETER/);
	cloud.parameters.set("/p", "t");
	assert.equal((await environment.invoke(cloudwatch(packed(records(1))))).error, undefined);
});

test("a bad setting ends the environment with its name", async (t) => {
	const environment = await Environment.start(t, { VPCFLOWD_HOST: "flows", VPCFLOWD_TLS: "perhaps" });
	const { error } = await environment.invoke({});
	assert.match(error.errorMessage, /^VPCFLOWD_TLS /);
});

test("the SDK is loaded only where it is needed: without it, everything but S3 works", async (t) => {
	const listener = await Listener.start(t);
	const environment = await Environment.start(t, to(listener), { sdk: false });
	const lines = records(3);
	assert.equal((await environment.invoke(cloudwatch(packed(lines)))).error, undefined);
	assert.equal((await environment.invoke(s3("k"))).log.problems[0].why, "ERR_MODULE_NOT_FOUND");
	assert.deepEqual(listener.flows(), sum(lines));
});
