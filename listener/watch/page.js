// SPDX-License-Identifier: Apache-2.0
// Asks /api every second and draws what it says. Foreign text becomes text only (textContent); what
// is drawn once is kept and changed, so that nothing flickers and a selection stays.
"use strict";

const SECONDS = 900;
const STEP = 3; // seconds that a point of a chart is the mean of
const ROWS = 10;
const WAIT_MS = { live: 1000, most: 30000, answer: 8000 };
const SVG = "http://www.w3.org/2000/svg";

const CHARTS = [
	{ name: "flows", title: "Flows", unit: "flows/s", show: count },
	{ name: "bytes", title: "Traffic", unit: "per second", show: octets },
	{ name: "refused", title: "Refused", unit: "flows/s", show: count },
];

const LISTS = [
	{ name: "sources", title: "Top sources", of: "bytes", kind: "" },
	{ name: "destinations", title: "Top destinations", of: "bytes", kind: "" },
	{ name: "refused_sources", title: "Refused sources", of: "flows", kind: "refused" },
	{ name: "refused_ports", title: "Refused ports", of: "flows", kind: "refused" },
	{ name: "interfaces", title: "Busiest interfaces", of: "bytes", kind: "names" },
	{ name: "log_groups", title: "Busiest log groups", of: "bytes", kind: "names" },
];

// What people call a port, IANA's Service Name and Transport Protocol Port Number Registry.
const SERVICES = {
	"20/tcp": "ftp data", "21/tcp": "ftp", "22/tcp": "ssh", "23/tcp": "telnet", "25/tcp": "smtp",
	"53/tcp": "dns", "53/udp": "dns", "67/udp": "dhcp", "68/udp": "dhcp", "69/udp": "tftp", "80/tcp": "http",
	"110/tcp": "pop3", "111/tcp": "rpcbind", "123/udp": "ntp", "135/tcp": "msrpc", "137/udp": "netbios",
	"139/tcp": "netbios", "143/tcp": "imap", "161/udp": "snmp", "389/tcp": "ldap", "443/tcp": "https",
	"443/udp": "quic", "445/tcp": "smb", "465/tcp": "smtps", "500/udp": "ike", "514/udp": "syslog",
	"587/tcp": "submission", "636/tcp": "ldaps", "993/tcp": "imaps", "1433/tcp": "mssql",
	"1521/tcp": "oracle", "1900/udp": "ssdp", "2049/tcp": "nfs", "2375/tcp": "docker",
	"3306/tcp": "mysql", "3389/tcp": "rdp", "5060/udp": "sip", "5432/tcp": "postgresql",
	"5900/tcp": "vnc", "6379/tcp": "redis", "6443/tcp": "kubernetes", "8080/tcp": "http-alt",
	"8443/tcp": "https-alt", "9200/tcp": "elasticsearch", "11211/tcp": "memcached",
	"27017/tcp": "mongodb",
};

const byId = (id) => document.getElementById(id);

function make(tag, name, text) {
	const element = document.createElement(tag);
	if (name) element.className = name;
	if (text !== undefined) element.textContent = text;
	return element;
}

function draw(tag, name, attributes) {
	const element = document.createElementNS(SVG, tag);
	element.setAttribute("class", name);
	for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
	return element;
}

