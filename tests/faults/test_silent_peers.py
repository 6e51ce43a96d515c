"""Peers that have gone without a word leave the room in time, and all that they took goes with them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from clients import Chatter, wait_until
from faults.census import COMMANDS, check_released, running_census, settled
from raw_polling import RawPolling
from raw_websocket import RawWebSocket
from tcp_proxy import TcpProxy

PING_SECONDS = 0.5
#: How much later than a ping's interval and timeout a silent peer may still be there.
LATE_SECONDS = 5
#: Peers of each kind.
CROWD = 25
ROOM = "the room"

SETTINGS = {
    "APP_PING_INTERVAL_SECONDS": str(PING_SECONDS),
    "APP_PING_TIMEOUT_SECONDS": str(PING_SECONDS),
    "LIMITS_ENABLED": "no",
    "LIMITS_LEAVE_GRACE_SECONDS": "0",
}

#: Opens a connection to a server, joins as this user, and falls silent.
Opener = Callable[[ExitStack, str, dict[str, Any]], Any]


def websocket(stack: ExitStack, url: str, user: dict[str, Any]) -> Any:
    """It reads nothing and answers no ping, as a host that has lost its power."""
    client = stack.enter_context(RawWebSocket(url))
    client.open_session()
    return client.call("join room", {"roomname": ROOM, **user})


def polling_that_stops(stack: ExitStack, url: str, user: dict[str, Any]) -> Any:
    """It never polls again."""
    client = stack.enter_context(RawPolling(url))
    client.connect()
    return client.call("join room", {"roomname": ROOM, **user})


def polling_that_waits(stack: ExitStack, url: str, user: dict[str, Any]) -> Any:
    """A poll of its own is held, and that is all."""
    client = stack.enter_context(RawPolling(url))
    client.connect()
    joined = client.call("join room", {"roomname": ROOM, **user})
    client.hold()
    return joined


#: The last two lead through a proxy too, which then swallows what both sides send.
OPENERS: list[Opener] = [websocket, polling_that_stops, polling_that_waits]


class Crowd:
    """The same users each time, so that what the server keeps of a user is not counted."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def come(self, stack: ExitStack, urls: list[str]) -> None:
        for number in range(CROWD):
            for opener in OPENERS:
                for url in urls:
                    name = f"{opener.__name__}-{urls.index(url)}-{number}"
                    known = {"token": self._tokens[name]} if name in self._tokens else {"username": name}
                    joined = opener(stack, url, known)
                    assert joined["ok"], joined
                    self._tokens[name] = joined["token"]


@contextmanager
def stopped_client(url: str, observer: Chatter) -> Iterator[None]:
    """A real client in the room, whose process is stopped."""
    node = shutil.which("node")
    assert node, "there is no Node.js: `make test` brings one"
    script = Path(__file__).parents[1] / "node" / "article_client.js"
    process = subprocess.Popen(
        [node, str(script), url, "websocket", ROOM, "sleeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: "sleeper" in here(observer), "the client's join")
        os.kill(process.pid, signal.SIGSTOP)
        yield
    finally:
        process.kill()
        process.communicate()


def here(observer: Chatter) -> list[str]:
    members = observer.call("members", {"room": ROOM})["members"]
    return [member["username"] for member in members]


class Scene:
    """A server with an observer in the room, and then the crowd."""

    def __init__(self, stack: ExitStack, hosting: str, directory: Path) -> None:
        self.hosting = hosting
        self._stack = stack
        self.server = stack.enter_context(running_census(hosting, directory, **SETTINGS))
        self.observer = stack.enter_context(Chatter(self.server.url))
        self.observer.join(ROOM, "observer")
        self._crowd = Crowd()
        self._silent_since = 0.0
        self._base: dict[str, int] = {}

    def rehearse(self) -> None:
        """Have the crowd there once with an end, so that what is made once is made."""
        with ExitStack() as once:
            self._crowd.come(once, [self.server.url, self.server.url])

    def measure(self) -> None:
        """Note what the server holds without them."""
        self._wait_until_alone()
        self._base = settled(self.server)

    def fall_silent(self) -> None:
        proxy = self._stack.enter_context(TcpProxy(self.server.port))
        self._stack.enter_context(stopped_client(self.server.url, self.observer))
        self._crowd.come(self._stack, [self.server.url, proxy.url])
        proxy.swallow()
        self._silent_since = time.monotonic()

    def check_presence(self) -> None:
        self._wait_until_alone()
        took = time.monotonic() - self._silent_since
        assert took < 2 * PING_SECONDS + LATE_SECONDS, self.hosting

    def check_release(self) -> None:
        try:
            check_released(self.server, self._base, spare_objects=10 * len(OPENERS) * CROWD)
        except AssertionError as fault:
            raise AssertionError(self.hosting) from fault
        assert self.observer.sio.connected and self.observer.say("still here")["seq"] == 1

    def _wait_until_alone(self) -> None:
        wait_until(lambda: here(self.observer) == ["observer"], "an empty room", every_seconds=0.05)


def test_silent_peers_leave_the_room_in_time_and_take_with_them_all_that_they_held(tmp_path: Path) -> None:
    """In every hosting, all at the same time: most of it is waiting."""
    with ExitStack() as stack:
        scenes = [Scene(stack, hosting, tmp_path / hosting) for hosting in COMMANDS]
        for step in (
            Scene.rehearse,
            Scene.measure,
            Scene.fall_silent,
            Scene.check_presence,
            Scene.check_release,
        ):
            for scene in scenes:
                step(scene)


def test_a_polling_client_that_takes_its_pings_and_answers_none_is_gone_too(tmp_path: Path) -> None:
    with running_census("serve", tmp_path, **SETTINGS) as server, Chatter(server.url) as observer:
        observer.join(ROOM, "observer")
        with RawPolling(server.url) as client:
            client.connect()
            assert client.call("join room", {"roomname": ROOM, "username": "mute"})["ok"]
            silent, packets = time.monotonic(), list[str]()
            while (answer := client.poll()).status == 200 and "1" not in answer.packets:
                packets += answer.packets
                assert time.monotonic() - silent < 2 * PING_SECONDS + LATE_SECONDS
            assert "2" in packets
        wait_until(lambda: here(observer) == ["observer"], "the leave")
        assert time.monotonic() - silent < 2 * PING_SECONDS + LATE_SECONDS
