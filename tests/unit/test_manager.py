"""python-socketio's rooms, as they cost us less: the same answers as its own manager gives."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import socketio

from chatapp.engine.manager import Manager
from chatapp.engine.packets import HostPacket


class Session:
    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def put(self, frame: bytes) -> None:
        self.frames.append(frame)


class EngineIO:
    def __init__(self) -> None:
        self.sockets = {f"eio-{name}": Session() for name in "abc"}
        self._made = 0

    def generate_id(self) -> str:
        self._made += 1
        return f"sid-{self._made}"


class Server:
    packet_class = HostPacket
    logger = logging.getLogger("chatapp.engine.socketio")

    def __init__(self) -> None:
        self.eio = EngineIO()


def connected(manager: Any, *namespaces: str) -> Any:
    manager.set_server(Server())
    for namespace in namespaces:
        for name in "abc":
            manager.connect(f"eio-{name}", namespace)
    return manager


@pytest.fixture(params=[Manager, socketio.Manager], ids=["ours", "stock"])
def manager(request: pytest.FixtureRequest) -> Any:
    made = Manager(2) if request.param is Manager else socketio.Manager()
    return connected(made, "/", "/admin")


def who(manager: Any, room: Any, namespace: str = "/") -> set[str]:
    return {sid for sid, _ in manager.get_participants(namespace, room)}


def test_a_client_is_where_its_sid_says(manager: Any) -> None:
    assert who(manager, None) == {"sid-1", "sid-2", "sid-3"}
    assert who(manager, "sid-2") == {"sid-2"}
    assert who(manager, "sid-2", "/admin") == set()
    assert dict(manager.get_participants("/admin", "sid-4")) == {"sid-4": "eio-a"}
    assert manager.sid_from_eio_sid("eio-b", "/") == "sid-2"
    assert manager.pre_connect("eio-b", "/") is None  # it is connected


def test_rooms_hold_those_who_entered_and_have_not_left(manager: Any) -> None:
    for sid in ("sid-1", "sid-2"):
        manager.enter_room(sid, "/", "lobby")
    manager.enter_room("sid-3", "/", "bar")
    assert who(manager, "lobby") == {"sid-1", "sid-2"}
    assert who(manager, ["lobby", "bar", "sid-3", "none"]) == {"sid-1", "sid-2", "sid-3"}
    assert sorted(manager.get_rooms("sid-1", "/")) == ["lobby", "sid-1"]
    manager.leave_room("sid-1", "/", "lobby")
    assert who(manager, "lobby") == {"sid-2"}
    manager.close_room("lobby", "/")
    assert who(manager, "lobby") == set()
    assert manager.get_rooms("sid-2", "/") == ["sid-2"]
    with pytest.raises(ValueError, match="sid room"):
        manager.enter_room("sid-1", "/", "sid-2")


def test_who_goes_is_in_no_room_any_more(manager: Any) -> None:
    manager.enter_room("sid-1", "/", "lobby")
    manager.pre_disconnect("sid-1", "/")
    assert not manager.is_connected("sid-1", "/")
    manager.disconnect("sid-1", "/")
    assert who(manager, "lobby") == set() and who(manager, None) == {"sid-2", "sid-3"}
    assert manager.get_rooms("sid-1", "/") == []
    assert not manager.pending_disconnect
    assert manager.is_connected("sid-4", "/admin")


def test_an_event_reaches_a_room_but_for_whom_it_skips() -> None:
    manager = connected(Manager(2), "/")
    sessions = manager.server.eio.sockets
    for sid in ("sid-1", "sid-2"):
        manager.enter_room(sid, "/", "lobby")
    manager.emit("hi", {"a": 1}, "/", room="lobby", skip_sid="sid-2")
    assert [len(session.frames) for session in sessions.values()] == [1, 0, 0]
    assert sessions["eio-a"].frames[0].endswith(b'42["hi",{"a":1}]')
    manager.emit("hi", ("a", b"b"), "/", to="sid-3")
    assert [len(session.frames) for session in sessions.values()] == [1, 0, 2]
    manager.emit("hi", None, "/")
    assert [len(session.frames) for session in sessions.values()] == [2, 1, 3]


def test_those_of_the_root_namespace_are_known_by_their_sid() -> None:
    manager = connected(Manager(2), "/", "/admin")
    assert set(manager.sessions) == {"sid-1", "sid-2", "sid-3"}
    manager.disconnect("sid-4", "/admin")
    manager.disconnect("sid-1", "/")
    assert set(manager.sessions) == {"sid-2", "sid-3"}


def test_the_oldest_callback_is_let_go_beyond_the_bound() -> None:
    manager = connected(Manager(2), "/")
    got: list[Any] = []
    numbers = [manager._generate_ack_id("sid-1", got.append) for _ in range(3)]
    for number in numbers:
        manager.trigger_callback("sid-1", number, [number])
    assert got == numbers[1:]
