// SPDX-License-Identifier: Apache-2.0
// The sender against the real listener, and against one that misbehaves at a chosen moment.
import assert from "node:assert/strict";
import net from "node:net";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Rejected, Sender, Unavailable } from "../../lambda/sender.mjs";
import { FakeListener, reset } from "./support/fake.mjs";
import { ftsq, packed, records } from "./support/flows.mjs";
import { Listener } from "./support/listener.mjs";
import { Proxy } from "./support/proxy.mjs";
import { until } from "./support/wait.mjs";

// Pauses as in life take seconds; their proportions are what is tested.
const FAST = { pauseMs: 20, pauseMostMs: 200, replyMs: 3000, keptReplyMs: 1500 };

function senderTo(t, { host, port }, { timing = FAST, ...options } = {}) {
	const pauses = [];
	const sender = new Sender({ host, port, ...options }, { timing, log: (_, pause) => pauses.push(pause) });
	t.after(() => sender.close());
	return Object.assign(sender, { pauses });
}

function within(ms) {
	const end = performance.now() + ms;
	return () => end - performance.now();
}

const octets = (text) => Buffer.from(text);
const ids = (listener) => listener.puts.map(({ id }) => id);

test("the real listener takes what was sent, once each, on one connection", async (t) => {
	const listener = await Listener.start(t, "--verbose");
	const sender = senderTo(t, listener);
	const lines = records(100);
	assert.deepEqual(await sender.put(packed(lines.slice(0, 60)), { id: "a" }), { status: "ACK", flows: 60 });
	assert.deepEqual(await sender.put(packed(lines.slice(60)), { id: "b" }), { status: "ACK", flows: 40 });
	assert.deepEqual(listener.flows(), ftsq(lines).sort());
	assert.equal(listener.log.match(/peer: connected/g)?.length ?? 1, 1);
});

test("the real listener takes a hundred at once", async (t) => {
	const listener = await Listener.start(t);
	const sender = senderTo(t, listener);
	const lots = Array.from({ length: 100 }, () => records(50));
	const replies = await Promise.all(lots.map((lines, n) => sender.put(packed(lines), { id: `p${n}` })));
	assert.deepEqual(new Set(replies.map(({ status, flows }) => `${status} ${flows}`)), new Set(["ACK 50"]));
	assert.deepEqual(listener.flows(), ftsq(lots.flat()).sort());
});

test("the real listener's REJECT is final, and the connection goes on", async (t) => {
	const listener = await Listener.start(t);
	const sender = senderTo(t, listener);
	const lines = records(3);
	const bad = sender.put(Buffer.from([0x1f, 0x8b, 1, 2, 3]), { id: "bad" });
	const good = sender.put(packed(lines), { id: "good" });
	await assert.rejects(bad, (error) => error instanceof Rejected && error.why === "gzip");
	assert.deepEqual(await good, { status: "ACK", flows: 3 });
	assert.deepEqual(listener.flows(), ftsq(lines).sort());
});

test("a slow listener is waited for as long as it says WAIT", async (t) => {
	const listener = await FakeListener.start(t, async (put, say) => {
		for (let n = 0; n < 6; n++) {
			await sleep(100);
			say(`WAIT ${put.id}`);
		}
		await sleep(100);
		say(`ACK ${put.id} 7`);
	});
	const sender = senderTo(t, listener, { timing: { ...FAST, replyMs: 250 } });
	assert.deepEqual(await sender.put(octets("x"), { id: "a" }), { status: "ACK", flows: 7 });
	assert.equal(listener.puts.length, 1);
	assert.deepEqual(sender.pauses, []);
});

test("silence breaks the connection, and the PUT is sent again", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => put.number > 0 && say(`DUP ${put.id} 2`));
	const sender = senderTo(t, listener, { timing: { ...FAST, replyMs: 150 } });
	assert.deepEqual(await sender.put(octets("x"), { id: "a" }), { status: "DUP", flows: 2 });
	assert.equal(listener.connections, 2);
	assert.match(sender.pauses[0].trouble, /no reply/);
});

