/*
 * chatapp-parts.js: what a chat shows around its messages: how the connection is, who types, what is read out, and
 * the form in which a guest says what to be called.
 *
 * ECMAScript 5, needs chatapp-text.js. MIT licence.
 */
(function (root, Chatapp) {
  "use strict";

  var T = Chatapp.text;
  var el = T.el;

  // Lines that were read out are gone after so long, for they are in the list of messages, too.
  var LINE_SECONDS = 30;
  var LINES = 20;
  // From so many people who type on, they are not named.
  var MANY = 3;

  // How the connection to the chat is. `onAct()`: somebody wants it to be better now.
  function Banner(words, onAct) {
    this._words = words;
    this._text = el("span", "banner-text", {role: "status"});
    this._seconds = el("span", "banner-seconds", {"aria-hidden": "true"});
    this._action = el("button", "link banner-action", {type: "button"});
    this._action.addEventListener("click", onAct);
    this.element = el("div", "banner", null, [this._text, this._seconds, this._action]);
    this._timer = null;
    this._about = null; // what is shown
    this._until = 0; // when the next attempt is
  }

  // `about` as the event "state" tells it, `refusal` why one is not in the room (null if one is, or may come to be).
  Banner.prototype.show = function (state, about, refusal) {
    var banner = this;
    var words = this._words;
    var text = "";
    var action = "";
    if (state === "refused") {
      text = words.say("state_refused", {reason: words.fault(about)});
      action = "try_now";
    } else if (state !== "online") {
      text = words.say("state_" + state.replace(" ", "_"));
      action = state === "offline" ? "try_now" : "";
    } else if (refusal) {
      text = words.say("not_in", {reason: words.fault(refusal)});
      action = "come_back";
    }
    this.element.className = "banner" + (text ? " is-shown is-" + state.replace(" ", "-") : "");
    // Only what is new is read out.
    if (this._text.textContent !== text) this._text.textContent = text;
    this._action.hidden = !action;
    this._action.textContent = action ? words.say(action) : "";
    this.stop();
    if (state !== "offline") return;
    if (about !== this._about) this._until = Date.now() + about.seconds * 1000;
    this._about = about;
    this._timer = setInterval(function () {
      banner._count();
    }, 1000);
    this._count();
  };

  // Leave no timer behind.
  Banner.prototype.stop = function () {
    clearInterval(this._timer);
    this._timer = null;
    this._seconds.textContent = "";
    this.element.removeAttribute("title");
  };

  // The seconds until the next attempt, which nobody wants to hear.
  Banner.prototype._count = function () {
    var seconds = Math.max(0, Math.ceil((this._until - Date.now()) / 1000));
    this._seconds.textContent = seconds ? seconds + " s" : "";
    this.element.title = seconds ? this._words.say("state_offline_seconds", {seconds: seconds}) : "";
  };

  // A region whose new lines are read out, and which nobody sees.
  function Announcer(words) {
    this._words = words;
    this.element = el("div", "unseen news", {role: "log", "aria-live": "polite", "aria-label": words.say("news_of")});
  }

  // Have a new message read out.
  Announcer.prototype.say = function (message) {
    var log = this.element;
    var line = el("p", "", null, [this._words.say("announcement", {name: message.username, text: message.message})]);
    log.appendChild(line);
    while (log.childNodes.length > LINES) log.removeChild(log.firstChild);
    setTimeout(function () {
      if (line.parentNode) log.removeChild(line);
    }, LINE_SECONDS * 1000);
  };

  // Asks a guest for a name: `onName(name)`. `heading` is the tag of what stands above.
  function Welcome(words, mostCharacters, heading, onName) {
    var welcome = this;
    this._words = words;
    this._input = el("input", "", {
      id: "welcome-name", name: "nickname", dir: "auto", maxlength: mostCharacters, required: "", autocomplete: "nickname",
      autocapitalize: "words", spellcheck: "false", "aria-describedby": "welcome-fault"
    });
    this._fault = el("p", "fault", {id: "welcome-fault", role: "alert"});
    this.element = el("form", "card", {autocomplete: "off"}, [
      el("span", "mark", null, [T.icon("mark")]),
      el(heading, "card-title", {id: "welcome-title"}, [words.say("welcome")]),
      el("p", "", null, [words.say("welcome_text")]),
      el("label", "", {"for": "welcome-name"}, [words.say("your_name")]),
      this._input,
      this._fault,
      el("button", "primary", null, [words.say("enter")])
    ]);
    this.element.addEventListener("submit", function (event) {
      var name = welcome._input.value.trim();
      event.preventDefault();
      if (name) onName(name);
    });
  }

  // Ask, and say why the name that is in the form was not taken, if one was tried.
  Welcome.prototype.ask = function (error) {
    this._fault.textContent = error && this._input.value ? this._words.fault(error) : "";
    if (error) this._input.setAttribute("aria-invalid", "true");
    else this._input.removeAttribute("aria-invalid");
    this._input.focus();
  };

  Welcome.prototype.clear = function () {
    this._input.value = "";
  };

  // That people of these names type, as nodes; none for nobody.
  function typing(words, names) {
    if (!names.length) return [];
    if (names.length >= MANY) return [document.createTextNode(words.say("typing_many"))];
    return [
      el("span", "dots", {"aria-hidden": "true"}, [el("i"), el("i"), el("i")]),
      el("span", "", null, words.sayNames("typing", names, 0))
    ];
  }

  Chatapp.Banner = Banner;
  Chatapp.Announcer = Announcer;
  Chatapp.Welcome = Welcome;
  Chatapp.typing = typing;
})(window, Chatapp);
