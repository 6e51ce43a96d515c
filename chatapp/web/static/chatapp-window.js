/*
 * chatapp-window.js: a long list that scrolls. Only some of its rows are in the document, those around where one looks;
 * what one looks at stays where it is while rows come and go around it.
 *
 * ECMAScript 5, needs chatapp-text.js. MIT licence.
 */
(function (root, Chatapp) {
  "use strict";

  var T = Chatapp.text;
  var el = T.el;

  // Rows in the document at most, and how many come at a time.
  var MOST = 240;
  var STEP = 60;
  // How near to an end of the rows, in pixels, the next ones are put there, and what counts as the bottom.
  var NEAR = 900;
  var BOTTOM = 60;

  // `items` is the list, which changes before the window is told so; `rows` makes rows, by make(item, before), and
  // fills them anew, by fill(row, before). A row's item is its `chatappItem`, an item's row its `row`.
  // `options` are {label, above: the element above the rows, onRows(): there are other ones, onMeasure(): `isAtBottom`
  // may have changed, onScroll(), onTop(): one is near the first item}.
  function Window(items, rows, options) {
    var pane = this;
    this.isShown = false;
    this.isAtBottom = true;
    this._items = items;
    this._rows = rows;
    this._options = options;
    this._from = 0; // items[_from, _to) have rows
    this._to = 0;
    this.list = el("ol", "rows", {"aria-label": options.label});
    this.element = el("div", "scroller", null, [options.above, this.list]);
    this.element.addEventListener("scroll", function () {
      pane._scrolled();
    });
    if (root.ResizeObserver) {
      // The keyboard of a phone comes and goes: who was at the bottom stays there.
      new root.ResizeObserver(function () {
        if (pane.isShown && pane.isAtBottom) pane.toBottom();
      }).observe(this.element);
    }
  }

  // Have the last items in the document.
  Window.prototype.show = function () {
    this.isShown = true;
    this.toTail();
  };

  // Have none there.
  Window.prototype.hide = function () {
    this.isShown = false;
    this.isAtBottom = true;
    this._clear();
  };

  // Where one looks

  Window.prototype.toBottom = function () {
    this.element.scrollTop = this.element.scrollHeight;
    this._measure();
  };

  // To the bottom; but up from there until the row that has this element, if one does, is in sight as a whole.
  Window.prototype.toBottomOr = function (element) {
    this.toBottom();
    if (!element) return;
    var top = element.parentNode.offsetTop - 24;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    this._measure();
  };

  Window.prototype.isNearTop = function () {
    return this.element.scrollTop < NEAR;
  };

  // Whether the first item has a row.
  Window.prototype.hasFirst = function () {
    return this._from === 0;
  };

  // The number of the last stored message that is in sight, 0 if there is none.
  Window.prototype.lastInSight = function () {
    if (this.isAtBottom && this._to === this._items.length) {
      for (var i = this._to - 1; i >= 0; i -= 1) if (this._items[i].seq) return this._items[i].seq;
      return 0;
    }
    var bottom = this.element.scrollTop + this.element.clientHeight;
    for (var row = this.list.lastChild; row; row = row.previousSibling) {
      if (row.chatappItem.seq && row.offsetTop + row.offsetHeight <= bottom + BOTTOM) return row.chatappItem.seq;
    }
    return 0;
  };

  // By bisection, for the rows lie one below the other.
  Window.prototype._firstInSight = function (top) {
    var rows = this.list.children;
    var low = 0;
    var high = rows.length - 1;
    while (low < high) {
      var middle = (low + high) >> 1;
      if (rows[middle].offsetTop + rows[middle].offsetHeight > top) high = middle;
      else low = middle + 1;
    }
    return rows[low] || null;
  };

  // Whether it is another size that has scrolled, and not a person.
  Window.prototype._isResized = function () {
    return this._width !== this.element.clientWidth || this._height !== this.element.clientHeight;
  };

  Window.prototype._below = function () {
    return this.element.scrollHeight - this.element.scrollTop - this.element.clientHeight;
  };

  Window.prototype._measure = function () {
    this._width = this.element.clientWidth;
    this._height = this.element.clientHeight;
    this.isAtBottom = this._below() < BOTTOM && this._to === this._items.length;
    this._options.onMeasure();
  };

  Window.prototype._scrolled = function () {
    if (!this.isShown) return;
    if (this.isAtBottom && this._isResized()) return this.toBottom();
    this._measure();
    this.extend();
    this._options.onScroll();
  };

  // Change rows, or what is above them, so that what is in sight stays in its place.
  Window.prototype.keepPlace = function (change) {
    if (!this.isShown) return change();
    if (this.isAtBottom && this._to === this._items.length) {
      change();
      return this.toBottom();
    }
    var anchor = this._firstInSight(this.element.scrollTop);
    var before = anchor ? anchor.getBoundingClientRect().top : 0;
    change();
    if (!anchor || !anchor.parentNode) return;
    // Some browsers have moved a little by themselves, as where the end of the list came nearer.
    var moved = anchor.getBoundingClientRect().top - before;
    if (moved) this.element.scrollTop += moved;
  };

  // What became of the items

  // One came to be items[at]; return whether it has a row. `isFollowing`: who is at the bottom stays there.
  Window.prototype.inserted = function (at, isFollowing) {
    var isNext = at === this._to && this._to === this._items.length - 1;
    if (at < this._from) this._from += 1;
    if (at < this._to) this._to += 1;
    else if (this.isShown && isNext && (this.isAtBottom || this._to - this._from < MOST)) this._to += 1;
    if (!this.isShown || at < this._from || at >= this._to) return false;
    var item = this._items[at];
    var next = this.list.childNodes[at - this._from] || null;
    item.row = this._rows.make(item, this._items[at - 1] || null);
    this.list.insertBefore(item.row, next);
    if (next) this._rows.fill(next, item);
    if (this.isAtBottom) {
      this._trimTop();
      if (isFollowing) this.toBottom();
    }
    this._options.onRows();
    return true;
  };

  // One that was items[at] is gone.
  Window.prototype.removed = function (at, item) {
    var pane = this;
    if (at < this._from) this._from -= 1;
    if (at < this._to) this._to -= 1;
    if (!item.row) return;
    var next = item.row.nextSibling;
    this.keepPlace(function () {
      pane._remove(item);
      if (next) pane._rows.fill(next, pane._items[at - 1] || null);
    });
  };

  // One looks other than before.
  Window.prototype.changed = function (item) {
    var pane = this;
    if (!item.row) return;
    var before = item.row.previousSibling;
    this.keepPlace(function () {
      pane._rows.fill(item.row, before ? before.chatappItem : pane._items[pane._from - 1] || null);
    });
  };

  // So many came above all others.
  Window.prototype.prepended = function (count) {
    var pane = this;
    this._from += count;
    this._to += count;
    if (!this.isShown || this._from !== count) return; // its rows are gone meanwhile
    this.keepPlace(function () {
      var next = pane.list.firstChild;
      pane._put(0, count, next);
      pane._from = 0;
      if (next) pane._rows.fill(next, pane._items[count - 1] || null);
      pane._trimBottom();
    });
    this._options.onRows();
  };

  // They are others altogether.
  Window.prototype.reset = function () {
    this.isAtBottom = true;
    this._clear();
    if (this.isShown) this.toTail();
  };

  // Rows

  // Have the last items in the document, and no others.
  Window.prototype.toTail = function () {
    var length = this._items.length;
    if (this._to === length && this._to - this._from >= Math.min(STEP, length)) return;
    this._clear();
    this._from = Math.max(0, length - STEP);
    this._put(this._from, this._to, null);
    this._options.onRows();
  };

  // Have rows beyond what is in sight, on both sides.
  Window.prototype.extend = function () {
    var pane = this;
    if (this.isNearTop()) {
      if (this._from > 0) {
        var from = Math.max(0, this._from - STEP);
        this.keepPlace(function () {
          pane._put(from, pane._from, pane.list.firstChild);
          pane._from = from;
          pane._trimBottom();
        });
      } else {
        this._options.onTop();
      }
    }
    if (this._to < this._items.length && this._below() < NEAR) {
      var to = Math.min(this._items.length, this._to + STEP);
      this.isAtBottom = false;
      this.keepPlace(function () {
        pane._put(pane._to, to, null);
        pane._to = to;
        pane._trimTop();
      });
      this._measure();
    }
    this._options.onRows();
  };

  // Put rows of items[from, to) before a row.
  Window.prototype._put = function (from, to, next) {
    var fragment = document.createDocumentFragment();
    for (var i = from; i < to; i += 1) {
      this._items[i].row = this._rows.make(this._items[i], this._items[i - 1] || null);
      fragment.appendChild(this._items[i].row);
    }
    this.list.insertBefore(fragment, next);
  };

  Window.prototype._remove = function (item) {
    this.list.removeChild(item.row);
    item.row = null;
  };

  Window.prototype._clear = function () {
    for (var row = this.list.firstChild; row; row = row.nextSibling) row.chatappItem.row = null;
    T.clear(this.list);
    this._from = this._to = this._items.length;
  };

  Window.prototype._trimTop = function () {
    while (this._to - this._from > MOST) {
      if (T.focusWithin(this._items[this._from].row)) return;
      this._remove(this._items[this._from]);
      this._from += 1;
    }
  };

  Window.prototype._trimBottom = function () {
    while (this._to - this._from > MOST) {
      if (T.focusWithin(this._items[this._to - 1].row)) return;
      this._to -= 1;
      this._remove(this._items[this._to]);
    }
  };

  Chatapp.Window = Window;
})(window, Chatapp);
