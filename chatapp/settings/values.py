"""The types of single settings: how each is read from text, and the sentence for one that is wrong."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from limits import parse_many
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import ErrorDetails, PydanticCustomError

#: Names of events that never reach the other side or mean something else there. `message` is none of
#: them: it is what ``socket.send()`` emits, and that travels like any event.
RESERVED_EVENTS = frozenset(
    {
        # socket.io 3 and 4, server and client: RESERVED_EVENTS
        *("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"),
        # socket.io-client 2, lib/socket.js: the `events` that its emit() keeps to itself
        *("connect_timeout", "connecting", "error", "ping", "pong", "reconnect", "reconnect_attempt"),
        *("reconnect_error", "reconnect_failed", "reconnecting"),
        # python-socketio: the handler for all other events, and one of its client's own
        *("*", "__disconnect_final"),
    }
)

#: Fewer can be guessed: of 16 random characters even hexadecimal digits make 64 bits.
MIN_SECRET_CHARACTERS = 16

#: A longer value is not repeated in the sentence about it.
_SHOWN_CHARACTERS = 60

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_URL_PATH = re.compile(r"(?:/[\w.~-]+)*", re.ASCII)
_SQLITE_FILE = re.compile(r"sqlite(?:\+pysqlite)?:///(?!:memory:)[^?\n]+")

#: SQLAlchemy's names for what a database server's URL begins with.
_SERVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mysql+pymysql": "mysql+pymysql",
    "mariadb+pymysql": "mysql+pymysql",
}
_STORAGE_URLS = (
    "must be none, sqlite:///path, postgresql://user:password@host/database"
    " or mysql://user:password@host/database"
)

_BUS_SCHEMES = {"redis", "rediss", "valkey", "valkeys", "unix", "redis+sentinel", "valkey+sentinel"}

#: What pydantic's own errors are called here.
_SENTENCES = {
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_parsing": "must be yes or no",
    "greater_than": "must be more than {gt:.10g}",
    "greater_than_equal": "must be at least {ge:.10g}",
    "less_than_equal": "must be at most {le:.10g}",
    "literal_error": "must be {expected}",
    "wrong": "{must}",
}


def wrong(must: str, value: object) -> PydanticCustomError:
    """Return the error for a `value` that is not what it `must` be (a sentence that leaves it out)."""
    return PydanticCustomError("wrong", "{must}", {"must": must, "value": value})


def contradiction(what: str, other: str) -> PydanticCustomError:
    """Return the error for a field that does not go together with the field `other` of its section."""
    return PydanticCustomError("contradiction", "{what}", {"what": what, "other": other})


def sentence(error: ErrorDetails, *, show_value: bool) -> str:
    """Return what is wrong, such as ``must be a whole number, not 'abc'``.

    The value is left out if `show_value` is false, and if it might hold a secret that was meant for
    another line (it is long, has several lines, or a = or @ in it).
    """
    context = error.get("ctx", {})
    if error["type"] == "contradiction":
        return error["msg"]
    form = _SENTENCES.get(error["type"])
    must = form.format(**context) if form else error["msg"]
    text = str(context.get("value", error["input"]))
    if "\n" in text:
        return f"{must} (the lines below it are indented, so they belong to it)"
    if not show_value or len(text) > _SHOWN_CHARACTERS or "=" in text or "@" in text:
        return must
    hint = " (a comment needs a line of its own)" if re.search(r"\s[#;]", text) else ""
    return f"{must}, not {text!r}{hint}"


def _secret(text: str) -> str:
    if text and len(text) < MIN_SECRET_CHARACTERS:
        raise wrong(f"must have at least {MIN_SECRET_CHARACTERS} characters", text)
    return _one_line(text)


def _one_line(text: str) -> str:
    if "\n" in text:
        raise wrong("must be one line", text)
    return text


def _one_word(text: str) -> str:
    if not re.fullmatch(r"\S+", text):
        raise wrong("must be one word", text)
    return text


def _file_path(value: Any) -> Any:
    if value == "":
        raise wrong("must be a path such as var", value)
    return _one_line(value) if isinstance(value, str) else value


def _event_name(text: str) -> str:
    if not text or not text.isprintable():
        raise wrong("must be a name of printable characters", text)
    if text in RESERVED_EVENTS:
        raise wrong("must be a name that Socket.IO does not keep for itself", text)
    return text


def _url_path(text: str) -> str:
    path = f"/{text.strip('/')}" if text.strip("/") else ""
    if not _URL_PATH.fullmatch(path):
        raise wrong("must be a path such as /chat", text)
    return path


def _socketio_path(text: str) -> str:
    path = _url_path(text)
    if not path:
        raise wrong("must be a path such as /socket.io", text)
    return path


def _items(value: Any) -> Any:
    return tuple(re.findall(r"[^\s,]+", value)) if isinstance(value, str) else value


def _origin(text: str) -> str:
    """Return the origin as browsers send it: lower case, without path and default port (RFC 6454, 6.2)."""
    if text == "*":
        return text
    must = "must be * or origins such as https://example.com"
    try:
        parts = urlsplit(text.lower())
        host, port = parts.netloc, parts.port
    except ValueError:
        raise wrong(must, text) from None
    if port is not None:
        host = host.rpartition(":")[0]
    # A WebSocket, too, comes with the origin of its page; ws://… would match nothing.
    if parts.scheme in ("", "ws", "wss") or not _ORIGIN_HOST.fullmatch(host):
        raise wrong(must, text)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise wrong(f"must be an origin without a path: {parts.scheme}://{parts.netloc}", text)
    implied = port is None or port == _DEFAULT_PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" if implied else f"{parts.scheme}://{host}:{port}"


def _proxy(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lower() == "unix":
        return "unix"
    try:
        address, network = ip_address(value.partition("/")[0]), ip_network(value, strict=False)
    except ValueError:
        raise wrong("must be addresses, networks such as 10.0.0.0/8, or the word unix", value) from None
    if address != network.network_address:
        raise wrong(f"must be a network such as {network}", value)
    return network


def _rates(text: str) -> str:
    must = "must be rates such as 20/second;300/minute"
    try:
        rates = parse_many(text)
    except ValueError:
        raise wrong(must, text) from None
    if any(rate.amount < 1 for rate in rates):
        raise wrong(must, text)
    return text


def _storage_url(text: str) -> str:
    if text.lower() in ("", "none"):
        return text.lower()
    return text if _SQLITE_FILE.fullmatch(text) else _server_url(text)


def _server_url(text: str) -> str:
    from sqlalchemy.engine import make_url  # takes a while to import, and most settings have none
    from sqlalchemy.exc import ArgumentError

    scheme = text.partition("://")[0].lower()
    if scheme not in _SERVERS:
        raise wrong(_STORAGE_URLS, text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # a port that is no number
        raise wrong(_STORAGE_URLS, text) from None
    if not url.database:
        raise wrong(f"must name a database, as in {scheme}://user:password@host/database", text)
    return url.set(drivername=_SERVERS[scheme]).render_as_string(hide_password=False)


def database_hosts(url: str) -> list[str]:
    """Return the hosts of a database server that the normal form of a URL names; none for a Unix socket."""
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    hosts = [parts.host or "", *parts.normalized_query.get("host", ())]
    names = {name for host in hosts for name in host.split(",")}
    return sorted(name for name in names if name and not name.startswith("/"))


def _bus_url(text: str) -> str:
    if text.lower() == "auto":
        return "auto"
    must = "must be auto or a URL such as redis://localhost:6379/0"
    try:
        parts = urlsplit(text)
        scheme, path = parts.scheme, parts.path.strip("/")
        if scheme.endswith("+sentinel"):
            database, _, service = path.rpartition("/")
            if service.isdecimal() or not service or not (database.isdecimal() or not database):
                must = "must name the database and the service: redis+sentinel://host:26379/0/service"
                raise ValueError
            places = parts.netloc.rpartition("@")[2].split(",")
            ports = [int(place.rpartition(":")[2]) for place in places if ":" in place]
            is_whole = all(places) and all(0 < port < 65536 for port in ports)
        elif scheme == "unix":
            is_whole = bool(path)
        else:
            (parts.hostname or "").encode("idna")  # raises UnicodeError for what can be no name
            is_whole = bool(parts.hostname) and parts.port != 0 and (path.isdecimal() or not path)
    except ValueError:
        raise wrong(must, text) from None
    if scheme not in _BUS_SCHEMES or not is_whole or not text.isprintable() or " " in text:
        raise wrong(must, text)
    return text


def _lower_case(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


#: Goes before a Literal: its words in any case.
ANY_CASE = BeforeValidator(_lower_case)
Line = Annotated[str, AfterValidator(_one_line)]
Word = Annotated[str, AfterValidator(_one_word)]
#: Empty, or long enough.
Secret = Annotated[str, AfterValidator(_secret)]
FilePath = Annotated[Path, BeforeValidator(_file_path)]
EventName = Annotated[str, AfterValidator(_event_name)]
#: ``/chat``, without a slash at the end; empty for the root.
UrlPath = Annotated[str, AfterValidator(_url_path)]
SocketioPath = Annotated[str, AfterValidator(_socketio_path)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_items)]
Proxy = Annotated[IPv4Network | IPv6Network | Literal["unix"], BeforeValidator(_proxy)]
Proxies = Annotated[tuple[Proxy, ...], BeforeValidator(_items)]
#: In the notation of the `limits` library, as it was written.
Rates = Annotated[str, AfterValidator(_rates)]
#: Empty: a file in the data directory; ``none``; or an SQLAlchemy URL, which names the driver.
StorageUrl = Annotated[str, AfterValidator(_storage_url)]
#: ``auto``, or where Redis or Valkey is.
BusUrl = Annotated[str, AfterValidator(_bus_url)]
