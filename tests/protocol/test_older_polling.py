"""Engine.IO's protocol, version 3, by polling: payloads as text, as bytes and by JSONP; the handshake."""

from __future__ import annotations

import base64
import json

import pytest

from older_peer import OlderPolling, as_bytes, as_form, as_text, parts
from protocol_peer import Polling, Request, ask, get, mark
from servers import ServerProcess

QUERY = "EIO=3&transport=polling"

#: How long the loop may stand still for a request of 64 KiB.
STALL_SECONDS = 0.05
TEXTS = [
    "plain",
    "Grüße",
    "日本語",
    "😀 and 👩‍👩‍👧",
    "a\nb",
    "back\\slash \\n",
    '"quotes"',
    "\u2028\u2029",
    "\x00\x1e",
]


@pytest.mark.parametrize("eio", ["EIO=3&", ""])
def test_a_session_opens(server: ServerProcess, eio: str) -> None:
    session = OlderPolling(server.url, eio=eio).session
    assert session["upgrades"] == ["websocket"]
    assert (session["pingInterval"], session["pingTimeout"]) == (25000, 20000)
    assert len(session["sid"]) >= 20


def test_a_session_is_connected_unasked(server: ServerProcess) -> None:
    polling = OlderPolling(server.url).connected()
    polling.say('421["echo","here"]')
    assert polling.packets(1) == ['431["here"]']


def test_a_client_that_asks_for_what_it_was_given_goes_on(server: ServerProcess) -> None:
    polling = OlderPolling(server.url).connected()
    polling.say("40", '421["echo","here"]')
    assert polling.packets(1) == ['431["here"]']


@pytest.mark.parametrize("query", ["EIO=4&transport=polling", "EIO=3&transport=polling"])
def test_a_session_is_of_one_protocol(server: ServerProcess, query: str) -> None:
    sid = (OlderPolling(server.url) if "=4" in query else Polling(server.url)).sid
    assert ask(server.url, query=f"{query}&sid={sid}").status == 400


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("more", ["", "&b64=1"])
def test_every_text_comes_back_as_it_was(server: ServerProcess, text: str, more: str) -> None:
    polling = OlderPolling(server.url, more).connected()
    for raw in (False, True):
        polling.say(f"421{json.dumps(['echo', text], ensure_ascii=raw)}")
        (packet,) = polling.packets(1)
        assert isinstance(packet, str) and json.loads(packet[3:]) == [text]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("more", ["", "&b64=1"])
def test_a_text_that_is_utf8_twice_is_read_as_it_was_meant(
    server: ServerProcess, text: str, more: str
) -> None:
    polling = OlderPolling(server.url, more).connected()
    packet = "421" + json.dumps(["echo", text], ensure_ascii=False)
    polling.say(packet.encode().decode("latin-1"))
    (answer,) = polling.packets(1)
    assert isinstance(answer, str) and json.loads(answer[3:]) == [text]


def test_a_client_that_writes_utf8_once_is_taken_at_its_word(server: ServerProcess) -> None:
    polling = OlderPolling(server.url).connected()
    for text, heard in (("Ã©", "é"), ("é", "é"), ("Ã©", "Ã©")):
        polling.say(f'421["echo","{text}"]')
        (answer,) = polling.packets(1)
        assert json.loads(str(answer)[3:]) == [heard]


def test_several_packets_go_in_their_order(server: ServerProcess) -> None:
    polling = OlderPolling(server.url).connected()
    polling.say('421["echo","é"]', "2", '422["echo","😀"]', "2data")
    assert polling.packets(4) == ['431["\\u00e9"]', "3", '432["\\ud83d\\ude00"]', "3data"]


def test_a_payload_of_bytes_is_read(server: ServerProcess) -> None:
    polling = OlderPolling(server.url).connected()
    assert polling.post(as_bytes('421["echo","😀"]', "2")).body == b"ok"
    assert polling.packets(2) == ['431["\\ud83d\\ude00"]', "3"]


ATTACHED = '451-1["echo",{"_placeholder":true,"num":0}]'
ANSWERED = '461-1[{"_placeholder":true,"num":0}]'


@pytest.mark.parametrize("data", [b"\x00\x01\xff", b"", b"x" * 1234])
def test_bytes_go_as_bytes_and_as_base64(server: ServerProcess, data: bytes) -> None:
    polling = OlderPolling(server.url).connected()
    assert polling.post(as_bytes(ATTACHED, b"\x04" + data)).body == b"ok"
    assert polling.packets(2) == [ANSWERED, b"\x04" + data]
    encoded = "b4" + base64.b64encode(data).decode()
    polling.say(ATTACHED, encoded)
    assert polling.packets(2) == [ANSWERED, b"\x04" + data]
    plain = OlderPolling(server.url, "&b64=1").connected()
    plain.say(ATTACHED, encoded)
    assert plain.packets(2) == [ANSWERED, encoded]


def jsonp(server: ServerProcess, **headers: str) -> OlderPolling:
    page = {"Referer": f"{server.url}/page", "Content-Type": "application/x-www-form-urlencoded"}
    return OlderPolling(server.url, "&j=7", headers=headers or page)


@pytest.mark.parametrize("text", TEXTS)
def test_jsonp_carries_every_text(server: ServerProcess, text: str) -> None:
    polling = jsonp(server).connected()
    for raw in (False, True):
        packet = f"421{json.dumps(['echo', text], ensure_ascii=raw)}"
        answer = polling.post(as_form(packet))
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.headers["Content-Type"].startswith("text/html")
        answer = polling.get()
        assert answer.text.startswith("___eio[7](")
        (back,) = parts(answer)
        assert isinstance(back, str) and json.loads(back[3:]) == [text]


