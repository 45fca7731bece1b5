// SPDX-License-Identifier: Apache-2.0
// Events of a CloudWatch log group: the window in slices that are fetched side by side, a page a call.
// They go out as the message that a subscription would have sent, one for each stream of a page and
// all in one gzip, so that rules for log groups and accounts apply to history as well.
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { Rejected } from "../../lambda/sender.mjs";
import { AwsError } from "./aws.mjs";
import { missing } from "./intervals.mjs";

const zip = promisify(gzip);

const MINUTE_MS = 60 * 1000;
// Slices to each window: enough to keep several calls busy and to show progress, few enough that
// slices without an event do not cost more than those with.
const SLICES = 48;
const SHORTEST_SLICE_MS = 5 * MINUTE_MS;
const LONGEST_SLICE_MS = 6 * 60 * MINUTE_MS;
// AWS's own most for a page, and ours for a payload. The octets are those before gzip.
const MOST_EVENTS = 10_000;
const MOST_OCTETS = 4 * 1024 * 1024;

// What stands for the token of the page that has none.
const FIRST_PAGE = "";
const tokenOf = (name) => (name === FIRST_PAGE ? undefined : name);

// Whether all its pages were sent, and nothing is left of it but those that were rejected.
const isThrough = ({ token, rejected }) => token === undefined && rejected?.length > 0;

/** AWS no longer knows a token of another run. */
class Forgotten extends Error {}

export class LogsSource {
	#aws;
	#options;
	#window;
	#owner = "";
	#key = "";

	/** options: {group, filter, streams, late}; window: [from, to) */
	constructor(aws, options, window) {
		this.#aws = aws;
		this.#options = options;
		this.#window = window;
	}

