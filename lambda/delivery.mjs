// SPDX-License-Identifier: Apache-2.0
// Sends the batches of one event and collects what became of each: totals for the log, and for
// every record of the event that was not taken the reason.
import { readObject } from "./aws.mjs";
import { gzipBatches, Malformed } from "./batches.mjs";
import { isControl } from "./events.mjs";
import { Rejected } from "./sender.mjs";

// What an object's payloads may take of the memory while they wait for their answers.
const OBJECT_IN_FLIGHT = 16 * 1024 * 1024;

/** Whether trying again is of no use. */
export function isFinal(error) {
	return error instanceof Rejected || error instanceof Malformed;
}

export class Delivery {
	#sender;
	#id;
	#remaining;
	#count = 0;

	totals = { payloads: 0, bytes: 0, flows: 0, duplicates: 0 };
	/** How many of the payloads were CloudWatch Logs' control messages. */
	control = 0;
	/** Number of the record → the errors of its batches. */
	failures = new Map();

	constructor(sender, { id, remaining }) {
		this.#sender = sender;
		this.#id = /^[A-Za-z0-9][A-Za-z0-9._-]{0,51}$/.test(id) ? id : "event";
		this.#remaining = remaining;
	}

	/** Settles when all are sent or have failed; never throws for a batch's sake. */
	async send(batches) {
		const all = batches.filter((batch) => !batch.object).map((batch) => this.#one(batch));
		// One object after the other: each may be large.
		for (const batch of batches.filter(({ object }) => object))
			await this.#guard(batch.item, () => this.#object(batch.object));
		await Promise.all(all);
	}

	#one({ item, octets, bad, message }) {
		return this.#guard(item, async () => {
			if (bad)
				throw new Malformed(bad, message);
			await this.#put(octets);
		});
	}

	async #guard(item, work) {
		try {
			await work();
		} catch (error) {
			this.failures.set(item, [...(this.failures.get(item) ?? []), error]);
		}
	}

	async #put(octets) {
		const id = `${this.#id}.${this.#count++}`;
		const { status, flows } = await this.#sender.put(octets, { id, remaining: this.#remaining });
		this.totals.payloads++;
		this.totals.bytes += octets.length;
		if (status === "DUP")
			this.totals.duplicates++;
		else
			this.totals.flows += flows;
		if (flows === 0 && await isControl(octets))
			this.control++;
	}

	// A payload that was rejected does not keep the rest of its object from being sent; a listener
	// that is away does. Whatever ends it, what is under way is waited for.
	async #object(object) {
		const pending = new Set();
		const errors = [];
		try {
			await this.#pieces(object, pending, errors);
		} catch (error) {
			errors.unshift(error);
		}
		await Promise.all(pending);
		const worst = errors.find((error) => !isFinal(error)) ?? errors[0];
		if (worst)
			throw worst;
	}

	async #pieces(object, pending, errors) {
		let octets = 0;
		for await (const batch of gzipBatches(readObject(object, this.#remaining))) {
			while (octets > 0 && octets + batch.length > OBJECT_IN_FLIGHT)
				await Promise.race(pending);
			if (errors.some((error) => !isFinal(error)))
				break;
			octets += batch.length;
			const put = this.#put(batch).catch((error) => errors.push(error)).finally(() => {
				octets -= batch.length;
				pending.delete(put);
			});
			pending.add(put);
		}
	}
}
