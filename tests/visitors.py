"""The site in ``tests/site`` as a server, and people who log in there and chat."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import requests

from clients import Chatter
from servers import PATIENCE_SECONDS, ROOT, ServerProcess, running

SITE = Path(__file__).parent / "site"
SITE_SECRET_KEY = "the secret key of the book club"

WORKERS = {
    "gevent": "gevent",
    "geventwebsocket": "geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
    "sync": "sync",
    "gthread": "gthread",
}


@contextlib.contextmanager
def running_site(
    directory: Path,
    worker: str = "gevent",
    *,
    workers: int = 1,
    source: Path = SITE,
    realtime: bool = True,
    **settings: str,
) -> Iterator[ServerProcess]:
    """Run the site under gunicorn, its database in `directory`; `settings` are the chat's."""
    directory.mkdir(exist_ok=True)
    site_settings = {
        "SECRET_KEY": SITE_SECRET_KEY,
        "DATABASE": str(directory / "bookclub.db"),
        "CHAT_REALTIME": str(realtime).lower(),
    }
    command = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", "--graceful-timeout", "1"]
    command += ["--no-control-socket", "-k", WORKERS[worker], "-w", str(workers)]
    command += ["--threads", "4"] if worker == "gthread" else []
    for name, value in site_settings.items():
        command += ["-e", f"BOOKCLUB_{name}={value}"]
    settings = {"AUTH_MODE": "flask", "LIMITS_LEAVE_GRACE_SECONDS": "0", **settings}
    with running(
        directory=directory / "chat", command=[*command, "bookclub:app"], cwd=source, **settings
    ) as server:
        yield server


def failed_start(command: Sequence[str], directory: Path, *, cwd: Path = ROOT, **settings: str) -> str:
    """Start a server that cannot start; return what it prints until it has ended."""
    environ = os.environ | {f"CHATAPP_{key}": value for key, value in settings.items()}
    environ |= {"PYTHONPATH": str(ROOT), "PORT": "0", "CHATAPP_APP_DATA_DIR": str(directory)}
    ended = subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3 * PATIENCE_SECONDS,  # to start, to import everything and to end
        check=False,
    )
    assert ended.returncode != 0
    return ended.stdout


class Visitor:
    """Somebody with a browser, which is known by its `agent`."""

    def __init__(self, url: str, agent: str = "Browser/1.0") -> None:
        self.url = url
        self.http = requests.Session()
        self.http.headers["User-Agent"] = agent

    def __enter__(self) -> Visitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def get(self, path: str) -> requests.Response:
        """Get a page, which has to succeed."""
        answer = self.http.get(self.url + path, timeout=PATIENCE_SECONDS)
        answer.raise_for_status()
        return answer

    def post(self, path: str, **fields: str) -> requests.Response:
        """Send a form, which has to succeed."""
        answer = self.http.post(self.url + path, data=fields, timeout=PATIENCE_SECONDS)
        answer.raise_for_status()
        return answer

    def sign_up(self, email: str, username: str) -> Visitor:
        """Become a user of the site and log in."""
        self.post("/signup", email=email, password=email, username=username)
        self.post("/login", email=email, password=email)
        return self

    @property
    def headers(self) -> dict[str, str]:
        """What the browser sends with each request."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies)
        headers = {"User-Agent": str(self.http.headers["User-Agent"])}
        return headers | ({"Cookie": cookies} if cookies else {})

    def chatter(self, transport: str = "websocket", url: str | None = None) -> Chatter:
        """Return the chat client of the site's page."""
        return Chatter(url or self.url, transport, headers=self.headers)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says to the first request of a client; `opened` if that has made a session."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    opened: bool


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}


def knock(
    address: tuple[str, int] | str,
    transport: str = "polling",
    headers: Sequence[tuple[str, str]] | Mapping[str, str] = (),
    *,
    method: str = "GET",
) -> Answer:
    """Send a client's first request, by hand, to a port or to a Unix socket."""
    connection = _Connection(address)
    try:
        connection.putrequest(method, f"/socket.io/?EIO=4&transport={transport}", skip_host=True)
        given = dict(headers)
        for name, value in {"Host": "chat.example", **(UPGRADE if transport == "websocket" else {})}.items():
            connection.putheader(name, given.pop(name, value))
        for name, value in given.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = _frame(answer.fp) if answer.status == 101 else answer.read()
        return Answer(answer.status, answer.headers, body, opened=body.startswith(b'0{"sid"'))
    finally:
        connection.close()


def _frame(stream: BinaryIO) -> bytes:
    """Read a frame of a WebSocket and return its payload (RFC 6455, section 5.2); empty at the end."""
    head = stream.read(2)
    length = head[1] if head else 0
    return stream.read(int.from_bytes(stream.read(2), "big") if length == 126 else length)


class _Connection(http.client.HTTPConnection):
    """A connection to a port, or to the Unix socket at a path."""

    def __init__(self, address: tuple[str, int] | str) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self._address = address

    def connect(self) -> None:
        family = socket.AF_UNIX if isinstance(self._address, str) else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(self._address)
