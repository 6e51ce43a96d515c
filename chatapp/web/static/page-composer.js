/*
 * page-composer.js: the box in which one writes, and changes what one wrote.
 * ECMAScript 5, needs jQuery. MIT licence.
 */
(function (root, $, Chatapp) {
  "use strict";

  // `place()` returns the place at the front: {room, view, draft}.
  function Composer(words, place) {
    var composer = this;
    this._words = words;
    this._place = place;
    this._edited = null; // the message that is being changed
    this._box = $("#text");
    this._form = $("#composer");
    this._form.on("submit", function (event) {
      event.preventDefault();
      composer._submit();
    });
    this._box.on("keydown", function (event) {
      composer._key(event);
    }).on("input", function () {
      composer._typed();
    });
    $("#editing-cancel").on("click", function () {
      composer._stopEditing();
    });
  }

  // Another place is at the front: what was being written in the one before waits there.
  Composer.prototype.change = function (before, after) {
    if (before) before.draft = this._edited ? this._draft : this._box.val();
    this._edited = null;
    $("#editing").prop("hidden", true);
    this._set(after.draft || "");
    var label = this._words.say("message_to", {room: after.name});
    this._box.attr({"aria-label": label, placeholder: label});
  };

  Composer.prototype.focus = function () {
    this._box.trigger("focus");
  };

  Composer.prototype.enable = function (isEnabled) {
    this._box.prop("disabled", !isEnabled);
    $("#send").prop("disabled", !isEnabled);
  };

  Composer.prototype.edit = function (message) {
    if (!this._edited) this._draft = this._box.val();
    this._edited = message;
    $("#editing").prop("hidden", false);
    this._label("save");
    this._set(message.message);
    this.focus();
  };

  Composer.prototype._stopEditing = function () {
    this._edited = null;
    $("#editing").prop("hidden", true);
    this._label("send");
    this._set(this._draft || "");
    this.focus();
  };

  Composer.prototype._label = function (key) {
    $("#send").attr({"aria-label": this._words.say(key), title: this._words.say(key)});
  };

  Composer.prototype._submit = function () {
    var room = this._place().room;
    var text = this._box.val();
    if (!/\S/.test(text) || this._box.prop("disabled")) return;
    $("#fault").text("");
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
    var own = event.originalEvent;
    if (event.key === "Enter" && !event.shiftKey && !own.isComposing) {
      event.preventDefault();
      this._submit();
    } else if (event.key === "Escape" && this._edited) {
      this._stopEditing();
    } else if (event.key === "ArrowUp" && this._box.val() === "") {
      var last = this._place().view.lastOwn();
      if (!last) return;
      event.preventDefault();
      this.edit(last);
    }
  };

  Composer.prototype._typed = function () {
    this._fit();
    if (!this._edited) this._place().room.typing(this._box.val() !== "");
  };

  Composer.prototype._set = function (text) {
    this._box.val(text);
    this._fit();
  };

  // As high as what is in it, where the browser does not do that by itself (field-sizing).
  Composer.prototype._fit = function () {
    var box = this._box[0];
    this._form.toggleClass("has-text", /\S/.test(box.value));
    if (root.CSS && root.CSS.supports && root.CSS.supports("field-sizing", "content")) return;
    box.style.height = "auto";
    box.style.height = box.scrollHeight + "px";
  };

  root.ChatappPage.Composer = Composer;
})(window, jQuery, Chatapp);