test("a real listener that stops for a while gets everything when it goes on", async (t) => {
	const listener = await Listener.start(t);
	const sender = senderTo(t, listener);
	const lines = records(20);
	await sender.put(packed(lines.slice(0, 10)), { id: "a" });
	listener.stop();
	const put = sender.put(packed(lines.slice(10)), { id: "b" });
	await sleep(300);
	listener.go();
	assert.equal((await put).status, "ACK");
	assert.deepEqual(listener.flows(), ftsq(lines).sort());
});

test("at most sixteen are on the wire, and their order is kept", async (t) => {
	let most = 0;
	let open = 0;
	const replies = [];
	const listener = await FakeListener.start(t, (put, say) => {
		most = Math.max(most, ++open);
		replies.push(() => {
			open--;
			say(`ACK ${put.id} 0`);
		});
	});
	const sender = senderTo(t, listener);
	const puts = Promise.all(Array.from({ length: 50 }, (_, n) => sender.put(octets("x"), { id: `p${n}` })));
	for (let n = 0; n < 50; n++) {
		await until(() => replies.length >= Math.min(16, 50 - n), "PUTs");
		if (n === 0)
			await sleep(50);
		replies.shift()();
	}
	await puts;
	assert.equal(most, 16);
	assert.deepEqual(ids(listener), Array.from({ length: 50 }, (_, n) => `p${n}`));
});

test("RETRY is sent again after a pause, and one pause serves all", async (t) => {
	let refuse = 5;
	const listener = await FakeListener.start(t, (put, say) => say(refuse-- > 0 ? `RETRY ${put.id} 0 overload` : `ACK ${put.id} 1`));
	const sender = senderTo(t, listener);
	const puts = await Promise.all(Array.from({ length: 5 }, (_, n) => sender.put(octets("x"), { id: `p${n}` })));
	assert.equal(puts.length, 5);
	assert.equal(sender.pauses.length, 1);
	assert.equal(sender.pauses[0].trouble, "RETRY overload");
	assert.deepEqual(ids(listener).slice(5), ["p0", "p1", "p2", "p3", "p4"]);
	assert.equal(listener.connections, 1);
});

test("RETRY's seconds are waited for", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => say(put.number === 0 ? `RETRY ${put.id} 1 spool` : `ACK ${put.id} 1`));
	const sender = senderTo(t, listener, { timing: { ...FAST, pauseMostMs: 30000 } });
	const begin = performance.now();
	await sender.put(octets("x"), { id: "a" });
	assert.ok(performance.now() - begin >= 990);
});

test("pauses double up to the longest, give or take 15 %", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => say(put.number < 8 ? `RETRY ${put.id} 0 busy` : `ACK ${put.id} 1`));
	const sender = senderTo(t, listener, { timing: { ...FAST, pauseMs: 10, pauseMostMs: 160 } });
	await sender.put(octets("x"), { id: "a" });
	for (const [n, ideal] of [10, 20, 40, 80, 160, 160, 160, 160].entries())
		assert.ok(Math.abs(sender.pauses[n].ms - ideal) <= ideal * 0.15 + 1, `pause ${n}: ${sender.pauses[n].ms}`);
	await sender.put(octets("x"), { id: "b" });
	assert.equal(sender.pauses.length, 8);
	listener.answer = (put, say) => say(put.number === 10 ? `RETRY ${put.id} 0 busy` : `ACK ${put.id} 1`);
	await sender.put(octets("x"), { id: "c" });
	assert.ok(sender.pauses[8].ms <= 13, `begins anew: ${sender.pauses[8].ms}`);
});

test("the pauses in life begin with a second and end with thirty", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => say(`RETRY ${put.id} 0 busy`));
	const sender = senderTo(t, listener, { timing: {} });
	await assert.rejects(sender.put(octets("x"), { id: "a", remaining: within(1300) }), Unavailable);
	assert.ok(sender.pauses[0].ms >= 850 && sender.pauses[0].ms <= 1150);
});

test("REJECT settles its PUT alone", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => say(put.id === "b" ? "REJECT b nothing_converted" : `ACK ${put.id} 1`));
	const sender = senderTo(t, listener);
	const [a, b, c] = await Promise.allSettled(["a", "b", "c"].map((id) => sender.put(octets("x"), { id })));
	assert.equal(a.value.status, "ACK");
	assert.equal(b.reason.why, "nothing_converted");
	assert.equal(c.value.status, "ACK");
	assert.deepEqual(ids(listener), ["a", "b", "c"]);
});

