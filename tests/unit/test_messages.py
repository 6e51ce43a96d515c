"""What is made of a log's entries: messages as changes have left them, and who may change them."""

from __future__ import annotations

import pytest

from chatapp.domain.messages import (
    Change,
    Draft,
    Entry,
    Kind,
    Message,
    Room,
    User,
    apply,
    check_change,
    check_repeat,
    conversation_key,
    fold,
    items,
)
from chatapp.errors import Forbidden, InvalidPayload, LimitReached, NotFound

ANN, BOB, CID = User(1, "ann"), User(2, "bob"), User(3, "cid")
LOBBY = Room(7, "lobby", "Lobby", "e1")
ENTRY = Entry(LOBBY.id, 1, Kind.MESSAGE, ANN, "hello", 1000)

#: Every kind of entry that changes another one.
CHANGES = [Kind.EDIT, Kind.DELETE, Kind.REACT, Kind.UNREACT]


def change(kind: Kind, text: str = "", user: User = ANN, seq: int = 2) -> Entry:
    return Entry(LOBBY.id, seq, kind, user, text, 1000 + seq, target_seq=1)


def draft(kind: Kind, text: str = "", user: User = ANN, client_id: str | None = None) -> Draft:
    return Draft(LOBBY, user, kind, text, 1 if kind.is_change else None, client_id)


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_is_a_change_or_a_message(kind: Kind) -> None:
    assert kind.is_change == (kind in CHANGES)


# Conversations


def test_two_users_have_one_conversation_whoever_begins_it() -> None:
    assert conversation_key(ANN, BOB) == conversation_key(BOB, ANN)
    assert conversation_key(ANN, BOB) != conversation_key(ANN, CID)


def test_a_conversation_is_keyed_by_ids_and_not_by_names() -> None:
    assert conversation_key(ANN, BOB) == conversation_key(User(1, "annie"), User(2, "robert"))
    assert conversation_key(User(1, "x"), User(12, "y")) != conversation_key(User(11, "x"), User(2, "y"))


def test_a_conversation_is_called_by_the_others_name() -> None:
    room = Room(9, conversation_key(ANN, BOB), "", "e2", (ANN, BOB))
    assert (room.name_for(ANN.id), room.name_for(BOB.id)) == ("@bob", "@ann")
    assert (room.other(ANN.id), room.other(BOB.id)) == (BOB, ANN)


def test_the_other_one_of_a_conversation_with_oneself_is_oneself() -> None:
    room = Room(9, conversation_key(ANN, ANN), "", "e2", (ANN, ANN))
    assert room.name_for(ANN.id) == "@ann"


def test_a_room_is_called_the_same_by_all() -> None:
    assert {LOBBY.name_for(user.id) for user in (ANN, BOB)} == {"Lobby"}


# Folding


def test_a_message_without_changes_is_its_entry() -> None:
    assert fold(ENTRY, []) == Message(ENTRY, "hello", edited_at_ms=None, deleted=False, reactions={})


def test_the_last_edit_counts() -> None:
    message = fold(ENTRY, [change(Kind.EDIT, "first", seq=2), change(Kind.EDIT, "second", seq=3)])
    assert (message.text, message.edited_at_ms) == ("second", 1003)
    assert message.entry.text == "hello"


def test_a_deleted_message_has_neither_text_nor_reactions() -> None:
    message = fold(ENTRY, [change(Kind.REACT, "👍"), change(Kind.DELETE, seq=3)])
    assert (message.text, message.deleted, message.reactions) == ("", True, {})


@pytest.mark.parametrize("kind", CHANGES)
def test_a_deleted_message_stays_as_it_is(kind: Kind) -> None:
    message = fold(ENTRY, [change(Kind.DELETE), change(kind, "👍", seq=3)])
    assert message == Message(ENTRY, "", deleted=True)


def test_a_reaction_counts_once_for_each_user_in_the_order_given() -> None:
    given = [(BOB, "👍"), (ANN, "👍"), (BOB, "👍"), (ANN, "🎉")]
    message = fold(
        ENTRY, [change(Kind.REACT, emoji, user, seq) for seq, (user, emoji) in enumerate(given, 2)]
    )
    assert message.reactions == {"👍": [BOB.id, ANN.id], "🎉": [ANN.id]}


def test_a_reaction_taken_back_is_gone_and_those_of_others_are_not() -> None:
    message = fold(ENTRY, [change(Kind.REACT, "👍", BOB), change(Kind.REACT, "👍", ANN)])
    apply(message, change(Kind.UNREACT, "👍", BOB))
    assert message.reactions == {"👍": [ANN.id]}
    apply(message, change(Kind.UNREACT, "👍", ANN))
    assert message.reactions == {}


