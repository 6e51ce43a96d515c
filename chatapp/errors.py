"""Every error of chatapp, each with its code on the wire and its HTTP status.

ChatError
├── SettingsError          the INI file or the environment is wrong
├── HostingError           this process cannot run the chat (threads, several workers, not patched)
└── Refusal                one request is not carried out; its sender is told why
    ├── InvalidPayload     the payload has the wrong shape
    ├── InvalidName        a user or room name that is not allowed
    ├── InvalidText        a text that is empty, too long or holds forbidden characters
    ├── NameTaken          another user has this name
    ├── NameMismatch       this connection or token belongs to another name
    ├── Unauthorized       the site does not know who this is
    ├── Forbidden          known, but not allowed to do this
    ├── NotInRoom          speaking, reading or reacting where one has not joined
    ├── NoSuchUser         a private message to nobody
    ├── NotFound           no such room or message
    ├── LimitReached       a bound of [limits]
    ├── RateLimited        too often
    ├── StorageBusy        the log could not take the message in time
    ├── StorageUnavailable the log cannot be written or read (disk full, read-only, gone)
    └── Internal           a fault of ours or of a hook; the log file says more
"""

from __future__ import annotations

from typing import Any


class ChatError(Exception):
    """The root: whatever chatapp raises on purpose is one of these."""

    #: The code that clients see; part of the wire contract.
    code = "error"
    #: The status of an HTTP answer that carries this error.
    http_status = 500

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        #: Seconds after which it makes sense to try again, if it does.
        self.retry_after = retry_after

    @property
    def message(self) -> str:
        """The sentence for the person in front of the client."""
        return str(self.args[0])

    def to_wire(self) -> dict[str, Any]:
        """The ``error`` object of an acknowledgement: ``{code, message, retry_after?}``."""
        wire: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.retry_after is not None:
            wire["retry_after"] = self.retry_after
        return wire


class SettingsError(ChatError):
    """The settings are wrong; `faults` holds a line for each."""

    code = "bad_settings"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class HostingError(ChatError):
    """This process cannot run the chat."""

    code = "bad_hosting"
    http_status = 503


class Refusal(ChatError):
    """This request is not carried out."""

    code = "refused"
    http_status = 400


class InvalidPayload(Refusal):
    """The payload has the wrong shape."""

    code = "invalid_payload"


class InvalidName(Refusal):
    """This name is not allowed."""

    code = "invalid_name"


class InvalidText(Refusal):
    """This text is not allowed."""

    code = "invalid_text"


class NameTaken(Refusal):
    """This name is taken."""

    code = "name_taken"
    http_status = 409


class NameMismatch(Refusal):
    """You are known here under another name."""

    code = "name_mismatch"
    http_status = 409


class Unauthorized(Refusal):
    """Log in first."""

    code = "unauthorized"
    http_status = 401


class InvalidToken(Refusal):
    """The page is too old: load it anew."""

    code = "invalid_token"
    http_status = 401


class Forbidden(Refusal):
    """You may not do this."""

    code = "forbidden"
    http_status = 403


class NotInRoom(Refusal):
    """You're not part of a room yet"""

    code = "not_in_room"
    http_status = 403


class NoSuchUser(Refusal):
    """Nobody has this name."""

    code = "no_such_user"
    http_status = 404


class NotFound(Refusal):
    """There is no such message."""

    code = "not_found"
    http_status = 404


class LimitReached(Refusal):
    """A limit of this server is reached."""

    code = "limit_reached"
    http_status = 403


class RateLimited(Refusal):
    """Too fast; wait a moment."""

    code = "rate_limited"
    http_status = 429


class StorageBusy(Refusal):
    """The server is busy; the message was not stored."""

    code = "storage_busy"
    http_status = 503


class StorageUnavailable(Refusal):
    """The server cannot store anything right now."""

    code = "storage_unavailable"
    http_status = 503


class Internal(Refusal):
    """Something went wrong on the server."""

    code = "internal_error"
    http_status = 500
