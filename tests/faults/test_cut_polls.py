"""Long polling loses nothing when its connections are cut: the next poll or the catch-up has it all."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from clients import Chatter, wait_until
from faults.raw_client import RawClient
from party import Party
from raw_polling import Exchange, RawPolling, stored_messages
from servers import HOSTINGS, ServerProcess, running
from tcp_proxy import TcpProxy

SETTINGS = {"LIMITS_ENABLED": "no", "HISTORY_CATCH_UP": "100000"}
CUTS = 10


@pytest.fixture(scope="module", params=HOSTINGS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    with running(request.param, tmp_path_factory.mktemp("polls"), **SETTINGS) as server:
        yield server


@pytest.fixture
def party(server: ServerProcess) -> Iterator[Party]:
    party = Party(server.url)
    yield party
    party.close()


class Poller:
    """A raw session that has joined the party's room; `got` is what its polls have brought so far."""

    def __init__(self, stack: ExitStack, party: Party, url: str, name: str = "poller") -> None:
        self.client = stack.enter_context(RawPolling(url))
        self.client.connect()
        request = {"roomname": party.room, "username": party.named(name)}
        self.joined = self.client.call("join room", request)
        assert self.joined["ok"], self.joined
        self.got: list[Any] = []
        self.drain()

    def drain(self, count: int = 0) -> None:
        """Poll until so many messages are there, and then all else that waits."""
        while len(self.got) < count:
            self.got += self.client.messages(1)
        number = 77 + len(self.got)
        self.client.post(f'42{number}["rooms"]')  # its acknowledgement comes after all that waits
        for packet in self.client.packets():
            self.got += stored_messages([packet])
            if packet.startswith(f"43{number}["):
                return

    def texts(self) -> list[str]:
        return [message["message"] for message in self.got]


def test_a_held_poll_that_is_cut_before_its_answer_loses_nothing(server: ServerProcess, party: Party) -> None:
    """However its connection ends, whether the end comes before the message or right after it."""
    with ExitStack() as stack:
        poller, ann = Poller(stack, party, server.url), party.guest("ann")
        poller.drain()
        said = 0
        for end in (Exchange.reset, Exchange.close):
            for is_late in (False, True):
                held = poller.client.hold()
                poller.client.post("3")  # answered after the poll has been taken up
                if is_late:
                    ann.say(f"text {said}")
                    end(held)
                else:
                    end(held)
                    ann.say(f"text {said}")
                poller.client.held = None
                said += 1
                poller.drain(said)
                assert poller.texts() == [f"text {number}" for number in range(said)]


def test_a_held_poll_that_is_cut_behind_a_proxy_loses_nothing(server: ServerProcess, party: Party) -> None:
    with ExitStack() as stack:
        proxy = stack.enter_context(TcpProxy(server.port))
        poller, ann = Poller(stack, party, proxy.url), party.guest("ann")
        poller.drain()
        for number in range(3):
            held = poller.client.hold()
            poller.client.post("3")
            proxy.cut()
            held.close()
            poller.client.held = None
            ann.say(f"text {number} a")
            ann.say(f"text {number} b")
            poller.drain(2 * number + 2)
        assert poller.texts() == [f"text {number} {part}" for number in range(3) for part in "ab"]


@pytest.mark.parametrize("is_held", [True, False], ids=["a held poll", "a poll answered at once"])
@pytest.mark.parametrize("share", ["head", "body", "all"])
def test_an_answer_that_is_cut_on_its_way_is_had_by_the_next_poll_or_by_a_catch_up(
    server: ServerProcess, party: Party, is_held: bool, share: str
) -> None:
    """`share` is how much of it still came through: 20 bytes, all but 20, none that the client takes."""
    cuts = {"head": lambda piece: 20, "body": lambda piece: len(piece) - 20, "all": lambda piece: 0}
    done = threading.Event()

    def cut(asked: bytes, piece: bytes) -> int | None:
        if not asked.startswith(b"GET") or b"text 0" not in piece or done.is_set():
            return None
        done.set()
        return cuts[share](piece)

    texts = [f"text {number} " + "x" * 40 for number in range(3)]
    with ExitStack() as stack:
        proxy = stack.enter_context(TcpProxy(server.port, cut))
        poller, ann = Poller(stack, party, proxy.url), party.guest("ann")
        poller.drain()
        if is_held:
            poller.client.hold()
            poller.client.post("3")
        for text in texts:
            ann.say(text)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            poller.client.poll()
            while not done.is_set():  # something else was told first
                poller.client.poll()
        assert done.is_set()
        ann.say("last")
        poller.drain(1)
        assert poller.texts() == [*texts, "last"]
        since = {"epoch": poller.joined["epoch"], "seq": poller.joined["last_seq"]}
        with Chatter(server.url, auth={"token": poller.joined["token"]}) as again:
            caught_up = again.join(party.room, since=since)
        assert [message["message"] for message in caught_up["messages"]] == [*texts, "last"]


