"""An Engine.IO session: a client on polling, on WebSocket, or between the two."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from engineio.base_server import BaseServer

from chatapp.engine.deadlines import Deadlines
from chatapp.engine.faults import Fault, Malformed, Unexpected, UnexpectedBinary
from chatapp.engine.frames import (
    BINARY,
    GOING_AWAY,
    NORMAL,
    PONG,
    TEXT,
    Broken,
    Close,
    Event,
    Ping,
    encode_frame,
)
from chatapp.engine.packets import HostPacket, Packet, parse_packet
from chatapp.engine.payload import SEPARATED, PayloadFormat, decode_base64
from chatapp.engine.polls import Fate, Poll, WaitingPoll
from chatapp.engine.reactor import Lane, Reactor
from chatapp.engine.websocket import WebSocket
from chatapp.settings import Limits

reason = BaseServer.reason

#: Packets in the answer to one poll: python-engineio's client fails on more.
_PACKETS_PER_POLL = 16
#: What one client sent at once is worked on in such portions, for a read holds thousands of small packets.
_EVENTS_IN_A_ROW = 256
#: How long a client that polls again may take to confirm, on its other connection, the answer before.
_SETTLE_SECONDS = 0.3

_CLOSE = encode_frame(TEXT, b"1")
_PING = encode_frame(TEXT, b"2")
_PROBED = encode_frame(TEXT, b"3probe")
_NOOP = encode_frame(TEXT, b"6")

#: What a message of Engine.IO is, once parsed: a Socket.IO packet, an attachment, or a packet of Engine.IO's.
Message = Packet | bytes | str


class Host(Protocol):
    """What all sessions share."""

    reactor: Reactor
    deadlines: Deadlines
    limits: Limits
    ping_interval: float
    ping_timeout: float

    #: Handles a message, in the session's lane: may block. Raises Fault.
    on_packet: Callable[[Session, Packet | bytes], None]

    def on_end(self, session: Session) -> None:
        """Let go of the session at once. Must not block."""

    def on_ended(self, session: Session, why: str) -> None:
        """Take note of the end, in the session's lane: may block."""


class Audience(dict["Session", None]):
    """Sessions that hear the same, in the order of coming. It is in `registry` as long as there are any."""

    __slots__ = ("_key", "_registry")

    def __init__(self, registry: dict[int, Audience], key: int) -> None:
        super().__init__()
        self._registry, self._key = registry, key
        registry[key] = self

    def put(self, frame: bytes, skipped: Session | None) -> None:
        """Send a frame to all but one."""
        dirty: list[Session] = []
        for session in self:
            if session is not skipped:
                session._pending.append(frame)
                if not session._is_dirty:
                    session._is_dirty = True
                    dirty.append(session)
        if dirty:
            dirty[0]._host.reactor.flush_soon(*dirty)

    def add(self, session: Session) -> None:
        """Add a session; no-op for one that is in it."""
        if session not in self:
            self[session] = None
            session.audiences.append(self)

    def remove(self, session: Session) -> None:
        """Take a session out; no-op for one that is not in it."""
        if session in self:
            del self[session]
            session.audiences.remove(self)
            if not self:
                del self._registry[self._key]


