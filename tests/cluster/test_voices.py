"""What the host says from other processes is heard by the clients of all workers, on each kind of bus."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients import Chatter, wait_until
from cluster.shared import shared
from party import Party
from servers import ROOT, ServerProcess, running

#: Well below the seconds after which workers would find by themselves what nobody told them of.
SOON_SECONDS = 5


@pytest.fixture(scope="module", params=["siblings", "postgresql and valkey"])
def settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What the processes of a chat have in common."""
    common = {"APP_DATA_DIR": str(tmp_path_factory.mktemp("data")), "LIMITS_ENABLED": "no"}
    if request.param == "siblings":
        yield common
    else:
        with shared() as servers:
            yield common | servers.settings


@pytest.fixture(scope="module")
def server(settings: dict[str, str]) -> Iterator[ServerProcess]:
    with running("conf", workers=2, **settings) as server:
        yield server


@pytest.fixture
def party(server: ServerProcess) -> Iterator[Party]:
    party = Party(server.url)
    yield party
    party.close()


@pytest.fixture
def listeners(server: ServerProcess, party: Party) -> Iterator[list[Chatter]]:
    """So many in one room that both workers have some."""
    with contextlib.ExitStack() as stack:
        chatters = [stack.enter_context(Chatter(server.url)) for _ in range(8)]
        for number, chatter in enumerate(chatters):
            chatter.join(party.room, party.named(f"listener {number}"))
        yield chatters


def run(settings: dict[str, str], *command: str, said: str = "") -> str:
    environ = os.environ | {f"CHATAPP_{key}": value for key, value in settings.items()}
    environ |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(
        command, input=said, env=environ, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def speak(settings: dict[str, str], *requests: Any) -> list[Any]:
    """Have these said by a process that serves nobody; return the receipts."""
    output = run(settings, sys.executable, "-m", "cluster.speaker", said=json.dumps(requests))
    return [json.loads(line) for line in output.splitlines()]


def wait_for(listeners: list[Chatter], texts: list[str]) -> None:
    started = time.monotonic()
    for listener in listeners:
        listener.wait_for_texts(texts)
    assert time.monotonic() - started < SOON_SECONDS


def test_a_process_of_another_kind_is_heard_at_once_and_in_order(
    settings: dict[str, str], party: Party, listeners: list[Chatter]
) -> None:
    listeners[0].say("before")
    receipts = speak(
        settings,
        ["post", [party.room, "one"], {"sender": party.named("shop")}],
        ["post", [party.room, "two"], {"client_id": party.named("id")}],
        ["post", [party.room, "two"], {"client_id": party.named("id")}],
    )
    assert [receipt["seq"] for receipt in receipts] == [2, 3, 3]
    wait_for(listeners[1:], ["before", "one", "two"])
    assert [message["seq"] for message in listeners[1].messages()] == [1, 2, 3]


def test_the_command_line_is_heard_too(
    settings: dict[str, str], party: Party, listeners: list[Chatter]
) -> None:
    admin = [str(Path(sys.executable).parent / "chatapp"), "admin"]
    assert run(settings, *admin, "post", party.room, "-", said="from a shell\n") == f"{party.room} 1\n"
    wait_for(listeners, ["from a shell"])
    name = party.named("listener 3")
    assert run(settings, *admin, "tell", name, "psst") == f"@{name} 1\n"
    wait_until(lambda: listeners[3].texts() == ["from a shell", "psst"], "the private message")
    assert listeners[4].texts() == ["from a shell"]


def test_a_worker_that_is_alone_hears_it_too(tmp_path: Path) -> None:
    settings = {"APP_DATA_DIR": str(tmp_path)}
    with running("serve", **settings) as server, Chatter(server.url) as ann:
        ann.join("room", "ann")
        admin = [str(Path(sys.executable).parent / "chatapp"), "admin"]
        for number, text in enumerate(["first", "second"], 1):
            assert run(settings, *admin, "tell", "ann", text) == f"@ann {number}\n"
        wait_for([ann], ["first", "second"])


def test_what_is_said_in_a_transaction_is_heard_if_it_is_committed(
    settings: dict[str, str], party: Party, listeners: list[Chatter]
) -> None:
    speak(
        settings,
        [
            "transaction",
            True,
            [["post", [party.room, "committed"], {}], ["post", [party.room, "as well"], {}]],
        ],
        ["transaction", False, [["post", [party.room, "rolled back"], {}]]],
        ["transaction", True, [["send_private", [party.named("listener 2"), "psst"], {}]]],
        ["post", [party.room, "afterwards"], {}],
    )
    wait_for(listeners[3:], ["committed", "as well", "afterwards"])
    wait_until(lambda: "psst" in listeners[2].texts(), "the private message")
    assert [message["seq"] for message in listeners[3].messages()] == [1, 2, 3]


def test_what_is_not_stored_is_heard_by_who_is_there(
    settings: dict[str, str], party: Party, listeners: list[Chatter]
) -> None:
    speak(
        settings,
        ["distribute_message", [party.room, "closing soon"], {}],
        ["send_message", [party.named("listener 5"), "look here"], {"code": "look"}],
    )
    for listener in listeners:
        wait_until(lambda listener=listener: "closing soon" in listener.notices(), "the notice")
    wait_until(lambda: listeners[5].events("server notice"), "the notice to one")
    assert listeners[5].events("server notice") == [{"code": "look", "message": "look here"}]
    members = speak(settings, ["members", [party.room], {}])[0]
    assert len(members) == len(listeners)
