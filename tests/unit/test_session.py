"""A session between polls and WebSocket: nothing is lost, doubled or out of its order on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from chatapp.engine.deadlines import Deadlines
from chatapp.engine.faults import Fault, Unexpected
from chatapp.engine.frames import TEXT, decode_frame, encode_frame
from chatapp.engine.packets import Packet
from chatapp.engine.polls import Fate
from chatapp.engine.reactor import Reactor
from chatapp.engine.session import Session
from chatapp.settings import Limits

SETTLED_SECONDS = 0.4


class Host:
    """What a session works with; notes what it is told."""

    ping_interval, ping_timeout = 100.0, 100.0

    def __init__(self) -> None:
        self.reactor, self.deadlines = Reactor(), Deadlines()
        self.reactor.open()
        self.limits = Limits(outbox_bytes=65536)
        self.packets: list[Packet | bytes] = []
        self.ends: list[str] = []

    def on_packet(self, session: Session, packet: Packet | bytes) -> None:
        self.packets.append(packet)

    def on_end(self, session: Session) -> None:
        """Nothing is kept here."""

    def on_ended(self, session: Session, why: str) -> None:
        self.ends.append(why)


class Poll:
    """A poll whose answer has the fate that a test wants."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.is_answered = False
        self.becomes = Fate.ARRIVED

    def answer(self, frames: list[bytes]) -> None:
        assert not self.is_answered
        self.frames, self.is_answered = frames, True

    def fate(self) -> Fate:
        return self.becomes

    @property
    def texts(self) -> list[str]:
        return [decode_frame(frame)[1].decode() for frame in self.frames]


class WebSocket:
    """A WebSocket that takes everything."""

    is_readable = False

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.code: int | None = None

    def write(self, frames: list[bytes]) -> None:
        self.texts += [decode_frame(frame)[1].decode() for frame in frames]

    def close(self, code: int) -> None:
        self.code = code


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.deadlines.close()
    host.reactor.close()


@pytest.fixture
def session(host: Host) -> Any:
    session = Session(host, "sid", "")
    session.start(b"")
    return session


def say(session: Session, *texts: str) -> None:
    """Send these, and wait for the end of the loop's round."""
    for text in texts:
        session.put(encode_frame(TEXT, text.encode()))
    gevent.sleep(0)
    gevent.sleep(0)


def held(session: Session) -> Any:
    poll = Poll()
    session.hold(poll)  # type: ignore[arg-type]
    return poll


def test_a_poll_is_answered_with_what_waits_or_when_something_comes(session: Session) -> None:
    say(session, "a", "b")
    assert held(session).texts == ["a", "b"]
    second = held(session)
    assert not second.is_answered and session.has_poll
    say(session, "c", "d")
    assert second.texts == ["c", "d"] and not session.has_poll


def test_a_poll_is_answered_with_as_much_as_any_client_takes(session: Session) -> None:
    texts = [str(number) for number in range(40)]
    say(session, *texts)
    polls = [held(session) for _ in range(3)]
    assert [len(poll.texts) for poll in polls] == [16, 16, 8]
    assert [text for poll in polls for text in poll.texts] == texts


def test_what_a_lost_answer_held_comes_with_the_next_before_all_that_is_newer(session: Session) -> None:
    say(session, "a", "b")
    first = held(session)
    say(session, "c")
    first.becomes = Fate.LOST
    assert held(session).texts == ["a", "b", "c"]


def test_what_has_arrived_does_not_come_again(session: Session) -> None:
    say(session, "a")
    held(session)
    say(session, "b")
    assert held(session).texts == ["b"]


@pytest.mark.parametrize(
    ("fate", "texts"), [(Fate.ARRIVED, ["b"]), (Fate.LOST, ["a", "b"]), (Fate.OPEN, ["a", "b"])]
)
def test_while_an_answer_may_be_on_its_way_the_next_one_waits(
    session: Session, fate: Fate, texts: list[str]
) -> None:
    say(session, "a")
    first = held(session)
    first.becomes = Fate.OPEN
    second = held(session)
    say(session, "b")
    assert not second.is_answered
    first.becomes = fate
    gevent.sleep(SETTLED_SECONDS)
    assert second.texts == texts


def test_what_nobody_fetches_ends_the_session_at_the_bound(host: Host, session: Session) -> None:
    say(session, "x" * 60_000)
    assert not session.closed
    say(session, "x" * 6_000)
    assert session.closed and host.ends == ["it does not fetch what waits for it"]


def upgraded(session: Session) -> Any:
    websocket = WebSocket()
    session.probe(websocket)  # type: ignore[arg-type]
    session._take(websocket, "2probe")  # type: ignore[arg-type]
    assert websocket.texts == ["3probe"]
    return websocket


def test_an_upgrade_lets_the_held_poll_go_and_goes_on_where_polling_stopped(session: Session) -> None:
    poll = held(session)
    websocket = upgraded(session)
    assert poll.texts == ["6"]
    assert held(session).texts == ["6"]  # nothing is held any more
    say(session, "a", "b")
    session._take(websocket, "5")
    assert session.upgraded and websocket.texts == ["3probe", "a", "b"]
    say(session, "c")
    assert websocket.texts == ["3probe", "a", "b", "c"]


def test_what_polling_lost_comes_over_the_websocket_and_what_it_did_not_lose_does_not(
    session: Session,
) -> None:
    say(session, "a")
    first = held(session)
    websocket = upgraded(session)
    first.becomes = Fate.LOST
    session._take(websocket, "5")
    assert websocket.texts == ["3probe", "a"]


def test_whoever_upgrades_has_read_its_last_answer(session: Session) -> None:
    say(session, "a")
    first = held(session)
    first.becomes = Fate.OPEN
    websocket = upgraded(session)
    session._take(websocket, "5")
    gevent.sleep(SETTLED_SECONDS)
    assert websocket.texts == ["3probe"]


def test_a_websocket_that_says_something_else_fails_alone(host: Host, session: Session) -> None:
    websocket = WebSocket()
    session.probe(websocket)  # type: ignore[arg-type]
    session._take(websocket, '42["say"]')  # type: ignore[arg-type]
    assert websocket.code == 1008 and not session.closed and host.packets == []
    assert not session.is_probing


def test_an_end_tells_who_waits_and_comes_once(host: Host, session: Session) -> None:
    poll = held(session)
    session.put(encode_frame(TEXT, b"a"))
    session.end("done", last=encode_frame(TEXT, b"goodbye"))
    session.end("again")
    gevent.sleep(0.01)
    assert poll.texts == ["a", "goodbye", "1"] and host.ends == ["done"]
    say(session, "b")  # no-op


def test_an_end_on_websocket_closes_it_with_its_code(host: Host) -> None:
    session, websocket = Session(host, "sid", ""), WebSocket()
    session.start(encode_frame(TEXT, b"0{}"), websocket)  # type: ignore[arg-type]
    session.fail(Unexpected("a fault"))
    gevent.sleep(0.01)
    assert (websocket.texts, websocket.code, host.ends) == (["0{}"], 1008, ["a fault"])


@pytest.mark.parametrize("packet", ["", "0", "2", "5", "7", "x", "é", "²"])
def test_what_a_client_has_no_business_to_send_is_a_fault(session: Session, packet: str) -> None:
    with pytest.raises(Fault):
        session.parse(packet)
