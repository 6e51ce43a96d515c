"""Faults of the host's own handlers: logged, and nothing is left behind by those who came and went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gevent
import pytest

from chatapp import ChatServer
from chatapp.engine.dialect import PROTOCOL_4
from chatapp.engine.frames import decode_frame
from chatapp.settings import App, Settings, Storage


class WebSocket:
    """A WebSocket that takes everything."""

    is_readable = False

    def __init__(self) -> None:
        self.texts: list[str] = []

    def write(self, frames: list[bytes]) -> None:
        self.texts += [decode_frame(frame)[1].decode() for frame in frames]

    def close(self, code: int) -> None:
        """Nothing is open."""


class Client:
    """A session of a chat server, on WebSocket."""

    def __init__(self, chat: ChatServer) -> None:
        chat.sio.eio.reactor.open()
        self.websocket = WebSocket()
        self.session, opened = chat.sio.eio.open_session({"HTTP_UPGRADE": "websocket"}, {}, PROTOCOL_4)
        self.session.start(opened, self.websocket)

    def say(self, packet: str) -> str:
        """Send a packet; return the last one that has come by then."""
        self.session.handle(self.session.parse(packet))
        gevent.sleep(0.01)
        return self.websocket.texts[-1]


@pytest.fixture
def chat(tmp_path: Path) -> Any:
    chat = ChatServer(Settings(app=App(data_dir=tmp_path), storage=Storage(url="none")))
    yield chat
    chat.close()


def fail(*args: Any) -> None:
    raise RuntimeError("a fault of the host's handler")


def test_a_connect_handler_that_fails_refuses_and_may_be_tried_again(
    chat: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    chat.sio.on("connect", fail, namespace="/host")
    client = Client(chat)
    for _ in range(2):
        assert client.say("40/host,") == '44/host,{"message":"Connection rejected by server"}'
    assert "/host" not in chat.sio.manager.rooms and not client.session.closed
    assert caplog.text.count("a handler of the host failed") == 2
    chat.sio.on("connect", lambda *args: None, namespace="/host")
    assert client.say("40/host,").startswith('40/host,{"sid":"')


@pytest.mark.parametrize("goodbye", ["41/host,", "1"])
def test_who_goes_is_gone_though_the_disconnect_handler_fails(
    chat: ChatServer, goodbye: str, caplog: pytest.LogCaptureFixture
) -> None:
    chat.sio.on("disconnect", fail, namespace="/host")
    client = Client(chat)
    client.say("40/host,")
    assert chat.sio.manager.rooms["/host"]
    client.say(goodbye)
    assert "/host" not in chat.sio.manager.rooms
    assert caplog.text.count("a handler of the host failed") == 1
