"""The sections and their keys: defaults, bounds, meaning. `conf/chatapp.ini` and the README follow them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from chatapp.settings.values import (
    ANY_CASE,
    BusUrl,
    EventName,
    FilePath,
    Line,
    Origins,
    Proxies,
    Rates,
    Secret,
    SocketioPath,
    StorageUrl,
    UrlPath,
    Word,
    contradiction,
)


class Section(BaseModel):
    """A section of the INI; its fields are the keys. What a field without `repr` holds is never shown."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    #: What stands in the INI between [ and ].
    ini_name: ClassVar[str]

    @classmethod
    def ini_key(cls, field: str) -> str:
        """Return how the INI writes the key of `field`."""
        return field


class _Names(Section):
    """A section of names on the wire, all different. The INI writes its keys in upper case."""

    @classmethod
    def ini_key(cls, field: str) -> str:
        return field.upper()

    @field_validator("*")
    @classmethod
    def _check_different(cls, name: str, info: ValidationInfo) -> str:
        for other, taken in info.data.items():
            if name == taken:
                field = info.field_name or ""
                raise contradiction(f"{other.upper()} and {field.upper()} must have different names", other)
        return name


class App(Section):
    """Where the server listens, what it keeps and whom it trusts."""

    ini_name = "app"

    host: Word = Field(
        default="127.0.0.1", description="Address to listen on; `0.0.0.0` is every IPv4 address of the host"
    )
    port: int = Field(
        default=8000,
        ge=0,
        le=65535,
        description="Port to listen on; 0: any free one. `PORT` in the environment wins",
    )
    data_dir: FilePath = Field(
        default=Path("var"),
        description="Directory for what the server keeps, from the working directory if relative",
    )
    secret_key: Secret = Field(
        default="",
        repr=False,
        description="Signs guests' tokens, 16 characters or more; empty: made, and kept in `data_dir`",
    )
    socketio_path: SocketioPath = Field(default="/socket.io", description="Path of the Socket.IO endpoint")
    allowed_origins: Origins = Field(
        default=(),
        description="Whose pages may connect, as in `https://example.com`; empty: the server's own; `*`: any",
    )
    trusted_proxies: Proxies = Field(
        default=(),
        description="Whose `X-Forwarded-` headers are believed: addresses, networks, `unix` for Unix sockets",
    )
    socketio2: bool = Field(
        default=True, description="Whether pages with socket.io-client 1.x and 2.x are served too"
    )
    ping_interval_seconds: float = Field(
        default=25, ge=0.1, le=300, description="Pause between two pings to a client"
    )
    ping_timeout_seconds: float = Field(
        default=20,
        ge=0.1,
        le=300,
        description="How long a client may take to answer a ping before it counts as gone",
    )


class Events(_Names):
    """What the Socket.IO events are called."""

    ini_name = "chat.events"

    joinroom: EventName = Field(default="join room", description="Client joins a room")
    leaveroom: EventName = Field(default="leave room", description="Client leaves a room")
    newmsg: EventName = Field(
        default="new message", description="Client sends a message; server delivers one"
    )
    privatemsg: EventName = Field(default="new pm", description="Client sends a private message")
    presence: EventName = Field(default="presence", description="Server tells a room who came and went")
    members: EventName = Field(default="members", description="Client asks who is in a room")
    typing: EventName = Field(
        default="typing", description="Client types or stops typing; server tells the room"
    )
    history: EventName = Field(default="history", description="Client asks for earlier messages")
    read: EventName = Field(
        default="read", description="Client has read up to a message; server tells the room"
    )
    rooms: EventName = Field(default="rooms", description="Client asks for its rooms and unread counts")
    editmsg: EventName = Field(default="edit message", description="Client changes a message of its own")
    deletemsg: EventName = Field(default="delete message", description="Client deletes a message")
    react: EventName = Field(
        default="react", description="Client puts a reaction on a message, or takes it back"
    )
    changed: EventName = Field(
        default="message changed", description="Server tells what became of a changed message"
    )
    notice: EventName = Field(
        default="server notice", description="Server tells a user or everyone something, such as a restart"
    )


