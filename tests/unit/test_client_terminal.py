"""At the prompt: what is shown where, what typing does, and how it ends."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.application import Application, create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from chatapp.client import news, typed
from chatapp.client.render import Renderer
from chatapp.client.terminal import Terminal
from chatapp.client.wire import parse_item
from chatapp.settings import MessageTypes
from clients import wait_until
from servers import PATIENCE_SECONDS
from unit.chat_double import ChatDouble, running_double
from unit.client_line import item

JOINED = news.Joined("lobby", "bob", 1, ("bob",), again=False)
DEN = news.Joined("den", "bob", 1, ("bob",), again=False)


class FakeConnection:
    """Notes what is asked of the dialogue."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def post(self, action: Callable[[Any], object]) -> None:
        function = getattr(action, "func", action)
        self.asked.append((function.__name__, getattr(action, "keywords", {})))


class Desk:
    """A terminal without a screen."""

    def __init__(self, *told: news.News) -> None:
        self.lines: list[str] = []
        renderer = Renderer(
            MessageTypes(),
            colour=False,
            zone=timezone.utc,
            now=lambda: datetime(2026, 1, 31, tzinfo=timezone.utc),
        )
        self.terminal = Terminal(renderer, self.lines.append)
        self.connection = FakeConnection()
        self.tell(*told)

    def tell(self, *told: news.News) -> Desk:
        for each in told:
            self.terminal.tell(each)
        return self

    def type(self, line: str) -> bool:
        return self.terminal.obey(typed.parse_typed(line), self.connection)  # type: ignore[arg-type]

    @property
    def prompt(self) -> str:
        return self.terminal.prompt_text()


def test_the_prompt_says_where_one_is_and_whether_connected() -> None:
    desk = Desk()
    assert desk.prompt == "no room (offline)> "
    assert desk.tell(JOINED).prompt == "lobby> "
    assert desk.tell(news.Offline("Lost.", 1.0)).prompt == "lobby (offline)> "
    assert desk.tell(news.Joined("lobby", "bob", 1, (), again=True)).prompt == "lobby> "


def test_a_room_entered_becomes_the_current_one() -> None:
    desk = Desk(JOINED)
    desk.type("/join den")
    assert desk.connection.asked == [("join", {"room": "den"})]
    assert desk.tell(DEN).prompt == "den> "


def test_rooms_joined_again_after_a_loss_do_not_change_the_current_one() -> None:
    desk = Desk(JOINED)
    desk.type("/join den")
    desk.tell(DEN, news.Offline("Lost.", 1.0))
    again = [news.Joined(room, "bob", 1, (), again=True) for room in ("den", "lobby")]
    assert desk.tell(*again).prompt == "den> "


def test_going_back_to_a_room_needs_no_server() -> None:
    desk = Desk(JOINED)
    desk.type("/join den")
    desk.tell(DEN)
    desk.type("/join lobby")
    assert desk.prompt == "lobby> "
    assert len(desk.connection.asked) == 1


def test_a_join_that_is_refused_leaves_one_where_one_is() -> None:
    desk = Desk(JOINED)
    desk.type("/join den")
    desk.tell(news.Left("den", "You cannot join den: No."))
    assert (desk.prompt, desk.terminal.failure) == ("lobby> ", None)
    assert desk.lines[-1] == "-- You cannot join den: No."


def test_leaving_goes_back_to_the_room_before() -> None:
    desk = Desk(JOINED)
    desk.type("/join den")
    desk.tell(DEN)
    desk.type("/leave")
    assert desk.connection.asked[-1] == ("leave", {"room": "den"})
    assert desk.tell(news.Left("den", "You left it.")).prompt == "lobby> "
    assert desk.tell(news.Left("lobby", "You left it.")).prompt == "no room> "


def test_another_room_can_be_left_by_name() -> None:
    desk = Desk(JOINED)
    desk.type("/leave den")
    assert desk.connection.asked == [("leave", {"room": "den"})]


def test_a_conversation_can_be_the_current_room() -> None:
    desk = Desk(JOINED)
    desk.type("/join @ann")
    assert desk.prompt == "@ann> "
    desk.type("psst")
    assert desk.connection.asked == [("say", {"room": "@ann", "text": "psst"})]
    desk.type("/leave")
    assert desk.prompt == "lobby> "


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("hello", ("say", {"room": "lobby", "text": "hello"})),
        ("//who", ("say", {"room": "lobby", "text": "/who"})),
        ('@"ann lee" psst', ("say", {"room": "@ann lee", "text": "psst"})),
        ("/who", ("ask_members", {"room": "lobby"})),
        ("/history 5", ("ask_history", {"room": "lobby", "limit": 5})),
        ("/rooms", ("ask_rooms", {})),
    ],
)
def test_what_is_typed_is_done(line: str, asked: tuple[str, dict[str, Any]]) -> None:
    desk = Desk(JOINED)
    assert desk.type(line)
    assert desk.connection.asked == [asked]


