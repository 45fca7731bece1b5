// SPDX-License-Identifier: Apache-2.0
// One connection to the listener: connects, authenticates, writes octets, gives reply lines, and
// notices silence. Knows nothing of PUTs; ends exactly once, with the reason.
import net from "node:net";
import tls from "node:tls";

// Replies have at most 512 octets; more without an end of line is no listener of ours.
const LINE_MOST = 1024;
// Addresses of a name are tried one after the other, each for so long; Node's own 250 ms are short for
// a listener across an ocean.
const ADDRESS_MS = 3000;
// Small enough that a slow way out still shows progress between two slices.
const SLICE = 256 * 1024;

export class Link {
	#socket;
	#onLine;
	#onReady;
	#onGone;
	#silence = null;
	#patience = 0;
	#outgoing = [];
	#writing = false;
	#text = "";
	#heard = false;
	#gone = false;
	#secure;

	ready = false;

	constructor({ host, port, tls: secure, token }, { connectMs, onReady, onLine, onGone }) {
		this.#secure = Boolean(secure);
		this.#onReady = onReady;
		this.#onLine = onLine;
		this.#onGone = onGone;
		const address = { host, port, autoSelectFamilyAttemptTimeout: ADDRESS_MS };
		this.#socket = secure ? Link.#connectSecurely(address, secure) : net.connect(address);
		this.#socket.setNoDelay(true);
		this.#socket.setKeepAlive(true, 60000);
		this.#socket.once(secure ? "secureConnect" : "connect", () => this.#connected(token));
		this.#socket.on("data", (octets) => this.#take(octets));
		this.#socket.on("error", (error) => this.fail(this.#explain(error)));
		this.#socket.on("end", () => this.fail(new Error(`closed by the listener${this.#guess()}`)));
		this.#socket.on("close", () => this.fail(new Error("connection closed")));
		this.expect(connectMs, "no connection");
	}

	static #connectSecurely(address, { ca, cert, key }) {
		const servername = net.isIP(address.host) ? undefined : address.host;
		const given = Object.entries({ ca, cert, key, servername }).filter(([, value]) => value != null);
		return tls.connect({ ...address, minVersion: "TLSv1.2", ...Object.fromEntries(given) });
	}

	#connected(token) {
		this.expect(0);
		if (token)
			this.write(Buffer.from(`AUTH ${token}\n`, "latin1"));
		this.ready = true;
		this.#onReady();
	}

	// OpenSSL's own text has line ends and places in its source. What has an errno's name is not about TLS.
	#explain(error) {
		if (!this.#secure || /^E[A-Z0-9]+$/.test(error.code))
			return error;
		if (error.code?.startsWith("ERR_SSL_"))
			return new Error(`TLS: ${(error.reason ?? error.code).replace(/^(ssl|tls)\S* alert /, "the listener's alert: ")}`);
		return this.ready ? error : new Error(`TLS: the listener's certificate is refused: ${error.message}`);
	}

	// One with TLS and one without it do not understand each other, and part without a word.
	#guess() {
		if (this.#secure)
			return this.ready ? "" : " within the TLS handshake; does it speak TLS?";
		return this.#heard ? "" : " without a word; does it want TLS?";
	}

	#take(octets) {
		this.#heard = true;
		this.#progress();
		const lines = (this.#text + octets.toString("latin1")).split("\n");
		this.#text = lines.pop();
		for (const line of lines)
			if (!this.#gone)
				this.#onLine(line);
		if (this.#text.length > LINE_MOST)
			this.fail(new Error("the reply is no line"));
	}

	write(...buffers) {
		for (const buffer of buffers)
			for (let at = 0; at < buffer.length; at += SLICE)
				this.#outgoing.push(buffer.subarray(at, at + SLICE));
		if (!this.#writing)
			this.#next();
	}

	// A slice at a time, since written all at once they would all be reported at the end, and a slow
	// way out looked like a dead one.
	#next() {
		const slice = this.#outgoing.shift();
		this.#writing = slice !== undefined && !this.#gone;
		if (this.#writing)
			this.#socket.write(slice, (error) => {
				this.#progress();
				if (!error)
					this.#next();
			});
	}

	// The connection fails when nothing moves for so long; 0 is for ever.
	expect(ms, what = "silence") {
		clearTimeout(this.#silence);
		this.#patience = ms;
		if (ms > 0 && !this.#gone)
			this.#silence = setTimeout(() => this.fail(new Error(`${what} for ${(ms / 1000).toFixed(1)} s`)), ms);
	}

	#progress() {
		if (this.#patience > 0)
			this.#silence?.refresh();
	}

	// An idle connection keeps no process alive.
	idle(is) {
		if (is)
			this.#socket.unref();
		else
			this.#socket.ref();
	}

	// Ends it in order, but a payload that is under way is cut: half of one is of no use to anybody.
	close() {
		this.#end();
		if (this.#writing)
			this.#socket.destroy();
		this.#socket.end();
		this.#socket.unref();
	}

	fail(error) {
		if (this.#gone)
			return;
		this.#end();
		this.#socket.destroy();
		this.#onGone(error);
	}

	#end() {
		this.expect(0);
		this.#gone = true;
		this.ready = false;
	}
}
