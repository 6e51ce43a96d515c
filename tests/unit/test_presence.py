"""Who is here: users with several connections, the grace before a leave, pages of members."""

from __future__ import annotations

import pytest

from chatapp.domain.messages import Room, User
from chatapp.domain.presence import Connection, Presence

GRACE_SECONDS = 10
NOW = 1000.0

ANN, BOB = User(1, "ann"), User(2, "bob")
LOBBY, DEN, ATTIC = (Room(id, name, name, "e") for id, name in ((7, "lobby"), (8, "den"), (9, "attic")))


@pytest.fixture
def presence() -> Presence:
    return Presence(GRACE_SECONDS)


def connect(presence: Presence, sid: str, user: User, *rooms: Room) -> Connection:
    connection = presence.connect(sid)
    presence.identify(connection, user)
    for room in rooms:
        presence.join(connection, room)
    return connection


def test_a_connection_belongs_to_nobody_until_it_is_identified(presence: Presence) -> None:
    connection = presence.connect("a")
    assert connection.user is None
    assert presence.connection("a") is connection
    assert presence.connections() == 1
    assert presence.user_ids() == []


def test_a_connection_that_nobody_was_identified_on_leaves_nothing_behind(presence: Presence) -> None:
    presence.connect("a")
    assert presence.disconnect("a", NOW) is None
    assert presence.connection("a") is None
    assert (presence.connections(), presence.next_expiry()) == (0, None)


def test_a_connection_that_is_not_known_disconnects_nobody(presence: Presence) -> None:
    assert presence.disconnect("a", NOW) is None


def test_a_user_joins_once_and_leaves_once_with_several_connections(presence: Presence) -> None:
    first, second = connect(presence, "a", ANN), connect(presence, "b", ANN)
    assert presence.join(first, LOBBY)
    assert not presence.join(second, LOBBY)
    assert not presence.join(first, LOBBY)
    assert presence.online(LOBBY.id) == 1
    assert not presence.leave(first, LOBBY)
    assert presence.is_here(ANN.id, LOBBY.id)
    assert presence.leave(second, LOBBY)
    assert not presence.is_here(ANN.id, LOBBY.id)
    assert presence.online(LOBBY.id) == 0


def test_a_second_connection_does_not_replace_the_first(presence: Presence) -> None:
    first, second = connect(presence, "a", ANN), connect(presence, "b", ANN)
    assert presence.connections_of(ANN.id) in ([first, second], [second, first])


def test_leaving_a_room_one_is_not_in_changes_nothing(presence: Presence) -> None:
    connection = connect(presence, "a", ANN, DEN)
    connect(presence, "b", BOB, LOBBY)
    assert not presence.leave(connection, LOBBY)
    assert connection.current == DEN
    assert presence.online(LOBBY.id) == 1


def test_the_last_connection_in_a_room_is_told_from_the_others(presence: Presence) -> None:
    first, second = connect(presence, "a", ANN, LOBBY), connect(presence, "b", ANN)
    connect(presence, "c", BOB, LOBBY)
    assert presence.is_last(first, LOBBY)
    presence.join(second, LOBBY)
    assert not presence.is_last(first, LOBBY)


def test_the_current_room_is_the_one_joined_last(presence: Presence) -> None:
    connection = connect(presence, "a", ANN, LOBBY, DEN, ATTIC)
    assert connection.current == ATTIC
    presence.leave(connection, LOBBY)
    assert connection.current == ATTIC
    presence.leave(connection, ATTIC)
    assert connection.current == DEN
    presence.leave(connection, DEN)
    assert connection.current is None


def test_a_room_joined_again_is_the_one_joined_last(presence: Presence) -> None:
    connection = connect(presence, "a", ANN, LOBBY, DEN, ATTIC)
    presence.join(connection, LOBBY)
    presence.join(connection, ATTIC)
    presence.leave(connection, ATTIC)
    assert connection.current == LOBBY


