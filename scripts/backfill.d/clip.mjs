// SPDX-License-Identifier: Apache-2.0
// Leaves those lines of a flow log file that belong to a time. S3 has files by the time at which they
// were made; a record that began in the window may be in a file that was made after it, beside records
// that began later. The header line says where the time stands and goes on as it is.
import { isHeader } from "../../lambda/batches.mjs";
import { holds } from "./intervals.mjs";

const NEWLINE = 0x0a;
const SPACE = 0x20;
const ZERO = 0x30;
const LONGEST_LINE = 1024 * 1024;
// Seconds end here; what is more is milliseconds, which have been seen.
const MOST_SECONDS = 2 ** 31 - 1;

/**
 * Lines of octets (AsyncIterable<Buffer>) whose record began within the intervals, in Buffers of whole
 * lines. A record without a time counts as of otherTime, the file's own. seen.first and seen.last
 * become the times of the first and last record, whether left out or not.
 */
export async function* clip(octets, intervals, otherTime, seen) {
	let tail = Buffer.alloc(0);
	let header = null;
	let column;
	function* cut(lines) {
		let at = 0;
		if (column === undefined) {
			at = lines.indexOf(NEWLINE) + 1;
			header = Buffer.from(lines.subarray(0, at));
			column = timeColumn(header.toString("latin1"));
		}
		for (const run of keptRuns(lines, at, { column, intervals, otherTime, seen })) {
			// Held back until then: a header alone is not worth sending.
			if (header) yield header;
			header = null;
			yield run;
		}
	}
	for await (const piece of octets) {
		const end = piece.lastIndexOf(NEWLINE) + 1;
		if (tail.length + piece.length - end > LONGEST_LINE) throw new Error("a line of more than 1 MiB");
		if (end === 0) {
			tail = Buffer.concat([tail, piece]);
			continue;
		}
		yield* cut(Buffer.concat([tail, piece.subarray(0, end)]));
		tail = Buffer.from(piece.subarray(end));
	}
	if (tail.length > 0) yield* cut(Buffer.concat([tail, Buffer.from("\n")]));
}

/** Which column a header line has the time in; -1 for none. */
function timeColumn(header) {
	const names = header.trim().split(/\s+/);
	if (!isHeader(header)) throw new Error("no header line, so no flow log file");
	const start = names.indexOf("start");
	return start >= 0 ? start : names.indexOf("end");
}

// A run is lines next to each other that are kept, so that nothing is copied where all is kept.
function keptRuns(lines, from, { column, intervals, otherTime, seen }) {
	const runs = [];
	let begin = from;
	for (let at = from; at < lines.length;) {
		const end = lines.indexOf(NEWLINE, at) + 1;
		const time = timeIn(lines, at, end, column) ?? otherTime;
		if (time < seen.first) seen.first = time;
		if (time > seen.last) seen.last = time;
		if (!holds(intervals, time)) {
			if (at > begin) runs.push(lines.subarray(begin, at));
			begin = end;
		}
		at = end;
	}
	if (lines.length > begin) runs.push(lines.subarray(begin));
	return runs;
}

// Columns are apart by runs of spaces. undefined: not there, or no number.
function timeIn(lines, at, end, column) {
	if (column < 0) return undefined;
	for (let n = 0; ; n++) {
		while (lines[at] === SPACE) at++;
		if (n === column) break;
		while (at < end && lines[at] !== SPACE) at++;
		if (at >= end) return undefined;
	}
	const begin = at;
	let value = 0;
	for (; at < end && lines[at] >= ZERO && lines[at] <= ZERO + 9; at++)
		value = 10 * value + lines[at] - ZERO;
	if (at === begin) return undefined;
	return value > MOST_SECONDS ? value : 1000 * value;
}
