// Clients on socket.io-client 4 that join a room by polling and upgrade to WebSocket while it is busy.
//
//   node upgraders.js URL ROOM COUNT
//
// Prints "upgraded" when all have. A line on stdin, a number, has each client wait until it has the room's
// message of that number, and then prints of each, as a line of JSON, {after, seqs}: the last number when
// it joined, and the numbers that came since, in the order of arrival.
"use strict";

const readline = require("node:readline");
const { io } = require("socket.io-client");

const [url, roomname, count] = process.argv.slice(2);
const clients = [];
const AT_A_TIME = 10;
let upgraded = 0;
let last = Infinity;

function finish() {
  if (clients.every(({ after, seqs }) => (seqs.length ? seqs[seqs.length - 1] : after) >= last)) {
    last = Infinity;
    const lines = clients.map((client) => JSON.stringify(client) + "\n");
    process.stdout.write(lines.join(""), () => process.exit());
  }
}

function start(number) {
  const client = { after: null, seqs: [] };
  clients.push(client);
  // The upgrade is begun by hand, when messages have come by polling.
  const options = { transports: ["polling", "websocket"], upgrade: false, reconnection: false, forceNew: true };
  const socket = io(url, options);
  socket.on("new message", (message) => {
    if (message.seq === undefined) return;
    client.seqs.push(message.seq);
    if (client.seqs.length === 3) socket.io.engine._probe("websocket");
    finish();
  });
  socket.on("disconnect", (reason) => process.stdout.write(JSON.stringify({ number, reason }) + "\n"));
  socket.io.on("open", () => {
    socket.io.engine.on("upgrade", () => {
      upgraded += 1;
      if (clients.length < Number(count)) start(clients.length);
      if (upgraded === Number(count)) process.stdout.write("upgraded\n");
    });
  });
  socket.emit("join room", { roomname, username: `node-${number}` }, (answer) => {
    client.after = answer.last_seq;
  });
}

for (let number = 0; number < AT_A_TIME; number += 1) start(number);
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  last = Number(line);
  finish();
});
