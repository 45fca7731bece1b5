// SPDX-License-Identifier: Apache-2.0
// History into a listener.
//
//   options ─▶ plan: what is in the window, less what the state file says was ACKed
//                │
//                ▼ N at a time
//              fetch (aws) ─▶ payloads ─▶ PUT … ACK ─▶ state file
//
// What fails is told and counted, and the others go on; what would fail for all of them (credentials,
// a listener that stays away, the state file) ends the run. Running again continues.
import { setMaxListeners } from "node:events";
import { Sender, Unavailable } from "../../lambda/sender.mjs";
import { Aws } from "./aws.mjs";
import { LogsSource } from "./logs.mjs";
import { Usage, readOptions } from "./options.mjs";
import { Progress, grouped, size } from "./progress.mjs";
import { S3Source } from "./s3.mjs";
import { State } from "./state.mjs";
import { showTime } from "./times.mjs";

const DONE = 0;
const FAILED = 1;
const USAGE = 2;
// Failures that are told one by one; the rest is only counted.
const MOST_TOLD = 20;
const PAUSE_TOLD_MS = 5000;

/** Why the whole run ends early. */
class Stop extends Error {}

class Run {
	#options;
	#progress;
	#abort = new AbortController();
	#aws;
	#source;
	#state;
	#failures = 0;
	#payloads = 0;
	#pauseToldUntil = 0;

	constructor(options) {
		this.#options = options;
		// Every call and every connection listens for the end.
		setMaxListeners(0, this.#abort.signal);
		this.#progress = new Progress({ quiet: options.quiet });
		this.#aws = new Aws(options.aws, { log: (line) => this.#say(line), signal: this.#abort.signal });
		const Source = options.source.kind === "s3" ? S3Source : LogsSource;
		this.#source = new Source(this.#aws, options.source, options.window);
		this.#state = new State(options.state);
	}

	#say(line) {
		this.#progress.say(line);
	}

	/** Ends it; what was not acknowledged yet is left for another run. */
	stop(why) {
		this.#abort.abort(new Stop(why));
	}