def test_what_a_client_got_and_acknowledged_by_its_end_is_not_sent_again(
    server: ServerProcess, party: Party
) -> None:
    """The counterpart: an answer that was read to its end is not repeated, in hundreds of polls."""
    with ExitStack() as stack:
        poller, ann = Poller(stack, party, server.url), RawClient(server.port)
        stack.enter_context(ann)
        assert ann.call("join room", {"roomname": party.room, "username": party.named("ann")})["ok"]
        for number in range(200):
            ann.send("new message", {"message": str(number)})
        poller.drain(200)
        assert poller.texts() == [str(number) for number in range(200)]


class Follower:
    """python-socketio's client, polling. It gives up a session whose poll fails, and then comes back with
    `since`. `got` is all it received, in order."""

    def __init__(self, url: str, party: Party) -> None:
        first = party.guest("follower")
        first.close()
        self.got: list[Any] = []
        self._url = url
        self._room = party.room
        self._token = first.token
        self._epoch, self._seq = first.joined["epoch"], first.joined["last_seq"]

    def follow(self, may_be_cut: threading.Event, enough: Callable[[int], bool]) -> None:
        """Be connected until the connection is lost, or until so many messages are enough."""
        with Chatter(self._url, "polling", auth={"token": self._token}) as client:
            joined = client.join(self._room, since={"epoch": self._epoch, "seq": self._seq})
            assert not joined.get("gap") and not joined.get("more")
            self.got += joined["messages"]
            may_be_cut.set()
            wait_until(
                lambda: not client.sio.connected or enough(len(self.got) + len(client.messages())),
                "the loss of the connection, or all messages",
            )
            may_be_cut.clear()
        self.got += client.messages()
        self._seq = self.got[-1]["seq"] if self.got else self._seq


def test_a_polling_client_behind_a_proxy_that_cuts_now_and_then_has_everything_once_and_in_order(
    server: ServerProcess, party: Party
) -> None:
    dice, cuts, may_be_cut = random.Random(7), [0], threading.Event()

    def cut(asked: bytes, piece: bytes) -> int | None:
        if not may_be_cut.is_set() or not asked.startswith(b"GET") or dice.random() > 0.1:
            return None
        cuts[0] += 1
        return dice.choice([0, len(piece) // 2])

    said, enough = [0], threading.Event()
    with TcpProxy(server.port, cut) as proxy, RawClient(server.port) as speaker:
        follower = Follower(proxy.url, party)
        name = party.named("speaker")
        assert speaker.call("join room", {"roomname": party.room, "username": name})["ok"]

        def speak() -> None:
            while cuts[0] < CUTS and not enough.is_set():
                said[0] += 1
                speaker.call("new message", {"message": f"text {said[0]}"})

        speaking = threading.Thread(target=speak)
        speaking.start()

        def has_all(count: int) -> bool:
            return not speaking.is_alive() and count == said[0]

        try:
            while not has_all(len(follower.got)):
                follower.follow(may_be_cut, has_all)
        finally:
            enough.set()
            speaking.join()
    print(f"{said[0]} messages, {cuts[0]} cuts")
    assert [message["seq"] for message in follower.got] == list(range(1, said[0] + 1))
    assert [message["message"] for message in follower.got] == [f"text {n + 1}" for n in range(said[0])]
