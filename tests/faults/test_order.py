"""A sender's messages keep their order however long the database takes for each."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from clients import Chatter, wait_until
from faults.raw_client import RawClient
from servers import running

SERVER = [sys.executable, str(Path(__file__).with_name("slow_server.py"))]


@pytest.mark.parametrize("to", [{}, {"to": "bob"}], ids=["in a room", "privately"])
def test_a_hundred_messages_sent_without_waiting_arrive_and_are_numbered_in_their_order(
    tmp_path: Path, to: dict[str, str]
) -> None:
    event = "new pm" if to else "new message"
    texts = [f"message {number}" for number in range(100)]
    with ExitStack() as stack:
        server = stack.enter_context(running(directory=tmp_path, command=SERVER, LIMITS_ENABLED="no"))
        bob, ann = stack.enter_context(Chatter(server.url)), stack.enter_context(RawClient(server.port))
        bob.join("lobby", "bob")
        ann.call("join room", {"roomname": "lobby", "username": "ann"})
        numbers = [ann.send(event, {"message": text, **to}) for text in texts]
        answers = [ann.receive() for _ in texts]
        bob.wait_for_texts(texts)
        received = bob.messages()
    assert [number for number, _ in answers] == numbers
    assert [answer["seq"] for _, answer in answers] == list(range(1, 101))
    assert [message["seq"] for message in received] == list(range(1, 101))


def test_messages_of_several_senders_arrive_in_the_order_of_the_log(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(running(directory=tmp_path, command=SERVER, LIMITS_ENABLED="no"))
        bob = stack.enter_context(Chatter(server.url))
        bob.join("lobby", "bob")
        senders = [stack.enter_context(RawClient(server.port)) for _ in range(5)]
        for number, sender in enumerate(senders):
            sender.call("join room", {"roomname": "lobby", "username": f"sender-{number}"})
        for turn in range(20):
            for number, sender in enumerate(senders):
                sender.send("new message", f"{number} says {turn}")
        wait_until(lambda: len(bob.messages()) == 100, "100 messages")
        received = bob.messages()
    assert [message["seq"] for message in received] == list(range(1, 101))
    for number in range(5):
        said = [text for text in bob.texts() if text.startswith(f"{number} says")]
        assert said == [f"{number} says {turn}" for turn in range(20)]
