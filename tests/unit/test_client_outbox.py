"""Nothing that was said is lost, doubled or overtaken on its way out."""

from __future__ import annotations

from chatapp.client.outbox import LOSSES, Outbox, Outgoing


def outbox_of(*outgoing: Outgoing) -> Outbox:
    outbox = Outbox()
    for each in outgoing:
        outbox.add(each)
    return outbox


def test_a_room_sends_one_message_at_a_time_in_order() -> None:
    first, second = Outgoing("1", "lobby", "a"), Outgoing("2", "lobby", "b")
    outbox = outbox_of(first, second)
    assert outbox.ready(0) == [first]
    first.under_way = True
    assert outbox.ready(0) == []
    assert outbox.settle(first)
    assert outbox.ready(0) == [second]


def test_rooms_do_not_wait_for_each_other() -> None:
    one, other = Outgoing("1", "lobby", "a"), Outgoing("2", "@ann", "b")
    outbox = outbox_of(one, other)
    one.under_way = True
    assert outbox.ready(0) == [other]


def test_a_postponed_message_is_not_overtaken() -> None:
    first, second = Outgoing("1", "lobby", "a"), Outgoing("2", "lobby", "b")
    outbox = outbox_of(first, second)
    first.under_way = True
    outbox.postpone(first, until=5.0)
    assert outbox.next_time() == 5.0
    assert outbox.ready(4.9) == []
    assert outbox.ready(5.0) == [first]


def test_what_was_under_way_on_a_lost_link_is_sent_again_first() -> None:
    first, second = Outgoing("1", "lobby", "a"), Outgoing("2", "lobby", "b")
    outbox = outbox_of(first, second)
    first.under_way = True
    assert outbox.link_lost() == []
    assert outbox.ready(0) == [first]


def test_a_message_that_ends_every_link_is_given_up() -> None:
    first, second = Outgoing("1", "lobby", "a"), Outgoing("2", "lobby", "b")
    outbox = outbox_of(first, second)
    for _ in range(LOSSES - 1):
        first.under_way = True
        assert outbox.link_lost() == []
    first.under_way = True
    assert outbox.link_lost() == [first]
    assert outbox.ready(0) == [second]


def test_losses_of_links_while_nothing_is_under_way_count_for_nothing() -> None:
    first = Outgoing("1", "lobby", "a")
    outbox = outbox_of(first)
    for _ in range(LOSSES + 1):
        assert outbox.link_lost() == []
    assert outbox.ready(0) == [first]


def test_a_message_is_settled_once() -> None:
    first = Outgoing("1", "lobby", "a")
    outbox = outbox_of(first)
    assert outbox.settle(first)
    assert not outbox.settle(first)
    assert len(outbox) == 0
    assert outbox.next_time() is None


def test_leaving_a_room_takes_its_messages_out() -> None:
    kept, dropped = Outgoing("1", "@ann", "a"), Outgoing("2", "lobby", "b")
    outbox = outbox_of(kept, dropped)
    assert outbox.drop_room("lobby") == [dropped]
    assert outbox.ready(0) == [kept]


def test_a_room_that_begins_with_an_at_sign_is_a_person() -> None:
    assert Outgoing("1", "@bob jones", "a").recipient == "bob jones"
    assert Outgoing("1", "lobby", "a").recipient is None
