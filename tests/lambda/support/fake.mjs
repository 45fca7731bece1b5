// SPDX-License-Identifier: Apache-2.0
// A listener for what the real one cannot be made to do at a given moment: it reads the wire
// strictly and does what the test says for every PUT.
import net from "node:net";
import { once } from "node:events";

/** Cuts with RST. A Node.js whose socket is reset while it is being shut down spins at its own exit. */
export function reset(socket) {
	if (socket.writableEnded || socket.destroyed)
		socket.destroy();
	else
		socket.resetAndDestroy();
}

export class FakeListener {
	/** answer(put, say, socket, listener): put = {id, octets, number}. Without it everything is ACKed. */
	static async start(t, answer = (put, say) => say(`ACK ${put.id} 1`), { onPart = () => {} } = {}) {
		const listener = new FakeListener(answer, onPart);
		t.after(() => listener.remove());
		await listener.up();
		return listener;
	}

	constructor(answer, onPart) {
		Object.assign(this, { answer, onPart, host: "127.0.0.1", port: 0, puts: [], auths: [], sockets: new Set(), connections: 0, errors: [] });
	}

	async up() {
		this.server = net.createServer((socket) => this.#serve(socket));
		this.server.listen(this.port, "127.0.0.1");
		await once(this.server, "listening");
		this.port = this.server.address().port;
	}

	/** Nobody can connect, and who was connected is cut off. */
	async down() {
		const closed = once(this.server, "close");
		this.server.close();
		this.cut();
		await closed;
	}

	cut() {
		for (const socket of this.sockets)
			reset(socket);
	}

	#serve(socket) {
		this.connections++;
		this.sockets.add(socket);
		socket.on("error", () => {}).on("close", () => this.sockets.delete(socket));
		let held = [];
		let size = 0;
		// Octets without which looking at a payload again is of no use.
		const frame = { need: 0 };
		socket.on("data", (octets) => {
			held.push(octets);
			size += octets.length;
			if (size < frame.need)
				return this.onPart({ got: size, length: frame.need }, socket, this);
			held = [this.#frames(Buffer.concat(held), socket, frame)];
			size = held[0].length;
		});
	}

	#frames(held, socket, frame) {
		frame.need = 0;
		while (!socket.destroyed) {
			const rest = this.#frame(held, socket, frame);
			if (rest === null)
				break;
			held = rest;
		}
		return held;
	}

	#frame(held, socket, state) {
		const end = held.indexOf(10);
		if (end < 0)
			return null;
		const line = held.subarray(0, end).toString("latin1");
		const put = /^PUT ([A-Za-z0-9][A-Za-z0-9._-]{0,63}) (\d+)$/.exec(line);
		const auth = /^AUTH (\S+)$/.exec(line);
		if (!put && !auth) {
			this.errors.push(line);
			socket.destroy();
			return null;
		}
		if (auth) {
			this.auths.push(auth[1]);
			return held.subarray(end + 1);
		}
		const whole = end + 1 + Number(put[2]);
		if (held.length < whole) {
			state.need = whole;
			return null;
		}
		const frame = { id: put[1], octets: Buffer.from(held.subarray(end + 1, whole)), number: this.puts.length };
		this.puts.push(frame);
		this.answer(frame, (line) => socket.write(`${line}\n`), socket, this);
		return held.subarray(whole);
	}

	async remove() {
		for (const socket of this.sockets)
			socket.destroy();
		if (this.server.listening)
			await this.down();
	}
}
