// SPDX-License-Identifier: Apache-2.0
// scripts/push and scripts/try, as one types them.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { Certificates } from "./support/certificates.mjs";
import { FakeListener } from "./support/fake.mjs";
import { cloudwatch, ftsq, HEADER, message, object, packed, records, samplePath } from "./support/flows.mjs";
import { Listener } from "./support/listener.mjs";

const scripts = new URL("../../scripts/", import.meta.url).pathname;
const program = process.env.VPCFLOWD ?? new URL("../../build/check/vpcflowd", import.meta.url).pathname;

async function run(script, args, { input = null, env = {}, cwd, path } = {}) {
	const child = spawn(join(scripts, script), args, {
		cwd, timeout: 40000,
		env: { PATH: `${path ?? dirname(process.execPath)}:${process.env.PATH}`, HOME: tmpdir(), VPCFLOWD: program, ...env },
	});
	const said = { out: "", err: "" };
	child.stdout.setEncoding("utf8").on("data", (part) => { said.out += part; });
	child.stderr.setEncoding("utf8").on("data", (part) => { said.err += part; });
	child.stdin.on("error", () => {}).end(input);
	const [status] = await once(child, "close");
	return { status, ...said };
}

function folderOf(t, files) {
	const folder = mkdtempSync(join(tmpdir(), "push-"));
	t.after(() => rmSync(folder, { recursive: true }));
	for (const [name, content] of Object.entries(files))
		writeFileSync(join(folder, name), content);
	return folder;
}

const to = ({ host, port }) => ["-t", `${host}:${port}`];

test("push: any payload, each acknowledged", async (t) => {
	const listener = await Listener.start(t);
	const lots = Array.from({ length: 5 }, () => records(3));
	const cwd = folderOf(t, {
		"a.gz": packed(lots[0]), "b.json": JSON.stringify(cloudwatch(packed(lots[1]))),
		"c.json": JSON.stringify(message(lots[2])), "d.txt": lots[3].join("\n") + "\n",
	});
	const { status, out, err } = await run("push", [...to(listener), "a.gz", "b.json", "c.json", "d.txt", "-"], { cwd, input: object(lots[4], HEADER) });
	assert.equal(status, 0, err);
	assert.equal(out, "a.gz ACK 3\nb.json ACK 3\nc.json ACK 3\nd.txt ACK 3\n- ACK 3\n");
	assert.deepEqual(listener.flows(), ftsq(lots.flat()).sort());
});

test("push: the listener from the environment; --quiet", async (t) => {
	const listener = await Listener.start(t);
	const { status, out } = await run("push", ["-q", samplePath("data-v2.lambda-event.json")],
		{ env: { VPCFLOWD_HOST: listener.host, VPCFLOWD_PORT: String(listener.port) } });
	assert.deepEqual([status, out, listener.flows().length], [0, "", 5]);
});

test("push: over TLS, with a certificate and a token; known the second time", async (t) => {
	const certificates = new Certificates();
	t.after(() => certificates.remove());
	const cwd = folderOf(t, { tokens: "let-me-in\n" });
	const listener = await Listener.start(t, ...certificates.listener("server", "ca"), "--token-file", join(cwd, "tokens"));
	const args = ["-t", `localhost:${listener.port}`, samplePath("data-v2.lambda-event.json")];
	const env = { ...certificates.forwarder("ca", "client"), VPCFLOWD_TOKEN: "let-me-in" };
	for (const word of ["ACK", "DUP"]) {
		const { status, out, err } = await run("push", args, { env });
		assert.deepEqual([status, out.split(" ").slice(-2).join(" ")], [0, `${word} 5\n`], err);
	}
	const { status, err } = await run("push", args, { env: { ...env, VPCFLOWD_TOKEN: "let-us-in" } });
	assert.equal(status, 1);
	assert.match(err, /the listener refuses this client: auth/);
	assert.match((await run("push", ["--timeout", "2", ...args])).err, /does it want TLS\?/);
	assert.equal(listener.flows().length, 5);
});

test("push: what is rejected is said, the rest is sent", async (t) => {
	const listener = await Listener.start(t);
	const cwd = folderOf(t, { bad: "no record", good: packed(records(2)), none: "" });
	const { status, out, err } = await run("push", [...to(listener), "bad", "missing", "none", "good"], { cwd });
	assert.equal(status, 1);
	assert.equal(out, "good ACK 2\n");
	assert.match(err, /bad: rejected by the listener: nothing_converted/);
	assert.match(err, /missing: ENOENT/);
	assert.match(err, /none: rejected by the listener: empty/);
});

