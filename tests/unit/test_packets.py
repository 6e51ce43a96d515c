"""Socket.IO packets: what is parsed, what is refused and how, what goes out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.engine.faults import Malformed, Unexpected
from chatapp.engine.frames import BINARY, TEXT, decode_frame
from chatapp.engine.packets import HostPacket, Packet, ack_frame, event_frame, parse_packet, with_attachments

DEPTH, ATTACHMENTS = 8, 3


def parsed(text: str) -> Packet:
    return parse_packet(text, DEPTH, ATTACHMENTS)


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0", Packet(0, "/", None, None)),
        ('0{"token":"t"}', Packet(0, "/", None, {"token": "t"})),
        ("0/admin,", Packet(0, "/admin", None, None)),
        ("0/admin", Packet(0, "/admin", None, None)),
        ('0/admin?a=1,{"token":"t"}', Packet(0, "/admin", None, {"token": "t"})),
        ("1", Packet(1, "/", None, None)),
        ("1/admin,", Packet(1, "/admin", None, None)),
        ('2["say"]', Packet(2, "/", None, ["say"])),
        ('212["say",1,{"a":[]}]', Packet(2, "/", 12, ["say", 1, {"a": []}])),
        ('2/admin,12["say"]', Packet(2, "/admin", 12, ["say"])),
        ("312[]", Packet(3, "/", 12, [])),
        ('3/admin,0["ok"]', Packet(3, "/admin", 0, ["ok"])),
        (
            '51-["say",{"_placeholder":true,"num":0}]',
            Packet(5, "/", None, ["say", {"_placeholder": True, "num": 0}], 1),
        ),
        ('52-/admin,7["say"]', Packet(5, "/admin", 7, ["say"], 2)),
        ("61-7[1]", Packet(6, "/", 7, [1], 1)),
        ('50-["say"]', Packet(2, "/", None, ["say"])),
        ('2["100%, [really]"]', Packet(2, "/", None, ["100%, [really]"])),
    ],
)
def test_a_packet_is_parsed(text: str, packet: Packet) -> None:
    assert parsed(text) == packet


MALFORMED = [
    "x",
    "é",
    "²[]",
    '2["a"',
    '2["a"]]',
    "2[NaN]",
    '2["a",NaN]',
    '2["a",Infinity]',
    '2["a",1e999]',
    '2["a"]x',
    "0{",
    '21234567890123456["a"]',
    "3[]",
    "3",
    "31",
    '31{"a":1}',
    "11",
    '1["a"]',
    "1{}",
    '5["a"]',
    "5-[]",
    '21-["a"]',
    '2x["a"]',
    '2²["a"]',
    '2["\x00"',
    '2["\\ud800",NaN]',
    '2["\\ud800",1e999]',
]


@pytest.mark.parametrize(
    "text",
    [
        *MALFORMED,
        "",
        '2["a",' + "[" * DEPTH + "]" * DEPTH + "]",
        '2["\\ud800",' + "[" * 100_000 + "]" * 100_000 + "]",
        "2" + "[" * 100_000,
    ],
)
def test_what_is_no_packet_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parsed(text)


UNEXPECTED = [
    "7",
    "9[]",
    '4"no"',
    '4{"message":"no"}',
    "2",
    "2[]",
    "2{}",
    '2"a"',
    "2[null]",
    '2[["a"]]',
    '2[{"a":1}]',
    "2[1]",
    '2["connect"]',
    '2["disconnect"]',
    '2["*"]',
    '2/admin,["connect_error"]',
    '2["newListener",1]',
    '54-["a"]',
    '5999999999999999999999-["a"]',
    '51-["connect"]',
    "51-[]",
]


@pytest.mark.parametrize("text", UNEXPECTED)
def test_what_clients_may_not_send_is_unexpected(text: str) -> None:
    with pytest.raises(Unexpected):
        parsed(text)


def test_nesting_is_counted_and_not_brackets() -> None:
    flat = '2["a",' + ",".join(["[]"] * 100) + ',"[[[[[[[[[[[[["]'
    assert len(parsed(flat).data) == 102
    deepest = '2["a",' + "[" * (DEPTH - 1) + "]" * (DEPTH - 1) + "]"
    assert parsed(deepest).data[0] == "a"
    objects = '2["a",' + '{"k":' * DEPTH + "1" + "}" * DEPTH + "]"
    with pytest.raises(Malformed):
        parsed(objects)


def test_half_a_character_is_its_texts_fault_and_not_the_packets() -> None:
    packet = parsed('21["say","\\ud83d",1.5]')
    assert packet == Packet(2, "/", 1, ["say", "\ud83d", 1.5], 0, has_surrogates=True)
    assert not parsed('2["say","\\ud83d\\ude00"]').has_surrogates


@given(st.text(max_size=40))
def test_any_text_is_a_packet_or_a_fault(text: str) -> None:
    try:
        packet = parsed(text)
    except (Malformed, Unexpected):
        return
    assert packet.type in (0, 1, 2, 3, 5, 6)


def placeholder(number: Any) -> dict[str, Any]:
    return {"_placeholder": True, "num": number}


def test_attachments_take_their_places() -> None:
    data = ["file", placeholder(1), {"thumb": [placeholder(0)], "more": placeholder(1)}]
    assert with_attachments(data, [b"a", b"b"]) == ["file", b"b", {"thumb": [b"a"], "more": b"b"}]
    looks_like_one = {"_placeholder": "yes", "num": 0}
    assert with_attachments([looks_like_one, placeholder(0)], [b"a"]) == [looks_like_one, b"a"]


@pytest.mark.parametrize("number", [1, -1, "0", None, True, 0.0])
def test_a_placeholder_needs_its_attachment(number: Any) -> None:
    with pytest.raises(Unexpected):
        with_attachments(["file", placeholder(number)], [b"a"])


def test_an_attachment_needs_its_placeholder() -> None:
    with pytest.raises(Unexpected):
        with_attachments(["file", placeholder(0)], [b"a", b"b"])


def test_what_goes_out_is_framed() -> None:
    assert decode_frame(event_frame("say", {"a": "é"})) == (TEXT, '42["say",{"a":"é"}]'.encode())
    assert decode_frame(ack_frame(12, {"ok": True})) == (TEXT, b'4312[{"ok":true}]')
    long = decode_frame(event_frame("say", "x" * 70_000))[1]
    assert long == b'42["say","' + b"x" * 70_000 + b'"]'


def test_the_hosts_packets_are_frames_of_text_and_attachments() -> None:
    plain = HostPacket(2, ["add", {1: 2**70}], "/admin", 3)
    assert [decode_frame(frame) for frame in plain.frames()] == [
        (TEXT, b'42/admin,3["add",{"1":1180591620717411303424}]')
    ]
    text, attachment = (decode_frame(frame) for frame in HostPacket(2, ["file", b"\x00\xff"]).frames())
    assert text == (TEXT, b'451-["file",{"_placeholder":true,"num":0}]')
    assert attachment == (BINARY, b"\x00\xff")


def test_the_hosts_process_keeps_its_json() -> None:
    import socketio.packet

    assert socketio.packet.Packet.json is not HostPacket.json
