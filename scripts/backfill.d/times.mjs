// SPDX-License-Identifier: Apache-2.0
// Points in time and durations as people type them. AWS stores times in UTC and names its S3 folders
// after UTC days, so a time without a zone is UTC too, whatever zone the machine is in.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const UNITS = [
	[/^(s|sec|secs|second|seconds)$/, SECOND],
	[/^(m|min|mins|minute|minutes)$/, MINUTE],
	[/^(h|hr|hrs|hour|hours)$/, HOUR],
	[/^(d|day|days)$/, DAY],
	[/^(w|week|weeks)$/, 7 * DAY],
];

// What an epoch in milliseconds is and one in seconds is not, until the year 5138.
const LEAST_MILLISECONDS = 1e11;

const CLOCK = String.raw`(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?`;
const ZONE = String.raw`(?:\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?`;
const DATE_TIME = new RegExp(
	String.raw`^(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T\s]\s*${CLOCK})?${ZONE}$`,
	"i",
);
const NAMED_DAY = new RegExp(String.raw`^(today|yesterday)(?:(?:\s+at)?\s+${CLOCK})?${ZONE}$`, "i");
const AGO = /^(an?|\d+(?:\.\d+)?)\s*([a-z]+)(?:\s+ago)?$/i;
const EPOCH = /^@?(\d{9,13})(?:\.\d+)?$/;

export const FORMS =
	"now, '2026-11-01 00:00:00', 2026-11-01, 2026-11-01T00:00:00Z, " +
	"'2026-11-01 01:00 +01:00', yesterday, 'today 14:30', '3 hours ago', 90m, 7d, 1793491200";

const bad = (text, why) =>
	new RangeError(
		`not a time that can be understood: '${text}'${why ? ` (${why})` : ""}; forms are: ${FORMS}`,
	);

// Milliseconds that a clock time is after midnight; undefined when there is no such time.
function sinceMidnight(hours = "0", minutes = "0", seconds = "0", fraction = "0") {
	if (+hours > 24 || +minutes > 59 || +seconds > 59 || (+hours === 24 && (+minutes || +seconds)))
		return undefined;
	return +hours * HOUR + +minutes * MINUTE + +seconds * SECOND + Math.floor(+`0.${fraction}` * SECOND);
}

// Milliseconds that a zone is ahead of UTC; undefined when there is no such zone.
function aheadOfUtc(zone) {
	const parts = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone ?? "");
	if (!parts) return 0;
	const [hours, minutes] = [+parts[2], +(parts[3] ?? 0)];
	if (hours > 14 || minutes > 59) return undefined;
	return (parts[1] === "-" ? -1 : 1) * (hours * HOUR + minutes * MINUTE);
}

// Date.UTC() makes the 2nd of March of a 30th of February; this makes nothing of it.
function midnight(year, month, day) {
	const at = Date.UTC(+year, +month - 1, +day);
	const back = new Date(at);
	return back.getUTCMonth() === +month - 1 && back.getUTCDate() === +day ? at : undefined;
}

function span(count, unit) {
	const row = UNITS.find(([names]) => names.test(unit.toLowerCase()));
	return row && Math.round((/^an?$/i.test(count) ? 1 : +count) * row[1]);
}

/** The milliseconds since 1970 that text means; a RangeError that names the forms when it means none. */
export function parseTime(text, now = Date.now()) {
	const trimmed = text.trim();
	if (/^now$/i.test(trimmed)) return now;

	const epoch = EPOCH.exec(trimmed);
	if (epoch)
		return +epoch[1] >= LEAST_MILLISECONDS ? +epoch[1] : Math.floor(+trimmed.replace("@", "") * SECOND);

	let match = DATE_TIME.exec(trimmed);
	if (match) {
		const [, year, month, day, h, m, s, f, zone] = match;
		return assemble(text, midnight(year, month, day), sinceMidnight(h, m, s, f), aheadOfUtc(zone));
	}
	match = NAMED_DAY.exec(trimmed);
	if (match) {
		const [, name, h, m, s, f, zone] = match;
		const ahead = aheadOfUtc(zone);
		const today = Math.floor((now + (ahead ?? 0)) / DAY) * DAY;
		return assemble(text, /^y/i.test(name) ? today - DAY : today, sinceMidnight(h, m, s, f), ahead);
	}
	match = AGO.exec(trimmed);
	const back = match && span(match[1], match[2]);
	if (back !== undefined && back !== null) return now - back;
	throw bad(text);
}

function assemble(text, day, clock, ahead) {
	if (day === undefined) throw bad(text, "no such day");
	if (clock === undefined) throw bad(text, "no such time of day");
	if (ahead === undefined) throw bad(text, "no such zone");
	return day + clock - ahead;
}

/** The milliseconds that '10m', '2 hours', '90s' last. */
export function parseDuration(text) {
	const match = AGO.exec(text.trim());
	const length = match && !/ago$/i.test(text.trim()) && span(match[1], match[2]);
	if (!length) throw new RangeError(`not a duration: '${text}'; forms are: 90s, 10m, '2 hours', 1d`);
	return length;
}

/** As a person reads it and parseTime() takes it. */
export const showTime = (ms) =>
	new Date(ms)
		.toISOString()
		.replace("T", " ")
		.replace(/\.000Z$/, "Z");
