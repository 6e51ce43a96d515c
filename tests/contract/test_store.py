"""What every store has to do, asked of each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import databases
from chatapp.domain.messages import Change, Draft, Kind, Room, User
from chatapp.domain.names import Name, parse_guest_name, parse_room_name, site_name
from chatapp.errors import Forbidden, InvalidPayload, LimitReached, NameTaken, NotFound, Refusal
from chatapp.log.database import Database
from chatapp.log.memory import MemoryStore
from chatapp.log.server_database import ServerDatabase
from chatapp.log.sql import SqlStore
from chatapp.log.store import Appended, Store, Visit

NOW = 1_700_000_000_000


DURABLE = ["sqlite", *databases.KINDS]


def open_store(url: str) -> Store:
    if url.startswith("sqlite"):
        return SqlStore(Database(url, synchronous="normal", busy_seconds=1), reactions_per_message=3)
    return SqlStore(ServerDatabase(url, busy_seconds=1, readers=2), reactions_per_message=3)


@contextmanager
def new_database(kind: str, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a database that holds nothing."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path}/chat.db"
    else:
        with databases.emptied_database(kind) as url:
            yield url


@pytest.fixture(params=["memory", *DURABLE])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    with new_database(request.param, tmp_path) as url, closing(open_store(url)) as store:
        yield store


@pytest.fixture(params=DURABLE)
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with new_database(request.param, tmp_path) as url, closing(open_store(url)) as store:
        yield store


def named(text: str) -> Name:
    return parse_guest_name(text, 32)


def guest(store: Store, tx: Any, text: str) -> User:
    return store.claim_name(tx, named(text), None, NOW, lambda user_id, seen_at: True)


def a_room(store: Store, tx: Any, text: str = "lobby") -> Room:
    return store.open_room(tx, parse_room_name(text, 64), "e1")


def say(store: Store, tx: Any, room: Room, user: User, *texts: str) -> list[Any]:
    return store.append(tx, [Draft(room, user, Kind.MESSAGE, text) for text in texts], NOW)


def texts(items: list[Any]) -> list[str]:
    return [item.message.text if isinstance(item, Change) else item.text for item in items]


def test_a_rooms_entries_are_numbered_from_one_without_holes(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann, lobby, den = guest(store, tx, "ann"), a_room(store, tx), a_room(store, tx, "den")
        both = [Draft(room, ann, Kind.MESSAGE, "x") for room in (lobby, den, lobby)]
        first = [outcome.entry.seq for outcome in store.append(tx, both, NOW)]  # type: ignore[union-attr]
    with store.transaction(write=True) as tx:
        second = [outcome.entry.seq for outcome in say(store, tx, lobby, ann, "y", "z")]
        assert store.head(tx, lobby.id).last_seq == 4
    assert (first, second) == ([1, 1, 2], [3, 4])


def test_a_room_is_found_by_key_whatever_its_case_and_keeps_its_first_epoch(store: Store) -> None:
    with store.transaction(write=True) as tx:
        made = store.open_room(tx, parse_room_name("Lobby", 64), "e1")
        again = store.open_room(tx, parse_room_name("LOBBY", 64), "e2")
        assert made == again and again.epoch == "e1" and again.name == "Lobby"
        assert store.find_room(tx, parse_room_name("nowhere", 64).key) is None
        assert list(store.room_ids(tx)) == [made.id]


def test_a_name_in_use_is_refused_and_its_lookalike_too(store: Store) -> None:
    with store.transaction(write=True) as tx:
        guest(store, tx, "paypal")
    for wanted in ("PayPal", "paypa1"):
        with pytest.raises(NameTaken), store.transaction(write=True) as tx:
            guest(store, tx, wanted)


def test_a_name_that_is_no_longer_held_goes_to_a_new_user(store: Store) -> None:
    with store.transaction(write=True) as tx:
        first = guest(store, tx, "ann")
        second = store.claim_name(tx, named("Ann"), None, NOW + 5, lambda user_id, seen_at: seen_at > NOW)
        assert second.id != first.id
        assert store.find_user(tx, named("ann").key) == second
        assert store.user(tx, first.id) == first  # old messages keep their author


def test_a_held_name_stays_with_who_was_seen_since(store: Store) -> None:
    with store.transaction(write=True) as tx:
        first = guest(store, tx, "ann")
        store.touch(tx, [first.id], NOW + 10)
    with pytest.raises(NameTaken), store.transaction(write=True) as tx:
        store.claim_name(tx, named("ann"), None, NOW + 20, lambda user_id, seen_at: seen_at >= NOW + 10)


def test_a_guest_claims_another_name_and_stays_the_same_user(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann = guest(store, tx, "ann")
        anna = store.claim_name(tx, named("anna"), ann.id, NOW, lambda user_id, seen_at: True)
        assert anna == User(ann.id, "anna")
        assert store.find_user(tx, named("ann").key) is None


def test_a_claim_with_the_id_of_nobody_makes_a_user_of_this_id(store: Store) -> None:
    with store.transaction(write=True) as tx:
        user = store.claim_name(tx, named("ann"), 4711, NOW, lambda user_id, seen_at: True)
        assert store.user(tx, 4711) == user == User(4711, "ann")
        assert store.claim_name(tx, named("anna"), 4711, NOW, lambda user_id, seen_at: True) == User(
            4711, "anna"
        )


def test_the_site_names_its_users_and_a_name_two_have_gets_a_number(store: Store) -> None:
    alex = site_name("Alex", 32)
    with store.transaction(write=True) as tx:
        assert store.known_as(tx, "site:1", alex) is None
        first = store.sign_in(tx, "site:1", alex, NOW)
        second = store.sign_in(tx, "site:2", alex, NOW)
        assert (first.name, second.name) == ("Alex", "Alex-2")
        assert store.sign_in(tx, "site:1", alex, NOW) == first
        assert store.sign_in(tx, "site:2", alex, NOW) == second
        assert store.known_as(tx, "site:1", alex) == first
        renamed = store.sign_in(tx, "site:1", site_name("Alexa", 32), NOW)
        assert renamed == User(first.id, "Alexa")


def test_the_sites_user_takes_a_name_over_from_a_guest(store: Store) -> None:
    with store.transaction(write=True) as tx:
        guest(store, tx, "ann")
        ann = store.sign_in(tx, "site:1", site_name("ann", 32), NOW)
        assert ann.name == "ann"
        assert store.find_user(tx, named("ann").key) == ann
    with pytest.raises(NameTaken), store.transaction(write=True) as tx:
        store.claim_name(tx, named("ann"), None, NOW, lambda user_id, seen_at: False)


def test_a_conversation_is_the_same_room_from_both_sides(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann, bob = guest(store, tx, "ann"), guest(store, tx, "bob")
        room = store.open_conversation(tx, ann, bob, "e1")
        assert store.open_conversation(tx, bob, ann, "e2") == room
        assert (room.name_for(ann.id), room.name_for(bob.id)) == ("@bob", "@ann")
        assert store.is_member(tx, room.id, ann.id) and store.is_member(tx, room.id, bob.id)
        store.open_conversation(tx, ann, ann, "e3")


def test_a_new_member_has_nothing_unread_and_read_marks_only_move_forward(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann, room = guest(store, tx, "ann"), a_room(store, tx)
        say(store, tx, room, ann, "1", "2", "3")
        assert not store.is_member(tx, room.id, ann.id)
        store.add_member(tx, room.id, ann.id)
        store.add_member(tx, room.id, ann.id)
        assert store.read_seq(tx, room.id, ann.id) == 3
        say(store, tx, room, ann, "4", "5")
        assert store.mark_read(tx, room.id, ann.id, 4) == 4
        assert store.mark_read(tx, room.id, ann.id, 2) == 4
        assert store.mark_read(tx, room.id, ann.id, 99) == 5
        store.remove_member(tx, room.id, ann.id)
        assert store.standings(tx, ann.id) == []
        assert store.mark_read(tx, room.id, ann.id, 5) == 0


def test_standings_list_ones_rooms(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann, room, other = guest(store, tx, "ann"), a_room(store, tx), a_room(store, tx, "other")
        store.add_member(tx, room.id, ann.id)
        say(store, tx, room, ann, "1")
        [standing] = store.standings(tx, ann.id)
        assert (standing.room, standing.last_seq, standing.read_seq) == (room, 1, 0)
        assert other.id != room.id


def test_standings_list_the_room_with_the_latest_entry_last(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann, bob = guest(store, tx, "ann"), guest(store, tx, "bob")
        rooms = [a_room(store, tx, name) for name in ("one", "two", "three")]
        rooms.append(store.open_conversation(tx, ann, bob, "e4"))
        for room in rooms:
            store.add_member(tx, room.id, ann.id)
        for now, room in enumerate([rooms[3], rooms[2], rooms[0]]):
            store.append(tx, [Draft(room, bob, Kind.MESSAGE, "x")], NOW + now)
        found = [standing.room for standing in store.standings(tx, ann.id)]
        assert found == [rooms[1], rooms[3], rooms[2], rooms[0]]


def test_who_joins_leaves_and_joins_again_starts_with_everything_read(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann, room = guest(store, tx, "ann"), a_room(store, tx)
        store.add_member(tx, room.id, ann.id)
        store.remove_member(tx, room.id, ann.id)
        store.remove_member(tx, room.id, ann.id)
        assert not store.is_member(tx, room.id, ann.id)
        assert store.read_seq(tx, room.id, ann.id) == 0
        say(store, tx, room, ann, "1", "2")
        store.add_member(tx, room.id, ann.id)
        assert store.read_seq(tx, room.id, ann.id) == 2


def test_visits_are_answered_in_their_order_and_make_members_of_those_who_join(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann, bob, lobby = guest(store, tx, "ann"), guest(store, tx, "bob"), a_room(store, tx)
        den = a_room(store, tx, "den")
        say(store, tx, lobby, ann, "1", "2")
        store.add_member(tx, den.id, ann.id)
        say(store, tx, den, bob, "1")
        visits = [
            Visit(den.id, ann.id, joins=False),
            Visit(lobby.id, bob.id, joins=True),
            Visit(lobby.id, ann.id, joins=False),
            Visit(lobby.id, bob.id, joins=True),
            Visit(den.id, ann.id, joins=True),
        ]
        assert store.visit(tx, visits) == [(1, 0), (2, 2), (2, 0), (2, 2), (1, 0)]
        assert store.is_member(tx, lobby.id, bob.id)
        assert not store.is_member(tx, lobby.id, ann.id)


def test_any_number_of_users_is_noted_as_here_also_such_as_are_gone(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann = guest(store, tx, "ann")
        store.touch(tx, [*range(ann.id, ann.id + 40_000)], NOW + 10)
    with pytest.raises(NameTaken), store.transaction(write=True) as tx:
        store.claim_name(tx, named("ann"), None, NOW, lambda user_id, seen_at: seen_at == NOW + 10)


def test_nobody_is_found_by_an_id_or_a_name_that_no_one_has(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann = guest(store, tx, "ann")
        assert store.find_user(tx, named("ann").key) == ann == store.user(tx, ann.id)
        assert store.user(tx, ann.id + 1) is None
        assert store.find_user(tx, named("bob").key) is None
        assert store.find_room(tx, "@1:2") is None


def test_a_new_rooms_log_reaches_nothing_and_has_no_pages(store: Store) -> None:
    with store.transaction(write=True) as tx:
        room = a_room(store, tx)
        head = store.head(tx, room.id)
        assert (head.first_seq, head.last_seq) == (1, 0)
        assert store.replay(tx, room.id, 0, None, 10) == ([], 0)
        assert store.page_back(tx, room.id, None, 10) == []
        assert store.trim(tx, room.id, 1, NOW, 10) == 0


def test_a_room_that_is_not_there_refuses_what_is_said_in_it(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann, room = guest(store, tx, "ann"), a_room(store, tx)
        nowhere = Room(room.id + 1, "nowhere", "nowhere", "e9")
        refused, appended = store.append(
            tx, [Draft(nowhere, ann, Kind.MESSAGE, "x"), Draft(room, ann, Kind.MESSAGE, "y")], NOW
        )
        assert isinstance(refused, NotFound)
        assert isinstance(appended, Appended) and appended.entry.seq == 1


def test_a_change_of_what_is_not_there_is_refused_and_takes_no_number(store: Store) -> None:
    with store.transaction(write=True) as tx:
        ann, room = guest(store, tx, "ann"), a_room(store, tx)
        drafts = [Draft(room, ann, Kind.EDIT, "x", target_seq=7), Draft(room, ann, Kind.MESSAGE, "y")]
        refused, appended = store.append(tx, drafts, NOW)
        assert isinstance(refused, NotFound)
        assert isinstance(appended, Appended) and appended.entry.seq == 1


# What only those can do that keep entries


def test_unread_counts_the_messages_of_others(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, bob, room = guest(durable, tx, "ann"), guest(durable, tx, "bob"), a_room(durable, tx)
        durable.add_member(tx, room.id, ann.id)
        say(durable, tx, room, bob, "1", "2")
        say(durable, tx, room, ann, "3")
        durable.append(tx, [Draft(room, bob, Kind.REACT, "👍", target_seq=3)], NOW)
        assert durable.standings(tx, ann.id)[0].unread == 2
        durable.mark_read(tx, room.id, ann.id, 1)
        assert durable.standings(tx, ann.id)[0].unread == 1


def test_texts_and_client_ids_of_a_batch_are_kept_letter_for_letter(durable: Store) -> None:
    said = [
        '"',
        "\\",
        "\\u0041",
        "a\nb\tc",
        "null",
        "7",
        "[1]",
        "$[0]",
        "👍🏽",
        "ن",
        "e\u0301",
        "\u2066x\u2069",
        "?1",
    ]
    with durable.transaction(write=True) as tx:
        ann, room = guest(durable, tx, "ann"), a_room(durable, tx)
        drafts = [Draft(room, ann, Kind.MESSAGE, text, client_id=f"{text} id") for text in said]
        first = durable.append(tx, drafts, NOW)
        assert texts(list(durable.page_back(tx, room.id, None, 100))) == said
        again = durable.append(tx, drafts, NOW + 1)
        assert [outcome.entry for outcome in first] == [outcome.entry for outcome in again]  # type: ignore


def test_a_batch_may_hold_as_much_text_as_its_messages_may(durable: Store) -> None:
    # What JSON, SQL and UTF-8 make longest of a character.
    said = [character * 16_000 for character in "\\\"'\n👍"] * 100
    with durable.transaction(write=True) as tx:
        ann, room = guest(durable, tx, "ann"), a_room(durable, tx)
        say(durable, tx, room, ann, *said)
        assert texts(list(durable.page_back(tx, room.id, None, 5))) == said[-5:]
        assert durable.head(tx, room.id).last_seq == 500


def test_one_batch_may_go_to_many_rooms(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, rooms = guest(durable, tx, "ann"), [a_room(durable, tx, f"room {n}") for n in range(30)]
        nowhere = Room(rooms[-1].id + 1, "nowhere", "nowhere", "e9")
        drafts = [Draft(room, ann, Kind.MESSAGE, room.key) for room in [*rooms, nowhere, *rooms[::-1]]]
        outcomes = durable.append(tx, drafts, NOW)
        seqs = [outcome.entry.seq if isinstance(outcome, Appended) else None for outcome in outcomes]
        assert seqs == [*[1] * 30, None, *[2] * 30]
        for room in rooms:
            assert durable.head(tx, room.id).last_seq == 2
            assert texts(list(durable.page_back(tx, room.id, None, 5))) == [room.key] * 2


def test_a_client_id_is_stored_once_per_user_within_a_batch_and_across(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, bob, room = guest(durable, tx, "ann"), guest(durable, tx, "bob"), a_room(durable, tx)
        mine, theirs = (Draft(room, user, Kind.MESSAGE, "x", client_id="c1") for user in (ann, bob))
        first = durable.append(tx, [mine, mine, theirs], NOW)
    with durable.transaction(write=True) as tx:
        second = durable.append(tx, [mine], NOW + 9)
    entries = [outcome.entry for outcome in [*first, *second] if isinstance(outcome, Appended)]
    assert [entry.seq for entry in entries] == [1, 1, 2, 1]
    assert {entry.sent_at_ms for entry in entries} == {NOW}
    assert [outcome.repeated for outcome in [*first, *second]] == [False, True, False, True]


def test_a_client_id_used_for_something_else_is_refused(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, room, other = guest(durable, tx, "ann"), a_room(durable, tx), a_room(durable, tx, "other")
        durable.append(tx, [Draft(room, ann, Kind.MESSAGE, "x", client_id="c1")], NOW)
        [refused] = durable.append(tx, [Draft(other, ann, Kind.MESSAGE, "x", client_id="c1")], NOW)
        assert isinstance(refused, InvalidPayload)


def test_edits_deletions_and_reactions_are_entries_that_fold_into_the_message(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, bob, room = guest(durable, tx, "ann"), guest(durable, tx, "bob"), a_room(durable, tx)
        say(durable, tx, room, ann, "teh", "second")
        changes = [
            Draft(room, ann, Kind.EDIT, "the", target_seq=1),
            Draft(room, bob, Kind.REACT, "👍", target_seq=1),
            Draft(room, bob, Kind.REACT, "👍", target_seq=1),
            Draft(room, ann, Kind.REACT, "🎉", target_seq=1),
            Draft(room, ann, Kind.UNREACT, "🎉", target_seq=1),
        ]
        outcomes = durable.append(tx, changes, NOW + 1)
        folded = [outcome.message for outcome in outcomes if isinstance(outcome, Appended)]
        assert [message.text for message in folded if message] == ["the"] * 5
        assert folded[0] is not None and folded[0].reactions == {}  # as it was then
        [first, _] = durable.page_back(tx, room.id, None, 10)
        assert (first.text, first.edited_at_ms, first.reactions) == ("the", NOW + 1, {"👍": [bob.id]})
        items, reached = durable.replay(tx, room.id, 1, None, 10)
        assert reached == 7 and texts(items) == ["second", *["the"] * 5]


def test_only_the_author_edits_and_a_deleted_message_stays_deleted_and_leaves_no_text(
    durable: Store,
) -> None:
    with durable.transaction(write=True) as tx:
        ann, bob, room = guest(durable, tx, "ann"), guest(durable, tx, "bob"), a_room(durable, tx)
        say(durable, tx, room, ann, "secret")
        [refused] = durable.append(tx, [Draft(room, bob, Kind.EDIT, "x", target_seq=1)], NOW)
        assert isinstance(refused, Forbidden)
        durable.append(tx, [Draft(room, ann, Kind.EDIT, "secret two", target_seq=1)], NOW)
        durable.append(tx, [Draft(room, ann, Kind.DELETE, target_seq=1)], NOW)
        [late] = durable.append(tx, [Draft(room, ann, Kind.EDIT, "x", target_seq=1)], NOW)
        assert isinstance(late, NotFound)
        [message] = durable.page_back(tx, room.id, None, 10)
        assert message.deleted and message.text == ""
        assert message.entry.text == ""
        items, _ = durable.replay(tx, room.id, 0, None, 10)
        assert "".join(texts(items)) == ""


def test_a_message_takes_only_so_many_different_reactions(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, room = guest(durable, tx, "ann"), a_room(durable, tx)
        say(durable, tx, room, ann, "x")
        drafts = [Draft(room, ann, Kind.REACT, emoji, target_seq=1) for emoji in "👍🎉🚀🔥👍"]
        kinds = [type(outcome) for outcome in durable.append(tx, drafts, NOW)]
        assert kinds == [Appended, Appended, Appended, LimitReached, Appended]


def test_pages_go_back_and_replay_goes_forward_with_exclusive_bounds(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, room = guest(durable, tx, "ann"), a_room(durable, tx)
        say(durable, tx, room, ann, *(str(n) for n in range(1, 11)))
        durable.append(tx, [Draft(room, ann, Kind.EDIT, "five", target_seq=5)], NOW)
        assert texts(list(durable.page_back(tx, room.id, None, 3))) == ["8", "9", "10"]
        assert texts(list(durable.page_back(tx, room.id, 8, 3))) == ["five", "6", "7"]
        assert texts(durable.replay(tx, room.id, 2, 6, 10)[0]) == ["3", "4", "five"]
        assert texts(durable.replay(tx, room.id, 9, None, 10)[0]) == ["10", "five"]
        assert durable.replay(tx, room.id, 11, None, 10) == ([], 0)


def test_a_batch_changes_what_it_has_said_itself(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, room = guest(durable, tx, "ann"), a_room(durable, tx)
        drafts = [
            Draft(room, ann, Kind.MESSAGE, "teh"),
            Draft(room, ann, Kind.EDIT, "the", target_seq=1),
            Draft(room, ann, Kind.NOTICE, "a notice"),
            Draft(room, ann, Kind.DELETE, target_seq=1),
            Draft(room, ann, Kind.EDIT, "late", target_seq=1),
        ]
        *_, late = durable.append(tx, drafts, NOW)
        assert isinstance(late, NotFound)
        items, reached = durable.replay(tx, room.id, 0, None, 10)
        assert (texts(items), reached) == (["", "", "a notice", ""], 4)
        assert [item.entry.text for item in items] == ["", "", "a notice", ""]


def test_a_deletion_leaves_no_text_in_its_room_and_touches_no_other(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, room, other = guest(durable, tx, "ann"), a_room(durable, tx), a_room(durable, tx, "other")
        for each in (room, other):
            say(durable, tx, each, ann, "one", "two")
            durable.append(tx, [Draft(each, ann, Kind.EDIT, "one, edited", target_seq=1)], NOW)
        durable.append(tx, [Draft(room, ann, Kind.DELETE, target_seq=1)], NOW)
        assert texts(durable.replay(tx, room.id, 0, None, 10)[0]) == ["", "two", "", ""]
        assert texts(durable.replay(tx, other.id, 0, None, 10)[0]) == ["one, edited", "two", "one, edited"]


def test_changes_are_found_by_their_message_however_many_there_are_in_between(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, bob, room = guest(durable, tx, "ann"), guest(durable, tx, "bob"), a_room(durable, tx)
        say(durable, tx, room, ann, "first", "second")
        givers = [guest(durable, tx, f"guest {number}") for number in range(50)]
        for number, giver in enumerate(givers):
            target_seq = 1 + number % 2
            durable.append(tx, [Draft(room, giver, Kind.REACT, "👍", target_seq=target_seq)], NOW)
        durable.append(tx, [Draft(room, ann, Kind.EDIT, "first, edited", target_seq=1)], NOW)
        durable.append(tx, [Draft(room, givers[0], Kind.UNREACT, "👍", target_seq=1)], NOW)
        first, second = durable.page_back(tx, room.id, None, 10)
        assert first.text == "first, edited" and bob.id not in first.reactions["👍"]
        assert first.reactions == {"👍": [giver.id for giver in givers[2::2]]}
        assert second.reactions == {"👍": [giver.id for giver in givers[1::2]]}


def test_a_change_whose_message_was_cut_off_is_left_out_and_counts_as_seen(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, room = guest(durable, tx, "ann"), a_room(durable, tx)
        say(durable, tx, room, ann, "1", "2", "3")
        durable.append(tx, [Draft(room, ann, Kind.EDIT, "one", target_seq=1)], NOW)
        durable.trim(tx, room.id, 2, None, 10)
        items, reached = durable.replay(tx, room.id, 2, None, 10)
        assert (texts(items), reached) == (["3"], 4)
        [refused] = durable.append(tx, [Draft(room, ann, Kind.EDIT, "late", target_seq=1)], NOW)
        assert isinstance(refused, NotFound)


def test_a_client_id_is_kept_with_what_it_was_used_for(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, room = guest(durable, tx, "ann"), a_room(durable, tx)
        for client_id in ("'; DROP TABLE", '"quoted"', "ünï–çødé 👍", "7", "a", "A", "a ", "%s", "\\"):
            draft = Draft(room, ann, Kind.MESSAGE, "x", client_id=client_id)
            [appended], [again] = durable.append(tx, [draft], NOW), durable.append(tx, [draft], NOW)
            assert isinstance(appended, Appended) and appended.entry.client_id == client_id
            assert isinstance(again, Appended) and (again.entry, again.repeated) == (appended.entry, True)
        seq = durable.head(tx, room.id).last_seq
        change = Draft(room, ann, Kind.REACT, "👍", target_seq=1, client_id="change")
        first, second = (durable.append(tx, [change], NOW)[0] for _ in range(2))
        assert isinstance(first, Appended) and isinstance(second, Appended)
        assert first.entry == second.entry and durable.head(tx, room.id).last_seq == seq + 1


def test_trimming_cuts_the_start_by_count_and_by_age_in_steps(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, room = guest(durable, tx, "ann"), a_room(durable, tx)
        for n in range(10):
            durable.append(tx, [Draft(room, ann, Kind.MESSAGE, str(n + 1))], NOW + n)
        assert durable.trim(tx, room.id, 7, None, 2) == 2
        assert durable.trim(tx, room.id, 7, None, 2) == 1
        assert durable.trim(tx, room.id, 7, None, 2) == 0
        assert durable.head(tx, room.id).first_seq == 4
        assert durable.trim(tx, room.id, None, NOW + 5, 100) == 2
        assert texts(durable.replay(tx, room.id, 0, None, 100)[0]) == ["6", "7", "8", "9", "10"]
        assert durable.trim(tx, room.id, None, NOW + 99, 100) == 5
        head = durable.head(tx, room.id)
        assert (head.first_seq, head.last_seq) == (11, 10)
        assert say(durable, tx, room, ann, "next")[0].entry.seq == 11


def test_a_transaction_that_fails_leaves_nothing(durable: Store) -> None:
    with durable.transaction(write=True) as tx:
        ann, room = guest(durable, tx, "ann"), a_room(durable, tx)
    with suppress(KeyError), durable.transaction(write=True) as tx:
        say(durable, tx, room, ann, "never")
        raise KeyError
    with durable.transaction(write=True) as tx:
        with suppress(Refusal), durable.savepoint(tx):
            say(durable, tx, room, ann, "neither")
            raise Refusal()
        assert say(durable, tx, room, ann, "first")[0].entry.seq == 1


@pytest.mark.parametrize("kind", DURABLE)
def test_everything_is_there_again_after_a_restart(kind: str, tmp_path: Path) -> None:
    with new_database(kind, tmp_path) as url:
        with closing(open_store(url)) as before, before.transaction(write=True) as tx:
            ann, room = guest(before, tx, "ann"), a_room(before, tx)
            before.add_member(tx, room.id, ann.id)
            say(before, tx, room, ann, "one", "two")
            before.mark_read(tx, room.id, ann.id, 1)
        with closing(open_store(url)) as after, after.transaction(write=False) as tx:
            assert after.find_user(tx, named("ann").key) == ann
            assert after.find_room(tx, room.key) == room
            assert texts(list(after.page_back(tx, room.id, None, 10))) == ["one", "two"]
            assert after.read_seq(tx, room.id, ann.id) == 1


@pytest.mark.parametrize("kind", DURABLE)
def test_a_user_id_of_one_database_is_nobodys_in_the_next(kind: str, tmp_path: Path) -> None:
    ids = set()
    for number in range(2):
        directory = tmp_path / str(number)
        directory.mkdir()
        with (
            new_database(kind, directory) as url,
            closing(open_store(url)) as store,
            store.transaction(write=True) as tx,
        ):
            ids.add(guest(store, tx, "ann").id)
    assert len(ids) == 2
