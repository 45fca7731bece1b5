// SPDX-License-Identifier: Apache-2.0
// What a listener has acknowledged, so that another run need not send it again: a file that is only
// ever appended to, a JSON object a line. A line is written after the ACK and synced before anything
// depends on it; a crash in between costs a duplicate and never a record.
//
//   {"object":"s3://b/key","etag":"…","from":ms|null,"to":ms|null}    an object's records of that time
//   {"logs":"…","from":ms,"to":ms}                                   a log group's events of that time
//   {"logs":"…","from":ms,"to":ms,"token":"…","rejected":["…"]}      the same, up to the page `token` and
//                                                                    but for the pages `rejected`
//
// null: without a bound. Pages are named by AWS's tokens, "" is the first; without "token" all of them were
// sent, without "rejected" none was rejected. A last line that a crash has torn, or any other that cannot be read, counts
// as not written.
import { open, mkdir, readFile, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { add } from "./intervals.mjs";

const isTime = (n) => n === null || Number.isFinite(n);
const isToken = (text) => text === undefined || typeof text === "string";
const areTokens = (list) => list === undefined || (Array.isArray(list) && list.every((text) => typeof text === "string"));

export class State {
	#file = null;
	#path;
	#lock;
	#objects = new Map();
	#logs = new Map();
	#waiting = [];
	#writing = null;
	unreadable = 0;

	constructor(path) {
		this.#path = path;
		this.#lock = `${path}.lock`;
	}

	/** Reads what is there. The file is made at the first line only, so that looking leaves no trace. */
	async read() {
		let text;
		try {
			text = await readFile(this.#path, "utf8");
		} catch (error) {
			if (error.code === "ENOENT") return this;
			throw error;
		}
		const lines = text.split("\n");
		lines.pop();
		for (const line of lines) this.#take(line);
		return this;
	}

	#take(line) {
		if (line === "") return;
		let row;
		try {
			row = JSON.parse(line);
		} catch {
			row = null;
		}
		const named = typeof (row?.object ?? row?.logs) === "string";
		if (!named || !isTime(row.from) || !isTime(row.to) || !isToken(row.token) || !areTokens(row.rejected)) {
			this.unreadable++;
			return;
		}
		this.#remember(row);
	}

	#remember(row) {
		const interval = [row.from ?? -Infinity, row.to ?? Infinity];
		if (row.object !== undefined) {
			const key = `${row.object} ${row.etag}`;
			this.#objects.set(key, add(this.#objects.get(key) ?? [], interval));
			return;
		}
		const logs = this.#logs.get(row.logs) ?? { done: [], open: new Map() };
		this.#logs.set(row.logs, logs);
		const slice = interval.join();
		const { from, to, token, rejected = [] } = row;
		if (token !== undefined || rejected.length > 0) {
			logs.open.set(slice, { from, to, token, rejected });
		} else {
			logs.open.delete(slice);
			logs.done = add(logs.done, interval);
		}
	}

	/** Which time of an object's records was acknowledged, as intervals. */
	objectDone(object, etag) {
		return this.#objects.get(`${object} ${etag}`) ?? [];
	}

	/** Which time of a log group was acknowledged, and the slices that were begun. */
	logsDone(logs) {
		const known = this.#logs.get(logs);
		return { done: known?.done ?? [], open: [...(known?.open.values() ?? [])] };
	}

	/** Adds a line; resolves once it is on the disk. Lines that come meanwhile share the next sync. */
	async append(row) {
		this.#remember(row);
		this.#waiting.push(`${JSON.stringify(row)}\n`);
		while (this.#writing) await this.#writing;
		if (this.#waiting.length === 0) return;
		this.#writing = this.#flush();
		try {
			await this.#writing;
		} finally {
			this.#writing = null;
		}
	}

	async #flush() {
		const lines = this.#waiting.splice(0).join("");
		await this.#file.write(lines);
		await this.#file.datasync();
	}

	/** Makes it this process's to write. */
	async claim() {
		await mkdir(dirname(this.#path), { recursive: true });
		await this.#takeLock();
		this.#file = await open(this.#path, "a+", 0o600);
		const { size } = await this.#file.stat();
		if (size === 0) return;
		const last = Buffer.alloc(1);
		await this.#file.read(last, 0, 1, size - 1);
		// So that what a crash has torn stays a line of its own.
		if (last[0] !== 0x0a) await this.#file.write("\n");
	}

	async #takeLock() {
		for (;;) {
			try {
				const lock = await open(this.#lock, "wx", 0o600);
				await lock.write(`${process.pid}\n`);
				await lock.close();
				return;
			} catch (error) {
				if (error.code !== "EEXIST") throw error;
			}
			const owner = Number((await readFile(this.#lock, "utf8").catch(() => "")).trim());
			if (owner && isAlive(owner)) {
				throw new Error(
					`process ${owner} works with ${this.#path}; give each run its own --state, ` +
						`or remove ${this.#lock} when that is no backfill`,
				);
			}
			await unlink(this.#lock).catch(() => {});
		}
	}

	async close() {
		while (this.#writing) await this.#writing;
		await this.#file?.close();
		if (this.#file) await unlink(this.#lock).catch(() => {});
		this.#file = null;
	}
}

function isAlive(pid) {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return error.code === "EPERM";
	}
}
