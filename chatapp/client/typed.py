"""A line typed at the prompt, read into what it asks for."""

from __future__ import annotations

from dataclasses import dataclass

from chatapp.domain.private import parse_private
from chatapp.errors import Refusal

#: Messages shown by /history without a number, and at most: the server's default limit of a page.
HISTORY_MESSAGES = 20
HISTORY_LIMIT = 200

HELP = """\
Type a message and press Enter. Further:
  @name text             to that person alone; @"name with spaces" text
  /who                   who is in this room
  /history [n]           the last n messages once more
  /join ROOM             enter another room, or go back to it
  /join @name            go to the conversation with that person
  /leave [ROOM]          leave this room, or another
  /rooms                 your rooms and conversations
  /help                  this
  /quit                  end (also Ctrl-D and Ctrl-C)
  //text                 send a text that begins with a slash"""


@dataclass(frozen=True, slots=True)
class Say:
    """Send `text` to the current room."""

    text: str


@dataclass(frozen=True, slots=True)
class SayPrivately:
    """Send `text` to one person."""

    to: str
    text: str


@dataclass(frozen=True, slots=True)
class Who:
    """List who is in the current room."""


@dataclass(frozen=True, slots=True)
class History:
    """Show the last `limit` messages of the current room."""

    limit: int


@dataclass(frozen=True, slots=True)
class Join:
    """Make `room` the current room."""

    room: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave `room`, None for the current one."""

    room: str | None


@dataclass(frozen=True, slots=True)
class ListRooms:
    """List the user's rooms."""


@dataclass(frozen=True, slots=True)
class Help:
    """Show what can be typed."""


@dataclass(frozen=True, slots=True)
class Quit:
    """End."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """An empty line."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A line that asks for nothing we know; `message` says why."""

    message: str


Typed = Say | SayPrivately | Who | History | Join | Leave | ListRooms | Help | Quit | Nothing | Mistake


def parse_said(text: str) -> Say | SayPrivately | Mistake:
    """Return to whom `text` goes: one that begins with ``@`` is for one person."""
    if not _is_unicode(text):
        return Mistake("This text has bytes that are no characters of the terminal's encoding.")
    if not text.startswith("@"):
        return Say(text)
    try:
        return SayPrivately(*parse_private(text))
    except Refusal as refusal:
        return Mistake(refusal.message)


def parse_typed(line: str) -> Typed:
    """Return what `line` asks for; never raises."""
    line = line.rstrip("\r\n")
    if not line.strip():
        return Nothing()
    if line.startswith("//"):
        return parse_said(line[1:])
    if not line.startswith("/"):
        return parse_said(line)
    command, _, rest = line[1:].partition(" ")
    return _command(command, rest.strip())


def _command(command: str, rest: str) -> Typed:
    if command == "history":
        return _history(rest)
    if command == "join":
        return Join(rest) if rest else Mistake("Which room? /join ROOM")
    if command == "leave":
        return Leave(rest or None)
    plain: dict[str, Typed] = {"who": Who(), "rooms": ListRooms(), "help": Help(), "quit": Quit()}
    if command not in plain:
        return Mistake(f"There is no command /{command}. /help lists them; //text sends a text with a slash.")
    return Mistake(f"/{command} stands alone.") if rest else plain[command]


def _history(rest: str) -> History | Mistake:
    if not rest:
        return History(HISTORY_MESSAGES)
    if rest.isascii() and rest.isdecimal() and 1 <= int(rest[:9]) <= HISTORY_LIMIT:
        return History(int(rest))
    return Mistake(f"/history takes a number from 1 to {HISTORY_LIMIT}.")


def _is_unicode(text: str) -> bool:
    """Whether there are no lone surrogates in `text`: Python's way to keep bytes it could not decode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
