// Many clients on socket.io-client 4 in one room. Each sends numbered messages, the next when the one before is
// acknowledged; it sends again, under the same client_id, what is not answered or to be tried again later, also
// after a reconnect, and comes back with its token and the place up to which it has everything.
//
//   node swarm.js '{"urls": ["http://…"], "records": "records.jsonl"}'      (the other options: see DEFAULTS)
//
// Whatever a client sees goes into the file of records before anything is dropped as seen already, a line of
// JSON each: {client, at, what, …}, `at` in Unix time in milliseconds. Steered by lines on stdin, answered by
// lines of JSON on stdout, {event, …}:
//
//   (none)          "joined", once all clients have joined
//   send            "sent", once each has had its messages acknowledged (or, after stop, what was on its way)
//   stop            nothing new is sent from now on
//   settle SEQ      "settled", once each has everything up to this place
//   meet COUNT      "met", once each knows of so many members of the room
//   status          "status": {joined, acknowledged, last, faults}: how many are in the room right now, the
//                   least place up to which one has everything, and how often what went wrong so far
//   report          "reported", once all records are in the file, with the state of each client at the end
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const readline = require("node:readline");
const { io } = require("socket.io-client");

const DEFAULTS = {
  clients: 60,
  room: "swarm",
  name: "bee", // clients are bee-0, bee-1, …
  // Which each client asks for, taken in turn; null are socket.io-client's own: polling, and then an upgrade.
  transports: [null],
  open_ms: 5, // between two that connect for the first time, or one worker may take them all at once
  keep_alive: false, // whether the clients share HTTP connections, as a proxy has them
  messages: 20, // how many each client sends; 0: until it is told to stop
  every_ms: 0, // at least so long between two messages of a client
  answer_ms: 10000, // after that an unanswered request is sent again
  page: 200, // how many messages are asked for at a time
};
const FAULTS = ["disconnect", "connect_error", "refusal", "unanswered"];
const options = { ...DEFAULTS, ...JSON.parse(process.argv[2]) };
const agent = options.keep_alive ? new http.Agent({ keepAlive: true }) : false;
const records = fs.openSync(options.records, "w");
const clients = [];
const faults = {}; // how often each has happened
let lines = [];
let isSending = false;
let target = Infinity;
let company = Infinity;

function flush() {
  if (lines.length) fs.writeSync(records, lines.join(""));
  lines = [];
}

function tell(event, fields = {}) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + "\n");
}

// Tells an event once all clients have come so far.
function once(event, hasCome) {
  let isTold = true;
  return {
    arm: () => { isTold = false; },
    check: () => {
      if (isTold || !clients.every(hasCome)) return;
      isTold = true;
      tell(event);
    },
  };
}

const joined = once("joined", (client) => client.isJoined);
const sent = once("sent", (client) => client.isDone());
const settled = once("settled", (client) => client.last >= target);
const met = once("met", (client) => client.members.size === company);

class Client {
  constructor(number) {
    this.number = number;
    this.name = `${options.name}-${number}`;
    this.username = this.name;
    this.url = options.urls[number % options.urls.length];
    this.connection = 0; // counts its connections
    this.isJoined = false;
    this.token = undefined;
    this.epoch = undefined;
    this.last = undefined; // it has everything up to here
    this.ahead = new Set(); // what it has beyond
    this.members = new Set(); // the names of who is in the room, as far as it was told
    this.count = 0; // how many messages it has begun to send
    this.acknowledged = 0;
    this.pending = null; // the message that is not acknowledged yet: {client_id, tries, since}
    this.due = 0; // when the next may be sent
    this.timer = undefined; // for the answer that is awaited
    this.alarm = undefined; // for the next message
  }

