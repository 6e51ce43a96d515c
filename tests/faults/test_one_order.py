"""A room has one order, and a connection's events theirs, on every transport and under concurrency."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from clients import TRANSPORTS, Chatter, wait_until
from faults.upgrade import upgrade
from raw_polling import RawPolling
from raw_websocket import RawWebSocket
from servers import PATIENCE_SECONDS, ServerProcess, running

SETTINGS = {"LIMITS_ENABLED": "no", "APP_PING_INTERVAL_SECONDS": "300"}

#: Speakers of each kind, what each says, and how much of it in one request or one write.
SPEAKERS = 3
MESSAGES = 60
AT_ONCE = 6


@pytest.fixture(scope="module", params=["serve", "conf"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    with running(request.param, tmp_path_factory.mktemp("order"), **SETTINGS) as server:
        yield server


class Line:
    """A raw connection, by polling, by WebSocket, or by the first and after a while by the second."""

    def __init__(self, stack: ExitStack, url: str, transport: str) -> None:
        self._stack = stack
        self._is_to_upgrade = transport == "upgrade"
        self._socket: RawWebSocket | None = None
        self._packets: list[str] = []
        if transport == "websocket":
            self._socket = stack.enter_context(RawWebSocket(url))
            self._socket.open_session()
        else:
            self._polling = stack.enter_context(RawPolling(url))
            self._polling.connect()

    def send(self, packets: list[str]) -> None:
        """Send packets in one request, or in frames one right after the other."""
        if self._socket is None:
            self._polling.post(*packets)
        else:
            for packet in packets:
                self._socket.say(packet)

    def receive(self) -> str:
        """Return the next packet."""
        while not self._packets:
            if self._socket is not None:
                return self._socket.receive_text()
            self._packets += [packet for packet in self._polling.poll().packets if packet != "6"]
        return self._packets.pop(0)

    def begin_upgrade(self) -> None:
        """Change to WebSocket, if that is what it is to do and has not done yet."""
        if self._is_to_upgrade and self._socket is None:
            self._socket, rest = upgrade(self._stack, self._polling)
            self._packets += rest


class Speaker(threading.Thread):
    """Says its messages without waiting, and reads. `log` has what came, in the order in which it came:
    ``(seq, text)``, a message's own or its acknowledgement's."""

    def __init__(self, line: Line, room: str, name: str) -> None:
        super().__init__(daemon=True)
        self.log: list[tuple[int, str]] = []
        self.acknowledged: list[int] = []
        self.fault: BaseException | None = None
        self.name = name
        self._line = line
        join = {"roomname": room, "username": name}
        line.send(["420" + json.dumps(["join room", join])])
        while not line.receive().startswith("430["):
            pass

    def texts(self) -> list[str]:
        return [f"{self.name} {number}" for number in range(MESSAGES)]

    def run(self) -> None:
        try:
            for number in range(0, MESSAGES, AT_ONCE):
                self._line.send([self._packet(number + place) for place in range(AT_ONCE)])
                self._take()
                if number == MESSAGES // 2:
                    self._line.begin_upgrade()
        except BaseException as fault:
            self.fault = fault
            raise

    def finish(self, count: int) -> None:
        """Read until so many messages are there."""
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive() and self.fault is None
        while len(self.log) < count:
            self._take()

    def _packet(self, number: int) -> str:
        return f"42{number + 1}" + json.dumps(["new message", {"message": f"{self.name} {number}"}])

    def _take(self) -> None:
        packet = self._line.receive()
        kind, bracket, rest = packet.partition("[")
        if kind == "42":
            event, payload = json.loads(bracket + rest)
            if event == "new message" and "seq" in payload:
                self.log.append((payload["seq"], payload["message"]))
        elif kind.startswith("43"):
            [answer] = json.loads(bracket + rest)
            assert answer["ok"], answer
            number = int(kind[2:])
            self.acknowledged.append(number)
            self.log.append((answer["seq"], f"{self.name} {number - 1}"))


def test_all_members_see_one_sequence_without_holes_whoever_speaks_by_whatever_transport(
    server: ServerProcess,
) -> None:
    """Each message and each acknowledgement is at its place, and nothing is out of its place for a moment."""
    room, count = "one order", SPEAKERS * len(TRANSPORTS) * MESSAGES
    with ExitStack() as stack:
        listeners = [stack.enter_context(Chatter(server.url, transport)) for transport in TRANSPORTS]
        for transport, listener in zip(TRANSPORTS, listeners, strict=True):
            listener.join(room, f"listener {transport}")
        speakers = [
            Speaker(Line(stack, server.url, transport), room, f"{transport} {number}")
            for number in range(SPEAKERS)
            for transport in TRANSPORTS
        ]
        for speaker in speakers:
            speaker.start()
        for speaker in speakers:
            speaker.finish(count)
        history = speakers[0].log
        assert [seq for seq, _ in history] == list(range(1, count + 1))
        for speaker in speakers:
            assert speaker.log == history
            assert speaker.acknowledged == list(range(1, MESSAGES + 1))
            assert [text for _, text in history if text.startswith(speaker.name)] == speaker.texts()
        for listener in listeners:
            wait_until(lambda listener=listener: len(listener.messages()) >= count, "all messages")
            heard = [(message["seq"], message["message"]) for message in listener.messages()]
            assert heard == history


def outcomes(line: Line, packets: list[str], count: int) -> list[tuple[int, Any]]:
    """Send these at once; return the acknowledgements, ``(number, answer)``, in their order."""
    line.send(packets)
    found: list[tuple[int, Any]] = []
    while len(found) < count:
        kind, bracket, rest = line.receive().partition("[")
        if kind.startswith("43"):
            found.append((int(kind[2:]), json.loads(bracket + rest)[0]))
    return found


@pytest.fixture
def line(server: ServerProcess) -> Iterator[Callable[[str], Line]]:
    with ExitStack() as stack:
        yield lambda transport: Line(stack, server.url, transport)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_what_one_connection_sends_at_once_takes_effect_in_its_order(
    line: Callable[[str], Line], transport: str
) -> None:
    """Each event needs what the one before it did: joining, storing, changing, leaving."""
    room = f"in turn {transport}"
    steps: list[tuple[str, Any]] = [
        ("new message", {"room": room, "message": "too early"}),
        ("join room", {"roomname": room, "username": f"ann {transport}"}),
        ("new message", {"room": room, "message": "first"}),
        ("edit message", {"room": room, "seq": 1, "message": "first, edited"}),
        ("react", {"room": room, "seq": 1, "emoji": "👍", "on": True}),
        ("new message", {"room": room, "message": "second"}),
        ("delete message", {"room": room, "seq": 4}),
        ("leave room", {"roomname": room}),
        ("new message", {"room": room, "message": "too late"}),
        ("join room", {"roomname": room}),
        ("history", {"room": room, "after": 0}),
    ]
    packets = [f"42{number}" + json.dumps(step) for number, step in enumerate(steps)]
    answers = dict(outcomes(line(transport), packets, len(steps)))
    is_ok = [answers[number]["ok"] for number in range(len(steps))]
    assert is_ok == [False, *[True] * 7, False, True, True], answers
    assert [answers[number]["seq"] for number in (2, 3, 4, 5, 6)] == [1, 2, 3, 4, 5]
    assert answers[9]["last_seq"] == 5


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_acknowledgements_of_one_kind_come_in_the_order_of_what_they_acknowledge(
    line: Callable[[str], Line], transport: str
) -> None:
    ann = line(transport)
    room = f"acknowledged {transport}"
    join = json.dumps(["join room", {"roomname": room, "username": f"bob {transport}"}])
    assert outcomes(ann, [f"420{join}"], 1)[0][1]["ok"]
    packets = [f"42{number}" + json.dumps(["new message", str(number)]) for number in range(1, 201)]
    found = outcomes(ann, packets, 200)
    assert [(number, answer["seq"]) for number, answer in found] == [(n, n) for n in range(1, 201)]
