// SPDX-License-Identifier: Apache-2.0
// What comes again because its answer did not arrive, or because AWS tried again: the real listener
// says DUP, and wrote everything once.
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import zlib from "node:zlib";
import { Sender } from "../../lambda/sender.mjs";
import { Cloud } from "./support/cloud.mjs";
import { Environment } from "./support/environment.mjs";
import { cloudwatch, failed, ftsq, HEADER, kinesis, message, object, packed, records, s3, sqs } from "./support/flows.mjs";
import { Listener } from "./support/listener.mjs";
import { NEWEST } from "./support/newest.mjs";
import { Proxy } from "./support/proxy.mjs";
import { until } from "./support/wait.mjs";

const FAST = { pauseMs: 20, pauseMostMs: 200 };

const to = ({ host, port }, more = {}) => ({ VPCFLOWD_HOST: host, VPCFLOWD_PORT: String(port), ...more });
const sum = (lots) => ftsq(lots.flat()).sort();

function senderTo(t, { host, port }) {
	const sender = new Sender({ host, port }, { timing: FAST });
	t.after(() => sender.close());
	return sender;
}

/** Waits until the spool's position is its end, so that a kill makes nothing come again. */
function delivered({ spool }) {
	return until(() => {
		const [last] = readdirSync(spool).filter((name) => name.endsWith(".put")).sort().reverse();
		const place = existsSync(join(spool, "position")) && readFileSync(join(spool, "position"), "utf8").trim().split(/\s+/);
		return place && Number(place[0]) === Number.parseInt(last) && Number(place[1]) === statSync(join(spool, last)).size;
	}, "the spool to be delivered");
}

async function start(t, spool) {
	const listener = await Listener.start(t);
	listener.spool = join(listener.folder, "spool");
	if (spool) {
		await listener.down();
		listener.options.push("--spool", listener.spool);
		await listener.up();
	}
	return listener;
}

