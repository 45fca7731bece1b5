// SPDX-License-Identifier: Apache-2.0
// AWS through its command line tool, a child process a call: profiles, roles and single sign-on work
// as they do for the person who runs this, and there is no SDK to install.
//
// The tool tries a throttled or broken call three times itself. What fails even so and may pass is
// tried again here, more slowly. A mistake in credentials ends the whole run (`fatal`): it is the same
// for every call.
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

const TRIES = 6;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
const LONGEST_ERROR = 4096;

// Words in what the tool says on standard error.
const PASSES = anyOf([
	"Throttl", "TooManyRequests", "SlowDown", "RequestLimitExceeded", "LimitExceededException",
	"ServiceUnavailable", "InternalError", "InternalFailure", "InternalServerError", "RequestTimeout",
	"\\((500|502|503|504)\\)", "Could not connect to the endpoint", "Connection was closed",
	"[Tt]imeout on endpoint", "Connection reset", "IncompleteRead",
]);
const CREDENTIALS = anyOf([
	"ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "InvalidAccessKeyId",
	"SignatureDoesNotMatch", "InvalidSignature", "Unable to locate credentials", "Partial credentials",
	"Error loading SSO", "SSO session", "SSO Token", "Token has expired", "The config profile", "specify a region",
]);

export class AwsError extends Error {
	constructor(text) {
		const said =
			text.trim().split("\n").filter(Boolean).pop() ?? "the aws command failed and said nothing";
		super(said.replace(/[^\x20-\x7e]/g, "?").slice(0, 500));
		this.code = /An error occurred \((\w+)\)/.exec(text)?.[1] ?? "";
		this.passes = PASSES.test(text);
		this.fatal = !this.passes && CREDENTIALS.test(text.trim());
	}
}

export class Aws {
	#options;
	#log;
	#signal;
	#running = new Set();

	/** options: {profile, region, endpointUrl}; signal: an AbortSignal that ends the children. */
	constructor({ profile, region, endpointUrl }, { log, signal }) {
		this.#options = [
			...(profile ? [`--profile=${profile}`] : []),
			...(region ? [`--region=${region}`] : []),
			...(endpointUrl ? [`--endpoint-url=${endpointUrl}`] : []),
		];
		this.#log = log;
		this.#signal = signal;
		signal.addEventListener("abort", () => this.#running.forEach((child) => child.kill()));
	}

	/** The call as one would type it. */
	command(args) {
		return ["aws", ...args, ...this.#options].map(quoted).join(" ");
	}

	/** One call's JSON; {} when it printed nothing, as it does for an empty listing. */
	async json(args) {
		const call = [...args, "--output=json"];
		const octets = await this.patiently(call, async () => {
			const parts = [];
			for await (const part of this.stream(call)) parts.push(part);
			return Buffer.concat(parts);
		});
		const text = octets.toString("utf8").trim();
		return text === "" ? {} : JSON.parse(text);
	}

	/** work(), again after a pause when what failed may pass and mayRepeat() says that it can be repeated. */
	async patiently(args, work, mayRepeat = () => true) {
		for (let n = 1, pause = FIRST_PAUSE_MS; ; n++, pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
			try {
				return await work();
			} catch (error) {
				if (!error.passes || n === TRIES || this.#signal.aborted || !mayRepeat()) throw error;
				this.#log(`${args[0]} ${args[1]}: ${error.message}; again in ${pause / 1000} s`);
				await sleep(pause, undefined, { signal: this.#signal });
			}
		}
	}

	/** One call's standard output as it comes. Throws AwsError at its end when the call failed. */
	async *stream(args) {
		this.#signal.throwIfAborted();
		const child = spawn("aws", [...args, ...this.#options], {
			stdio: ["ignore", "pipe", "pipe"],
			env: { ...process.env, AWS_PAGER: "", AWS_CLI_AUTO_PROMPT: "off" },
		});
		this.#running.add(child);
		let said = "";
		child.stderr.setEncoding("utf8").on("data", (text) => {
			said = (said + text).slice(-LONGEST_ERROR);
		});
		const ended = new Promise((resolve) => {
			child.on("error", (error) => resolve(error));
			child.on("close", (status) => resolve(status === 0 ? null : new AwsError(said)));
		});
		let whole = false;
		try {
			yield* child.stdout;
			whole = true;
		} finally {
			// A reader that has gone away wants no more of it; the tool would wait for it for ever.
			if (!whole) child.kill();
			const error = await ended;
			this.#running.delete(child);
			this.#signal.throwIfAborted();
			if (whole && error) throw error;
		}
	}
}

const quoted = (word) =>
	/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

function anyOf(words) {
	return new RegExp(words.join("|"));
}
