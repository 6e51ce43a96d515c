/*
 * page-people.js: who is in the room that one looks at.
 * ECMAScript 5, needs jQuery and chatapp-text.js. MIT licence.
 */
(function (root, $, Chatapp) {
  "use strict";

  var T = Chatapp.text;

  // `onChoose(name)` is called with whom one wants to talk to.
  function People(words, user, onChoose) {
    var people = this;
    this._words = words;
    this._user = user;
    this._room = null;
    this._members = [];
    this._pane = $("#people");
    this._list = $("#people-list");
    this._more = $("#people-more").on("click", function () {
      people._next();
    });
    this._list.on("click", "button", function () {
      var name = $(this).data("name");
      if (people._isOverlay()) people.toggle(false);
      onChoose(String(name));
    });
    $("#people-open").on("click", function () {
      people.toggle(people._pane.prop("hidden"));
    });
    $("#people-close").on("click", function () {
      people.toggle(false);
      $("#people-open").trigger("focus");
    });
    this._pane.on("keydown", function (event) {
      if (event.key !== "Escape" || !people._isOverlay()) return;
      people.toggle(false);
      $("#people-open").trigger("focus");
    });
  }

  People.prototype._isOverlay = function () {
    return root.matchMedia("(max-width: 68rem)").matches;
  };

  People.prototype.toggle = function (isOpen) {
    this._pane.prop("hidden", !isOpen);
    $("#app").toggleClass("with-people", isOpen);
    $("#people-open").attr("aria-expanded", String(isOpen));
    if (isOpen) this._ask();
    if (isOpen && this._isOverlay()) $("#people-close").trigger("focus");
  };

  // Show those of a room.
  People.prototype.show = function (room) {
    this._room = room;
    this._members = room.people;
    this._hasMore = false;
    this._render();
    if (!this._pane.prop("hidden")) this._ask();
  };

  // Somebody came or went.
  People.prototype.changed = function (room) {
    if (room !== this._room) return;
    if (room.people.length >= this._members.length || !this._hasMore) this._members = room.people;
    this._render();
  };

  People.prototype._ask = function () {
    this._members = [];
    this._hasMore = false;
    this._next();
  };

  People.prototype._next = function () {
    var people = this;
    var room = this._room;
    if (!room) return;
    var last = this._members[this._members.length - 1];
    room.members(function (error, answer) {
      if (room !== people._room) return;
      if (error) {
        people._members = room.people;
      } else {
        people._members = (last ? people._members : []).concat(answer.members);
        people._hasMore = answer.more;
      }
      people._render();
    }, last ? {after: last.username} : {});
  };

  People.prototype._render = function () {
    var people = this;
    var me = this._user();
    var members = this._members.slice().sort(function (a, b) {
      return a.username.localeCompare(b.username);
    });
    var focused = T.focusWithin(this._list[0]);
    var had = focused ? $(focused).data("name") : null;
    T.append(T.clear(this._list[0]), members.map(function (member) {
      var isMe = Boolean(me) && member.user_id === me.id;
      var line = T.el(isMe ? "div" : "button", "person", isMe ? null : {type: "button"}, [
        T.avatar(member.username),
        T.name(member.username, "person-name"),
        isMe ? T.el("small", "", null, [people._words.say("you")]) : null
      ]);
      $(line).data("name", member.username);
      return T.el("li", "", null, [line]);
    }));
    if (had) {
      this._list.find("button").filter(function () {
        return $(this).data("name") === had;
      }).trigger("focus");
    }
    this._more.prop("hidden", !this._hasMore);
  };

  root.ChatappPage.People = People;
})(window, jQuery, Chatapp);
