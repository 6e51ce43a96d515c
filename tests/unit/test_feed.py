"""The order of each room's log, whatever order its entries come in, and however often."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.cluster.feed import Feed

ROOM = 7


class Reader:
    """A feed, and what it has handed on."""

    def __init__(self, head: int | None = 0) -> None:
        self.feed = Feed()
        self.seen: list[object] = []
        self.feed.follow(ROOM, head)

    def put(self, seq: int, by: str = "") -> bool:
        return self.feed.put(ROOM, seq, self.entry(seq, by))

    def entry(self, seq: int, by: str = "") -> Callable[[], None]:
        return partial(self.seen.append, f"{by}{seq}" if by else seq)

    def fill(self, seqs: list[int], reached: int, last_seq: int) -> None:
        self.feed.fill(ROOM, [(seq, self.entry(seq, "read ")) for seq in seqs], reached, last_seq)


@given(st.lists(st.integers(1, 8), max_size=40))
def test_whatever_comes_is_handed_on_once_and_in_order(seqs: list[int]) -> None:
    reader = Reader()
    for seq in seqs:
        reader.put(seq)
    got = set(seqs)
    contiguous = next(seq for seq in range(1, 10) if seq not in got) - 1
    assert reader.seen == list(range(1, contiguous + 1))
    assert reader.feed.head(ROOM) == contiguous
    waiting = sorted(seq for seq in got if seq > contiguous)
    assert reader.feed.waits_for(ROOM) == ((contiguous + 1, waiting[0] - 1) if waiting else None)


@given(st.lists(st.integers(1, 8), max_size=20), st.integers(0, 8), st.integers(0, 8))
def test_what_was_read_and_what_comes_make_one_order(seqs: list[int], some: int, more: int) -> None:
    reader = Reader()
    cut = some % (len(seqs) + 1)
    for seq in seqs[:cut]:
        reader.put(seq, "told ")
    last_seq = max([more, *seqs[:cut]])
    head = reader.feed.head(ROOM)
    assert head is not None
    reader.fill(list(range(head + 1, last_seq + 1)), last_seq, last_seq)
    for seq in seqs[cut:]:
        reader.put(seq, "told ")
    places = [int(str(seen).split()[1]) for seen in reader.seen]
    assert places == list(range(1, len(places) + 1))
    assert len(places) >= last_seq
    told = {int(str(seen).split()[1]) for seen in reader.seen if str(seen).startswith("told")}
    assert told >= set(seqs[:cut])  # what has come is preferred to what was read


def test_a_room_that_nobody_follows_is_not_put_into_order() -> None:
    reader = Reader()
    assert reader.feed.put(8, 5, reader.entry(5)) and reader.feed.put(8, 5, reader.entry(5))
    assert reader.seen == [5, 5] and reader.feed.head(8) is None


def test_what_comes_before_the_place_is_known_waits_and_is_handed_on_then() -> None:
    reader = Reader(head=None)
    for seq in (6, 4, 5, 8):
        assert reader.put(seq)
    assert reader.seen == [] and reader.feed.waits_for(ROOM) is None and reader.feed.follows(ROOM)
    reader.feed.follow(ROOM, 5)
    assert reader.seen == [4, 5, 6]
    assert reader.feed.waits_for(ROOM) == (7, 7)


def test_a_place_that_is_known_is_not_moved_by_following_again() -> None:
    reader = Reader(head=3)
    reader.feed.follow(ROOM, 9)
    assert reader.feed.head(ROOM) == 3 and reader.feed.rooms() == {ROOM: 3}


def test_what_is_gone_from_the_log_is_not_waited_for() -> None:
    reader = Reader()
    reader.put(9)
    reader.fill([5, 6], reached=8, last_seq=9)
    assert reader.seen == ["read 5", "read 6", 9]


def test_what_has_come_and_is_gone_from_the_log_is_handed_on_all_the_same() -> None:
    reader = Reader()
    reader.put(3)
    reader.fill([], reached=9, last_seq=9)
    assert reader.seen == [3] and reader.feed.head(ROOM) == 9


def test_a_place_that_the_log_does_not_have_is_dropped() -> None:
    reader = Reader()
    reader.put(1_000_000)
    reader.fill([1], reached=1, last_seq=1)
    assert reader.seen == ["read 1"] and reader.feed.waits_for(ROOM) is None


def test_what_waits_is_handed_on_when_its_room_is_given_up() -> None:
    reader = Reader()
    reader.put(3)
    reader.put(2)
    reader.feed.forget(ROOM)
    assert reader.seen == [2, 3] and not reader.feed.follows(ROOM)
    reader.fill([1], 1, 3)
    assert reader.seen == [2, 3]


@pytest.mark.parametrize("again", [1, 3])
def test_what_comes_twice_is_counted(again: int) -> None:
    reader = Reader()
    assert reader.put(1) and reader.put(3)
    assert not reader.put(again)
    assert reader.feed.doubled == 1 and reader.seen == [1]
