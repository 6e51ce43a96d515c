/*
 * page-places.js: the rooms and conversations at the side, each a tab with what is unread in it.
 * ECMAScript 5, needs jQuery, chatapp-text.js and chatapp-view.js. MIT licence.
 */
(function (root, $, Chatapp) {
  "use strict";

  var T = Chatapp.text;
  var CLOSED = "chatapp closed";

  function fold(name) {
    return name.toLowerCase();
  }

  // `page` are {words, chat, onOpen(place, before, isChosen), onNews(place, message), onChange(place),
  // onClose(place), onEdit(message), onDiscard(), onFault(error)}.
  function Places(page) {
    var places = this;
    this._page = page;
    this.all = [];
    this.current = null;
    $("#rooms, #conversations").on("click", ".tab", function () {
      places.open($(this).data("place").name, true);
    }).on("keydown", ".tab", function (event) {
      places._key(event, this);
    });
  }

  Places.prototype.named = function (name) {
    return this.all.filter(function (place) {
      return fold(place.name) === fold(name);
    })[0] || null;
  };

  // Have a room or conversation at the side; `options` are those of chat.join().
  Places.prototype.add = function (name, options) {
    var place = this.named(name);
    if (place) return place;
    place = this._make(name, options);
    this.all.push(place);
    this._show(place);
    return place;
  };

  Places.prototype._make = function (name, options) {
    var places = this;
    var page = this._page;
    var chat = page.chat;
    var room = chat.join(name, options);
    var isPrivate = name.charAt(0) === "@";
    var place = {name: name, room: room, isPrivate: isPrivate, unread: 0, refusal: null, draft: "", typists: {}, isOnline: false};
    place.view = new Chatapp.View(room, {
      words: page.words,
      user: function () {
        return chat.user;
      },
      noticeType: chat.vocabulary.message_types.notice,
      isEmpty: Boolean(options) && options.history === 0,
      onEdit: page.onEdit,
      onDiscard: page.onDiscard,
      onRead: function (seq) {
        room.read(seq);
        var last = place.view.last();
        places._setUnread(place, last && seq >= last.seq ? 0 : places._count(place, seq));
      },
      onNew: function (message) {
        var isSeen = place.view.isAtNewest() && !document.hidden;
        if (!isSeen) places._setUnread(place, place.unread + 1);
        page.onNews(place, message);
      }
    });
    $("#lists").append(place.view.element);
    place.tab = this._tab(place);
    room.on("joined", function (news) {
      place.refusal = null;
      if (room.name !== place.name) places._rename(place, room.name);
      if (isPrivate) place.isOnline = news.online > 1;
      page.onChange(place);
    }).on("refused", function (error) {
      place.refusal = error;
      page.onChange(place);
    }).on("presence", function () {
      page.onChange(place);
    }).on("typing", function (news) {
      if (news.typing) place.typists[news.user_id] = news.username;
      else delete place.typists[news.user_id];
      page.onChange(place);
    }).on("read", function (news) {
      if (chat.user && news.user_id === chat.user.id) places._setUnread(place, places._count(place, news.seq));
    }).on("failed", function (handle) {
      if (handle.kind !== "message") page.onFault(handle.error);
    });
    return place;
  };

  // How many messages of others follow `seq`, among those that are known.
  Places.prototype._count = function (place, seq) {
    var user = this._page.chat.user;
    return place.view.items.filter(function (item) {
      return item.seq > seq && !(user && item.message.user_id === user.id) && !item.message.deleted;
    }).length;
  };

  // What the server says of one's rooms: those that are not here yet come, but for conversations that were closed.
  Places.prototype.update = function (standings) {
    standings.forEach(function (standing) {
      var place = this.named(standing.room);
      if (!place && standing.room.charAt(0) === "@" && !standing.unread && isClosed(standing.room)) return;
      if (!place) place = this.add(standing.room, {history: 0});
      if (!place.view.isAtNewest() || document.hidden) this._setUnread(place, standing.unread);
      place.readSeq = standing.read_seq;
    }, this);
  };

  // Bring a place to the front; it comes to the side first, if need be.
  Places.prototype.open = function (name, isChosen, options) {
    var before = this.current;
    var place = this.add(name, options);
    if (before === place) {
      place.view.readVisible();
      return place;
    }
    if (place.isPrivate) setClosed(place.name, false);
    if (before) before.view.hide();
    this.current = place;
    this._page.onOpen(place, before, isChosen);
    place.view.show(place.unread ? Math.max(place.room.read_seq, place.readSeq || 0) : null);
    this.all.forEach(this._show, this);
    return place;
  };

  // Let a place go from the side, and leave it if it is a room.
  Places.prototype.close = function (place) {
    var at = this.all.indexOf(place);
    if (place.isPrivate) setClosed(place.name, true);
    this.all.splice(at, 1);
    place.room.leave();
    $(place.tab).remove();
    $(place.view.element).remove();
    if (this.current === place) this.current = null;
    this._fold();
    this._page.onChange(place);
  };

  Places.prototype.unread = function () {
    return this.all.reduce(function (sum, place) {
      return sum + place.unread;
    }, 0);
  };

  Places.prototype._setUnread = function (place, unread) {
    if (place.unread === unread) return;
    place.unread = unread;
    this._show(place);
    this._page.onChange(place);
  };

  Places.prototype._rename = function (place, name) {
    place.name = name;
    $(place.tab).find(".tab-name").text(place.isPrivate ? name.slice(1) : name);
    this._show(place);
  };

  // Tabs

  Places.prototype._tab = function (place) {
    var label = place.isPrivate ? place.name.slice(1) : place.name;
    var tab = T.el("button", "tab", {type: "button", role: "tab", "aria-controls": "place", tabindex: "-1"}, [
      place.isPrivate ? T.avatar(label) : T.el("span", "hash", {"aria-hidden": "true"}, ["#"]),
      T.name(label, "tab-name"),
      T.el("span", "badge")
    ]);
    $(tab).data("place", place);
    $(place.isPrivate ? "#conversations" : "#rooms").append(tab);
    return tab;
  };

  Places.prototype._show = function (place) {
    var isCurrent = place === this.current;
    var badge = $(place.tab).find(".badge");
    $(place.tab).attr("aria-selected", String(isCurrent)).toggleClass("is-unread", place.unread > 0 && !isCurrent)
      .toggleClass("is-online", place.isOnline);
    badge.prop("hidden", !place.unread);
    T.clear(badge[0]);
    if (place.unread) {
      T.append(badge[0], [
        T.el("span", "", {"aria-hidden": "true"}, [place.unread > 99 ? "99+" : String(place.unread)]),
        T.el("span", "unseen", null, [this._page.words.say("unread", {count: place.unread})])
      ]);
    }
    this._fold();
  };

  Places.prototype.show = Places.prototype._show;

  // Each of the two lists is entered by Tab at one place.
  Places.prototype._fold = function () {
    ["#rooms", "#conversations"].forEach(function (id) {
      var tabs = $(id).children(".tab");
      $(id).prop("hidden", !tabs.length);
      tabs.attr("tabindex", "-1");
      var selected = tabs.filter("[aria-selected=true]");
      (selected.length ? selected : tabs).first().attr("tabindex", "0");
    });
    $("#no-conversations").prop("hidden", $("#conversations").children(".tab").length > 0);
  };

  Places.prototype._key = function (event, tab) {
    var to = {ArrowDown: $(tab).next(".tab"), ArrowUp: $(tab).prev(".tab"), Home: $(tab).siblings(".tab").first(), End: $(tab).siblings(".tab").last()}[event.key];
    if (event.key === "Delete") {
      this._page.onClose($(tab).data("place"));
    } else if (!to) {
      return;
    }
    event.preventDefault();
    if (to && to.length) to.trigger("focus");
  };

  // Conversations that were closed stay so until somebody speaks in them

  function closedOnes() {
    try {
      return JSON.parse(root.localStorage.getItem(CLOSED)) || [];
    } catch (error) {
      return [];
    }
  }

  function isClosed(name) {
    return closedOnes().indexOf(fold(name)) >= 0;
  }

  function setClosed(name, closed) {
    var others = closedOnes().filter(function (each) {
      return each !== fold(name);
    });
    try {
      root.localStorage.setItem(CLOSED, JSON.stringify(closed ? others.concat(fold(name)) : others));
    } catch (error) {
      return;
    }
  }

  root.ChatappPage.Places = Places;
})(window, jQuery, Chatapp);
