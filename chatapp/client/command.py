"""``chatapp client``: its options, and what each way of using it ends with."""

from __future__ import annotations

import math
import os
import queue
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import click

from chatapp.client import news
from chatapp.client.connection import Connection
from chatapp.client.link import DEFAULT_USER_AGENT, Target, allow_long_polls
from chatapp.client.render import Renderer
from chatapp.client.script import Script, ScriptError
from chatapp.client.session import Session
from chatapp.client.tokens import TokenFile, default_path
from chatapp.errors import SettingsError
from chatapp.settings import Settings, load_settings

#: What a cookie's name may consist of: a token (RFC 6265 4.1.1).
_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TRANSPORTS = {"auto": None, "websocket": ("websocket",), "polling": ("polling",)}
#: The status a shell gives to a command ended by SIGINT: 128 and its number.
_INTERRUPTED_STATUS = 130


def _parse_url(context: click.Context, option: click.Parameter, value: str) -> str:
    try:
        parts = urlsplit(value)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise click.BadParameter("must look like http://127.0.0.1:8000 or https://chat.example.org")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise click.BadParameter("must be the site's address alone; --path says where on it Socket.IO is")
    return value.rstrip("/")


def _parse_cookies(
    context: click.Context, option: click.Parameter, values: Iterable[str]
) -> tuple[tuple[str, str], ...]:
    cookies = []
    for part in ";".join(values).split(";"):
        name, equals, content = part.strip().partition("=")
        if part.strip():
            if not equals or not _COOKIE_NAME.fullmatch(name) or not content.isprintable():
                raise click.BadParameter("must look like session=value")
            cookies.append((name, content))
    return tuple(cookies)


def _check_user_agent(context: click.Context, option: click.Parameter, value: str) -> str:
    if not (value.isascii() and value.isprintable() and value.strip()):
        raise click.BadParameter("must be printable ASCII")
    return value


def _check_seconds(context: click.Context, option: click.Parameter, value: float) -> float:
    if math.isnan(value):  # which is outside of no range
        raise click.BadParameter("must be a number")
    return value


@click.command("client", short_help="Chat at the terminal, or send from a script.")
@click.option("--room", required=True, help="The room to join.")
@click.option("--name", help="Your name. Not needed where --cookie says who you are.")
@click.option(
    "--url", default="http://127.0.0.1:8000", show_default=True, callback=_parse_url, help="The site."
)
@click.option(
    "--path",
    help="Where on the site Socket.IO is.  [default: what --config says, or /socket.io]",
)
@click.option(
    "--transport",
    type=click.Choice(list(_TRANSPORTS)),
    default="auto",
    show_default=True,
    help="How to connect; auto begins with polling and goes over to WebSocket if it can.",
)
@click.option(
    "--cookie",
    "cookies",
    multiple=True,
    callback=_parse_cookies,
    metavar="NAME=VALUE",
    help="A cookie to show, for sites with a login of their own. May be repeated.",
)
@click.option(
    "--user-agent",
    default=DEFAULT_USER_AGENT,
    show_default=True,
    callback=_check_user_agent,
    help="What to call itself. A login may hold for the browser that it was made with only, by its name.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The server's INI file, if it gives events other names.",
)
@click.option("--send", "texts", multiple=True, metavar="TEXT", help="Send TEXT and end. May be repeated.")
@click.option(
    "--timeout",
    "wait_seconds",
    type=click.FloatRange(min=0, min_open=True, max=86400),
    callback=_check_seconds,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="When sending: how long the server may take to let you in, and then for each text.",
)
@click.option("--verbose", is_flag=True, help="When sending: say how it goes.")
@click.option(
    "--no-token-file", is_flag=True, help="Do not keep the token that makes you the same guest next time."
)
def client(
    *,
    room: str,
    name: str | None,
    url: str,
    path: str | None,
    transport: str,
    cookies: tuple[tuple[str, str], ...],
    user_agent: str,
    config: Path | None,
    texts: tuple[str, ...],
    wait_seconds: float,
    verbose: bool,
    no_token_file: bool,
) -> None:
    """Join ROOM and chat.

    With --send, or with lines on a standard input that is no terminal, send those and end. A text that
    begins with @name goes to that person alone.

    Exit status: 0 if all was sent (or you quit), 1 if the server could not be reached or refused
    something, 2 if the options are wrong.
    """
    if name is None and not cookies:
        raise click.UsageError("Say who you are: --name, or --cookie of the site's login.")
    allow_long_polls()
    settings = _settings(config)
    target = Target(url, path or settings.app.socketio_path, _TRANSPORTS[transport], cookies, user_agent)
    tokens = None if no_token_file or name is None else _token_file()
    is_script = bool(texts) or sys.stdin is None or not sys.stdin.isatty()

    def connect(tell: news.Tell) -> Connection:
        token = None
        if tokens is not None and name is not None:
            token = tokens.token(url, name)
            tell = _keeping(tokens, url, name, tell)
        session = Session(lambda: uuid.uuid4().hex, token=token)
        events, types = settings.events, settings.message_types
        return Connection(target, session, events, types, tell, name=name, room=room, follow=not is_script)

    try:
        if is_script:
            lines = texts or _lines(None if sys.stdin is None else sys.stdin.buffer)
            failure = _run_script(connect, lines, wait_seconds, click.echo if verbose else lambda line: None)
        else:
            failure = _run_terminal(settings, connect)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(_INTERRUPTED_STATUS) from None
    if failure is not None:
        raise click.ClickException(failure)


def _settings(config: Path | None) -> Settings:
    """Return the server's settings as `config` tells them; the defaults owe nothing to our environment."""
    try:
        return load_settings(config) if config is not None else load_settings(None, {})
    except SettingsError as error:
        raise click.BadParameter(error.message, param_hint="--config") from None


def _token_file() -> TokenFile | None:
    path = default_path(os.environ)
    if path is None:
        _warn("Without a home directory the token is not kept.")
        return None
    return TokenFile(path, _warn)


def _keeping(tokens: TokenFile, url: str, name: str, tell: news.Tell) -> news.Tell:
    """Return a `tell` that keeps the tokens it is told of."""

    def tell_and_keep(told: news.News) -> None:
        if isinstance(told, news.TokenIssued):
            tokens.keep(url, name, told.token)
        tell(told)

    return tell_and_keep


def _run_terminal(settings: Settings, connect: Callable[[news.Tell], Connection]) -> str | None:
    # Only here: it takes a while to import, and scripts have no use for it.
    from chatapp.client.terminal import run_terminal

    colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return run_terminal(Renderer(settings.message_types, colour=colour), connect)


def _run_script(
    connect: Callable[[news.Tell], Connection],
    texts: Iterable[str],
    wait_seconds: float,
    say: Callable[[str], object],
) -> str | None:
    told: queue.Queue[news.News] = queue.Queue()
    connection = connect(told.put)
    connection.start()
    try:
        Script(connection, told, wait_seconds=wait_seconds).send(texts, say)
    except ScriptError as error:
        return str(error)
    finally:
        connection.close()
    return None


def _lines(source: IO[bytes] | None) -> Iterator[str]:
    """Yield the lines of `source` as they come. Raises ScriptError for one that is not UTF-8."""
    for number, line in enumerate(source or (), start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise ScriptError(f"Line {number} is not UTF-8.") from None


def _warn(sentence: str) -> None:
    click.echo(f"Warning: {sentence}", err=True)