// They mostly wait for processes to start and for pauses to end.
describe("what comes again", { concurrency: 4 }, () => {
	for (const spool of [false, true]) {
		const how = spool ? "with a spool" : "without a spool";

		test(`answers that get lost, ${how}`, async (t) => {
			const listener = await start(t, spool);
			// Every other connection breaks when its first answers come.
			const proxy = await Proxy.start(t, listener, (number) => ({ deaf: number % 2 === 1 }));
			const sender = senderTo(t, proxy);
			const lots = Array.from({ length: 60 }, () => records(20));
			const replies = [];
			for (let n = 0; n < lots.length; n += 10) {
				replies.push(...await Promise.all(lots.slice(n, n + 10).map((lines, m) => sender.put(packed(lines), { id: `p${n + m}` }))));
				proxy.cut();
			}
			assert.ok(replies.some(({ status }) => status === "DUP") && replies.some(({ status }) => status === "ACK"));
			assert.ok(replies.every(({ flows }) => flows === 20));
			// With a spool ACK may come before the output.
			await until(() => listener.flows().length >= 1200, "the flows");
			assert.deepEqual(listener.flows(), sum(lots));
		});

		test(`a listener that is killed before its answer arrives, and comes back, ${how}`, async (t) => {
			const listener = await start(t, spool);
			const lots = Array.from({ length: 6 }, () => records(20));
			// Each connection is there for one payload.
			const kill = async () => {
				await (spool ? delivered(listener) : null);
				await listener.down("SIGKILL");
				await listener.up();
			};
			const proxy = await Proxy.start(t, listener, (number) => ({ deaf: number === 0 || number === 3 ? kill : false }));
			const sender = senderTo(t, proxy);
			const replies = [];
			for (const [n, lines] of lots.entries()) {
				replies.push(await sender.put(packed(lines), { id: `p${n}` }));
				if (n % 3 === 1)
					proxy.cut();
			}
			assert.ok(proxy.connections >= 4, `${proxy.connections} connections`);
			assert.ok(replies.every(({ flows }) => flows === 20));
			if (spool) {
				assert.equal(replies.filter(({ status }) => status === "DUP").length, 2);
				assert.deepEqual(listener.flows(), sum(lots));
			} else {
				// Nobody remembers then: twice, and lost in no case.
				assert.deepEqual(new Set(replies.map(({ status }) => status)), new Set(["ACK"]));
				assert.deepEqual([...new Set(listener.flows())], sum(lots));
				assert.equal(listener.flows().length, 160);
			}
		});
	}

	test("an invocation whose time is up though the listener goes on: AWS tries again, the flows come once", async (t) => {
		const listener = await Listener.start(t);
		const environment = await Environment.start(t, to(listener));
		const lots = [records(2), records(30)];
		await environment.invoke(cloudwatch(packed(lots[0])));
		listener.stop();
		const event = cloudwatch(packed(lots[1]));
		assert.equal((await environment.invoke(event, { ms: 4000 })).error.errorType, "Unavailable");
		listener.go();
		await until(() => listener.flows().length === 32, "the flows");
		const { error, log } = await environment.invoke(event);
		assert.equal(error, undefined);
		assert.deepEqual([log.payloads, log.flows, log.duplicates], [1, 0, 1]);
		assert.deepEqual(listener.flows(), sum(lots));
	});

	test("the same record of a stream again, in one batch, in another, and out of the failure queue", async (t) => {
		const listener = await Listener.start(t);
		const environment = await Environment.start(t, to(listener));
		const lots = [records(3), records(4), records(5)];
		const [a, b, c] = lots.map(packed);
		const counts = ({ reply, log }) => [reply.batchItemFailures.length, log.payloads, log.flows, log.duplicates];
		assert.deepEqual(counts(await environment.invoke(kinesis(a, b, a))), [0, 3, 7, 1]);
		assert.deepEqual(counts(await environment.invoke(kinesis(b, c))), [0, 2, 5, 1]);
		assert.deepEqual(counts(await environment.invoke(sqs(failed(cloudwatch(a)), failed(kinesis(b, c))))), [0, 3, 0, 3]);
		assert.deepEqual(listener.flows(), sum(lots));
	});

	test("an S3 object of several payloads: in part, then all of it, then once more", { skip: !NEWEST }, async (t) => {
		const cloud = await Cloud.start(t);
		const listener = await Listener.start(t);
		const environment = await Environment.start(t, to(listener, cloud.variables));
		const lines = records(250000);
		const octets = object(lines, HEADER);
		cloud.objects.set("flows/large", octets);
		cloud.broken.set("flows/large", octets.length - 100000);
		const broken = await environment.invoke(s3("large"), { ms: 60000 });
		assert.ok(broken.error);
		assert.ok(broken.log.payloads > 0);
		const whole = await environment.invoke(s3("large"), { ms: 60000 });
		assert.equal(whole.error, undefined);
		assert.deepEqual([whole.log.duplicates, whole.log.flows], [broken.log.payloads, lines.length - broken.log.flows]);
		assert.ok(whole.log.payloads > whole.log.duplicates);
		const again = await environment.invoke(s3("large"), { ms: 60000 });
		assert.deepEqual([again.log.flows, again.log.duplicates], [0, whole.log.payloads]);
		assert.deepEqual(listener.flows(), sum([lines]));
	});

	test("a spool that is full: the handler waits, and goes on when there is room", async (t) => {
		const sockets = new Set();
		let taken = "";
		const collector = net.createServer((socket) => {
			sockets.add(socket.on("error", () => {}));
			socket.setEncoding("utf8").on("data", (text) => { taken += text; });
		});
		t.after(() => {
			sockets.forEach((socket) => socket.destroy());
			collector.close();
		});
		collector.listen(0, "127.0.0.1");
		await once(collector, "listening");
		const { port } = collector.address();
		await new Promise((resolve) => collector.close(resolve));

		const listener = await start(t, true);
		await listener.down();
		listener.options.push("-o", `ftsq:tcp://127.0.0.1:${port}`, "--spool-max", "1M", "--reconnect-max", "1");
		await listener.up();
		const proxy = await Proxy.start(t, listener);
		const environment = await Environment.start(t, to(proxy));
		// 500 KB each.
		const lots = Array.from({ length: 5 }, () => records(2000));
		const large = (lines) => zlib.gzipSync(JSON.stringify(message(lines)), { level: 0 });
		const running = environment.invoke(kinesis(...lots.map(large)), { ms: 40000 });
		await until(() => /^RETRY \S+ 1 spool full$/m.test(proxy.replies), "the spool to be full");
		collector.listen(port, "127.0.0.1");
		const { reply, log } = await running;
		assert.deepEqual(reply, { batchItemFailures: [] });
		assert.equal(log.trouble, "RETRY spool full");
		assert.ok(log.pauses >= 1);
		assert.equal(log.flows, 10000);
		const lines = () => taken.split("\n").filter(Boolean).sort();
		await until(() => lines().length >= 10000, "the collector to have it all");
		assert.deepEqual(lines(), sum(lots));
	});
});
