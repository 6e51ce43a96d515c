/*
 * chatapp-items.js: what a room's list holds, in its order: stored messages, ascending, among them lines that are in no
 * log, and last what is on its way. An item is what chatapp-rows.js shows.
 *
 * ECMAScript 5. MIT licence.
 */
(function (root, Chatapp) {
  "use strict";

  // So many lines about comings and goings stay in a row.
  var NOTICES = 3;

  // `all` is the list; it stays the same array. What adds or removes an item returns its place in it.
  function Items() {
    this.all = [];
    this._bySeq = {};
    this._byClientId = {};
  }

  // The item of a message that is stored, null if it is not known.
  Items.prototype.stored = function (seq) {
    return this._bySeq[seq] || null;
  };

  // The item of what is on its way, null if there is none.
  Items.prototype.pending = function (handle) {
    return this._byClientId[handle.client_id] || null;
  };

  // What comes out of the log goes above lines about what happened after it.
  Items.prototype.addMessage = function (message) {
    var at = this._firstPending();
    while (at > 0 && this.all[at - 1].notice && this.all[at - 1].notice.sent_at > message.sent_at) at -= 1;
    return this._insert(at, this._storedItem(message));
  };

  Items.prototype.addPending = function (handle) {
    var item = {seq: 0, message: null, handle: handle, notice: null};
    this._byClientId[handle.client_id] = item;
    return this._insert(this.all.length, item);
  };

  Items.prototype.addNotice = function (notice) {
    return this._insert(this._firstPending(), {seq: 0, message: null, handle: null, notice: notice});
  };

  // The line that is to go before another comes, null if there is room.
  Items.prototype.surplusNotice = function () {
    var end = this._firstPending();
    var first = end;
    while (first > 0 && this.all[first - 1].notice) first -= 1;
    return end - first < NOTICES ? null : this.all[first];
  };

  // Put what came before all others above them, and return how many messages that were.
  Items.prototype.prepend = function (messages) {
    var items = this;
    var added = messages.filter(function (message) {
      return !items._bySeq[message.seq];
    }).map(function (message) {
      return items._storedItem(message);
    });
    this.all.unshift.apply(this.all, added);
    return added.length;
  };

  Items.prototype.remove = function (item) {
    var at = this.all.lastIndexOf(item);
    this.all.splice(at, 1);
    if (item.handle) delete this._byClientId[item.handle.client_id];
    return at;
  };

  // Forget all but what is on its way.
  Items.prototype.reset = function () {
    this.all.splice(0, this._firstPending());
    this._bySeq = {};
  };

  // The last message that is stored, null if none is known; with `user`, the last that this user can edit.
  Items.prototype.last = function (user) {
    for (var i = this.all.length - 1; i >= 0; i -= 1) {
      var message = this.all[i].message;
      if (message && (!user || (message.user_id === user.id && !message.deleted))) return message;
    }
    return null;
  };

  // The number of the first message of others after `seq`, 0 if there is none.
  Items.prototype.firstAfter = function (seq, user) {
    var first = this.all.filter(function (item) {
      return item.seq > seq && !(user && item.message.user_id === user.id);
    })[0];
    return first ? first.seq : 0;
  };

  Items.prototype.hasMessages = function () {
    return this.last() !== null;
  };

  Items.prototype.hasOnlyNotices = function () {
    return this.all.every(function (item) {
      return item.notice;
    });
  };

  Items.prototype._insert = function (at, item) {
    this.all.splice(at, 0, item);
    return at;
  };

  Items.prototype._storedItem = function (message) {
    return (this._bySeq[message.seq] = {seq: message.seq, message: message, handle: null, notice: null});
  };

  Items.prototype._firstPending = function () {
    var at = this.all.length;
    while (at > 0 && this.all[at - 1].handle) at -= 1;
    return at;
  };

  Chatapp.Items = Items;
})(window, Chatapp);
