// SPDX-License-Identifier: Apache-2.0
// The command line, checked before anything is begun. Every mistake is a Usage error.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readSettings } from "../../lambda/settings.mjs";
import { parseSource } from "./s3.mjs";
import { parseDuration, parseTime } from "./times.mjs";

const MOST_PARALLEL = 64;
const MOST_STREAMS = 100;

export class Usage extends Error {}

const OPTIONS = {
	start: { type: "string", short: "s" },
	end: { type: "string", short: "e", default: "now" },
	to: { type: "string", short: "t" },
	"token-file": { type: "string" },
	filter: { type: "string" },
	stream: { type: "string", multiple: true, default: [] },
	accounts: { type: "string", multiple: true, default: [] },
	regions: { type: "string", multiple: true, default: [] },
	late: { type: "string", default: "1 hour" },
	parallel: { type: "string", short: "p", default: "4" },
	patience: { type: "string", default: "10 minutes" },
	state: { type: "string" },
	again: { type: "boolean", default: false },
	"dry-run": { type: "boolean", short: "n", default: false },
	quiet: { type: "boolean", short: "q", default: false },
	profile: { type: "string" },
	region: { type: "string" },
	"endpoint-url": { type: "string" },
};

export function readOptions(argv, env = process.env, now = Date.now()) {
	const { values, positionals } = parsed(argv);
	if (positionals.length !== 1)
		throw new Usage("one source is needed: a log group, or s3://BUCKET[/FOLDER]");
	if (values.start === undefined) throw new Usage("-s, --start is needed, as in -s '3 hours ago'");
	const fromS3 = positionals[0].startsWith("s3://");
	const strangers = fromS3 ? ["filter", "stream"] : ["accounts", "regions"];
	const stranger = strangers.find((name) => values[name]?.length > 0);
	if (stranger) throw new Usage(`--${stranger} is for ${fromS3 ? "log groups" : "S3"}`);

	return attempt(() => {
		const window = [parseTime(values.start, now), parseTime(values.end, now)];
		if (window[0] >= window[1]) throw new RangeError("the start is not before the end");
		const listener = readListener(values, env);
		return {
			window,
			listener,
			source: {
				late: parseDuration(values.late),
				endpointUrl: values["endpoint-url"],
				...(fromS3 ? readS3(positionals[0], values) : readLogs(positionals[0], values)),
			},
			aws: { profile: values.profile, region: values.region, endpointUrl: values["endpoint-url"] },
			parallel: readParallel(values.parallel),
			patience: parseDuration(values.patience),
			state: values.state ?? defaultState(listener, env),
			again: values.again,
			dryRun: values["dry-run"],
			quiet: values.quiet,
		};
	});
}

function parsed(argv) {
	try {
		return parseArgs({ args: argv, options: OPTIONS, allowPositionals: true });
	} catch (error) {
		// Node's own advice is about its positionals.
		throw new Usage(error.message.replace(/\. To specify.*$/s, ""));
	}
}

function attempt(work) {
	try {
		return work();
	} catch (error) {
		throw new Usage(error.message);
	}
}

const commas = (texts) =>
	texts
		.flatMap((text) => text.split(","))
		.map((word) => word.trim())
		.filter(Boolean);

function readS3(text, values) {
	return {
		kind: "s3",
		...parseSource(text),
		accounts: commas(values.accounts),
		regions: commas(values.regions),
	};
}

function readLogs(group, { filter, stream: streams }) {
	const prefixes = streams.filter((name) => name.endsWith("*"));
	if (prefixes.length > 0 && streams.length > 1)
		throw new RangeError("a --stream that ends in * has to be the only one");
	if (streams.length > MOST_STREAMS) throw new RangeError(`AWS takes ${MOST_STREAMS} streams at once`);
	return { kind: "logs", group, filter, streams };
}

function readParallel(text) {
	const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
	if (count < 1 || count > MOST_PARALLEL)
		throw new RangeError(`--parallel is from 1 to ${MOST_PARALLEL}, not '${text}'`);
	return count;
}

// The forwarder's own variables, with what the options say instead.
function readListener(values, env) {
	const given = { VPCFLOWD_HOST: "127.0.0.1", ...env };
	if (values.to !== undefined) Object.assign(given, address(values.to));
	if (values["token-file"] !== undefined) given.VPCFLOWD_TOKEN = firstToken(values["token-file"]);
	for (const name of ["VPCFLOWD_TOKEN_PARAMETER", "VPCFLOWD_TOKEN_SECRET", "VPCFLOWD_FAILURE_QUEUE"])
		delete given[name];
	const { host, port, tls, token } = readSettings(given);
	return { host, port, tls, token };
}

function address(text) {
	const match = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(text);
	if (!match) throw new RangeError(`not a listener: '${text}'; write HOST:PORT`);
	return { VPCFLOWD_HOST: match[1], VPCFLOWD_PORT: match[2] ?? "20555" };
}

function firstToken(path) {
	const lines = readFileSync(path, "utf8")
		.split("\n")
		.map((line) => line.trim());
	return lines.find((line) => line !== "" && !line.startsWith("#")) ?? "";
}

// One for each listener: what one has, another has not.
function defaultState({ host, port }, env) {
	const folder = env.XDG_STATE_HOME || join(homedir(), ".local", "state");
	return join(folder, "vpcflowd", `backfill-${host.replace(/[^A-Za-z0-9.-]/g, "_")}-${port}.state`);
}