@pytest.mark.parametrize("user", [ANN, BOB])
def test_taking_back_a_reaction_that_was_not_given_changes_nothing(user: User) -> None:
    message = fold(ENTRY, [change(Kind.REACT, "🎉", CID)])
    apply(message, change(Kind.UNREACT, "👍", user))
    apply(message, change(Kind.UNREACT, "🎉", user))
    assert message.reactions == {"🎉": [CID.id]}


def test_a_reaction_is_not_an_edit() -> None:
    assert fold(ENTRY, [change(Kind.REACT, "👍", BOB)]).edited_at_ms is None


# What may be changed


@pytest.mark.parametrize("kind", CHANGES)
def test_what_does_not_exist_cannot_be_changed(kind: Kind) -> None:
    with pytest.raises(NotFound):
        check_change(draft(kind, "👍"), None, reactions_per_message=20)


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_deleted_cannot_be_changed(kind: Kind) -> None:
    with pytest.raises(NotFound):
        check_change(draft(kind, "👍"), Message(ENTRY, "", deleted=True), reactions_per_message=20)


@pytest.mark.parametrize("kind", [Kind.EDIT, Kind.DELETE])
def test_only_who_wrote_a_message_edits_or_deletes_it(kind: Kind) -> None:
    check_change(draft(kind, user=ANN), fold(ENTRY, []), reactions_per_message=20)
    with pytest.raises(Forbidden):
        check_change(draft(kind, user=BOB), fold(ENTRY, []), reactions_per_message=20)


def test_it_is_the_user_that_counts_and_not_the_name() -> None:
    check_change(draft(Kind.EDIT, user=User(ANN.id, "annie")), fold(ENTRY, []), reactions_per_message=20)
    with pytest.raises(Forbidden):
        check_change(draft(Kind.EDIT, user=User(BOB.id, "ann")), fold(ENTRY, []), reactions_per_message=20)


@pytest.mark.parametrize("kind", [Kind.REACT, Kind.UNREACT])
def test_anybody_reacts(kind: Kind) -> None:
    check_change(draft(kind, "👍", BOB), fold(ENTRY, []), reactions_per_message=20)


def test_a_message_takes_so_many_different_reactions() -> None:
    message = fold(ENTRY, [change(Kind.REACT, "👍"), change(Kind.REACT, "🎉", seq=3)])
    check_change(draft(Kind.REACT, "❤", BOB), message, reactions_per_message=3)
    with pytest.raises(LimitReached, match="at most 2 "):
        check_change(draft(Kind.REACT, "❤", BOB), message, reactions_per_message=2)


def test_a_message_full_of_reactions_takes_more_of_the_same_and_gives_back() -> None:
    message = fold(ENTRY, [change(Kind.REACT, "👍")])
    check_change(draft(Kind.REACT, "👍", BOB), message, reactions_per_message=1)
    check_change(draft(Kind.UNREACT, "👍"), message, reactions_per_message=1)
    check_change(draft(Kind.EDIT, "text"), message, reactions_per_message=1)


# Repeats


@pytest.mark.parametrize("kind", [Kind.MESSAGE, *CHANGES])
def test_a_draft_sent_again_is_a_repeat_whatever_its_text(kind: Kind) -> None:
    target = 1 if kind.is_change else None
    entry = Entry(LOBBY.id, 2, kind, ANN, "👍", 1000, target, client_id="c")
    check_repeat(draft(kind, "👍", client_id="c"), entry)
    check_repeat(draft(kind, "🎉", client_id="c"), entry)


@pytest.mark.parametrize(
    "other",
    [
        {"room": Room(8, "den", "den", "e3")},
        {"kind": Kind.DELETE},
        {"target_seq": 3},
    ],
)
def test_a_client_id_is_not_used_for_two_things(other: dict[str, object]) -> None:
    entry = Entry(LOBBY.id, 2, Kind.EDIT, ANN, "x", 1000, 1, client_id="c")
    with pytest.raises(InvalidPayload, match=r"^client_id: "):
        check_repeat(draft(Kind.EDIT, "x", client_id="c")._replace(**other), entry)  # type: ignore[arg-type]


# A stretch of a log


def test_a_stretch_of_a_log_holds_messages_and_changes_in_its_order() -> None:
    edit, second = change(Kind.EDIT, "better"), ENTRY._replace(seq=3, text="second")
    messages = {1: fold(ENTRY, [edit]), 3: fold(second, [])}
    assert items([ENTRY, edit, second], messages) == [messages[1], Change(edit, messages[1]), messages[3]]


def test_a_change_of_what_the_log_no_longer_holds_is_left_out() -> None:
    second = ENTRY._replace(seq=3, text="second")
    message = fold(second, [])
    assert items([change(Kind.EDIT, "better"), second], {3: message}) == [message]
