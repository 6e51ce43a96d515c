"""The private names of other projects that the engine works with: a version that lacks one fails here."""

from __future__ import annotations

import inspect

import bidict
import engineio
import pytest
import socketio
from gevent.pywsgi import Input, WSGIHandler
from geventwebsocket.websocket import WebSocket

#: What is called or replaced, by owner, with the arguments that are given.
NAMES = {
    socketio.Server: {
        "_engineio_server_class": ["self"],
        "_get_event_handler": ["self", "event", "namespace", "args"],
        "_handle_ack": ["self", "eio_sid", "namespace", "id", "data"],
        "_handle_connect": ["self", "eio_sid", "namespace", "data"],
        "_handle_disconnect": ["self", "eio_sid", "namespace", "reason"],
        "_handle_event_internal": ["self", "server", "sid", "eio_sid", "data", "namespace", "id"],
        "_send_packet": ["self", "eio_sid", "pkt"],
    },
    socketio.Manager: {
        "_generate_ack_id": ["self", "sid", "callback"],
        "basic_disconnect": ["self", "sid", "namespace", "kwargs"],
        "basic_enter_room": ["self", "sid", "namespace", "room", "eio_sid"],
        "basic_leave_room": ["self", "sid", "namespace", "room"],
        "get_participants": ["self", "namespace", "room"],
        "is_sid_room": ["self", "namespace", "room"],
        "pre_connect": ["self", "eio_sid", "namespace"],
    },
    socketio.PubSubManager: {
        "_handle_close_room": ["self", "message"],
        "_handle_emit": ["self", "message"],
        "_handle_enter_room": ["self", "message"],
        "_handle_leave_room": ["self", "message"],
        "_publish": ["self", "data"],
        "_return_callback": ["self", "host_id", "sid", "namespace", "callback_id", "args"],
        "initialize": ["self"],
    },
    engineio.Server: {
        "_get_socket": ["self", "sid"],
        "_trigger_event": ["self", "event", "args", "kwargs"],
        "generate_id": ["self"],
        "send_packet": ["self", "sid", "pkt"],
    },
    Input: {"__init__": ["self", "rfile", "content_length", "socket", "chunked_input"]},
    WSGIHandler: {
        "read_request": ["self", "raw_requestline"],
        "read_requestline": ["self"],
        "start_response": ["self", "status", "headers", "exc_info"],
    },
}


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, names in NAMES.items() for name in names]
)
def test_a_name_is_there_and_takes_what_it_is_given(owner: type, name: str) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == NAMES[owner][name]


def test_the_managers_tables_are_what_ours_reads() -> None:
    manager = socketio.Manager()
    for table in ("rooms", "callbacks", "pending_connect", "pending_disconnect"):
        assert getattr(manager, table) == {}
    manager.basic_enter_room("sid", "/", None, eio_sid="eio")
    assert isinstance(manager.rooms["/"][None], bidict.bidict)


def test_a_manager_has_an_id_and_starts_no_thread_to_have_it() -> None:
    manager = socketio.PubSubManager()
    assert len(manager.host_id) == 32
    assert not hasattr(manager, "thread")


def test_a_websocket_of_gevent_websocket_lets_go_when_it_seems_closed() -> None:
    names = {"stream", "raw_read", "raw_write", "environ", "handler", "closed"}
    assert names <= {*WebSocket.__slots__, *vars(WebSocket)}