test("push: large files of lines are cut", async (t) => {
	const listener = await FakeListener.start(t);
	const text = Array.from({ length: 40 }, () => records(3000).join("\n")).join("\n") + "\n";
	const cwd = folderOf(t, { "lines.log": `${HEADER}\n${text}`, "big.json": `{"a":"${"x".repeat(9 << 20)}"}` });
	const { status, out, err } = await run("push", [...to(listener), "lines.log", "big.json"], { cwd });
	assert.equal(status, 1);
	assert.match(out, /^lines.log ACK 1\n/);
	assert.ok(listener.puts.every(({ octets }) => octets[0] === 0x1f && octets.length <= 4 << 20));
	assert.match(err, /big.json: more than 8 MiB of JSON/);
});

test("push: a token file, tried for so long and no longer, a duplicate", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => (put.octets.length > 1 ? say(`DUP ${put.id} 4`) : say(`RETRY ${put.id} 1 overload`)));
	const cwd = folderOf(t, { token: "# the token\n secret-token \n", two: "xy", one: "x" });
	const { status, out, err } = await run("push", [...to(listener), "--token-file", "token", "--timeout", "2", "two", "one", "two"], { cwd });
	assert.equal(status, 1);
	assert.equal(out, "two DUP 4\n");
	assert.match(err, /RETRY overload; again in/);
	assert.match(err, /one: not taken in time: RETRY overload/);
	assert.match(err, /not tried: two\n/);
	assert.deepEqual(listener.auths, ["secret-token"]);
	assert.ok(!err.includes("secret"));
});

const MISTAKES = [
	[[], /no FILE given/], [["--no-such", "x"], /no-such/], [["-t", "nowhere", "x"], /HOST:PORT/],
	[["--timeout", "soon", "x"], /--timeout/], [["-t", "h:99999", "x"], /VPCFLOWD_PORT/], [["--token-file", "/no/such", "x"], /no such file/i],
];
for (const [args, what] of MISTAKES)
	test(`push: a mistake: ${args.join(" ")}`, async () => {
		const { status, err } = await run("push", args);
		assert.equal(status, 2);
		assert.match(err, what);
	});

test("try: the sample event to ftsq lines", async () => {
	const { status, out, err } = await run("try", []);
	assert.equal(status, 0, err);
	assert.equal(out.split("\n").length, 6);
	assert.match(out, /^172\.31\.16\.139,20641,172\.31\.16\.21,22,6,20,4249,0,0,1418530010,1418530070,127\.0\.0\.1,"unknown"\n/);
	assert.match(err, /handler: \{"level":"info".*"flows":5,/);
});

test("try: other events, another format, whatever the environment says", async (t) => {
	const cwd = folderOf(t, { "e.json": JSON.stringify(cloudwatch(packed(records(2)))), "bad.json": "{}" });
	const env = { VPCFLOWD_HOST: "elsewhere", VPCFLOWD_TLS: "on", VPCFLOWD_TOKEN: "x" };
	const good = await run("try", ["-o", "json", "e.json"], { cwd, env });
	assert.equal(good.status, 0, good.err);
	assert.equal(good.out.trim().split("\n").map((line) => JSON.parse(line).action).join(), "ACCEPT,ACCEPT");
	const bad = await run("try", ["e.json", "bad.json"], { cwd });
	assert.equal(bad.status, 1);
	assert.equal(bad.out.split("\n").length, 3);
	assert.match(bad.err, /bad.json: Malformed: an event that is empty/);
});

test("try: another program is meant from where the user stands", async (t) => {
	const cwd = folderOf(t, {});
	symlinkSync(program, join(cwd, "mine"));
	const { status, out, err } = await run("try", [], { cwd, env: { VPCFLOWD: "./mine" } });
	assert.equal(status, 0, err);
	assert.equal(out.split("\n").length, 6);
});

for (const script of ["push", "try"])
	test(`${script}: an old Node.js is refused`, async (t) => {
		const path = folderOf(t, { node: "#!/bin/sh\necho v18.19.0\n" });
		chmodSync(join(path, "node"), 0o755);
		const { status, err } = await run(script, [], { path });
		assert.equal(status, 1);
		assert.equal(err, `${script}: needs Node.js 20 or later; 'node' here is v18.19.0\n`);
	});

test("try: mistakes", async () => {
	assert.equal((await run("try", ["-o", "xml"])).status, 2);
	assert.equal((await run("try", ["--no-such"])).status, 2);
	assert.equal((await run("try", ["/no/such"])).status, 1);
	assert.equal((await run("try", ["-f", "${no format"])).status, 1);
});

for (const script of ["push", "try"])
	test(`${script} --help`, async () => {
		const { status, out } = await run(script, ["--help"]);
		assert.equal(status, 0);
		assert.match(out, new RegExp(`^Usage: scripts/${script} `));
	});
