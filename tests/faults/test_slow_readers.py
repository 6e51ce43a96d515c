"""A client that does not read what it is sent is cut at a bound, costs the others nothing, and catches up."""

from __future__ import annotations

import contextlib
import http.client
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from clients import TRANSPORTS, Chatter, wait_until
from faults.census import check_released, running_census, settled, take
from faults.raw_client import RawClient
from raw_polling import RawPolling, stored_messages
from raw_websocket import RawWebSocket
from servers import ServerProcess

ROOM = "the room"
KINDS = ("websocket", "held poll", "no poll")
#: Of each kind.
READERS = 5
OUTBOX_BYTES = 256 * 1024
TEXT = "x" * 12_000
#: Messages on their way at a time.
BATCH = 5
#: Each reader's share of what the kernel holds, both ends together, is at most a few megabytes
#: (tcp_wmem, tcp_rmem); whoever has been sent this much more than its outbox holds, is not bounded.
MOST_MESSAGES = 10_000_000 // len(TEXT)

SETTINGS = {
    "LIMITS_ENABLED": "no",
    "LIMITS_LEAVE_GRACE_SECONDS": "0",
    "LIMITS_OUTBOX_BYTES": str(OUTBOX_BYTES),
    "LIMITS_MESSAGE_CHARACTERS": str(len(TEXT) + 100),
    "HISTORY_CATCH_UP": "100000",
    "HISTORY_PAGE_BYTES": "1000000",
}


class Reader:
    """A client of a kind that joins the room and then reads nothing; `read` returns the messages that are
    there for it all the same, up to its end."""

    def __init__(self, stack: ExitStack, url: str, kind: str, name: str, token: str | None) -> None:
        self._kind = kind
        self._client = stack.enter_context(
            RawWebSocket(url, receive_buffer=4096) if kind == "websocket" else RawPolling(url)
        )
        user = {"username": name} if token is None else {"token": token}
        if kind == "websocket":
            self._client.open_session()
        else:
            self._client.connect()
        self.joined = self._client.call("join room", {"roomname": ROOM, **user})
        assert self.joined["ok"], self.joined
        if kind == "held poll":
            self._client.hold(receive_buffer=4096)

    def read(self) -> list[Any]:
        packets: list[str] = []
        with contextlib.suppress(AssertionError, ConnectionError, http.client.HTTPException):
            if self._kind == "websocket":
                while True:
                    packets.append(self._client.receive_text())
            elif self._kind == "held poll":
                packets = self._client.poll().packets
        return stored_messages(packets)

    def is_refused(self) -> bool:
        """Return whether the session is over, for one that polls."""
        with contextlib.suppress(ConnectionError):
            return bool(self._client.begin("POST", "3").reply().status == 400)
        return False


@pytest.fixture(params=["serve", "conf"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    with running_census(request.param, tmp_path, **SETTINGS) as server:
        yield server


@pytest.fixture
def speak(server: ServerProcess) -> Iterator[Callable[[], int]]:
    """Say some more messages; returns how many there are."""
    with RawClient(server.port) as speaker:
        assert speaker.call("join room", {"roomname": ROOM, "username": "speaker"})["ok"]
        numbers = itertools.count(1)

        def speak() -> int:
            for _ in range(BATCH):
                speaker.send("new message", {"message": f"{next(numbers)} {TEXT}"})
            return int([speaker.receive()[1]["seq"] for _ in range(BATCH)][-1])

        yield speak


def missed(server: ServerProcess, token: str, since: dict[str, Any]) -> list[int]:
    """Come back, and return the numbers of the messages that are told of then."""
    with Chatter(server.url, auth={"token": token}) as client:
        page = client.join(ROOM, since=since)
        assert not page.get("gap")
        found = [message["seq"] for message in page["messages"]]
        while page.get("more"):
            page = client.call("history", {"room": ROOM, "after": found[-1], "limit": 200})
            found += [message["seq"] for message in page["messages"]]
        return found


def wait_for(others: list[Chatter], said: int) -> None:
    """Wait until all that was said has been heard: nobody but the readers has much of it waiting."""
    wait_until(lambda: all(len(other.messages()) >= said for other in others), "all messages")


def online(observer: Chatter) -> int:
    return int(observer.call("members", {"room": ROOM})["online"])


def test_readers_that_never_read_are_cut_and_released_while_the_others_get_everything_in_order(
    server: ServerProcess, speak: Callable[[], int]
) -> None:
    kinds = {f"{kind} {number}": kind for kind in KINDS for number in range(READERS)}
    with ExitStack() as stack:
        others = [stack.enter_context(Chatter(server.url, transport)) for transport in TRANSPORTS]
        for number, other in enumerate(others):
            other.join(ROOM, f"other-{number}")
        present = online(others[0])
        with ExitStack() as once:  # with an end, so that what is made once is made
            first = {name: Reader(once, server.url, kind, name, None) for name, kind in kinds.items()}
            tokens = {name: reader.joined["token"] for name, reader in first.items()}
        while (said := speak()) * len(TEXT) < 2 * OUTBOX_BYTES:
            wait_for(others, said)
        wait_until(lambda: online(others[0]) == present, "the first readers' end", every_seconds=0.05)
        base = settled(server)

        readers = {name: Reader(stack, server.url, kind, name, tokens[name]) for name, kind in kinds.items()}
        began = said
        while online(others[0]) > present:
            assert said - began < MOST_MESSAGES, "nobody cuts them"
            said = speak()
            wait_for(others, said)
        peak = take(server)["resident_bytes"] - base["resident_bytes"]
        print(f"cut after {said - began} messages of {len(TEXT)} bytes, memory up by {peak >> 10} KiB")
        check_released(server, base, spare_objects=20 * len(readers))
        for other in others:
            assert [message["seq"] for message in other.messages()] == list(range(1, said + 1))
            assert [text.partition(" ")[0] for text in other.texts()] == [str(n + 1) for n in range(said)]

        for name, reader in readers.items():
            if kinds[name] != "websocket":
                assert reader.is_refused()
            got = [message["seq"] for message in reader.read()]
            assert got == list(range(began + 1, began + 1 + len(got)))
            since = {"epoch": reader.joined["epoch"], "seq": began + len(got)}
            if not name.endswith(" 0"):
                continue  # one of each kind comes back
            assert missed(server, tokens[name], since) == list(range(since["seq"] + 1, said + 1))


def test_a_reader_that_is_slow_but_reads_is_not_cut(server: ServerProcess, speak: Callable[[], int]) -> None:
    """What has left for the kernel is no longer in the outbox: only what waits there counts."""
    with RawWebSocket(server.url, receive_buffer=4096) as reader:
        reader.open_session()
        joined = reader.call("join room", {"roomname": ROOM, "username": "slow"})
        got: list[Any] = []
        while len(got) * len(TEXT) < 4 * OUTBOX_BYTES:
            said = speak()
            while len(got) + joined["last_seq"] < said:
                got += stored_messages([reader.receive_text()])
        assert reader.socket.gettimeout() and reader.socket.fileno() >= 0
        assert [message["seq"] for message in got] == list(range(1, len(got) + 1))
        assert reader.call("rooms", {}, number=7)["ok"]
