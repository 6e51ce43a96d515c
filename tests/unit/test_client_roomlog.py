"""Whatever comes in whatever order, a room is shown once and in the order of its log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatapp.client.roomlog import PATIENCE_SECONDS, RoomLog, without_repeated_changes
from chatapp.client.wire import Item, parse_item
from unit.client_line import change, item


def an_item(seq: int) -> Item:
    found = parse_item(item(seq))
    assert found is not None
    return found


def begun(place: int, last_seq: int | None = None) -> RoomLog:
    log = RoomLog("lobby")
    log.begin(place, "e1", place if last_seq is None else last_seq)
    return log


def seqs(items: list[Item]) -> list[int | None]:
    return [each.place for each in items]


def test_items_in_order_are_shown_at_once() -> None:
    log = begun(3)
    assert seqs(log.receive(an_item(4), 0)) == [4]
    assert seqs(log.receive(an_item(5), 0)) == [5]


def test_a_double_is_shown_once() -> None:
    log = begun(3)
    log.receive(an_item(4), 0)
    assert log.receive(an_item(4), 0) == []
    assert log.receive(an_item(2), 0) == []
    assert log.next_time() is None
    log.receive(an_item(7), 0)
    assert seqs(log.fill([an_item(5), an_item(6)], through=6)) == [5, 6, 7]


def test_what_comes_too_early_waits_for_what_is_before_it() -> None:
    log = begun(3)
    assert log.receive(an_item(6), 0) == []
    assert log.receive(an_item(5), 0) == []
    assert seqs(log.receive(an_item(4), 0)) == [4, 5, 6]


def test_a_notice_that_no_log_holds_is_shown_at_once() -> None:
    found = parse_item(item(None, "ann joined"))
    assert found is not None
    assert begun(3).receive(found, 0) == [found]


def test_a_hole_is_missing_only_after_a_moment() -> None:
    log = begun(3)
    log.receive(an_item(6), 10.0)
    assert log.missing_through(10.0) is None
    assert log.next_time() == 10.0 + PATIENCE_SECONDS
    assert log.missing_through(10.0 + PATIENCE_SECONDS) == 6


def test_a_hole_that_closes_by_itself_is_never_asked_for() -> None:
    log = begun(3)
    log.receive(an_item(5), 10.0)
    log.receive(an_item(4), 10.1)
    assert log.next_time() is None
    assert log.missing_through(99.0) is None


def test_what_the_log_is_known_to_reach_is_missing_at_once() -> None:
    log = begun(3, last_seq=7)
    assert log.missing_through(0.0) == 7


def test_nothing_is_asked_for_twice_at_a_time() -> None:
    log = begun(3, last_seq=7)
    log.is_filling = True
    assert log.missing_through(99.0) is None
    assert log.next_time() is None


def test_an_answer_of_the_log_fills_the_hole_and_lets_through_what_waited() -> None:
    log = begun(3)
    log.receive(an_item(6), 0)
    assert seqs(log.fill([an_item(4), an_item(5)], through=0)) == [4, 5, 6]


def test_a_hole_in_the_logs_own_answer_is_final() -> None:
    log = begun(3)
    log.receive(an_item(9), 0)
    assert seqs(log.fill([an_item(4), an_item(7)], through=8)) == [4, 7, 9]
    assert log.next_time() is None


def test_an_answer_without_items_is_final_too() -> None:
    log = begun(3, last_seq=5)
    assert log.fill([], through=5) == []
    assert log.place == 5
    assert log.next_time() is None


def test_a_refused_fill_is_tried_again_later_and_not_before() -> None:
    log = begun(3, last_seq=5)
    log.is_filling = True
    log.try_again_at(20.0)
    assert log.missing_through(19.9) is None
    assert log.next_time() == 20.0
    assert log.missing_through(20.0) == 5


def test_giving_up_shows_what_there_is() -> None:
    log = begun(3)
    log.receive(an_item(6), 0)
    assert seqs(log.give_up()) == [6]
    assert log.next_time() is None
    assert seqs(log.receive(an_item(7), 0)) == [7]


def test_before_the_begin_is_known_items_are_held() -> None:
    log = RoomLog("lobby")
    assert log.receive(an_item(6), 0) == []
    log.begin(5, "e1", 5)
    assert seqs(log.fill([], through=0)) == [6]


def test_a_conversation_can_begin_with_what_is_held() -> None:
    log = RoomLog("@ann")
    log.receive(an_item(6), 0)
    assert seqs(log.begin_with_held()) == [6]
    assert log.place == 6


def test_a_lost_link_drops_what_was_held_because_it_comes_again() -> None:
    log = begun(3)
    log.receive(an_item(6), 0)
    log.link_lost()
    assert log.next_time() is None
    assert seqs(log.receive(an_item(4), 0)) == [4]


def test_another_epoch_or_a_shorter_log_is_another_log() -> None:
    log = begun(3)
    assert log.is_another("e2", 9)
    assert log.is_another("e1", 2)
    assert not log.is_another("e1", 3)
    assert not RoomLog("lobby").is_another("e1", 3)


@given(st.permutations(range(1, 9)), st.lists(st.integers(1, 8), max_size=8))
def test_any_order_with_any_doubles_comes_out_once_and_in_order(order: list[int], doubles: list[int]) -> None:
    log = begun(0)
    shown = []
    for seq in [*order, *doubles]:
        shown += log.receive(an_item(seq), 0)
    assert seqs(shown) == list(range(1, 9))


@given(st.lists(st.integers(1, 20), unique=True), st.integers(0, 20))
def test_with_any_losses_the_log_makes_it_whole(arrived: list[int], end: int) -> None:
    log = begun(0)
    shown = []
    for seq in arrived:
        shown += log.receive(an_item(seq), 0)
    log.reaches(end)
    through = log.missing_through(99.0)
    if through is not None:
        shown += log.fill([an_item(seq) for seq in range((log.place or 0) + 1, through + 1)], through=through)
    assert seqs(shown) == list(range(1, max([end, *arrived], default=0) + 1))


def test_a_change_beside_its_message_is_left_out_for_the_message_shows_it() -> None:
    batch = [parse_item(wire) for wire in (item(4, "new text"), change(5, 4), change(6, 2))]
    assert seqs(without_repeated_changes([each for each in batch if each is not None])) == [4, 6]
