// SPDX-License-Identifier: Apache-2.0
// Objects cut into payloads: every line once, every payload complete in itself, the same payloads
// however the object was read.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import zlib from "node:zlib";
import { gzipBatches, isHeader, lineBatches, Malformed } from "../../lambda/batches.mjs";
import { HEADER, records } from "./support/flows.mjs";

async function* chunks(octets, size) {
	for (let at = 0; at < octets.length; at += size)
		yield octets.subarray(at, at + size);
}

async function collect(source) {
	const all = [];
	for await (const batch of source)
		all.push(batch);
	return all;
}

const linesOf = (batch) => zlib.gunzipSync(batch).toString().split("\n").filter(Boolean);
const digest = (batches) => batches.map((batch) => createHash("sha256").update(batch).digest("hex"));

const MANY = records(60000);
const OBJECT = zlib.gzipSync([HEADER, ...MANY, ""].join("\n"));
const LIMIT = 256 * 1024;

test("payloads keep the limit, begin with the header and have every line once", async () => {
	const batches = await collect(gzipBatches(chunks(OBJECT, 65536), { limit: LIMIT }));
	assert.ok(batches.length > 3, `${batches.length} payloads`);
	for (const batch of batches) {
		assert.ok(batch.length <= LIMIT);
		assert.equal(linesOf(batch)[0], HEADER);
	}
	assert.deepEqual(batches.flatMap(linesOf).filter((line) => line !== HEADER), MANY);
});

test("every gzip member begins with the header, since a header ends with its member", async () => {
	const [batch] = await collect(gzipBatches(chunks(OBJECT, 65536)));
	const members = linesOf(batch).filter((line) => line === HEADER).length;
	assert.ok(members > 1);
	const first = zlib.gunzipSync(batch).toString();
	for (const part of first.split(HEADER).slice(1, -1))
		assert.ok(part.endsWith("\n"));
});

for (const size of [1, 7, 1000, 65536, 1 << 24])
	test(`read in pieces of ${size}, the payloads are the same`, async () => {
		const small = size < 100 ? zlib.gzipSync([HEADER, ...MANY.slice(0, 3000), ""].join("\n")) : OBJECT;
		const expected = digest(await collect(gzipBatches([small], { limit: 65536 })));
		assert.deepEqual(digest(await collect(gzipBatches(chunks(small, size), { limit: 65536 }))), expected);
	});

const TEXTS = [
	["no header", MANY.slice(0, 3).join("\n") + "\n"],
	["no end of line at the end", `${HEADER}\n${MANY[0]}`],
	["CRLF", `${HEADER}\r\n${MANY[0]}\r\n`],
	["a header and nothing else", `${HEADER}\n`],
	["empty lines", `\n\n${MANY[0]}\n\n`],
];
for (const [what, text] of TEXTS)
	test(`a small one goes as it is: ${what}`, async () => {
		const [batch, more] = await collect(lineBatches([Buffer.from(text)]));
		assert.equal(more, undefined);
		assert.equal(zlib.gunzipSync(batch).toString(), text);
	});

test("nothing in, nothing out", async () => {
	assert.deepEqual(await collect(lineBatches([])), []);
	assert.deepEqual(await collect(gzipBatches([zlib.gzipSync("")])), []);
});

test("records without a header get none", async () => {
	const batches = await collect(lineBatches([Buffer.from(MANY.join("\n") + "\n")], { limit: LIMIT }));
	assert.deepEqual(batches.flatMap(linesOf), MANY);
});

test("objects put together: each part under its own header", async () => {
	const other = "version srcaddr dstaddr";
	const short = MANY.map((line) => line.split(" ")).map(([version, , , src, dst]) => `${version} ${src} ${dst}`);
	const both = Buffer.concat([OBJECT, zlib.gzipSync([other, ...short, ""].join("\n"))]);
	let header = null;
	const seen = [];
	for (const batch of await collect(gzipBatches(chunks(both, 5000), { limit: LIMIT }))) {
		assert.ok(isHeader(linesOf(batch)[0]));
		for (const line of linesOf(batch))
			if (isHeader(line))
				header = line;
			else
				seen.push([header, line]);
	}
	assert.deepEqual(seen, [...MANY.map((line) => [HEADER, line]), ...short.map((line) => [other, line])]);
});

