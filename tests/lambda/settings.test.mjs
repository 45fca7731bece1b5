// SPDX-License-Identifier: Apache-2.0
// The environment: what is taken, and that whatever is wrong is named.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, test } from "node:test";
import { readSettings } from "../../lambda/settings.mjs";
import { Certificates } from "./support/certificates.mjs";

const certificates = new Certificates();
after(() => certificates.remove());
const [PEM, KEY] = [certificates.cert("client"), certificates.key("client")];
const base = { VPCFLOWD_HOST: "flows.example.org", VPCFLOWD_PORT: "20555" };

test("host and port alone", () => {
	const settings = readSettings(base);
	assert.deepEqual(settings, {
		host: "flows.example.org", port: 20555, tls: null, token: null, tokenParameter: null, tokenSecret: null, failureQueue: null,
	});
	assert.ok(Object.isFrozen(settings));
});

const TAKEN = [
	["the port has a default", { VPCFLOWD_PORT: undefined }, { port: 20555 }],
	["an IPv4 address", { VPCFLOWD_HOST: " 10.0.0.1 " }, { host: "10.0.0.1" }],
	["an IPv6 address", { VPCFLOWD_HOST: "2001:db8::1" }, { host: "2001:db8::1" }],
	["an IPv6 address in brackets", { VPCFLOWD_HOST: "[2001:db8::1]" }, { host: "2001:db8::1" }],
	["TLS off", { VPCFLOWD_TLS: "off" }, { tls: null }],
	["TLS without more", { VPCFLOWD_TLS: "on" }, { tls: { ca: null, cert: null, key: null } }],
	["TLS as a number", { VPCFLOWD_TLS: "1" }, { tls: { ca: null, cert: null, key: null } }],
	["TLS with a CA", { VPCFLOWD_TLS: "True", VPCFLOWD_CA: PEM }, { tls: { ca: PEM.trim(), cert: null, key: null } }],
	["PEM with \\n", { VPCFLOWD_TLS: "1", VPCFLOWD_CA: PEM.replaceAll("\n", "\\n") }, { tls: { ca: PEM, cert: null, key: null } }],
	["a client certificate", { VPCFLOWD_TLS: "1", VPCFLOWD_CERT: PEM, VPCFLOWD_KEY: KEY }, { tls: { ca: null, cert: PEM.trim(), key: KEY.trim() } }],
	["a token", { VPCFLOWD_TOKEN: "s3cr3t!~" }, { token: "s3cr3t!~" }],
	["a token in a parameter", { VPCFLOWD_TOKEN_PARAMETER: "/vpcflowd/token" }, { tokenParameter: "/vpcflowd/token" }],
	["a token in a secret", { VPCFLOWD_TOKEN_SECRET: "vpcflowd" }, { tokenSecret: "vpcflowd" }],
	["a queue", { VPCFLOWD_FAILURE_QUEUE: "https://sqs.eu-west-1.amazonaws.com/123456789012/q" },
		{ failureQueue: "https://sqs.eu-west-1.amazonaws.com/123456789012/q" }],
	["empty is not set", { VPCFLOWD_TOKEN: "", VPCFLOWD_TLS: "", VPCFLOWD_CA: " ", VPCFLOWD_FAILURE_QUEUE: "" },
		{ token: null, tls: null, failureQueue: null }],
];
for (const [what, env, expected] of TAKEN)
	test(`taken: ${what}`, () => {
		const settings = readSettings({ ...base, ...env });
		for (const [name, value] of Object.entries(expected))
			assert.deepEqual(settings[name], value);
	});

