// A client on any socket.io-client that does what it is told.
//
//   node caller.js PACKAGE URL OPTIONS
//
// A line on stdin, [number, event, payload], is sent with a callback. Prints lines of JSON: ["answer",
// number, answer] for that, ["connect", session id], ["disconnect"], ["error", error] and, for all events of
// the chat, ["event", event, payload]. Bytes are {"hex": digits} there and here.
"use strict";

const readline = require("node:readline");

const [name, url, options] = process.argv.slice(2);
const io = require(name);

function print(...line) {
  const shown = (key, value) =>
    value && value.type === "Buffer" ? { hex: Buffer.from(value.data).toString("hex") } : value;
  process.stdout.write(JSON.stringify(line, shown) + "\n");
}

const revived = (key, value) => (value && value.hex !== undefined ? Buffer.from(value.hex, "hex") : value);

const socket = io(url, { forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 200, ...JSON.parse(options) });

socket.on("connect", () => print("connect", socket.io.engine.id));
socket.on("disconnect", () => print("disconnect"));
socket.on("error", (error) => print("error", error));
for (const event of ["new message", "presence", "typing", "message changed", "server notice", "question", "auth"]) {
  socket.on(event, (payload, answer) => {
    print("event", event, payload);
    if (answer) answer(payload);
  });
}

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const [number, event, payload] = JSON.parse(line, revived);
  socket.emit(event, payload, (answer) => print("answer", number, answer));
});
lines.on("close", () => {
  socket.disconnect();
  process.exit();
});
