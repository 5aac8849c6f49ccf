// A client on Node.js: `node request.js URL KEEP`, where KEEP is `keep` for an agent that keeps one connection open, or
// `close` for one that does not.
//
// Reads numbers, a line each: that many requests, one after the other. Answers each with a line: those that were answered,
// and those that failed. Ends with its input, or after five minutes.
'use strict';

const http = require('node:http');
const readline = require('node:readline');

const [url, keep] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: keep === 'keep', maxSockets: 1 });

function request() {
  return new Promise((resolve) => {
    const asked = http.get(url, { agent }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode === 200));
      answer.on('error', () => resolve(false));
    });
    asked.on('error', () => resolve(false));
  });
}

async function main() {
  setTimeout(() => process.exit(1), 300_000).unref();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let made = 0;
    let failed = 0;
    for (let i = Number(line); i > 0; i--) {
      if (await request()) made++;
      else failed++;
    }
    console.log(`${made} ${failed}`);
  }
  process.exit(0);
}

main();
