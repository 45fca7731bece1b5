// SPDX-License-Identifier: Apache-2.0
// TLS between the handler and the real listener: what gets through, and what is said of what does not.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import tls from "node:tls";
import { Sender } from "../../lambda/sender.mjs";
import { Certificates } from "./support/certificates.mjs";
import { Cloud } from "./support/cloud.mjs";
import { Environment } from "./support/environment.mjs";
import { cloudwatch, ftsq, packed, records } from "./support/flows.mjs";
import { Listener } from "./support/listener.mjs";
import { NEWEST } from "./support/newest.mjs";
import { Proxy } from "./support/proxy.mjs";
import { until } from "./support/wait.mjs";

const certificates = new Certificates();
after(() => certificates.remove());

const ONLY_TLS_1_2 = { NODE_OPTIONS: "--tls-max-v1.2" };

const to = ({ host, port }, ...more) => Object.assign({ VPCFLOWD_HOST: host, VPCFLOWD_PORT: String(port) }, ...more);

function tokenFile() {
	const file = certificates.path("tokens");
	writeFileSync(file, "right-token\n");
	return ["--token-file", file];
}

// They mostly wait for pauses to end.
describe("TLS", { concurrency: 4 }, () => {
	test("after many wrong tokens the answer comes late: it is waited for, and the right one is not delayed", { skip: !NEWEST }, async (t) => {
		const listener = await Listener.start(t, ...certificates.listener(), ...tokenFile());
		// 250 ms, 500 ms and so on to 4 s, by which the next one waits 8 s.
		for (let n = 0; n < 5; n++) {
			const guess = tls.connect({ host: "localhost", port: listener.port, ca: certificates.cert("ca") });
			guess.on("error", () => {});
			t.after(() => guess.destroy());
			await once(guess, "secureConnect");
			guess.write("AUTH a-guess\n");
		}
		const proxy = await Proxy.start(t, listener);
		const environment = (token) => Environment.start(t, to(proxy, certificates.forwarder(), { VPCFLOWD_TOKEN: token }));
		const [wrong, right] = await Promise.all(["wrong-token", "right-token"].map(environment));
		const begin = performance.now();
		const refused = wrong.invoke(cloudwatch(packed(records(2000))));
		await until(() => proxy.octets > 10000, "the wrong token to be there");
		await new Promise((resolve) => setTimeout(resolve, 300));
		const { error, log } = await right.invoke(cloudwatch(packed(records(3))));
		assert.equal(error, undefined);
		assert.ok(log.milliseconds < 5000, `${log.milliseconds} ms`);
		assert.equal((await refused).error.errorMessage, "the listener refuses this client: auth");
		assert.ok(performance.now() - begin > 7500, "it was not late");
		assert.equal((await refused).log.pauses, undefined);
	});

	for (const [version, host, variables] of [["1.2", "127.0.0.1", ONLY_TLS_1_2], ["1.3", "localhost", {}]])
		test(`${version}, client certificate and token: the flows arrive, by ${host}`, async (t) => {
			const listener = await Listener.start(t, ...certificates.listener("server", "ca"), ...tokenFile());
			const environment = await Environment.start(t, to(listener, certificates.forwarder("ca", "client"), variables,
				{ VPCFLOWD_HOST: host, VPCFLOWD_TOKEN: "right-token" }));
			const lots = [records(5), records(6)];
			for (const lines of lots) {
				const { error, log } = await environment.invoke(cloudwatch(packed(lines)));
				assert.equal(error, undefined);
				assert.equal(log.flows, lines.length);
				assert.equal(log.pauses, undefined);
			}
			assert.deepEqual(listener.flows(), ftsq(lots.flat()).sort());
		});

	test("settings may hold the PEM itself, its line ends written out", async (t) => {
		const listener = await Listener.start(t, ...certificates.listener("server", "ca"));
		const environment = await Environment.start(t, to(listener, { VPCFLOWD_TLS: "on", VPCFLOWD_CA: certificates.cert("ca"),
			VPCFLOWD_CERT: certificates.cert("client"), VPCFLOWD_KEY: certificates.key("client").replaceAll("\n", "\\n") }));
		assert.equal((await environment.invoke(cloudwatch(packed(records(5))))).error, undefined);
	});

	test("large payloads, sixteen on the wire at a time", async (t) => {
		const listener = await Listener.start(t, ...certificates.listener());
		const sender = new Sender({ host: "localhost", port: listener.port, tls: { ca: certificates.cert("ca"), cert: null, key: null } });
		t.after(() => sender.close());
		const lots = Array.from({ length: 20 }, () => records(5000));
		const replies = await Promise.all(lots.map((lines, n) => sender.put(packed(lines), { id: `p${n}` })));
		assert.deepEqual(new Set(replies.map(({ status, flows }) => `${status} ${flows}`)), new Set(["ACK 5000"]));
		assert.deepEqual(listener.flows(), ftsq(lots.flat()).sort());
	});

	test("a listener that was killed while the environment was frozen: reopened at once, the flows come once", async (t) => {
		const listener = await Listener.start(t, ...certificates.listener());
		const environment = await Environment.start(t, to(listener, certificates.forwarder()));
		const lots = [records(5), records(5)];
		await environment.invoke(cloudwatch(packed(lots[0])));
		environment.freeze();
		await listener.down("SIGKILL");
		await listener.up();
		environment.thaw();
		const { error, log } = await environment.invoke(cloudwatch(packed(lots[1])));
		assert.equal(error, undefined);
		assert.equal(log.pauses, undefined);
		assert.deepEqual(listener.flows(), ftsq(lots.flat()).sort());
	});

	const server = (...which) => () => certificates.listener(...which);
	const client = (...which) => () => certificates.forwarder(...which);
	const WRONG = [
		["a listener of another CA", server(), client("stranger"), /TLS: the listener's certificate is refused: unable to verify/],
		["a listener of another name", server("elsewhere"), client(), /TLS: the listener's certificate is refused: .*localhost.*elsewhere\.example\.org/],
		["a certificate of an authority that has expired", server("late"), client("past"), /TLS: the listener's certificate is refused: certificate has expired/],
		["no client certificate", server("server", "ca"), client(), /TLS: the listener's alert: certificate required/],
		["no client certificate, TLS 1.2", server("server", "ca"), () => ({ ...certificates.forwarder(), ...ONLY_TLS_1_2 }), /TLS: the listener's alert: handshake failure/],
		["a client certificate of another CA", server("server", "ca"), client("ca", "intruder"), /TLS: the listener's alert: unknown ca/],
		["a client certificate that has expired", server("server", "ca"), client("ca", "expired"), /TLS: the listener's alert: certificate expired/],
		["TLS at a listener without it", () => [], client(), /closed by the listener within the TLS handshake; does it speak TLS\?/],
		["no TLS at a listener with it", server(), () => ({}), /closed by the listener without a word; does it want TLS\?/],
	];
	for (const [what, options, variables, why] of WRONG)
		test(`${what}: the invocation fails and says why, nothing is sent, nothing is queued`, async (t) => {
			const cloud = await Cloud.start(t);
			const listener = await Listener.start(t, ...options());
			const environment = await Environment.start(t, to(listener, variables(), cloud.variables,
				{ VPCFLOWD_HOST: "localhost", VPCFLOWD_FAILURE_QUEUE: cloud.queue }));
			const begin = performance.now();
			const { error, log } = await environment.invoke(cloudwatch(packed(records(1))), { ms: 4000 });
			assert.ok(performance.now() - begin < 4000);
			assert.equal(error.errorType, "Unavailable");
			assert.match(error.errorMessage, why);
			assert.doesNotMatch(error.errorMessage, /[\r\n]/);
			assert.deepEqual([log.level, log.failed, log.error], ["error", 1, `Unavailable: ${error.errorMessage}`]);
			assert.match(log.trouble, why);
			assert.deepEqual([listener.flows(), cloud.calls], [[], []]);
		});

	test("a listener that speaks nothing newer than TLS 1.1", async (t) => {
		const old = tls.createServer({ cert: certificates.cert("server"), key: certificates.key("server"),
			minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" }).listen(0, "127.0.0.1");
		old.on("tlsClientError", () => {});
		t.after(() => old.close());
		await once(old, "listening");
		const environment = await Environment.start(t, to({ host: "127.0.0.1", port: old.address().port }, certificates.forwarder()));
		const { error } = await environment.invoke(cloudwatch(packed(records(1))), { ms: 4000 });
		assert.match(error.errorMessage, /TLS: .*protocol/);
	});

	test("a wrong token: the invocation fails with that reason, AWS keeps the event, and the right one gets in", async (t) => {
		const cloud = await Cloud.start(t);
		cloud.parameters.set("/token", "wrong-token");
		const listener = await Listener.start(t, ...certificates.listener(), ...tokenFile());
		const environment = await Environment.start(t, to(listener, certificates.forwarder(), cloud.variables,
			{ VPCFLOWD_TOKEN_PARAMETER: "/token", VPCFLOWD_FAILURE_QUEUE: cloud.queue }));
		const lines = records(2000);
		const { error, log } = await environment.invoke(cloudwatch(packed(lines)));
		assert.deepEqual(error, { errorType: "Unavailable", errorMessage: "the listener refuses this client: auth" });
		assert.deepEqual([log.level, log.problems[0].why, log.queued], ["error", "auth", undefined]);
		cloud.parameters.set("/token", "right-token");
		assert.equal((await environment.invoke(cloudwatch(packed(lines)))).log.flows, 2000);
		assert.deepEqual(cloud.calls, ["GetParameter", "GetParameter"]);
		assert.deepEqual(listener.flows(), ftsq(lines).sort());
	});
});
