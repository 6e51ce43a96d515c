"""What workers tell each other, and what is refused of what comes."""

from __future__ import annotations

import json

import pytest

from chatapp.cluster.envelopes import (
    EntryNews,
    Envelope,
    EventNews,
    Malformed,
    Part,
    PresenceNews,
    decode,
    encode,
)
from chatapp.domain.messages import User

ENVELOPES: list[Envelope] = [
    EntryNews(7, 3, [Part("r", 7, "new message", {"message": "é", "seq": 3})]),
    EntryNews(8, 1, [Part("u", 5, "new message", {"a": None}), Part("u", 2**62, "new message", [])]),
    EntryNews(7, 3, []),
    EventNews([Part("u", 5, "read", {"seq": 1})]),
    PresenceNews("a1b2c3d4", 7, [User(1, "ann"), User(2**62, "bob")], [3, 4]),
]


@pytest.mark.parametrize("envelope", ENVELOPES, ids=lambda envelope: type(envelope).__name__)
def test_what_is_told_is_understood(envelope: Envelope) -> None:
    assert decode(encode(envelope)) == envelope


def test_a_part_names_the_topic_of_those_who_hear_it() -> None:
    assert Part("r", 7, "x", None).topic == "r7" and Part("u", 7, "x", None).topic == "u7"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        7,
        {},
        [],
        ["?"],
        ["entry"],
        ["entry", 1, 2],
        ["entry", "1", 2, []],
        ["entry", 1, True, []],
        ["entry", 1, -1, []],
        ["entry", 2**63, 1, []],
        ["entry", 1, 1, [["x", 1, "e", {}]]],
        ["entry", 1, 1, [["r", 1, 5, {}]]],
        ["entry", 1, 1, [["r", 1, "e"]]],
        ["entry", 1, 1, {"r": 1}],
        ["entry", 1, 1, 5],
        ["event", 5],
        ["event", [], []],
        ["presence", 1, 7, [], []],
        ["presence", "w", 7, [[1]], []],
        ["presence", "w", 7, [["1", "ann"]], []],
        ["presence", "w", 7, [], [None]],
        ["presence", "w", 7, [[1, 2]], []],
    ],
    ids=json.dumps,
)
def test_what_has_another_shape_is_refused(payload: object) -> None:
    with pytest.raises(Malformed):
        decode(json.dumps(payload).encode())


@pytest.mark.parametrize("payload", [b"", b"\x80\x04K\x07.", b"\xff", b"[", b'["entry",1,1,[' * 9999])
def test_what_is_no_json_is_refused(payload: bytes) -> None:
    with pytest.raises(Malformed):
        decode(payload)
