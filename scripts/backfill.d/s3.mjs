// SPDX-License-Identifier: Apache-2.0
// Flow log objects of an S3 bucket: which there are in a window, and the sending of one.
//
//   [FOLDER/]AWSLogs/ACCOUNT/vpcflowlogs/REGION/YYYY/MM/DD/[HH/]…_YYYYMMDDThhmmZ_….log.gz
//   [FOLDER/]AWSLogs/aws-account-id=…/aws-service=vpcflowlogs/aws-region=…/year=…/month=…/day=…/[hour=…/]…
//
// Accounts and regions are asked for level by level, and of a region only the window's days are listed.
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { lineBatches } from "../../lambda/batches.mjs";
import { clip } from "./clip.mjs";
import { missing } from "./intervals.mjs";

// The time in a name is that of the file's making, rounded down to its five minutes.
const NAME_ROUNDING_MS = 10 * 60 * 1000;
const NAMED_TIME = /_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)Z_[^/]*$/;
// A quarter of what the listener takes by default.
const PAYLOAD_LIMIT = 4 * 1024 * 1024;

export function parseSource(text) {
	const [, bucket, prefix] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(text) ?? [];
	if (!bucket) throw new RangeError(`not a bucket: '${text}'; write s3://BUCKET or s3://BUCKET/FOLDER`);
	return { bucket, prefix };
}

export class S3Source {
	#aws;
	#bucket;
	#given;
	#root;
	#window;
	#options;
	#place;

	/** options: {bucket, prefix, accounts, regions, late, endpointUrl}; window: [from, to) */
	constructor(aws, options, window) {
		this.#aws = aws;
		this.#bucket = options.bucket;
		this.#window = window;
		this.#options = options;
		const inside = /^(.*\/)?AWSLogs(\/|$)/.exec(options.prefix);
		const folder =
			options.prefix === "" || options.prefix.endsWith("/") ? options.prefix : `${options.prefix}/`;
		this.#root = inside ? `${inside[1] ?? ""}AWSLogs/` : `${folder}AWSLogs/`;
		this.#given = inside ? folder : this.#root;
		this.#place = `${options.endpointUrl ?? ""}s3://${this.#bucket}/`;
	}

