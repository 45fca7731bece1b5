// SPDX-License-Identifier: Apache-2.0
// The few AWS calls the forwarder makes, answered as AWS does: S3 objects, an SQS queue, a
// parameter, a secret. Any call can be made to fail.
import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";

const MESSAGE_MOST = 1024 * 1024;

const md5 = (text) => createHash("md5").update(text).digest("hex");

export class Cloud {
	static async start(t) {
		const cloud = new Cloud();
		cloud.server = http.createServer((request, response) => cloud.#route(request, response));
		cloud.server.listen(0, "127.0.0.1");
		await once(cloud.server, "listening");
		cloud.url = `http://127.0.0.1:${cloud.server.address().port}`;
		cloud.queue = `${cloud.url}/123456789012/failures`;
		t.after(() => {
			cloud.server.closeAllConnections();
			cloud.server.close();
		});
		return cloud;
	}

	objects = new Map();
	parameters = new Map();
	secrets = new Map();
	/** What is in the queue, parsed where it is JSON. */
	messages = [];
	calls = [];
	/** Name of a call → times it is to be denied. */
	denied = new Map();
	/** Key → octets after which the connection of a GET breaks, once. */
	broken = new Map();

	/** The variables by which the SDK finds us. One try: what fails is to be seen. */
	get variables() {
		return { AWS_ENDPOINT_URL: this.url, AWS_MAX_ATTEMPTS: "1" };
	}

	async #route(request, response) {
		const body = Buffer.concat(await request.toArray()).toString();
		const target = request.headers["x-amz-target"]?.split(".").at(-1) ?? "GetObject";
		this.calls.push(target);
		if (this.denied.get(target) > 0) {
			this.denied.set(target, this.denied.get(target) - 1);
			return this.#json(response, 400, { __type: "AccessDeniedException", message: "denied" });
		}
		return target === "GetObject" ? this.#object(request, response) : this.#call(target, JSON.parse(body), response);
	}

	#json(response, status, value) {
		response.writeHead(status, { "content-type": "application/x-amz-json-1.0" }).end(JSON.stringify(value));
	}

	#queue(text, response) {
		if (Buffer.byteLength(text) > MESSAGE_MOST)
			return this.#json(response, 400, { __type: "InvalidParameterValue", message: "Message must be shorter than 1048576 bytes." });
		this.messages.push(/^[[{]/.test(text) ? JSON.parse(text) : text);
		return this.#json(response, 200, { MessageId: "m", MD5OfMessageBody: md5(text) });
	}

	#call(target, input, response) {
		switch (target) {
		case "SendMessage":
			return this.#queue(input.MessageBody, response);
		case "GetParameter":
			return this.#json(response, 200, { Parameter: { Name: input.Name, Value: this.parameters.get(input.Name) } });
		case "GetSecretValue":
			return this.#json(response, 200, { Name: input.SecretId, SecretString: this.secrets.get(input.SecretId) });
		default:
			return this.#json(response, 400, { __type: "InvalidAction" });
		}
	}

	#object(request, response) {
		const path = decodeURIComponent(new URL(request.url, this.url).pathname.slice(1));
		const octets = this.objects.get(path);
		if (!octets)
			return response.writeHead(404, { "content-type": "application/xml" }).end("<Error><Code>NoSuchKey</Code><Message>no</Message></Error>");
		response.writeHead(200, { "content-length": octets.length });
		if (!this.broken.has(path))
			return response.end(octets);
		response.write(octets.subarray(0, this.broken.get(path)), () => response.destroy());
		this.broken.delete(path);
	}
}
