"""A sender's messages keep their order however long the database takes for each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clients import Chatter, wait_until
from faults.raw_client import RawClient
from servers import ServerProcess, running

SERVER = [sys.executable, str(Path(__file__).with_name("slow_server.py"))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("slow")
    with running(directory=directory, command=SERVER, LIMITS_ENABLED="no") as server:
        yield server


@pytest.mark.parametrize("is_private", [False, True], ids=["in a room", "privately"])
def test_a_hundred_messages_sent_without_waiting_arrive_and_are_numbered_in_their_order(
    server: ServerProcess, is_private: bool
) -> None:
    place, receiver = f"room {is_private}", f"receiver {is_private}"
    event, to = ("new pm", {"to": receiver}) if is_private else ("new message", {})
    texts = [f"message {number}" for number in range(100)]
    with Chatter(server.url) as bob, RawClient(server.port) as ann:
        bob.join(place, receiver)
        ann.call("join room", {"roomname": place, "username": f"sender {is_private}"})
        numbers = [ann.send(event, {"message": text, **to}) for text in texts]
        answers = [ann.receive() for _ in texts]
        bob.wait_for_texts(texts)
        received = bob.messages()
    assert [number for number, _ in answers] == numbers
    assert [answer["seq"] for _, answer in answers] == list(range(1, 101))
    assert [message["seq"] for message in received] == list(range(1, 101))


def test_messages_of_several_senders_arrive_in_the_order_of_the_log(server: ServerProcess) -> None:
    with ExitStack() as stack:
        bob = stack.enter_context(Chatter(server.url))
        bob.join("crowd", "listener")
        senders = [stack.enter_context(RawClient(server.port)) for _ in range(5)]
        for number, sender in enumerate(senders):
            sender.call("join room", {"roomname": "crowd", "username": f"speaker {number}"})
        for turn in range(20):
            for number, sender in enumerate(senders):
                sender.send("new message", f"{number} says {turn}")
        wait_until(lambda: len(bob.messages()) == 100, "100 messages")
        received = bob.messages()
    assert [message["seq"] for message in received] == list(range(1, 101))
    for number in range(5):
        said = [text for text in bob.texts() if text.startswith(f"{number} says")]
        assert said == [f"{number} says {turn}" for turn in range(20)]
