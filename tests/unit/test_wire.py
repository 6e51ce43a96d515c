"""What leaves on the wire: its exact shapes."""

from __future__ import annotations

import pytest

from chatapp.domain.arrivals import Notice
from chatapp.domain.messages import Change, Entry, Kind, Room, User, fold
from chatapp.log.pages import Page
from chatapp.settings import MessageTypes
from chatapp.wire import Composer, entry_id, member, receipt, timestamp

ANN, BOB, CID = User(1, "ann"), User(2, "bob"), User(3, "cid")
LOBBY = Room(7, "lobby", "Lobby", "e1")
PRIVATE = Room(8, "@1:2", "@1:2", "e2", (ANN, BOB))

NOON_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z
ENTRY = Entry(LOBBY.id, 4, Kind.MESSAGE, ANN, "hello", NOON_MS)
EDIT = Entry(LOBBY.id, 6, Kind.EDIT, ANN, "better", NOON_MS + 2500, target_seq=4)

#: What every message object has.
HELLO = {
    "room": "Lobby",
    "seq": 4,
    "id": "e1-4",
    "type": "generic",
    "username": "ann",
    "user_id": "1",
    "message": "hello",
    "sent_at": "2026-01-01T12:00:00.000Z",
}


@pytest.fixture
def composer() -> Composer:
    return Composer(MessageTypes())


@pytest.mark.parametrize(
    ("unix_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (NOON_MS, "2026-01-01T12:00:00.000Z"),
        (NOON_MS + 7, "2026-01-01T12:00:00.007Z"),
        (NOON_MS + 999, "2026-01-01T12:00:00.999Z"),
    ],
)
def test_times_are_utc_with_milliseconds(unix_ms: int, text: str) -> None:
    assert timestamp(unix_ms) == text


def test_ids_are_texts_that_no_other_room_has() -> None:
    assert entry_id(LOBBY, 4) == "e1-4"
    assert entry_id(LOBBY, 4) != entry_id(PRIVATE, 4)


def test_a_message_has_these_fields_and_no_others(composer: Composer) -> None:
    assert composer.message(LOBBY, fold(ENTRY, []), BOB.id) == HELLO


def test_a_message_with_all_there_can_be(composer: Composer) -> None:
    entry = ENTRY._replace(client_id="c1")
    reactions = [
        Entry(LOBBY.id, seq, Kind.REACT, user, "👍", NOON_MS, target_seq=4)
        for seq, user in ((5, BOB), (7, ANN))
    ]
    assert composer.message(LOBBY, fold(entry, [EDIT, *reactions]), BOB.id) == HELLO | {
        "message": "better",
        "client_id": "c1",
        "edited_at": "2026-01-01T12:00:02.500Z",
        "reactions": {"👍": ["2", "1"]},
    }


def test_a_deleted_message_keeps_its_place_and_loses_its_text(composer: Composer) -> None:
    deletion = Entry(LOBBY.id, 6, Kind.DELETE, ANN, "", NOON_MS, target_seq=4)
    message = composer.message(LOBBY, fold(ENTRY, [deletion]), BOB.id)
    assert message == HELLO | {"message": "", "deleted": True}


def test_both_see_a_private_message_in_the_room_of_the_other_one(composer: Composer) -> None:
    message = fold(ENTRY._replace(room_id=PRIVATE.id), [])
    common = HELLO | {"id": "e2-4", "type": "private", "target": "bob"}
    assert composer.message(PRIVATE, message, ANN.id) == common | {"room": "@bob"}
    assert composer.message(PRIVATE, message, BOB.id) == common | {"room": "@ann"}


def test_a_message_to_oneself_targets_oneself(composer: Composer) -> None:
    room = Room(9, "@1:1", "@1:1", "e3", (ANN, ANN))
    message = composer.message(room, fold(ENTRY, []), ANN.id)
    assert (message["room"], message["target"]) == ("@ann", "ann")


def test_a_stored_notice_is_a_message_of_its_type(composer: Composer) -> None:
    notice = ENTRY._replace(kind=Kind.NOTICE)
    assert composer.message(LOBBY, fold(notice, []), BOB.id) == HELLO | {"type": "notice"}


