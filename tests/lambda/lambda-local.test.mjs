// SPDX-License-Identifier: Apache-2.0
// The handler under lambda-local, which loads it and makes the context in its own way.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { credentials, makeTask } from "./support/environment.mjs";
import { samplePath } from "./support/flows.mjs";
import { Listener } from "./support/listener.mjs";

const cli = createRequire(import.meta.url).resolve("lambda-local/build/cli.js");

async function run(t, listener, event, variables = {}) {
	const child = spawn(process.execPath, [cli, "-l", `${makeTask(t)}/index.mjs`, "--esm", "-h", "handler", "-e", event, "-t", "20", "-E", "{}"], {
		env: { PATH: process.env.PATH, HOME: tmpdir(), ...credentials, VPCFLOWD_HOST: listener.host, VPCFLOWD_PORT: String(listener.port), ...variables },
		stdio: ["ignore", "pipe", "pipe"], timeout: 30000,
	});
	let text = "";
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding("utf8").on("data", (part) => { text += part; });
	const [status] = await once(child, "close");
	return { status, text };
}

for (const [name, flows] of [["data-v2.lambda-event.json", 5], ["control.lambda-event.json", 0]])
	test(`${name} under lambda-local`, async (t) => {
		const listener = await Listener.start(t);
		const { status, text } = await run(t, listener, samplePath(name));
		assert.equal(status, 0, text);
		assert.match(text, new RegExp(`"payloads":1,"bytes":\\d+,"flows":${flows}`));
		assert.equal(listener.flows().length, flows);
	});

test("a decoded message is no event, and the run fails", async (t) => {
	const listener = await Listener.start(t);
	const { status, text } = await run(t, listener, samplePath("data-v2.decoded.json"));
	assert.notEqual(status, 0);
	assert.match(text, /of no known kind/);
	assert.deepEqual(listener.flows(), []);
});
