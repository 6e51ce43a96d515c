"""A raw session's way from polling to WebSocket, step by step: Engine.IO 4, "Upgrade"."""

from __future__ import annotations

from contextlib import ExitStack

from raw_polling import RawPolling
from raw_websocket import RawWebSocket


def upgrade(stack: ExitStack, polling: RawPolling) -> tuple[RawWebSocket, list[str]]:
    """Upgrade as clients do: with a poll held, which the server ends. Returns the WebSocket and what that
    poll brought."""
    if polling.held is None:
        polling.hold()
    query = f"EIO=4&transport=websocket&sid={polling.sid}"
    client = stack.enter_context(RawWebSocket(polling.url, query=query))
    client.say("2probe")
    assert client.receive_text() == "3probe"
    answer = polling.poll()
    assert answer.status == 200, answer
    client.say("5")
    return client, [packet for packet in answer.packets if packet != "6"]
