"""What goes through Redis: parcels come out as they went in, and anything else is garbage."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.cluster.frames import Garbage
from chatapp.cluster.parcels import Seen, pack_parcel, parse_parcel


@given(
    st.text("0123456789abcdef/", min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 2**40), st.binary())),
)
def test_a_parcel_comes_out_as_it_went_in(sender: str, numbered: list[tuple[int, bytes]]) -> None:
    assert parse_parcel(pack_parcel(sender, numbered)) == (sender, numbered)


@given(st.binary())
def test_anything_else_is_garbage(message: bytes) -> None:
    with pytest.raises(Garbage):
        parse_parcel(message)


@given(st.binary(min_size=1), st.integers(1, 40))
def test_a_parcel_that_is_cut_is_never_taken_for_a_whole_one(payload: bytes, cut: int) -> None:
    whole = pack_parcel("a/1", [(0, payload), (1, payload)])
    with contextlib.suppress(Garbage):
        assert len(parse_parcel(whole[:-cut])[1]) < 2


def test_numbers_that_do_not_grow_have_been_seen() -> None:
    seen = Seen()
    assert [seen.is_new("a", number) for number in (0, 1, 1, 0, 5)] == [True, True, False, False, True]
    assert seen.is_new("b", 1)
    for number in range(1000):
        seen.is_new(f"c{number}", 0)
    assert seen.is_new("a", 5)  # it is forgotten by now