	async plan(state) {
		await this.#identify();
		const { done, open } = state.logsDone(this.#key);
		const gaps = missing(done, this.#window);
		// Slices that were begun come first and as they were: their page tokens are good for nothing else.
		const begun = open.filter(({ from, to }) => gaps.some(([a, b]) => a <= from && to <= b));
		const taken = begun.map(({ from, to }) => [from, to]).sort(([a], [b]) => a - b);
		const fresh = gaps
			.flatMap((gap) => missing(taken, gap))
			.flatMap((gap) => slices(gap, this.#sliceLength()));
		const units = [...begun, ...fresh.map(([from, to]) => ({ from, to }))].map((unit) => ({
			...unit,
			weight: unit.to - unit.from,
			name: this.#nameOf(unit),
		}));
		const left = units.reduce((sum, unit) => sum + unit.weight, 0);
		return { units, skipped: this.#window[1] - this.#window[0] - left, refused: [] };
	}

	#nameOf({ from, to }) {
		return `${this.#options.group} from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`;
	}

	#sliceLength() {
		const length = (this.#window[1] - this.#window[0]) / SLICES;
		const whole = Math.ceil(length / MINUTE_MS) * MINUTE_MS;
		return Math.min(Math.max(whole, SHORTEST_SLICE_MS), LONGEST_SLICE_MS);
	}

	// A stream's ARN has the region and the account, whose rules apply to what the group holds.
	async #identify() {
		const { group, filter, streams } = this.#options;
		const answer = await this.#aws.json([
			"logs",
			"describe-log-streams",
			"--no-paginate",
			`--log-group-name=${group}`,
			"--limit=1",
		]);
		const [, , , region = "", owner = ""] = (answer.logStreams?.[0]?.arn ?? "").split(":");
		this.#owner = owner;
		this.#key = JSON.stringify([region, owner, group, filter ?? "", [...streams].sort()]);
	}

	/** What --dry-run prints for a unit: the page where it goes on, and those that were rejected. */
	describe(unit) {
		const tokens = [...(unit.rejected ?? []).map(tokenOf), ...(isThrough(unit) ? [] : [unit.token])];
		return tokens.map((token) => this.#aws.command(this.#fetch(unit, token))).join("\n");
	}

	#fetch({ from, to }, token) {
		const { group, filter, streams } = this.#options;
		const prefix = streams.find((name) => name.endsWith("*"));
		return [
			"logs",
			"filter-log-events",
			"--no-paginate",
			`--log-group-name=${group}`,
			`--start-time=${from}`,
			// AWS's end is the last millisecond that is meant.
			`--end-time=${to - 1}`,
			`--limit=${MOST_EVENTS}`,
			...(filter ? [`--filter-pattern=${filter}`] : []),
			...(prefix ? [`--log-stream-name-prefix=${prefix.slice(0, -1)}`] : []),
			...(streams.length > 0 && !prefix ? ["--log-stream-names", ...streams] : []),
			...(token ? [`--next-token=${token}`] : []),
		];
	}

	/** Sends one slice, page by page, and writes down how far it came. */
	async send(unit, tools) {
		// What comes in while this goes on, AWS may already have been asked for.
		const settled = Date.now() - this.#options.late;
		try {
			await this.#sendFrom(unit, settled, tools);
		} catch (error) {
			if (!(error instanceof Forgotten)) throw error;
			tools.say(`${unit.name}: AWS has forgotten the page this had come to; it begins anew`);
			await this.#sendFrom({ ...unit, token: undefined, rejected: [] }, settled, tools);
		}
	}

	// First the pages that were rejected the last time, then those that have not been sent. What is
	// rejected now is left for another run, and the pages behind it are sent all the same.
	async #sendFrom(unit, settled, tools) {
		const slice = { logs: this.#key, from: unit.from, to: unit.to };
		const rejected = [];
		let first = null;
		const sendPage = async (token) => {
			const { events, nextToken } = await this.#page(unit, token);
			const error = await this.#sendEvents(events, tools.put);
			if (error) rejected.push(token ?? FIRST_PAGE);
			first ??= error;
			tools.events(events.length);
			return nextToken;
		};
		const write = (row) =>
			this.#write(tools.state, { ...row, ...(first ? { rejected: [...rejected] } : {}) }, settled);

		for (const name of unit.rejected ?? []) await sendPage(tokenOf(name));
		let token = unit.token;
		while (!isThrough(unit)) {
			token = await sendPage(token);
			if (!token) break;
			await write({ ...slice, token });
		}
		await write(slice);
		if (first) throw first;
	}

	// The error with which the listener rejected any of them; null when it took them all.
	async #sendEvents(events, put) {
		let rejected = null;
		for (const batch of batchesOf(events)) {
			try {
				await put(await zip(this.#payload(batch)));
			} catch (error) {
				if (!(error instanceof Rejected)) throw error;
				rejected ??= error;
			}
		}
		return rejected;
	}

	async #page(unit, token) {
		let page;
		try {
			page = await this.#aws.json(this.#fetch(unit, token));
		} catch (error) {
			// Tokens live for a day, and these are of another run.
			const known = token && (token === unit.token || unit.rejected?.includes(token));
			const stale = known && error instanceof AwsError && error.code === "InvalidParameterException";
			throw stale ? new Forgotten() : error;
		}
		if (page.nextToken && page.nextToken === token) throw new Error("AWS gave the same page twice");
		return { events: page.events ?? [], nextToken: page.nextToken };
	}

	// Events of the last hours may still arrive, and then have to be found by another run; which page
	// they come on nobody knows.
	async #write(state, row, settled) {
		if (row.token !== undefined || row.rejected !== undefined) {
			if (row.to <= settled) await state.append(row);
		} else if (row.from < settled) {
			await state.append({ ...row, to: Math.min(row.to, settled) });
		}
	}

	#payload(events) {
		const streams = new Map();
		for (const event of events) {
			const list = streams.get(event.logStreamName) ?? [];
			streams.set(event.logStreamName, list);
			list.push({ id: event.eventId, timestamp: event.timestamp, message: event.message });
		}
		return [...streams]
			.map(([logStream, logEvents]) =>
				JSON.stringify({
					messageType: "DATA_MESSAGE",
					owner: this.#owner,
					logGroup: this.#options.group,
					logStream,
					subscriptionFilters: ["backfill"],
					logEvents,
				}),
			)
			.join("\n");
	}
}

function slices([from, to], length) {
	const cut = [];
	// Cut at whole lengths since 1970, so that another run's cuts are the same.
	for (let at = from; at < to;) {
		const end = Math.min(to, (Math.floor(at / length) + 1) * length);
		cut.push([at, end]);
		at = end;
	}
	return cut;
}

function* batchesOf(events) {
	let batch = [];
	let octets = 0;
	for (const event of events) {
		// Twice: what JSON may make of a message.
		const size = 200 + 2 * event.message.length;
		if (batch.length === MOST_EVENTS || (batch.length > 0 && octets + size > MOST_OCTETS)) {
			yield batch;
			[batch, octets] = [[], 0];
		}
		batch.push(event);
		octets += size;
	}
	if (batch.length > 0) yield batch;
}