function setText(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

// ---- numbers as people read them --------------------------------------------------------------

// Three digits and a unit: 0, 7, 999, 1.23 k, 45.6 M.
function scaled(n, units) {
	let at = 0;
	while (n >= 999.5 && at < units.length - 1) {
		n /= 1000;
		at++;
	}
	const whole = Number.isInteger(n) || n >= 99.95;
	const digits = whole ? 0 : n >= 9.995 ? 1 : 2;
	return `${n.toFixed(digits)}${units[at]}`;
}

function count(n) {
	return scaled(n, ["", " k", " M", " G", " T", " P", " E"]);
}

function octets(n) {
	return scaled(n, [" B", " KB", " MB", " GB", " TB", " PB", " EB"]);
}

// All digits, thin spaces between thousands.
function exact(n) {
	return n.toLocaleString("en-GB").replaceAll(",", "\u2009");
}

function span(ms) {
	const minutes = Math.floor(ms / 60000);
	const days = Math.floor(minutes / 1440);
	const hours = Math.floor(minutes / 60) % 24;
	if (days > 0) return `${days} d ${hours} h`;
	if (hours > 0) return `${hours} h ${minutes % 60} min`;
	return minutes > 0 ? `${minutes} min` : `${Math.floor(ms / 1000)} s`;
}

// ---- charts -----------------------------------------------------------------------------------

// The least 1, 2 or 5 times a power of ten that is not below n.
function roof(n) {
	if (n <= 1) return 1;
	const power = 10 ** Math.floor(Math.log10(n));
	return [1, 2, 5, 10].map((f) => f * power).find((f) => f >= n * 0.999999);
}

// Means of STEP seconds each, as {at, value}, at: seconds ago. Steps keep to the clock's seconds, so
// that a point does not change its height as it moves; the first may be of fewer.
function points(values, end) {
	const found = [];
	for (let last = values.length - (end % STEP); last > 0; last -= STEP) {
		const first = Math.max(0, last - STEP);
		const sum = values.slice(first, last).reduce((a, b) => a + b, 0);
		found.push({ at: values.length - (first + last) / 2, value: sum / (last - first) });
	}
	return found.reverse();
}

function makeChart(chart) {
	const card = make("div", `card chart ${chart.name}`);
	const head = make("div", "head");
	const plot = make("div", "plot");
	const axis = make("div", "axis");
	chart.figure = make("p", "figure");
	chart.value = make("span");
	chart.value.id = `now-${chart.name}`;
	chart.figure.append(chart.value, " ", make("small", "", chart.unit));
	chart.note = make("p", "note");
	chart.svg = draw("svg", "", { viewBox: `0 0 ${SECONDS} 100`, preserveAspectRatio: "none", role: "img" });
	for (const y of [0, 50, 100])
		chart.svg.append(draw("line", "grid", { x1: 0, x2: SECONDS, y1: y, y2: y }));
	chart.area = draw("path", "area");
	chart.line = draw("path", "line");
	chart.cursor = draw("line", "cursor", { y1: 0, y2: 100, visibility: "hidden" });
	chart.svg.append(chart.area, chart.line, chart.cursor);
	chart.top = make("span", "scale");
	chart.middle = make("span", "scale");
	chart.top.style.top = "0";
	chart.middle.style.top = "50%";
	plot.append(chart.svg, chart.top, chart.middle);
	axis.append(make("span", "", "15 min ago"), make("span", "", "10"), make("span", "", "5"), make("span", "", "now"));
	axis.setAttribute("aria-hidden", "true");
	head.append(make("h3", "", chart.title), chart.note);
	card.append(head, chart.figure, plot, axis);
	chart.svg.addEventListener("pointermove", (event) => pointAt(chart, event));
	chart.svg.addEventListener("pointerleave", () => pointAway(chart));
	byId("charts").append(card);
}

function pointAt(chart, event) {
	const box = chart.svg.getBoundingClientRect();
	chart.pointed = SECONDS * (1 - (event.clientX - box.left) / box.width);
	showPointed(chart);
}

function pointAway(chart) {
	chart.pointed = undefined;
	showPointed(chart);
}

// What was at the pointer's time; without one, how it is now.
function showPointed(chart) {
	if (!chart.points) return;
	const nearest = (best, p) => (Math.abs(p.at - chart.pointed) < Math.abs(best.at - chart.pointed) ? p : best);
	const at = chart.pointed !== undefined && chart.points.length > 0 && chart.points.reduce(nearest);
	chart.cursor.setAttribute("visibility", at ? "visible" : "hidden");
	setText(chart.value, chart.show(at ? Math.round(at.value) : chart.now));
	if (at) {
		chart.cursor.setAttribute("x1", SECONDS - at.at);
		chart.cursor.setAttribute("x2", SECONDS - at.at);
		const ago = Math.round(at.at);
		setText(chart.note, ago < 60 ? `${ago} s ago` : `${Math.floor(ago / 60)} min ${ago % 60} s ago`);
	} else {
		setText(chart.note, `most ${chart.show(Math.round(chart.most))}`);
	}
}

function showChart(chart, series) {
	const values = series[chart.name];
	chart.points = points(values, Math.round(series.end_ms / 1000));
	chart.now = chart.points.length > 0 ? Math.round(chart.points[chart.points.length - 1].value) : 0;
	chart.most = chart.points.reduce((most, p) => Math.max(most, p.value), 0);
	const high = roof(chart.most);
	const path = chart.points.map((p) => `${SECONDS - p.at} ${(100 - (100 * p.value) / high).toFixed(2)}`);
	chart.line.setAttribute("d", path.length > 1 ? `M${path.join("L")}` : "");
	if (path.length > 1) {
		const first = SECONDS - chart.points[0].at;
		const last = SECONDS - chart.points[chart.points.length - 1].at;
		chart.area.setAttribute("d", `M${first} 100L${path.join("L")}L${last} 100Z`);
	}
	setText(chart.top, chart.show(high));
	setText(chart.middle, high > 1 ? chart.show(high / 2) : "");
	showPointed(chart);
	chart.svg.setAttribute("aria-label", `${chart.title} over the last 15 minutes: ` +
		`now ${chart.show(chart.now)}, most ${chart.show(Math.round(chart.most))} ${chart.unit}`);
}

// ---- lists ------------------------------------------------------------------------------------

function makeList(list) {
	const card = make("div", "card");
	list.table = make("table", `list exact ${list.kind}`);
	list.table.id = `top-${list.name}`;
	list.caption = make("small");
	const caption = make("caption", "", `${list.title} `);
	caption.append(list.caption);
	const head = make("thead", "hidden");
	const row = make("tr");
	for (const [name, text] of [["", "Name"], ["number value", list.of], ["number off", "off by at most"]]) {
		const cell = make("th", name, text);
		cell.scope = "col";
		row.append(cell);
	}
	head.append(row);
	list.body = make("tbody");
	list.table.append(caption, head, list.body);
	card.append(list.table);
	byId("lists").append(card);
}

function makeRow() {
	const row = make("tr");
	const key = make("td", "key");
	row.fill = make("i");
	row.name = make("span");
	key.append(row.fill, row.name);
	row.value = make("td", "number value");
	row.off = make("td", "number off");
	row.append(key, row.value, row.off);
	return row;
}

function showRow(row, item, list, most) {
	const show = list.of === "bytes" ? octets : count;
	const middle = (item.least + item.most) / 2;
	const off = (item.most - item.least) / 2;
	const name = item.cut ? `${item.name}…` : item.name;
	const service = list.name === "refused_ports" && SERVICES[item.name];
	if (row.shown !== name) {
		row.shown = name;
		row.name.textContent = name;
		row.name.title = name;
		if (service) row.name.append(" ", make("small", "", service));
	}
	row.fill.style.width = `${(100 * middle) / most}%`;
	setText(row.value, show(Math.round(middle)));
	row.value.title = off > 0 ? `${exact(item.least)} to ${exact(item.most)}` : exact(item.most);
	setText(row.off, off > 0 ? `± ${show(Math.ceil(off))}` : "");
}

function showList(list, lists) {
	const found = lists[list.name];
	const items = found.items.slice(0, ROWS);
	const show = list.of === "bytes" ? octets : count;
	setText(list.caption, found.total > 0 ? `of ${show(found.total)}${list.of === "flows" ? " flows" : ""}` : "");
	list.table.classList.toggle("exact", items.every((item) => item.least === item.most));
	if (items.length === 0) {
		const row = make("tr");
		row.append(make("td", "nothing", "None in this time"));
		list.body.replaceChildren(row);
		return;
	}
	const rows = [...list.body.children].filter((row) => row.fill);
	const most = Math.max(...items.map((item) => (item.least + item.most) / 2));
	list.body.replaceChildren(...items.map((item, i) => {
		const row = rows[i] || makeRow();
		showRow(row, item, list, most);
		return row;
	}));
}

// ---- outputs, spool, records --------------------------------------------------------------------

function cell(name, text, label) {
	const td = make("td", name, text);
	if (label) td.dataset.label = label;
	return td;
}

function outputRow(output) {
	const row = make("tr");
	const words = { up: "takes flows", full: "waits", down: "not connected" };
	const where = output.destination === "-" ? "standard output" : output.destination;
	const name = cell("name", where);
	name.append(" ", make("small", "quiet", output.format));
	const state = make("td");
	state.append(make("span", `state-word ${output.state}`, words[output.state] || output.state));
	const lost = output.flows_lost || 0;
	row.append(name, state, cell("number delivered", count(output.flows_delivered), "delivered"),
		cell("number", octets(output.bytes_queued), "waiting"),
		cell(`number${lost > 0 ? " some" : ""}`, count(lost), "lost"));
	return row;
}

function showSpool(spool) {
	const meter = byId("spool-meter");
	meter.hidden = spool === null;
	if (spool === null) {
		setText(byId("spool-text"), "None");
		setText(byId("spool-note"), "An acknowledgement waits for the outputs.");
		return;
	}
	setText(byId("spool-text"), octets(spool.bytes));
	meter.classList.toggle("full", spool.full);
	byId("spool-fill").style.width = `${Math.min(100, (100 * spool.bytes) / spool.limit)}%`;
	setText(byId("spool-note"), spool.full ? `It is full: peers are told to try again later.`
		: `of ${octets(spool.limit)} that it may have. What was acknowledged is on disk.`);
}

function showRecords(counters, reasons) {
	const why = Object.entries(reasons).map(([name, n]) => `${name.replaceAll("_", " ")} ${count(n)}`).join(", ");
	const rows = [
		["Seen", counters.events, ""],
		["Flows", counters.flows, ""],
		["Without traffic (NODATA)", counters.nodata, ""],
		["Lost by AWS (SKIPDATA)", counters.skipdata, ""],
		["Not converted", counters.rejected, why],
		["Payloads refused whole", counters.payloads_rejected, ""],
	];
	if (counters.filtered !== undefined) rows.splice(2, 0, ["Filtered out", counters.filtered, ""]);
	byId("records").tBodies[0].replaceChildren(...rows.map(([name, n, note]) => {
		const row = make("tr");
		const first = make("td", "", name);
		if (note) first.append(" ", make("small", "quiet", note));
		row.append(first, make("td", "number", exact(n)));
		return row;
	}));
}

function showSummary(summary) {
	const workers = summary.workers === 1 ? "1 worker" : `${summary.workers} workers`;
	setText(byId("about"), `version ${summary.version} · ${workers} · up for ${span(summary.uptime_ms)}`);
	const reasons = byId("reasons");
	reasons.hidden = summary.reasons.length === 0;
	const said = summary.reasons.join("\n");
	if (reasons.shown !== said) {
		reasons.shown = said;
		reasons.replaceChildren(...summary.reasons.map((reason) => make("p", "", reason)));
	}
	byId("outputs").tBodies[0].replaceChildren(...summary.outputs.map(outputRow));
	showSpool(summary.spool);
	showRecords(summary.counters, summary.rejected);
}

// ---- asking -----------------------------------------------------------------------------------

let failures = 0;
let timer;
let round = 0;

function setStatus(name, text) {
	byId("status").className = `status ${name}`;
	setText(byId("status-text"), text);
	document.body.classList.toggle("away", name === "away");
}

async function ask(path) {
	const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(WAIT_MS.answer) });
	if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
	return answer.json();
}