def test_an_empty_line_does_nothing() -> None:
    desk = Desk(JOINED)
    before = list(desk.lines)
    assert desk.type("")
    assert (desk.connection.asked, desk.lines) == ([], before)


def test_mistakes_and_help_are_shown() -> None:
    desk = Desk(JOINED)
    assert desk.type("/nonsense")
    assert desk.lines[-1].startswith("!! There is no command /nonsense.")
    assert desk.type("/help")
    assert "/history [n]" in desk.lines[-1]


def test_quitting_ends() -> None:
    assert Desk(JOINED).type("/quit") is False


def test_without_a_room_there_is_nobody_to_talk_to() -> None:
    desk = Desk(JOINED, news.Left("lobby", "You left it."))
    for line in ("hello", "/who", "/history", "/leave"):
        assert desk.type(line)
        assert desk.lines[-1] == "!! You are in no room; /join ROOM enters one."
    assert desk.connection.asked == []


def test_what_is_said_while_offline_is_known_to_wait() -> None:
    desk = Desk(JOINED, news.Offline("Lost.", 1.0))
    desk.type("hello")
    assert desk.lines[-1] == "-- Not connected; it is sent as soon as that is possible."
    assert desk.connection.asked == [("say", {"room": "lobby", "text": "hello"})]


def test_attempts_that_fail_for_one_reason_are_told_once() -> None:
    desk = Desk(JOINED, news.Offline("Lost.", 1.0), news.Offline("Gone.", 1.0), news.Offline("Gone.", 2.0))
    assert desk.lines[-2:] == ["!! Lost. Connecting again.", "!! Gone. Connecting again."]
    desk.tell(JOINED, news.Offline("Gone.", 1.0))
    assert desk.lines[-1] == "!! Gone. Connecting again."


def test_lines_of_other_rooms_are_marked() -> None:
    desk = Desk(JOINED)
    for room in ("lobby", "den"):
        found = parse_item(item(1, "hello", room=room))
        assert found is not None
        desk.tell(news.Arrived(found))
    assert desk.lines[-2:] == ["12:00 <ann> hello", "12:00 [den] <ann> hello"]


def test_not_getting_in_is_a_failure() -> None:
    desk = Desk(news.Left("lobby", "You cannot join lobby: This name is taken."))
    assert desk.terminal.is_settled.is_set()
    assert desk.terminal.failure == "You cannot join lobby: This name is taken."


def test_the_end_of_the_connection_is_a_failure() -> None:
    desk = Desk(JOINED, news.Closed("\x1b[2JOver."))
    assert desk.terminal.failure == "\ufffd[2JOver."


class FailingConnection(FakeConnection):
    """Lets one in, and fails when the test's `moment` has come."""

    def __init__(self, terminal: Terminal, moment: threading.Event) -> None:
        super().__init__()
        self._terminal = terminal
        self._moment = moment
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        self._terminal.tell(JOINED)
        assert self._moment.wait(PATIENCE_SECONDS)
        self._terminal.tell(news.Closed("Over."))

    def close(self) -> None:
        self._thread.join(PATIENCE_SECONDS)


