// SPDX-License-Identifier: Apache-2.0
// Adds up what the runners wrote: total.mjs OUTPUT NAME=FILE... Node's JUnit reporter counts only
// what stands in suites, so the test cases themselves are counted here, a suite for each runner.
// A runner that wrote nothing readable, or ended before its last test, has failed.
import { readFileSync, writeFileSync } from "node:fs";

const [output, ...runs] = process.argv.slice(2);

function count(file) {
	let text;
	try {
		text = readFileSync(file, "utf8");
	} catch {
		text = "";
	}
	const tests = text.match(/<testcase\b/g)?.length ?? 0;
	const failures = text.match(/<failure\b/g)?.length ?? 0;
	const skipped = text.match(/<skipped\b/g)?.length ?? 0;
	return tests > 0 && text.trimEnd().endsWith("</testsuites>") ? { tests, failures, skipped } : { tests: 1, failures: 1, skipped: 0 };
}

const suites = runs.map((run) => run.split("=")).map(([name, file]) => ({ name, ...count(file) }));
const sum = (key) => suites.reduce((total, suite) => total + suite[key], 0);

writeFileSync(output, ["<testsuites>",
	...suites.map(({ name, tests, failures, skipped }) =>
		`<testsuite name="lambda, ${name}" tests="${tests}" failures="${failures}" errors="0" skipped="${skipped}"/>`),
	"</testsuites>", ""].join("\n"));
for (const { name, tests, failures, skipped } of suites)
	console.log(`${name}: ${tests - failures - skipped} passed, ${failures} failed, ${skipped} skipped`);
console.log(`${sum("tests") - sum("failures") - sum("skipped")} passed, ${sum("failures")} failed`);
process.exitCode = sum("failures") > 0 || sum("tests") === 0 ? 1 : 0;
