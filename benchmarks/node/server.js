// Node's socket.io without compression; with --store FILE each message is committed before it goes out.
"use strict";

const { createServer } = require("node:http");
const { Server } = require("socket.io");

const EPOCH = "0123456789abcdef";

function openStore(path) {
  const db = require("better-sqlite3")(path);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = NORMAL");
  db.exec(`CREATE TABLE entries (
    room TEXT, seq INTEGER, type TEXT, user_id TEXT, message TEXT, sent_at TEXT, PRIMARY KEY (room, seq)
  )`);
  const insert = db.prepare("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)");
  return (m) => insert.run(m.room, m.seq, m.type, m.user_id, m.message, m.sent_at);
}

const flag = process.argv.indexOf("--store");
const store = flag < 0 ? () => {} : openStore(process.argv[flag + 1]);

const http = createServer();
const io = new Server(http, { perMessageDeflate: false, serveClient: false });
const lastSeq = new Map();
let lastUserId = 0;

io.on("connection", (socket) => {
  socket.on("join room", ({ roomname, username }, ack) => {
    socket.data.user ??= { id: String(++lastUserId), name: username };
    socket.join(roomname);
    ack?.({ ok: true, room: roomname, user: socket.data.user });
  });

  socket.on("new message", ({ room, message }, ack) => {
    if (!socket.rooms.has(room)) {
      ack?.({ ok: false, error: { code: "not_in_room", message: "You're not part of a room yet" } });
      return;
    }
    const seq = (lastSeq.get(room) ?? 0) + 1;
    lastSeq.set(room, seq);
    const { id: user_id, name: username } = socket.data.user;
    const id = `${EPOCH}-${seq}`;
    const sent_at = new Date().toISOString();
    const wire = { room, seq, id, type: "generic", username, user_id, message, sent_at };
    store(wire);
    socket.to(room).emit("new message", wire);
    ack?.({ ok: true, room, seq, id, sent_at });
  });
});

http.listen(0, "127.0.0.1", 2048, () => {
  console.log(`Listening on http://127.0.0.1:${http.address().port}`);
});
