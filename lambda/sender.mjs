// SPDX-License-Identifier: Apache-2.0
// Hands payloads to one listener and learns what became of each.
//
//   put() ──▶ waiting ──▶ sent, at most 16, in the order of the wire ──▶ ACK, DUP, REJECT
//                ▲          │
//                └──────────┘ RETRY, connection lost: after a pause, from the oldest on
//
// A put is settled once: with the listener's word, or with Unavailable when its time is up. What
// was sent on a connection that broke is sent again; the listener knows it by its digest (DUP).
import { Link } from "./link.mjs";

const WIRE_MOST = 16;

// The listener says WAIT every 3 s, so silence beyond a few of them is a dead connection. One that
// was kept is suspected sooner: whatever sat between may have forgotten it without a word.
const TIMING = Object.freeze({
	connectMs: 10000,
	replyMs: 15000,
	keptReplyMs: 5000,
	// What the kernel holds shows no progress: 4 MiB over a slow way out are half a minute of silence.
	octetsPerMs: 128,
	pauseMs: 1000,
	pauseMostMs: 30000,
});

const NO_REPLY = "no reply";

// A timer's longest time; more would fire at once.
const TIMER_MOST = 2 ** 31 - 1;

// Many functions fail at the same moment and must not come back at the same moment.
function vary(ms, least) {
	return ms * (1 + least + (0.15 - least) * Math.random());
}

/** The listener will never take this payload; `why` is its word. */
export class Rejected extends Error {
	constructor(why) {
		super(`rejected by the listener: ${why}`);
		this.name = "Rejected";
		this.why = why;
	}
}

/** Not taken, and not the payload's fault: try again later. `why` is the last trouble. */
export class Unavailable extends Error {
	constructor(message, why) {
		super(message);
		this.name = "Unavailable";
		this.why = why;
	}
}

export class Sender {
	#target;
	#log;
	#timing;
	#link = null;
	#waiting = [];
	#sent = [];
	#count = 0;
	#failures = 0;
	#pause = null;
	#pauseEnd = 0;
	#trouble = NO_REPLY;
	// A connection that has answered and gone idle is kept; heard: it has answered since.
	#kept = false;
	#heard = false;

	/** log(what, fields) is told of every pause; `timing` overrides are for tests. */
	constructor({ host, port, tls = null, token = null }, { log = () => {}, timing = {} } = {}) {
		this.#target = { host, port, tls, token };
		this.#log = log;
		this.#timing = { ...TIMING, ...timing };
	}

	/**
	 * Sends one payload. remaining() tells the milliseconds left to do it in. The promise gives
	 * {status, flows}, or fails with Rejected or Unavailable. The octets are the sender's until then.
	 */
	put(octets, { id, remaining = () => Infinity }) {
		if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(id))
			return Promise.reject(new TypeError(`bad id of a PUT: ${JSON.stringify(id)}`));
		return new Promise((resolve, reject) => {
			const put = { octets, id, remaining, resolve, reject, number: this.#count++, timer: null };
			this.#watch(put);
			if (put.octets !== null) {
				this.#waiting.push(put);
				this.#pump();
			}
		});
	}

	/** Gives up what is pending and closes the connection. */
	close() {
		this.#resume();
		for (const put of this.#takeBack())
			this.#settle(put, put.reject, new Unavailable("the sender was closed", "closed"));
		this.#drop();
	}

	// The clock asked is the caller's: a frozen process wakes to timers that are late or early.
	#watch(put) {
		const left = put.remaining();
		if (left <= 0)
			this.#expire(put);
		else if (Number.isFinite(left))
			put.timer = setTimeout(() => this.#watch(put), Math.min(left, TIMER_MOST));
	}

	#expire(put) {
		const sent = this.#sent.includes(put);
		this.#sent = this.#sent.filter((other) => other !== put);
		this.#waiting = this.#waiting.filter((other) => other !== put);
		this.#settle(put, put.reject, new Unavailable(`not taken in time: ${this.#trouble}`, this.#trouble));
		// Its reply may still come, and replies go by order alone.
		if (sent) {
			this.#waiting = this.#takeBack();
			this.#drop();
			this.#pump();
		}
		// Who comes next, after a freeze perhaps, does not sit through the pause of those who left.
		if (this.#waiting.length === 0 && this.#sent.length === 0) {
			this.#resume();
			this.#failures = 0;
			this.#trouble = NO_REPLY;
		}
	}

