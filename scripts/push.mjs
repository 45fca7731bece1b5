// SPDX-License-Identifier: Apache-2.0
// Files to a listener, one after the other, through the forwarder's sender. scripts/push says how.
import { createReadStream, readFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { gzipBatches, lineBatches } from "../lambda/batches.mjs";
import { Sender } from "../lambda/sender.mjs";
import { readSettings } from "../lambda/settings.mjs";

// Half of what the listener takes by default.
const WHOLE_MOST = 8 * 1024 * 1024;

class Usage extends Error {}

const OPTIONS = {
	to: { type: "string", short: "t" },
	"token-file": { type: "string" },
	timeout: { type: "string", default: "60" },
	quiet: { type: "boolean", short: "q", default: false },
};

function firstToken(path) {
	const lines = readFileSync(path, "utf8").split("\n").map((line) => line.trim());
	return lines.find((line) => line !== "" && !line.startsWith("#")) ?? "";
}

function address(text) {
	const match = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(text);
	if (!match)
		throw new Usage(`--to: HOST:PORT, not '${text}'`);
	return { VPCFLOWD_HOST: match[1], VPCFLOWD_PORT: match[2] };
}

// The forwarder's own variables, with what the options say instead.
function readListener(values, env) {
	const given = { VPCFLOWD_HOST: "127.0.0.1", ...env, ...(values.to ? address(values.to) : {}) };
	if (values["token-file"])
		given.VPCFLOWD_TOKEN = firstToken(values["token-file"]);
	for (const name of ["VPCFLOWD_TOKEN_PARAMETER", "VPCFLOWD_TOKEN_SECRET", "VPCFLOWD_FAILURE_QUEUE"])
		delete given[name];
	return readSettings(given);
}

function readOptions(argv, env) {
	try {
		const { values, positionals } = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true });
		if (positionals.length === 0)
			throw new Usage("no FILE given");
		if (!/^[1-9]\d{0,5}$/.test(values.timeout))
			throw new Usage(`--timeout: a number of seconds, not '${values.timeout}'`);
		return { files: positionals, listener: readListener(values, env), timeout: Number(values.timeout), quiet: values.quiet };
	} catch (error) {
		throw new Usage(error.message.split(". To specify")[0]);
	}
}

// The first octets decide whether the file is one payload or has to be cut.
async function* payloads(file) {
	const source = (file === "-" ? process.stdin : createReadStream(file, { highWaterMark: 1024 * 1024 }))[Symbol.asyncIterator]();
	const held = [];
	let octets = 0;
	let part;
	while (octets <= WHOLE_MOST && !(part = await source.next()).done) {
		held.push(part.value);
		octets += part.value.length;
	}
	const begin = Buffer.concat(held);
	if (octets <= WHOLE_MOST)
		return yield begin;
	yield* cutterFor(begin)(rest(begin, source));
}

async function* rest(begin, source) {
	yield begin;
	for (let part; !(part = await source.next()).done;)
		yield part.value;
}

function cutterFor(begin) {
	if (begin[0] === 0x1f && begin[1] === 0x8b)
		return gzipBatches;
	if (/^\s*[{[]/.test(begin.toString("latin1", 0, 100)))
		throw new Error("more than 8 MiB of JSON cannot be cut");
	return lineBatches;
}

async function push(sender, file, number, { timeout, quiet }) {
	let count = 0;
	for await (const octets of payloads(file)) {
		const end = performance.now() + timeout * 1000;
		const id = `push.${process.pid}.${number}.${count++}`;
		const { status, flows } = await sender.put(octets, { id, remaining: () => end - performance.now() });
		if (!quiet)
			console.log(`${file} ${status} ${flows}`);
	}
}

async function main() {
	const options = readOptions(process.argv.slice(2), process.env);
	const sender = new Sender(options.listener, {
		log: (_, { trouble, ms }) => console.error(`push: ${trouble}; again in ${(ms / 1000).toFixed(1)} s`),
	});
	for (const [number, file] of options.files.entries())
		try {
			await push(sender, file, number, options);
		} catch (error) {
			console.error(`push: ${file === "-" ? "standard input" : basename(file)}: ${error.message}`);
			process.exitCode = 1;
			// Where nobody listens, the next file would wait in vain as long.
			if (error.name === "Unavailable") {
				const rest = options.files.slice(number + 1);
				if (rest.length > 0)
					console.error(`push: not tried: ${rest.join(" ")}`);
				break;
			}
		}
	sender.close();
}

main().catch((error) => {
	console.error(`push: ${error.message}`);
	process.exitCode = error instanceof Usage ? 2 : 1;
});
