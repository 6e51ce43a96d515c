"""Events of the host's own, from one server process to clients of another, and from a script to all."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from clients import Chatter, wait_until
from servers import PATIENCE_SECONDS, ServerProcess, running
from valkey_server import ValkeyServer, valkey

PROGRAM = [sys.executable, str(Path(__file__).parents[1] / "chat_host.py")]

#: What a Celery job has in it.
SCRIPT = """
import sys, socketio
emitter = socketio.RedisManager(sys.argv[1], write_only=True)
emitter.emit("notice", {"from": "a script"})
emitter.emit("picture", [b"\\x00\\xff", {"a": 1}], room=sys.argv[2])
"""


@pytest.fixture(scope="module")
def bus() -> Iterator[ValkeyServer]:
    with valkey() as server:
        yield server


@pytest.fixture(scope="module")
def hosts(bus: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                running("serve", tmp_path_factory.mktemp("host"), command=PROGRAM, CLUSTER_BUS=bus.url)
            )
            for _ in range(2)
        ]


class Listener:
    """A client of each host, and what came to it of the events "notice" and "picture"."""

    def __init__(self, url: str, transport: str = "websocket") -> None:
        self.chatter = Chatter(url, transport)
        self.heard: list[Any] = []
        for event in ("notice", "picture"):
            self.chatter.sio.on(event, self._hear)
        self.chatter.sio.on("question", lambda *args: ["answer", *args])

    def _hear(self, *args: Any) -> None:
        self.heard.append(args[0] if len(args) == 1 else args)

    @property
    def sid(self) -> str:
        return str(self.chatter.sio.get_sid())


@pytest.fixture(params=["websocket", "polling"])
def listeners(request: pytest.FixtureRequest, hosts: list[ServerProcess]) -> Iterator[list[Listener]]:
    made = [Listener(host.url, request.param) for host in hosts]
    with made[0].chatter, made[1].chatter:
        yield made


def do(host: ServerProcess, verb: str, *args: Any, **options: Any) -> Any:
    answer = requests.post(
        f"{host.url}/sio/{verb}", json={"args": args, "options": options}, timeout=PATIENCE_SECONDS
    )
    answer.raise_for_status()
    return answer.json()["returned"]


def test_what_one_process_emits_reaches_the_clients_of_the_other(
    hosts: list[ServerProcess], listeners: list[Listener]
) -> None:
    do(hosts[0], "emit", "notice", {"text": "grüße"})
    wait_until(lambda: all(one.heard for one in listeners))
    do(hosts[0], "emit", "notice", "for one", to=listeners[1].sid)
    do(hosts[0], "emit", "notice", "but one", skip_sid=listeners[1].sid)
    wait_until(lambda: "for one" in listeners[1].heard)  # between processes there is no order
    do(hosts[1], "emit", "notice", "end")
    wait_until(lambda: all(one.heard[-1] == "end" for one in listeners))
    assert listeners[0].heard == [{"text": "grüße"}, "but one", "end"]
    assert listeners[1].heard == [{"text": "grüße"}, "for one", "end"]


def test_rooms_span_the_processes(hosts: list[ServerProcess], listeners: list[Listener]) -> None:
    for one in listeners:
        do(hosts[0], "enter_room", one.sid, "lobby")  # one of them is not there
    # What one process asks for the others do in its order; between processes there is none.
    do(hosts[0], "emit", "notice", "both", room="lobby")
    wait_until(lambda: all(one.heard == ["both"] for one in listeners))
    do(hosts[0], "leave_room", listeners[1].sid, "lobby")
    do(hosts[0], "emit", "notice", "first", room="lobby")
    do(hosts[0], "close_room", "lobby")
    do(hosts[0], "emit", "notice", "nobody", room="lobby")
    do(hosts[0], "emit", "notice", "end")
    wait_until(lambda: all(one.heard[-1] == "end" for one in listeners))
    assert [one.heard for one in listeners] == [["both", "first", "end"], ["both", "end"]]


def test_a_client_of_the_other_process_can_be_called(
    hosts: list[ServerProcess], listeners: list[Listener]
) -> None:
    for one in listeners:
        assert do(hosts[0], "call", "question", [1], to=one.sid, timeout=PATIENCE_SECONDS) == ["answer", [1]]


def test_a_client_of_the_other_process_can_be_disconnected(
    hosts: list[ServerProcess], listeners: list[Listener]
) -> None:
    do(hosts[0], "disconnect", listeners[1].sid)
    wait_until(lambda: not listeners[1].chatter.sio.connected)
    assert listeners[0].chatter.sio.connected


def test_a_script_with_pythonsocketios_own_manager_reaches_all(
    bus: ValkeyServer, hosts: list[ServerProcess], listeners: list[Listener]
) -> None:
    command = [sys.executable, "-c", SCRIPT, bus.url, listeners[1].sid]
    subprocess.run(command, check=True, timeout=PATIENCE_SECONDS)
    wait_until(lambda: listeners[1].heard[1:] and listeners[0].heard)
    assert listeners[0].heard == [{"from": "a script"}]
    assert listeners[1].heard == [{"from": "a script"}, [b"\x00\xff", {"a": 1}]]


def test_a_script_reaches_the_clients_of_a_server_that_stands_alone(
    bus: ValkeyServer, tmp_path: Path
) -> None:
    with running("serve", tmp_path, CLUSTER_BUS=bus.url, WEB_METRICS="yes") as server:
        listener = Listener(server.url)
        with listener.chatter:
            garbage = "import redis, pickle, sys; redis.Redis.from_url(sys.argv[1]).publish('socketio', {})"
            for message in ("'x'", "pickle.dumps({'method': 'emit'})"):
                command = [sys.executable, "-c", garbage.format(message), bus.url]
                subprocess.run(command, check=True, timeout=PATIENCE_SECONDS)
            command = [sys.executable, "-c", SCRIPT, bus.url, listener.sid]
            subprocess.run(command, check=True, timeout=PATIENCE_SECONDS)
            wait_until(lambda: listener.heard[1:])
            metrics = requests.get(f"{server.url}/chat/metrics", timeout=PATIENCE_SECONDS).text
            assert 'chatapp_bus_dropped_total{why="malformed"} 2.0' in metrics
            assert "chatapp_bus_links 2.0" in metrics
            assert len([line for line in server.output if "no manager" in line]) == 1
        assert server.stop() == 0
