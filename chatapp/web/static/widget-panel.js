/*
 * widget-panel.js: the chat of a widget: one room, its messages and the box in which one writes. The server sends it in
 * one piece with all that it needs, so that nothing of that becomes a name on the page.
 *
 * ECMAScript 5. MIT licence.
 */
(function (root, Chatapp, io) {
  "use strict";

  var T = Chatapp.text;
  var el = T.el;
  var ANSWER_SECONDS = 10;

  // `start` is what the server tells a page to begin with.
  function Panel(widget, start) {
    this._widget = widget;
    this._start = start;
    this._words = new T.Words(start.language, start.words);
    this._name = widget.options.room || start.room;
    this._title = widget.options.title || this._name;
    this._isShown = false;
    this._build();
    this._begin();
  }

  // Make the panel of a widget, `done(panel)`; or `failed(sentence)`.
  Panel.make = function (widget, done, failed) {
    var request = new root.XMLHttpRequest();
    var language = widget.options.language;
    request.open("GET", widget.url + "/start" + (language ? "?language=" + encodeURIComponent(language) : ""));
    request.timeout = ANSWER_SECONDS * 1000;
    request.onload = function () {
      var start = request.status === 200 ? parseJson(request.responseText) : null;
      if (!start) return failed("the chat does not answer (" + request.status + ").");
      done(new Panel(widget, start));
    };
    request.onerror = request.ontimeout = function () {
      failed("the chat cannot be reached, or [app] allowed_origins does not name " + root.location.origin + ".");
    };
    request.send();
  };

  function parseJson(text) {
    try {
      return JSON.parse(text);
    } catch (error) {
      return null;
    }
  }

  // How it looks

  Panel.prototype._build = function () {
    var panel = this;
    var words = this._words;
    var isFloating = this._widget.options.layout === "floating";
    this._state = el("small", "state");
    this._out = T.button("out", words.say("forget"));
    this._out.addEventListener("click", function () {
      panel._logOut();
    });
    this._out.hidden = true;
    var close = T.button("close", words.say("close"));
    close.addEventListener("click", function () {
      panel._widget.close();
    });
    this._lists = el("div", "lists");
    this._typing = el("p", "typing");
    this._fault = el("p", "fault", {role: "alert"});
    this._announcer = new Chatapp.Announcer(words);
    this._banner = new Chatapp.Banner(words, function () {
      panel._act();
    });
    this._composer = new Chatapp.Composer(words, function () {
      return panel._place;
    }, function () {
      panel._say(null);
    });
    this._welcome = new Chatapp.Welcome(words, this._start.vocabulary.limits.username_characters, "h2", function (name) {
      panel._enter(name);
    });
    this._talk = el("div", "talk", null, [
      this._banner.element,
      this._lists,
      el("div", "below", null, [this._typing, this._fault, this._composer.element])
    ]);
    this.element = el("section", "window", {role: isFloating ? "dialog" : "region", "aria-label": this._title}, [
      el("div", "bar", null, [
        el("div", "bar-text", null, [T.name(this._title, "title"), this._state]),
        this._out,
        isFloating ? close : null
      ]),
      this._welcome.element,
      this._talk,
      this._announcer.element
    ]);
    this.element.addEventListener("keydown", function (event) {
      if (event.key === "Escape") panel._widget.close();
    });
    this._widget.element.appendChild(this.element);
    this._lookAgain = function () {
      if (panel._isShown && panel._place) panel._place.view.readVisible();
    };
    document.addEventListener("visibilitychange", this._lookAgain);
    root.addEventListener("focus", this._lookAgain);
  };

  // Come to the front; the focus, too, unless nobody asked for that.
  Panel.prototype.show = function (isUnasked) {
    var place = this._place;
    this._isShown = true;
    if (place) place.view.show(place.unread ? place.room.read_seq : null);
    if (!isUnasked) this._focus();
  };

  Panel.prototype.hide = function () {
    this._isShown = false;
    if (this._place) this._place.view.hide();
  };

  Panel.prototype._focus = function () {
    if (this._place) this._composer.focus();
    else this._welcome.ask(null);
  };

  // Who one is

  Panel.prototype._begin = function () {
    var panel = this;
    var options = this._widget.options;
    this._about = {};
    this._place = null;
    this._chat = Chatapp.connect({
      io: io,
      url: this._widget.url,
      vocabulary: this._start.vocabulary,
      auth: options.token ? {token: options.token} : undefined
    });
    this._chat.on("state", function (state, about) {
      panel._changed(state, about);
    }).on("notice", function (notice) {
      if (notice.code !== "restarting") panel._say(notice);
    }).on("message", function (message) {
      panel._elsewhere(message);
    });
    if (this._isGuest() && !this._chat.known() && !options.username) this._ask(null);
    else this._enter(options.username);
  };

  Panel.prototype._isGuest = function () {
    return this._start.vocabulary.auth.guests;
  };

  // Ask for a name.
  Panel.prototype._ask = function (error) {
    this._welcome.element.hidden = false;
    this._talk.hidden = true;
    if (this._isShown) this._welcome.ask(error);
  };

  Panel.prototype._enter = function (name) {
    this._welcome.element.hidden = true;
    this._talk.hidden = false;
    if (this._place) this._place.room.join({username: name});
    else this._open(name);
    if (this._isShown && name) this._composer.focus();
  };

  Panel.prototype._logOut = function () {
    this._chat.forget();
    this._banner.stop();
    this._lists.removeChild(this._place.view.element);
    this._welcome.clear();
    this._out.hidden = true;
    this._begin();
  };

  // The room

  Panel.prototype._open = function (name) {
    var panel = this;
    var chat = this._chat;
    var room = chat.join(this._name, name ? {username: name} : {});
    var place = {name: "", room: room, draft: "", refusal: null, unread: 0, typists: {}};
    place.view = new Chatapp.View(room, {
      words: this._words,
      user: function () {
        return chat.user;
      },
      noticeType: this._start.vocabulary.message_types.notice,
      isEmpty: false,
      onEdit: function (message) {
        panel._composer.edit(message);
      },
      onDiscard: function () {
        panel._composer.focus();
      },
      onRead: function (seq) {
        room.read(seq);
        panel._count(seq);
      },
      onNew: function (message) {
        if (panel._isShown && !document.hidden) panel._announcer.say(message);
        if (!place.view.isAtNewest() || document.hidden) panel._setUnread(place.unread + 1);
      }
    });
    this._place = place;
    this._lists.appendChild(place.view.element);
    this._composer.change(null, place);
    room.on("joined", function (news) {
      place.refusal = null;
      if (!news.again) panel._cameIn();
      panel._render();
    }).on("refused", function (error) {
      place.refusal = error;
      if (!chat.user && panel._isGuest()) panel._ask(error);
      panel._render();
    }).on("presence", function () {
      panel._render();
    }).on("typing", function (news) {
      if (news.typing) place.typists[news.user_id] = news.username;
      else delete place.typists[news.user_id];
      panel._render();
    }).on("read", function (news) {
      if (chat.user && news.user_id === chat.user.id) panel._count(news.seq);
    }).on("failed", function (handle) {
      if (handle.kind !== "message") panel._say(handle.error);
    });
    if (this._isShown) place.view.show(null);
    this._render();
  };

  Panel.prototype._cameIn = function () {
    this._widget.use();
    this._out.hidden = !this._isGuest();
  };

  // Count what of others follows `seq`.
  Panel.prototype._count = function (seq) {
    var user = this._chat.user;
    this._setUnread(this._place.view.items.filter(function (item) {
      return item.seq > seq && !(user && item.message.user_id === user.id) && !item.message.deleted;
    }).length);
  };

  Panel.prototype._setUnread = function (unread) {
    var words = this._words;
    this._place.unread = unread;
    this._widget.tell(this._title + (unread ? ", " + words.say("unread", {count: unread}) : ""), unread);
  };

  // Somebody wrote privately, in a conversation that is not shown here.
  Panel.prototype._elsewhere = function (message) {
    var user = this._chat.user;
    if (!this._place || (user && message.user_id === user.id)) return;
    this._place.view.note({
      message: this._words.say("wrote_privately", {name: message.username, url: this._widget.url + "/#" + encodeURIComponent(message.room)}),
      sent_at: message.sent_at
    });
  };

  // The connection

  Panel.prototype._changed = function (state, about) {
    var place = this._place;
    this._about = about;
    if (state === "online" && place) {
      place.view.wake();
      if (!this._isShown) this._count(place.room.read_seq);
    }
    this._render();
  };

  Panel.prototype._act = function () {
    if (this._chat.state === "online") this._place.room.join();
    else this._chat.reconnect();
  };

  Panel.prototype._say = function (error) {
    this._fault.textContent = error ? (error.code ? this._words.fault(error) : error.message) : "";
  };

  Panel.prototype._render = function () {
    var place = this._place;
    if (!place) return;
    var names = Object.keys(place.typists).map(function (id) {
      return place.typists[id];
    });
    this._banner.show(this._chat.state, this._about, place.refusal);
    this._composer.enable(!place.refusal && this._chat.state !== "refused");
    this._state.textContent = place.room.joined ? this._words.say("online", {count: place.room.online}) : "";
    T.append(T.clear(this._typing), Chatapp.typing(this._words, names));
  };

  root.ChatappWidget.Panel = Panel;
})(window, Chatapp, io);
