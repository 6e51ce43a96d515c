/*
 * chatapp-view.js: a room's messages as one sees them: what the room tells comes into the list, and how far one has
 * read goes out.
 *
 * ECMAScript 5, needs chatapp-items.js, chatapp-rows.js, chatapp-tools.js, chatapp-window.js and a room of chatapp.js.
 * MIT licence.
 */
(function (root, Chatapp) {
  "use strict";

  var T = Chatapp.text;
  var el = T.el;

  // `options` are {words, user(), noticeType, isEmpty, onEdit(message), onDiscard(), onRead(seq), onNew(message)};
  // `isEmpty`: the room began without messages, and they are to be fetched once it is looked at.
  function View(room, options) {
    this.room = room;
    this._options = options;
    this._words = options.words;
    this._items = new Chatapp.Items();
    this.items = this._items.all; // ascending, what is on its way last
    this._hasBegun = !options.isEmpty;
    this._isBeginning = false; // while the first messages come in
    this._readSeq = null;
    this._isLoading = false;
    this._mayGoOn = true;
    this._newBelow = 0;
    this._reader = {
      words: options.words,
      user: options.user,
      noticeType: options.noticeType,
      seenSeq: 0,
      unreadFrom: 0
    };
    this._build();
    this._listen();
  }

  View.prototype._build = function () {
    var view = this;
    var rows = new Chatapp.Rows(this._reader);
    this._top = el("div", "top");
    this._window = new Chatapp.Window(this.items, {
      make: function (item, before) {
        return rows.make(item, before);
      },
      fill: function (row, before) {
        view._tools.keep(row, function () {
          rows.fill(row, before);
        });
      }
    }, {
      label: this._words.say("messages_of", {room: this.room.name}),
      above: this._top,
      onRows: function () {
        view._tools.reach(view._window.isAtBottom);
      },
      onMeasure: function () {
        if (view._window.isAtBottom) view._newBelow = 0;
        view._tellNewest();
      },
      onScroll: function () {
        view.readVisible();
      },
      onTop: function () {
        view._loadEarlier();
      }
    });
    this._tools = this._toolsOf(this._window.list);
    this._newest = el("button", "to-newest", {type: "button"}, [T.icon("down"), el("span", "to-newest-count")]);
    this._newest.hidden = true;
    this._newest.addEventListener("click", function () {
      view.toNewest();
      view._tools.focusLast();
    });
    this.element = el("div", "view", null, [this._window.element, this._newest]);
    this.element.hidden = true;
  };

  View.prototype._toolsOf = function (list) {
    var view = this;
    var room = this.room;
    return new Chatapp.Tools(list, {
      words: this._words,
      user: this._options.user,
      noticeType: this._options.noticeType,
      onEdit: this._options.onEdit,
      onRemove: function (seq) {
        room.remove(seq);
      },
      onReact: function (seq, emoji, on) {
        room.react(seq, emoji, on);
      },
      onDiscard: function (item) {
        view._remove(item);
        view._options.onDiscard();
        view._tools.reach(view._window.isAtBottom);
      },
      onNewest: function () {
        view.toNewest();
      }
    });
  };

  View.prototype._listen = function () {
    var view = this;
    this.room.on("joined", function (news) {
      if (!news.again) view._joined();
      view._seen();
    }).on("message", function (message, about) {
      view._message(message, about.handle, about.past);
    }).on("changed", function (message) {
      view._change(message);
    }).on("sending", function (handle) {
      view._sending(handle);
    }).on("failed", function (handle) {
      if (handle.kind === "message") view._sending(handle);
    }).on("notice", function (notice) {
      view.note(notice);
    }).on("read", function () {
      view._seen();
    }).on("gap", function () {
      view._begin();
    });
  };

  // Showing and hiding

  // Come to the front. `readSeq`: what follows it is marked as new.
  View.prototype.show = function (readSeq) {
    this.element.hidden = false;
    this._setUnread(readSeq);
    this._window.show();
    this._toMark();
    this._tellTop();
    if (this._hasBegun) this.readVisible();
    this._window.extend();
  };

  // Go to the back: the rows go, the messages stay.
  View.prototype.hide = function () {
    this.element.hidden = true;
    this._window.hide();
  };

  // The connection is there again: go on with what was waiting for it.
  View.prototype.wake = function () {
    this._mayGoOn = true;
    if (!this._window.isShown) return;
    if (this._isBeginning) {
      this._isBeginning = false;
      this._toMark();
      this.readVisible();
    }
    this._tellTop();
    this._window.extend();
  };

  // The last message that is stored, null if none is known.
  View.prototype.last = function () {
    return this._items.last();
  };

  View.prototype.isAtNewest = function () {
    return this._window.isShown && this._window.isAtBottom;
  };

  // The last message of one's own that can be edited.
  View.prototype.lastOwn = function () {
    var user = this._options.user();
    return user ? this._items.last(user) : null;
  };

  View.prototype.toNewest = function () {
    this._window.toTail();
    this._window.toBottom();
    this.readVisible();
  };

  // Say how far one has read: up to the last row that is in sight, if the page itself is.
  View.prototype.readVisible = function () {
    var seen = this._window.isShown && !document.hidden ? this._window.lastInSight() : 0;
    if (seen) this._options.onRead(seen);
  };

  View.prototype._setUnread = function (readSeq) {
    this._readSeq = readSeq;
    this._reader.unreadFrom = readSeq === null ? 0 : this._items.firstAfter(readSeq, this._options.user());
  };

  // To the line above what is new, or else to the bottom.
  View.prototype._toMark = function () {
    this._window.toBottomOr(this._reader.unreadFrom ? this._window.list.querySelector(".unread-line") : null);
  };

  // What the room tells

  View.prototype._joined = function () {
    if (!this._window.isShown || !this._hasBegun) return;
    this._isBeginning = true;
    this._readSeq = this.room.read_seq || null; // to a newcomer nothing is new
  };

  // Whether a message is the first that was not read.
  View.prototype._isFirstUnread = function (message, isPast) {
    if (this._reader.unreadFrom || !this._window.isShown) return false;
    if (this._isBeginning && isPast) return this._readSeq !== null && message.seq > this._readSeq;
    return !this._isAtNewestInSight();
  };

  View.prototype._isAtNewestInSight = function () {
    return this.isAtNewest() && !document.hidden;
  };

  View.prototype._message = function (message, handle, isPast) {
    var user = this._options.user();
    var isOwn = Boolean(user) && message.user_id === user.id;
    var pending = handle ? this._items.pending(handle) : null;
    if (this._items.stored(message.seq)) return;
    if (pending) this._remove(pending);
    if (!isOwn && this._isFirstUnread(message, isPast)) this._reader.unreadFrom = message.seq;
    this._added(this._items.addMessage(message));
    if (this._isBeginning) return;
    if (this._isAtNewestInSight()) this.readVisible();
    else if (!isOwn && this._window.isShown && !this._window.isAtBottom) this._countNew();
    if (!isPast && !isOwn) this._options.onNew(message);
  };

  View.prototype._change = function (message) {
    var item = this._items.stored(message.seq);
    if (!item) return;
    item.message = message;
    this._window.changed(item);
  };

  View.prototype._sending = function (handle) {
    var item = this._items.pending(handle);
    if (item) return this._window.changed(item);
    this._added(this._items.addPending(handle));
    if (this._window.isShown) this.toNewest();
  };

  // Show a line that is in no log: {message, sent_at}.
  View.prototype.note = function (notice) {
    var surplus = this._items.surplusNotice();
    if (surplus) this._remove(surplus);
    this._added(this._items.addNotice(notice));
  };

  // The other one of a conversation may have read more.
  View.prototype._seen = function () {
    var before = this._reader.seenSeq;
    var now = this.room.their_read_seq;
    this._reader.seenSeq = now;
    if (now === before) return;
    this.items.forEach(function (item) {
      if (item.seq > before && item.seq <= now) this._window.changed(item);
    }, this);
  };

  // Begin anew: what was known does not go together with what follows.
  View.prototype._begin = function () {
    this._items.reset();
    this._hasBegun = !this._options.isEmpty;
    this._window.reset();
    this.note({message: this._words.say("gap"), sent_at: new Date().toISOString()});
  };

  View.prototype._added = function (at) {
    if (this._window.inserted(at, !this._isBeginning) && !this._isBeginning) this._tellTop();
  };

  View.prototype._remove = function (item) {
    this._window.removed(this._items.remove(item), item);
  };

  // Messages from before

  View.prototype._loadEarlier = function () {
    var view = this;
    if (this._isLoading || !this._mayGoOn || !this.room.more || !this.room.joined) return;
    this._isLoading = true;
    this._tellTop();
    this.room.history(function (error, page) {
      view._isLoading = false;
      if (error) {
        view._mayGoOn = false;
        if (error.retry_after) {
          setTimeout(function () {
            view.wake();
          }, error.retry_after * 1000);
        }
      } else {
        view._prepend(page.messages);
      }
      view._tellTop();
    });
  };

  View.prototype._prepend = function (messages) {
    var isFirst = this._window.isShown && !this._hasBegun;
    var count = this._items.prepend(messages);
    if (isFirst) {
      this._hasBegun = true;
      this._setUnread(this._readSeq);
      this._window.reset();
      this._toMark();
      this.readVisible();
    } else {
      this._window.prepended(count);
    }
    // A page of few lines may not fill the window.
    if (this._window.isShown && this._window.isNearTop()) this._loadEarlier();
  };

  // What is around the rows

  // What is above the first row: that more is coming, or that it begins here.
  View.prototype._tellTop = function () {
    var view = this;
    this._window.keepPlace(function () {
      view._fillTop();
    });
  };

  View.prototype._fillTop = function () {
    var words = this._words;
    T.clear(this._top);
    if (this.room.more) {
      if (this._isLoading) this._top.appendChild(el("p", "loading", null, [words.say("loading")]));
    } else if (this._items.hasMessages() && this._window.hasFirst()) {
      this._top.appendChild(el("p", "beginning", null, [words.say("beginning")]));
    } else if (this.room.joined && this._items.hasOnlyNotices()) {
      T.append(this._top, [
        el("div", "empty", null, [
          T.icon("mark"),
          el("p", "empty-title", null, [words.say("empty_room")]),
          el("p", "", null, [words.say("empty_room_text")])
        ])
      ]);
    }
  };

  View.prototype._countNew = function () {
    this._newBelow += 1;
    this._tellNewest();
  };

  View.prototype._tellNewest = function () {
    var words = this._words;
    var label = words.say("to_newest", this._newBelow ? {count: this._newBelow} : null);
    this._newest.hidden = this._window.isAtBottom;
    this._newest.lastChild.textContent = this._newBelow ? String(this._newBelow) : "";
    this._newest.setAttribute("aria-label", label);
    this._newest.title = label;
  };

  Chatapp.View = View;
})(window, Chatapp);
