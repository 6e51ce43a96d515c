"""A client that says where it stopped gets exactly what followed, or is told that it cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chatapp.domain.names import parse_room_name
from chatapp.log.database import Database
from chatapp.log.sql import SqlStore
from clients import Chatter, wait_until
from faults.raw_client import RawClient
from party import Guest, Party
from servers import ServerProcess, running

CATCH_UP = 520  # [history] catch_up
PAGE = 50


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[ServerProcess]:
    settings = {"HISTORY_CATCH_UP": str(CATCH_UP), "HISTORY_PAGE_LIMIT": str(PAGE), "LIMITS_ENABLED": "no"}
    with running("serve", directory, **settings) as server:
        yield server


@pytest.fixture
def party(server: ServerProcess) -> Iterator[Party]:
    party = Party(server.url)
    yield party
    party.close()


@pytest.fixture
def speak(server: ServerProcess, party: Party) -> Iterator[Callable[[str, int], None]]:
    """Have so many numbered messages said in the party's room, one after the other."""
    with RawClient(server.port) as client:
        request = {"roomname": party.room, "username": party.named("speaker")}
        assert client.call("join room", request)["ok"]

        def speak(prefix: str, count: int) -> None:
            for number in range(count):
                client.send("new message", {"message": f"{prefix} {number}"})
            assert all(client.receive()[1]["ok"] for _ in range(count))

        yield speak


def away(party: Party, name: str = "ann") -> tuple[Guest, dict[str, Any]]:
    """Return a guest who has gone, and what they say when they come back."""
    [guest] = party.guests(name)
    guest.close()
    return guest, {"epoch": guest.joined["epoch"], "seq": guest.joined["last_seq"]}


def back(server: ServerProcess, guest: Guest, since: dict[str, Any]) -> Any:
    """Return the acknowledgement of the join with which a guest comes back."""
    with Chatter(server.url, auth={"token": guest.token}) as again:
        return again.join(guest.room, since=since)


def seqs(messages: Sequence[Any]) -> list[int]:
    return [message["seq"] for message in messages]


def test_a_client_that_was_away_for_500_messages_gets_exactly_those_in_order(
    server: ServerProcess, party: Party, speak: Callable[[str, int], None]
) -> None:
    speak("before", 3)
    ann, since = away(party)
    speak("while away", 500)
    joined = back(server, ann, since)
    assert [message["message"] for message in joined["messages"]] == [f"while away {n}" for n in range(500)]
    assert seqs(joined["messages"]) == list(range(4, 504))
    assert joined["last_seq"] == 503
    assert not joined.get("gap") and not joined.get("more")


def test_who_missed_nothing_gets_nothing(
    server: ServerProcess, party: Party, speak: Callable[[str, int], None]
) -> None:
    speak("before", 3)
    ann, since = away(party)
    joined = back(server, ann, since)
    assert joined["messages"] == [] and not joined.get("gap") and not joined.get("more")


def test_who_joins_while_others_go_on_sending_misses_nothing_and_gets_nothing_twice(
    server: ServerProcess, party: Party, speak: Callable[[str, int], None]
) -> None:
    ann, since = away(party)
    last_seq, enough = 0, threading.Event()

    def go_on() -> None:
        said = 0
        while not enough.is_set():
            if said < last_seq + CATCH_UP - 20:  # never more than one catch-up brings
                speak(f"after {said}", 5)
                said += 5
            else:
                time.sleep(0.001)

    speaking = threading.Thread(target=go_on)
    speaking.start()
    try:
        for _ in range(15):
            with Chatter(server.url, auth={"token": ann.token}) as again:
                joined = again.join(party.room, since=since)
                last_seq = joined["last_seq"]
                wait_until(lambda again=again: len(again.messages()) >= 20, "live messages")
                got = [*joined["messages"], *again.messages()]
            assert seqs(joined["messages"]) == list(range(since["seq"] + 1, joined["last_seq"] + 1))
            assert seqs(got) == list(range(since["seq"] + 1, since["seq"] + 1 + len(got)))
            last_seq = got[-1]["seq"]
            since["seq"] = last_seq
    finally:
        enough.set()
        speaking.join()
    assert last_seq > 15 * 20