const REFUSED = [
	["VPCFLOWD_HOST", { VPCFLOWD_HOST: undefined }],
	["VPCFLOWD_HOST", { VPCFLOWD_HOST: "" }],
	["VPCFLOWD_HOST", { VPCFLOWD_HOST: "http://flows/" }],
	["VPCFLOWD_HOST", { VPCFLOWD_HOST: "a b" }],
	["VPCFLOWD_PORT", { VPCFLOWD_PORT: "0" }],
	["VPCFLOWD_PORT", { VPCFLOWD_PORT: "65536" }],
	["VPCFLOWD_PORT", { VPCFLOWD_PORT: "20555/tcp" }],
	["VPCFLOWD_PORT", { VPCFLOWD_PORT: "-1" }],
	["VPCFLOWD_TLS", { VPCFLOWD_TLS: "maybe" }],
	["VPCFLOWD_CA", { VPCFLOWD_CA: PEM }],
	["VPCFLOWD_CA", { VPCFLOWD_TLS: "1", VPCFLOWD_CA: "/no/such/file" }],
	["VPCFLOWD_CA", { VPCFLOWD_TLS: "1", VPCFLOWD_CA: "/tmp" }],
	["VPCFLOWD_CA", { VPCFLOWD_TLS: "1", VPCFLOWD_CA: "-----BEGIN nothing" }],
	["VPCFLOWD_CA", { VPCFLOWD_TLS: "1", VPCFLOWD_CA: PEM.replace(/\n.*\n/, "\nMIIB\n") }],
	["VPCFLOWD_CERT", { VPCFLOWD_TLS: "1", VPCFLOWD_CERT: KEY, VPCFLOWD_KEY: KEY }],
	["VPCFLOWD_KEY", { VPCFLOWD_TLS: "1", VPCFLOWD_CERT: PEM, VPCFLOWD_KEY: certificates.key("ca") }],
	["VPCFLOWD_KEY", { VPCFLOWD_TLS: "1", VPCFLOWD_CERT: PEM }],
	["VPCFLOWD_CERT", { VPCFLOWD_TLS: "1", VPCFLOWD_KEY: KEY }],
	["VPCFLOWD_TOKEN", { VPCFLOWD_TOKEN: "with space" }],
	["VPCFLOWD_TOKEN", { VPCFLOWD_TOKEN: "two\nlines" }],
	["VPCFLOWD_TOKEN", { VPCFLOWD_TOKEN: "x".repeat(507) }],
	["VPCFLOWD_TOKEN_PARAMETER", { VPCFLOWD_TOKEN: "a", VPCFLOWD_TOKEN_PARAMETER: "b" }],
	["VPCFLOWD_TOKEN_SECRET", { VPCFLOWD_TOKEN_PARAMETER: "a", VPCFLOWD_TOKEN_SECRET: "b" }],
	["VPCFLOWD_FAILURE_QUEUE", { VPCFLOWD_FAILURE_QUEUE: "arn:aws:sqs:eu-west-1:123456789012:q" }],
];
for (const [name, env] of REFUSED)
	test(`refused: ${JSON.stringify(env).slice(0, 80)}`, () => {
		assert.throws(() => readSettings({ ...base, ...env }), (error) => error.message.startsWith(`${name} `));
	});

test("a token is never in the message", () => {
	assert.throws(() => readSettings({ ...base, VPCFLOWD_TOKEN: "hidden word" }), (error) => !error.message.includes("hidden"));
});

test("PEM in a file", () => {
	assert.equal(readSettings({ ...base, VPCFLOWD_TLS: "on", VPCFLOWD_CA: certificates.path("ca.pem") }).tls.ca, certificates.cert("ca"));
});

test("the function fails at load, naming the variable", () => {
	const index = new URL("../../lambda/index.mjs", import.meta.url).href;
	const run = spawnSync(process.execPath, ["--input-type=module", "-e", `await import(${JSON.stringify(index)})`],
		{ env: { VPCFLOWD_HOST: "h", VPCFLOWD_PORT: "x" }, encoding: "utf8", timeout: 20000 });
	assert.notEqual(run.status, 0);
	assert.match(run.stderr, /Error: VPCFLOWD_PORT is no port/);
});
