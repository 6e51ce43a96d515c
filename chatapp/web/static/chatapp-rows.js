/*
 * chatapp-rows.js: one message as a row of a list.
 *
 * An item is {seq, message, handle, notice}: a stored message, what is on its way or has failed, or a line that is
 * in no log. ECMAScript 5, needs chatapp-text.js. MIT licence.
 */
(function (root, Chatapp) {
  "use strict";

  var T = Chatapp.text;
  var el = T.el;

  // Messages of one person within so many minutes belong together.
  var TOGETHER_MINUTES = 5;

  // What the server says in English and we in the words of the reader's language.
  var NOTICES = {joined: "notice_joined", left: "notice_left"};

  // `reader` says for whom: {words, user(), noticeType, seenSeq, unreadFrom}.
  function Rows(reader) {
    this._reader = reader;
  }

  // A row for an item that follows `before` (null for the first).
  Rows.prototype.make = function (item, before) {
    var row = el("li", "row", {tabindex: "-1"});
    row.chatappItem = item;
    this.fill(row, before);
    return row;
  };

  // Show the row's item as it is now; the focus stays in the row.
  Rows.prototype.fill = function (row, before) {
    var hadFocus = T.focusWithin(row) !== null;
    var item = row.chatappItem;
    var date = dateOf(item);
    T.clear(row);
    this._divide(row, item, before, date);
    if (item.notice || this._isNotice(item)) {
      row.className = "row is-notice";
      row.appendChild(el("p", "notice-text", {dir: "auto"}, this._notice(item)));
    } else {
      this._message(row, item, before, date);
    }
    if (hadFocus && T.focusWithin(row) !== row) row.focus();
  };

  Rows.prototype._isNotice = function (item) {
    return Boolean(item.message) && item.message.type === this._reader.noticeType;
  };

  Rows.prototype._notice = function (item) {
    var about = (item.notice && item.notice.notice) || {};
    if (!Object.prototype.hasOwnProperty.call(NOTICES, about.code)) return T.nodes(textOf(item));
    return this._reader.words.sayNames(NOTICES[about.code], about.usernames, about.others);
  };

  Rows.prototype._isOwn = function (item) {
    var user = this._reader.user();
    return Boolean(item.handle && !item.message) || Boolean(user && item.message && item.message.user_id === user.id);
  };

  // The day, where a new one begins, and the line above what was not read.
  Rows.prototype._divide = function (row, item, before, date) {
    var words = this._reader.words;
    if (!before || dateOf(before).toDateString() !== date.toDateString()) {
      row.appendChild(el("div", "day", null, [el("span", "", null, [words.day(date, new Date())])]));
    }
    if (item.seq && item.seq === this._reader.unreadFrom) {
      row.appendChild(el("div", "unread-line", null, [el("span", "", null, [words.say("new_messages")])]));
    }
  };

  Rows.prototype._message = function (row, item, before, date) {
    var own = this._isOwn(item);
    var message = item.message;
    var isFirst = row.firstChild !== null || !this._goesWith(item, before, date);
    var body = el("div", "message");
    row.className = "row" + (isFirst ? " is-first" : "") + (own ? " is-own" : "")
      + (item.handle && !message ? " is-" + item.handle.state : "") + (message && message.deleted ? " is-deleted" : "");
    if (isFirst && !own) body.appendChild(T.avatar(message.username));
    body.appendChild(el("div", "bubble", null, [this._head(item, own, isFirst, date), this._text(item, own)]));
    if (message && message.reactions && !message.deleted) body.appendChild(this._reactions(message));
    if (own) body.appendChild(this._delivery(item, date));
    row.appendChild(body);
  };

  Rows.prototype._goesWith = function (item, before, date) {
    if (!before || before.notice || this._isNotice(before)) return false;
    if (authorOf(before, this._reader) !== authorOf(item, this._reader)) return false;
    return date - dateOf(before) < TOGETHER_MINUTES * 60000;
  };

  // Who and when. Both are always there for whoever does not see how the rows lie.
  Rows.prototype._head = function (item, own, isFirst, date) {
    var user = this._reader.user();
    var name = item.message ? item.message.username : user ? user.name : "";
    var head = el("div", "head", null, [T.name(name, isFirst && !own ? "name" : "name unseen")]);
    if (!own) head.appendChild(this._time(date));
    return head;
  };

  Rows.prototype._time = function (date) {
    var words = this._reader.words;
    return el("time", "time", {datetime: date.toISOString(), title: words.moment(date)}, [words.time(date)]);
  };

  Rows.prototype._text = function (item, own) {
    var words = this._reader.words;
    var user = this._reader.user();
    var text = textOf(item);
    var edited = item.message && item.message.edited_at;
    if (item.message && item.message.deleted) return el("p", "text", null, [words.say("deleted")]);
    var made = el("p", "text" + (T.isOnlyEmoji(text) ? " is-emoji" : ""), {dir: "auto"}, T.nodes(text, own || !user ? "" : user.name));
    if (edited) made.appendChild(el("span", "edited", {title: words.moment(new Date(edited))}, [" " + words.say("edited")]));
    return made;
  };

  Rows.prototype._reactions = function (message) {
    var words = this._reader.words;
    var user = this._reader.user();
    return el("div", "reactions", null, Object.keys(message.reactions).map(function (emoji) {
      var givers = message.reactions[emoji];
      var mine = Boolean(user) && givers.indexOf(user.id) >= 0;
      return el("button", "reaction", {
        type: "button",
        "data-emoji": emoji,
        "aria-pressed": String(mine),
        "aria-label": words.say("reaction", {emoji: emoji, count: givers.length})
      }, [emoji + " ", el("span", "count", null, [String(givers.length)])]);
    }));
  };

  // When one said it, and how far it has come.
  Rows.prototype._delivery = function (item, date) {
    var words = this._reader.words;
    var state = item.message ? "sent" : item.handle.state;
    if (state === "sent" && item.seq <= this._reader.seenSeq) state = "seen";
    var glyphs = {sending: "clock", sent: "check", seen: "checks", failed: "alert"};
    var line = el("div", "delivery is-" + state, null, [
      state === "failed" ? null : this._time(date),
      el("span", "delivery-state", {title: words.say(state)}, [
        T.icon(glyphs[state]),
        el("span", state === "failed" ? "" : "unseen", null, [words.say(state)])
      ])
    ]);
    if (state === "failed") {
      if (item.handle.error) line.appendChild(el("span", "reason", null, [words.fault(item.handle.error)]));
      line.appendChild(el("button", "link retry", {type: "button"}, [words.say("retry")]));
      line.appendChild(el("button", "link discard", {type: "button"}, [words.say("discard")]));
    }
    return line;
  };

  function textOf(item) {
    if (item.notice) return item.notice.message;
    return item.message ? item.message.message : item.handle.text;
  }

  function authorOf(item, reader) {
    var user = reader.user();
    return item.message ? item.message.user_id : user ? user.id : null;
  }

  function dateOf(item) {
    if (!item.date) item.date = new Date(item.message ? item.message.sent_at : item.notice ? item.notice.sent_at : Date.now());
    return item.date;
  }

  Chatapp.Rows = Rows;
})(window, Chatapp);
