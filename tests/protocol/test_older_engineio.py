"""Engine.IO's protocol, version 3, rule by rule: opening, payloads, JSONP, WebSocket, upgrade, closing.

Its document is ``docs/protocol.md`` of engine.io 3 and the README of engine.io-protocol at version 3.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator

import pytest

from clients import wait_until
from older_peer import (
    POLLING,
    WEBSOCKET,
    BinaryPolling,
    JsonpPolling,
    OlderPolling,
    OlderWebSocket,
    ask,
    binary_payload,
    payload,
    read_payload,
)
from protocol_peer import Polling, called, get, opens_websocket
from raw_websocket import BINARY, CLOSE, TEXT, RawWebSocket, close_frame, frame
from servers import ServerProcess

GRIN = "\U0001f600"
OPEN_KEYS = {"sid", "upgrades", "pingInterval", "pingTimeout"}
TEXTS = [
    "µ κόσμε",
    "日本語",
    "Ã",
    f"{GRIN} and 👩‍👩‍👧",
    "\u2028\u2029",
    "\x00\x1e",
    "back\\slash \\n \\\\n\n",
    "\"'</script>",
]
PLACEHOLDER = '{"_placeholder":true,"num":0}'

KINDS = [OlderPolling, BinaryPolling, JsonpPolling]


# Handshake


@pytest.mark.parametrize("query", [POLLING, "transport=polling", POLLING + "&t=abc&b64=1"])
def test_a_session_opens_by_polling(server: ServerProcess, query: str) -> None:
    answer = ask(server.url, query=query)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=UTF-8")
    opened = read_payload(answer.text)[0]
    assert isinstance(opened, str) and opened[0] == "0"
    session = json.loads(opened[1:])
    assert set(session) >= OPEN_KEYS
    assert session["upgrades"] == ["websocket"]
    assert (session["pingInterval"], session["pingTimeout"]) == (25000, 20000)


@pytest.mark.parametrize("query", [WEBSOCKET, "transport=websocket"])
def test_a_session_opens_by_websocket_and_has_nothing_to_upgrade_to(
    server: ServerProcess, query: str
) -> None:
    with RawWebSocket(server.url, query=query) as client:
        text = client.receive_text()
        assert text[0] == "0"
        session = json.loads(text[1:])
        assert set(session) >= OPEN_KEYS and session["upgrades"] == []
        assert client.receive_text() == "40"


@pytest.mark.parametrize(
    "query",
    [
        "EIO=2&transport=polling",
        "EIO=3",
        "EIO=3&EIO=4&transport=polling",
        "EIO=3&transport=abc",
        POLLING + "&sid=unknown",
        WEBSOCKET,
    ],
)
def test_a_request_that_opens_nothing_is_answered_400(server: ServerProcess, query: str) -> None:
    answer = ask(server.url, query=query)
    assert answer.status == 400
    assert b"sid" not in answer.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD"])
def test_a_session_opens_by_get_alone(server: ServerProcess, method: str) -> None:
    assert ask(server.url, method).status == 400


def test_a_session_is_of_one_version(server: ServerProcess) -> None:
    older, newer = OlderPolling(server.url), Polling(server.url)
    assert ask(server.url, query=f"EIO=4&transport=polling&sid={older.sid}").status == 400
    assert ask(server.url, "POST", f"EIO=4&transport=polling&sid={older.sid}", b"3").status == 400
    assert not opens_websocket(server.url, f"EIO=4&transport=websocket&sid={older.sid}")
    assert ask(server.url, query=f"{POLLING}&sid={newer.sid}").status == 400
    assert not opens_websocket(server.url, f"{WEBSOCKET}&sid={newer.sid}")
    older.say('421["echo",1]')
    newer.say('421["echo",2]')
    assert older.packets(1) == ["431[1]"] and newer.packets(1) == ["431[2]"]


# Payload


@pytest.mark.parametrize("kind", KINDS)
def test_text_packets_go_each_way_in_their_order(server: ServerProcess, kind: type[OlderPolling]) -> None:
    polling = kind(server.url)
    polling.say('421["echo","test1"]', '422["echo","test2"]')
    polling.say('423["echo","test3"]')
    assert polling.packets(3) == ['431["test1"]', '432["test2"]', '433["test3"]']


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_goes_each_way(server: ServerProcess, kind: type[OlderPolling], text: str) -> None:
    polling = kind(server.url)
    for is_escaped in (True, False):
        polling.say("421" + json.dumps(["echo", text], ensure_ascii=is_escaped))
        (packet,) = polling.packets(1)
        assert isinstance(packet, str) and json.loads(packet[3:]) == [text]


def test_lengths_are_alike_however_a_client_counts(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    polling.say(f'421["echo","é{GRIN}"]')
    answer = polling.get()
    assert answer.body == rb'25:431["\u00e9\ud83d\ude00"]'


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", [OlderPolling, JsonpPolling])
def test_a_client_of_version_1_encodes_its_texts_twice(
    server: ServerProcess, kind: type[OlderPolling], text: str
) -> None:
    polling = kind(server.url)
    polling.say(f"421{json.dumps(['echo', text], ensure_ascii=False)}".encode().decode("latin-1"))
    (answer,) = polling.packets(1)
    assert isinstance(answer, str) and json.loads(answer[3:]) == [text]


def test_a_client_that_encodes_once_is_taken_at_its_word_from_then_on(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    for text, heard in (("Ã©", "é"), ("é", "é"), ("Ã©", "Ã©")):
        polling.say(f'421["echo","{text}"]')
        (answer,) = polling.packets(1)
        assert json.loads(str(answer)[3:]) == [heard]


def test_a_namespace_stays_as_it_is_named(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    polling.say(f"40/é{GRIN},")
    assert polling.packets(1) == [f'44/é{GRIN},"Invalid namespace"']


def test_bytes_come_as_bytes_with_the_texts_around_them(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    polling.say('421["echo","é"]', f'451-2["echo",{PLACEHOLDER}]', b"\x01\x02\x00\xff")
    answer = polling.get()
    assert answer.headers["Content-Type"] == "application/octet-stream"
    first, second, third = polling.read(answer)
    assert (first, third) == ('431["é"]', b"\x01\x02\x00\xff")
    assert isinstance(second, str) and second.startswith("461-2[")
    assert answer.body == binary_payload([first, second, third])


@pytest.mark.parametrize(
    ("kind", "more"), [(OlderPolling, "&b64=1"), (JsonpPolling, ""), (JsonpPolling, "&b64=1")]
)
def test_bytes_come_in_base64_to_who_takes_none(
    server: ServerProcess, kind: type[OlderPolling], more: str
) -> None:
    """Only the first request says so."""
    polling = kind(server.url, more)
    polling.say(f'451-2["echo",{PLACEHOLDER}]', b"\x01\x02\x00\xff")
    answer = polling.get()
    assert b"6:" not in answer.body[:2] and b"b4AQIA/w==" in answer.body
    assert polling.read(answer)[1] == b"\x01\x02\x00\xff"


@pytest.mark.parametrize("write", [payload, binary_payload])
def test_who_reads_one_form_may_write_the_other(server: ServerProcess, write: Callable[..., bytes]) -> None:
    polling = OlderPolling(server.url)
    body = write([f'451-2["size",{PLACEHOLDER}]', b"\x00" * 300])
    assert polling.post_bytes(body).status == 200
    assert polling.packets(1) == ["432[300]"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [b"", b"x" * 1234])
def test_bytes_of_any_number_go_each_way(
    server: ServerProcess, kind: type[OlderPolling], data: bytes
) -> None:
    polling = kind(server.url)
    polling.say(f'451-2["echo",{PLACEHOLDER}]', data)
    assert polling.packets(2) == [f"461-2[{PLACEHOLDER}]", data]


def test_a_post_holds_at_most_1000_packets(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    polling.say(*["6"] * 1000)
    assert polling.post(*["6"] * 1001).status == 400
    assert polling.is_over()


def test_an_answer_holds_at_most_16_packets_and_the_next_the_rest(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    polling.say(*(f'42{number}["echo",{number}]' for number in range(40)))
    packets: list[str | bytes] = []
    while len(packets) < 40:
        found = polling.read(polling.get())
        assert len(found) <= 16
        packets += found
    assert packets == [f"43{number}[{number}]" for number in range(40)]


def test_a_poll_waits_until_there_is_something(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    poll = polling.hold()
    polling.say('421["echo","late"]')
    assert polling.read(poll.answer()) == ['431["late"]']


def test_two_polls_at_once_end_the_session(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    poll = polling.hold()
    assert polling.get().status == 400
    assert polling.read(poll.answer()) == ["1"]
    assert polling.is_over()


# JSONP


def test_a_script_names_the_callback_that_its_request_names(server: ServerProcess) -> None:
    page = {"Referer": f"{server.url}/page?with=query"}
    answer = ask(server.url, query=POLLING + "&j=12", headers=page)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/javascript; charset=UTF-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.body.startswith(b'___eio[12]("') and answer.body.endswith(b'");')


def test_a_form_is_answered_ok_as_a_page(server: ServerProcess) -> None:
    polling = JsonpPolling(server.url)
    answer = polling.post('421["echo",1]')
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"


@pytest.mark.parametrize("index", ["", "a", "-1", "0x", "1]", "1;alert(1)", "%D9%A1", "1&j=2", "1" * 10])
def test_an_index_is_a_number(server: ServerProcess, index: str) -> None:
    answer = ask(server.url, query=f"{POLLING}&j={index}", headers={"Referer": f"{server.url}/"})
    assert answer.status == 400 and b"___eio" not in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Referer": "https://elsewhere.example/"},
        {"Referer": "http://[::1/"},
        {"Referer": "about:blank"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_script_of_another_site_opens_nothing(server: ServerProcess, headers: dict[str, str]) -> None:
    """It could be read there, with the cookies of this site."""
    answer = ask(server.url, query=POLLING + "&j=0", headers=headers)
    assert answer.status == 400 and b"sid" not in answer.body


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site"])
def test_a_page_that_says_otherwise_whose_it_is_need_not_refer(server: ServerProcess, name: str) -> None:
    value = server.url if name == "Origin" else "same-origin"
    polling = JsonpPolling(server.url, headers={name: value})
    polling.say('421["echo",1]')
    assert polling.packets(1) == ["431[1]"]


# WebSocket


def test_text_and_bytes_go_each_way_by_websocket(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        client.open_session()
        client.send_packets(f'421["echo","é{GRIN}"]', f'451-2["echo",{PLACEHOLDER}]', b"\x01\x00\xff")
        assert client.receive() == (TEXT, f'431["é{GRIN}"]'.encode())
        assert client.receive_text().startswith("461-2[")
        assert client.receive() == (BINARY, b"\x04\x01\x00\xff")


def test_bytes_are_text_for_a_websocket_that_takes_none(server: ServerProcess) -> None:
    with OlderWebSocket(server.url, "&b64=1") as client:
        client.open_session()
        client.send_packets(f'451-2["echo",{PLACEHOLDER}]', "b4AQD/")
        assert client.receive_text().startswith("461-2[")
        assert client.receive_text() == "b4AQD/"


def test_a_session_begun_by_websocket_cannot_be_polled_nor_taken_over(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        sid = client.open_session()["sid"]
        assert ask(server.url, query=f"{POLLING}&sid={sid}").status == 400
        assert not opens_websocket(server.url, f"{WEBSOCKET}&sid={sid}")
        assert client.call("echo", "still here") == "still here"


# Ping and pong: the client's, answered with what it held.


@pytest.mark.parametrize("data", ["", "probe", "é", "hello 1:2"])
def test_a_ping_is_answered_with_what_it_held(server: ServerProcess, data: str) -> None:
    for kind in KINDS:
        polling = kind(server.url)
        polling.say("2" + data)
        assert polling.packets(1) == ["3" + data]
    with OlderWebSocket(server.url) as client:
        client.open_session()
        client.say("2" + data)
        assert client.receive_text() == "3" + data


# Upgrade


@contextlib.contextmanager
def probing(polling: OlderPolling, more: str = "") -> Iterator[OlderWebSocket]:
    """A WebSocket for the session whose probe has been answered."""
    with OlderWebSocket(polling.url, f"&sid={polling.sid}{more}") as client:
        client.say("2probe")
        assert client.receive_text() == "3probe"
        yield client


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_goes_on_by_websocket(server: ServerProcess, kind: type[OlderPolling]) -> None:
    polling = kind(server.url)
    poll = polling.hold()
    with probing(polling) as client:
        assert polling.read(poll.answer()) == ["6"]
        client.say("5")
        client.send_packets('421["echo","hello"]', f'451-2["echo",{PLACEHOLDER}]', b"\x01\x02")
        assert client.receive_text() == '431["hello"]'
        assert client.receive()[0] == TEXT
        assert client.receive_bytes() == b"\x01\x02"
        assert polling.get().status == 400


@pytest.mark.parametrize("more", ["", "&b64=1"])
def test_what_waits_for_a_poll_comes_by_websocket_after_the_upgrade(server: ServerProcess, more: str) -> None:
    polling = OlderPolling(server.url, more)
    with probing(polling, more) as client:
        polling.say('421["echo","é"]', f'451-2["echo",{PLACEHOLDER}]', b"\x01")
        client.say("5")
        assert client.receive_text() == '431["é"]'
        assert client.receive_text().startswith("461-2[")
        assert client.receive() == ((TEXT, b"b4AQ==") if more else (BINARY, b"\x04\x01"))


def test_a_session_may_upgrade_before_it_has_read_that_it_is_connected(server: ServerProcess) -> None:
    polling = OlderPolling(server.url, connect=False)
    with probing(polling) as client:
        client.say("5")
        while (text := client.receive_text()) == "6":
            pass
        assert text == "40"
        assert client.call("echo", "here") == "here"


def test_a_probe_that_breaks_leaves_the_session_to_polling(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    with probing(polling):
        pass
    get(server.url, "/pid")
    polling.say('421["echo","here"]')
    packets = polling.packets(1)
    assert (polling.packets(1) if packets == ["6"] else packets) == ['431["here"]']


# Close


@pytest.mark.parametrize("kind", KINDS)
def test_a_close_packet_ends_a_polling_session_and_its_poll(
    server: ServerProcess, kind: type[OlderPolling]
) -> None:
    polling = kind(server.url)
    poll = polling.hold()
    polling.say('42["message"]', "1")
    answer = poll.answer()
    assert polling.read(answer)[-1] in ("6", '42["message-back"]')
    assert polling.is_over()


def test_what_was_sent_before_a_close_packet_is_handled(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    before = called(server.url).count(["message"])
    polling.say('42["message"]', "1")
    wait_until(lambda: called(server.url).count(["message"]) == before + 1)


def test_a_close_packet_closes_the_websocket(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        client.open_session()
        client.say("1")
        assert client.closed_with() in (1000, 1005)


def test_a_close_frame_ends_the_session(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        sid = client.open_session()["sid"]
        client.send(close_frame(1000))
        assert client.receive()[0] == CLOSE
    assert ask(server.url, query=f"{POLLING}&sid={sid}").status == 400


def test_a_held_poll_is_answered_when_an_invalid_payload_ends_the_session(server: ServerProcess) -> None:
    polling = OlderPolling(server.url)
    poll = polling.hold()
    began = time.monotonic()
    assert polling.post("abc").status == 400
    assert polling.read(poll.answer()) == ["1"]
    assert time.monotonic() - began < 1


def test_a_frame_of_websocket_is_answered_as_in_all_versions(server: ServerProcess) -> None:
    with OlderWebSocket(server.url) as client:
        client.open_session()
        client.send(frame(9, b"between"))
        assert client.receive() == (0xA, b"between")