test("nobody listens: tried until the time is up, then Unavailable with the cause", async (t) => {
	const listener = await FakeListener.start(t);
	await listener.down();
	const sender = senderTo(t, listener);
	const begin = performance.now();
	await assert.rejects(sender.put(octets("x"), { id: "a", remaining: within(400) }),
		(error) => error instanceof Unavailable && /ECONNREFUSED/.test(error.message));
	assert.ok(performance.now() - begin < 2000);
	assert.ok(sender.pauses.length >= 3);
});

test("a listener that comes back gets what waited for it", async (t) => {
	const listener = await Listener.start(t);
	const sender = senderTo(t, listener);
	const lines = records(10);
	await listener.down();
	const put = sender.put(packed(lines), { id: "a", remaining: within(15000) });
	await until(() => sender.pauses.length > 1, "failures");
	await listener.up();
	assert.deepEqual(await put, { status: "ACK", flows: 10 });
	assert.deepEqual(listener.flows(), ftsq(lines).sort());
});

test("who has less time than the pause takes does not sit through it", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => say(`RETRY ${put.id} 20 busy`));
	const sender = senderTo(t, listener, { timing: { ...FAST, pauseMostMs: 30000 } });
	const begin = performance.now();
	await assert.rejects(sender.put(octets("x"), { id: "a", remaining: within(15000) }),
		(error) => error instanceof Unavailable && error.why === "RETRY busy");
	assert.ok(performance.now() - begin < 10000);
});

test("no time left: nothing is sent", async (t) => {
	const listener = await FakeListener.start(t);
	const sender = senderTo(t, listener);
	await assert.rejects(sender.put(octets("x"), { id: "a", remaining: () => 0 }), Unavailable);
	assert.equal(listener.puts.length, 0);
});

test("time that ends while the listener works ends the PUT, and what comes next is not mixed up", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => put.number > 0 && say(`ACK ${put.id} ${put.number}`));
	const sender = senderTo(t, listener);
	await assert.rejects(sender.put(octets("x"), { id: "same", remaining: within(100) }), Unavailable);
	assert.deepEqual(await sender.put(octets("y"), { id: "same" }), { status: "ACK", flows: 1 });
	assert.equal(listener.connections, 2);
});

test("who comes after a pause that outlived its PUTs is served at once", async (t) => {
	const listener = await FakeListener.start(t, (put, say) => say(put.number === 0 ? `RETRY ${put.id} 20 busy` : `ACK ${put.id} 1`));
	const sender = senderTo(t, listener, { timing: { ...FAST, pauseMostMs: 30000 } });
	await assert.rejects(sender.put(octets("x"), { id: "a", remaining: within(500) }), Unavailable);
	const begin = performance.now();
	await sender.put(octets("y"), { id: "b" });
	assert.ok(performance.now() - begin < 2000);
});

const MOMENTS = [
	["before the payload", 0, 0],
	["in the command line", 5, 0],
	["within the payload", 600, 0],
	["between two payloads", null, 1],
];
for (const [when, after, more] of MOMENTS)
	test(`a connection that breaks ${when} loses nothing and doubles nothing`, async (t) => {
		const listener = await Listener.start(t);
		const lines = records(100);
		const first = packed(lines.slice(0, 50));
		const cutAfter = after ?? `PUT a ${first.length}\n`.length + first.length;
		let settled;
		const proxy = await Proxy.start(t, listener, (number) => (number === 0 && !more ? { cutAfter } : {}));
		const sender = senderTo(t, proxy);
		if (more) {
			settled = await sender.put(first, { id: "a" });
			proxy.cut();
		} else {
			settled = await sender.put(first, { id: "a" });
		}
		assert.equal(settled.status, "ACK");
		assert.equal((await sender.put(packed(lines.slice(50)), { id: "b" })).flows, 50);
		assert.deepEqual(listener.flows(), ftsq(lines).sort());
	});

test("a reply that got lost is asked for again: the same octets, so that the listener knows them", async (t) => {
	const listener = await FakeListener.start(t, (put, say, socket) =>
		(put.number === 0 ? reset(socket) : say(`DUP ${put.id} 3`)));
	const sender = senderTo(t, listener);
	assert.deepEqual(await sender.put(octets("payload"), { id: "a" }), { status: "DUP", flows: 3 });
	assert.deepEqual(listener.puts.map(({ id, octets: taken }) => `${id} ${taken}`), ["a payload", "a payload"]);
});

