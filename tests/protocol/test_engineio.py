"""Engine.IO's protocol, version 4, rule by rule: opening, polling, WebSocket, closing.

Each section names its heading in the protocol's document (socketio/engine.io-protocol, README). All that
its official test suite looks at is here or in the modules on heartbeat and upgrade.
"""

from __future__ import annotations

import json
import socket
import struct
import time

import pytest

from clients import wait_until
from protocol_peer import SEPARATOR, Polling, Request, ask, called, get, mark, opens_websocket
from raw_websocket import BINARY, CLOSE, TEXT, RawWebSocket, close_frame, frame
from servers import ServerProcess

OPEN_KEYS = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}


# Handshake


def test_a_session_opens_by_polling(server: ServerProcess) -> None:
    answer = ask(server.url)
    assert answer.status == 200
    assert answer.headers["Content-Type"].lower().replace(" ", "") == "text/plain;charset=utf-8"
    assert answer.text[0] == "0"
    opened = json.loads(answer.text[1:])
    assert set(opened) == OPEN_KEYS
    assert isinstance(opened["sid"], str) and opened["sid"]
    assert opened["upgrades"] == ["websocket"]
    assert (opened["pingInterval"], opened["pingTimeout"]) == (25000, 20000)
    assert opened["maxPayload"] == 65536