def test_a_catch_up_that_is_too_long_says_so_and_history_has_the_rest(
    server: ServerProcess, party: Party, speak: Callable[[str, int], None]
) -> None:
    ann, since = away(party)
    speak("while away", CATCH_UP + 2 * PAGE + 10)
    with ExitStack() as stack:
        again = stack.enter_context(Chatter(server.url, auth={"token": ann.token}))
        joined = again.join(party.room, since=since)
        assert joined["more"] and not joined.get("gap")
        got, pages, more = joined["messages"], [], True
        assert len(got) == CATCH_UP
        while more:
            page = again.call("history", {"room": party.room, "after": got[-1]["seq"], "limit": PAGE})
            assert page["ok"] and not page.get("gap")
            pages.append(len(page["messages"]))
            got, more = [*got, *page["messages"]], page["more"]
    assert pages == [PAGE, PAGE, 10]
    assert seqs(got) == list(range(1, joined["last_seq"] + 1))


def trim(directory: Path, room: str, keep: int) -> None:
    """Delete all but the last entries of a room, as the retention does."""
    database = Database(f"sqlite:///{directory}/chatapp.db", synchronous="normal", busy_seconds=5)
    store = SqlStore(database, reactions_per_message=20)
    with store.transaction(write=True) as tx:
        known = store.find_room(tx, parse_room_name(room, 64).key)
        assert known is not None
        store.trim(tx, known.id, keep, None, 10_000)
    store.close()


def test_who_was_away_longer_than_the_retention_keeps_is_told_of_the_gap_and_gets_the_latest_page(
    server: ServerProcess, directory: Path, party: Party, speak: Callable[[str, int], None]
) -> None:
    ann, since = away(party)
    bob, not_so_long = away(party, "bob")
    speak("while away", 100)
    trim(directory, party.room, keep=PAGE + 20)
    joined = back(server, ann, since)
    assert joined["gap"] and not joined.get("more")
    assert seqs(joined["messages"]) == list(range(51, 101)) and joined["last_seq"] == 100
    not_so_long["seq"] = 30  # the last that is gone: what follows is all there
    joined = back(server, bob, not_so_long)
    assert not joined.get("gap")
    assert seqs(joined["messages"]) == list(range(31, 101))
    not_so_long["seq"] = 29
    joined = back(server, bob, not_so_long)
    assert joined["gap"] and seqs(joined["messages"]) == list(range(51, 101))


def test_a_log_of_which_nothing_is_left_has_a_gap_for_who_missed_something_and_none_for_who_did_not(
    server: ServerProcess, directory: Path, party: Party, speak: Callable[[str, int], None]
) -> None:
    ann, since = away(party)
    speak("while away", 5)
    bob, up_to_date = away(party, "bob")
    trim(directory, party.room, keep=0)
    joined = back(server, ann, since)
    assert joined["gap"] and joined["messages"] == [] and joined["last_seq"] == 5
    joined = back(server, bob, up_to_date)
    assert not joined.get("gap") and joined["messages"] == []
    speak("afterwards", 1)
    joined = back(server, bob, up_to_date)
    assert not joined.get("gap") and seqs(joined["messages"]) == [6]


@pytest.mark.parametrize("wrong", [{"epoch": "another log's"}, {"seq": 6}, {"seq": 2**63 - 1}])
def test_a_place_that_is_not_in_this_log_is_a_gap(
    server: ServerProcess, party: Party, speak: Callable[[str, int], None], wrong: dict[str, Any]
) -> None:
    ann, since = away(party)
    speak("while away", 5)
    joined = back(server, ann, since | wrong)
    assert joined["gap"]
    assert seqs(joined["messages"]) == [1, 2, 3, 4, 5]
