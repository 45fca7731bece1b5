// SPDX-License-Identifier: Apache-2.0
// The real vpcflowd, on a port of its own, writing ftsq to a file.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./wait.mjs";

const program = process.env.VPCFLOWD ?? new URL("../../../build/check/vpcflowd", import.meta.url).pathname;

export class Listener {
	static async start(t, ...options) {
		const listener = new Listener(options);
		t.after(() => listener.remove());
		await listener.up();
		return listener;
	}

	constructor(options) {
		this.options = options;
		this.folder = mkdtempSync(join(tmpdir(), "vpcflowd-"));
		this.output = join(this.folder, "flows");
		this.host = "127.0.0.1";
		this.port = 0;
		this.log = "";
	}

	/** Starts it, or starts it again on the port it had, which another process may have for a moment. */
	async up() {
		await until(() => this.#begin(), "vpcflowd to have its port");
	}

	async #begin() {
		const ready = join(this.folder, "ready");
		rmSync(ready, { force: true });
		const before = this.log.length;
		this.child = spawn(program, ["-l", `127.0.0.1:${this.port}`, "-o", `ftsq:${this.output}`,
			"--ready-file", ready, ...this.options], { stdio: ["ignore", "ignore", "pipe"] });
		this.child.stderr.setEncoding("utf8").on("data", (text) => { this.log += text; });
		this.closed = once(this.child, "close");
		await until(() => this.child.exitCode !== null || (existsSync(ready) && readFileSync(ready, "utf8").endsWith("\n")), "vpcflowd to be ready");
		if (this.child.exitCode === null) {
			this.port = Number(readFileSync(ready, "utf8").trim().split(":").at(-1));
			return true;
		}
		await this.closed;
		if (!this.log.slice(before).includes("address already in use"))
			throw new Error(`vpcflowd did not start: ${this.log}`);
		return false;
	}

	async down(signal = "SIGTERM") {
		this.child.kill("SIGCONT");
		this.child.kill(signal);
		await this.closed;
	}

	/** A listener that is slow: it does nothing at all until go(). */
	stop() { this.child.kill("SIGSTOP"); }
	go() { this.child.kill("SIGCONT"); }

	/** Every line written, sorted. */
	flows() {
		return existsSync(this.output) ? readFileSync(this.output, "utf8").split("\n").filter(Boolean).sort() : [];
	}

	async remove() {
		if (this.child && this.child.exitCode === null && this.child.signalCode === null)
			await this.down("SIGKILL");
		rmSync(this.folder, { recursive: true, force: true });
	}
}
