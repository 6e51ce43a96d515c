/*
 * page-alerts.js: how the page draws attention: its title and notifications.
 * ECMAScript 5, needs jQuery. MIT licence.
 */
(function (root, $) {
  "use strict";

  var KEY = "chatapp notifications";

  // `onOpen(place)` brings a room or conversation to the front.
  function Alerts(words, onOpen) {
    var alerts = this;
    this._words = words;
    this._onOpen = onOpen;
    this._title = document.title;
    this._button = $("#notifications");
    this._button.prop("hidden", !root.Notification).on("click", function () {
      alerts._toggle();
    });
    this._show();
  }

  // The title: how much is unread everywhere, and where one is.
  Alerts.prototype.title = function (unread, place) {
    document.title = (unread ? "(" + unread + ") " : "") + (place ? place + " · " : "") + this._title;
  };

  // A notification about a message, if they are on and the page is out of sight.
  Alerts.prototype.notify = function (message) {
    var alerts = this;
    if (!this._isOn() || !(document.hidden || !document.hasFocus())) return;
    var title = message.username + (message.room.charAt(0) === "@" ? "" : " · " + message.room);
    try {
      var notification = new root.Notification(title, {body: message.message.slice(0, 200), tag: message.room});
      notification.onclick = function () {
        root.focus();
        alerts._onOpen(message.room);
        notification.close();
      };
    } catch (error) {
      this._button.prop("hidden", true); // a browser that has them in service workers only
    }
  };

  Alerts.prototype._isOn = function () {
    return Boolean(root.Notification) && root.Notification.permission === "granted" && kept() === "on";
  };

  Alerts.prototype._toggle = function () {
    var alerts = this;
    if (this._isOn()) {
      keep("off");
      return this._show();
    }
    keep("on");
    root.Notification.requestPermission(function () {
      alerts._show();
    });
  };

  Alerts.prototype._show = function () {
    var isDenied = Boolean(root.Notification) && root.Notification.permission === "denied";
    var label = this._words.say("notifications_" + (isDenied ? "denied" : this._isOn() ? "off" : "on"));
    this._button.attr({"aria-pressed": String(this._isOn()), "aria-label": label, title: label}).prop("disabled", isDenied);
  };

  function kept() {
    try {
      return root.localStorage.getItem(KEY);
    } catch (error) {
      return null;
    }
  }

  function keep(value) {
    try {
      root.localStorage.setItem(KEY, value);
    } catch (error) {
      return;
    }
  }

  root.ChatappPage = {Alerts: Alerts};
})(window, jQuery);