function chosen() {
	return document.querySelector("input[name=window]:checked").value;
}

async function refresh() {
	const mine = ++round;
	clearTimeout(timer);
	let answers;
	try {
		answers = await Promise.all([ask("/api/summary"), ask("/api/series"), ask(`/api/top/${chosen()}`)]);
	} catch {
		if (mine === round) isAway();
		return;
	}
	if (mine !== round) return;
	const [summary, series, top] = answers;
	failures = 0;
	showSummary(summary);
	for (const chart of CHARTS) showChart(chart, series);
	for (const list of LISTS) showList(list, top.lists);
	byId("lists").dataset.window = top.window;
	setStatus(summary.healthy ? "live" : "unwell", summary.healthy ? "Live" : "Live, but not well");
	timer = setTimeout(refresh, document.hidden ? 5 * WAIT_MS.live : WAIT_MS.live);
}

function isAway() {
	const wait = Math.min(WAIT_MS.most, WAIT_MS.live * 2 ** failures++);
	setStatus("away", `The listener does not answer; trying again in ${Math.round(wait / 1000)} s`);
	timer = setTimeout(refresh, wait);
}

CHARTS.forEach(makeChart);
LISTS.forEach(makeList);
for (const input of document.querySelectorAll("input[name=window]")) input.addEventListener("change", refresh);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