	async go() {
		try {
			return await this.#go();
		} catch (error) {
			if (!this.#abort.signal.aborted) this.stop(error.message);
			this.#say(`stopped: ${this.#abort.signal.reason.message}`);
			return FAILED;
		} finally {
			this.#progress.stop();
			await this.#state.close();
		}
	}

	async #go() {
		const {
			window: [from, to],
			listener,
			dryRun,
			quiet,
		} = this.#options;
		const plan = await this.#plan();
		if (!quiet)
			this.#say(
				`from ${showTime(from)} to ${showTime(to)}, to ${listener.host}:${listener.port}; ${this.#summary(plan)}`,
			);
		for (const { count, line } of plan.refused) this.#fail(line, count);
		if (dryRun) {
			for (const unit of plan.units) process.stdout.write(`${this.#source.describe(unit)}\n`);
			return this.#failures ? FAILED : DONE;
		}
		this.#progress.start(this.#word(), plan.units);
		await this.#sendAll(plan.units);
		return this.#end(plan);
	}

	async #plan() {
		if (!this.#options.dryRun) await this.#state.claim();
		if (!this.#options.again) await this.#state.read();
		if (this.#state.unreadable)
			this.#say(
				`${this.#options.state}: ${this.#state.unreadable} lines cannot be read; what they were about is sent again`,
			);
		return this.#source.plan(this.#state, (items, work) => this.#each(items, work));
	}

	#word() {
		return this.#options.source.kind === "s3" ? "objects" : "slices";
	}

	#summary({ units, skipped }) {
		const weight = units.reduce((sum, unit) => sum + unit.weight, 0);
		if (this.#options.source.kind === "s3")
			return `${units.length} objects (${size(weight)}) to send, ${skipped} skipped: acknowledged before`;
		return `${units.length} slices of time (${hours(weight)}) to send, ${hours(skipped)} skipped: acknowledged before`;
	}

	/** work(item) for all items, some at a time; the first error ends it. */
	async #each(items, work, count = this.#options.parallel) {
		const left = items.values();
		const one = async () => {
			for (const item of left) {
				this.#abort.signal.throwIfAborted();
				await work(item);
			}
		};
		await Promise.all(Array.from({ length: Math.min(count, items.length) }, one));
	}

	async #sendAll(units) {
		const { listener, parallel } = this.#options;
		const left = units.values();
		const one = async () => {
			const sender = new Sender(listener, { log: (what, { trouble, ms }) => this.#pause(trouble, ms) });
			const close = () => sender.close();
			this.#abort.signal.addEventListener("abort", close);
			try {
				for (const unit of left) {
					this.#abort.signal.throwIfAborted();
					await this.#send(unit, sender);
				}
			} finally {
				this.#abort.signal.removeEventListener("abort", close);
				sender.close();
			}
		};
		const workers = Array.from({ length: Math.min(parallel, units.length) }, one);
		const results = await Promise.allSettled(workers);
		const broken = results.find(({ status }) => status === "rejected");
		if (broken && !this.#abort.signal.aborted) throw broken.reason;
	}

	// All connections pause for the same trouble: it is told once every few seconds.
	#pause(trouble, ms) {
		if (this.#options.quiet || Date.now() < this.#pauseToldUntil) return;
		this.#pauseToldUntil = Date.now() + PAUSE_TOLD_MS;
		this.#say(`the listener: ${trouble}; again in ${(ms / 1000).toFixed(1)} s`);
	}

	async #send(unit, sender) {
		const { counts } = this.#progress;
		try {
			await this.#source.send(unit, {
				put: (octets) => this.#put(sender, octets),
				state: { append: (row) => this.#write(row) },
				events: (count) => {
					counts.events += count;
				},
				say: (line) => this.#say(line),
			});
			counts.units++;
		} catch (error) {
			this.#judge(unit, error);
		}
		this.#progress.done += unit.weight;
	}

	// What is the matter with one unit only, and what with all of them.
	#judge(unit, error) {
		if (this.#abort.signal.aborted) throw error;
		if (error instanceof Stop || error.fatal) this.stop(error.message);
		else if (error instanceof Unavailable) this.stop(`the listener: ${error.message}`);
		else this.#fail(`${unit.name}: ${error.message}`);
		this.#abort.signal.throwIfAborted();
	}

	async #put(sender, octets) {
		const until = Date.now() + this.#options.patience;
		const id = `backfill-${process.pid}-${++this.#payloads}`;
		const { status, flows } = await sender.put(octets, { id, remaining: () => until - Date.now() });
		const { counts } = this.#progress;
		counts.payloads++;
		counts.octets += octets.length;
		counts.flows += flows;
		if (status === "DUP") counts.duplicates++;
	}

	async #write(row) {
		try {
			await this.#state.append(row);
		} catch (error) {
			throw new Stop(`${this.#options.state}: ${error.message}`);
		}
	}

	#fail(line, count = 1) {
		const told = this.#failures < MOST_TOLD;
		this.#failures += count;
		if (told) this.#say(`FAILED ${line}`);
		else if (this.#failures === MOST_TOLD + count) this.#say("more failures are only counted");
	}

	#end({ units, skipped }) {
		this.#progress.stop();
		const { counts } = this.#progress;
		const before = this.#options.source.kind === "s3" ? `${skipped} objects` : hours(skipped);
		const parts = [
			`${counts.units} of ${units.length} ${this.#word()}`,
			...(counts.events ? [`${grouped(counts.events)} events`] : []),
			`${grouped(counts.flows)} flows`,
			`${counts.payloads} payloads (${size(counts.octets)})`,
			`${counts.duplicates} duplicates`,
			`${before} skipped`,
			`${this.#failures} failed`,
			`${this.#progress.seconds().toFixed(1)} s`,
		];
		const aborted = this.#abort.signal.aborted;
		if (aborted) this.#say(`stopped: ${this.#abort.signal.reason.message}`);
		if (!this.#options.quiet || aborted || this.#failures) this.#say(`done: ${parts.join(", ")}`);
		if (!aborted && !this.#failures) return DONE;
		this.#say("not all of it was acknowledged; run the same again to continue");
		return FAILED;
	}
}

const hours = (ms) => `${+(ms / 3_600_000).toFixed(2)} h`;

function onSignals(run) {
	for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
		process.once(name, () => run.stop(`by ${name}`));
	}
}

async function main(argv) {
	let options;
	try {
		options = readOptions(argv);
	} catch (error) {
		if (!(error instanceof Usage)) throw error;
		process.stderr.write(`backfill: ${error.message}\nbackfill: scripts/backfill --help explains\n`);
		return USAGE;
	}
	const run = new Run(options);
	onSignals(run);
	// Whoever read the list has seen enough of it.
	process.stdout.on("error", () => process.exit(FAILED));
	return run.go();
}

process.exitCode = await main(process.argv.slice(2));
