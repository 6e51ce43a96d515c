"""A session of the older protocol: it is connected unasked, and it is its client that pings."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from engineio.base_server import BaseServer
from socketio.packet import CONNECT, CONNECT_ERROR

from chatapp.engine.faults import Fault, Malformed, Unexpected
from chatapp.engine.frames import TEXT, encode_frame
from chatapp.engine.packets import HostPacket, Packet
from chatapp.engine.payload import PayloadFormat
from chatapp.engine.protocol3.payload import Doubtful, from_base64, without_type
from chatapp.engine.session import Host, Message, Session
from chatapp.engine.websocket import WebSocket

#: Parameters of a namespace.
_MAX_PARAMETERS = 100


class Session3(Session):
    """`auth` is for whoever knows protocol 5's: what its client would say on connecting, were it newer."""

    __slots__ = ("_auth", "_heard_at", "_writes_once", "payload_format", "websocket_type")

    version = 3

    def __init__(
        self,
        host: Host,
        sid: str,
        address: str,
        auth: dict[str, str],
        payload_format: PayloadFormat,
        websocket_type: type[WebSocket],
    ) -> None:
        super().__init__(host, sid, address)
        self.payload_format = payload_format
        self.websocket_type = websocket_type
        self._auth = auth
        self._heard_at = 0.0
        self._writes_once = False  # its texts by polling have been UTF-8 once: it is not of 1.x

    @property
    def is_in_use(self) -> bool:
        """Whether it has a namespace of its own choice: / is not."""
        return any(namespace != "/" for namespace in self.namespaces)

    def frames_of(self, packet: HostPacket) -> list[bytes]:
        """See `Session`. An error is what the newer protocol adds to its message, if anything."""
        kind, data = packet.packet_type, packet.data
        if kind == CONNECT:
            data = None
        elif kind == CONNECT_ERROR and isinstance(data, dict):
            data = data.get("data") or data.get("message")
        else:
            return super().frames_of(packet)
        return HostPacket(kind, data, packet.namespace).frames()

    # The connection

    def start(self, opened: bytes, websocket: WebSocket | None = None) -> None:
        """See `Session`."""
        super().start(opened, websocket)
        self.run(self._connect)

    def _connect(self) -> None:
        if self.closed:
            return
        try:
            self._host.on_packet(self, Packet(CONNECT, "/", None, self._auth or None))
        except Fault as fault:
            self.fail(fault)

    # Heartbeat: whoever says nothing in the interval and the time-out together is gone

    def _start_heartbeat(self) -> None:
        self._heard_at = self._host.deadlines.clock()
        self._host.deadlines.after(self._patience, self._check_heard)

    @property
    def _patience(self) -> float:
        return self._host.ping_interval + self._host.ping_timeout

    def _check_heard(self) -> None:
        if self.closed:
            return
        rest = self._heard_at + self._patience - self._host.deadlines.clock()
        if rest > 0:
            self._host.deadlines.after(rest, self._check_heard)
        else:
            self.end(BaseServer.reason.PING_TIMEOUT)

    # In

    def parse(self, message: str | bytes) -> Message:
        """See `Session`."""
        if isinstance(message, bytes):
            return without_type(message)
        if isinstance(message, Doubtful):
            message = self._meant(message)
        kind = message[:1]
        if kind == "b":
            return from_base64(message)
        if kind == "2":
            return message
        if kind == "3":
            raise Unexpected("a packet that is not a client's to send now")
        parsed = super().parse(message)
        if isinstance(parsed, Packet) and parsed.type == CONNECT:
            if parsed.data is not None:
                raise Malformed("CONNECT has no data")
            namespace = message[2:].partition(",")[0]
            return parsed._replace(data=(self._auth | _parameters(namespace)) or None)
        return parsed

    def _meant(self, text: Doubtful) -> str:
        """Return a text as it was before it was written: as of 1.x until one cannot be."""
        if not self._writes_once:
            decoded = text.decode_again()
            if decoded is not None:
                return decoded
            self._writes_once = True
        return str(text)

    def handle(self, message: Message) -> None:
        """See `Session`."""
        self._heard_at = self._host.deadlines.clock()
        if isinstance(message, str) and message[0] == "2":
            self.put(encode_frame(TEXT, b"3" + message[1:].encode()))
        elif not self._is_asked_for_root(message):
            super().handle(message)

    def _is_asked_for_root(self, message: Message) -> bool:
        """Return whether its client asks for what it was given unasked."""
        return isinstance(message, Packet) and message[:2] == (CONNECT, "/") and "/" in self.namespaces


def _parameters(namespace: str) -> dict[str, Any]:
    """Return what stands in a namespace behind the question mark."""
    try:
        return dict(parse_qsl(namespace.partition("?")[2], max_num_fields=_MAX_PARAMETERS))
    except ValueError:
        raise Malformed("too many parameters") from None
