/*
 * widget.js: puts the chat on a page, by one line: <script src="/chat/widget.js" data-room="support" async></script>
 *
 * This is all that a page loads until somebody opens the chat, or has used it before: a button, in a shadow tree where
 * there are such. The rest comes with widget-panel.js. The README has all of the attributes.
 *
 * ECMAScript 5, needs nothing. MIT licence.
 */
(function (root) {
  "use strict";

  var document = root.document;
  var SVG = "http://www.w3.org/2000/svg";
  var BUBBLE = "M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v8a2.5 2.5 0 0 1-2.5 2.500H11l-5 4v-4.050A2.500 2.500 0 0 1 4 14.5z";
  // What an attribute may be; the first is what it is without.
  var CHOICES = {layout: ["floating", "inline"], side: ["right", "left"], theme: ["auto", "light", "dark"]};
  var TEXTS = ["room", "title", "accent", "language", "token", "username", "target"];

  // The widgets of all such lines, whichever copy of this script runs. `Panel` comes with widget-panel.js.
  var api = root.ChatappWidget = root.ChatappWidget || {widgets: [], Panel: null, open: openAll, close: closeAll};

  function openAll() {
    api.widgets.forEach(function (widget) {
      widget.open();
    });
  }

  function closeAll() {
    api.widgets.forEach(function (widget) {
      widget.close();
    });
  }

  function complain(sentence) {
    if (root.console) root.console.error("chatapp: " + sentence);
  }

  function el(tag, className, attributes) {
    var made = document.createElement(tag);
    made.className = className;
    Object.keys(attributes || {}).forEach(function (name) {
      made.setAttribute(name, attributes[name]);
    });
    return made;
  }

  // What the line's attributes say, as {room, layout, ...}; texts that are not given are empty.
  function optionsOf(script) {
    var options = {isOpen: script.hasAttribute("data-open")};
    TEXTS.forEach(function (name) {
      options[name] = script.getAttribute("data-" + name) || "";
    });
    Object.keys(CHOICES).forEach(function (name) {
      var given = script.getAttribute("data-" + name);
      var isKnown = CHOICES[name].indexOf(given) >= 0;
      if (given !== null && !isKnown) {
        complain("data-" + name + " of the widget is one of " + CHOICES[name].join(", ") + ", not \"" + given + "\".");
      }
      options[name] = isKnown ? given : CHOICES[name][0];
    });
    if (options.target) options.layout = "inline";
    return options;
  }

  // One widget, of the line `script`.
  function Widget(script) {
    this.url = script.src.replace(/\/widget\.js([?#].*)?$/, "");
    this.options = optionsOf(script);
    this.isOpen = false;
    this._script = script;
    this._panel = null;
    this._isLoading = false;
    this._build();
  }

  Widget.prototype._build = function () {
    var options = this.options;
    this._host = el("chatapp-widget", "", {"data-layout": options.layout});
    this._tree = this._host.attachShadow ? this._host.attachShadow({mode: "open"}) : this._host;
    if (this._tree === this._host) this._host.className = "chatapp-colours";
    if (options.accent) this._host.style.setProperty("--chat-accent", options.accent);
    this._style("widget.css", "");
    if (options.theme !== "light") {
      this._style("widget-dark.css", options.theme === "auto" ? "(prefers-color-scheme: dark)" : "");
    }
    // Without its styles nobody is to see it.
    this.element = el("div", "chatapp widget is-" + options.layout + " is-" + options.side, {dir: "ltr", hidden: ""});
    this._tree.appendChild(this.element);
    this._keepKeys();
    if (options.layout === "floating") this._buildLauncher();
  };

  Widget.prototype._style = function (name, media) {
    var widget = this;
    var link = el("link", "", {rel: "stylesheet", href: this.url + "/" + name});
    if (media) link.media = media;
    if (this._script.nonce) link.nonce = this._script.nonce;
    link.onload = function () {
      if (name === "widget.css") widget.element.hidden = false;
    };
    link.onerror = function () {
      complain(link.href + " cannot be loaded. A Content-Security-Policy has to allow its origin in style-src.");
    };
    this._tree.appendChild(link);
  };

  // What is typed here is no shortcut of the page around.
  Widget.prototype._keepKeys = function () {
    var element = this.element;
    ["keydown", "keypress", "keyup"].forEach(function (name) {
      element.addEventListener(name, function (event) {
        event.stopPropagation();
      });
    });
  };

  Widget.prototype._buildLauncher = function () {
    var widget = this;
    var svg = document.createElementNS(SVG, "svg");
    var path = document.createElementNS(SVG, "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", BUBBLE);
    svg.appendChild(path);
    this._launcher = el("button", "launcher", {type: "button", "aria-expanded": "false", "aria-label": this.options.title || "Chat"});
    this._badge = el("span", "badge", {hidden: ""});
    this._launcher.appendChild(svg);
    this._launcher.appendChild(this._badge);
    this._launcher.addEventListener("click", function () {
      if (widget.isOpen) widget.close();
      else widget.open();
    });
    this.element.appendChild(this._launcher);
  };

  // Put it on the page. Returns whether there is a place for it.
  Widget.prototype.attach = function () {
    var options = this.options;
    var target = options.target ? document.querySelector(options.target) : null;
    if (options.target && !target) {
      complain("there is no element " + options.target + " for the widget of room \"" + options.room + "\".");
      return false;
    }
    if (target) target.appendChild(this._host);
    else if (options.layout === "inline" && document.body.contains(this._script)) this._script.parentNode.insertBefore(this._host, this._script);
    else document.body.appendChild(this._host);
    if (options.layout === "inline") this.open(true);
    else if (options.isOpen) this.open(true);
    else if (this.wasUsed()) this._load(null);
    return true;
  };

  // Show the chat. `isUnasked`: nobody has asked for it just now, and the focus stays where it is.
  Widget.prototype.open = function (isUnasked) {
    var widget = this;
    if (this.isOpen) return;
    this.isOpen = true;
    this._load(function () {
      if (!widget.isOpen) return;
      if (widget._launcher) widget._launcher.setAttribute("aria-expanded", "true");
      widget.element.classList.add("is-open");
      widget._panel.show(isUnasked === true);
    });
  };

  // Have only the button left. What is said is counted there from now on.
  Widget.prototype.close = function () {
    if (!this.isOpen || !this._launcher) return;
    this.isOpen = false;
    this._launcher.setAttribute("aria-expanded", "false");
    this.element.classList.remove("is-open");
    if (!this._panel) return;
    this._panel.hide();
    this._launcher.focus();
  };

  // What the button says: a label, and how many messages were not read.
  Widget.prototype.tell = function (label, unread) {
    if (!this._launcher) return;
    this._launcher.setAttribute("aria-label", label);
    this._badge.hidden = !unread;
    this._badge.textContent = unread > 99 ? "99+" : String(unread);
  };

  // Whether somebody has used it in this browser, so that it should know what is new.
  Widget.prototype.wasUsed = function () {
    try {
      return root.localStorage.getItem("chatapp widget " + this.url) !== null;
    } catch (error) {
      return false;
    }
  };

  Widget.prototype.use = function () {
    try {
      root.localStorage.setItem("chatapp widget " + this.url, "used");
    } catch (error) {
      return;
    }
  };

  // Load what a chat needs; `ready()` once it is there, if given.
  Widget.prototype._load = function (ready) {
    var widget = this;
    if (ready) this._ready = ready;
    if (this._panel) return this._begin();
    if (this._isLoading) return;
    this._isLoading = true;
    this.element.setAttribute("aria-busy", "true");
    loadPanel(this, function (Panel) {
      Panel.make(widget, function (panel) {
        widget._panel = panel;
        widget._loaded();
        widget._begin();
      }, function (sentence) {
        widget._fail(sentence);
      });
    }, function (sentence) {
      widget._fail(sentence);
    });
  };

  Widget.prototype._begin = function () {
    var ready = this._ready;
    this._ready = null;
    if (ready) ready();
  };

  Widget.prototype._loaded = function () {
    this._isLoading = false;
    this.element.removeAttribute("aria-busy");
  };

  // It may be opened again, which tries again.
  Widget.prototype._fail = function (sentence) {
    complain(sentence);
    this._loaded();
    this.isOpen = false;
  };

  function loadPanel(widget, done, failed) {
    if (api.Panel) return done(api.Panel);
    var script = document.createElement("script");
    script.src = widget.url + "/widget-panel.js";
    script.async = true;
    if (widget._script.nonce) script.nonce = widget._script.nonce;
    script.onload = function () {
      done(api.Panel);
    };
    script.onerror = function () {
      script.parentNode.removeChild(script);
      failed(script.src + " cannot be loaded. A Content-Security-Policy has to allow its origin in script-src.");
    };
    document.head.appendChild(script);
  }

  // The line that is running; old browsers do not say which it is.
  function thisScript() {
    var all = document.querySelectorAll("script[src*='/widget.js']");
    if (document.currentScript) return document.currentScript;
    for (var i = 0; i < all.length; i += 1) {
      if (!all[i].chatappWidget) return all[i];
    }
    return null;
  }

  function begin(script) {
    var widget = new Widget(script);
    script.chatappWidget = widget;
    if (widget.attach()) api.widgets.push(widget);
  }

  var line = thisScript();
  if (!line || line.chatappWidget) return;
  if (document.readyState === "loading" && (!document.body || line.hasAttribute("data-target"))) {
    document.addEventListener("DOMContentLoaded", function () {
      begin(line);
    });
  } else {
    begin(line);
  }
})(window);