def test_jsonp_carries_bytes_in_base64(server: ServerProcess) -> None:
    polling = jsonp(server).connected()
    assert polling.post(as_form(ATTACHED, "b4AAH/")).body == b"ok"
    assert polling.packets(2) == [ANSWERED, "b4AAH/"]


@pytest.mark.parametrize("number", ["", "x", "-1", "1;alert(1)", "1" * 10, "%C2%B2"])
def test_jsonp_has_a_number(server: ServerProcess, number: str) -> None:
    headers = {"Referer": f"{server.url}/page"}
    answer = Request(server.url, "GET", f"{QUERY}&j={number}", headers=headers).answer()
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Referer": "http://evil.example/"},
        {"Referer": "http://["},
        {"Referer": "nonsense"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_jsonp_is_not_for_the_pages_of_others(server: ServerProcess, headers: dict[str, str]) -> None:
    answer = Request(server.url, "GET", f"{QUERY}&j=0", headers=headers).answer()
    assert answer.status == 400
    assert b"sid" not in answer.body


def test_jsonp_is_for_pages_that_tell_only_that_they_are_ours(server: ServerProcess) -> None:
    jsonp(server, **{"Sec-Fetch-Site": "same-origin"}).connected()


def test_the_client_ends_a_session(server: ServerProcess) -> None:
    polling = OlderPolling(server.url).connected()
    poll = polling.hold()
    polling.say("1")
    assert parts(poll.answer()) == ["6"]
    assert polling.is_over()


MALFORMED = [
    b"",
    b"0:",
    b"x",
    b"2",
    b":2",
    b"2:2",
    b"1:2x",
    b"-1:2",
    b"1e0:2",
    b"\xb2:22",
    b"99999999999:2",
    b"1:2:",
    b"\xff",
    b"2:4\xff",
    b"1:4",
    b"1:x",
    b"1:0",
    b"1:3",
    b"1:5",
    b"1:7",
    b"2:49",
    b"2:b4",
    "3:4😀".encode() + b"1:",
    "2:2😀".encode(),
    b"6:b4a===",
    b"3:b9=",
    b"2:44",
    b"\x00",
    b"\x00\xff2",
    b"\x00\x01\xff",
    b"\x00\x02\xff2",
    b"\x00\x0a\xff2",
    b"\x02\x01\xff2",
    b"\x00" + b"\x01" * 11 + b"\xff2",
    b"\x00\x02\xff4\xff",
    b"\x01\x01\xff4",
    b"\x01\x01\xff\x02",
    b"\x01\x01\xff\x07",
    b"\x01\x02\xff\x04a",
    b"d=1:2",
]


@pytest.mark.parametrize("body", MALFORMED, ids=repr)
def test_a_malformed_post_ends_the_session_and_costs_one_line(server: ServerProcess, body: bytes) -> None:
    polling = OlderPolling(server.url).connected()
    start, _ = mark(server)
    answer = polling.post(body)
    assert answer.status == 400
    assert polling.is_over()
    end, _ = mark(server)
    assert len(server.output[start : end - 1]) <= 1, server.output[start:end]
    OlderPolling(server.url).connected()


@pytest.mark.parametrize(
    "body", [b"", b"d=", b"1:2", b"d=1:2&d=1:2", b"d=%ff", b"\xff", b"d=x", b"x=1:2"], ids=repr
)
def test_a_malformed_form_ends_the_session(server: ServerProcess, body: bytes) -> None:
    polling = jsonp(server).connected()
    assert polling.post(body).status == 400
    assert polling.get().status == 400


def test_a_thousand_packets_are_enough(server: ServerProcess) -> None:
    polling = OlderPolling(server.url).connected()
    assert polling.post(as_text(*["6"] * 1000)).status == 200
    assert polling.post(as_text(*["6"] * 1001)).status == 400
    assert polling.is_over()


@pytest.mark.parametrize(
    "body",
    [
        as_text(*[f'42["message","{"é" * 55}"]'] * 900),
        as_text(*["2😀"] * 999),
        as_text("2" + "😀" * 16000),
        b"\x00" * 65536,
        b"1" * 65536,
        b"9999999999:" + "😀".encode() * 16000,
        b"d=" + b"%" * 65534,
        b"&" * 65536,
    ],
    ids=["packets", "pings", "ping", "zeros", "ones", "length", "form", "fields"],
)
@pytest.mark.parametrize("more", ["", "&j=0"])
def test_the_largest_posts_hold_nobody_up(server: ServerProcess, body: bytes, more: str) -> None:
    headers = {"Referer": f"{server.url}/"}
    get(server.url, "/stall")
    for _ in range(3):
        polling = OlderPolling(server.url, more, headers=headers).connected()
        assert polling.post(body[:65536]).status in (200, 400)
    assert float(get(server.url, "/stall").body) < STALL_SECONDS


@pytest.mark.parametrize("more", ["", "&j=0"])
def test_a_post_of_more_bytes_is_refused(server: ServerProcess, more: str) -> None:
    polling = OlderPolling(server.url, more, headers={"Referer": f"{server.url}/"}).connected()
    assert polling.post(as_text("2" * 65536)).status == 413


def test_two_polls_at_once_end_a_session(server: ServerProcess) -> None:
    polling = OlderPolling(server.url).connected()
    poll = polling.hold()
    assert polling.get().status == 400
    assert parts(poll.answer()) == ["1"]
    assert polling.is_over()