def test_a_lost_connection_leaves_when_the_grace_is_over_and_not_before(presence: Presence) -> None:
    connect(presence, "a", ANN, LOBBY, DEN)
    assert presence.disconnect("a", NOW) == ANN
    assert presence.next_expiry() == NOW + GRACE_SECONDS
    assert list(presence.expire(NOW + GRACE_SECONDS - 0.001)) == []
    assert presence.is_here(ANN.id, LOBBY.id)
    assert presence.is_online(ANN.id)
    assert list(presence.expire(NOW + GRACE_SECONDS)) == [(LOBBY.id, ANN), (DEN.id, ANN)]
    assert not presence.is_here(ANN.id, LOBBY.id)
    assert not presence.is_online(ANN.id)
    assert list(presence.expire(NOW + GRACE_SECONDS)) == []
    assert presence.next_expiry() is None


def test_without_a_grace_a_lost_connection_leaves_at_once() -> None:
    presence = Presence(0)
    connect(presence, "a", ANN, LOBBY)
    presence.disconnect("a", NOW)
    assert list(presence.expire(NOW)) == [(LOBBY.id, ANN)]


def test_whoever_is_back_within_the_grace_was_never_away(presence: Presence) -> None:
    connect(presence, "a", ANN, LOBBY)
    presence.disconnect("a", NOW)
    again = connect(presence, "b", ANN)
    assert not presence.join(again, LOBBY)
    assert list(presence.expire(NOW + 10 * GRACE_SECONDS)) == []
    assert presence.is_here(ANN.id, LOBBY.id)


def test_being_back_in_one_room_ends_the_grace_of_that_room_only(presence: Presence) -> None:
    connect(presence, "a", ANN, LOBBY, DEN)
    presence.disconnect("a", NOW)
    connect(presence, "b", ANN, LOBBY)
    assert list(presence.expire(NOW + GRACE_SECONDS)) == [(DEN.id, ANN)]


def test_a_lost_connection_has_no_grace_where_another_one_is(presence: Presence) -> None:
    connect(presence, "a", ANN, LOBBY, DEN)
    connect(presence, "b", ANN, LOBBY)
    presence.disconnect("a", NOW)
    assert list(presence.expire(NOW + GRACE_SECONDS)) == [(DEN.id, ANN)]
    assert presence.is_here(ANN.id, LOBBY.id)


def test_the_next_expiry_is_the_earliest(presence: Presence) -> None:
    connect(presence, "a", ANN, LOBBY)
    connect(presence, "b", BOB, LOBBY)
    presence.disconnect("a", NOW)
    presence.disconnect("b", NOW + 1)
    assert presence.next_expiry() == NOW + GRACE_SECONDS
    connect(presence, "c", ANN, LOBBY)
    assert presence.next_expiry() == NOW + 1 + GRACE_SECONDS


def test_a_grace_that_begins_anew_lasts_its_whole_time(presence: Presence) -> None:
    connect(presence, "a", ANN, LOBBY)
    presence.disconnect("a", NOW)
    connect(presence, "b", ANN, LOBBY)
    presence.disconnect("b", NOW + 9)
    assert list(presence.expire(NOW + GRACE_SECONDS)) == []
    assert list(presence.expire(NOW + 9 + GRACE_SECONDS)) == [(LOBBY.id, ANN)]


def test_a_user_is_online_while_a_connection_or_a_grace_lasts(presence: Presence) -> None:
    assert not presence.is_online(ANN.id)
    connect(presence, "a", ANN)
    assert presence.is_online(ANN.id)
    assert presence.user_ids() == [ANN.id]
    presence.disconnect("a", NOW)
    assert not presence.is_online(ANN.id)
    assert presence.user_ids() == []


def test_nothing_is_kept_of_those_who_are_gone(presence: Presence) -> None:
    left, lost = connect(presence, "a", ANN, LOBBY, DEN), connect(presence, "b", BOB, LOBBY)
    presence.leave(left, LOBBY)
    presence.leave(left, DEN)
    presence.disconnect("a", NOW)
    presence.disconnect(lost.sid, NOW)
    list(presence.expire(NOW + GRACE_SECONDS))
    kept = {name: value for name, value in vars(presence).items() if value and name != "_grace_seconds"}
    assert kept == {}


