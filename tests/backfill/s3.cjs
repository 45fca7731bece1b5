// SPDX-License-Identifier: Apache-2.0
// s3rver on a free port of this machine: node s3.cjs FOLDER BUCKET. The port is the first line on
// standard output; then comes a line for each request, so that tests see what was asked for.
"use strict";
const S3rver = require("s3rver");

const [directory, bucket] = process.argv.slice(2);
const server = new S3rver({
	address: "127.0.0.1",
	port: 0,
	silent: true,
	directory,
	configureBuckets: [{ name: bucket }],
});

// With a delimiter s3rver does not look further than one folder down, so that a folder with nothing
// but folders in it is not listed. S3 lists it.
const list = server.store.listObjects.bind(server.store);
server.store.listObjects = async (name, options) => {
	const { delimiter, maxKeys, ...rest } = options;
	if (!delimiter) return list(name, options);
	const all = await list(name, rest);
	const folder = (key) => {
		const at = key.indexOf(delimiter, options.prefix.length);
		return at < 0 ? null : key.slice(0, at + delimiter.length);
	};
	return {
		...all,
		objects: all.objects.filter(({ key }) => folder(key) === null),
		commonPrefixes: [...new Set(all.objects.map(({ key }) => folder(key)).filter(Boolean))],
	};
};

server.run().then(({ port }) => {
	process.stdout.write(`${port}\n`);
	server.httpServer.prependListener("request", ({ method, url }) =>
		process.stdout.write(`${method} ${url}\n`),
	);
});
