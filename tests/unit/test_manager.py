"""python-socketio's rooms, as they cost us less: the same answers as its own manager gives."""

from __future__ import annotations

import json
import logging
from typing import Any

import gevent
import orjson
import pytest
import socketio
from hypothesis import example, given
from hypothesis import strategies as st

from chatapp.engine.manager import Manager
from chatapp.engine.packets import HostPacket


class Session:
    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def put(self, frame: bytes) -> None:
        self.frames.append(frame)


class EngineIO:
    def __init__(self, name: str) -> None:
        self.sockets = {f"eio-{name}": Session() for name in "abc"}
        self._name = name
        self._made = 0

    def generate_id(self) -> str:
        self._made += 1
        return f"{self._name}-{self._made}"


class Server:
    packet_class = HostPacket
    logger = logging.getLogger("chatapp.engine.socketio")

    def __init__(self, name: str) -> None:
        self.eio = EngineIO(name)
        self.disconnected: list[tuple[str, str, bool]] = []

    def _send_packet(self, eio_sid: str, packet: HostPacket) -> None:
        for frame in packet.frames():
            self.eio.sockets[eio_sid].put(frame)

    def disconnect(self, sid: str, namespace: str, ignore_queue: bool = False) -> None:
        self.disconnected.append((sid, namespace, ignore_queue))


def connected(manager: Any, *namespaces: str, name: str = "sid") -> Any:
    manager.set_server(Server(name))
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


# Several workers


class Wire:
    """Joins managers as a bus does: what one publishes all others take, as JSON."""

    def __init__(self, count: int) -> None:
        self.is_alone = False
        self.published: list[Any] = []
        self.managers = [connected(Manager(2), "/", name=f"w{number}") for number in range(count)]
        for manager in self.managers:
            manager.bridge = self

    def publish(self, data: dict[str, Any]) -> None:
        self.published.append(data)
        message = HostPacket.json.dumps(data).encode()
        for manager in self.managers:
            if manager.host_id != data["host_id"] or data["method"] == "callback":
                manager.take_json(message)

    def got(self) -> list[list[bytes]]:
        """Return what each worker's clients got, as packets, and forget it."""
        found = []
        for manager in self.managers:
            sessions = manager.server.eio.sockets.values()
            found.append([frame[2:] for session in sessions for frame in session.frames])
            for session in sessions:
                session.frames.clear()
        return found


def test_an_event_reaches_the_clients_of_all_workers() -> None:
    wire = Wire(3)
    one, two, _ = wire.managers
    one.emit("hi", {"a": 1}, "/")
    assert wire.got() == [[b'42["hi",{"a":1}]'] * 3] * 3
    two.enter_room("w1-1", "/", "lobby")
    two.enter_room("w1-2", "/", "lobby")
    one.emit("hi", ("a", 2), None, room=("lobby", "bar"), skip_sid={"w1-2"})
    assert wire.got() == [[], [b'42["hi","a",2]'], []]
    one.emit("hi", None, "/", to="w2-3")
    assert wire.got() == [[], [], [b'42["hi"]']]
    one.emit("hi", {"picture": b"\x00\xff"}, "/", to="w1-1")
    assert wire.got()[1] == [b'451-["hi",{"picture":{"_placeholder":true,"num":0}}]', b"\x00\xff"]


def test_nothing_is_published_for_a_client_that_is_here_or_if_nobody_else_is() -> None:
    wire = Wire(2)
    one, _ = wire.managers
    one.emit("hi", 1, "/", to="w0-1")
    one.emit("hi", 1, "/", ignore_queue=True)
    assert one.can_disconnect("w0-1", "/")
    one.enter_room("w0-1", "/", "lobby")
    one.leave_room("w0-1", "/", "lobby")
    wire.is_alone = True
    one.emit("hi", 1, "/", room="lobby")
    one.close_room("lobby", "/")
    assert not one.can_disconnect("unknown", "/")
    with pytest.raises(KeyError):
        one.enter_room("unknown", "/", "lobby")
    assert wire.published == []


def test_clients_of_other_workers_are_put_into_rooms_and_out_of_them_and_disconnected() -> None:
    wire = Wire(2)
    one, two = wire.managers
    one.enter_room("w1-1", "/", "lobby")
    assert who(two, "lobby") == {"w1-1"}
    one.leave_room("w1-1", "/", "lobby")
    assert who(two, "lobby") == set()
    one.enter_room("w1-1", "/", "lobby")
    one.close_room("lobby")
    assert who(two, "lobby") == set()
    assert not one.can_disconnect("w1-1", "/")
    gevent.sleep(0)
    assert two.server.disconnected == [("w1-1", "/", True)]
    assert one.server.disconnected == []


def test_a_client_of_another_worker_acknowledges_once() -> None:
    wire = Wire(3)
    one, two, _ = wire.managers
    got: list[Any] = []
    one.emit("hi", "x", "/", to="w1-2", callback=lambda *args: got.append(args))
    assert wire.got() == [[], [b'421["hi","x"]'], []]
    two.trigger_callback("w1-2", 1, ["a", 2])
    gevent.sleep(0)
    assert got == [("a", 2)]
    two.trigger_callback("w1-2", 1, ["again"])
    wire.publish({**wire.published[-1], "args": ["again"]})
    gevent.sleep(0)
    assert got == [("a", 2)]


