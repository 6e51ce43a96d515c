/*
 * chatapp-composer.js: the box in which one writes, and changes what one wrote.
 * ECMAScript 5, needs chatapp-text.js. MIT licence.
 */
(function (root, Chatapp) {
  "use strict";

  var T = Chatapp.text;
  var el = T.el;

  // `place()` returns the place at the front: {name, room, view, draft}; one that goes without saying has no name. `onSend()`: something is said or changed.
  function Composer(words, place, onSend) {
    this._words = words;
    this._place = place;
    this._onSend = onSend;
    this._edited = null; // the message that is being changed
    this._draft = ""; // what was being written before that
    this._build();
  }

  Composer.prototype._build = function () {
    var composer = this;
    var words = this._words;
    var cancel = el("button", "link", {type: "button"}, [words.say("cancel")]);
    this.box = el("textarea", "", {rows: "1", dir: "auto", enterkeyhint: "send"});
    this._send = el("button", "icon send", null, [T.icon("send")]);
    this._editing = el("div", "editing", null, [el("span", "", null, [words.say("editing")]), cancel]);
    this.element = el("form", "composer", {autocomplete: "off"}, [this._editing, this.box, this._send]);
    this._show(null);
    this.element.addEventListener("submit", function (event) {
      event.preventDefault();
      composer._submit();
    });
    this.box.addEventListener("keydown", function (event) {
      composer._key(event);
    });
    this.box.addEventListener("input", function () {
      composer._typed();
    });
    cancel.addEventListener("click", function () {
      composer._stopEditing();
    });
  };

  // Another place is at the front: what was being written in the one before waits there.
  Composer.prototype.change = function (before, after) {
    if (before) before.draft = this._edited ? this._draft : this.box.value;
    this._show(null);
    this._set(after.draft || "");
    var label = after.name ? this._words.say("message_to", {room: after.name}) : this._words.say("write");
    this.box.setAttribute("aria-label", label);
    this.box.placeholder = label;
  };

  Composer.prototype.focus = function () {
    this.box.focus();
  };

  Composer.prototype.enable = function (isEnabled) {
    this.box.disabled = this._send.disabled = !isEnabled;
  };

  // Change a message.
  Composer.prototype.edit = function (message) {
    if (!this._edited) this._draft = this.box.value;
    this._show(message);
    this._set(message.message);
    this.focus();
  };

  Composer.prototype._stopEditing = function () {
    this._show(null);
    this._set(this._draft);
    this.focus();
  };

  // Show which message is being changed, null for none.
  Composer.prototype._show = function (edited) {
    var label = this._words.say(edited ? "save" : "send");
    this._edited = edited;
    this._editing.hidden = !edited;
    this._send.setAttribute("aria-label", label);
    this._send.title = label;
  };

  Composer.prototype._submit = function () {
    var room = this._place().room;
    var text = this.box.value;
    if (!/\S/.test(text) || this.box.disabled) return;
    this._onSend();
    if (this._edited) {
      if (text !== this._edited.message) room.edit(this._edited.seq, text);
      return this._stopEditing();
    }
    this._set("");
    room.typing(false);
    room.send(text);
    this.focus();
  };

  Composer.prototype._key = function (event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this._submit();
    } else if (event.key === "Escape" && this._edited) {
      event.stopPropagation();
      this._stopEditing();
    } else if (event.key === "ArrowUp" && this.box.value === "") {
      var last = this._place().view.lastOwn();
      if (!last) return;
      event.preventDefault();
      this.edit(last);
    }
  };

  Composer.prototype._typed = function () {
    this._fit();
    if (!this._edited) this._place().room.typing(this.box.value !== "");
  };

  Composer.prototype._set = function (text) {
    this.box.value = text;
    this._fit();
  };

  // As high as what is in it, where the browser does not do that by itself (field-sizing).
  Composer.prototype._fit = function () {
    var box = this.box;
    this.element.classList.toggle("has-text", /\S/.test(box.value));
    if (root.CSS && root.CSS.supports && root.CSS.supports("field-sizing", "content")) return;
    box.style.height = "auto";
    box.style.height = box.scrollHeight + "px";
  };

  Chatapp.Composer = Composer;
})(window, Chatapp);
