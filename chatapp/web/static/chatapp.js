/*
 * chatapp.js: a site's pages talk to chatapp. It needs `io` (socket.io-client 4 or 2) and nothing else.
 *
 * What comes in is told once each and in the order of the room's log, over as many connections as it takes;
 * what goes out is sent until it is acknowledged. The README has the whole of it.
 *
 * ECMAScript 5, no build step. MIT licence.
 */
(function (root, factory) {
  "use strict";
  if (typeof module === "object" && module.exports) {
    module.exports = factory(typeof global === "undefined" ? root : global);
  } else {
    root.Chatapp = factory(root);
  }
})(this, function (root) {
  "use strict";

  // Seconds for the server to let one in, and to acknowledge: a connection on which that fails is given up,
  // and whatever was not acknowledged goes out over the next one, under the same id.
  var CONNECT_SECONDS = 20;
  var ANSWER_SECONDS = 10;
  // The first wait before connecting again, doubled each time up to the longest.
  var FIRST_RETRY_SECONDS = 0.5;
  var LONGEST_RETRY_SECONDS = 15;
  // The wait after "not now" without a time.
  var RETRY_SECONDS = 1;
  // How long an entry waits for the one before it until the log is asked: two of them may cross.
  var PATIENCE_SECONDS = 0.3;
  // A client that types says so again and again, and one that has stopped saying so has stopped.
  var TYPING_SECONDS = 4;
  var TYPING_ENDS_SECONDS = 10;
  var READ_SECONDS = 1;
  // What may wait to be sent, and what a room remembers to apply changes to, unless the page says otherwise.
  var QUEUE = 100;
  var KNOWN = 1000;
  // How many connections may end while a message is under way before it is taken for the cause: a proxy may
  // dislike what it says.
  var LOSSES = 20;

  // Refusals that say "not now" rather than "no".
  var PASSING = ["rate_limited", "storage_busy", "storage_unavailable"];
  // Those that may pass when the connection itself is refused, too.
  var PASSING_AT_DOOR = PASSING.concat("limit_reached", "internal_error");
  // Notices after which one is out of the room they name.
  var OUT = ["kicked", "banned"];

  var HOME = homeOfThisScript();

  function homeOfThisScript() {
    var script = root.document && root.document.currentScript;
    var found = /^(.*)\/assets\/chatapp\.js/.exec((script && script.src) || "");
    return found ? found[1] : "/chat";
  }

  function has(list, value) {
    return list.indexOf(value) >= 0;
  }

  function copy(object, more) {
    var made = {};
    [object, more].forEach(function (each) {
      Object.keys(each || {}).forEach(function (key) {
        made[key] = each[key];
      });
    });
    return made;
  }

  // Rooms and people are the same whatever the case of their names.
  function fold(name) {
    return String(name).toLowerCase();
  }

  function without(list, value) {
    return list.filter(function (each) {
      return each !== value;
    });
  }

  function ignore() {}

  function randomId() {
    var crypto = root.crypto || root.msCrypto;
    var id = "";
    while (id.length < 32) {
      var number = crypto ? crypto.getRandomValues(new Uint32Array(1))[0] : Math.random() * 4294967296;
      id += ("0000000" + Math.floor(number).toString(16)).slice(-8);
    }
    return id;
  }

  function characters(text) {
    return text.replace(/[\uD800-\uDBFF][\uDC00-\uDFFF]/g, "_").length;
  }

  // The place of a message object in its room's log: a change has one of its own.
  function placeOf(message) {
    return message.change ? message.change.seq : message.seq;
  }

  function parseJson(text) {
    try {
      return JSON.parse(text);
    } catch (error) {
      return null;
    }
  }

  // An answer of any shape as {ok, error?, ...}.
  function parseAnswer(answer) {
    if (answer && answer.ok === true) return answer;
    var error = (answer && answer.error) || {};
    return {ok: false, error: parseError(error, "refused")};
  }

  function parseError(error, code) {
    var made = {code: error.code || code, message: error.message || "The server refused it."};
    if (error.retry_after !== undefined) made.retry_after = error.retry_after;
    return made;
  }

  function offline() {
    return {code: "offline", message: "There is no connection."};
  }

  function retrySeconds(error) {
    return Math.max(error.retry_after || RETRY_SECONDS, 0.05);
  }

  // The vocabulary, by XMLHttpRequest; where there is none (Node.js), by fetch().
  function fetchJson(url, done) {
    function answered(status, text) {
      done(status === 200 ? parseJson(text) : null, status);
    }
    function failed() {
      done(null, 0);
    }
    if (root.XMLHttpRequest) {
      var request = new root.XMLHttpRequest();
      request.open("GET", url);
      request.timeout = ANSWER_SECONDS * 1000;
      request.onload = function () {
        answered(request.status, request.responseText);
      };
      request.onerror = request.ontimeout = failed;
      request.send();
    } else {
      root.fetch(url).then(function (answer) {
        return answer.text().then(function (text) {
          answered(answer.status, text);
        });
      }).then(null, failed);
    }
  }

  // Events

  function Emitter() {
    this._listeners = {};
  }

  // Have `listener` called at each `event`. Returns the object itself.
  Emitter.prototype.on = function (event, listener) {
    this._listeners[event] = (this._listeners[event] || []).concat(listener);
    return this;
  };

  Emitter.prototype.off = function (event, listener) {
    this._listeners[event] = without(this._listeners[event] || [], listener);
    return this;
  };

  // A fault in a page's listener is reported and stops nothing.
  Emitter.prototype._emit = function (event, first, second) {
    (this._listeners[event] || []).forEach(function (listener) {
      guarded(listener, first, second);
    });
  };

  function guarded(listener, first, second) {
    try {
      listener(first, second);
    } catch (error) {
      if (root.console) root.console.error(error);
    }
  }

  function extend(Type) {
    Type.prototype = Object.create(Emitter.prototype);
  }

  // What outlives a page: JSON in a Storage, which may be missing, full or forbidden

  function Keep(storage, key) {
    this._storage = storage;
    this._key = key;
  }

  Keep.prototype.get = function () {
    return this._storage ? parseJson(this._storage.getItem(this._key)) : null;
  };

  Keep.prototype.set = function (value) {
    try {
      if (value === null) this._storage.removeItem(this._key);
      else this._storage.setItem(this._key, JSON.stringify(value));
    } catch (error) {
      ignore(error);
    }
  };

  function storageOf(options, which) {
    if (options.storage === false) return null;
    if (options.storage) return options.storage[which];
    try {
      return root[which + "Storage"];
    } catch (error) {
      return null;
    }
  }

  // The order of a room: lets entries ({place, ...}) through once each, in the order of the room's log

  function Order() {
    this.epoch = null;
    this.place = null; // all up to here was let through; null: not known yet where to begin
    this.last = 0; // how far the log reached on joining
    this.lost();
  }

  // Forget what is held: what follows `place` comes again when the room is joined again.
  Order.prototype.lost = function () {
    this.held = {};
    this.top = 0; // how far what was held reaches
  };

  // Take one entry in, to be told when its turn comes.
  Order.prototype.receive = function (entry) {
    if (this.place !== null && entry.place <= this.place) return;
    this.held[entry.place] = entry;
    this.top = Math.max(this.top, entry.place);
  };

  // Take in what the log answered: all it has up to its last entry, and up to `through`. Holes in it are
  // final, for the log leaves out changes of messages that it no longer holds.
  Order.prototype.fill = function (entries, through) {
    var told = [];
    entries.forEach(function (entry) {
      if (entry.place <= this.place) return;
      told = told.concat(this._skip(entry.place - 1));
      told.push(entry);
      delete this.held[entry.place];
      this.place = entry.place;
    }, this);
    return told.concat(this._skip(through), this.release());
  };

  // How far the log should be asked; null if nothing is missing.
  Order.prototype.missing = function () {
    var through = Math.max(this.top, this.last);
    return this.place !== null && through > this.place ? through : null;
  };

  // Return those that may be told now.
  Order.prototype.release = function () {
    var told = [];
    while (this.place !== null && this.held[this.place + 1]) {
      this.place += 1;
      told.push(this.held[this.place]);
      delete this.held[this.place];
    }
    return told;
  };

  // Go on after `place`, with what is held up to there.
  Order.prototype._skip = function (place) {
    if (place <= this.place) return [];
    var held = this.held;
    var early = Object.keys(held).map(Number).filter(function (each) {
      return each <= place;
    });
    this.place = place;
    return early.sort(function (a, b) {
      return a - b;
    }).map(function (each) {
      var entry = held[each];
      delete held[each];
      return entry;
    });
  };

  // What a page says: a message, an edit, a removal, a reaction

  function Handle(room, fields) {
    this.kind = fields.kind;
    this.client_id = fields.client_id || randomId();
    this.room = room.name;
    this.text = fields.text;
    this.seq = fields.seq;
    this.emoji = fields.emoji;
    this.on = fields.on;
    this.state = "sending"; // then "sent" or "failed"
    this.error = null; // {code, message} of one that failed
    this._losses = 0;
    this._room = room;
  }

  // Send what failed once more.
  Handle.prototype.retry = function () {
    if (this.state === "failed" && this._room._wanted) this._room._enqueue(this);
  };

  // For JSON.stringify(), which leaves out what is undefined: what is kept to be sent after a reload.
  Handle.prototype.toJSON = function () {
    return copy(this._fields(), {kind: this.kind, text: this.text, room: this._room.name});
  };

  Handle.prototype._fields = function () {
    return {client_id: this.client_id, seq: this.seq, emoji: this.emoji, on: this.on};
  };

  Handle.prototype._payload = function () {
    var payload = copy(this._fields(), {message: this.text});
    if (this._isPrivate()) payload.to = this._room.name.slice(1);
    else payload.room = this._room.name;
    return payload;
  };

  Handle.prototype._isPrivate = function () {
    return this.kind === "message" && this._room.name.charAt(0) === "@";
  };

  // Which event it is, by its key in the vocabulary.
  Handle.prototype._event = function () {
    return {edit: "editmsg", remove: "deletemsg", react: "react"}[this.kind]
      || (this._isPrivate() ? "privatemsg" : "newmsg");
  };

  // Rooms

  function Room(chat, name, options) {
    Emitter.call(this);
    this.name = name;
    this.joined = false;
    this.online = 0;
    this.people = []; // who is here, as far as the server tells
    this.messages = []; // the latest, ascending, as changes have left them
    this.more = false; // whether there are earlier ones than were told
    this.read_seq = 0;
    this.their_read_seq = 0; // of the other one in a conversation
    this._chat = chat;
    this._options = options;
    this._wanted = true;
    this._order = new Order();
    this._queue = []; // first in, first out, one under way
    this._underWay = null;
    this._handles = {}; // by client id: those whose message was not told yet
    this._asking = false; // whether the log is being asked
    this._earliest = 0;
    this._readWanted = 0;
    this._typedAt = 0;
    this._typists = {}; // by user id: the timer that ends it
  }
  extend(Room);

  // Send a text; returns its handle {client_id, state, error, retry()}.
  Room.prototype.send = function (text) {
    return this._say({kind: "message", text: String(text)});
  };

  Room.prototype.edit = function (seq, text) {
    return this._say({kind: "edit", seq: seq, text: String(text)});
  };

  Room.prototype.remove = function (seq) {
    return this._say({kind: "remove", seq: seq});
  };

  // Give a message an emoji, or take it back with `on` false.
  Room.prototype.react = function (seq, emoji, on) {
    return this._say({kind: "react", seq: seq, emoji: emoji, on: on !== false});
  };

  // Say that one has read up to a message; without one, up to the last that is known.
  Room.prototype.read = function (seq) {
    var last = this.messages[this.messages.length - 1];
    seq = seq || (last ? last.seq : 0);
    if (seq <= Math.max(this._readWanted, this.read_seq)) return;
    this._readWanted = seq;
    if (!this._readTimer) this._tellRead();
  };

  Room.prototype._tellRead = function () {
    var room = this;
    var seq = this._readWanted;
    this._readTimer = null;
    if (!this.joined || seq <= this.read_seq) return;
    this._readTimer = this._chat._later(READ_SECONDS, function () {
      room._tellRead();
    });
    this._call("read", {room: this.name, seq: seq}, function (answer) {
      if (answer.ok) room.read_seq = Math.max(room.read_seq, answer.read_seq);
      else if (has(PASSING, answer.error.code)) return;
      if (room._readWanted === seq) room._readWanted = 0;
    });
  };

  // Say that one types, at each key, or with false that one has stopped.
  Room.prototype.typing = function (typing) {
    var now = Date.now();
    typing = typing !== false;
    if (!this.joined || (typing ? now - this._typedAt < TYPING_SECONDS * 1000 : !this._typedAt)) return;
    this._typedAt = typing ? now : 0;
    this._call("typing", {room: this.name, typing: typing}, ignore);
  };

  // Fetch the page before the earliest message that was told: `callback(error, {messages, more})`, which the
  // event "history" gets too.
  Room.prototype.history = function (callback) {
    var room = this;
    var before = this._earliest;
    var payload = {room: this.name, before: before};
    if (this._options.history) payload.limit = this._options.history;
    this._ask("history", payload, function (error, answer) {
      if (error) return guarded(callback || ignore, error);
      var page = {messages: answer.messages, more: answer.more};
      if (room._earliest === before) { // or else another call has fetched it meanwhile
        var first = room.messages[0];
        if (!first || first.seq === before) room.messages = page.messages.concat(room.messages);
        if (page.messages.length) room._earliest = page.messages[0].seq;
        room.more = page.more;
        room._emit("history", page);
      }
      guarded(callback || ignore, null, page);
    });
  };

  // Ask who is here: `callback(error, {members, online, more})`; `options` are {after, limit}.
  Room.prototype.members = function (callback, options) {
    this._ask("members", copy({room: this.name}, options), callback);
  };

  // Go out of the room; what was not sent to it is not. The object is of no use afterwards.
  Room.prototype.leave = function () {
    if (this.joined) this._call("leaveroom", {roomname: this.name}, ignore);
    this._out({code: "left", message: "You left the room."});
    this._chat._rooms = without(this._chat._rooms, this);
    this._chat._settle();
  };

  // After "refused": try again, under another name perhaps.
  Room.prototype.join = function (options) {
    if (this._wanted) return;
    this._chat._name(options);
    this._wanted = true;
    if (this._chat._connected) this._join();
    this._chat._settle();
  };

  // Requests

  Room.prototype._call = function (key, payload, callback) {
    this._chat._call(this._chat.vocabulary.events[key], payload, callback);
  };

  Room.prototype._ask = function (key, payload, callback) {
    if (this.joined && this._order.place !== null) this._chat._ask(this._chat.vocabulary.events[key], payload, callback);
    else guarded(callback || ignore, offline());
  };

  Room.prototype._laterIfHere = function (seconds, action) {
    var chat = this._chat;
    var number = chat._number;
    chat._later(seconds, function () {
      if (chat._number === number) action();
    });
  };

  // Coming in

  Room.prototype._join = function () {
    var room = this;
    var chat = this._chat;
    var payload = {roomname: this.name};
    var token = chat._token();
    if (chat.vocabulary.auth.guests) {
      if (chat.username) payload.username = chat.username;
      if (token) payload.token = token;
      else payload.secret = chat._secret();
    }
    if (this._order.place !== null) payload.since = {epoch: this._order.epoch, seq: this._order.place};
    this._call("joinroom", payload, function (answer) {
      if (!room._wanted) {
        if (answer.ok && !room._chat._room(answer.room)) room._call("leaveroom", {roomname: answer.room}, ignore);
      } else if (answer.ok) {
        room._entered(answer);
      } else {
        room._notEntered(answer.error, token);
      }
    });
  };

  Room.prototype._notEntered = function (error, token) {
    var room = this;
    var chat = this._chat;
    if (has(PASSING, error.code)) {
      this._laterIfHere(retrySeconds(error), function () {
        if (room._wanted) room._join();
      });
      return;
    }
    // Another tab may have been given the name a moment ago, and with it the token.
    if (error.code === "name_taken" && chat._token() && chat._token() !== token) return this._join();
    if (has(["unauthorized", "name_mismatch"], error.code) && token && !chat.user) {
      chat._forgetToken(error.code === "name_mismatch", token);
      return this._join();
    }
    // What it names is nobody any more, and there is no name to claim.
    if (error.code === "invalid_payload" && token && !chat.username) chat._forgetToken(false, token);
    if (error.code === "unauthorized") chat._forgetToken(false, token);
    this._refuse(error);
  };

  Room.prototype._refuse = function (error) {
    this._out(error);
    this._emit("refused", error);
    this._chat._settle();
  };

  Room.prototype._entered = function (answer) {
    var order = this._order;
    var again = order.place !== null;
    var twin = this._chat._room(answer.room);
    this._chat._identified(answer);
    if (twin && twin !== this) return this._refuse({code: "already_joined", message: "You are in it already."});
    this.name = answer.room;
    this.joined = true;
    this.online = answer.online;
    this.people = answer.members;
    if (order.epoch !== answer.epoch) this.read_seq = this.their_read_seq = 0; // they were places of another log
    this.read_seq = Math.max(this.read_seq, answer.read_seq);
    this.their_read_seq = Math.max(this.their_read_seq, answer.their_read_seq || 0);
    if (answer.gap) this._gap(answer.epoch === order.epoch ? "too old" : "another log");
    order.epoch = answer.epoch;
    order.last = answer.last_seq;
    this._emit("joined", {user: answer.user, members: this.people, online: this.online, again: again});
    if (!this.joined) return; // for the page left it
    if (order.place === null) {
      this._begin();
    } else {
      this._tell(order.fill(entriesOf(answer.messages), answer.more ? 0 : order.last));
      this._fillIfMissing();
    }
    this._pump();
    this._tellRead();
    this._chat._settle();
  };

  // What was told before cannot be gone on with: the page should begin anew, with the latest messages.
  Room.prototype._gap = function (reason) {
    this.messages = [];
    this.more = false;
    this._order.place = null;
    this._emit("gap", {reason: reason});
  };

  // Ask for the latest page, with which a room begins.
  Room.prototype._begin = function () {
    var room = this;
    var order = this._order;
    var payload = {room: this.name};
    if (this._options.history) payload.limit = this._options.history;
    if (this._options.history === 0) {
      this.more = order.last > 0;
      return this._begun([]);
    }
    this._asking = true;
    this._call("history", payload, function (answer) {
      room._asking = false;
      if (answer.ok) {
        room.more = answer.more;
        room._begun(answer.messages);
      } else if (has(PASSING, answer.error.code)) {
        room._laterIfHere(retrySeconds(answer.error), function () {
          room._begin();
        });
      } else {
        room._begun([]);
      }
    });
  };

  Room.prototype._begun = function (messages) {
    // The messages are as they are now, so whatever changed one up to here is in them.
    var order = this._order;
    order.place = messages.length ? messages[0].seq - 1 : order.last;
    this._earliest = order.place + 1;
    this._tell(order.fill(entriesOf(messages), order.last));
    this._fillIfMissing();
    this._chat._settle();
  };

  function entriesOf(messages) {
    return (messages || []).map(function (message) {
      return {place: placeOf(message), message: message, past: true};
    });
  }

  // Being there

  Room.prototype._receive = function (entry) {
    var room = this;
    this._order.receive(entry);
    if (!this.joined) return; // the answer to the join says what goes before
    this._tell(this._order.release());
    if (this._order.missing() !== null && !this._patience) {
      this._patience = this._chat._later(PATIENCE_SECONDS, function () {
        room._patience = null;
        room._fillIfMissing();
      });
    }
  };

  // Ask the log for what is missing.
  Room.prototype._fillIfMissing = function () {
    var room = this;
    var order = this._order;
    var through = order.missing();
    if (through === null || this._asking || !this.joined) return;
    this._asking = true;
    this._chat._settle();
    var payload = {room: this.name, after: order.place, limit: this._chat.vocabulary.limits.history_page_limit};
    this._call("history", payload, function (answer) {
      var begun = order.place;
      room._asking = false;
      if (answer.ok && answer.gap) {
        room._gap("too old");
        room._begin();
      } else if (answer.ok) {
        room._tell(order.fill(entriesOf(answer.messages), answer.after));
        if (!answer.more || order.place === begun) room._tell(order.fill([], through));
        room._fillIfMissing();
      } else if (has(PASSING, answer.error.code)) {
        room._laterIfHere(retrySeconds(answer.error), function () {
          room._fillIfMissing();
        });
      } else {
        room._tell(order.fill([], through));
      }
      room._chat._settle();
    });
  };

  // Tell the page of entries, which are in order.
  Room.prototype._tell = function (entries) {
    entries.forEach(function (entry) {
      var message = entry.message || this._made(entry.handle, entry.answer);
      if (!message) return;
      if (message.change) {
        this._change(message);
      } else {
        this._add(message, entry.past === true);
      }
    }, this);
  };

  Room.prototype._add = function (message, past) {
    var handle = null;
    if (message.client_id && this._chat.user && message.user_id === this._chat.user.id) {
      handle = this._handles[message.client_id] || null;
      if (handle) this._settled(handle);
      delete this._handles[message.client_id];
    }
    this._stopTyping(message.user_id);
    this.messages.push(message);
    if (this.messages.length > this._chat._known) this.messages.shift();
    this._emit("message", message, {past: past, handle: handle});
  };

  Room.prototype._change = function (message) {
    var index = this._indexOf(message.seq);
    if (index >= 0) {
      this.messages[index] = copy(message);
      delete this.messages[index].change;
    }
    this._emit("changed", message);
  };

  // The place of a message in `messages`, -1 if it is not known.
  Room.prototype._indexOf = function (seq) {
    var low = 0;
    var high = this.messages.length - 1;
    while (low <= high) {
      var middle = (low + high) >> 1;
      if (this.messages[middle].seq === seq) return middle;
      if (this.messages[middle].seq < seq) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  };

  // The message object that one's own became, or that one's own change has left; null for a change of a
  // message that is not known. Whoever says something hears it from nobody else.
  Room.prototype._made = function (handle, answer) {
    var user = this._chat.user;
    var types = this._chat.vocabulary.message_types;
    var text = answer.message === undefined ? handle.text : answer.message;
    if (handle.kind === "message") {
      var made = {
        room: this.name,
        seq: answer.seq,
        id: answer.id,
        type: answer.to ? types.private : types.generic,
        username: user.name,
        user_id: user.id,
        message: text,
        sent_at: answer.sent_at,
        client_id: handle.client_id
      };
      if (answer.to) made.target = answer.to.name;
      return made;
    }
    var message = this.messages[this._indexOf(handle.seq)];
    if (!message || message.deleted) return null;
    message = copy(message, {
      change: {
        seq: answer.seq,
        kind: handle.kind === "remove" ? "delete" : handle.kind,
        user_id: user.id,
        username: user.name,
        sent_at: answer.sent_at
      }
    });
    if (handle.kind === "edit") {
      message.message = text;
      message.edited_at = answer.sent_at;
    } else if (handle.kind === "remove") {
      message.message = "";
      message.deleted = true;
      delete message.reactions;
    } else {
      var reactions = copy(message.reactions);
      var givers = without(reactions[handle.emoji] || [], user.id);
      if (handle.on) givers.push(user.id);
      reactions[handle.emoji] = givers;
      if (!givers.length) delete reactions[handle.emoji];
      message.reactions = reactions;
    }
    return message;
  };

  Room.prototype._presence = function (news) {
    var gone = news.left.concat(news.joined).map(function (member) {
      return member.user_id;
    });
    this.people = this.people
      .filter(function (member) {
        return !has(gone, member.user_id);
      })
      .concat(news.joined);
    this.online = news.online;
    news.left.forEach(function (member) {
      this._stopTyping(member.user_id);
    }, this);
    this._emit("presence", news);
  };

  Room.prototype._typing = function (news) {
    var room = this;
    if (this._chat.user && news.user_id === this._chat.user.id) return; // in another tab
    this._chat._cancel(this._typists[news.user_id]);
    delete this._typists[news.user_id];
    if (news.typing) {
      this._typists[news.user_id] = this._chat._later(TYPING_ENDS_SECONDS, function () {
        room._typing(copy(news, {typing: false}));
      });
      this._typists[news.user_id].news = news;
    }
    this._emit("typing", news);
  };

  // Whoever has spoken or is gone does not type.
  Room.prototype._stopTyping = function (userId) {
    var timer = this._typists[userId];
    if (timer) this._typing(copy(timer.news, {typing: false}));
  };

  Room.prototype._read = function (news) {
    var whose = this._chat.user && news.user_id === this._chat.user.id ? "read_seq" : "their_read_seq";
    this[whose] = Math.max(this[whose], news.seq);
    this._emit("read", news);
  };

  Room.prototype._caughtUp = function () {
    return this.joined && !this._asking && this._order.place !== null && this._order.missing() === null;
  };

  // The connection is gone: what was under way, in either direction, comes again.
  Room.prototype._lost = function () {
    var handle = this._underWay;
    this.joined = false;
    this._asking = false;
    this._underWay = null;
    this._order.lost();
    this._typedAt = 0;
    Object.keys(this._typists).forEach(this._stopTyping, this);
    if (!handle) return;
    handle._losses += 1;
    if (handle._losses >= LOSSES) {
      this._fail(handle, {code: "lost", message: "The connection was lost each time it was sent."});
    }
  };

  // Be in the room no more.
  Room.prototype._out = function (error) {
    this._wanted = this.joined = this._asking = false;
    this._queue.forEach(function (handle) {
      this._fail(handle, error);
    }, this);
    Object.keys(this._typists).forEach(this._stopTyping, this);
  };

  // Sending

  Room.prototype._say = function (fields) {
    var handle = new Handle(this, fields);
    this._enqueue(handle);
    return handle;
  };

  Room.prototype._enqueue = function (handle) {
    if (!this._wanted || this._chat._waiting() >= this._chat._most) {
      var code = this._wanted ? "queue_full" : "not_in_room";
      this._fail(handle, {code: code, message: "It cannot be sent now."});
      return;
    }
    handle.state = "sending";
    handle.error = null;
    handle._losses = 0;
    this._queue.push(handle);
    this._chat._keepQueue();
    this._announce(handle);
    this._pump();
  };

  // Let the page show what it says at once.
  Room.prototype._announce = function (handle) {
    if (handle.kind !== "message") return;
    this._handles[handle.client_id] = handle;
    this._emit("sending", handle);
  };

  // Send the first that waits. The next one leaves when it is settled: of two under way the server could
  // refuse the first for now and take the second, and the log would hold them the wrong way round.
  Room.prototype._pump = function () {
    var room = this;
    var handle = this._queue[0];
    if (!handle || !this.joined || this._underWay) return;
    var most = this._chat.vocabulary.limits.message_characters;
    if (handle.text && characters(handle.text) > most) {
      this._fail(handle, {code: "invalid_text", message: "A message has at most " + most + " characters."});
      return;
    }
    this._underWay = handle;
    this._call(handle._event(), handle._payload(), function (answer) {
      if (room._underWay !== handle) return; // what it became came in another way
      if (answer.ok) {
        if (answer.epoch !== room._order.epoch) return room._chat._lose("The log was replaced.");
        room._settled(handle);
        room._receive({place: answer.seq, handle: handle, answer: answer});
        room._pump();
      } else if (has(PASSING, answer.error.code)) {
        room._laterIfHere(retrySeconds(answer.error), function () {
          if (room._underWay !== handle) return;
          room._underWay = null;
          room._pump();
        });
      } else {
        room._fail(handle, answer.error);
      }
    });
  };

  // It is in the log.
  Room.prototype._settled = function (handle) {
    handle.state = "sent";
    handle.error = null;
    this._dequeue(handle);
  };

  Room.prototype._fail = function (handle, error) {
    handle.state = "failed";
    handle.error = error;
    this._dequeue(handle);
    this._emit("failed", handle);
  };

  Room.prototype._dequeue = function (handle) {
    if (!has(this._queue, handle)) return;
    this._queue = without(this._queue, handle);
    if (this._underWay === handle) this._underWay = null;
    this._chat._keepQueue();
    this._pump();
  };

  // The chat

  function Chat(options) {
    var chat = this;
    Emitter.call(this);
    this.state = "connecting"; // "catching up", "online", "offline", "refused", "closed"
    this.user = null; // {id, name} once the server has said so
    this.username = options.username || "";
    this.vocabulary = options.vocabulary || null;
    this._options = options;
    this._url = absolute(options.url || HOME).replace(/\/$/, "");
    this._rooms = [];
    this._timers = [];
    this._calls = [];
    this._socket = null;
    this._connected = false;
    this._number = 0; // which connection of all this is
    this._attempts = 0;
    this._restartsAt = 0;
    this._most = options.queue || QUEUE;
    this._known = options.known || KNOWN;
    this._kept = {
      all: new Keep(storageOf(options, "local"), "chatapp " + this._url),
      tab: new Keep(storageOf(options, "session"), "chatapp " + this._url),
      queue: new Keep(storageOf(options, "session"), "chatapp queue " + this._url)
    };
    this._ownToken = options.token || null;
    this._ownSecret = null;
    this._isApart = (this._kept.tab.get() || {}).apart === true;
    // What was not sent before the page was loaded anew; of rooms that are joined it is taken out of here.
    var queue = this._kept.queue.get() || {};
    this._leftOver = queue.handles || [];
    this._leftOverOf = queue.user || null;
    this._hasNetwork = function () {
      if (chat._retry && !chat._restartsAt) chat.reconnect();
    };
    if (root.addEventListener) root.addEventListener("online", this._hasNetwork);
    this._retry = this._later(0, function () {
      chat._connect();
    });
  }
  extend(Chat);

  function absolute(url) {
    if (/^https?:/.test(url)) return url;
    if (/^\/\//.test(url)) return root.location.protocol + url;
    return root.location.protocol + "//" + root.location.host + url;
  }

  // Come into a room, or with "@name" into the conversation with somebody; returns the room. `options` are
  // {username, history}: for guests a name, and how many messages to begin with.
  Chat.prototype.join = function (name, options) {
    options = options || {};
    var room = this._room(name);
    this._name(options);
    if (room) return room;
    room = new Room(this, name, options);
    this._rooms.push(room);
    this._takeLeftOver(room);
    if (this._connected) room._join();
    this._settle();
    return room;
  };

  // Ask for the user's rooms and conversations: `callback(error, rooms)`.
  Chat.prototype.rooms = function (callback) {
    if (!this.user) return guarded(callback, offline());
    this._ask(this.vocabulary.events.rooms, {}, function (error, answer) {
      guarded(callback, error, answer && answer.rooms);
    });
  };

  // Whether the browser has what makes a guest the same one again, so that no name need be asked.
  Chat.prototype.known = function () {
    return Boolean(this._token());
  };

  // Be nobody any more to this browser: for "log out". Closes.
  Chat.prototype.forget = function () {
    this._kept.tab.set(null);
    if (!this._isApart) this._kept.all.set(null);
    this._kept.queue.set(null);
    this._ownToken = this._ownSecret = null;
    this.close();
  };

  // Try now rather than later, also after "refused".
  Chat.prototype.reconnect = function () {
    if (this._socket || this._fetching || this.state === "closed") return;
    this._cancel(this._retry);
    this._connect();
  };

  // End the connection. The object is of no use afterwards, and nothing of it is left running.
  Chat.prototype.close = function () {
    if (this.state === "closed") return;
    this._drop();
    this._timers.forEach(function (timer) {
      clearTimeout(timer.id);
    });
    this._timers = [];
    if (root.removeEventListener) root.removeEventListener("online", this._hasNetwork);
    this._become("closed");
  };

  // Time: timers that end with the chat

  Chat.prototype._later = function (seconds, action) {
    var chat = this;
    var timer = {};
    if (this.state === "closed") return timer;
    timer.id = setTimeout(function () {
      chat._timers = without(chat._timers, timer);
      action();
    }, seconds * 1000);
    this._timers.push(timer);
    return timer;
  };

  Chat.prototype._cancel = function (timer) {
    if (!timer) return;
    clearTimeout(timer.id);
    this._timers = without(this._timers, timer);
  };

  // Who one is

  Chat.prototype._name = function (options) {
    if (options && options.username && !this.user) this.username = options.username;
  };

  Chat.prototype._token = function () {
    var kept = this._kept.tab.get() || this._kept.all.get();
    return this._ownToken || (kept && kept.token) || null;
  };

  // What makes a guest the same one again before there is a token: the answer to the first join may be lost.
  Chat.prototype._secret = function () {
    var kept = this._kept.tab.get() || {};
    this._ownSecret = kept.secret || this._ownSecret || randomId();
    if (!kept.secret) this._kept.tab.set(copy(kept, {secret: this._ownSecret}));
    return this._ownSecret;
  };

  Chat.prototype._identified = function (answer) {
    var user = answer.user;
    if (this._leftOverOf && this._leftOverOf !== user.id) this._dropLeftOver();
    this._leftOverOf = user.id;
    this._keepQueue();
    this.user = user;
    this._attempts = 0;
    if (!answer.token) return;
    this._ownToken = answer.token;
    this.username = user.name;
    this._kept.tab.set({token: answer.token, apart: this._isApart});
    // Another user of this browser, in another tab, stays who they are.
    if (!this._isApart) this._kept.all.set({token: answer.token});
  };

  Chat.prototype._forgetToken = function (isAnothers, token) {
    if (token !== this._token()) return;
    this._ownToken = null;
    this._isApart = isAnothers;
    // Not to find again what is kept for all tabs.
    this._kept.tab.set(isAnothers ? {apart: true} : null);
    if (!isAnothers) this._kept.all.set(null);
  };

  // What waits to be sent

  Chat.prototype._waiting = function () {
    return this._rooms.reduce(function (sum, room) {
      return sum + room._queue.length;
    }, this._leftOver.length);
  };

  Chat.prototype._keepQueue = function () {
    var handles = this._rooms.reduce(function (all, room) {
      return all.concat(room._queue);
    }, this._leftOver);
    this._kept.queue.set(handles.length ? {user: this._leftOverOf, handles: handles} : null);
  };

  Chat.prototype._takeLeftOver = function (room) {
    var others = [];
    this._leftOver.forEach(function (fields) {
      if (fold(fields.room) !== fold(room.name)) return others.push(fields);
      var handle = new Handle(room, fields);
      handle._isLeftOver = true;
      room._queue.push(handle);
    });
    this._leftOver = others;
    // Not before the page has the room, and can listen to it.
    this._later(0, function () {
      room._queue.forEach(function (handle) {
        if (handle._isLeftOver) room._announce(handle);
      });
    });
  };

  // What another user has left behind is not said in this one's name.
  Chat.prototype._dropLeftOver = function () {
    this._leftOver = [];
    this._rooms.forEach(function (room) {
      room._queue.forEach(function (handle) {
        if (handle._isLeftOver) room._fail(handle, {code: "name_mismatch", message: "It was written under another name."});
      });
    });
  };

  // The connection

  Chat.prototype._connect = function () {
    var chat = this;
    this._retry = null;
    this._become("connecting");
    if (this.state === "closed") return; // by a page that listens
    if (this.vocabulary) return this._open();
    this._fetching = true;
    fetchJson(this._url + "/vocabulary", function (vocabulary, status) {
      chat._fetching = false;
      if (chat.state === "closed") return;
      chat.vocabulary = vocabulary;
      if (vocabulary) chat._open();
      else chat._wait("The server does not answer" + (status ? " (" + status + ")." : "."));
    });
  };

  Chat.prototype._open = function () {
    var chat = this;
    var options = this._options;
    var number = (this._number += 1);
    var events = this.vocabulary.events;
    var io = options.io || root.io;
    var engine = copy(options.engine, {
      path: options.path || this.vocabulary.socketio_path,
      reconnection: false, // that is done here
      forceNew: true,
      timeout: CONNECT_SECONDS * 1000
    });
    if (options.transports) engine.transports = options.transports;
    if (options.auth) engine.auth = options.auth;
    var socket = (this._socket = io(/^https?:\/\/[^\/]+/.exec(this._url)[0], engine));

    function on(event, action) {
      socket.on(event, function (payload) {
        if (chat._number === number) action(payload);
      });
    }

    function toRoom(method) {
      return function (payload) {
        var room = payload && chat._room(payload.room);
        if (room && room.joined) room[method](payload);
      };
    }

    this._connecting = this._later(CONNECT_SECONDS, function () {
      chat._lose("The server does not answer.");
    });
    on("connect", function () {
      chat._cancel(chat._connecting);
      chat._connected = true;
      if (!chat._rooms.length) chat._attempts = 0;
      chat._rooms.forEach(function (room) {
        if (room._wanted) room._join();
      });
      chat._settle();
    });
    on("disconnect", function () {
      chat._lose("The connection was lost.");
    });
    // How socket.io-client 4 tells of a refusal, and both of them that there is no connection ...
    on("connect_error", function (error) {
      chat._notLetIn((error && error.data) || null);
    });
    // ... and how 2 tells of a refusal.
    on("error", function (error) {
      if (!chat._connected) chat._notLetIn(typeof error === "string" ? {message: error} : error);
    });
    on(events.newmsg, function (message) {
      chat._message(message);
    });
    on(events.changed, function (message) {
      chat._message(message);
    });
    on(events.presence, toRoom("_presence"));
    on(events.typing, toRoom("_typing"));
    on(events.read, toRoom("_read"));
    on(events.notice, function (notice) {
      chat._notice(notice || {});
    });
  };

  Chat.prototype._message = function (message) {
    var room = this._room(message.room);
    if (!room) {
      // Of a conversation that was not joined.
      if (message.seq && !message.change) this._emit("message", message);
    } else if (!message.seq) {
      room._emit("notice", message); // somebody came or went, or the host says something in passing
    } else {
      room._receive({place: placeOf(message), message: message});
    }
  };

  Chat.prototype._notice = function (notice) {
    var room = this._room(notice.room);
    if (notice.code === "restarting") this._restartsAt = Date.now() + (notice.retry_after || 0) * 1000;
    this._emit("notice", notice);
    if (room && has(OUT, notice.code)) room._refuse(parseError(notice, notice.code));
  };

  Chat.prototype._notLetIn = function (error) {
    if (!error || (error.code && has(PASSING_AT_DOOR, error.code)) || !(error.code || error.message)) {
      this._lose((error && error.message) || "The server cannot be reached.", error && error.retry_after);
      return;
    }
    this._drop();
    this._become("refused", parseError(error, "refused"));
  };

  // Give the connection up, and plan the next attempt.
  Chat.prototype._lose = function (why, seconds) {
    this._drop();
    this._wait(why, seconds);
  };

  Chat.prototype._drop = function () {
    var socket = this._socket;
    var calls = this._calls;
    this._number += 1;
    this._socket = null;
    this._connected = false;
    this._calls = [];
    this._cancel(this._connecting);
    if (socket) socket.close();
    this._rooms.forEach(function (room) {
      room._lost();
    });
    calls.forEach(function (call) {
      call.lose();
    });
  };

  Chat.prototype._wait = function (why, seconds) {
    var chat = this;
    var wait = Math.min(FIRST_RETRY_SECONDS * Math.pow(2, this._attempts), LONGEST_RETRY_SECONDS);
    // Half of it at random, or all clients of a server would come back at once.
    wait = Math.max(wait * (0.5 + Math.random() / 2), seconds || 0);
    // The server has said when it will be back.
    if (this._restartsAt) wait = Math.max((this._restartsAt - Date.now()) / 1000, 0.05);
    this._attempts += 1;
    this._retry = this._later(wait, function () {
      chat._restartsAt = 0;
      chat._connect();
    });
    this._become("offline", {seconds: wait, message: why});
  };

  // State

  Chat.prototype._become = function (state, detail) {
    if (state === this.state && !detail) return;
    this.state = state;
    this._emit("state", state, detail || {});
  };

  // Say how things stand on a connection.
  Chat.prototype._settle = function () {
    if (!this._connected) return;
    var isBehind = this._rooms.some(function (room) {
      return room._wanted && !room._caughtUp();
    });
    this._become(isBehind ? "catching up" : "online");
  };

  Chat.prototype._room = function (name) {
    return this._rooms.filter(function (room) {
      return room.name === name || fold(room.name) === fold(name);
    })[0];
  };

  // Requests

  // Send a request. `callback(answer)`, unless the connection is lost first: then `lose()`, if given.
  Chat.prototype._call = function (event, payload, callback, lose) {
    var chat = this;
    var number = this._number;
    if (!this._connected) return;
    var call = {
      lose: function () {
        chat._cancel(call.timer);
        if (lose) lose();
      }
    };
    call.timer = this._later(ANSWER_SECONDS, function () {
      chat._lose("The server does not answer.");
    });
    this._calls.push(call);
    this._socket.emit(event, payload, function (answer) {
      if (chat._number !== number) return;
      chat._cancel(call.timer);
      chat._calls = without(chat._calls, call);
      callback(parseAnswer(answer));
    });
  };

  // Ask for a page: `callback(error, answer)` in any case.
  Chat.prototype._ask = function (event, payload, callback) {
    callback = callback || ignore;
    if (!this._connected) return guarded(callback, offline());
    this._call(
      event,
      payload,
      function (answer) {
        if (answer.ok) guarded(callback, null, answer);
        else guarded(callback, answer.error);
      },
      function () {
        guarded(callback, offline());
      }
    );
  };

  return {
    // Connect to a chat server. All of `options` may be left out: url (of the chat's pages, "/chat"), path (of
    // Socket.IO), io, transports, auth and engine (for io), username, token, vocabulary, storage (false, or
    // {local, session}), queue (how much may wait to be sent) and known (how many messages a room remembers).
    connect: function (options) {
      options = options || {};
      if (!options.io && !root.io) throw new Error("Chatapp: load socket.io-client first.");
      return new Chat(options);
    }
  };
});
