"""A message that is sent again under its `client_id` is the same message."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

from clients import Chatter
from faults.raw_client import RawClient
from servers import running

CONNECTIONS = 5
REPEATS = 20  # on each connection
ONCE = {"message": "only once", "client_id": "the-one"}


def say_again_and_again(client: RawClient) -> list[Any]:
    """Send all without waiting, and return the acknowledgements."""
    numbers = {client.send("new message", ONCE) for _ in range(REPEATS)}
    answers = dict(client.receive() for _ in range(REPEATS))
    assert answers.keys() == numbers
    return list(answers.values())


def test_a_message_sent_a_hundred_times_at_once_and_after_a_kill_is_stored_and_delivered_once(
    tmp_path: Path,
) -> None:
    with running("serve", tmp_path, LIMITS_ENABLED="no") as server:
        with ExitStack() as stack:
            bob = stack.enter_context(Chatter(server.url))
            at_once = stack.enter_context(ThreadPoolExecutor(CONNECTIONS))
            bob.join("lobby", "bob")
            first = stack.enter_context(RawClient(server.port))
            token = first.call("join room", {"roomname": "lobby", "username": "ann"})["token"]
            others = [stack.enter_context(RawClient(server.port, token)) for _ in range(CONNECTIONS - 1)]
            for client in others:
                assert client.call("join room", {"roomname": "lobby"})["user"]["name"] == "ann"
            answers = list(chain.from_iterable(at_once.map(say_again_and_again, [first, *others])))
            assert len(answers) == CONNECTIONS * REPEATS
            for client in (first, *others):  # whatever came before this answer has been received
                client.call("history", {"room": "lobby"})
            received = [client.received for client in (first, *others)]
            assert first.call("new message", {"message": "and another"})["seq"] == 2
            bob.wait_for_texts(["only once", "and another"])
        server.kill()
        server.restart()
        with RawClient(server.port, token) as ann:
            joined = ann.call("join room", {"roomname": "lobby"})
            assert joined["user"]["name"] == "ann" and joined["last_seq"] == 2
            answers += say_again_and_again(ann)
            history = ann.call("history", {"room": "lobby"})["messages"]
    assert answers == [answers[0]] * len(answers)
    assert answers[0]["ok"] and answers[0]["seq"] == 1
    assert [message["message"] for message in history] == ["only once", "and another"]
    # Each of the sender's connections has it once, but for the one that sent it.
    messages = [[push["message"] for push in pushes if "seq" in push] for pushes in received]
    assert sorted(messages) == [[], *[["only once"]] * (CONNECTIONS - 1)]