class Session(Lane):
    """Everything in it happens in the loop's thread; what may block happens in its lane."""

    __slots__ = (
        "__weakref__",
        "_connects_until",
        "_handed",
        "_has_ponged",
        "_host",
        "_is_dirty",
        "_is_probed",
        "_is_settling",
        "_jobs",
        "_pending",
        "_poll",
        "_probe",
        "_websocket",
        "address",
        "audiences",
        "awaiting",
        "closed",
        "data",
        "is_posting",
        "namespaces",
        "sid",
    )

    #: Of the protocol.
    version = 4
    #: How its polls and posts hold packets.
    payload_format: PayloadFormat = SEPARATED
    #: What its connection is, once it is on WebSocket.
    websocket_type = WebSocket

    def __init__(self, host: Host, sid: str, address: str) -> None:
        super().__init__()
        self._host = host
        self.sid = sid
        self.address = address
        #: What python-socketio's `save_session` keeps.
        self.data: dict[str, Any] | None = None
        #: namespace -> its Socket.IO sid, once connected
        self.namespaces: dict[str, str] = {}
        #: The binary packet whose attachments are coming, and those that came.
        self.awaiting: tuple[Packet, list[bytes]] | None = None
        #: Those it belongs to until its end.
        self.audiences: list[Audience] = []
        self.closed = False
        #: Whether a POST of it is being read or handled.
        self.is_posting = False
        self._websocket: WebSocket | None = None  # None: on polling
        self._probe: WebSocket | None = None  # the one it is about to change to
        self._is_probed = False
        self._poll: Poll | WaitingPoll | None = None  # held
        self._handed: Poll | WaitingPoll | None = None  # answered, and not known to have arrived
        self._pending: list[bytes] = []  # frames, in their order
        self._is_settling = False  # it is not known yet whether the last answer has arrived
        self._is_dirty = False
        self._has_ponged = False
        self._connects_until = 0.0
        self._jobs: collections.deque[Callable[[], None]] | None = None

    # What python-engineio's server looks for

    @property
    def session(self) -> dict[str, Any]:
        """What the host keeps with a client."""
        if self.data is None:
            self.data = {}
        return self.data

    @session.setter
    def session(self, data: dict[str, Any]) -> None:
        self.data = data

    @property
    def upgraded(self) -> bool:
        """Whether it is on WebSocket."""
        return self._websocket is not None

    @property
    def is_probing(self) -> bool:
        """Whether a WebSocket of it is open that is not its transport yet."""
        return self._probe is not None

    @property
    def is_in_use(self) -> bool:
        """Whether its client may stay without having joined: no."""
        return False

    @property
    def lane(self) -> Lane:
        """See `websocket.Owner`."""
        return self

    def send(self, packet: Any) -> None:
        """Send an Engine.IO packet of python-engineio's."""
        content = packet.encode()
        is_binary = isinstance(content, bytes)
        self.put(encode_frame(BINARY, content) if is_binary else encode_frame(TEXT, content.encode()))

    def close(self, wait: bool = True, reason: str = reason.SERVER_DISCONNECT) -> None:
        """End the session, for python-engineio's server."""
        self.end(reason)

    def frames_of(self, packet: HostPacket) -> list[bytes]:
        """Return a Socket.IO packet of python-socketio's as this client understands it."""
        return packet.frames()

    # The connection

    def start(self, opened: bytes, websocket: WebSocket | None = None) -> None:
        """Begin, on WebSocket or on polling; `opened` is the first packet's frame."""
        self._websocket = websocket
        if websocket is not None:
            self.put(opened)
        self._start_heartbeat()
        self.expect_connection()

    def expect_connection(self) -> None:
        """End it unless it connects to a namespace in time: from now on, if it has left its last one."""
        self._connects_until = self._host.deadlines.clock() + self._host.limits.connect_seconds
        self._host.deadlines.after(self._host.limits.connect_seconds, self._check_connected)

    def _check_connected(self) -> None:
        if not self.namespaces and self._host.deadlines.clock() >= self._connects_until:
            self.fail(Unexpected("it did not connect in time"))

    def hold(self, poll: Poll | WaitingPoll) -> None:
        """Answer this poll when there is something to say: first what the answer before has lost."""
        self._poll = poll
        if self._handed is not None and self._handed.fate() is Fate.OPEN:
            self._is_settling = True
            self._host.deadlines.after(_SETTLE_SECONDS, self._settle)
        else:
            self._settle()

    def _settle(self) -> None:
        if self.closed or self.upgraded:
            return  # its polls are over
        self._is_settling = False
        self._recover(Fate.LOST, Fate.OPEN)
        self.flush()

    @property
    def has_poll(self) -> bool:
        """Whether a poll is held."""
        return self._poll is not None

    def _recover(self, *fates: Fate) -> None:
        """Take back what was handed to a poll, if this is what became of it."""
        handed, self._handed = self._handed, None
        if handed is not None and handed.fate() in fates:
            self._pending[:0] = handed.frames

    def poll_lost(self, poll: Poll) -> None:
        """Forget a held poll whose connection broke."""
        if self._poll is poll:
            self._poll = None

    def probe(self, websocket: WebSocket) -> None:
        """Let it change to this WebSocket, once both sides have tried it."""
        self._probe, self._is_probed = websocket, False
        self._host.deadlines.after(self._host.limits.connect_seconds, lambda: self._check_probe(websocket))

    def _check_probe(self, websocket: WebSocket) -> None:
        if self._probe is websocket:
            self._probe, self._is_probed = None, False
            websocket.close(GOING_AWAY)

    def lost(self, websocket: WebSocket, why: str = reason.TRANSPORT_CLOSE) -> None:
        """See `websocket.Owner`."""
        if websocket is self._probe:
            self._probe, self._is_probed = None, False
        elif websocket is self._websocket:
            self.end(why)

    # Heartbeat ("Heartbeat", protocol section)

    def _start_heartbeat(self) -> None:
        self._host.deadlines.after(self._host.ping_interval, self._ping)

    def _ping(self) -> None:
        if not self.closed:
            self._has_ponged = False
            self.put(_PING)
            self._host.deadlines.after(self._host.ping_timeout, self._check_pong)

    def _check_pong(self) -> None:
        if self.closed:
            return
        if not self._has_ponged:
            self.end(reason.PING_TIMEOUT)
            return
        pause = max(0.0, self._host.ping_interval - self._host.ping_timeout)
        self._host.deadlines.after(pause, self._ping)

    # Out

    def put(self, frame: bytes) -> None:
        """Send a frame after all that was put before, at the end of this round of the loop."""
        self._pending.append(frame)
        if not self._is_dirty:
            self._is_dirty = True
            self._host.reactor.flush_soon(self)

    def flush(self) -> None:
        """See `reactor.Flushable`."""
        self._is_dirty = False
        pending = self._pending
        if self.closed:
            pending.clear()
        elif self._websocket is not None:
            if pending:
                self._pending = []
                self._websocket.write(pending)
        elif self._poll is not None:
            if (pending or self._is_probed) and not self._is_settling:
                self._answer_poll(pending[:_PACKETS_PER_POLL] or [_NOOP])
                del pending[:_PACKETS_PER_POLL]
        elif sum(map(len, pending)) > self._host.limits.outbox_bytes:
            self.fail(Unexpected("it does not fetch what waits for it"))

    def _answer_poll(self, frames: list[bytes]) -> None:
        assert self._poll is not None
        poll, self._poll = self._poll, None
        self._handed = poll
        poll.answer(frames)

    # In

    def run(self, job: Callable[[], None]) -> None:
        """Do something in the lane, after what waits there."""
        if self._jobs is None:
            self._jobs = collections.deque()
        self._jobs.append(job)
        self._host.reactor.schedule(self)

    def work(self) -> None:
        """See `reactor.Lane`."""
        while self._jobs:
            self._jobs.popleft()()
        self._jobs = None
        if self._websocket is not None and self._websocket.is_readable:
            self._read(self._websocket)
        if self._probe is not None and self._probe.is_readable:
            self._read(self._probe)

    def _read(self, websocket: WebSocket) -> None:
        for number, event in enumerate(websocket.read(), 1):
            self._take(websocket, event)
            if number % _EVENTS_IN_A_ROW == 0:
                gevent.sleep(0)

    def _take(self, websocket: WebSocket, event: Event) -> None:
        if self.closed and websocket is not self._probe:
            return
        if isinstance(event, (str, bytes)):
            try:
                if websocket is self._websocket:
                    self.handle(self.parse(event))
                else:
                    self._take_probe(websocket, event)
            except Fault as fault:
                self._break(websocket, Broken(fault.code, fault.reason))
        elif isinstance(event, Ping):
            if websocket is self._websocket:
                self.put(encode_frame(PONG, event.payload))
            else:
                websocket.write([encode_frame(PONG, event.payload)])
        elif isinstance(event, Close):
            websocket.close(event.code)
            self.lost(websocket)
        else:
            self._break(websocket, event)

    def _break(self, websocket: WebSocket, event: Broken) -> None:
        if websocket is self._websocket:
            self.end(event.reason, event.code)
        else:
            websocket.close(event.code)
            self.lost(websocket)

    def _take_probe(self, websocket: WebSocket, text: str | bytes) -> None:
        """("Upgrade", protocol section)"""
        if text == "2probe":
            self._is_probed = True
            websocket.write([_PROBED])
            self.flush()  # lets a held poll go
        elif text == "5" and self._is_probed:
            self._recover(Fate.LOST)  # whoever upgrades has read its last answer to the end
            if self._poll is not None:
                self._answer_poll([_NOOP])
            self._probe, self._is_probed, self._websocket = None, False, websocket
            self.flush()
        else:
            raise Unexpected("a WebSocket says something else than its upgrade")

    def parse(self, message: str | bytes) -> Message:
        """Parse an Engine.IO packet. Raises Fault."""
        if isinstance(message, bytes):
            return message
        kind = message[:1]
        if kind == "4":
            limits = self._host.limits
            return parse_packet(message[1:], limits.json_depth, limits.attachments_per_message)
        if kind == "b":
            return decode_base64(message[1:])
        if kind in ("1", "3", "6"):
            return kind
        if kind in ("0", "2", "5"):
            raise Unexpected("a packet that is not a client's to send now")
        if kind.isascii() and kind.isdigit():
            raise Unexpected("an unknown type of packet")
        raise Malformed("a text is no packet")

    def handle(self, message: Message) -> None:
        """Handle a message, in the lane: may block. Raises Fault."""
        if self.closed:
            return
        if not isinstance(message, str):
            self._host.on_packet(self, message)
        elif message == "3":
            self._has_ponged = True
        elif message == "1":
            if self._poll is not None:
                self._answer_poll([_NOOP])
            self.end(reason.CLIENT_DISCONNECT, NORMAL)

    def await_attachments(self, packet: Packet) -> None:
        """Take what comes next as the attachments of `packet`; they have to be complete in time."""
        awaiting: tuple[Packet, list[bytes]] = (packet, [])
        self.awaiting = awaiting

        def check() -> None:
            if self.awaiting is awaiting:
                self.fail(Unexpected("attachments did not come in time"))

        self._host.deadlines.after(self._host.limits.attachment_seconds, check)

    def take_attachment(self, attachment: bytes) -> tuple[Packet, list[bytes]] | None:
        """Return the packet with all its attachments once it is complete. Raises Fault."""
        if self.awaiting is None:
            raise UnexpectedBinary("bytes that belong to nothing")
        packet, attachments = self.awaiting
        attachments.append(attachment)
        if len(attachments) < packet.attachments:
            return None
        self.awaiting = None
        return packet, attachments

    # The end

    def fail(self, fault: Fault) -> None:
        """End it because of what its client did."""
        self.end(fault.reason, fault.code)

    def end(self, why: str, code: int = NORMAL, last: bytes | None = None) -> None:
        """End it, with a last frame if there is one; no-op if it has ended. Does not block: who wants to
        know is told in the lane. By polling a client is told if it waits for an answer right now."""
        if self.closed:
            return
        self.closed = True
        pending, self._pending = self._pending, []
        if last is not None:
            pending.append(last)
        if self._websocket is not None:
            if pending:
                self._websocket.write(pending)
            self._websocket.close(code)
        elif self._poll is not None:
            self._answer_poll([*pending, _CLOSE])
        if self._probe is not None:
            self._probe.close(code)
            self._probe = None
        self._handed = None
        self.awaiting = None
        for audience in list(self.audiences):
            audience.remove(self)
        self._host.on_end(self)
        self.run(lambda: self._host.on_ended(self, why))
