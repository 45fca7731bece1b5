// SPDX-License-Identifier: Apache-2.0
// The function's environment, checked once at load: whoever set a variable wrongly learns its name
// from the first line of the log, not from flows that do not come.
import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";

// A command line of the wire has at most 512 octets, "AUTH " and "\n" among them.
const TOKEN_MOST = 506;

const WORDS = new Map([
	["", false], ["0", false], ["false", false], ["no", false], ["off", false],
	["1", true], ["true", true], ["yes", true], ["on", true],
]);

function fail(name, what) {
	throw new Error(`${name} ${what}`);
}

function text(env, name) {
	const value = (env[name] ?? "").trim();
	return value === "" ? null : value;
}

function readHost(env) {
	const host = text(env, "VPCFLOWD_HOST") ?? fail("VPCFLOWD_HOST", "is missing: the listener's name or address");
	// An IPv6 address is often written as in a URL.
	const bare = host.replace(/^\[(.*)\]$/, "$1");
	return /^[A-Za-z0-9._:%-]+$/.test(bare) ? bare : fail("VPCFLOWD_HOST", `is no host name or address: ${JSON.stringify(host)}`);
}

function readPort(env) {
	const port = text(env, "VPCFLOWD_PORT") ?? "20555";
	const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
	return number >= 1 && number <= 65535 ? number : fail("VPCFLOWD_PORT", `is no port from 1 to 65535: ${JSON.stringify(port)}`);
}

function readSwitch(env, name) {
	const word = (text(env, name) ?? "").toLowerCase();
	return WORDS.get(word) ?? fail(name, `is neither on nor off: ${JSON.stringify(word)}`);
}

// PEM itself, or the name of a file with it: a chain is soon too long for an environment of 4 KB.
// Consoles and deploy tools like to turn line ends into "\n".
function readText(name, path) {
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		return fail(name, `names a file that cannot be read: ${error.code}`);
	}
}

function readPem(env, name) {
	const value = text(env, name);
	if (value === null)
		return null;
	if (!value.includes("-----BEGIN") && !existsSync(value))
		fail(name, "is neither PEM nor a file that is there");
	const pem = value.includes("-----BEGIN") ? value.replaceAll("\\n", "\n") : readText(name, value);
	return /-----BEGIN [A-Z0-9 ]+-----\n[^]+-----END/.test(pem.replaceAll("\r", "")) ? pem : fail(name, "is no PEM");
}

// OpenSSL would throw at every connection, and says nothing at all of a CA it cannot read.
function tryPem(name, use) {
	try {
		use();
	} catch (error) {
		fail(name, `cannot be used: ${error.message}`);
	}
}

function readTls(env) {
	const on = readSwitch(env, "VPCFLOWD_TLS");
	const [ca, cert, key] = ["VPCFLOWD_CA", "VPCFLOWD_CERT", "VPCFLOWD_KEY"].map((name) => {
		if (!on && text(env, name) !== null)
			fail(name, "is set, but VPCFLOWD_TLS is not on");
		return readPem(env, name);
	});
	if (cert !== null && key === null)
		fail("VPCFLOWD_KEY", "is missing: VPCFLOWD_CERT is set");
	if (key !== null && cert === null)
		fail("VPCFLOWD_CERT", "is missing: VPCFLOWD_KEY is set");
	tryPem("VPCFLOWD_CA", () => ca && new X509Certificate(ca));
	tryPem("VPCFLOWD_CERT", () => cert && new X509Certificate(cert));
	tryPem("VPCFLOWD_KEY", () => key && createSecureContext({ cert, key }));
	return on ? Object.freeze({ ca, cert, key }) : null;
}

// What the wire can carry as a token. Says what is wrong with it and never shows it.
export function checkToken(token, name) {
	if (!/^[\x21-\x7e]+$/.test(token))
		fail(name, "holds no token of printable ASCII without spaces");
	return token.length <= TOKEN_MOST ? token : fail(name, `holds a token of more than ${TOKEN_MOST} characters`);
}

function readTokens(env) {
	const names = ["VPCFLOWD_TOKEN", "VPCFLOWD_TOKEN_PARAMETER", "VPCFLOWD_TOKEN_SECRET"];
	const set = names.filter((name) => text(env, name) !== null);
	if (set.length > 1)
		fail(set[1], `is set beside ${set[0]}: the token can come from one place only`);
	const [token, tokenParameter, tokenSecret] = names.map((name) => text(env, name));
	if (token !== null)
		checkToken(token, "VPCFLOWD_TOKEN");
	return { token, tokenParameter, tokenSecret };
}

function readQueue(env) {
	const url = text(env, "VPCFLOWD_FAILURE_QUEUE");
	if (url !== null && !/^https?:\/\/[^/\s]+\/\S+$/.test(url))
		fail("VPCFLOWD_FAILURE_QUEUE", `is no URL of an SQS queue: ${JSON.stringify(url)}`);
	return url;
}

export function readSettings(env) {
	return Object.freeze({
		host: readHost(env),
		port: readPort(env),
		tls: readTls(env),
		...readTokens(env),
		failureQueue: readQueue(env),
	});
}
