// SPDX-License-Identifier: Apache-2.0
// Certificates, made when they are needed and good for two days.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

export class Pem {
	folder = mkdtempSync(join(tmpdir(), "pem-"));

	#openssl(...args) {
		execFileSync("openssl", args, { cwd: this.folder, stdio: "pipe", timeout: 30000 });
	}

	path(file) { return join(this.folder, file); }

	#read(name) {
		this[name] = { cert: readFileSync(this.path(`${name}.pem`), "utf8"), key: readFileSync(this.path(`${name}.key`), "utf8") };
	}

	authority(name) {
		this.#openssl("req", "-x509", ...NEW_KEY, "-days", "2", "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.pem`);
		this.#read(name);
		return this;
	}

	/** Signed by the authority "ca". */
	certificate(name, san) {
		writeFileSync(this.path(`${name}.ext`), `subjectAltName=${san}\n`);
		this.#openssl("req", ...NEW_KEY, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
		this.#openssl("x509", "-req", "-days", "2", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key",
			"-CAcreateserial", "-extfile", `${name}.ext`, "-out", `${name}.pem`);
		this.#read(name);
		return this;
	}

	remove() { rmSync(this.folder, { recursive: true, force: true }); }
}