	#url(key) {
		return `s3://${this.#bucket}/${key}`;
	}

	/** {units, skipped, refused}: what is to be sent, how many were before, lines about what cannot be. */
	async plan(state, each) {
		const found = { units: [], skipped: 0, refused: [] };
		await each(await this.#regions(each), (region) => this.#take(region, state, found));
		found.units.sort((a, b) => a.time - b.time || (a.key < b.key ? -1 : 1));
		return found;
	}

	/** The folders of accounts' regions. */
	async #regions(each) {
		const { accounts, regions } = this.#options;
		const below = await this.#next(this.#root);
		if (below.length === 0)
			throw new Error(`no ${this.#url(this.#root)} with flow logs; give the folder that AWSLogs is in`);
		const places = below
			.filter((folder) => chosen(lastName(folder), accounts))
			.map((folder) => `${folder}${isHive(folder) ? "aws-service=" : ""}vpcflowlogs/`);
		const found = [];
		await each(places, async (place) => {
			found.push(...(await this.#next(place)).filter((folder) => chosen(lastName(folder), regions)));
		});
		return found;
	}

	// The folders below one: that on the way to where the user pointed, or else all there are.
	async #next(folder) {
		if (this.#given.startsWith(folder) && this.#given.length > folder.length) {
			const end = this.#given.indexOf("/", folder.length) + 1;
			return [this.#given.slice(0, end)];
		}
		if (!folder.startsWith(this.#given)) return [];
		const answer = await this.#aws.json([
			"s3api",
			"list-objects-v2",
			`--bucket=${this.#bucket}`,
			`--prefix=${folder}`,
			"--delimiter=/",
		]);
		return (answer.CommonPrefixes ?? []).map((entry) => entry.Prefix);
	}

	/** When files were made that may have records of the window. */
	#madeBetween() {
		return [this.#window[0] - NAME_ROUNDING_MS, this.#window[1] + this.#options.late];
	}

	// Days are in order in a region, so one call lists them: from the first day on, and it is broken off
	// behind the last. As text the tool gives each page when it comes, as JSON all of them at the end.
	async #list(region) {
		const [from, to] = this.#madeBetween();
		const last = region + dayFolder(to - 1, isHive(region));
		const call = [
			"s3api",
			"list-objects-v2",
			`--bucket=${this.#bucket}`,
			`--prefix=${this.#given.startsWith(region) ? this.#given : region}`,
			`--start-after=${region}${dayFolder(from, isHive(region))}`,
			"--query=Contents[].[Size,ETag,Key]",
			"--output=text",
		];
		return this.#aws.patiently(call, async () => {
			const rows = [];
			for await (const line of linesOf(this.#aws.stream(call))) {
				const [, size, etag, key] = /^(\d+)\t"?([^\t]*?)"?\t(.*)$/.exec(line) ?? [];
				// An empty page is the word None.
				if (key === undefined) continue;
				if (key.slice(0, last.length) > last) break;
				rows.push({ key, size: Number(size), etag });
			}
			return rows;
		});
	}

	async #take(region, state, found) {
		const [from, to] = this.#madeBetween();
		let [parquet, strange] = [0, 0];
		for (const { key, size, etag } of await this.#list(region)) {
			const time = namedTime(key);
			if (time !== undefined && (time < from || time >= to)) continue;
			if (/\.parquet$/.test(key)) parquet++;
			else if (time === undefined || !key.endsWith(".gz")) strange += key.endsWith("/") ? 0 : 1;
			else {
				const wanted = missing(state.objectDone(this.#place + key, etag), this.#window);
				if (wanted.length === 0) found.skipped++;
				else found.units.push({ name: this.#url(key), key, size, etag, time, wanted, weight: size });
			}
		}
		const refuse = (count, kind, why) => {
			if (count > 0) found.refused.push({ count, line: `${this.#url(region)}: ${count} ${kind}: ${why}` });
		};
		refuse(parquet, "Parquet objects", "refused, only flow logs in plain text (FileFormat=plain-text) can be read");
		refuse(strange, "objects not named as flow logs are", "refused");
	}

	/** What --dry-run prints for a unit. */
	describe(unit) {
		return this.#aws.command(this.#fetch(unit));
	}

	#fetch(unit) {
		return ["s3", "cp", "--only-show-errors", unit.name, "-"];
	}

	/** Sends one object and writes down that it was. put(octets): until they are acknowledged. */
	async send(unit, { put, state }) {
		let sent = 0;
		const once = async () => {
			const seen = { first: Infinity, last: -Infinity };
			const lines = clip(unzipped(this.#octets(unit)), unit.wanted, unit.time, seen);
			for await (const payload of lineBatches(lines, { limit: PAYLOAD_LIMIT })) {
				await put(payload);
				sent++;
			}
			return seen;
		};
		const seen = await this.#aws.patiently(this.#fetch(unit), once, () => sent === 0);
		await state.append(this.#row(unit, seen));
	}

	// An object of which nothing was left out is done for every window.
	#row(unit, seen) {
		const [from, to] = this.#window;
		return {
			object: this.#place + unit.key,
			etag: unit.etag,
			from: seen.first < from ? from : null,
			to: seen.last >= to ? to : null,
		};
	}

	async *#octets(unit) {
		let size = 0;
		for await (const part of this.#aws.stream(this.#fetch(unit))) {
			size += part.length;
			yield part;
		}
		if (size !== unit.size) throw new Error(`${size} octets came of ${unit.size}`);
	}
}

async function* unzipped(octets) {
	try {
		// An error of either end comes out of the loop.
		yield* pipeline(octets, createGunzip({ chunkSize: 64 * 1024 }), () => {});
	} catch (error) {
		if (String(error.code).startsWith("Z_")) throw new Error(`not gzip, or damaged: ${error.message}`);
		throw error;
	}
}

// A day's folder within a region's.
function dayFolder(at, hive) {
	const [year, month, day] = new Date(at).toISOString().slice(0, 10).split("-");
	return hive ? `year=${year}/month=${month}/day=${day}/` : `${year}/${month}/${day}/`;
}

async function* linesOf(octets) {
	const decoder = new TextDecoder();
	let tail = "";
	for await (const part of octets) {
		const lines = (tail + decoder.decode(part, { stream: true })).split("\n");
		tail = lines.pop();
		yield* lines;
	}
	if (tail !== "") yield tail;
}

const isHive = (folder) => lastName(folder, true).includes("=");

const chosen = (name, names) => names.length === 0 || names.includes(name);

// The last folder's name; without whole, what Hive's `name=` is followed by.
function lastName(folder, whole = false) {
	const name = folder.split("/").at(-2);
	return whole ? name : name.replace(/^[a-z-]+=/, "");
}

function namedTime(key) {
	const match = NAMED_TIME.exec(key);
	if (!match) return undefined;
	const [year, month, day, hour, minute] = match.slice(1).map(Number);
	return Date.UTC(year, month - 1, day, hour, minute);
}
