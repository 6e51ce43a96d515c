"""Older clients by several workers: whatever worker a request comes to, the one with the session answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import wait_until
from cluster.workers import await_workers, kill_worker, pid_of, worker_of
from older_clients import KINDS, NEWEST, OLDER, caller, node_caller
from older_peer import BinaryPolling, JsonpPolling, OlderPolling, OlderWebSocket
from servers import HOSTINGS, ServerProcess, running
from siblings import siblings


@pytest.fixture(scope="module", params=["conf", "gevent"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """Three workers."""
    with running(request.param, tmp_path_factory.mktemp("workers"), workers=3) as server:
        await_workers(server, 3)
        yield server
        assert not re.search("Traceback", "".join(server.output)), server.output


@pytest.mark.parametrize("package", KINDS)
@pytest.mark.parametrize("transport", ["polling", "upgrade"])
def test_all_hear_each_other(server: ServerProcess, package: str, transport: str) -> None:
    room = f"{package} {transport}"
    with (
        caller(package, server.url, transport) as ann,
        caller(package, server.url, transport) as bob,
        node_caller(NEWEST, server.url, transport) as cid,
    ):
        clients = [ann, bob, cid]
        for number, client in enumerate(clients):
            client.await_connections(1)
            client.join(room, f"{room[-17:]} {number}")
        for number, client in enumerate(clients):
            for text in ("é", "😀"):
                client.say(f"{number} {text}")
        said = [f"{number} {text}" for number in range(3) for text in ("é", "😀")]
        for number, client in enumerate(clients):
            client.wait_for_texts(*(text for text in said if not text.startswith(str(number))))
            assert len(client.printed("connect")) == 1


@pytest.mark.parametrize("hosting", ["serve", *(name for name in HOSTINGS if name != "serve")])
def test_a_session_lives_by_another_worker(hosting: str, tmp_path: Path) -> None:
    with siblings(tmp_path, hosting) as (owner, other):
        OlderPolling(other.url)
        for kind in (OlderPolling, BinaryPolling, JsonpPolling):
            polling = kind(owner.url, connect=False)
            polling.url = other.url
            assert polling.packets(1) == ["40"]
            name = kind.__name__
            polling.say(f'421["join room",{{"roomname":"{name} é","username":"{name}"}}]')
            await_answer(polling, "431[")
            polling.say('422["new message","😀"]')
            await_answer(polling, "432[")
            with OlderWebSocket(other.url, f"&sid={polling.sid}") as client:
                client.say("2probe")
                assert client.receive_text() == "3probe"
                client.say("5")
                answer = client.call("new message", "by WebSocket", 5)
                assert answer["ok"] and answer["seq"] == 2
                client.send_packets(b"unasked")
                assert client.closed_with() == 1003


def await_answer(polling: OlderPolling, start: str) -> None:
    wait_until(lambda: any(str(packet).startswith(start) for packet in polling.packets(1)), start)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_client_whose_worker_dies_comes_back_to_another(server: ServerProcess, transport: str) -> None:
    room = f"mortal {transport}"
    with node_caller(OLDER[-1], server.url, transport) as ann:
        ann.await_connections(1)
        joined = ann.join(room, f"ann of {room}")
        ((sid,),) = ann.printed("connect")
        kill_worker(server, pid_of(server, worker_of(sid)))
        ann.await_connections(2)
        with node_caller(NEWEST, server.url) as bob:
            bob.await_connections(1)
            bob.join(room, f"bob of {room}")
            bob.say("é")
        since = {"epoch": joined["epoch"], "seq": joined["last_seq"]}
        back = ann.join(room, token=joined["token"], since=since)
        assert back["user"]["name"] == f"ann of {room}"
        assert [message["message"] for message in back["messages"]] == ["é"]
