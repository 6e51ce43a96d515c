/*
 * chatapp-text.js: words, names and texts as nodes. What came over the wire becomes text nodes and nothing else:
 * no markup is ever parsed.
 *
 * ECMAScript 5, needs chatapp.js. MIT licence.
 */
(function (root, Chatapp) {
  "use strict";

  var SVG = "http://www.w3.org/2000/svg";
  // Outlines in a box of 24.
  var ICONS = {
    mark: "M4 6.500A2.500 2.500 0 0 1 6.500 4h11A2.500 2.500 0 0 1 20 6.500v8a2.500 2.500 0 0 1-2.500 2.500H11l-5 4v-4.050A2.500 2.500 0 0 1 4 14.500z",
    plus: "M12 5v14M5 12h14",
    close: "M6 6l12 12M18 6L6 18",
    menu: "M4 7h16M4 12h16M4 17h10",
    people: "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM2.500 20c0-3.600 2.900-5.500 6.500-5.500s6.500 1.900 6.500 5.500M16 4.300a3.500 3.500 0 0 1 0 6.400M18 14.800c2.200.8 3.500 2.600 3.500 5.200",
    leave: "M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M10 8l-4 4 4 4M6 12h9",
    out: "M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M11 8l4 4-4 4M15 12H4",
    bell: "M6 10a6 6 0 1 1 12 0c0 5 2 6 2 6H4s2-1 2-6M10 19.500a2.200 2.200 0 0 0 4 0",
    send: "M12 19V5M6 11l6-6 6 6",
    down: "M12 5v14M6 13l6 6 6-6",
    smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.500 14.500c1.800 2.300 5.200 2.300 7 0M9 9.500v.5M15 9.500v.5",
    pen: "M4 20l1-4L16 5a2.100 2.100 0 0 1 3 3L8 19z",
    bin: "M5 7h14M10 7V4.500h4V7M7 7l1 12.500h8L17 7M10.500 11v5M13.500 11v5",
    clock: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 8v4l2.500 2",
    check: "M5 12.500l4.500 4.500L19 7.500",
    checks: "M2 12.500l4.500 4.500L15 8M11 16l1 1 9.500-9",
    alert: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 8v4.500M12 15.800v.2"
  };

  // An address, as far as it goes; what more likely ends the sentence is taken off again.
  var ADDRESS = /https?:\/\/[^\s<>"\u0000-\u0020\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gi;
  var SENTENCE_END = /[.,;:!?'"\u2019\u201d\u00bb*_~]+$/;
  var ONLY_EMOJI = /^(?:[\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff]|[\ud83c-\ud83e][\udc00-\udfff]|[\ufe0f\u200d\s]){1,12}$/;
  var HUES = 8;

  // Make an element. `attributes` are set as such; children are nodes, or strings, which become text nodes.
  function el(tag, className, attributes, children) {
    var made = document.createElement(tag);
    if (className) made.className = className;
    Object.keys(attributes || {}).forEach(function (name) {
      if (attributes[name] !== null && attributes[name] !== undefined) made.setAttribute(name, attributes[name]);
    });
    append(made, children);
    return made;
  }

  function append(element, children) {
    (children || []).forEach(function (child) {
      if (child !== null) element.appendChild(typeof child === "string" ? document.createTextNode(child) : child);
    });
    return element;
  }

  function clear(element) {
    while (element.firstChild) element.removeChild(element.firstChild);
    return element;
  }

  // What has the focus within an element, null if nothing has; in a shadow tree, too.
  function focusWithin(element) {
    var tree = element.getRootNode ? element.getRootNode() : document;
    var active = (tree.activeElement === undefined ? document : tree).activeElement;
    return active && element.contains(active) ? active : null;
  }

  function icon(name) {
    var svg = document.createElementNS(SVG, "svg");
    var path = document.createElementNS(SVG, "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("class", "glyph glyph-" + name);
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("focusable", "false");
    path.setAttribute("d", ICONS[name]);
    svg.appendChild(path);
    return svg;
  }

  function button(iconName, label, className) {
    return el("button", className || "icon", {type: "button", "aria-label": label, title: label}, [icon(iconName)]);
  }

  // Somebody's name: its direction does not spill into what is around it.
  function name(text, className) {
    return el("bdi", className || "", null, [text]);
  }

  // The first character of a name on a colour that is always that name's.
  function avatar(text) {
    var characters = /^@?([\ud800-\udbff][\udc00-\udfff]|[\s\S])/.exec(text || "?");
    var key = (text || "").toLowerCase();
    var sum = 0;
    for (var i = 0; i < key.length; i += 1) sum = (sum * 33 + key.charCodeAt(i) * 7) % 65521;
    return el("span", "avatar hue-" + (sum % HUES), {"aria-hidden": "true"}, [
      characters[1].toUpperCase()
    ]);
  }

  // Where an address ends that was found in a text: without the sentence's end and without a bracket that was
  // opened before it.
  function trimmed(address) {
    var before = "";
    while (before !== address) {
      before = address;
      address = address.replace(SENTENCE_END, "");
      if (/\)$/.test(address) && address.split(")").length > address.split("(").length) address = address.slice(0, -1);
      if (/\]$/.test(address) && address.split("]").length > address.split("[").length) address = address.slice(0, -1);
    }
    return address;
  }

  // A text as nodes: its addresses as links, the name of whoever reads it marked.
  function nodes(text, myName) {
    var made = [];
    var end = 0;
    text.replace(ADDRESS, function (found, index) {
      var address = trimmed(found);
      if (address.length <= 8) return found;
      made = made.concat(marked(text.slice(end, index), myName));
      made.push(el("a", "", {href: address, target: "_blank", rel: "noopener noreferrer nofollow ugc"}, [address]));
      end = index + address.length;
      return found;
    });
    return made.concat(marked(text.slice(end), myName));
  }

  function marked(text, myName) {
    var at = myName ? mentionIn(text, myName) : -1;
    if (at < 0) return text ? [text] : [];
    var end = at + myName.length + 1;
    return [text.slice(0, at), el("mark", "mention", null, [text.slice(at, end)])].concat(marked(text.slice(end), myName));
  }

  // Where a text says "@name", -1 if it does not.
  function mentionIn(text, myName) {
    var wanted = ("@" + myName).toLowerCase();
    var lower = text.toLowerCase();
    if (lower.length !== text.length) return -1;
    var at = lower.indexOf(wanted);
    while (at >= 0 && /[\w\u00c0-\uffff]/.test(lower.charAt(at + wanted.length))) at = lower.indexOf(wanted, at + 1);
    return at;
  }

  function isOnlyEmoji(text) {
    return ONLY_EMOJI.test(text) && /[^\s]/.test(text);
  }

  // Words in one language. `catalogue` as the server has it.
  function Words(language, catalogue) {
    this.language = language;
    this._catalogue = catalogue;
    this._plural = root.Intl && root.Intl.PluralRules ? new root.Intl.PluralRules(language) : null;
    this._formats = {};
  }

  // The words of a key with `values` in them; those with a `count` in its plural form.
  Words.prototype.say = function (key, values) {
    return this._form(key, values).replace(/\{(\w+)\}/g, function (whole, field) {
      return values && values[field] !== undefined ? String(values[field]) : whole;
    });
  };

  // The words of a key as nodes, in which `{names}` are these people; so many `others` are counted.
  Words.prototype.sayNames = function (key, names, others) {
    var words = this;
    // Several are several, also where a language counts 21 as it counts one.
    var parts = this._form(key, {count: names.length + others > 1 ? 2 : 1}).split("{names}");
    var all = names.map(function (each) {
      return name(each);
    }).concat(others ? [this.say("others", {count: others})] : []);
    return [parts[0]].concat(all.reduce(function (listed, each, index) {
      if (index) listed.push(index < all.length - 1 ? ", " : " " + words.say("and") + " ");
      return listed.concat(each);
    }, []), parts[1]);
  };

  Words.prototype._form = function (key, values) {
    var count = values && values.count;
    if (count === undefined) return this._catalogue[key] || key;
    var category = this._plural ? this._plural.select(count) : count === 1 ? "one" : "other";
    return this._catalogue[key + "." + category] || this._catalogue[key + ".other"] || this._catalogue[key] || key;
  };

  // The sentence about a refusal: ours where there is one, else the server's.
  Words.prototype.fault = function (error) {
    return this._catalogue["error_" + error.code] || error.message || this._catalogue.error_internal_error;
  };

  Words.prototype._format = function (which, options) {
    if (!this._formats[which]) this._formats[which] = new Intl.DateTimeFormat(this.language, options);
    return this._formats[which];
  };

  Words.prototype.time = function (date) {
    return this._format("time", {timeStyle: "short"}).format(date);
  };

  Words.prototype.moment = function (date) {
    return this._format("moment", {dateStyle: "full", timeStyle: "medium"}).format(date);
  };

  Words.prototype.day = function (date, now) {
    var days = Math.round((midnight(now) - midnight(date)) / 86400000);
    if (days === 0) return this.say("today");
    if (days === 1) return this.say("yesterday");
    if (date.getFullYear() === now.getFullYear()) {
      return this._format("day", {weekday: "long", day: "numeric", month: "long"}).format(date);
    }
    return this._format("year", {day: "numeric", month: "long", year: "numeric"}).format(date);
  };

  function midnight(date) {
    return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  }

  Chatapp.text = {
    el: el,
    append: append,
    clear: clear,
    focusWithin: focusWithin,
    icon: icon,
    button: button,
    name: name,
    avatar: avatar,
    nodes: nodes,
    mentionIn: mentionIn,
    isOnlyEmoji: isOnlyEmoji,
    Words: Words
  };
})(window, Chatapp);