@pytest.mark.parametrize("waits_for_the_prompt", [True, False])
def test_a_failure_ends_the_prompt_without_a_key(
    waits_for_the_prompt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, moment = Desk(), threading.Event()
    text = desk.terminal.prompt_text
    if waits_for_the_prompt:
        monkeypatch.setattr(desk.terminal, "prompt_text", lambda: (moment.set(), text())[1])
    else:
        moment.set()
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        desk.terminal.run(FailingConnection(desk.terminal, moment))  # type: ignore[arg-type]
    assert desk.terminal.failure == "Over."


class TalkingConnection:
    """Tells something all the time, on its own thread, until it is closed or telling fails."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.has_failed = False

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        self.has_failed = True
        while not self._is_closed:
            self._terminal.tell(JOINED)
        self.has_failed = False

    def close(self) -> None:
        self._is_closed = True
        self._thread.join(PATIENCE_SECONDS)


def test_what_arrives_while_one_prompt_ends_and_the_next_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    # On another thread than the prompt's, `invalidate` now and then meets a prompt that ends, and raises.
    threads = set()
    invalidate = Application.invalidate

    def noted(app: Application[Any]) -> None:
        threads.add(threading.current_thread())
        invalidate(app)

    monkeypatch.setattr(Application, "invalidate", noted)
    desk = Desk()
    connection = TalkingConnection(desk.terminal)
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        for _ in range(300):
            keys.send_text("\r")
        keys.send_text("/quit\r")
        desk.terminal.run(connection)  # type: ignore[arg-type]
    assert not connection.has_failed
    assert threads == {threading.current_thread()}


# At a real terminal.


class Screen:
    """The client on a pseudo-terminal, and all that it wrote."""

    def __init__(self, double: ChatDouble, tmp_path: Path, *arguments: str) -> None:
        self.fd, client_fd = pty.openpty()
        program = "from chatapp.client.command import client; client()"
        words = ["--room", "lobby", "--name", "bob", "--url", double.url, *arguments]
        root = str(Path(__file__).parents[2])
        environ = {
            **os.environ,
            "PYTHONPATH": root,
            "XDG_STATE_HOME": str(tmp_path),
            "TERM": "xterm",
            "TZ": "UTC",
        }
        # Without this prompt_toolkit asks the terminal where its cursor is, and waits for the answer.
        environ["PROMPT_TOOLKIT_NO_CPR"] = "1"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *words],
            stdin=client_fd,
            stdout=client_fd,
            stderr=client_fd,
            env=environ,
            start_new_session=True,
        )
        os.close(client_fd)
        self.written = b""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.text:
            assert time.monotonic() < deadline, f"waited in vain for {text!r} in {self.text!r}"
            self._read()

    def _read(self) -> bool:
        ready, _, _ = select.select([self.fd], [], [], 0.05)
        try:
            found = os.read(self.fd, 65536) if ready else b""
        except OSError:  # the other end is closed
            return False
        self.written += found
        return bool(found)

    @property
    def text(self) -> str:
        """What was written, without the control sequences."""
        return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>])", "", self.written.decode())

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait_for_the_end(self) -> int:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end: {self.text!r}"
            self._read()
        while self._read():
            pass
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        os.close(self.fd)


@pytest.fixture
def double() -> Iterator[ChatDouble]:
    with running_double() as running:
        yield running


@pytest.fixture
def screen(double: ChatDouble, tmp_path: Path) -> Iterator[Screen]:
    screen = Screen(double, tmp_path)
    yield screen
    screen.close()


def test_a_conversation_at_the_terminal(screen: Screen, double: ChatDouble) -> None:
    screen.wait_for("You are in lobby as bob; 1 online.")
    screen.wait_for("lobby>")
    screen.type("half a li")
    screen.wait_for("half a li")
    double.say("lobby", "ann", "hello \x1b[31mbob")
    screen.wait_for("<ann> hello \ufffd[31mbob")
    screen.type("ne\r")
    screen.wait_for("<bob> half a line")
    assert double.texts("lobby")[-1] == "half a line"
    screen.type("@ann psst\r")
    screen.wait_for("[private to ann] <bob> psst")
    screen.type("/who\r")
    screen.wait_for("1 in lobby: bob")
    screen.type("/quit\r")
    assert screen.wait_for_the_end() == 0
    assert "Traceback" not in screen.text


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_ctrl_c_and_ctrl_d_end_it_cleanly(screen: Screen, key: str) -> None:
    screen.wait_for("lobby>")
    screen.type(key)
    assert screen.wait_for_the_end() == 0
    assert "Traceback" not in screen.text


def test_an_interrupt_before_the_first_room_ends_it_cleanly(double: ChatDouble, tmp_path: Path) -> None:
    double.unanswered["join room"] = 1
    screen = Screen(double, tmp_path)
    wait_until(lambda: double.called("join room"), "the join")
    os.kill(screen.process.pid, signal.SIGINT)
    assert screen.wait_for_the_end() == 0
    assert "Traceback" not in screen.text
    screen.close()


def test_the_screen_survives_a_restart_of_the_server(screen: Screen, double: ChatDouble) -> None:
    screen.wait_for("lobby>")
    double.stop()
    screen.wait_for("lobby (offline)>")
    screen.type("are you there?\r")
    screen.wait_for("it is sent as soon as that is possible")
    double.start()
    screen.wait_for("Back in lobby")
    screen.wait_for("<bob> are you there?")
    assert double.texts("lobby") == ["are you there?"]


def test_a_server_that_is_not_there_is_a_sentence_and_status_1(double: ChatDouble, tmp_path: Path) -> None:
    double.stop()
    screen = Screen(double, tmp_path)
    assert screen.wait_for_the_end() == 1
    assert f"Error: Cannot connect to {double.url}: nothing listens there." in screen.text
    assert "Traceback" not in screen.text
    screen.close()
    double.start()