class MessageTypes(_Names):
    """What the `type` of a message says."""

    ini_name = "chat.message_types"

    generic: EventName = Field(default="generic", description="A message to a room")
    private: EventName = Field(default="private", description="A private message")
    notice: EventName = Field(
        default="notice", description="A notice of the server, such as that somebody joined"
    )


class Auth(Section):
    """Who says who a user is."""

    ini_name = "auth"

    mode: Annotated[Literal["guest", "flask", "custom"], ANY_CASE] = Field(
        default="guest",
        description="Who names users: `guest`: they do; `flask`: the site's login; `custom`: a hook of yours",
    )
    name_hold_minutes: float = Field(
        default=60, ge=0, le=525600, description="How long a guest's name stays theirs after they left"
    )
    token_days: float = Field(default=30, gt=0, le=3650, description="How long a guest's token is good for")
    site_token_hours: float = Field(
        default=12, gt=0, le=8760, description="How long a token of `chat.sign` is good for"
    )
    site_secret_key: Line = Field(
        default="",
        repr=False,
        description="The site's `SECRET_KEY`, for a chat beside the site that reads its session cookie",
    )
    site_session_cookie: Word = Field(default="session", description="The site's `SESSION_COOKIE_NAME`")
    site_user_key: Word = Field(
        default="_user_id",
        description="Where the site's session keeps the user's id (Flask-Login: `_user_id`)",
    )
    site_name_key: Word = Field(
        default="username", description="Where the session, or Flask-Login's user, keeps the name to show"
    )


class Storage(Section):
    """Where messages are kept."""

    ini_name = "storage"

    url: StorageUrl = Field(
        default="",
        repr=False,
        description="Database: empty: SQLite in `data_dir`; `sqlite:///path`; `postgresql://user:password@host/database`;"
        " `mysql://…`; `none`: nothing is stored",
    )
    synchronous: Annotated[Literal["normal", "full"], ANY_CASE] = Field(
        default="normal",
        description="SQLite: whether a power cut may lose the last messages: `normal`: yes; `full`: no, but"
        " slower",
    )
    busy_seconds: float = Field(
        default=5, ge=0.1, le=60, description="How long a write waits for a locked database"
    )
    readers: int = Field(default=4, ge=1, le=64, description="How many reads of the database run at once")


class History(Section):
    """How much of a room's past is kept and handed out."""

    ini_name = "history"

    retention_days: float = Field(
        default=0, ge=0, le=36500, description="Older messages are deleted; 0: none"
    )
    retention_entries: int = Field(
        default=0, ge=0, le=10**9, description="Messages kept in a room, the latest; 0: all"
    )
    page: int = Field(
        default=50, ge=1, le=10000, description="Messages in an answer when the client names no number"
    )
    page_limit: int = Field(default=200, ge=1, le=10000, description="Messages in an answer at most")
    catch_up: int = Field(
        default=1000,
        ge=1,
        le=100000,
        description="Messages that a returning client gets with its join at most",
    )
    page_bytes: int = Field(
        default=262144,
        ge=1024,
        le=10**8,
        description="Bytes of text in an answer, or with a join, at most; one message always fits",
    )

    @field_validator("page_limit")
    @classmethod
    def _check_page_fits(cls, page_limit: int, info: ValidationInfo) -> int:
        if page_limit < info.data.get("page", 1):
            raise contradiction(f"page must not be above page_limit ({page_limit})", "page")
        return page_limit


class Cluster(Section):
    """How several processes find each other."""

    ini_name = "cluster"

    bus: BusUrl = Field(
        default="auto",
        repr=False,
        description="How processes tell each other: `auto`: over sockets of this host; `redis://…`: Redis",
    )