def test_a_session_opens_by_websocket_and_has_nothing_to_upgrade_to(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        assert client.head.startswith(b"HTTP/1.1 101 ")
        text = client.receive_text()
        assert text[0] == "0"
        opened = json.loads(text[1:])
        assert set(opened) == OPEN_KEYS
        assert isinstance(opened["sid"], str) and opened["sid"]
        assert opened["upgrades"] == []
        assert (opened["pingInterval"], opened["pingTimeout"]) == (25000, 20000)
        assert opened["maxPayload"] == 65536


def test_each_session_has_an_id_of_its_own(server: ServerProcess) -> None:
    sids = {Polling(server.url, connect=False).sid for _ in range(5)}
    assert len(sids) == 5
    assert min(map(len, sids)) >= 20, "an id can be guessed"


# HTTP long-polling: query parameters. "If a mandatory query parameter is missing, then the server MUST
# respond with an HTTP 400 error status."


@pytest.mark.parametrize(
    "query",
    [
        "EIO=&transport=polling",
        "EIO=abc&transport=polling",
        "EIO=5&transport=polling",
        "EIO=44&transport=polling",
        "EIO=4",
        "EIO=4&transport=",
        "EIO=4&transport=abc",
        "EIO=4&transport=POLLING",
        "",
        # JSONP went away with version 4.
        "EIO=4&transport=polling&j=0",
        "EIO=4&transport=polling&sid=unknown",
        "EIO=4&transport=websocket",
    ],
)
def test_a_request_that_opens_nothing_is_answered_400(server: ServerProcess, query: str) -> None:
    answer = ask(server.url, query=query)
    assert answer.status == 400
    assert b"sid" not in answer.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD"])
def test_a_session_opens_by_get_alone(server: ServerProcess, method: str) -> None:
    answer = ask(server.url, method)
    assert answer.status == 400
    assert b"sid" not in answer.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
def test_a_session_takes_get_and_post_alone(server: ServerProcess, method: str) -> None:
    polling = Polling(server.url)
    assert ask(server.url, method, polling.query).status == 400
    polling.say('421["echo"]')
    assert polling.packets(1) == ["431[]"]


def test_a_browser_may_ask_which_methods_there_are(server: ServerProcess) -> None:
    assert ask(server.url, "OPTIONS").status == 200


def test_further_parameters_do_not_matter(server: ServerProcess) -> None:
    assert ask(server.url, query="EIO=4&transport=polling&t=abc123&b64=1").status == 200


# HTTP long-polling: sending and receiving data


def test_one_text_packet_goes_each_way(server: ServerProcess) -> None:
    polling = Polling(server.url)
    sent = polling.post('421["echo","hello"]')
    assert (sent.status, sent.body) == (200, b"ok")
    received = polling.get()
    assert (received.status, received.text) == (200, '431["hello"]')
    assert received.headers["Content-Type"].lower().replace(" ", "") == "text/plain;charset=utf-8"


def test_several_text_packets_go_each_way_in_their_order(server: ServerProcess) -> None:
    polling = Polling(server.url)
    polling.say('421["echo","test1"]', '422["echo","test2"]', '423["echo","test3"]')
    assert polling.packets(3) == ['431["test1"]', '432["test2"]', '433["test3"]']


def test_text_and_binary_packets_go_each_way(server: ServerProcess) -> None:
    polling = Polling(server.url)
    polling.say('421["echo","hello"]', '451-2["echo",{"_placeholder":true,"num":0}]', "bAQIDBA==")
    first, second, third = polling.packets(3)
    assert first == '431["hello"]'
    assert second.startswith("461-2[")
    assert json.loads(second[5:]) == [{"_placeholder": True, "num": 0}]
    assert third == "bAQIDBA=="


def test_attachments_may_come_in_requests_of_their_own(server: ServerProcess) -> None:
    polling = Polling(server.url)
    polling.say('452-3["echo",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]')
    polling.say("bAQ==")
    polling.say("bAgID")
    text, *attachments = polling.packets(3)
    assert text.startswith("462-3[")
    assert attachments == ["bAgID", "bAQ=="]


def test_text_is_utf_8(server: ServerProcess) -> None:
    polling = Polling(server.url)
    text = "µ κόσμε \U0001f600 \u2028"
    polling.say("421" + json.dumps(["echo", text], ensure_ascii=False))
    (packet,) = polling.packets(1)
    assert json.loads(packet[3:]) == [text]


def test_an_answer_holds_at_most_16_packets_and_the_next_the_rest(server: ServerProcess) -> None:
    polling = Polling(server.url)
    polling.say(*(f'42{number}["echo",{number}]' for number in range(40)))
    packets: list[str] = []
    while len(packets) < 40:
        answer = polling.get()
        assert answer.status == 200
        assert len(answer.packets) <= 16
        packets += answer.packets
    assert packets == [f"43{number}[{number}]" for number in range(40)]


def test_a_poll_waits_until_there_is_something(server: ServerProcess) -> None:
    polling = Polling(server.url)
    poll = polling.hold()
    polling.say('421["echo","late"]')
    answer = poll.answer()
    assert (answer.status, answer.text) == (200, '431["late"]')
    assert answer.headers["Connection"] == "close"


def test_a_connection_may_carry_one_request_after_the_other(server: ServerProcess) -> None:
    polling = Polling(server.url)
    request = Request(server.url, "POST", polling.query, b'421["echo",1]')
    for number in range(2, 5):
        response = request.connection.getresponse()
        assert (response.status, response.read()) == (200, b"ok")
        body = f'42{number}["echo",{number}]'.encode()
        request.connection.request("POST", f"/socket.io/?{polling.query}", body)
    assert request.answer().body == b"ok"
    assert polling.packets(4) == ["431[1]", "432[2]", "433[3]", "434[4]"]


@pytest.mark.parametrize("body", [b"abc", b"", b"9", b"b!!!!", b"\xff", b'421["echo"]\x1eabc', b"3\x1e\x1e3"])
def test_an_invalid_payload_ends_the_session(server: ServerProcess, body: bytes) -> None:
    polling = Polling(server.url)
    assert polling.post_bytes(body).status == 400
    assert polling.is_over()


def test_a_held_poll_is_answered_when_an_invalid_payload_ends_the_session(server: ServerProcess) -> None:
    polling = Polling(server.url)
    poll = polling.hold()
    began = time.monotonic()
    assert polling.post("abc").status == 400
    assert poll.answer().status in (200, 400)
    assert time.monotonic() - began < 1


# "To ensure packet ordering, a client MUST NOT have more than one active GET request. Should it happen, the
# server MUST return an HTTP 400 error status and close the session."


def test_two_polls_at_once_end_the_session(server: ServerProcess) -> None:
    polling = Polling(server.url)
    poll = polling.hold()
    assert polling.get().status == 400
    first = poll.answer()
    assert (first.status, first.text) == (200, "1")
    assert polling.is_over()


# The same of POST.


def test_two_posts_at_once_end_the_session(server: ServerProcess) -> None:
    polling = Polling(server.url)
    body = b'421["echo",1]'
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        head = f"POST /socket.io/?{polling.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        slow.sendall(head.encode() + body[:5])
        get(server.url, "/pid")
        second = polling.post('422["echo",2]')
        slow.sendall(body[5:])
        assert slow.recv(65536)
    assert second.status == 400
    assert polling.is_over()


def test_a_body_that_breaks_off_is_no_fault_of_the_server(server: ServerProcess) -> None:
    polling = Polling(server.url)
    start, _ = mark(server)
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        head = f"POST /socket.io/?{polling.query} HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n"
        slow.sendall(head.encode() + b"42[")
        get(server.url, "/pid")
    for _ in range(3):  # until the server has noticed
        mark(server)
    assert "Traceback" not in "".join(server.output[start:]), server.output[start:]


# What a poll was handed is not lost with its connection (ours; the document does not speak of it).


@pytest.mark.parametrize("way", ["reset", "closed"])
def test_what_comes_while_a_poll_is_dead_goes_to_the_next(server: ServerProcess, way: str) -> None:
    polling = Polling(server.url)
    poll = polling.hold()
    assert poll.connection.sock is not None
    if way == "reset":
        poll.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    poll.connection.close()
    get(server.url, "/pid")
    polling.say('421["echo","not lost"]')
    assert polling.packets(1) == ['431["not lost"]']


# WebSocket: each packet is a frame of its own, text as text and binary as binary.


def test_text_and_binary_packets_go_each_way_by_websocket(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        client.open_session()
        client.say('421["echo","hello"]')
        assert client.receive() == (TEXT, b'431["hello"]')
        client.say('451-2["echo",{"_placeholder":true,"num":0}]')
        client.send(frame(BINARY, bytes((1, 2, 3, 4))))
        opcode, text = client.receive()
        assert opcode == TEXT and text.startswith(b"461-2[")
        assert client.receive() == (BINARY, bytes((1, 2, 3, 4)))


@pytest.mark.parametrize("text", ["abc", "", "421", "7", SEPARATOR, '421["echo",1]' + SEPARATOR + "3"])
def test_an_invalid_packet_closes_the_websocket(server: ServerProcess, text: str) -> None:
    with RawWebSocket(server.url) as client:
        client.open_session()
        began = time.monotonic()
        client.say(text)
        assert client.closed_with() in (1007, 1008)
        assert time.monotonic() - began < 1


# WebSocket: query parameters. "If a mandatory query parameter is missing, then the server MUST close the
# WebSocket connection", and if the session ID is not known.


@pytest.mark.parametrize(
    "query",
    [
        "EIO=abc&transport=websocket",
        "EIO=4",
        "EIO=4&transport=abc",
        "EIO=4&transport=websocket&sid=unknown",
        "EIO=4&transport=websocket&j=0",
    ],
)
def test_a_websocket_that_opens_nothing_is_refused(server: ServerProcess, query: str) -> None:
    assert not opens_websocket(server.url, query)


def test_a_session_begun_by_websocket_cannot_be_polled_nor_taken_over(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        sid = client.open_session()["sid"]
        assert ask(server.url, query=f"EIO=4&transport=polling&sid={sid}").status == 400
        assert ask(server.url, "POST", f"EIO=4&transport=polling&sid={sid}", b"3").status == 400
        assert not opens_websocket(server.url, f"EIO=4&transport=websocket&sid={sid}")
        assert client.call("echo", "still here") == "still here"


# Close


def test_a_close_packet_ends_a_polling_session_and_its_poll(server: ServerProcess) -> None:
    polling = Polling(server.url)
    poll = polling.hold()
    polling.say("1")
    answer = poll.answer()
    assert (answer.status, answer.text) == (200, "6")
    assert polling.is_over()


def test_what_was_sent_before_a_close_packet_is_handled(server: ServerProcess) -> None:
    polling = Polling(server.url)
    before = called(server.url).count(["message"])
    polling.say('42["message"]', "1")
    wait_until(lambda: called(server.url).count(["message"]) == before + 1)
    assert polling.is_over()


def test_a_close_packet_closes_the_websocket(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        client.open_session()
        client.say("1")
        assert client.closed_with() in (1000, 1005)


def test_a_close_frame_ends_the_session(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        sid = client.open_session()["sid"]
        client.send(close_frame(1000))
        assert client.receive()[0] == CLOSE
        assert client.is_closed()
    assert ask(server.url, query=f"EIO=4&transport=polling&sid={sid}").status == 400


def test_a_session_whose_host_lets_it_go_is_over(server: ServerProcess) -> None:
    with RawWebSocket(server.url) as client:
        client.open_session()
        client.say('42["let me go"]')
        assert client.receive_text() == "41"
    polling = Polling(server.url)
    polling.say('42["let me go"]')
    assert "41" in polling.packets(1)
