"""The client at a terminal: what arrives appears above the line that is being typed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.patch_stdout import StdoutProxy

from chatapp.client import news, typed
from chatapp.client.connection import Connection
from chatapp.client.dialogue import Dialogue
from chatapp.client.render import Renderer, harmless


class Terminal:
    """One person at a prompt. `tell` is called on the connection's thread, the rest on the person's.

    `show` prints a line. After the end, `failure` says what ended it, unless the person did.
    """

    def __init__(self, renderer: Renderer, show: Callable[[str], None]) -> None:
        self._renderer = renderer
        self._show = show
        self._refresh: Callable[[], None] = lambda: None
        self._end: Callable[[], None] = lambda: None
        #: Set once the first room is joined, or never will be.
        self.is_settled = threading.Event()
        self.failure: str | None = None
        self.current_room: str | None = None
        self._me = ""
        self._rooms: list[str] = []
        self._is_online = False
        self._offline_reason: str | None = None
        self._is_entering = False

    # What the connection tells.

    def tell(self, told: news.News) -> None:
        """Take in `told` and show it."""
        if isinstance(told, news.Joined):
            self._joined(told)
        elif isinstance(told, news.Left):
            self._left(told)
        elif isinstance(told, news.Offline):
            self._is_online = False
            is_known = told.reason == self._offline_reason
            self._offline_reason = told.reason
            if is_known:
                return  # the prompt says it, and every attempt fails for the same reason
        elif isinstance(told, news.Closed):
            self._fail(told.reason)
        if self.failure is None:
            line = self._renderer.line(told, current_room=self.current_room, me=self._me)
            if line is not None:
                self._show(line)
        self._refresh()

    def _joined(self, told: news.Joined) -> None:
        self._me, self._is_online, self._offline_reason = told.username, True, None
        if told.room not in self._rooms:
            self._rooms.append(told.room)
        if self.current_room is None or self._is_entering:
            self.current_room = told.room
        self._is_entering = False
        self.is_settled.set()

    def _left(self, told: news.Left) -> None:
        self._is_entering = False
        if not self.is_settled.is_set():
            self._fail(told.why)
        if told.room in self._rooms:
            self._rooms.remove(told.room)
        if told.room == self.current_room:
            self.current_room = self._rooms[-1] if self._rooms else None

    def _fail(self, why: str) -> None:
        self.failure = harmless(why)
        self.is_settled.set()
        self._end()

    # What the person types.

    def prompt_text(self) -> str:
        """Return what stands before the line being typed."""
        where = harmless(self.current_room) if self.current_room else "no room"
        return f"{where}> " if self._is_online else f"{where} (offline)> "

    def obey(self, asked: typed.Typed, connection: Connection) -> bool:
        """Do what was typed; False to end."""
        room = self.current_room
        if isinstance(asked, typed.Quit):
            return False
        if isinstance(asked, typed.Mistake):
            self._show(self._renderer.trouble(asked.message))
        elif isinstance(asked, typed.Help):
            self._show(self._renderer.note(typed.HELP))
        elif isinstance(asked, typed.Join):
            self._enter(asked.room, connection)
        elif isinstance(asked, typed.ListRooms):
            connection.post(Dialogue.ask_rooms)
        elif isinstance(asked, typed.SayPrivately):
            self._say(f"@{asked.to}", asked.text, connection)
        elif isinstance(asked, typed.Leave) and asked.room is not None:
            self._leave(asked.room, connection)
        elif not isinstance(asked, typed.Nothing):
            if room is None:
                self._show(self._renderer.trouble("You are in no room; /join ROOM enters one."))
            else:
                self._do_here(asked, room, connection)
        return True

    def _do_here(
        self, asked: typed.Say | typed.Who | typed.History | typed.Leave, room: str, connection: Connection
    ) -> None:
        if isinstance(asked, typed.Say):
            self._say(room, asked.text, connection)
        elif isinstance(asked, typed.Who):
            connection.post(partial(Dialogue.ask_members, room=room))
        elif isinstance(asked, typed.History):
            connection.post(partial(Dialogue.ask_history, room=room, limit=asked.limit))
        else:
            self._leave(room, connection)

    def _say(self, room: str, text: str, connection: Connection) -> None:
        if not self._is_online:
            self._show(self._renderer.note("Not connected; it is sent as soon as that is possible."))
        connection.post(partial(Dialogue.say, room=room, text=text))

    def _enter(self, room: str, connection: Connection) -> None:
        """A conversation needs no joining: its messages arrive anyway."""
        if room.startswith("@") or room in self._rooms:
            self.current_room = room
        else:
            self._is_entering = True
            connection.post(partial(Dialogue.join, room=room))

    def _leave(self, room: str, connection: Connection) -> None:
        if not room.startswith("@"):
            connection.post(partial(Dialogue.leave, room=room))
        elif room == self.current_room:
            self.current_room = self._rooms[-1] if self._rooms else None

    def run(self, connection: Connection) -> None:
        """Read lines and obey until the person, or a failure, ends it."""
        prompt: PromptSession[str] = PromptSession(erase_when_done=True)
        self._refresh = partial(_soon, prompt.app, prompt.app.invalidate)
        self._end = partial(_end, prompt.app)
        connection.start()
        try:
            self.is_settled.wait()
            while self.failure is None:
                line = prompt.prompt(self.prompt_text, pre_run=self._end_if_failed)
                if not self.obey(typed.parse_typed(line), connection):
                    break
        except (EOFError, KeyboardInterrupt):
            pass
        finally:
            connection.close()

    def _end_if_failed(self) -> None:
        """A failure after the last look and before the prompt runs would otherwise wait for a key."""
        if self.failure is not None:
            self._end()


def _end(app: Application[Any]) -> None:
    """End the prompt from another thread; it raises EOFError where it is waited for."""

    def end() -> None:
        if app.is_running and not app.is_done:
            app.exit(exception=EOFError())

    _soon(app, end)


def _soon(app: Application[Any], do: Callable[[], None]) -> None:
    """Have the thread that runs the prompt `do`; nothing between two prompts, as the next shows all anew.

    Even `app.invalidate` is not for another thread: a prompt that ends while it runs makes it raise.
    """
    loop = app.loop
    if loop is not None:
        with suppress(RuntimeError):  # the loop of a prompt that has just ended is closed
            loop.call_soon_threadsafe(do)


def run_terminal(renderer: Renderer, connect: Callable[[news.Tell], Connection]) -> str | None:
    """Chat until the person ends it. Return what went wrong, None if nothing did."""
    with StdoutProxy(raw=True) as above:
        terminal = Terminal(renderer, lambda line: _print(above, line))
        terminal.run(connect(terminal.tell))
        return terminal.failure


def _print(above: StdoutProxy, line: str) -> None:
    # raw: our colours are meant; what others wrote was made harmless before.
    above.write(f"{line}\n")
    above.flush()