test("a connection that breaks within a pipeline: what was answered stays answered", async (t) => {
	const taken = [];
	const listener = await FakeListener.start(t, (put, say, socket) => {
		if (put.number === 3)
			return socket.destroySoon();
		if (put.number > 3 || put.number < 3) {
			taken.push(put.id);
			say(`ACK ${put.id} 1`);
		}
	});
	const sender = senderTo(t, listener);
	await Promise.all(Array.from({ length: 10 }, (_, n) => sender.put(octets(`x${n}`), { id: `p${n}` })));
	assert.deepEqual([...new Set(taken)].sort(), Array.from({ length: 10 }, (_, n) => `p${n}`));
	assert.deepEqual(taken.slice(0, 3), ["p0", "p1", "p2"]);
});

for (const [how, cut] of [["closed", (listener) => [...listener.sockets].forEach((s) => s.end())], ["reset", (listener) => listener.cut()]])
	test(`a kept connection that was ${how} is reopened at once, without a pause`, async (t) => {
		const listener = await FakeListener.start(t);
		const sender = senderTo(t, listener, { timing: { ...FAST, pauseMs: 5000, pauseMostMs: 5000 } });
		await sender.put(octets("x"), { id: "a" });
		cut(listener);
		const begin = performance.now();
		// Before the loop has had a chance to see the end, as after a freeze.
		await sender.put(octets("y"), { id: "b" });
		await until(() => listener.sockets.size === 1, "the old connection to be gone");
		cut(listener);
		await until(() => listener.sockets.size === 0, "the connection to be gone");
		await sender.put(octets("z"), { id: "c" });
		assert.ok(performance.now() - begin < 3000);
		assert.deepEqual(sender.pauses, []);
		assert.equal(listener.connections, 3);
	});

test("a kept connection that answers no more is suspected sooner than a new one", async (t) => {
	const listener = await FakeListener.start(t, (put, say, socket) => {
		if (put.number === 1)
			return;
		say(`ACK ${put.id} 1`);
	});
	const sender = senderTo(t, listener, { timing: { ...FAST, replyMs: 60000, keptReplyMs: 200, pauseMs: 60000 } });
	await sender.put(octets("x"), { id: "a" });
	assert.equal((await sender.put(octets("y"), { id: "b", remaining: within(5000) })).status, "ACK");
	assert.deepEqual(sender.pauses, []);
});

test("a kept connection that has said WAIT is waited for like any other", async (t) => {
	const listener = await FakeListener.start(t, async (put, say) => {
		if (put.number > 0) {
			say(`WAIT ${put.id}`);
			await sleep(900);
		}
		say(`ACK ${put.id} 1`);
	});
	const sender = senderTo(t, listener, { timing: { ...FAST, replyMs: 10000, keptReplyMs: 300 } });
	await sender.put(octets("x"), { id: "a" });
	await sender.put(octets("y"), { id: "b" });
	assert.equal(listener.puts.length, 2);
});

test("a kept connection that has answered and then dies is a failure like any other", async (t) => {
	const listener = await FakeListener.start(t, (put, say, socket) => (put.number === 2 ? socket.destroySoon() : say(`ACK ${put.id} 1`)));
	const sender = senderTo(t, listener);
	await sender.put(octets("x"), { id: "a" });
	await Promise.all(["b", "c", "d"].map((id) => sender.put(octets("x"), { id })));
	assert.equal(sender.pauses.length, 1);
});

test("a connection reopened in vain is a failure like any other", async (t) => {
	const listener = await FakeListener.start(t);
	const sender = senderTo(t, listener);
	await sender.put(octets("x"), { id: "a" });
	await listener.down();
	await assert.rejects(sender.put(octets("y"), { id: "b", remaining: within(300) }), Unavailable);
	assert.ok(sender.pauses.length > 0);
});