class Limits(Section):
    """What one user may do, and how much of it."""

    ini_name = "limits"

    enabled: bool = Field(
        default=True, description="Whether the four rates below hold; `no` is for load tests"
    )
    messages: Rates = Field(
        default="20/second;300/minute", description="Messages, edits, deletions and reactions of one user"
    )
    joins: Rates = Field(default="60/minute", description="Joins of one user")
    reads: Rates = Field(
        default="300/minute", description="Requests of one user for history, members and rooms"
    )
    signals: Rates = Field(default="300/minute", description="Typing and read marks of one user")
    message_characters: int = Field(default=4000, ge=1, le=1_000_000, description="Characters in a message")
    message_bytes: int = Field(default=16000, ge=1, le=1_000_000, description="Bytes in a message, as UTF-8")
    username_characters: int = Field(default=32, ge=1, le=128, description="Characters in a user's name")
    room_characters: int = Field(default=64, ge=1, le=128, description="Characters in a room's name")
    rooms_per_connection: int = Field(
        default=50, ge=1, le=10000, description="Rooms that one connection is in at a time"
    )
    announce_members: int = Field(
        default=200,
        ge=0,
        le=100000,
        description="Above so many members a room hears how many come and go, not who",
    )
    members_page: int = Field(
        default=200, ge=1, le=10000, description="Members in an answer, also in that to a join"
    )
    reactions_per_message: int = Field(
        default=20, ge=0, le=1000, description="Different reactions on one message"
    )
    leave_grace_seconds: float = Field(
        default=10,
        ge=0,
        le=3600,
        description="Seconds in which a lost connection may come back before its user has left",
    )
    connections: int = Field(
        default=10000, ge=1, le=1_000_000, description="Connections at a time; more are answered 503"
    )
    connections_per_user: int = Field(
        default=50, ge=1, le=1_000_000, description="Connections of one user at a time"
    )
    connections_per_address: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Connections from one address at a time, if it is public or a trusted proxy names it",
    )
    connect_seconds: float = Field(
        default=10, gt=0, le=3600, description="How long a client may take to connect to Socket.IO"
    )
    join_seconds: float = Field(
        default=300,
        ge=0,
        le=86400,
        description="How long it may be connected before it is known who it is; 0: for ever",
    )
    frame_bytes: int = Field(
        default=65536,
        ge=1024,
        le=2**30,
        description="Bytes in one message of the transport, and in one polling request",
    )
    fragments_per_message: int = Field(
        default=128, ge=1, le=1_000_000, description="WebSocket fragments in one message"
    )
    packets_per_request: int = Field(
        default=1000, ge=1, le=1_000_000, description="Packets in one polling request"
    )
    attachments_per_message: int = Field(
        default=10, ge=0, le=1000, description="Binary attachments to one event"
    )
    attachment_seconds: float = Field(
        default=10, gt=0, le=3600, description="How long an event's attachments may take to be complete"
    )
    json_depth: int = Field(default=32, ge=4, le=1000, description="How deep JSON may be nested")
    outbox_bytes: int = Field(
        default=1_048_576,
        ge=65536,
        le=2**30,
        description="Bytes that may wait for a client that does not read; more end its connection",
    )
    pending_acks: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Acknowledgements that events of the host wait for from one client, the latest",
    )
    waiting_writes: int = Field(
        default=10000,
        ge=1,
        le=1_000_000,
        description="Messages that may wait for the database; more are refused as busy",
    )


class Web(Section):
    """The pages."""

    ini_name = "web"

    prefix: UrlPath = Field(default="/chat", description="Path of the chat's pages; `/`: the root")
    room: Line = Field(
        default="lobby",
        min_length=1,
        max_length=100,
        description="The room into which the page brings whoever comes without the name of one",
    )
    metrics: bool = Field(
        default=False,
        description="Whether there is a page of figures for Prometheus; keep it from the public",
    )


class Log(Section):
    """What the server writes about itself."""

    ini_name = "log"

    level: Annotated[Literal["debug", "info", "warning", "error"], ANY_CASE] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`"
    )


__all__ = [
    "App",
    "Auth",
    "Cluster",
    "Events",
    "History",
    "Limits",
    "Log",
    "MessageTypes",
    "Section",
    "Storage",
    "Web",
]
