"""Joins and leaves of one moment, merged."""

from __future__ import annotations

import pytest

from chatapp.domain.arrivals import MERGE_SECONDS, Arrivals, merge_seconds, name_them
from chatapp.domain.messages import User

ANN, BOB, CID, DAN, EVE = (User(id, name) for id, name in enumerate(("ann", "bob", "cid", "dan", "eve"), 1))


def told(arrivals: Arrivals) -> list[str]:
    return [notice.text for notice in arrivals.notices()]


@pytest.mark.parametrize(
    ("users", "text"),
    [
        ([ANN], "ann"),
        ([ANN, BOB], "ann and bob"),
        ([ANN, BOB, CID], "ann, bob and cid"),
        ([ANN, BOB, CID, DAN], "ann, bob, cid and 1 other"),
        ([ANN, BOB, CID, DAN, EVE], "ann, bob, cid and 2 others"),
    ],
)
def test_users_are_named_and_counted_beyond_three(users: list[User], text: str) -> None:
    assert name_them(users) == text


def test_joins_and_leaves_of_one_moment_are_one_sentence_each() -> None:
    arrivals = Arrivals(due=0)
    arrivals.join(ANN)
    arrivals.leave(CID)
    arrivals.join(BOB)
    assert told(arrivals) == ["ann and bob joined", "cid left"]
    assert arrivals.notices() == [("joined", [ANN, BOB]), ("left", [CID])]


def test_nothing_happened_nothing_is_said() -> None:
    assert Arrivals(due=0).notices() == []


def test_of_who_joins_and_leaves_in_one_moment_people_hear_nothing() -> None:
    arrivals = Arrivals(due=0)
    arrivals.join(ANN)
    arrivals.leave(ANN)
    assert arrivals.notices() == []


def test_of_who_leaves_and_joins_in_one_moment_people_hear_nothing() -> None:
    arrivals = Arrivals(due=0)
    arrivals.leave(ANN)
    arrivals.join(ANN)
    assert arrivals.notices() == []


def test_lists_of_members_made_in_between_are_put_right() -> None:
    arrivals = Arrivals(due=0)
    arrivals.join(ANN)
    arrivals.leave(ANN)
    arrivals.leave(BOB)
    arrivals.join(BOB)
    assert (list(arrivals.joined.values()), list(arrivals.left.values())) == ([BOB], [ANN])


def test_what_counts_is_the_state_before_and_after() -> None:
    arrivals = Arrivals(due=0)
    arrivals.join(ANN)
    arrivals.leave(ANN)
    arrivals.join(ANN)
    assert told(arrivals) == ["ann joined"]


def test_users_of_one_name_are_told_apart_by_their_ids() -> None:
    arrivals = Arrivals(due=0)
    arrivals.join(ANN)
    arrivals.leave(User(99, "ann"))
    assert told(arrivals) == ["ann joined", "ann left"]


def test_a_larger_room_gathers_longer() -> None:
    assert merge_seconds(0) == MERGE_SECONDS
    assert merge_seconds(1000) == pytest.approx(1.05)


def test_a_crowd_that_comes_one_after_the_other_costs_far_less_than_its_square() -> None:
    crowd, arriving_per_second = 5000, 1000
    deliveries, now = 0, 0.0
    while (here := int(now * arriving_per_second)) < crowd:
        now += merge_seconds(here)
        deliveries += min(crowd, int(now * arriving_per_second))
    assert deliveries < 10 * crowd
