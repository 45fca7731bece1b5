// SPDX-License-Identifier: Apache-2.0
// Cuts an object of any size into payloads that the listener takes whole.
//
//   gzip ─▶ lines ─▶ pieces of whole lines ─▶ a gzip member each ─▶ as many as fit: a payload
//
// The same object gives the same payloads, however it was read: what an earlier try has delivered
// the listener knows again by its digest. At most one payload and one piece are in memory.
import { Readable, pipeline } from "node:stream";
import { promisify } from "node:util";
import zlib from "node:zlib";

const gzip = promisify(zlib.gzip);

const MIB = 1024 * 1024;
const NEWLINE = 0x0a;
const PIECE_MOST = MIB;
// Half of what the listener unpacks by default.
const INFLATED_MOST = 32 * MIB;
// The listener takes what unpacks to 200 times its size for a bomb. Lines that repeat that much are
// sent as they are, in gzip's clothes.
const RATIO_MOST = 100;

// A header line names fields; half of the names known is enough, since AWS adds fields. The listener
// judges alike, and a record taken for a header would be sent with every piece.
const FIELDS = new Set(`version account-id interface-id srcaddr dstaddr srcport dstport protocol packets
	bytes start end action log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr
	pkt-dstaddr region az-id sublocation-type sublocation-id pkt-src-aws-service
	pkt-dst-aws-service flow-direction traffic-path ecs-cluster-arn ecs-cluster-name
	ecs-container-instance-arn ecs-container-instance-id ecs-container-id ecs-second-container-id
	ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id reject-reason resource-id
	encryption-status instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2
	interface-type next-hop-interface-id next-hop-subnet-id next-hop-az-id next-hop-vpc-id
	next-hop-interface-type resource-type tgw-id tgw-attachment-id tgw-src-vpc-account-id
	tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id
	tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id
	packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded
	packets-lost-ttl-expired`.split(/\s+/));

/** What came is not what it should be; trying again gives the same. `why` is a word for it. */
export class Malformed extends Error {
	constructor(why, message = why) {
		super(message);
		this.name = "Malformed";
		this.why = why;
	}
}

export function isHeader(line) {
	const words = line.split(/[ ,\t\r\n]+/).filter((word) => word !== "");
	if (words.length === 0 || !words.every((word) => /^[A-Za-z][A-Za-z0-9_-]*$/.test(word)))
		return false;
	return words.filter((word) => FIELDS.has(word.replaceAll("_", "-"))).length * 2 >= words.length;
}

// Whole lines up to `most` octets. Where it is cut depends on the octets alone.
async function* cut(source, most) {
	let held = [];
	let octets = 0;
	for await (const chunk of source) {
		held.push(chunk);
		octets += chunk.length;
		while (octets >= most) {
			const all = Buffer.concat(held);
			const end = all.lastIndexOf(NEWLINE, most - 1) + 1;
			if (end === 0)
				throw new Malformed("line_too_long", `a line of more than ${most} octets`);
			yield all.subarray(0, end);
			held = [all.subarray(end)];
			octets -= end;
		}
	}
	if (octets > 0)
		yield Buffer.concat(held);
}

function lineAt(piece, at) {
	const end = piece.indexOf(NEWLINE, at);
	return piece.subarray(at, end < 0 ? piece.length : end);
}

function headerAt(piece, at) {
	const first = piece[at] | 0x20;
	// Nearly every record begins with a digit and is done with here.
	if (first < 0x61 || first > 0x7a)
		return null;
	const line = lineAt(piece, at);
	return isHeader(line.toString("latin1")) ? line : null;
}

// The last header line in a piece. Objects that were put together have several.
function lastHeader(piece) {
	let found = null;
	for (let at = 0; at < piece.length;) {
		found = headerAt(piece, at) ?? found;
		const end = piece.indexOf(NEWLINE, at);
		at = end < 0 ? piece.length : end + 1;
	}
	return found;
}

// Level 1: the octets travel once, and time in Lambda is paid for.
async function pack(octets) {
	const packed = await gzip(octets, { level: 1 });
	return packed.length * RATIO_MOST < octets.length ? gzip(octets, { level: 0 }) : packed;
}

// A header holds to the end of its gzip member, so each member has one.
async function* members(source, most) {
	let header = null;
	for await (const piece of cut(source, most)) {
		const begins = headerAt(piece, 0) !== null || header === null;
		const octets = begins ? piece : Buffer.concat([header, Buffer.of(NEWLINE), piece]);
		const found = lastHeader(piece);
		if (found !== null)
			header = Buffer.from(found);
		yield { packed: await pack(octets), inflated: octets.length };
	}
}

/** Plain lines to gzip payloads of at most `limit` octets. */
export async function* lineBatches(source, { limit = 4 * MIB } = {}) {
	let batch = [];
	let octets = 0;
	let inflated = 0;
	for await (const member of members(source, Math.min(PIECE_MOST, Math.floor(limit / 2)))) {
		if (member.packed.length > limit)
			throw new Malformed("line_too_long", `lines that do not fit into ${limit} octets`);
		if (octets + member.packed.length > limit || inflated + member.inflated > INFLATED_MOST) {
			yield Buffer.concat(batch);
			[batch, octets, inflated] = [[], 0, 0];
		}
		batch.push(member.packed);
		octets += member.packed.length;
		inflated += member.inflated;
	}
	if (batch.length > 0)
		yield Buffer.concat(batch);
}

async function* inflate(source) {
	const gunzip = zlib.createGunzip({ chunkSize: 64 * 1024 });
	try {
		// Errors of either end come out of the loop.
		yield* pipeline(Readable.from(source), gunzip, () => {});
	} catch (error) {
		if (String(error.code).startsWith("Z_"))
			throw new Malformed(error.code === "Z_BUF_ERROR" ? "gzip_cut" : "gzip", `not gzip, or damaged: ${error.message}`);
		throw error;
	}
}

/** A gzip stream of lines (an S3 flow log object) to gzip payloads of at most `limit` octets. */
export async function* gzipBatches(source, options) {
	yield* lineBatches(inflate(source), options);
}