test("lines that repeat are no bomb to the listener", async () => {
	const text = `${HEADER}\n${`${MANY[0]}\n`.repeat(40000)}`;
	for (const batch of await collect(lineBatches([Buffer.from(text)])))
		assert.ok(zlib.gunzipSync(batch).length < batch.length * 200);
});

test("a payload unpacks to half of what the listener takes, at most", async () => {
	const line = `${"2 1 eni 10.0.0.1 10.0.0.2 ".repeat(3)}\n`;
	const text = Buffer.from(Array.from({ length: 1200000 }, (_, n) => line.replace("eni", String(n % 977))).join(""));
	const batches = await collect(lineBatches(chunks(text, 1 << 20)));
	assert.ok(batches.length > 2);
	for (const batch of batches)
		assert.ok(zlib.gunzipSync(batch).length <= 32 * 1024 * 1024);
});

const HEADERS = [
	[HEADER, true], ["version srcaddr", true], ["srcaddr new-field-of-2030", true], ["account_id,srcaddr", true],
	[`${HEADER}\r`, true], ["", false], ["egress", false], ["ACCEPT OK", false], [MANY[0], false], ["- - -", false],
	["new-one new-two srcaddr", false], ["hello world", false],
];
for (const [line, expected] of HEADERS)
	test(`a header? ${JSON.stringify(line).slice(0, 50)}: ${expected}`, () => assert.equal(isHeader(line), expected));

test("every field that the listener knows makes a header", () => {
	const table = readFileSync(new URL("../../listener/flow/fields.h", import.meta.url), "utf8");
	const [aws, derived] = table.split("#define DERIVED_FIELDS");
	assert.ok(derived);
	const names = [...aws.matchAll(/X\(\w+, "([a-z0-9-]+)"/g)].map(([, name]) => name);
	assert.equal(names.length, 72);
	assert.deepEqual(names.filter((name) => !isHeader(name)), []);
});

const BAD = [
	["gzip", Buffer.from("hello, this is text")],
	["gzip_cut", OBJECT.subarray(0, 5000)],
	["gzip_cut", Buffer.alloc(0)],
	["gzip", Buffer.concat([OBJECT.subarray(0, -8), Buffer.alloc(8)])],
	["gzip", Buffer.from("PAR1\x15\x04")],
	["line_too_long", zlib.gzipSync("x".repeat(3 << 20))],
];
for (const [why, octets] of BAD)
	test(`malformed: ${why}, ${octets.length} octets`, async () => {
		await assert.rejects(collect(gzipBatches([octets])), (error) => error instanceof Malformed && error.why === why);
	});

test("a source that breaks is not the object's fault", async () => {
	async function* broken() {
		yield OBJECT.subarray(0, 5000);
		throw new Error("connection lost");
	}
	await assert.rejects(collect(gzipBatches(broken())), (error) => !(error instanceof Malformed) && error.message === "connection lost");
});

test("75 MB of gzip pass in bounded memory", async () => {
	const part = zlib.gzipSync(records(1000).join("\n").concat("\n"), { level: 0 });
	let octets = 0;
	async function* large() {
		for (; octets < 75e6; octets += part.length)
			yield part;
	}
	let before = 0;
	let most = 0;
	let count = 0;
	for await (const batch of gzipBatches(large())) {
		assert.ok(batch.length <= 4 * 1024 * 1024);
		before ||= process.memoryUsage().rss;
		most = Math.max(most, process.memoryUsage().rss);
		count++;
	}
	assert.ok(count > 2);
	assert.ok(most - before < 150e6, `${most - before} octets more`);
});
