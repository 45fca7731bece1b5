// SPDX-License-Identifier: Apache-2.0
// An object's payloads between its reader and the sender: how many are under way at once, and what
// becomes of them when either end fails. The sender is one that answers when the test says so.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import zlib from "node:zlib";
import { Cloud } from "./support/cloud.mjs";
import { credentials, makeTask } from "./support/environment.mjs";
import { until } from "./support/wait.mjs";

const MIB = 1024 * 1024;

// Lines that hardly compress, so that there are payloads of full size.
let object;
before(() => {
	const line = () => randomBytes(3 * 16384).toString("base64");
	object = zlib.gzipSync(Array.from({ length: 640 }, line).join("\n"), { level: 0 });
});

class HeldSender {
	puts = [];
	octets = 0;
	most = 0;
	#holds = true;

	put(octets) {
		this.octets += octets.length;
		this.most = Math.max(this.most, this.octets);
		return new Promise((resolve, reject) => {
			const settle = (how, value) => {
				this.octets -= octets.length;
				how(value);
			};
			const put = { ack: () => settle(resolve, { status: "ACK", flows: 1 }), fail: (error) => settle(reject, error) };
			this.puts.push(put);
			if (!this.#holds)
				setTimeout(put.ack, 10);
		});
	}

	/** Takes those from number `from` on, and whatever comes. */
	release(from) {
		this.#holds = false;
		for (const put of this.puts.slice(from))
			put.ack();
	}

	/** Waits until no more PUTs come. */
	async quiet() {
		for (let count = -1; count !== this.puts.length; await sleep(300))
			count = this.puts.length;
	}
}

/** The delivery of the object, from a folder that has the SDK as Lambda has it. */
async function begin(t, octets, { breakAt = null } = {}) {
	const cloud = await Cloud.start(t);
	Object.assign(process.env, credentials, cloud.variables);
	cloud.objects.set("flows/k", octets);
	if (breakAt !== null)
		cloud.broken.set("flows/k", breakAt);
	const task = makeTask(t);
	const { Delivery } = await import(join(task, "delivery.mjs"));
	const { Unavailable, Rejected } = await import(join(task, "sender.mjs"));
	const sender = new HeldSender();
	const delivery = new Delivery(sender, { id: "test", remaining: () => 60000 });
	const run = { sender, delivery, Unavailable, Rejected, settled: false };
	run.sent = delivery.send([{ item: 0, object: { bucket: "flows", key: "k" } }]).then(() => { run.settled = true; });
	return run;
}

test("at most 16 MiB of an object are under way, and as much as that", async (t) => {
	const { sender, delivery, sent } = await begin(t, object);
	await until(() => sender.puts.length >= 4, "the PUTs");
	await sender.quiet();
	assert.ok(sender.octets > 12 * MIB, `${sender.octets} octets`);
	const first = sender.puts.length;
	sender.puts[0].ack();
	await until(() => sender.puts.length > first, "another PUT in its place");
	sender.release(1);
	await sent;
	assert.ok(sender.most <= 16 * MIB, `${sender.most} octets`);
	assert.ok(delivery.totals.bytes > 20 * MIB);
	assert.deepEqual([...delivery.failures], []);
});

test("an object that is cut: what is under way is waited for, and a listener that is away explains more", async (t) => {
	const { sender, delivery, sent, Unavailable, ...run } = await begin(t, object.subarray(0, 15 * MIB));
	await until(() => sender.puts.length >= 2, "two PUTs");
	await sender.quiet();
	assert.equal(run.settled, false);
	sender.puts[0].ack();
	sender.puts[1].fail(new Unavailable("not taken in time: away", "away"));
	sender.release(2);
	await sent;
	const [errors] = delivery.failures.values();
	assert.deepEqual(errors.map(({ why }) => why), ["away"]);
});

test("a reader that breaks: AWS tries again, even when a payload was rejected meanwhile", async (t) => {
	const run = await begin(t, object, { breakAt: 15 * MIB });
	await until(() => run.sender.puts.length >= 2, "two PUTs");
	await run.sender.quiet();
	assert.equal(run.settled, false);
	run.sender.puts[0].fail(new run.Rejected("nothing_converted"));
	run.sender.release(1);
	await run.sent;
	const [[error]] = run.delivery.failures.values();
	assert.ok(!(error instanceof run.Rejected) && error.name !== "Malformed", error.message);
	assert.ok(run.delivery.totals.payloads >= 1);
});
