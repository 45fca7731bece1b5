// SPDX-License-Identifier: Apache-2.0
// What tests/certificates makes; its head lists them.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const maker = new URL("../../certificates", import.meta.url).pathname;

export class Certificates {
	folder = mkdtempSync(join(tmpdir(), "certificates-"));

	constructor() {
		execFileSync(maker, [this.folder], { stdio: "pipe", timeout: 60000 });
	}

	path(file) { return join(this.folder, file); }
	cert(name) { return readFileSync(this.path(`${name}.pem`), "utf8"); }
	key(name) { return readFileSync(this.path(`${name}.key`), "utf8"); }

	/** Options of a listener that shows one, and may want one of its peers. */
	listener(name = "server", clientCa = null) {
		return ["--tls-cert", this.path(`${name}.pem`), "--tls-key", this.path(`${name}.key`),
			...(clientCa === null ? [] : ["--tls-client-ca", this.path(`${clientCa}.pem`)])];
	}

	/** The forwarder's variables: whom it trusts, what it shows. */
	forwarder(trusts = "ca", shows = null) {
		return { VPCFLOWD_TLS: "on", VPCFLOWD_CA: this.path(`${trusts}.pem`),
			...(shows === null ? {} : { VPCFLOWD_CERT: this.path(`${shows}.pem`), VPCFLOWD_KEY: this.path(`${shows}.key`) }) };
	}

	remove() { rmSync(this.folder, { recursive: true, force: true }); }
}
