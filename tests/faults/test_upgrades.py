"""Clients that upgrade to WebSocket while messages flow into their room have every message, and once."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clients import Chatter, wait_until
from faults.raw_client import RawClient
from faults.upgrade import upgrade
from raw_polling import RawPolling, stored_messages
from servers import HOSTINGS, PATIENCE_SECONDS, ServerProcess, running

SCRIPT = Path(__file__).parents[1] / "node" / "upgraders.js"

SETTINGS = {"LIMITS_ENABLED": "no"}

#: How many upgrade one after the other, by kind of client.
RAW, NODE, PYTHON = 50, 100, 25


@pytest.fixture(scope="module", params=HOSTINGS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    with running(request.param, tmp_path_factory.mktemp("upgrades"), **SETTINGS) as server:
        yield server


class Speaker:
    """Has a room full of talk, one message after the other, until `finish`, which returns the last
    message's number."""

    def __init__(self, port: int, room: str) -> None:
        self._client = RawClient(port)
        assert self._client.call("join room", {"roomname": room, "username": f"speaker of {room}"})["ok"]
        self._enough = threading.Event()
        self._last = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> Speaker:
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._enough.wait(0.003):  # so that who reads keeps up
            self._last = self._client.call("new message", {"message": "talk"})["seq"]

    def finish(self) -> int:
        self._enough.set()
        self._thread.join()
        return self._last


def test_raw_sessions_that_upgrade_in_a_busy_room_have_every_message_once_and_in_order(
    server: ServerProcess,
) -> None:
    room = "raw"
    with ExitStack() as stack:
        speaker = stack.enter_context(Speaker(server.port, room))
        upgraded = []
        for number in range(RAW):
            polling = stack.enter_context(RawPolling(server.url))
            polling.connect()
            joining = f'421["join room",{{"roomname":"{room}","username":"raw-{number}"}}]'
            polling.post(joining)
            packets: list[str] = []
            while len(stored_messages(packets)) < 3:
                packets += polling.poll().packets
            client, rest = upgrade(stack, polling)
            upgraded.append((client, packets + rest))
        last = speaker.finish()
        for client, packets in upgraded:
            [joined] = [packet for packet in packets if packet.startswith("431[")]
            after = json.loads(joined[3:])[0]["last_seq"]
            got = [message["seq"] for message in stored_messages(packets)]
            while got[-1] < last:
                got += [message["seq"] for message in stored_messages([client.receive_text()])]
            assert got == list(range(after + 1, last + 1))
            assert client.call("rooms", {}, number=9)["ok"]


def test_polling_is_over_for_a_session_that_has_upgraded(server: ServerProcess) -> None:
    with ExitStack() as stack:
        polling = stack.enter_context(RawPolling(server.url))
        polling.connect()
        client, _ = upgrade(stack, polling)
        assert client.call("rooms", {})["error"]["code"] == "not_in_room"
        assert polling.poll().status == 400
        assert polling.begin("POST", "3").reply().status == 400
        assert client.call("rooms", {}, number=2)["error"]["code"] == "not_in_room"


def test_socketio_clients_under_node_that_upgrade_in_a_busy_room_have_every_message_once_and_in_order(
    server: ServerProcess,
) -> None:
    node = shutil.which("node")
    assert node, "there is no Node.js: `make test` brings one"
    room = "node"
    with Speaker(server.port, room) as speaker:
        process = subprocess.Popen(
            [node, str(SCRIPT), server.url, room, str(NODE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdin is not None and process.stdout is not None
            assert process.stdout.readline() == "upgraded\n"
            last = speaker.finish()
            output, _ = process.communicate(f"{last}\n", timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
            process.communicate()
    clients = [json.loads(line) for line in output.splitlines()]
    assert len(clients) == NODE
    for client in clients:
        assert client["seqs"] == list(range(client["after"] + 1, last + 1))


def test_python_socketio_clients_that_upgrade_and_join_a_busy_room_have_every_message_once_and_in_order(
    server: ServerProcess,
) -> None:
    """Its client upgrades before it connects to Socket.IO: the upgrade is over when it joins."""
    room = "python"
    with ExitStack() as stack:
        speaker = stack.enter_context(Speaker(server.port, room))
        clients = []
        for number in range(PYTHON):
            client = stack.enter_context(Chatter(server.url, "upgrade"))
            assert client.sio.transport() == "websocket"
            clients.append((client, client.join(room, f"python-{number}")["last_seq"]))
        last = speaker.finish()
        for client, after in clients:
            wait_until(
                lambda client=client, after=after: after + len(client.messages()) >= last, "the last message"
            )
            assert [message["seq"] for message in client.messages()] == list(range(after + 1, last + 1))
