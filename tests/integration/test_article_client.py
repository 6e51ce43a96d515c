"""A client written from the article, on socket.io-client, works as it is."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients import TRANSPORTS, wait_until
from servers import HOSTINGS, PATIENCE_SECONDS, running

SCRIPT = Path(__file__).parents[1] / "node" / "article_client.js"

NEWEST, OLDER = "socket.io-client", [f"socket.io-client-{version}" for version in ("1.7", "2.0", "2.5")]

#: A refusal in the article's shape, with a code added; what the article's client gets before it joins.
NOT_IN_A_ROOM = {"error": True, "msg": "You're not part of a room yet", "code": "not_in_room"}

#: The transports that come into use, one after the other.
USED = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": ["polling", "websocket"]}

_numbers = itertools.count(1)


class ArticleClient:
    """The script as a process; `lines` are what it printed, ``[what, payload]`` each."""

    def __init__(self, url: str, transport: str, room: str, name: str, package: str) -> None:
        node = shutil.which("node")
        assert node, "there is no Node.js: `make test` brings one"
        self.name = name
        self.lines: list[Any] = []
        self._process = subprocess.Popen(
            [node, str(SCRIPT), url, ",".join(TRANSPORTS[transport]), room, name, package],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def printed(self, what: str) -> list[Any]:
        return [payload for kind, payload in list(self.lines) if kind == what]

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def said(self, tag: str) -> list[tuple[str, str]]:
        """Return who said what that contains `tag`, without notices and refusals."""
        return [
            (message["username"], message["message"])
            for message in self.printed("message")
            if message.get("type") in ("generic", "private") and tag in message["message"]
        ]

    def notices(self) -> list[str]:
        return [message["message"] for message in self.printed("message") if message.get("type") == "notice"]

    def has_joined(self) -> bool:
        """Return whether it has heard of its own arrival."""
        return any(self.name in notice and notice.endswith("joined") for notice in self.notices())

    def wait_to_hear(self, tag: str, *said: tuple[str, str]) -> None:
        """Wait until exactly this was said with `tag` in it, in this order."""
        wait_until(lambda: len(self.said(tag)) >= len(said), f"{said}")
        assert self.said(tag) == [*said]

    def close(self) -> None:
        """End its input, upon which it disconnects and ends."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            assert self._process.wait(PATIENCE_SECONDS) == 0
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            self._process.stdout.close()


@pytest.fixture(
    scope="module",
    params=[
        *(("serve", transport, [NEWEST]) for transport in TRANSPORTS),
        *((hosting, "upgrade", [NEWEST]) for hosting in HOSTINGS if hosting != "serve"),
        *(("serve", transport, [package]) for package in OLDER for transport in TRANSPORTS),
        *((hosting, "upgrade", [NEWEST, *OLDER]) for hosting in HOSTINGS),
    ],
    ids=lambda param: "-".join([*param[:2], *param[2]]),
)
def clients(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ArticleClient]]:
    """Four clients in a room, on the transport that was asked for, and on these packages by turns."""
    hosting, transport, packages = request.param
    directory = tmp_path_factory.mktemp("server")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(hosting, directory, LIMITS_LEAVE_GRACE_SECONDS="0"))
        clients = []
        for name, package in zip(("ann", "bob", "cid", "dan-Dé"), itertools.cycle(packages), strict=False):
            client = ArticleClient(server.url, transport, "lobby", name, package)
            stack.callback(client.close)
            clients.append(client)
            wait_until(client.has_joined, f"{name} to join")  # alone: a notice for many names three
            wait_until(lambda client=client: client.printed("transport") == USED[transport], transport)
        yield clients


@pytest.fixture
def tag() -> str:
    """A word of the test's own: the clients are not."""
    return f"tag{next(_numbers)}"


def test_speaking_before_joining_is_refused_in_the_articles_shape(clients: list[ArticleClient]) -> None:
    for client in clients:
        assert client.printed("message")[0] == NOT_IN_A_ROOM
        assert client.printed("message").count(NOT_IN_A_ROOM) == 1


def test_they_hear_each_other(clients: list[ArticleClient], tag: str) -> None:
    ann, bob, cid, _ = clients
    first, second = f"hello {tag}", f"{tag}: mind the @ in here"
    ann.send(first)
    bob.wait_to_hear(tag, ("ann", first))
    bob.send(second)
    ann.wait_to_hear(tag, ("bob", second))
    cid.wait_to_hear(tag, ("ann", first), ("bob", second))


@pytest.mark.parametrize("receiver", [1, 3])
def test_a_private_message_reaches_one_and_no_third(
    clients: list[ArticleClient], tag: str, receiver: int
) -> None:
    ann, cid, target = clients[0], clients[2], clients[receiver]
    ann.send(f"@{target.name} hello {tag}")
    ann.send(f"for all {tag}")
    target.wait_to_hear(tag, ("ann", f"hello {tag}"), ("ann", f"for all {tag}"))
    cid.wait_to_hear(tag, ("ann", f"for all {tag}"))
    private, public = (message for message in target.printed("message") if tag in message.get("message", ""))
    assert (private["type"], private["target"], public["type"]) == ("private", target.name, "generic")


def test_a_private_message_to_nobody_is_refused_and_nothing_ends(
    clients: list[ArticleClient], tag: str
) -> None:
    ann, bob, *_ = clients
    ann.send(f"@nobody hello {tag}")
    wait_until(lambda: ann.printed("message")[-1].get("code") == "no_such_user", "the refusal")
    ann.send(f"still here {tag}")
    bob.wait_to_hear(tag, ("ann", f"still here {tag}"))


def test_going_is_announced(clients: list[ArticleClient]) -> None:
    *others, cid, _ = clients
    cid.close()  # the last test: the others do not miss it
    for client in others:
        wait_until(lambda client=client: f"{cid.name} left" in client.notices(), "the notice")
