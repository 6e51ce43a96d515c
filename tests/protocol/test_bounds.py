"""The bounds of ``[limits]`` that the engine keeps, each driven past a small one, some past their default.

Those on requests hold in each hosting; what only a session counts is looked at in one.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import wait_until
from protocol_peer import Answer, Polling, Request, called, check_output, get, hosted
from raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    TEXT,
    RawWebSocket,
    frame,
    header,
)
from servers import HOSTINGS, ServerProcess

NOT_ALLOWED, TOO_BIG = 1008, 1009

FRAME_BYTES = 2000

SMALL = {
    "LIMITS_FRAME_BYTES": str(FRAME_BYTES),
    "LIMITS_MESSAGE_BYTES": "300",
    "LIMITS_MESSAGE_CHARACTERS": "300",
    "LIMITS_FRAGMENTS_PER_MESSAGE": "5",
    "LIMITS_ATTACHMENTS_PER_MESSAGE": "2",
    "LIMITS_PACKETS_PER_REQUEST": "3",
    "LIMITS_JSON_DEPTH": "5",
    "LIMITS_PENDING_ACKS": "3",
    "LIMITS_ROOMS_PER_CONNECTION": "2",
    "LIMITS_OUTBOX_BYTES": "65536",
}

FULL = {
    "LIMITS_CONNECTIONS": "6",
    "LIMITS_CONNECTIONS_PER_USER": "2",
    "LIMITS_CONNECTIONS_PER_ADDRESS": "2",
    "APP_TRUSTED_PROXIES": "127.0.0.1",
}

#: How late a server may be that shares its machine.
LATE_SECONDS = 1.0

SECONDS = {
    "LIMITS_CONNECT_SECONDS": "0.4",
    "LIMITS_JOIN_SECONDS": "0.8",
    "LIMITS_ATTACHMENT_SECONDS": "0.3",
    "LIMITS_LEAVE_GRACE_SECONDS": "0",
}


@pytest.fixture(scope="module", params=HOSTINGS)
def small(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server in each hosting with small bounds."""
    with hosted(request.param, tmp_path_factory.mktemp("small"), **SMALL) as server:
        yield server
    check_output(server)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that waits for nobody long."""
    with hosted("serve", tmp_path_factory.mktemp("hasty"), **SECONDS) as server:
        yield server
    check_output(server)


in_one_hosting = pytest.mark.parametrize("small", ["serve"], indirect=True)


@contextlib.contextmanager
def connected(server: ServerProcess, **headers: str) -> Iterator[RawWebSocket]:
    with RawWebSocket(server.url, **headers) as client:
        client.open_session()
        yield client


def closed_with(server: ServerProcess, *frames: bytes) -> int:
    with connected(server) as client:
        client.send(b"".join(frames))
        return client.closed_with()


def head_of_post(polling: Polling, line: str) -> bytes:
    return f"POST /socket.io/?{polling.query} HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode()


def nested(depth: int) -> str:
    return '421["echo",' + "[" * (depth - 1) + "]" * (depth - 1) + "]"


# frame_bytes


def test_the_handshake_tells_how_much_is_taken(small: ServerProcess) -> None:
    assert Polling(small.url, connect=False).session["maxPayload"] == FRAME_BYTES


def test_a_message_may_be_as_long_as_frame_bytes_and_no_longer(small: ServerProcess) -> None:
    event = b'421["size","' + b"*" * (FRAME_BYTES - 14) + b'"]'
    with connected(small) as client:
        client.send(frame(TEXT, event))
        assert client.receive() == (TEXT, b"431[%d]" % (FRAME_BYTES - 14))
        client.send(frame(TEXT, event[:1000], fin=False) + frame(CONTINUATION, event[1000:]))
        assert client.receive() == (TEXT, b"431[%d]" % (FRAME_BYTES - 14))
    assert closed_with(small, header(TEXT, FRAME_BYTES + 1)) == TOO_BIG
    halves = frame(TEXT, event[:1000], fin=False) + header(CONTINUATION, FRAME_BYTES - 999)
    assert closed_with(small, halves) == TOO_BIG


def test_a_request_may_be_as_long_as_frame_bytes_and_no_longer(small: ServerProcess) -> None:
    polling = Polling(small.url)
    body = b'421["size","' + b"*" * (FRAME_BYTES - 14) + b'"]'
    assert polling.post_bytes(body).status == 200
    assert polling.packets(1) == [f"431[{FRAME_BYTES - 14}]"]
    assert polling.post_bytes(body + b" ").status == 413


def test_a_request_that_is_too_long_is_refused_before_its_body_comes(small: ServerProcess) -> None:
    polling = Polling(small.url)
    with socket.create_connection(("127.0.0.1", small.port)) as client:
        client.settimeout(2)
        client.sendall(head_of_post(polling, f"Content-Length: {FRAME_BYTES + 1}"))
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
        # Nor is it read after that: the connection ends.
        while client.recv(4096):
            pass


def test_a_request_in_chunks_is_bounded_too(small: ServerProcess) -> None:
    polling = Polling(small.url)
    with socket.create_connection(("127.0.0.1", small.port)) as client:
        client.settimeout(2)
        head = head_of_post(polling, "Transfer-Encoding: chunked")
        client.sendall(head + (b"3e8\r\n" + b"3" * 1000 + b"\r\n") * 3)
        assert client.recv(4096)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 411", b"HTTP/1.1 413")


# fragments_per_message


def test_a_message_may_come_in_that_many_fragments_and_no_more(small: ServerProcess) -> None:
    event, more = b'421["echo",1]', frame(CONTINUATION, fin=False)
    with connected(small) as client:
        client.send(frame(TEXT, event, fin=False) + more * 3 + frame(CONTINUATION))
        assert client.receive() == (TEXT, b"431[1]")
        client.send(frame(TEXT, event, fin=False) + more * 4)
        client.send(frame(CONTINUATION))
        assert client.closed_with() == TOO_BIG


# attachments_per_message


def test_an_event_may_have_that_many_attachments_and_no_more(small: ServerProcess) -> None:
    places = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(2))
    with connected(small) as client:
        client.say(f'452-1["echo",{places}]')
        client.send(frame(BINARY, b"1") + frame(BINARY, b"2"))
        assert client.receive_text().startswith("462-1[")
        assert [client.receive() for _ in range(2)] == [(BINARY, b"1"), (BINARY, b"2")]
        client.say('453-1["echo"]')
        assert client.closed_with() == NOT_ALLOWED
    polling = Polling(small.url)
    assert polling.post('453-1["echo"]').status == 400
    assert polling.is_over()


# attachment_seconds


def test_attachments_have_to_be_complete_in_time(hasty: ServerProcess) -> None:
    with connected(hasty) as client:
        began = time.monotonic()
        client.say('452-1["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
        client.send(frame(BINARY, b"1"))
        assert client.closed_with() == NOT_ALLOWED
        assert 0.3 <= time.monotonic() - began < 0.3 + LATE_SECONDS
    polling = Polling(hasty.url)
    polling.say('451-1["echo",{"_placeholder":true,"num":0}]')
    wait_until(lambda: polling.post("3").status == 400)


def test_attachments_that_came_in_time_leave_no_deadline_behind(hasty: ServerProcess) -> None:
    with connected(hasty) as client:
        assert client.call("join room", {"roomname": "r", "username": "ann"})["ok"]
        for _ in range(2):
            began = time.monotonic()
            client.say('451-1["echo",{"_placeholder":true,"num":0}]')
            client.send(frame(BINARY, b"1"))
            while client.receive() != (BINARY, b"1"):
                pass
            wait_until(lambda began=began: time.monotonic() - began > 0.2)
        assert client.call("echo", 1) == 1


# packets_per_request


def test_a_request_may_hold_that_many_packets_and_no_more(small: ServerProcess) -> None:
    polling = Polling(small.url)
    before = called(small.url).count(["message"])
    polling.say(*['42["message"]'] * 3)
    assert called(small.url).count(["message"]) == before + 3
    assert polling.post(*['42["message"]'] * 4).status == 400
    assert polling.is_over()
    assert called(small.url).count(["message"]) == before + 3


def test_a_thousand_packets_are_taken_by_default(tmp_path: Path) -> None:
    with hosted("serve", tmp_path) as server:
        polling = Polling(server.url)
        polling.say(*['42["size",""]'] * 1000)
        assert polling.post(*["3"] * 1001).status == 400
        assert polling.is_over()
        with connected(server) as client:
            start, more = frame(TEXT, b'421["echo",1]', fin=False), frame(CONTINUATION, fin=False)
            client.send(start + more * 126 + frame(CONTINUATION))
            assert client.receive() == (TEXT, b"431[1]")
            client.send(start + more * 128)
            assert client.closed_with() == TOO_BIG


# json_depth


@in_one_hosting
def test_json_may_be_that_deep_and_no_deeper(small: ServerProcess) -> None:
    with connected(small) as client:
        client.say(nested(5))
        assert client.receive_text() == nested(5).replace('421["echo",', "431[")
        client.say(nested(6))
        assert client.closed_with() == 1007
    with RawWebSocket(small.url) as client:
        client.say('40{"token":' + "[" * 5 + "]" * 5 + "}")
        client.receive_text()
        assert client.closed_with() == 1007


# pending_acks


@in_one_hosting
def test_the_server_waits_for_that_many_answers_of_one_client(small: ServerProcess) -> None:
    with connected(small) as client:
        client.say('42["ask me","many?",5]')
        numbers = []
        for _ in range(5):
            text = client.receive_text()
            numbers.append(text[2 : text.index("[")])
        for place, number in enumerate(numbers):
            client.say(f'43{number}["many",{place}]')
        assert client.call("echo", 1) == 1  # the two whose questions are forgotten do no harm
    answers = [call[2] for call in called(small.url) if call[:2] == ["answer", "many"]]
    assert answers == [2, 3, 4]


# outbox_bytes


@in_one_hosting
def test_who_does_not_read_is_let_go(small: ServerProcess) -> None:
    with RawWebSocket(small.url, receive_buffer=4096) as client:
        client.open_session()
        sent = small.output.count("LOG")
        client.say('42["send me",4000,1500]')
        wait_until(lambda: any("disconnected" in line for line in small.output[sent:]), "its end")
        assert client.is_closed()
    polling = Polling(small.url)
    polling.say('42["send me",100,1000]')
    wait_until(polling.is_over, "the end of the session")


@in_one_hosting
def test_what_waits_below_the_bound_is_kept(small: ServerProcess) -> None:
    polling = Polling(small.url)
    polling.say('42["send me",50,1000]')
    assert [json.loads(packet[2:])[1][0] for packet in polling.packets(50)] == list(range(50))


# connect_seconds, join_seconds


def test_who_does_not_connect_in_time_is_let_go(hasty: ServerProcess) -> None:
    with RawWebSocket(hasty.url) as client:
        began = time.monotonic()
        assert client.closed_with() == NOT_ALLOWED
        assert 0.3 <= time.monotonic() - began < 0.4 + LATE_SECONDS
    polling = Polling(hasty.url, connect=False)
    wait_until(lambda: polling.post("3").status == 400)


def test_who_leaves_all_namespaces_is_let_go(hasty: ServerProcess) -> None:
    with connected(hasty) as client:
        client.say("41")
        assert client.closed_with() == NOT_ALLOWED


def test_who_leaves_has_that_long_again_to_come_back(hasty: ServerProcess) -> None:
    with connected(hasty) as client:
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 0.3)
        client.say("41")
        wait_until(lambda: time.monotonic() - began > 0.5)
        client.say("40")
        assert client.receive_text().startswith("40{")


def test_who_is_refused_is_let_go(hasty: ServerProcess) -> None:
    with RawWebSocket(hasty.url) as client:
        client.say("40/random,")
        assert client.closed_with() == NOT_ALLOWED


def test_who_does_not_upgrade_in_time_keeps_polling(hasty: ServerProcess) -> None:
    polling = Polling(hasty.url)
    polling.say('421["join room",{"roomname":"r","username":"poll"}]')
    assert any(packet.startswith("431[") for packet in polling.packets(1))
    with RawWebSocket(hasty.url, query=f"EIO=4&transport=websocket&sid={polling.sid}") as client:
        client.say("2probe")
        assert client.receive_text() == "3probe"
        client.closed_with()
    polling.say("3")


def test_who_does_not_join_in_time_is_let_go(hasty: ServerProcess) -> None:
    with connected(hasty) as client:
        began = time.monotonic()
        assert client.call("echo", "this is no join") == "this is no join"
        assert client.closed_with() == NOT_ALLOWED
        assert 0.7 <= time.monotonic() - began < 0.8 + LATE_SECONDS


def test_who_joined_in_time_stays_and_need_not_be_in_a_room_for_ever(hasty: ServerProcess) -> None:
    with connected(hasty) as client:
        began = time.monotonic()
        assert client.call("join room", {"roomname": "r", "username": "bob"})["ok"]
        assert client.call("leave room", {"roomname": "r"})["ok"]
        wait_until(lambda: time.monotonic() - began > 1)
        assert client.call("echo", "still here") == "still here"


# rooms_per_connection


@in_one_hosting
def test_a_connection_may_be_in_that_many_rooms_and_no_more(small: ServerProcess) -> None:
    with connected(small) as client:
        for number in range(2):
            assert client.call("join room", {"roomname": f"r{number}", "username": "eve"})["ok"]
        refusal = client.call("join room", {"roomname": "r2", "username": "eve"})
        assert refusal["error"]["code"] == "limit_reached"
        assert client.call("leave room", {"roomname": "r0"})["ok"]
        assert client.call("join room", {"roomname": "r2", "username": "eve"})["ok"]


# connections, connections_per_user, connections_per_address


@pytest.fixture(scope="module", params=HOSTINGS)
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with hosted(request.param, tmp_path_factory.mktemp("full"), **FULL) as server:
        server.hosting = request.param
        yield server
    check_output(server)


@pytest.fixture
def full_house(full: ServerProcess) -> ServerProcess:
    """A server in each hosting with few places, all of them free."""
    wait_until(lambda: get(full.url, "/sessions").body == b"0", "the end of what was before")
    return full


def knock(server: ServerProcess, address: str | None = None) -> Answer:
    """Ask for a session by polling, and end it."""
    headers = {"X-Forwarded-For": address} if address else {}
    query = "EIO=4&transport=polling"
    answer = Request(server.url, "GET", query, headers=headers).answer()
    if answer.status == 200:
        sid = json.loads(answer.text[1:])["sid"]
        assert Request(server.url, "POST", f"{query}&sid={sid}", b"1").answer().status == 200
    else:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
    return answer


def websocket_is_refused(server: ServerProcess, **headers: str) -> bool:
    with RawWebSocket(server.url, **headers) as client:
        if server.hosting == "geventwebsocket":  # its worker makes the handshake before it asks us
            return client.receive()[0] == CLOSE
        return client.head.startswith(b"HTTP/1.1 503 ") and b"retry-after: " in client.head.lower()


def test_beyond_the_limit_clients_are_asked_to_try_later_and_pages_are_served(
    full_house: ServerProcess,
) -> None:
    with contextlib.ExitStack() as clients:
        sockets = [clients.enter_context(connected(full_house)) for _ in range(5)]
        polling = Polling(full_house.url)
        assert knock(full_house).status == 503
        assert websocket_is_refused(full_house)
        assert get(full_house.url, "/pid").status == 200
        # Those who are in are not disturbed.
        assert sockets[0].call("echo", 1) == 1
        polling.say('421["echo",1]')
        assert polling.packets(1) == ["431[1]"]
        # A place that becomes free is given again.
        polling.say("1")
        assert knock(full_house).status == 200
        sockets.append(clients.enter_context(connected(full_house)))
        assert knock(full_house).status == 503
        sockets[0].socket.close()
        wait_until(lambda: knock(full_house).status == 200, "a place")


def test_an_address_that_a_proxy_names_has_so_many_connections(full_house: ServerProcess) -> None:
    with contextlib.ExitStack() as clients:
        first = clients.enter_context(connected(full_house, X_Forwarded_For="203.0.113.7"))
        clients.enter_context(connected(full_house, X_Forwarded_For="203.0.113.7"))
        assert knock(full_house, "203.0.113.7").status == 503
        # The last one is the one that our proxy saw.
        assert knock(full_house, "198.51.100.1, 203.0.113.7").status == 503
        assert websocket_is_refused(full_house, X_Forwarded_For="203.0.113.7")
        assert knock(full_house, "203.0.113.8").status == 200
        assert first.call("echo", 1) == 1
        first.socket.close()
        wait_until(lambda: knock(full_house, "203.0.113.7").status == 200, "a place")


def test_a_private_address_of_the_peer_is_not_counted(full_house: ServerProcess) -> None:
    with contextlib.ExitStack() as clients:
        for _ in range(4):
            clients.enter_context(connected(full_house))
        assert knock(full_house).status == 200


@pytest.mark.parametrize("full", ["serve"], indirect=True)
def test_a_user_may_have_so_many_connections(full_house: ServerProcess) -> None:
    with contextlib.ExitStack() as clients:
        first = clients.enter_context(connected(full_house))
        token = first.call("join room", {"roomname": "r", "username": "ann"})["token"]
        second = clients.enter_context(RawWebSocket(full_house.url))
        second.receive_text()
        second.say("40" + json.dumps({"token": token}))
        assert second.receive_text().startswith("40{")
        third = clients.enter_context(RawWebSocket(full_house.url))
        third.receive_text()
        third.say("40" + json.dumps({"token": token}))
        refusal = third.receive_text()
        assert refusal.startswith("44{")
        assert json.loads(refusal[2:])["data"]["code"] == "limit_reached"
        # Nor by joining under the token.
        fourth = clients.enter_context(connected(full_house))
        answer = fourth.call("join room", {"roomname": "r", "token": token})
        assert answer["error"]["code"] == "limit_reached"
        first.socket.close()
        again = clients.enter_context(RawWebSocket(full_house.url))
        again.receive_text()

        def is_let_in() -> bool:
            again.say("40" + json.dumps({"token": token}))
            return again.receive_text().startswith("40{")

        wait_until(is_let_in, "a place")
