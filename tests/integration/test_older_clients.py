"""socket.io-client 1.7, 2.0, 2.5 and python-socketio 4 in one room with 4.x: everything that a page does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients import TRANSPORTS, wait_until
from older_clients import KINDS, NEWEST, Caller, caller, node_caller
from protocol_peer import check_output, hosted
from servers import ServerProcess

TEXTS = ["plain", "Grüße", "日本語", "😀 and 👩‍👩‍👧", "a\nb", "back\\slash \\n", '"quotes"']


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with hosted("serve", tmp_path_factory.mktemp("older"), STORAGE_URL="") as server:
        yield server
    check_output(server)


@pytest.fixture(params=KINDS)
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pair(server: ServerProcess, package: str, transport: str, request: Any) -> Iterator[list[Caller]]:
    """An older and a newer client in a room of their own."""
    room = f"{package} {transport} {request.node.originalname}"[:64]
    with caller(package, server.url, transport) as old, node_caller(NEWEST, server.url) as new:
        for client, name in ((old, "old"), (new, "new")):
            client.await_connections(1)
            client.join(room, f"{name} {abs(hash(room)) % 10**9}")
        yield [old, new]


def test_they_hear_each_other(pair: list[Caller]) -> None:
    old, new = pair
    for text in TEXTS:
        old.say(text)
        new.say(text)
    for client in pair:  # what they said themselves has been acknowledged
        client.wait_for_texts(*TEXTS)


def test_private_messages_reach_one(pair: list[Caller]) -> None:
    for sender, receiver in (pair, pair[::-1]):
        text = f"for {receiver.name} é"
        answer = sender.call("new pm", {"to": receiver.name, "message": text})
        assert answer["ok"], answer
        wait_until(lambda text=text, receiver=receiver: text in receiver.texts(), "the message")


def test_bytes_go_both_ways(pair: list[Caller], package: str) -> None:
    old, _ = pair
    assert old.call("echo", "\u2028\u2029") == "\u2028\u2029"
    # python-engineio 3 takes no bytes for nothing.
    for data in (*([] if package == KINDS[-1] else [""]), "00ff04", "ab" * 3000):
        assert old.call("echo", {"hex": data}) == {"hex": data}
        assert old.call("echo", [{"hex": data}, "é", {"hex": "01"}]) == [{"hex": data}, "é", {"hex": "01"}]


def test_the_host_asks_and_is_answered(pair: list[Caller]) -> None:
    old, _ = pair
    old.start("ask me", "é?")
    wait_until(lambda: "é?" in old.events("question"), "the question")


def test_a_client_comes_back_after_a_restart_and_has_missed_nothing(
    tmp_path: Path, package: str, transport: str
) -> None:
    with (
        hosted("serve", tmp_path, STORAGE_URL="") as server,
        caller(package, server.url, transport) as old,
        node_caller(NEWEST, server.url) as new,
    ):
        for client, name in ((old, "ann"), (new, "bob")):
            client.await_connections(1)
            joined = client.join("room", name)
            if client is old:
                token, epoch = joined["token"], joined["epoch"]
        seq = old.say("before")["seq"]
        server.stop()
        server.restart()
        new.await_connections(2)
        new.join("room", "bob again")
        new.say("meanwhile é")
        old.await_connections(2)
        back = old.join("room", token=token, since={"epoch": epoch, "seq": seq})
        assert back["user"]["name"] == "ann"
        assert [message["message"] for message in back["messages"] if "seq" in message] == ["meanwhile é"]
        new.say("after")
        wait_until(lambda: old.texts()[-1:] == ["after"], "the next message")