def test_a_room_on_several_workers_acknowledges_with_its_first_answer() -> None:
    wire = Wire(2)
    one, two = wire.managers
    got: list[Any] = []
    one.emit("hi", "x", "/", callback=lambda *args: got.append(args))
    two.trigger_callback("w1-2", 1, ["first"])
    one.trigger_callback("w0-2", 1, ["second"])
    gevent.sleep(0)
    assert got == [("first",)]


def test_callbacks_that_nobody_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatapp.engine.manager._FAR_CALLBACKS", 3)
    wire = Wire(2)
    for number in range(10):
        wire.managers[0].emit("hi", number, "/", to=f"gone-{number}", callback=print)
    assert len(wire.managers[0]._far_callbacks) == 3
    assert wire.managers[0].callbacks == {}


class Stock(socketio.PubSubManager):  # type: ignore[misc]
    """python-socketio's own in a process that only writes, as its RedisManager is one."""

    def __init__(self, to: Manager) -> None:
        super().__init__(write_only=True)
        self._to = to

    def _publish(self, data: Any) -> None:
        self._to.take_json(json.dumps(data).encode())


def test_what_pythonsocketios_own_manager_publishes_is_done() -> None:
    wire = Wire(1)
    (manager,) = wire.managers
    stock = Stock(manager)
    manager.rooms["/"]["lobby"] = manager.rooms["/"][None].copy()
    for data, text in [("x", b'"x"'), (("x", 1), b'"x",1'), (["x"], b'["x"]'), ({"a": None}, b'{"a":null}')]:
        stock.emit("hi", data, room="lobby", skip_sid="w0-1")
        assert wire.got() == [[b'42["hi",' + text + b"]"] * 2]
    stock.emit("hi", [b"1", {"b": b"2"}], to="w0-1")
    assert wire.got()[0][1:] == [b"1", b"2"]
    stock.enter_room("w0-2", "/", "bar")
    assert who(manager, "bar") == {"w0-2"}
    stock.leave_room("w0-2", "/", "bar")
    stock.close_room("lobby")
    assert who(manager, "lobby") == who(manager, "bar") == set()
    stock._publish({"method": "disconnect", "sid": "w0-3", "namespace": "/", "host_id": stock.host_id})
    gevent.sleep(0)
    assert manager.server.disconnected == [("w0-3", "/", True)]


EMIT = {"method": "emit", "event": "hi", "data": ["x"], "namespace": "/", "room": None, "host_id": "h"}


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x80\x04K\x01.",  # a pickle
        b"NaN",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"method": "__init__"}',
        b'{"method": ["emit"]}',
        *(
            orjson.dumps({**EMIT, **wrong})
            for wrong in [
                {"event": 1},
                {"event": None},
                {"data": "x"},
                {"data": None},
                {"namespace": None},
                {"namespace": "admin"},
                {"room": {}},
                {"room": [[]]},
                {"room": []},
                {"room": 1.5},
                {"skip_sid": 1},
                {"skip_sid": [1]},
                {"callback": ["a", "/"]},
                {"callback": ["a", "/", "1"]},
                {"host_id": None},
                {"host_id": None, "callback": ["a", "/", 1]},
                {"binary": 1},
                {"binary": True},
                {"binary": True, "data": [["x"], 1]},
                {"binary": True, "data": [["x"], "not base64"]},
                {"binary": True, "data": [["x"], "eA=="]},
                {"binary": True, "data": [[{"_placeholder": True, "num": 5}], "eA=="]},
            ]
        ),
        b'{"method":"emit","event":"\\ud800","data":[],"namespace":"/","host_id":"h"}',
        b'{"method":"emit","event":"hi","data":[NaN],"namespace":"/","host_id":"h"}',
        orjson.dumps({"method": "disconnect", "sid": 1, "namespace": "/"}),
        orjson.dumps({"method": "disconnect", "sid": "w0-1"}),
        orjson.dumps({"method": "enter_room", "sid": "w0-1", "room": None, "namespace": "/"}),
        orjson.dumps({"method": "close_room", "room": [], "namespace": "/"}),
        orjson.dumps({"method": "callback", "host_id": "h", "id": "1", "args": []}),
        orjson.dumps({"method": "callback", "host_id": "h", "id": 1, "args": {}}),
        orjson.dumps({**EMIT, "data": ["x" * 9_000_000]}),
    ],
)
def test_what_no_manager_publishes_is_dropped_and_counted(
    message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire(1)
    dropped: list[None] = []
    wire.managers[0].on_malformed = lambda: dropped.append(None)
    for _ in range(2):
        wire.managers[0].take_json(message)
    assert len(dropped) == 2
    assert wire.got() == [[]]
    assert len(caplog.records) == 1 and not caplog.records[0].exc_info


PLAIN = st.none() | st.booleans() | st.integers() | st.sampled_from(["", "/", "w0-1", "h", "eA=="])
JSON = (
    PLAIN | st.lists(PLAIN | st.lists(PLAIN)) | st.dictionaries(st.sampled_from(["a", "_placeholder"]), PLAIN)
)
METHODS = st.sampled_from(["emit", "callback", "disconnect", "enter_room", "leave_room", "close_room"])


@given(METHODS, st.dictionaries(st.sampled_from([*EMIT, "sid", "id", "args", "binary", "callback"]), JSON))
@example("callback", {"id": 0, "args": [], "binary": True, "data": True})
def test_no_message_does_more_than_be_refused(method: str, fields: dict[str, Any]) -> None:
    manager = Wire(1).managers[0]
    manager.take_json(json.dumps({**EMIT, **fields, "method": method}).encode())
