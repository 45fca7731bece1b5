// SPDX-License-Identifier: Apache-2.0
// Flows that can be told apart, in every wrapping that AWS has, and the samples.
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import zlib from "node:zlib";

const data = new URL("../../data/", import.meta.url);

export const sample = (name) => JSON.parse(readFileSync(new URL(name, data), "utf8"));
export const samplePath = (name) => new URL(name, data).pathname;

let count = 0;

/** Records of version 2, no two alike. */
export function records(number) {
	return Array.from({ length: number }, () => {
		const n = count++;
		return `2 123456789010 eni-1235b8ca123456789 10.${n >> 16 & 255}.${n >> 8 & 255}.${n & 255} ` +
			`172.31.16.21 ${randomInt(65536)} 22 6 ${randomInt(1e6)} ${randomInt(1e9)} 1418530010 1418530070 ACCEPT OK`;
	});
}

/** What vpcflowd writes for them as ftsq. */
export function ftsq(lines) {
	return lines.map((line) => {
		const [, , , src, dst, sport, dport, protocol, packets, bytes, start, end] = line.split(" ");
		return `${src},${sport},${dst},${dport},${protocol},${packets},${bytes},0,0,${start},${end},127.0.0.1,"unknown"`;
	});
}

export function message(lines, extra = {}) {
	return {
		messageType: "DATA_MESSAGE", owner: "123456789012", logGroup: "flows", logStream: "eni-1-all",
		subscriptionFilters: ["f"],
		logEvents: lines.map((line, n) => ({ id: String(n).padStart(56, "0"), timestamp: 1432826855000, message: line })),
		...extra,
	};
}

export const packed = (lines) => zlib.gzipSync(JSON.stringify(message(lines)));
export const object = (lines, header = "") => zlib.gzipSync([...(header ? [header] : []), ...lines, ""].join("\n"));
export const HEADER = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

export const cloudwatch = (octets) => ({ awslogs: { data: octets.toString("base64") } });

export const kinesis = (...payloads) => ({
	Records: payloads.map((octets, n) => ({
		kinesis: { kinesisSchemaVersion: "1.0", partitionKey: "p", sequenceNumber: `4959${n}`, data: octets.toString("base64") },
		eventSource: "aws:kinesis", eventName: "aws:kinesis:record",
	})),
});

export const firehose = (...payloads) => ({
	invocationId: "i", deliveryStreamArn: "arn:aws:firehose:eu-west-1:123456789012:deliverystream/d", region: "eu-west-1",
	records: payloads.map((octets, n) => ({ recordId: `r${n}`, approximateArrivalTimestamp: 1, data: octets.toString("base64") })),
});

export const s3 = (...keys) => ({
	Records: keys.map((key) => ({
		eventVersion: "2.1", eventSource: "aws:s3", eventName: "ObjectCreated:Put",
		s3: { bucket: { name: "flows" }, object: { key: encodeURIComponent(key).replaceAll("%20", "+").replaceAll("%2F", "/"), size: 1000 } },
	})),
});

export const sns = (event) => ({ Type: "Notification", TopicArn: "arn:aws:sns:eu-west-1:123456789012:t", Message: JSON.stringify(event) });

export const sqs = (...bodies) => ({
	Records: bodies.map((body, n) => ({
		messageId: `m${n}`, receiptHandle: "h", body: typeof body === "string" ? body : JSON.stringify(body),
		eventSource: "aws:sqs", eventSourceARN: "arn:aws:sqs:eu-west-1:123456789012:notifications",
	})),
});

export const failed = (event) => ({
	version: "1.0", timestamp: "2026-11-01T00:00:00.000Z",
	requestContext: { requestId: "x", condition: "RetriesExhausted", approximateInvokeCount: 3 },
	requestPayload: event, responseContext: { statusCode: 200 }, responsePayload: { errorMessage: "down" },
});
