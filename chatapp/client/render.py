"""News as lines for a terminal, where what others wrote neither steers it nor passes for another's line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime, timezone, tzinfo

from chatapp.client import news
from chatapp.client.wire import Item
from chatapp.settings import MessageTypes

#: Begins the further lines of a text of several, so that none looks like the beginning of another message.
_CONTINUATION = "\n      "
#: What the control characters and the marks that reorder or hide text are shown as.
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
#: Formatting characters that writing needs: zero-width (non-)joiners, and the marks of direction.
_HARMLESS = frozenset("\u200c\u200d\u200e\u200f\u061c")

_LINE_ENDS = re.compile("\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]")

#: Select Graphic Rendition (ECMA-48 8.3.117) by kind of line; dim, cyan, magenta, red.
_STYLES = {"past": "\x1b[2m", "notice": "\x1b[36m", "private": "\x1b[35m", "trouble": "\x1b[31m"}
_RESET = "\x1b[0m"


def harmless(text: str) -> str:
    """Return `text` with everything replaced that a terminal might obey instead of show; it is one line."""
    return "".join(map(_harmless_character, _LINE_ENDS.sub(" ", text)))


def harmless_lines(text: str) -> str:
    """Return `text`, which may have several lines, harmless and with all lines but the first indented."""
    return _CONTINUATION.join(harmless(line) for line in _LINE_ENDS.split(text))


def _harmless_character(character: str) -> str:
    if character == "\t":
        return " "
    if character in _HARMLESS:
        return character
    # Controls, formatting and lone surrogates; tags (U+E0020 and on) within emoji flags are lost too.
    return _REPLACEMENT if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character


class Renderer:
    """Turns news into lines. `zone` None is the local time zone; `now` says which day is today."""

    def __init__(
        self,
        types: MessageTypes,
        *,
        colour: bool,
        zone: tzinfo | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._types = types
        self._colour = colour
        self._zone = zone
        self._now = now

    def line(self, told: news.News, *, current_room: str | None, me: str) -> str | None:
        """Return what to print for `told`, None if there is nothing to print."""
        if isinstance(told, news.Arrived):
            return self._item(told, current_room, me)
        if isinstance(told, (news.Trouble, news.Undelivered, news.Offline, news.Closed, news.Delayed)):
            return self._styled("trouble", f"!! {_trouble(told)}")
        sentence = _sentence(told)
        return None if sentence is None else self._styled("notice", f"-- {sentence}")

    def note(self, text: str) -> str:
        """Return a line of the client's own."""
        return self._styled("notice", f"-- {text}")

    def trouble(self, text: str) -> str:
        """Return a line about a mistake or a failure."""
        return self._styled("trouble", f"!! {text}")

    def _item(self, told: news.Arrived, current_room: str | None, me: str) -> str:
        item = told.item
        kind = "notice" if item.type == self._types.notice or item.change else None
        if item.type == self._types.private:
            kind = "private"
        text = f"{self._time(item)} {_where(item, current_room, me, self._types)}{_what(item, self._types)}"
        if told.past:
            return self._styled("past", f"| {text}")
        return self._styled(kind, text)

    def _time(self, item: Item) -> str:
        sent_at = item.change.sent_at if item.change else item.sent_at
        try:
            # Python 3.10 does not read the Z of RFC 3339.
            moment = datetime.fromisoformat(sent_at.replace("Z", "+00:00")).astimezone(self._zone)
        except (ValueError, OverflowError):
            return "--:--"
        is_today = moment.date() == self._now().astimezone(self._zone).date()
        return moment.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")

    def _styled(self, kind: str | None, text: str) -> str:
        return f"{_STYLES[kind]}{text}{_RESET}" if self._colour and kind else text


def _where(item: Item, current_room: str | None, me: str, types: MessageTypes) -> str:
    """Return what tells a line of another room, or of a conversation, from one of the current room."""
    if item.type != types.private:
        return "" if item.room == current_room else f"[{harmless(item.room)}] "
    if item.username == me and item.target:
        return f"[private to {harmless(item.target)}] "
    return "[private] "


def _what(item: Item, types: MessageTypes) -> str:
    if item.change is not None:
        return _changed(item)
    if item.type == types.notice:
        return f"-- {harmless_lines(item.text)}"
    return f"<{harmless(item.username)}> {_text(item)}"


def _text(item: Item) -> str:
    if item.deleted:
        return "(deleted)"
    reactions = f"  {_reactions(item)}" if item.reactions else ""
    return f"{harmless_lines(item.text)}{' (edited)' if item.edited else ''}{reactions}"


def _changed(item: Item) -> str:
    assert item.change is not None
    who, author = harmless(item.change.username), harmless(item.username)
    if item.change.kind == "edit":
        return f"-- {who} edited: {harmless_lines(item.text)}"
    if item.change.kind == "delete":
        return f"-- {who} deleted a message"
    return f"-- {who} reacted; <{author}> {_text(item)}"


def _reactions(item: Item) -> str:
    return " ".join(f"{harmless(emoji)} {count}" for emoji, count in item.reactions.items())


def _trouble(told: news.Trouble | news.Undelivered | news.Offline | news.Closed | news.Delayed) -> str:
    if isinstance(told, news.Undelivered):
        return f"Not sent: {harmless(told.message)} It was: {harmless_lines(told.text)}"
    if isinstance(told, news.Delayed):
        return f"Not sent yet: {harmless(told.message)} It is sent again in {told.wait_seconds:.0f} s."
    if isinstance(told, news.Offline):
        return f"{harmless(told.reason)} Connecting again."
    return harmless(told.message if isinstance(told, news.Trouble) else told.reason)


def _sentence(told: news.News) -> str | None:
    if isinstance(told, news.Joined):
        what = "Back in" if told.again else "You are in"
        return f"{what} {harmless(told.room)} as {harmless(told.username)}; {told.online} online."
    if isinstance(told, news.Left):
        return harmless(told.why)
    if isinstance(told, news.Gap):
        return f"Of what was said in {harmless(told.room)} meanwhile, not all is kept."
    if isinstance(told, news.Announcement):
        return f"The server: {harmless(told.message or told.code)}"
    if isinstance(told, news.Members):
        names = ", ".join(map(harmless, told.names))
        others = told.online - len(told.names)
        return f"{told.online} in {harmless(told.room)}: {names}" + (
            f" and {others} more" if others > 0 else ""
        )
    if isinstance(told, news.Rooms):
        return "Your rooms: " + ("; ".join(map(_room, told.rooms)) or "none")
    return None


def _room(room: news.RoomSummary) -> str:
    here = "here, " if room.joined else ""
    return f"{harmless(room.name)} ({here}{room.unread} unread)"
