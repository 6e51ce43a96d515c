/*
 * chatapp-view.js: a room's messages as a list that scrolls. However many there are, only a window of them is in the
 * document; what one looks at stays where it is while rows come and go around it.
 *
 * ECMAScript 5, needs chatapp-text.js, chatapp-rows.js and a room of chatapp.js. MIT licence.
 */
(function (root, Chatapp) {
  "use strict";

  var T = Chatapp.text;
  var el = T.el;

  // Rows in the document at most, and how many come at a time.
  var WINDOW = 240;
  var STEP = 60;
  // How near to an end of the rows, in pixels, the next ones are put there, and what counts as the bottom.
  var NEAR = 900;
  var BOTTOM = 60;
  // So many lines about comings and goings stay in a row.
  var NOTICES = 3;
  var EMOJI = ["👍", "❤️", "😂", "🎉", "😮", "😢"];

  // `options` are {words, user(), noticeType, isPrivate, isEmpty, onEdit(message), onDiscard(), onRead(seq), onNew(message)};
  // `isEmpty`: the room began without messages, and they are to be fetched once it is looked at.
  function View(room, options) {
    var view = this;
    this.room = room;
    this.items = []; // ascending, what is on its way last
    this.isShown = false;
    this._options = options;
    this._words = options.words;
    this._bySeq = {};
    this._byClientId = {};
    this._from = 0; // items[_from, _to) have rows
    this._to = 0;
    this._hasBegun = !options.isEmpty;
    this._isBeginning = false; // while the first messages come in
    this._readSeq = null;
    this._isLoading = false;
    this._mayGoOn = true;
    this._isAtBottom = true;
    this._newBelow = 0;
    this._active = null; // the row that the Tab key comes to
    this._isTakingOff = false;
    this._isByKeyboard = false; // whether the list was last used so
    this._reader = {
      words: options.words,
      user: options.user,
      noticeType: options.noticeType,
      isPrivate: options.isPrivate,
      seenSeq: 0,
      unreadFrom: 0
    };
    this._rows = new Chatapp.Rows(this._reader);
    this._build();
    room.on("joined", function (news) {
      if (!news.again) view._joined();
    });
    room.on("message", function (message, about) {
      view._message(message, about.handle, about.past);
    });
    room.on("changed", function (message) {
      view._change(message);
    });
    room.on("sending", function (handle) {
      view._sending(handle);
    });
    room.on("failed", function (handle) {
      view._failed(handle);
    });
    room.on("notice", function (notice) {
      view.note(notice);
    });
    room.on("read", function (news) {
      view._seen(news);
    });
    room.on("gap", function () {
      view._begin();
    });
  }

  View.prototype._build = function () {
    var view = this;
    var words = this._words;
    this._top = el("div", "top");
    this._list = el("ol", "rows", {"aria-label": words.say("messages_of", {room: this.room.name})});
    this._scroller = el("div", "scroller", null, [this._top, this._list]);
    this._newest = el("button", "to-newest", {type: "button"}, [T.icon("down"), el("span", "to-newest-count")]);
    this._newest.hidden = true;
    this._tools = el("div", "tools", {role: "toolbar", "aria-label": words.say("actions")});
    this.element = el("div", "view", null, [this._scroller, this._newest]);
    this.element.hidden = true;
    this._scroller.addEventListener("scroll", function () {
      view._scrolled();
    });
    this._newest.addEventListener("click", function () {
      view.toNewest();
      view._focusLast();
    });
    this._list.addEventListener("mousedown", function () {
      view._isByKeyboard = false;
    });
    this._list.addEventListener("keydown", function (event) {
      view._isByKeyboard = true;
      view._key(event);
    });
    this._list.addEventListener("focusin", function (event) {
      view._activate(rowOf(event.target));
    });
    this._list.addEventListener("focusout", function (event) {
      if (!event.relatedTarget || !view._list.contains(event.relatedTarget)) view._putToolsOff();
    });
    this._list.addEventListener("mouseover", function (event) {
      // A mouse that rests while rows move under it takes nothing from the keyboard.
      if (!view._isByKeyboard || !T.focusWithin(view._tools)) view._putTools(rowOf(event.target));
    });
    this._list.addEventListener("mouseleave", function () {
      var focused = rowOf(T.focusWithin(view._list));
      if (focused) view._putTools(focused);
      else view._putToolsOff();
    });
    this._list.addEventListener("click", function (event) {
      view._click(event);
    });
    if (root.ResizeObserver) {
      // The keyboard of a phone comes and goes: who was at the bottom stays there.
      new root.ResizeObserver(function () {
        if (view.isShown && view._isAtBottom) view._toBottom();
      }).observe(this._scroller);
    }
  };

  // Showing and hiding

  // Come to the front. `readSeq`: what follows it is marked as new.
  View.prototype.show = function (readSeq) {
    this.element.hidden = false;
    this.isShown = true;
    this._setUnread(readSeq);
    this._renderTail();
    this._toMark();
    this._tellTop();
    if (this._hasBegun) this.readVisible();
    this._extend();
  };

  // Go to the back: the rows go, the messages stay.
  View.prototype.hide = function () {
    this.element.hidden = true;
    this.isShown = false;
    this._isAtBottom = true;
    this._clearRows();
  };

  // The connection is there again: go on with what was waiting for it.
  View.prototype.wake = function () {
    this._mayGoOn = true;
    if (!this.isShown) return;
    if (this._isBeginning) {
      this._isBeginning = false;
      this._toMark();
      this.readVisible();
    }
    this._tellTop();
    this._extend();
  };

  // The last message that is stored, null if none is known.
  View.prototype.last = function () {
    for (var i = this.items.length - 1; i >= 0; i -= 1) {
      if (isStored(this.items[i])) return this.items[i].message;
    }
    return null;
  };

  View.prototype.isAtNewest = function () {
    return this.isShown && this._isAtBottom;
  };

  // The last message of one's own that can be edited.
  View.prototype.lastOwn = function () {
    var user = this._options.user();
    for (var i = this.items.length - 1; user && i >= 0; i -= 1) {
      var message = this.items[i].message;
      if (message && message.user_id === user.id && !message.deleted) return message;
    }
    return null;
  };

  View.prototype.toNewest = function () {
    this._renderTail();
    this._toBottom();
    this.readVisible();
  };

  // Say how far one has read: up to the last row that is in sight, if the page itself is.
  View.prototype.readVisible = function () {
    if (!this.isShown || document.hidden) return;
    var seen = 0;
    if (this._isAtBottom && this._to === this.items.length) {
      var last = this.last();
      seen = last ? last.seq : 0;
    } else {
      var bottom = this._scroller.scrollTop + this._scroller.clientHeight;
      for (var row = this._list.lastChild; row; row = row.previousSibling) {
        if (row.chatappItem.seq && row.offsetTop + row.offsetHeight <= bottom + BOTTOM) {
          seen = row.chatappItem.seq;
          break;
        }
      }
    }
    if (seen) this._options.onRead(seen);
  };

  View.prototype._setUnread = function (readSeq) {
    var user = this._options.user();
    var first = readSeq === null ? null : this.items.filter(function (item) {
      return isStored(item) && item.seq > readSeq && !(user && item.message.user_id === user.id);
    })[0];
    this._readSeq = readSeq;
    this._reader.unreadFrom = first ? first.seq : 0;
  };

  // To the line above what is new, or else to the bottom.
  View.prototype._toMark = function () {
    var line = this._reader.unreadFrom ? this._list.querySelector(".unread-line") : null;
    this._toBottom();
    if (!line) return;
    var top = line.parentNode.offsetTop - 24;
    if (top < this._scroller.scrollTop) this._scroller.scrollTop = top;
    this._measure();
  };

  // What the room tells

  View.prototype._joined = function () {
    if (!this.isShown || !this._hasBegun) return;
    this._isBeginning = true;
    this._readSeq = this.room.read_seq || null; // to a newcomer nothing is new
  };

  // Whether a message is the first that was not read.
  View.prototype._isFirstUnread = function (message, isPast) {
    if (this._reader.unreadFrom || !this.isShown) return false;
    if (this._isBeginning && isPast) return this._readSeq !== null && message.seq > this._readSeq;
    return !this._isAtNewestInSight();
  };

  View.prototype._message = function (message, handle, isPast) {
    var item = (handle && this._byClientId[handle.client_id]) || null;
    if (this._bySeq[message.seq]) return;
    var user = this._options.user();
    var isOwn = Boolean(user) && message.user_id === user.id;
    if (item) {
      var old = this.items.lastIndexOf(item);
      delete this._byClientId[handle.client_id];
      this._drop(old);
    }
    var added = {seq: message.seq, message: message, handle: null, notice: null};
    this._bySeq[message.seq] = added;
    if (!isOwn && this._isFirstUnread(message, isPast)) this._reader.unreadFrom = message.seq;
    this._insert(this._placeFor(message), added);
    if (this._isBeginning) return;
    if (this._isAtNewestInSight()) this.readVisible();
    else if (!isOwn && this.isShown && !this._isAtBottom) this._countNew();
    if (!isPast && !isOwn) this._options.onNew(message);
  };

  View.prototype._isAtNewestInSight = function () {
    return this.isAtNewest() && !document.hidden;
  };

  View.prototype._change = function (message) {
    var item = this._bySeq[message.seq];
    if (!item) return;
    item.message = message;
    this._refill(item);
  };

  View.prototype._sending = function (handle) {
    var item = this._byClientId[handle.client_id];
    if (item) return this._refill(item);
    item = {seq: 0, message: null, handle: handle, notice: null};
    this._byClientId[handle.client_id] = item;
    this._insert(this.items.length, item);
    if (this.isShown) this.toNewest();
  };

  View.prototype._failed = function (handle) {
    if (handle.kind !== "message") return;
    var item = this._byClientId[handle.client_id];
    if (item) this._refill(item);
    else this._sending(handle);
  };

  // Show a line that is in no log: {message, sent_at}.
  View.prototype.note = function (notice) {
    var at = this._firstPending();
    var first = at;
    while (first > 0 && this.items[first - 1].notice) first -= 1;
    if (at - first >= NOTICES) {
      this._drop(first);
      at -= 1;
    }
    this._insert(at, {seq: 0, message: null, handle: null, notice: notice});
  };

  View.prototype._seen = function (news) {
    var user = this._options.user();
    if (!this._reader.isPrivate || (user && news.user_id === user.id)) return;
    var before = this._reader.seenSeq;
    this._reader.seenSeq = Math.max(before, news.seq);
    this.items.slice(this._from, this._to).forEach(function (item) {
      if (item.seq > before && item.seq <= news.seq) this._refill(item);
    }, this);
  };

  // Begin anew: what was known does not go together with what follows.
  View.prototype._begin = function () {
    var pending = this.items.filter(function (item) {
      return item.handle && !item.message;
    });
    this._clearRows();
    this.items = pending;
    this._bySeq = {};
    this._hasBegun = !this._options.isEmpty;
    this._isAtBottom = true;
    if (this.isShown) this._renderTail();
    this.note({message: this._words.say("gap"), sent_at: new Date().toISOString()});
  };

  // Items and rows

  function isStored(item) {
    return Boolean(item.seq);
  }

  function isNotice(item) {
    return Boolean(item.notice);
  }

  function rowOf(node) {
    while (node && !node.chatappItem) node = node.parentNode;
    return node || null;
  }

  View.prototype._firstPending = function () {
    var at = this.items.length;
    while (at > 0 && this.items[at - 1].handle && !this.items[at - 1].message) at -= 1;
    return at;
  };

  // What comes out of the log goes above lines about what happened after it.
  View.prototype._placeFor = function (message) {
    var at = this._firstPending();
    while (at > 0 && this.items[at - 1].notice && this.items[at - 1].notice.sent_at > message.sent_at) at -= 1;
    return at;
  };

  View.prototype._insert = function (at, item) {
    var isNext = at === this._to && this._to === this.items.length;
    this.items.splice(at, 0, item);
    if (at < this._from) this._from += 1;
    if (at < this._to) this._to += 1;
    else if (this.isShown && isNext && (this._isAtBottom || this._to - this._from < WINDOW)) this._to += 1;
    if (!this.isShown || at < this._from || at >= this._to) return;
    var next = this._list.childNodes[at - this._from] || null;
    item.row = this._rows.make(item, this.items[at - 1] || null);
    this._list.insertBefore(item.row, next);
    if (next) this._rows.fill(next, item);
    if (this._isAtBottom) {
      this._trimTop();
      if (!this._isBeginning) this._toBottom();
    }
    this._makeReachable();
    if (!this._isBeginning) this._tellTop();
  };

  View.prototype._drop = function (at) {
    var item = this.items[at];
    var view = this;
    this.items.splice(at, 1);
    if (at < this._from) this._from -= 1;
    if (at < this._to) this._to -= 1;
    if (!item.row) return;
    var next = item.row.nextSibling;
    this._keepPlace(function () {
      view._removeRow(item);
      if (next) view._rows.fill(next, view.items[at - 1] || null);
    });
  };

  View.prototype._refill = function (item) {
    var view = this;
    if (!item.row) return;
    var before = item.row.previousSibling;
    this._keepPlace(function () {
      var hadTools = item.row.contains(view._tools);
      view._rows.fill(item.row, before ? before.chatappItem : view.items[view._from - 1] || null);
      if (hadTools && !item.handle) view._putTools(item.row);
    });
  };

  View.prototype._removeRow = function (item) {
    if (item.row === this._active) this._active = null;
    this._list.removeChild(item.row);
    item.row = null;
  };

  View.prototype._clearRows = function () {
    for (var i = this._from; i < this._to; i += 1) this.items[i].row = null;
    T.clear(this._list);
    this._active = null;
    this._from = this._to = this.items.length;
  };

  // Have the last items in the document, and no others.
  View.prototype._renderTail = function () {
    if (this._to === this.items.length && this._to - this._from >= Math.min(STEP, this.items.length)) return;
    this._clearRows();
    this._from = Math.max(0, this.items.length - STEP);
    this._to = this.items.length;
    this._put(this._from, this._to, null);
    this._makeReachable();
  };

  // Put rows of items[from, to) before a row.
  View.prototype._put = function (from, to, next) {
    var fragment = document.createDocumentFragment();
    for (var i = from; i < to; i += 1) {
      this.items[i].row = this._rows.make(this.items[i], this.items[i - 1] || null);
      fragment.appendChild(this.items[i].row);
    }
    this._list.insertBefore(fragment, next);
  };

  // Change rows so that what is in sight stays in its place.
  View.prototype._keepPlace = function (change) {
    if (!this.isShown) return change();
    if (this._isAtBottom && this._to === this.items.length) {
      change();
      return this._toBottom();
    }
    var top = this._scroller.scrollTop;
    var anchor = this._firstInSight(top);
    var before = anchor ? anchor.getBoundingClientRect().top : 0;
    change();
    if (!anchor || !anchor.parentNode) return;
    // Some browsers have moved a little by themselves, as where the end of the list came nearer.
    var moved = anchor.getBoundingClientRect().top - before;
    if (moved) this._scroller.scrollTop += moved;
  };

  // By bisection, for the rows lie one below the other.
  View.prototype._firstInSight = function (top) {
    var rows = this._list.children;
    var low = 0;
    var high = rows.length - 1;
    while (low < high) {
      var middle = (low + high) >> 1;
      if (rows[middle].offsetTop + rows[middle].offsetHeight > top) high = middle;
      else low = middle + 1;
    }
    return rows[low] || null;
  };

  View.prototype._trimTop = function () {
    while (this._to - this._from > WINDOW) {
      if (T.focusWithin(this.items[this._from].row)) return;
      this._removeRow(this.items[this._from]);
      this._from += 1;
    }
  };

  View.prototype._trimBottom = function () {
    while (this._to - this._from > WINDOW) {
      if (T.focusWithin(this.items[this._to - 1].row)) return;
      this._to -= 1;
      this._removeRow(this.items[this._to]);
    }
  };

  // Scrolling

  View.prototype._toBottom = function () {
    this._scroller.scrollTop = this._scroller.scrollHeight;
    this._measure();
  };

  // Whether it is another size that has scrolled, and not a person.
  View.prototype._isResized = function () {
    return this._width !== this._scroller.clientWidth || this._height !== this._scroller.clientHeight;
  };

  View.prototype._measure = function () {
    var scroller = this._scroller;
    this._width = scroller.clientWidth;
    this._height = scroller.clientHeight;
    var distance = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    this._isAtBottom = distance < BOTTOM && this._to === this.items.length;
    if (this._isAtBottom) this._newBelow = 0;
    this._tellNewest();
  };

  View.prototype._scrolled = function () {
    if (!this.isShown) return;
    if (this._isAtBottom && this._isResized()) return this._toBottom();
    this._measure();
    this._extend();
    this.readVisible();
  };

  // Have rows beyond what is in sight, on both sides.
  View.prototype._extend = function () {
    var view = this;
    var scroller = this._scroller;
    if (scroller.scrollTop < NEAR) {
      if (this._from > 0) {
        var from = Math.max(0, this._from - STEP);
        this._keepPlace(function () {
          view._put(from, view._from, view._list.firstChild);
          view._from = from;
          view._trimBottom();
        });
      } else {
        this._loadEarlier();
      }
    }
    if (this._to < this.items.length && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR) {
      var to = Math.min(this.items.length, this._to + STEP);
      this._isAtBottom = false;
      this._keepPlace(function () {
        view._put(view._to, to, null);
        view._to = to;
        view._trimTop();
      });
      this._measure();
    }
    this._makeReachable();
  };

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
    var view = this;
    var isFirst = !this._hasBegun;
    var added = messages.filter(function (message) {
      return !view._bySeq[message.seq];
    }).map(function (message) {
      return (view._bySeq[message.seq] = {seq: message.seq, message: message, handle: null, notice: null});
    });
    this.items = added.concat(this.items);
    this._from += added.length;
    this._to += added.length;
    if (!this.isShown) return;
    this._hasBegun = true;
    if (isFirst) {
      this._setUnread(this._readSeq);
      this._clearRows();
      this._renderTail();
      this._toMark();
      this.readVisible();
    } else if (this._from === added.length) { // or else its rows are gone meanwhile
      this._keepPlace(function () {
        var next = view._list.firstChild;
        view._put(0, view._from, next);
        view._from = 0;
        if (next) view._rows.fill(next, view.items[added.length - 1] || null);
        view._trimBottom();
      });
    }
    this._makeReachable();
    // A page of few lines may not fill the window.
    if (this._scroller.scrollTop < NEAR) this._loadEarlier();
  };

  // What is above the first row: that more is coming, or that it begins here.
  View.prototype._tellTop = function () {
    var words = this._words;
    T.clear(this._top);
    if (this.room.more) {
      if (this._isLoading) this._top.appendChild(el("p", "loading", null, [words.say("loading")]));
    } else if (this.items.some(isStored) && this._from === 0) {
      this._top.appendChild(el("p", "beginning", null, [words.say("beginning")]));
    } else if (this.room.joined && this.items.every(isNotice)) {
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
    this._newest.hidden = this._isAtBottom;
    this._newest.lastChild.textContent = this._newBelow ? String(this._newBelow) : "";
    this._newest.setAttribute("aria-label", label);
    this._newest.title = label;
  };

  // The keyboard: one row can be reached by Tab, the others by arrows

  View.prototype._makeReachable = function () {
    var last = this._list.lastChild;
    var isFree = this._isAtBottom && !T.focusWithin(this._list);
    if (last && last !== this._active && (isFree || !this._active)) this._setActive(last);
  };

  View.prototype._setActive = function (row) {
    if (this._active) this._active.setAttribute("tabindex", "-1");
    this._active = row;
    row.setAttribute("tabindex", "0");
  };

  View.prototype._activate = function (row) {
    if (!row) return;
    if (row !== this._active) this._setActive(row);
    this._putTools(row);
  };

  View.prototype._focusLast = function () {
    if (this._list.lastChild) this._list.lastChild.focus({preventScroll: true});
  };

  View.prototype._key = function (event) {
    var row = rowOf(event.target);
    var isInTools = this._tools.contains(event.target);
    var to = null;
    if (!row) return;
    if (event.key === "Escape" && event.target !== row) {
      this._fillTools(row);
      row.focus();
    } else if (isInTools && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      to = event.key === "ArrowRight" ? event.target.nextSibling : event.target.previousSibling;
    } else if (event.key === "ArrowUp") {
      to = row.previousSibling;
    } else if (event.key === "ArrowDown") {
      to = row.nextSibling;
    } else if (event.key === "End") {
      this.toNewest();
      to = this._list.lastChild;
    } else if (event.key === "Home") {
      to = this._list.firstChild;
    } else {
      return;
    }
    event.preventDefault();
    if (!to) return;
    to.focus({preventScroll: true});
    if (to.scrollIntoView) to.scrollIntoView({block: "nearest"});
  };

  // What can be done with a message

  View.prototype._putTools = function (row) {
    if (!row || row.contains(this._tools)) return;
    var message = row.chatappItem.message;
    this._putToolsOff();
    if (!message || message.deleted || message.type === this._reader.noticeType) return;
    this._fillTools(row);
    row.querySelector(".bubble").appendChild(this._tools);
  };

  View.prototype._putToolsOff = function () {
    // With the focus in them, taking them off comes here once more, by "focusout".
    if (!this._tools.parentNode || this._isTakingOff) return;
    this._isTakingOff = true;
    this._tools.parentNode.removeChild(this._tools);
    this._isTakingOff = false;
  };

  View.prototype._fillTools = function (row) {
    var words = this._words;
    var user = this._options.user();
    var message = row.chatappItem.message;
    var isOwn = Boolean(user && message) && message.user_id === user.id;
    this._setTools([T.button("smile", words.say("react"), "icon tool-react")].concat(isOwn ? [
      T.button("pen", words.say("edit"), "icon tool-edit"),
      T.button("bin", words.say("delete"), "icon tool-delete")
    ] : []));
  };

  View.prototype._setTools = function (buttons, isWide) {
    var hadFocus = T.focusWithin(this._tools) !== null;
    this._tools.className = "tools" + (isWide ? " is-wide" : "");
    // A focused button that goes would take the tools with it.
    if (hadFocus) rowOf(this._tools).focus({preventScroll: true});
    T.append(T.clear(this._tools), buttons);
    if (hadFocus) buttons[0].focus();
  };

  View.prototype._click = function (event) {
    var row = rowOf(event.target);
    var target = event.target;
    while (target && target !== row && target.tagName !== "BUTTON") target = target.parentNode;
    if (!row) return;
    if (!target || target === row) {
      // A tap brings the tools; it must not take the marking of text away.
      if (event.target.tagName !== "A" && String(root.getSelection()) === "") row.focus({preventScroll: true});
      return;
    }
    this._act(row, target);
  };

  View.prototype._act = function (row, target) {
    var words = this._words;
    var item = row.chatappItem;
    var is = function (name) {
      return (" " + target.className + " ").indexOf(" " + name + " ") >= 0;
    };
    if (is("retry")) {
      item.handle.retry();
    } else if (is("discard")) {
      delete this._byClientId[item.handle.client_id];
      this._drop(this.items.lastIndexOf(item));
      this._options.onDiscard();
    } else if (is("reaction")) {
      this.room.react(item.seq, target.getAttribute("data-emoji"), target.getAttribute("aria-pressed") !== "true");
    } else if (is("tool-react")) {
      this._setTools(EMOJI.map(function (emoji) {
        return el("button", "icon tool-emoji", {
          type: "button",
          "data-emoji": emoji,
          "aria-label": words.say("react_with", {emoji: emoji})
        }, [emoji]);
      }), true);
    } else if (is("tool-emoji")) {
      this.room.react(item.seq, target.getAttribute("data-emoji"), true);
      this._fillTools(row);
    } else if (is("tool-edit")) {
      this._options.onEdit(item.message);
    } else if (is("tool-delete")) {
      this._setTools([
        el("button", "link tool-delete-really", {type: "button"}, [words.say("delete_really")]),
        T.button("close", words.say("cancel"), "icon tool-cancel")
      ]);
    } else if (is("tool-delete-really")) {
      row.focus({preventScroll: true});
      this._putToolsOff();
      this.room.remove(item.seq);
    } else if (is("tool-cancel")) {
      this._fillTools(row);
    }
  };

  Chatapp.View = View;
})(window, Chatapp);
