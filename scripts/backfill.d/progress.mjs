// SPDX-License-Identifier: Apache-2.0
// What is going on, on standard error: a line that is drawn anew every second on a terminal, one more
// line every ten seconds elsewhere. Messages go between.

const TERMINAL_MS = 1000;
const LOG_MS = 10_000;

export class Progress {
	#out;
	#quiet;
	#began = Date.now();
	#timer = null;
	#drawn = false;
	#what = "";
	counts = { units: 0, payloads: 0, events: 0, flows: 0, duplicates: 0, octets: 0 };
	total = { units: 0, weight: 0 };
	done = 0;

	constructor({ quiet = false, out = process.stderr } = {}) {
		this.#out = out;
		this.#quiet = quiet;
	}

	/** what: the word for units. */
	start(what, units) {
		this.#what = what;
		this.total = { units: units.length, weight: units.reduce((sum, unit) => sum + unit.weight, 0) };
		this.#began = Date.now();
		if (this.#quiet) return;
		this.#timer = setInterval(() => this.#draw(), this.#out.isTTY ? TERMINAL_MS : LOG_MS);
		this.#timer.unref();
	}

	/** A line of its own. */
	say(line) {
		if (this.#drawn) this.#out.write("\r\x1b[K");
		this.#drawn = false;
		this.#out.write(`backfill: ${line}\n`);
	}

	#draw() {
		if (!this.#out.isTTY) {
			this.say(this.#line());
			return;
		}
		this.#out.write(`\r${this.#line().slice(0, (this.#out.columns || 80) - 1)}\x1b[K`);
		this.#drawn = true;
	}

	#line() {
		const { units, events, flows, duplicates, octets } = this.counts;
		const seconds = (Date.now() - this.#began) / 1000;
		const parts = [`${units}/${this.total.units} ${this.#what}`];
		if (events) parts.push(`${grouped(events)} events`);
		parts.push(`${grouped(flows)} flows`, `${size(octets)} (${size(octets / seconds)}/s)`);
		if (duplicates) parts.push(`${grouped(duplicates)} duplicates`);
		if (this.done > 0 && this.done < this.total.weight) {
			parts.push(`ETA ${clock((seconds * (this.total.weight - this.done)) / this.done)}`);
		}
		return parts.join("  ");
	}

	stop() {
		clearInterval(this.#timer);
		if (this.#drawn) this.#out.write("\r\x1b[K");
		this.#drawn = false;
	}

	seconds() {
		return (Date.now() - this.#began) / 1000;
	}
}

export const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");

export function size(octets) {
	const units = ["B", "kB", "MB", "GB", "TB"];
	let n = octets;
	while (n >= 1000 && units.length > 1) {
		n /= 1000;
		units.shift();
	}
	return `${n < 10 && units[0] !== "B" ? n.toFixed(1) : Math.round(n)} ${units[0]}`;
}

function clock(seconds) {
	const whole = Math.round(seconds);
	const two = (n) => String(n).padStart(2, "0");
	return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}