test("a wrong token fails at once and is never shown", async (t) => {
	const listener = await Listener.start(t);
	const file = join(listener.folder, "tokens");
	writeFileSync(file, "the-right-one\n");
	await listener.down();
	listener.options.push("--token-file", file);
	await listener.up();
	const lines = records(2);
	const good = senderTo(t, listener, { token: "the-right-one" });
	assert.equal((await good.put(packed(lines), { id: "a" })).status, "ACK");
	const bad = senderTo(t, listener, { token: "secret-wrong" });
	await assert.rejects(bad.put(packed(records(2)), { id: "b", remaining: within(2000) }),
		(error) => error instanceof Unavailable && !/secret-wrong/.test(error.stack));
	const none = senderTo(t, listener);
	await assert.rejects(none.put(packed(records(2)), { id: "c", remaining: within(300) }), Unavailable);
	assert.ok(!JSON.stringify(bad.pauses).includes("secret"));
	assert.deepEqual(listener.flows(), ftsq(lines).sort());
});

test("REJECT - auth ends everything that waits", async (t) => {
	const listener = await FakeListener.start(t, (put, say, socket) => socket.end("REJECT - auth\n"));
	const sender = senderTo(t, listener, { token: "no" });
	const all = await Promise.allSettled(["a", "b", "c"].map((id) => sender.put(octets("x"), { id })));
	assert.deepEqual(all.map(({ reason }) => reason?.why), ["auth", "auth", "auth"]);
	assert.deepEqual(listener.auths, ["no"]);
});

for (const reply of ["", "ACK other 1", "ACK a", "ACK a many", "HTTP/1.1 400 Bad Request", "x".repeat(5000)])
	test(`no reply of a listener: ${JSON.stringify(reply.slice(0, 30))}`, async (t) => {
		const listener = await FakeListener.start(t, (put, say) => say(put.number === 0 ? reply : `ACK ${put.id} 1`));
		const sender = senderTo(t, listener);
		assert.equal((await sender.put(octets("x"), { id: "a" })).status, "ACK");
		assert.equal(sender.pauses.length, 1);
	});

test("replies may come in any pieces", async (t) => {
	const listener = await FakeListener.start(t, async (put, say, socket) => {
		for (const letter of `WAIT ${put.id}\nACK ${put.id} 12\n`) {
			socket.write(letter);
			await sleep(2);
		}
	});
	const sender = senderTo(t, listener);
	assert.equal((await sender.put(octets("x"), { id: "a" })).flows, 12);
});

test("a large payload over a slow way is progress, not silence", async (t) => {
	const listener = await FakeListener.start(t, undefined, { onPart: (part, socket) => {
		socket.pause();
		setTimeout(() => socket.resume(), 20);
	} });
	const sender = senderTo(t, listener, { timing: { ...FAST, replyMs: 5000, octetsPerMs: 1e6 } });
	const payload = Buffer.alloc(24 * 1024 * 1024, "x");
	const begin = performance.now();
	await sender.put(payload, { id: "a" });
	assert.ok(performance.now() - begin > 6000, "the test is too fast to show anything");
	assert.equal(listener.connections, 1);
	assert.ok(listener.puts[0].octets.equals(payload));
});

test("an id the wire has no place for is the caller's mistake", async (t) => {
	const listener = await FakeListener.start(t);
	const sender = senderTo(t, listener);
	for (const id of ["", "-a", "a b", "a\nPUT", "x".repeat(65)])
		await assert.rejects(sender.put(octets("x"), { id }), TypeError);
	assert.equal(listener.connections, 0);
});

test("close gives up what is pending", async (t) => {
	const listener = await FakeListener.start(t, () => {});
	const sender = senderTo(t, listener);
	const put = sender.put(octets("x"), { id: "a" });
	await until(() => listener.puts.length === 1, "the PUT");
	sender.close();
	await assert.rejects(put, Unavailable);
	await until(() => listener.sockets.size === 0, "the connection to end");
});

test("a port that accepts and says nothing", async (t) => {
	const server = net.createServer(() => {}).listen(0, "127.0.0.1");
	await once(server, "listening");
	const sockets = new Set();
	server.on("connection", (socket) => sockets.add(socket.on("error", () => {})));
	t.after(() => {
		sockets.forEach((socket) => socket.destroy());
		server.close();
	});
	const sender = senderTo(t, { host: "127.0.0.1", port: server.address().port }, { timing: { ...FAST, replyMs: 100 } });
	await assert.rejects(sender.put(octets("x"), { id: "a", remaining: within(500) }),
		(error) => error instanceof Unavailable && /no reply/.test(error.message));
});
