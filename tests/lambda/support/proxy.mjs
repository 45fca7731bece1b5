// SPDX-License-Identifier: Apache-2.0
// Stands between a client and a listener and can break what passes.
import net from "node:net";
import { once } from "node:events";
import { reset } from "./fake.mjs";

export class Proxy {
	/**
	 * decide(number) for each connection: {cutAfter: octets from the client, deaf: cut when a reply comes,
	 * which is lost; a function is waited for first}.
	 */
	static async start(t, target, decide = () => ({})) {
		const proxy = new Proxy();
		proxy.connections = 0;
		proxy.octets = 0;
		proxy.replies = "";
		proxy.sockets = new Set();
		proxy.server = net.createServer((client) => proxy.#serve(client, target, decide(proxy.connections++)));
		proxy.server.listen(0, "127.0.0.1");
		await once(proxy.server, "listening");
		proxy.host = "127.0.0.1";
		proxy.port = proxy.server.address().port;
		t.after(() => {
			proxy.server.close();
			proxy.cut();
		});
		return proxy;
	}

	cut() {
		for (const socket of this.sockets)
			socket.destroy();
	}

	#serve(client, target, { cutAfter = Infinity, deaf = false }) {
		const there = net.connect(target.port, target.host);
		const both = [client, there];
		let passed = 0;
		let lost = false;
		const lose = async () => {
			if (lost)
				return;
			lost = true;
			await (deaf === true ? null : deaf());
			reset(client);
		};
		for (const socket of both) {
			this.sockets.add(socket);
			socket.on("error", () => {});
			socket.on("close", () => {
				this.sockets.delete(socket);
				if (!lost)
					both.forEach((other) => other.destroy());
			});
		}
		client.on("data", (octets) => {
			there.write(octets.subarray(0, cutAfter - passed));
			passed += octets.length;
			this.octets += octets.length;
			if (passed >= cutAfter)
				reset(client);
		});
		there.on("data", (octets) => {
			this.replies += octets;
			return deaf ? lose() : client.write(octets);
		});
	}
}