  open() {
    const settings = {
      agent,
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 1000,
      timeout: 5000,
    };
    const transports = options.transports[this.number % options.transports.length];
    if (transports) settings.transports = transports;
    this.socket = io(this.url, settings);
    this.socket.io.on("open", () => {
      const engine = this.socket.io.engine;
      engine.on("upgrade", (transport) => this.record("upgrade", { transport: transport.name, sid: engine.id }));
    });
    this.socket.on("connect", () => {
      this.connection += 1;
      const engine = this.socket.io.engine;
      this.record("connect", { sid: engine.id, transport: engine.transport.name, url: this.url });
      this.join();
    });
    this.socket.on("disconnect", (reason) => {
      this.isJoined = false;
      clearTimeout(this.timer);
      this.record("disconnect", { reason });
      this.comeBack();
    });
    this.socket.on("connect_error", (error) => {
      this.record("connect_error", { message: String(error.message), code: error.data && error.data.code });
      this.comeBack();
    });
    this.socket.on("new message", (message) => {
      if (message.seq !== undefined) this.arrive("live", message);
      else if (message.error) this.record("refusal", { code: message.code });
      else this.record("notice", { text: message.message });
    });
    this.socket.on("message changed", (message) => this.arrive("live", message));
    this.socket.on("presence", ({ joined, left, online }) => {
      this.record("presence", { joined: names(joined), left: names(left), online });
      for (const name of names(joined)) this.members.add(name);
      for (const name of names(left)) this.members.delete(name);
      met.check();
    });
    this.socket.on("server notice", ({ code, retry_after }) => this.record("server notice", { code, retry_after }));
  }

  record(what, fields) {
    if (FAULTS.includes(what)) {
      const name = [what, fields.event, fields.code || fields.reason || fields.message].filter(Boolean).join(" ");
      faults[name] = (faults[name] || 0) + 1;
    }
    lines.push(JSON.stringify({ client: this.name, at: Date.now(), what, ...fields }) + "\n");
    if (lines.length > 1000) flush();
  }

  // socket.io-client comes back by itself unless the server has sent it away.
  comeBack() {
    if (!this.socket.active) setTimeout(() => this.socket.connect(), 100);
  }

  // Asks, and hands the answer on if the connection is still the same; without an answer it asks again.
  ask(event, request, then) {
    const connection = this.connection;
    this.socket.timeout(options.answer_ms).emit(event, request, (error, answer) => {
      if (connection !== this.connection || !this.socket.connected) return;
      if (error) {
        this.record("unanswered", { event });
        this.ask(event, request, then);
      } else if (answer.ok) {
        then(answer);
      } else {
        this.refused(event, answer.error, () => this.ask(event, request, then));
      }
    });
  }

  refused(event, { code, retry_after }, again) {
    this.record("refusal", { event, code, retry_after });
    if (event === "join room" && code === "name_taken" && !this.token) {
      this.username += "+"; // the answer with the token of an earlier join may have been lost
      this.join();
      return true;
    }
    if (retry_after === undefined) return false;
    const connection = this.connection;
    setTimeout(() => {
      if (connection === this.connection && this.socket.connected) again();
    }, retry_after * 1000);
    return true;
  }

  join() {
    const who = this.token ? { token: this.token } : { username: this.username };
    const since = this.epoch ? { since: { epoch: this.epoch, seq: this.last } } : {};
    this.ask("join room", { roomname: options.room, ...who, ...since }, (answer) => {
      const { last_seq, epoch, online, more, gap } = answer;
      const members = names(answer.members);
      const from = since.since ? this.last : null;
      this.record("join", { user: answer.user.name, since: from, last_seq, epoch, online, members, more, gap });
      this.members = new Set(members);
      met.check();
      this.token = answer.token || this.token;
      if (this.epoch === undefined) this.last = last_seq;
      this.epoch = epoch;
      for (const message of answer.messages || []) this.arrive("join", message);
      if (more) this.page(answer.after);
      else this.ready();
    });
  }