def crowd(presence: Presence, *names: str) -> None:
    for number, name in enumerate(names, start=1):
        connect(presence, str(number), User(number, name), LOBBY)


def test_members_come_by_name_whatever_their_case(presence: Presence) -> None:
    crowd(presence, "dan", "Cid", "bob", "Ann")
    users, more = presence.members(LOBBY.id, None, 10)
    assert [user.name for user in users] == ["Ann", "bob", "Cid", "dan"]
    assert not more


def test_members_come_in_pages(presence: Presence) -> None:
    crowd(presence, "ann", "Bob", "cid", "dan", "eve")
    pages, after, more = [], None, True
    while more:
        users, more = presence.members(LOBBY.id, after, 2)
        after = users[-1].name
        pages.append([user.name for user in users])
    assert pages == [["ann", "Bob"], ["cid", "dan"], ["eve"]]


def test_a_full_last_page_has_none_after_it(presence: Presence) -> None:
    crowd(presence, "ann", "bob")
    assert presence.members(LOBBY.id, None, 2)[1] is False
    assert presence.members(LOBBY.id, "bob", 2) == ([], False)


def test_a_page_may_begin_after_somebody_who_is_gone(presence: Presence) -> None:
    crowd(presence, "ann", "cid")
    assert [user.name for user in presence.members(LOBBY.id, "bob", 2)[0]] == ["cid"]


def test_no_page_misses_one_of_two_names_that_differ_in_nothing_but_case_folding(presence: Presence) -> None:
    crowd(presence, "strasse", "straße")
    first, more = presence.members(LOBBY.id, None, 1)
    assert more
    second, more = presence.members(LOBBY.id, first[0].name, 1)
    assert {user.name for user in first + second} == {"strasse", "straße"}
    assert not more


def test_the_members_of_an_empty_room_are_none(presence: Presence) -> None:
    assert presence.members(LOBBY.id, None, 10) == ([], False)
    assert presence.some_members(LOBBY.id, 10) == ()
    assert presence.online(LOBBY.id) == 0


def test_some_members_are_as_many_as_asked_for_and_in_order(presence: Presence) -> None:
    crowd(presence, "dan", "Cid", "bob", "Ann")
    assert [user.name for user in presence.some_members(LOBBY.id, 10)] == ["Ann", "bob", "Cid", "dan"]
    assert len(presence.some_members(LOBBY.id, 3)) == 3


def test_some_members_are_the_same_tuple_until_something_about_them_changes(presence: Presence) -> None:
    crowd(presence, "dan", "Cid", "bob")
    some = presence.some_members(LOBBY.id, 2)
    late = connect(presence, "late", User(99, "Ann"), LOBBY)
    assert presence.some_members(LOBBY.id, 2) is some
    assert [user.name for user in presence.some_members(LOBBY.id, 4)] == ["Ann", "bob", "Cid", "dan"]
    some = presence.some_members(LOBBY.id, 4)
    presence.join(late, LOBBY)
    assert presence.some_members(LOBBY.id, 4) is some
    presence.leave(late, LOBBY)
    assert [user.name for user in presence.some_members(LOBBY.id, 4)] == ["bob", "Cid", "dan"]


def test_some_members_have_the_names_they_have_now(presence: Presence) -> None:
    connect(presence, "a", ANN, LOBBY)
    assert presence.some_members(LOBBY.id, 2) == (ANN,)
    connect(presence, "b", User(ANN.id, "anna"), LOBBY)
    assert presence.some_members(LOBBY.id, 2) == (User(ANN.id, "anna"),)


def test_who_is_waited_for_in_several_rooms_is_online_until_the_last_grace_is_over(
    presence: Presence,
) -> None:
    connect(presence, "a", ANN, LOBBY)
    connect(presence, "b", ANN, DEN)
    presence.disconnect("a", NOW)
    presence.disconnect("b", NOW + 1)
    assert len(list(presence.expire(NOW + GRACE_SECONDS))) == 1
    assert presence.is_online(ANN.id)
    assert len(list(presence.expire(NOW + GRACE_SECONDS + 1))) == 1
    assert not presence.is_online(ANN.id)
