"""What a client did against the protocol: how its connection is closed, and what our log says."""

from __future__ import annotations

from chatapp.engine.frames import INVALID_DATA, POLICY, UNSUPPORTED


class Fault(Exception):
    """`code` closes a WebSocket (RFC 6455 section 7.4.1); `reason` is ours, and holds nothing of theirs."""

    code = POLICY

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Malformed(Fault):
    """A text that is no packet."""

    code = INVALID_DATA


class Unexpected(Fault):
    """A packet that is well-formed and not allowed here."""


class UnexpectedBinary(Fault):
    """Bytes where no attachment is awaited."""

    code = UNSUPPORTED