  page(after) {
    this.ask("history", { room: options.room, after, limit: options.page }, (answer) => {
      this.record("page", { after, count: answer.messages.length, more: answer.more, gap: answer.gap });
      for (const message of answer.messages) this.arrive("page", message);
      if (answer.more) this.page(answer.after);
      else this.ready();
    });
  }

  ready() {
    this.isJoined = true;
    joined.check();
    if (this.pending) this.transmit();
    else this.next();
  }

  arrive(via, { seq, id, client_id, change }) {
    this.record("message", { via, seq: change ? change.seq : seq, id, client_id, change: change && change.kind });
    this.see(change ? change.seq : seq);
  }

  see(seq) {
    if (seq <= this.last || this.ahead.has(seq)) return;
    this.ahead.add(seq);
    while (this.ahead.delete(this.last + 1)) this.last += 1;
    if (this.last >= target) settled.check();
  }

  isDone() {
    return !this.pending && (!isSending || (options.messages > 0 && this.count >= options.messages));
  }

  next() {
    if (this.isDone()) {
      sent.check();
    } else if (isSending && this.isJoined && !this.pending) {
      const wait = this.due - Date.now();
      if (wait > 0) {
        clearTimeout(this.alarm);
        this.alarm = setTimeout(() => this.next(), wait);
        return;
      }
      this.count += 1;
      this.due = Date.now() + options.every_ms;
      this.pending = { client_id: `${this.name}.${this.count}`, tries: 0, since: Date.now() };
      this.transmit();
    }
  }

  transmit() {
    const pending = this.pending;
    const connection = this.connection;
    pending.tries += 1;
    const { client_id } = pending;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.record("unanswered", { event: "new message", client_id });
      this.transmit();
    }, options.answer_ms);
    this.socket.emit("new message", { room: options.room, message: client_id, client_id }, (answer) => {
      if (connection !== this.connection) return;
      if (answer.ok) {
        const { tries, since } = pending;
        this.record("ack", { client_id, seq: answer.seq, id: answer.id, tries, took_ms: Date.now() - since });
        this.see(answer.seq);
      }
      if (this.pending !== pending) return; // an answer to an earlier try has been here
      clearTimeout(this.timer);
      if (!answer.ok && this.refused("new message", answer.error, () => this.pending === pending && this.transmit())) return;
      this.acknowledged += answer.ok ? 1 : 0;
      this.pending = null;
      this.next();
    });
  }

  end() {
    const engine = this.socket && this.socket.io.engine;
    this.record("end", {
      connected: Boolean(this.socket && this.socket.connected),
      transport: engine && engine.transport.name,
      sid: engine && engine.id,
      last: this.last,
      pending: this.pending && this.pending.client_id,
    });
  }
}

function names(members) {
  return members.map(({ username }) => username);
}

const COMMANDS = {
  send: () => {
    isSending = true;
    sent.arm();
    for (const client of clients) {
      client.due = Date.now() + Math.random() * options.every_ms;
      client.next();
    }
  },
  stop: () => {
    isSending = false;
    sent.arm();
    sent.check();
  },
  settle: (seq) => {
    target = Number(seq);
    settled.arm();
    settled.check();
  },
  meet: (count) => {
    company = Number(count);
    met.arm();
    met.check();
  },
  status: () => {
    tell("status", {
      joined: clients.filter(({ isJoined }) => isJoined).length,
      acknowledged: clients.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
      last: Math.min(...clients.map(({ last }) => (last === undefined ? -1 : last))),
      faults,
    });
  },
  report: () => {
    for (const client of clients) client.end();
    flush();
    tell("reported");
  },
};

for (let number = 0; number < options.clients; number += 1) clients.push(new Client(number));
joined.arm();
clients.forEach((client, number) => setTimeout(() => client.open(), number * options.open_ms));
const commands = readline.createInterface({ input: process.stdin });
commands.on("line", (line) => {
  const [command, argument] = line.split(" ");
  COMMANDS[command](argument);
});
commands.on("close", () => {
  flush();
  process.exit();
});
