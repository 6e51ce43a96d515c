"""WebSockets whose attachments are packets with a type."""

from __future__ import annotations

from chatapp.engine.frames import BINARY, TEXT, decode_frame, encode_frame
from chatapp.engine.protocol3.payload import in_base64, with_type
from chatapp.engine.websocket import WebSocket

_WHOLE_BINARY = 0x80 | BINARY


class WebSocket3(WebSocket):
    """Takes frames as the newer protocol has them."""

    __slots__ = ()

    def write(self, frames: list[bytes]) -> None:
        """See `WebSocket`."""
        super().write([self._typed(frame) if frame[0] == _WHOLE_BINARY else frame for frame in frames])

    @staticmethod
    def _typed(frame: bytes) -> bytes:
        return encode_frame(BINARY, with_type(decode_frame(frame)[1]))


class TextWebSocket3(WebSocket3):
    """For clients that take no binary frames (`b64=1`)."""

    __slots__ = ()

    @staticmethod
    def _typed(frame: bytes) -> bytes:
        return encode_frame(TEXT, in_base64(decode_frame(frame)[1]).encode())