def test_types_are_called_as_they_are_configured() -> None:
    composer = Composer(MessageTypes(generic="G", private="P", notice="N"))
    message, notice = fold(ENTRY, []), fold(ENTRY._replace(kind=Kind.NOTICE), [])
    found = [
        composer.message(LOBBY, message, BOB.id),
        composer.message(PRIVATE, message, BOB.id),
        composer.message(LOBBY, notice, BOB.id),
        composer.notice("Lobby", "ann joined", NOON_MS),
    ]
    assert [wire["type"] for wire in found] == ["G", "P", "N", "N"]


def test_an_announcement_is_in_no_log(composer: Composer) -> None:
    assert composer.notice("Lobby", "ann joined", NOON_MS) == {
        "room": "Lobby",
        "type": "notice",
        "username": "system",
        "user_id": None,
        "message": "ann joined",
        "sent_at": "2026-01-01T12:00:00.000Z",
    }


@pytest.mark.parametrize(("others", "counted"), [(0, 0), (1, 0), (2, 0), (3, 1), (9, 7)])
def test_who_came_is_said_in_words_and_as_what_it_is(composer: Composer, others: int, counted: int) -> None:
    users = [ANN, *(User(10 + number, f"u{number}") for number in range(others))]
    notice = Notice("joined", users)
    assert composer.arrivals("Lobby", notice, NOON_MS) == composer.notice("Lobby", notice.text, NOON_MS) | {
        "notice": {"code": "joined", "usernames": [user.name for user in users[:3]], "others": counted}
    }


@pytest.mark.parametrize(
    ("kind", "shown"),
    [(Kind.EDIT, "edit"), (Kind.DELETE, "delete"), (Kind.REACT, "react"), (Kind.UNREACT, "react")],
)
def test_a_change_is_the_message_as_it_is_now_and_what_changed_it(
    composer: Composer, kind: Kind, shown: str
) -> None:
    entry = Entry(LOBBY.id, 6, kind, BOB, "👍", NOON_MS + 2500, target_seq=4)
    message = fold(ENTRY, [entry])
    wire = composer.change(LOBBY, entry, message, CID.id)
    assert wire.pop("change") == {
        "seq": 6,
        "kind": shown,
        "user_id": "2",
        "username": "bob",
        "sent_at": "2026-01-01T12:00:02.500Z",
    }
    assert wire == composer.message(LOBBY, message, CID.id)


def test_a_page_holds_messages_and_changes(composer: Composer) -> None:
    message = fold(ENTRY, [EDIT])
    page = Page([message, Change(EDIT, message)], reached=6, more=True)
    assert composer.page(LOBBY, page, BOB.id) == {
        "messages": [
            composer.message(LOBBY, message, BOB.id),
            composer.change(LOBBY, EDIT, message, BOB.id),
        ],
        "more": True,
    }


def test_a_page_tells_of_a_gap_only_if_there_is_one(composer: Composer) -> None:
    assert composer.page(LOBBY, Page([], 0), BOB.id) == {"messages": [], "more": False}
    assert composer.page(LOBBY, Page([], 0, gap=True), BOB.id) == {"messages": [], "more": False, "gap": True}


def test_a_receipt_is_the_place_of_an_entry() -> None:
    assert receipt(LOBBY, ENTRY) == {
        "room": "Lobby",
        "seq": 4,
        "id": "e1-4",
        "sent_at": "2026-01-01T12:00:00.000Z",
        "epoch": "e1",
    }


def test_the_receipt_of_a_change_is_the_changes_own_place() -> None:
    assert (receipt(LOBBY, EDIT)["seq"], receipt(LOBBY, EDIT)["id"]) == (6, "e1-6")


def test_the_receipt_of_a_private_message_names_the_room_as_its_sender_does() -> None:
    assert receipt(PRIVATE, ENTRY)["room"] == "@bob"
    assert receipt(PRIVATE, ENTRY._replace(user=BOB))["room"] == "@ann"


def test_a_member_is_shown_with_id_and_name() -> None:
    assert member(ANN) == {"user_id": "1", "username": "ann"}