	#settle(put, settle, value) {
		clearTimeout(put.timer);
		put.octets = null;
		settle(value);
	}

	// Everything that is not settled, oldest first.
	#takeBack() {
		const all = [...this.#sent, ...this.#waiting].sort((a, b) => a.number - b.number);
		this.#sent = [];
		this.#waiting = [];
		return all;
	}

	#drop() {
		this.#link?.close();
		this.#link = null;
	}

	#pump() {
		if (this.#pause !== null || this.#waiting.length === 0)
			return;
		if (this.#link === null)
			this.#open();
		if (!this.#link.ready)
			return;
		while (this.#waiting.length > 0 && this.#sent.length < WIRE_MOST)
			this.#send(this.#waiting.shift());
	}

	#open() {
		this.#kept = false;
		this.#heard = false;
		const link = new Link(this.#target, {
			connectMs: this.#timing.connectMs,
			onReady: () => this.#pump(),
			onLine: (line) => this.#reply(line),
			onGone: (error) => this.#lost(error),
		});
		this.#link = link;
	}

	#send(put) {
		if (this.#sent.length === 0) {
			this.#heard = false;
			this.#link.idle(false);
			this.#expect(put, this.#kept ? this.#timing.keptReplyMs : this.#timing.replyMs);
		}
		this.#sent.push(put);
		this.#link.write(Buffer.from(`PUT ${put.id} ${put.octets.length}\n`, "latin1"), put.octets);
	}

	#expect({ octets }, ms) {
		this.#link.expect(ms + Math.ceil(octets.length / this.#timing.octetsPerMs), NO_REPLY);
	}

	#reply(line) {
		const [word, id, number, ...rest] = line.split(" ");
		if (word === "REJECT" && id === "-")
			return this.#refused([number, ...rest].join(" "));
		if (this.#sent.length === 0 || this.#sent[0].id !== id)
			return this.#link.fail(new Error("a reply to nothing that was sent"));
		this.#heard = true;
		switch (word) {
		case "WAIT":
			return this.#expect(this.#sent[0], this.#timing.replyMs);
		case "ACK":
		case "DUP":
			return this.#taken(word, number);
		case "RETRY":
			return this.#later(Number(number), rest.join(" "));
		case "REJECT":
			return this.#answered((put) => this.#settle(put, put.reject, new Rejected([number, ...rest].join(" "))));
		default:
			return this.#link.fail(new Error("an unknown reply"));
		}
	}

	#taken(status, flows) {
		if (!/^\d+$/.test(flows ?? ""))
			return this.#link.fail(new Error("a reply without the number of flows"));
		this.#answered((put) => this.#settle(put, put.resolve, { status, flows: Number(flows) }));
	}

	#answered(settle) {
		this.#failures = 0;
		settle(this.#sent.shift());
		this.#next();
	}

	#later(seconds, why) {
		this.#waiting.push(this.#sent.shift());
		this.#waiting = this.#waiting.sort((a, b) => a.number - b.number);
		this.#failed(`RETRY ${why}`, (Number.isFinite(seconds) ? seconds : 0) * 1000);
		this.#next();
	}

	#next() {
		if (this.#sent.length === 0) {
			if (this.#waiting.length === 0)
				this.#trouble = NO_REPLY;
			this.#link.expect(0);
			this.#link.idle(true);
			this.#kept = true;
		} else {
			this.#expect(this.#sent[0], this.#timing.replyMs);
		}
		this.#pump();
	}

	// Said of the connection, not of a payload: another try with the same words would end alike.
	#refused(why) {
		const error = () => new Unavailable(`the listener refuses this client: ${why}`, why);
		for (const put of this.#takeBack())
			this.#settle(put, put.reject, error());
		this.#drop();
	}

	#lost(error) {
		this.#link = null;
		this.#waiting = this.#takeBack();
		if (this.#waiting.length === 0)
			return;
		// Kept across a freeze it may long have been dead: that is nobody's failure.
		if (this.#kept && !this.#heard)
			return this.#pump();
		this.#failed(error.message || error.code || "connection lost", 0);
	}

	// One pause for whatever fails until it ends, so that sixteen RETRYs are one failure.
	#failed(trouble, leastMs) {
		this.#trouble = trouble;
		if (this.#pause === null) {
			const grown = Math.min(this.#timing.pauseMs * 2 ** this.#failures++, this.#timing.pauseMostMs);
			const least = Math.min(leastMs, this.#timing.pauseMostMs);
			this.#rest(Math.max(vary(grown, -0.15), vary(least, 0)));
		}
		this.#forsake();
	}

	#rest(ms) {
		this.#log("pause", { trouble: this.#trouble, ms: Math.round(ms) });
		this.#pauseEnd = performance.now() + ms;
		this.#pause = setTimeout(() => {
			this.#resume();
			this.#pump();
		}, ms);
	}

	#resume() {
		clearTimeout(this.#pause);
		this.#pause = null;
	}

	// Whoever has no time left after the pause need not sit through it.
	#forsake() {
		const left = this.#pauseEnd - performance.now();
		for (const put of this.#waiting.filter((other) => other.remaining() <= left))
			this.#expire(put);
	}
}
