// SPDX-License-Identifier: Apache-2.0
// The AWS services that some settings and events need. Lambda ships the SDK; each client is loaded
// when it is used first, since most functions need none and loading takes longer than a PUT.
import { Malformed } from "./batches.mjs";
import { checkToken } from "./settings.mjs";

const GONE = new Set(["NoSuchKey", "NoSuchBucket"]);

const clients = new Map();

// One client of a service for the life of the environment.
async function service(name, client) {
	const sdk = await import(`@aws-sdk/client-${name}`);
	if (!clients.has(name))
		clients.set(name, new sdk[client]({}));
	return (command, input, options) => clients.get(name).send(new sdk[command](input), options);
}

// No call outlives the invocation; a timer takes no more than 2^31 - 1.
function within(remaining) {
	return { abortSignal: AbortSignal.timeout(Math.min(Math.max(Math.floor(remaining()), 0), 2 ** 31 - 1)) };
}

// A secret made in the console is JSON; {"token": "…"} is what such a one should look like.
function tokenIn(secret) {
	if (!secret?.startsWith("{"))
		return secret ?? "";
	try {
		return String(JSON.parse(secret).token ?? "");
	} catch {
		return "";
	}
}

/** The token, from wherever the settings say. */
export async function readToken({ token, tokenParameter, tokenSecret }, remaining) {
	if (tokenParameter !== null) {
		const ssm = await service("ssm", "SSMClient");
		const { Parameter } = await ssm("GetParameterCommand", { Name: tokenParameter, WithDecryption: true }, within(remaining));
		return checkToken((Parameter?.Value ?? "").trim(), "VPCFLOWD_TOKEN_PARAMETER");
	}
	if (tokenSecret !== null) {
		const secrets = await service("secrets-manager", "SecretsManagerClient");
		const { SecretString } = await secrets("GetSecretValueCommand", { SecretId: tokenSecret }, within(remaining));
		return checkToken(tokenIn(SecretString?.trim()).trim(), "VPCFLOWD_TOKEN_SECRET");
	}
	return token;
}

/** An S3 object's octets as they arrive. */
export async function* readObject({ bucket, key }, remaining) {
	const options = within(remaining);
	const s3 = await service("s3", "S3Client");
	try {
		const { Body } = await s3("GetObjectCommand", { Bucket: bucket, Key: key }, options);
		options.abortSignal.addEventListener("abort", () => Body.destroy(new Error("reading the object took too long")), { once: true });
		yield* Body;
	} catch (error) {
		throw GONE.has(error.name) ? new Malformed(error.name, `no object ${key} in ${bucket}`) : error;
	}
}

/** Puts a message into a queue. */
export async function sendMessage(queue, body, remaining) {
	const sqs = await service("sqs", "SQSClient");
	await sqs("SendMessageCommand", { QueueUrl: queue, MessageBody: body }, within(remaining));
}
