// SPDX-License-Identifier: Apache-2.0
// TLS on the way to the real listener, through a terminator that wants a client's certificate.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { before, after, test } from "node:test";
import tls from "node:tls";
import { Sender, Unavailable } from "../../lambda/sender.mjs";
import { Environment } from "./support/environment.mjs";
import { cloudwatch, ftsq, packed, records } from "./support/flows.mjs";
import { Listener } from "./support/listener.mjs";
import { Pem } from "./support/pem.mjs";

const pem = new Pem();
before(() => {
	pem.authority("ca").authority("stranger").certificate("server", "IP:127.0.0.1,DNS:localhost")
		.certificate("elsewhere", "DNS:elsewhere.example.org").certificate("client", "DNS:client");
});
after(() => pem.remove());

async function terminate(t, target, options) {
	const sockets = new Set();
	const server = tls.createServer({ ...options }, (client) => {
		const there = net.connect(target.port, target.host);
		for (const socket of [client, there]) {
			sockets.add(socket);
			socket.on("error", () => {});
		}
		client.pipe(there).pipe(client);
	}).listen(0, "127.0.0.1");
	server.on("tlsClientError", () => {});
	await once(server, "listening");
	t.after(() => {
		sockets.forEach((socket) => socket.destroy());
		server.close();
	});
	return { host: "127.0.0.1", port: server.address().port };
}

const mutual = () => ({ cert: pem.server.cert, key: pem.server.key, ca: pem.ca.cert, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.2" });

test("with CA and client certificate the flows arrive, by name and by address", async (t) => {
	const listener = await Listener.start(t);
	const { port } = await terminate(t, listener, mutual());
	const lots = [records(5), records(5)];
	for (const [n, host] of ["127.0.0.1", "localhost"].entries()) {
		const environment = await Environment.start(t, {
			VPCFLOWD_HOST: host, VPCFLOWD_PORT: String(port), VPCFLOWD_TLS: "on",
			VPCFLOWD_CA: pem.ca.cert, VPCFLOWD_CERT: pem.path("client.pem"), VPCFLOWD_KEY: pem.client.key.replaceAll("\n", "\\n"),
		});
		const { error, log } = await environment.invoke(cloudwatch(packed(lots[n])));
		assert.equal(error, undefined);
		assert.equal(log.flows, 5);
	}
	assert.deepEqual(listener.flows(), ftsq(lots.flat()).sort());
});

const WRONG = [
	["a server of another CA", () => mutual(), () => ({ ca: pem.stranger.cert, cert: pem.client.cert, key: pem.client.key })],
	["a server of another name", () => ({ ...mutual(), cert: pem.elsewhere.cert, key: pem.elsewhere.key }),
		() => ({ ca: pem.ca.cert, cert: pem.client.cert, key: pem.client.key })],
	["no client certificate", () => mutual(), () => ({ ca: pem.ca.cert, cert: null, key: null })],
	["TLS below 1.2", () => ({ ...mutual(), requestCert: false, minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" }),
		() => ({ ca: pem.ca.cert, cert: null, key: null })],
];
for (const [what, server, client] of WRONG)
	test(`${what}: nothing is sent`, async (t) => {
		const listener = await Listener.start(t);
		const sender = new Sender({ ...await terminate(t, listener, server()), tls: client(), token: null }, { timing: { pauseMs: 50 } });
		t.after(() => sender.close());
		const end = performance.now() + 1000;
		await assert.rejects(sender.put(packed(records(1)), { id: "a", remaining: () => end - performance.now() }), Unavailable);
		assert.deepEqual(listener.flows(), []);
	});

test("a listener without TLS: the words never reach it", async (t) => {
	const listener = await Listener.start(t);
	const sender = new Sender({ host: listener.host, port: listener.port, tls: { ca: pem.ca.cert, cert: null, key: null } }, { timing: { pauseMs: 50 } });
	t.after(() => sender.close());
	const end = performance.now() + 1000;
	await assert.rejects(sender.put(packed(records(1)), { id: "a", remaining: () => end - performance.now() }), Unavailable);
	assert.deepEqual(listener.flows(), []);
});
