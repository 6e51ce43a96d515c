"""Who is where in several workers: one join and one leave for each user, and no ghosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from chatapp.chat.attendance import LEASE_SECONDS
from unit.worker_town import Town, Worker, a_town, until


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with a_town(tmp_path) as town:
        yield town


def join_again(worker: Worker, sid: str, name: str, token: str) -> Any:
    worker.parts.handlers.connect(sid, {})
    answer = worker.parts.call(sid, "join room", {"roomname": "lobby", "username": name, "token": token})
    assert answer["ok"], answer
    return answer


def written(*workers: Worker) -> None:
    """Wait until the workers have written down, and told, who is here."""
    for worker in workers:
        until(lambda worker=worker: not worker.parts.context.presence.changes, "written down")
    gevent.sleep(0.05)


def test_members_and_their_number_are_those_of_all_workers(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    written(first)
    joined = second.parts.join("b", "lobby", "bob")
    assert [member["username"] for member in joined["members"]] == ["ann", "bob"]
    assert joined["online"] == 2
    written(second)
    assert first.members("a", "lobby") == second.members("b", "lobby") == ["ann", "bob"]
    assert first.presence("a")[-1:] == [("joined", "bob")]


def test_a_user_with_tabs_in_several_workers_joins_once_and_leaves_once(town: Town) -> None:
    workers = [town.worker() for _ in range(3)]
    workers[0].parts.join("watcher", "lobby", "wanda")
    token = workers[0].parts.join("tab", "lobby", "ann")["token"]
    for worker in workers[1:]:
        join_again(worker, "tab", "ann", token)
    written(*workers)
    for worker in workers:
        worker.parts.handlers.disconnect("tab", "closed")
        worker.parts.rooms.tick(worker.parts.clock() + 60)
        written(worker)
    until(lambda: ("left", "ann") in workers[0].presence("watcher"), "the leave")
    told = [how for how, name in workers[0].presence("watcher") if name == "ann"]
    assert told == ["joined", "left"]
    assert workers[0].members("watcher", "lobby") == ["wanda"]


def test_a_user_who_moves_to_another_worker_was_never_away(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("watcher", "lobby", "wanda")
    token = first.parts.join("a", "lobby", "ann")["token"]
    written(first)
    first.parts.handlers.disconnect("a", "closed")
    join_again(second, "a", "ann", token)
    written(first, second)
    first.parts.rooms.tick(first.parts.clock() + 60)
    written(first, second)
    assert [how for how, name in first.presence("watcher") if name == "ann"] == ["joined"]
    assert first.members("watcher", "lobby") == ["ann", "wanda"]


def let_lease_end(*workers: Worker) -> None:
    for _ in range(3):
        for worker in workers:
            worker.parts.clock.now += LEASE_SECONDS / 2
            worker.attendance.beat()


def test_the_users_of_a_killed_worker_leave_when_its_lease_is_over(town: Town) -> None:
    first, second, third = town.worker(), town.worker(), town.worker()
    left: list[str] = []
    for worker in (first, second):
        worker.parts.context.hooks.add("on_leave", lambda user, room: left.append(user.name))
        worker.parts.join("watcher", "lobby", f"watcher of {worker.name}")
    third.parts.join("a", "lobby", "ann")
    token = third.parts.join("b", "lobby", "bob")["token"]
    written(first, second, third)
    town.kill(third)
    for worker in (first, second):
        worker.attendance.beat()
    assert "ann" in first.members("watcher", "lobby")
    join_again(second, "b", "bob", token)
    written(first, second)
    let_lease_end(first, second)
    for worker in (first, second):
        assert [told for told in worker.presence("watcher") if told[1] in ("ann", "bob")][-1] == (
            "left",
            "ann",
        )
        assert ("left", "bob") not in worker.presence("watcher")
        assert worker.members("watcher", "lobby") == [
            "bob",
            *sorted(f"watcher of {name}" for name in (first.name, second.name)),
        ]
    assert left == ["ann"]  # by one worker only


def test_a_worker_that_was_taken_for_dead_writes_down_anew_who_is_here(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    second.parts.join("b", "lobby", "bob")
    written(first, second)
    first.attendance.beat()
    for _ in range(3):
        first.parts.clock.now += LEASE_SECONDS / 2
        first.attendance.beat()  # and the second does not
    assert first.members("a", "lobby") == ["ann"]
    second.attendance.beat()
    written(second)
    until(lambda: first.members("a", "lobby") == ["ann", "bob"], "both")


@pytest.mark.parametrize("worker_comes", [True, False])
def test_what_the_bus_has_lost_is_put_right_by_a_comparison(town: Town, worker_comes: bool) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    second.parts.join("b", "lobby", "bob")
    if not worker_comes:
        second.parts.join("c", "lobby", "cid")
    written(first, second)
    town.loses = 1
    if worker_comes:
        second.parts.join("c", "lobby", "cid")
    else:
        assert second.parts.call("c", "leave room", {"roomname": "lobby"})["ok"]
    written(second)
    expected = ["ann", "bob", "cid"] if worker_comes else ["ann", "bob"]
    assert first.members("a", "lobby") != expected
    first.attendance.beat()
    first.parts.housekeeping.compare()
    assert first.members("a", "lobby") == expected
    assert first.presence("a")[-1] == ("joined" if worker_comes else "left", "cid")


def test_a_name_is_unique_in_all_workers_while_somebody_is_here_under_it(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    written(first)
    second.parts.clock.now += 365 * 86400  # nothing is remembered for so long
    second.parts.handlers.connect("b", {})
    answer = second.parts.call("b", "join room", {"roomname": "lobby", "username": "Ann"})
    assert answer["error"]["code"] == "name_taken"
    assert first.parts.call("a", "leave room", {"roomname": "lobby"})["ok"]
    written(first)
    assert second.parts.call("b", "join room", {"roomname": "lobby", "username": "Ann"})["ok"]


def test_a_membership_ends_with_the_last_tab_in_any_worker(town: Town) -> None:
    first, second = town.worker(), town.worker()
    token = first.parts.join("a", "lobby", "ann")["token"]
    written(first)
    join_again(second, "a", "ann", token)
    written(second)
    assert first.parts.call("a", "leave room", {"roomname": "lobby"})["ok"]
    written(first)
    assert [room["room"] for room in second.parts.call("a", "rooms", {})["rooms"]] == ["lobby"]
    assert second.parts.call("a", "leave room", {"roomname": "lobby"})["ok"]
    assert second.parts.call("a", "rooms", {})["rooms"] == []


def test_both_of_a_conversation_are_online_wherever_they_are(town: Town) -> None:
    first, second = town.worker(), town.worker()
    first.parts.join("a", "lobby", "ann")
    second.parts.join("b", "lobby", "bob")
    written(first, second)
    joined = first.parts.call("a", "join room", {"roomname": "@bob"})
    assert joined["online"] == 2
    assert len(first.parts.call("a", "members", {"room": "@bob"})["members"]) == 2
