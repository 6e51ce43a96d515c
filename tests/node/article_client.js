// The article's command-line client, on socket.io-client 4 or another: it knows four events and no
// acknowledgements.
//
//   node article_client.js URL TRANSPORT[,TRANSPORT] ROOM NAME [PACKAGE]
//
// It speaks before it has joined, joins, and then sends each line of stdin: one that begins with @ as a
// private message. What it receives is printed, a line of JSON each; so is the transport in use.
"use strict";

const readline = require("node:readline");

const [url, transports, roomname, username, client = "socket.io-client"] = process.argv.slice(2);
const io = require(client);

function print(what, payload) {
  process.stdout.write(JSON.stringify([what, payload]) + "\n");
}

const socket = io(url, { transports: transports.split(","), reconnection: false });

socket.on("new message", (message) => print("message", message));
socket.on("connect_error", (error) => print("connect_error", error.message));
socket.on("disconnect", (reason) => print("disconnect", reason));

socket.io.on("open", () => {
  print("transport", socket.io.engine.transport.name);
  socket.io.engine.on("upgrade", (transport) => print("transport", transport.name));
});

socket.on("connect", () => {
  socket.emit("new message", "is anybody here?");
  socket.emit("join room", { roomname, username });
});

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => socket.emit(line.startsWith("@") ? "new pm" : "new message", line));
lines.on("close", () => socket.disconnect());
