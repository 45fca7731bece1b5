// SPDX-License-Identifier: Apache-2.0
// What the Lambda function of 2016 did, once for each line of a file: connect, write the raw event,
// destroy the socket at once. It never reads.
'use strict';
const fs = require('fs');
const net = require('net');

const [host, port, file] = process.argv.slice(2);
const events = fs.readFileSync(file, 'utf8').trimEnd().split('\n');

function handler(event, done) {
  const client = new net.Socket();
  client.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  client.on('close', done);
  client.connect(Number(port), host, () => {
    client.write(JSON.stringify(event));
    client.destroy();
  });
}

(function next() {
  if (events.length > 0) handler(JSON.parse(events.shift()), next);
})();
