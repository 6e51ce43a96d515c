// A page with chatapp.js on socket.io-client 4: does what lines of stdin say, and prints what it is told.
//
//   node page.js OPTIONS
//
// OPTIONS is JSON, those of Chatapp.connect() and: `local` and `session`, what the browser's storages hold;
// `script`, the address from which a window loads chatapp.js, which finds all it needs there then.
// A line of stdin is JSON, [verb, ...]: see `verbs`; the end of it closes the chat, and the process then ends
// if nothing is left running. What is told is printed, a line of JSON each: ["state", state, detail],
// ["chat", event, payload], [room, event, payload, more].
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const vm = require("node:vm");
const { io } = require("socket.io-client");
const { XMLHttpRequest } = require("xmlhttprequest-ssl");

const FILE = path.join(__dirname, "../../chatapp/web/static/chatapp.js");
const options = JSON.parse(process.argv[2]);
const ROOM_EVENTS = ["changed", "failed", "gap", "history", "joined", "message", "notice", "presence", "read"];

/** A browser's storage of strings. */
class Storage {
  constructor(items) {
    this.items = new Map(Object.entries(items || {}));
  }
  getItem(key) {
    return this.items.has(key) ? this.items.get(key) : null;
  }
  setItem(key, value) {
    this.items.set(key, String(value));
  }
  removeItem(key) {
    this.items.delete(key);
  }
}

const local = new Storage(options.local);
const session = new Storage(options.session);
const toDrop = [];
const toDouble = new Set();
const listeners = new Set();
const rooms = {};
let handles = [];
let chat;

function print(...line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

/** socket.io-client, but for events that are lost, or come twice. */
function lossy(url, given) {
  const socket = io(url, given);
  const on = socket.on.bind(socket);
  socket.on = (event, listener) =>
    on(event, (...payload) => {
      const index = toDrop.indexOf(event);
      if (index >= 0) return toDrop.splice(index, 1);
      for (let times = toDouble.delete(event) ? 2 : 1; times; times -= 1) listener(...payload);
    });
  return socket;
}

function shown(handle) {
  return handle && { client_id: handle.client_id, text: handle.text, state: handle.state, error: handle.error };
}

/** The library: as a module, or as a script in a window. */
function load() {
  if (!options.script) return require(FILE);
  const window = {
    addEventListener: (event, listener) => listeners.add(listener),
    clearTimeout,
    console,
    document: { currentScript: { src: options.script } },
    io: lossy,
    localStorage: local,
    location: new URL(options.script),
    removeEventListener: (event, listener) => listeners.delete(listener),
    sessionStorage: session,
    setTimeout,
    XMLHttpRequest,
  };
  vm.runInNewContext(fs.readFileSync(FILE, "utf8"), window);
  return window.Chatapp;
}

function connect() {
  const storage = options.storage === false ? false : { local, session };
  chat = options.script ? Chatapp.connect() : Chatapp.connect({ ...options, io: lossy, storage });
  chat.on("state", (state, detail) => print("state", state, detail));
  for (const event of ["notice", "message"]) chat.on(event, (payload) => print("chat", event, payload));
}

function listen(name, room) {
  for (const event of [...ROOM_EVENTS, "refused", "sending", "typing"]) {
    room.on(event, (payload, more) => {
      if (event === "sending" || event === "failed") payload = shown(payload);
      if (more) more = { past: more.past, handle: shown(more.handle) };
      print(name, event, payload, more);
    });
  }
}

const answered = (verb) => (error, answer) => print("answer", verb, error || null, answer || null);

const verbs = {
  join(name, given) {
    rooms[name] = chat.join(name, given);
    listen(name, rooms[name]);
  },
  again: (name, given) => rooms[name].join(given),
  send: (name, text) => handles.push(rooms[name].send(text)),
  burst: (name, texts) => texts.forEach((text) => handles.push(rooms[name].send(text))),
  retry: () => handles.filter((handle) => handle.state === "failed").forEach((handle) => handle.retry()),
  edit: (name, seq, text) => rooms[name].edit(seq, text),
  remove: (name, seq) => rooms[name].remove(seq),
  react: (name, seq, emoji, on) => rooms[name].react(seq, emoji, on),
  read: (name, seq) => rooms[name].read(seq),
  typing: (name, typing) => rooms[name].typing(typing),
  leave: (name) => rooms[name].leave(),
  history: (name) => rooms[name].history(answered("history")),
  members: (name, given) => rooms[name].members(answered("members"), given),
  rooms: () => chat.rooms(answered("rooms")),
  drop: (event) => toDrop.push(event),
  double: (event) => toDouble.add(event),
  fail: (name, event) =>
    rooms[name].on(event, () => {
      throw new Error("a fault of the page");
    }),
  reconnect: () => chat.reconnect(),
  network: () => listeners.forEach((listener) => listener()),
  forget: () => chat.forget(),
  reload() {
    chat.close();
    handles = [];
    connect();
  },
  handles: () => print("answer", "handles", null, handles.map(shown)),
  known: () => print("answer", "known", null, chat.known()),
  room: (name) => {
    const { messages, people, online, more, read_seq, their_read_seq } = rooms[name];
    print("answer", "room", null, { name: rooms[name].name, messages, people, online, more, read_seq, their_read_seq });
  },
  storage: () =>
    print("answer", "storage", null, {
      local: Object.fromEntries(local.items),
      session: Object.fromEntries(session.items),
    }),
};

const Chatapp = load();
connect();
const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const [verb, ...given] = JSON.parse(line);
  verbs[verb](...given);
});
lines.on("close", () => {
  chat.close();
  if (listeners.size) throw new Error("a listener was left behind");
});
