/*
 * page.js: the page on which people chat; it puts the parts together.
 * ECMAScript 5, needs jQuery and all of chatapp*.js and page-*.js. MIT licence.
 */
(function (root, $, Chatapp) {
  "use strict";

  var T = Chatapp.text;
  var told = JSON.parse($("#told").text());
  var words = new T.Words(told.language, told.words);
  // As it is before anybody has come in, for whoever comes after a log-out.
  var pristine = $("#app")[0].cloneNode(true);

  // One user's time on the page.
  function Session() {
    var session = this;
    this.chat = Chatapp.connect({url: told.url, vocabulary: told.vocabulary});
    this.chat.on("state", function (state, about) {
      session._state(state, about);
    }).on("message", function (message) {
      session._unexpected(message);
    }).on("notice", function (notice) {
      if (notice.code !== "restarting") session._fault({message: notice.message});
    });
    this.places = new root.ChatappPage.Places({
      words: words,
      chat: this.chat,
      onOpen: this._opened.bind(this),
      onNews: this._news.bind(this),
      onChange: this._changed.bind(this),
      onClose: this._close.bind(this),
      onFault: this._fault.bind(this),
      onEdit: function (message) {
        session.composer.edit(message);
      },
      onDiscard: function () {
        session.composer.focus();
      }
    });
    this.alerts = new root.ChatappPage.Alerts(words, function (place) {
      session.places.open(place, true);
    });
    this.people = new root.ChatappPage.People(words, function () {
      return session.chat.user;
    }, function (name) {
      session._choose("@" + name);
    });
    this.composer = new Chatapp.Composer(words, function () {
      return session.places.current;
    }, function () {
      session._fault(null);
    });
    this.composer.box.id = "text";
    this.banner = new Chatapp.Banner(words, function () {
      session._act();
    });
    this.announcer = new Chatapp.Announcer(words);
    $("#composer").append(this.composer.element);
    $("#banner").append(this.banner.element);
    $("#app").append(this.announcer.element);
    this._about = {};
    this._wire();
  }

  // Begin, for guests under a name.
  Session.prototype.start = function (name) {
    var session = this;
    var place = this.places.open(placeOfAddress() || told.room, false, name ? {username: name} : {});
    place.room.on("joined", function (news) {
      if (!news.again) session._cameIn();
    });
    this._showApp();
    this.composer.focus();
  };

  Session.prototype.end = function () {
    this.chat.forget();
    $(document).add(root).off(".session");
    this.banner.stop();
  };

  Session.prototype._showApp = function () {
    $("#welcome").prop("hidden", true);
    $("#app").prop("hidden", false);
  };

  Session.prototype._wire = function () {
    var session = this;
    fillIcons($("#app"));
    $("#forget").prop("hidden", !told.vocabulary.auth.guests).on("click", logOut);
    $("#place-leave").on("click", function () {
      session._close(session.places.current);
    });
    $("#skip").on("click", function (event) {
      event.preventDefault();
      session.composer.focus();
    });
    ["rooms", "conversations"].forEach(function (kind) {
      session._form(kind);
    });
    $("#side-open").on("click", function () {
      session._side(true);
    });
    $("#side-close, #side-shade").on("click", function () {
      session._side(false);
    });
    $("#side").on("keydown", function (event) {
      if (event.key === "Escape") session._side(false);
    });
    $(root).on("popstate.session", function () {
      session.places.open(placeOfAddress() || told.room);
    }).on("focus.session", function () {
      session._lookAgain();
    });
    $(document).on("visibilitychange.session", function () {
      session._lookAgain();
    });
  };

  Session.prototype._lookAgain = function () {
    if (this.places.current) this.places.current.view.readVisible();
  };

  // The form behind a plus.
  Session.prototype._form = function (kind) {
    var session = this;
    var form = $("#" + kind + "-form");
    var plus = $("#" + kind + "-add");
    var show = function (isOpen) {
      form.prop("hidden", !isOpen);
      plus.attr("aria-expanded", String(isOpen));
      if (isOpen) form.find("input").val("").trigger("focus");
    };
    plus.on("click", function () {
      show(form.prop("hidden"));
    });
    form.on("submit", function (event) {
      var name = $.trim(form.find("input").val()).replace(kind === "rooms" ? /^#/ : /^@/, "");
      event.preventDefault();
      if (!name) return;
      show(false);
      session._choose(kind === "rooms" ? name : "@" + name);
    }).on("keydown", function (event) {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      show(false);
      plus.trigger("focus");
    });
  };

  Session.prototype._choose = function (name) {
    this.places.open(name, true);
  };

  // Rooms and conversations at the side, on a narrow screen.
  Session.prototype._side = function (isOpen) {
    var wasOpen = $("#app").hasClass("with-side");
    $("#app").toggleClass("with-side", isOpen);
    $("#side-open").attr("aria-expanded", String(isOpen));
    if (isOpen) $("#side-close").trigger("focus");
    else if (wasOpen) $("#side-open").trigger("focus");
  };

  // Who one is

  Session.prototype._cameIn = function () {
    var user = this.chat.user;
    $("#my-avatar").empty().append(T.avatar(user.name));
    $("#my-name").text(user.name);
    if (this.places.current.isPrivate) this.places.add(told.room);
  };

  // Not let in: a guest may choose another name.
  Session.prototype._askName = function (error) {
    var session = this;
    var room = this.places.current.room;
    ask(error, function (name) {
      session._showApp();
      room.join({username: name});
    });
  };

  // Places

  Session.prototype._opened = function (place, before, isChosen) {
    this.composer.change(before, place);
    this.people.show(place.room);
    this._fault(null);
    if (isChosen) {
      root.history.pushState(null, "", "#" + encodeURIComponent(place.name));
      this._side(false);
      this.composer.focus();
    }
    this._head(place);
  };

  Session.prototype._close = function (place) {
    var next = this.places.all.filter(function (other) {
      return other !== place;
    })[0];
    if (!next) return this._choose(told.room);
    if (place === this.places.current) this.places.open(next.name, true);
    this.places.close(place);
  };

  Session.prototype._changed = function (place) {
    var isFirst = !this.chat.user;
    if (place.refusal && isFirst && told.vocabulary.auth.guests) return this._askName(place.refusal);
    if (place === this.places.current) {
      this._head(place);
      this.people.changed(place.room);
    }
    this._presence();
    this._titles();
  };

  Session.prototype._titles = function () {
    var place = this.places.current;
    var unread = this.places.unread();
    var elsewhere = unread - (place ? place.unread : 0);
    this.alerts.title(unread, place ? titleOf(place) : "");
    $("#side-badge").prop("hidden", !elsewhere).text(elsewhere > 99 ? "99+" : elsewhere);
  };

  // Whoever is in one of the rooms is online in the conversation with them.
  Session.prototype._presence = function () {
    var places = this.places;
    var rooms = places.all.filter(function (place) {
      return !place.isPrivate;
    });
    places.all.forEach(function (place) {
      if (!place.isPrivate) return;
      var isHere = rooms.some(function (other) {
        return other.room.people.some(function (member) {
          return "@" + member.username.toLowerCase() === place.name.toLowerCase();
        });
      });
      if (isHere === place.isOnline) return;
      place.isOnline = isHere;
      places.show(place);
    });
  };

  Session.prototype._head = function (place) {
    var names = Object.keys(place.typists).map(function (id) {
      return place.typists[id];
    });
    $("#place-title").empty().append(place.isPrivate ? "" : T.el("span", "hash", {"aria-hidden": "true"}, ["#"]))
      .append(T.name(titleOf(place)));
    $("#place-state").text(this._stateOf(place)).toggleClass("is-online", place.isPrivate && place.isOnline);
    $("#typing").empty().append(Chatapp.typing(words, names));
    var label = words.say(place.isPrivate ? "close_conversation" : "leave_room");
    $("#place-leave").attr({"aria-label": label, title: label})
      .empty().append(T.icon(place.isPrivate ? "close" : "leave"));
    $("#people-open").prop("hidden", place.isPrivate);
    if (place.isPrivate) this.people.toggle(false);
    this.composer.enable(!place.refusal);
    this._banner();
    this._titles();
  };

  Session.prototype._stateOf = function (place) {
    if (!place.room.joined) return "";
    if (place.isPrivate) return words.say(place.isOnline ? "person_online" : "person_offline");
    return words.say("online", {count: place.room.online});
  };

  // Messages

  Session.prototype._news = function (place, message) {
    var user = this.chat.user;
    if (place === this.places.current && !document.hidden) this.announcer.say(message);
    if (place.isPrivate || (user && T.mentionIn(message.message, user.name) >= 0)) this.alerts.notify(message);
  };

  // Of a conversation that is not at the side.
  Session.prototype._unexpected = function (message) {
    var isOwn = this.chat.user && message.user_id === this.chat.user.id;
    this.places.add(message.room, {history: 0});
    if (!isOwn) this.alerts.notify(message);
    this._askRooms();
  };

  Session.prototype._askRooms = function () {
    var session = this;
    this.chat.rooms(function (error, standings) {
      if (!error) session.places.update(standings);
      session._presence();
      session._titles();
    });
  };

  Session.prototype._fault = function (error) {
    $("#fault").text(error ? words.fault(error) : "");
  };

  // The connection

  Session.prototype._state = function (state, about) {
    this._about = about;
    $("#my-state").text(words.say("state_" + (state === "refused" ? "closed" : state).replace(" ", "_")).replace(/[.:].*$/, ""))
      .attr("class", "is-" + state.replace(" ", "-"));
    if (state === "online") {
      this._askRooms();
      this.places.all.forEach(function (place) {
        place.view.wake();
      });
    }
    if (this.places.current) this._head(this.places.current);
  };

  Session.prototype._banner = function () {
    this.banner.show(this.chat.state, this._about, this.places.current.refusal);
  };

  Session.prototype._act = function () {
    var place = this.places.current;
    if (this.chat.state === "online") place.room.join();
    else this.chat.reconnect();
  };

  function titleOf(place) {
    return place.isPrivate ? place.name.slice(1) : place.name;
  }

  function placeOfAddress() {
    try {
      return decodeURIComponent(root.location.hash.slice(1));
    } catch (error) {
      return "";
    }
  }

  function fillIcons(within) {
    within.find("[data-icon]").addBack("[data-icon]").each(function () {
      $(this).empty().append(T.icon($(this).attr("data-icon")));
    });
  }

  // Ask a guest what to be called: `enter(name)`.
  function ask(error, enter) {
    onName = enter;
    $("#app").prop("hidden", true);
    $("#welcome").prop("hidden", false);
    welcome.ask(error);
  }

  var session = null;
  var onName = null;
  var welcome = new Chatapp.Welcome(words, told.vocabulary.limits.username_characters, "h1", function (name) {
    onName(name);
  });

  function begin() {
    session = new Session();
    if (told.vocabulary.auth.guests && !session.chat.known()) {
      ask(null, function (name) {
        session.start(name);
      });
    } else {
      session.start();
    }
  }

  function logOut() {
    session.end();
    $("#app").replaceWith(pristine.cloneNode(true));
    welcome.clear();
    begin();
  }

  $("#welcome").append(welcome.element);
  begin();
})(window, jQuery, Chatapp);
