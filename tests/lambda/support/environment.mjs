// SPDX-License-Identifier: Apache-2.0
// A Lambda execution environment: a process of its own with the function's files, its variables and
// a Runtime API to take invocations from. It can be frozen between two of them, as Lambda does.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./wait.mjs";

const source = new URL("../../../lambda/", import.meta.url).pathname;
const modules = new URL("../node_modules", import.meta.url).pathname;
const runtime = new URL("runtime.mjs", import.meta.url).pathname;

/** The function's folder as it is in Lambda: its files, and the SDK within reach. */
export function makeTask(t, { sdk = true } = {}) {
	const task = mkdtempSync(join(tmpdir(), "task-"));
	t.after(() => rmSync(task, { recursive: true, force: true }));
	for (const file of readdirSync(source).filter((name) => name.endsWith(".mjs")))
		copyFileSync(join(source, file), join(task, file));
	if (sdk)
		symlinkSync(modules, join(task, "node_modules"));
	return task;
}

export const credentials = { AWS_REGION: "eu-west-1", AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };

export class Environment {
	static async start(t, variables, options) {
		const environment = new Environment(makeTask(t, options), variables);
		t.after(() => environment.remove());
		await environment.up();
		return environment;
	}

	#task;
	#variables;
	#server;
	#child;
	#asking = null;
	#jobs = new Map();

	text = "";

	constructor(task, variables) {
		this.#task = task;
		this.#variables = variables;
	}

	async up() {
		this.#server = http.createServer((request, response) => this.#route(request, response));
		this.#server.listen(0, "127.0.0.1");
		await once(this.#server, "listening");
		this.#child = spawn(process.execPath, [runtime], {
			stdio: ["ignore", "pipe", "pipe"],
			env: {
				...credentials, AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${this.#server.address().port}`,
				LAMBDA_TASK_ROOT: this.#task, _HANDLER: "index.handler", ...this.#variables,
			},
		});
		for (const stream of [this.#child.stdout, this.#child.stderr])
			stream.setEncoding("utf8").on("data", (text) => { this.text += text; });
		this.closed = once(this.#child, "close");
		this.closed.then(() => this.#fail());
	}

	#fail() {
		for (const { settle } of this.#jobs.values())
			settle({ error: this.initError ?? { errorType: "Runtime.ExitError", errorMessage: this.text } });
	}

	/** One event; {reply} or {error}, and `log`, the line it left. */
	async invoke(event, { ms = 20000 } = {}) {
		const id = randomUUID();
		const before = this.lines().length;
		const outcome = await new Promise((settle) => {
			this.#jobs.set(id, { event, ms, settle });
			this.#give();
			if (this.#child.exitCode !== null)
				this.#fail();
		});
		this.#jobs.delete(id);
		// The reply and the line come by different pipes.
		const log = this.#child.exitCode === null
			? await until(() => this.lines().find(({ request }) => request === id), "the invocation's log line") : null;
		return { ...outcome, log, lines: this.lines().length - before, id };
	}

	/** The JSON lines so far. */
	lines() {
		return this.text.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
	}

	freeze() { this.#child.kill("SIGSTOP"); }
	thaw() { this.#child.kill("SIGCONT"); }

	#give() {
		const waiting = [...this.#jobs].find(([, job]) => !job.given);
		if (!this.#asking || !waiting)
			return;
		const [id, job] = waiting;
		job.given = true;
		this.#asking.writeHead(200, {
			"content-type": "application/json", "lambda-runtime-aws-request-id": id,
			"lambda-runtime-deadline-ms": Date.now() + job.ms,
			"lambda-runtime-invoked-function-arn": "arn:aws:lambda:eu-west-1:123456789012:function:vpcflowd",
		});
		this.#asking.end(JSON.stringify(job.event));
		this.#asking = null;
	}

	async #route(request, response) {
		if (request.url.endsWith("/invocation/next")) {
			this.#asking = response;
			return this.#give();
		}
		const body = JSON.parse(Buffer.concat(await request.toArray()).toString() || "null");
		const [id, what] = request.url.split("/").slice(-2);
		response.writeHead(202).end("{}");
		if (id === "init")
			this.initError = body;
		else
			this.#jobs.get(id)?.settle(what === "error" ? { error: body } : { reply: body });
	}

	async remove() {
		this.#child.kill("SIGKILL");
		await this.closed;
		this.#server.closeAllConnections();
		this.#server.close();
	}
}
