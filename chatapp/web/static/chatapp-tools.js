/*
 * chatapp-tools.js: what one does with the rows of a list, by mouse, finger and keyboard: one row can be reached by Tab,
 * the others by arrows, and the toolbar of the row that one is at says what can be done with its message.
 *
 * ECMAScript 5, needs chatapp-text.js. MIT licence.
 */
(function (root, Chatapp) {
  "use strict";

  var T = Chatapp.text;
  var el = T.el;

  var EMOJI = ["👍", "❤️", "😂", "🎉", "😮", "😢"];

  // `list` holds rows as chatapp-rows.js makes them. `options` are {words, user(), noticeType, onEdit(message),
  // onRemove(seq), onReact(seq, emoji, on), onDiscard(item), onNewest()}.
  function Tools(list, options) {
    this._list = list;
    this._options = options;
    this._words = options.words;
    this._active = null; // the row that the Tab key comes to
    this._isTakingOff = false;
    this._isByKeyboard = false; // whether the list was last used so
    this._bar = el("div", "tools", {role: "toolbar", "aria-label": options.words.say("actions")});
    this._listen();
  }

  Tools.prototype._listen = function () {
    var tools = this;
    var list = this._list;
    list.addEventListener("mousedown", function () {
      tools._isByKeyboard = false;
    });
    list.addEventListener("keydown", function (event) {
      tools._isByKeyboard = true;
      tools._key(event);
    });
    list.addEventListener("focusin", function (event) {
      tools._activate(rowOf(event.target));
    });
    list.addEventListener("focusout", function (event) {
      if (!event.relatedTarget || !list.contains(event.relatedTarget)) tools._putOff();
    });
    list.addEventListener("mouseover", function (event) {
      // A mouse that rests while rows move under it takes nothing from the keyboard.
      if (!tools._isByKeyboard || !T.focusWithin(tools._bar)) tools._put(rowOf(event.target));
    });
    list.addEventListener("mouseleave", function () {
      var focused = rowOf(T.focusWithin(list));
      if (focused) tools._put(focused);
      else tools._putOff();
    });
    list.addEventListener("click", function (event) {
      tools._click(event);
    });
  };

  // The keyboard

  // Have a row that the Tab key comes to: the last one, as long as somebody `isFollowing` what is said.
  Tools.prototype.reach = function (isFollowing) {
    var last = this._list.lastChild;
    var hasActive = this._active !== null && this._active.parentNode === this._list;
    var isFree = isFollowing && !T.focusWithin(this._list);
    if (last && last !== this._active && (isFree || !hasActive)) this._setActive(last);
  };

  Tools.prototype.focusLast = function () {
    if (this._list.lastChild) this._list.lastChild.focus({preventScroll: true});
  };

  Tools.prototype._setActive = function (row) {
    if (this._active) this._active.setAttribute("tabindex", "-1");
    this._active = row;
    row.setAttribute("tabindex", "0");
  };

  Tools.prototype._activate = function (row) {
    if (!row) return;
    if (row !== this._active) this._setActive(row);
    this._put(row);
  };

  Tools.prototype._key = function (event) {
    var row = rowOf(event.target);
    var isInBar = this._bar.contains(event.target);
    var to = null;
    if (!row) return;
    if (event.key === "Escape" && event.target !== row) {
      event.stopPropagation(); // it is not for what is around the list
      this._fill(row);
      row.focus();
    } else if (isInBar && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      to = event.key === "ArrowRight" ? event.target.nextSibling : event.target.previousSibling;
    } else if (event.key === "ArrowUp") {
      to = row.previousSibling;
    } else if (event.key === "ArrowDown") {
      to = row.nextSibling;
    } else if (event.key === "End") {
      this._options.onNewest();
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

  // The toolbar

  // Fill a row anew by `fill()`; the toolbar stays with it.
  Tools.prototype.keep = function (row, fill) {
    var hadBar = row.contains(this._bar);
    fill();
    if (hadBar && !row.chatappItem.handle) this._put(row);
  };

  Tools.prototype._put = function (row) {
    if (!row || row.contains(this._bar)) return;
    var message = row.chatappItem.message;
    this._putOff();
    if (!message || message.deleted || message.type === this._options.noticeType) return;
    this._fill(row);
    row.querySelector(".bubble").appendChild(this._bar);
  };

  Tools.prototype._putOff = function () {
    // With the focus in it, taking it off comes here once more, by "focusout".
    if (!this._bar.parentNode || this._isTakingOff) return;
    this._isTakingOff = true;
    this._bar.parentNode.removeChild(this._bar);
    this._isTakingOff = false;
  };

  Tools.prototype._fill = function (row) {
    var words = this._words;
    var user = this._options.user();
    var message = row.chatappItem.message;
    var isOwn = Boolean(user && message) && message.user_id === user.id;
    this._set([T.button("smile", words.say("react"), "icon tool-react")].concat(isOwn ? [
      T.button("pen", words.say("edit"), "icon tool-edit"),
      T.button("bin", words.say("delete"), "icon tool-delete")
    ] : []));
  };

  Tools.prototype._set = function (buttons, isWide) {
    var hadFocus = T.focusWithin(this._bar) !== null;
    this._bar.className = "tools" + (isWide ? " is-wide" : "");
    // A focused button that goes would take the toolbar with it.
    if (hadFocus) rowOf(this._bar).focus({preventScroll: true});
    T.append(T.clear(this._bar), buttons);
    if (hadFocus) buttons[0].focus();
  };

  Tools.prototype._click = function (event) {
    var row = rowOf(event.target);
    var target = event.target;
    while (target && target !== row && target.tagName !== "BUTTON") target = target.parentNode;
    if (!row) return;
    if (!target || target === row) {
      // A tap brings the toolbar; it must not take the marking of text away.
      if (event.target.tagName !== "A" && String(root.getSelection()) === "") row.focus({preventScroll: true});
      return;
    }
    this._act(row, target);
  };

  Tools.prototype._act = function (row, target) {
    var words = this._words;
    var options = this._options;
    var item = row.chatappItem;
    var is = function (name) {
      return (" " + target.className + " ").indexOf(" " + name + " ") >= 0;
    };
    if (is("retry")) {
      item.handle.retry();
    } else if (is("discard")) {
      options.onDiscard(item);
    } else if (is("reaction")) {
      options.onReact(item.seq, target.getAttribute("data-emoji"), target.getAttribute("aria-pressed") !== "true");
    } else if (is("tool-react")) {
      this._set(EMOJI.map(function (emoji) {
        return el("button", "icon tool-emoji", {
          type: "button",
          "data-emoji": emoji,
          "aria-label": words.say("react_with", {emoji: emoji})
        }, [emoji]);
      }), true);
    } else if (is("tool-emoji")) {
      options.onReact(item.seq, target.getAttribute("data-emoji"), true);
      this._fill(row);
    } else if (is("tool-edit")) {
      options.onEdit(item.message);
    } else if (is("tool-delete")) {
      this._set([
        el("button", "link tool-delete-really", {type: "button"}, [words.say("delete_really")]),
        T.button("close", words.say("cancel"), "icon tool-cancel")
      ]);
    } else if (is("tool-delete-really")) {
      row.focus({preventScroll: true});
      this._putOff();
      options.onRemove(item.seq);
    } else if (is("tool-cancel")) {
      this._fill(row);
    }
  };

  function rowOf(node) {
    while (node && !node.chatappItem) node = node.parentNode;
    return node || null;
  }

  Chatapp.Tools = Tools;
})(window, Chatapp);
