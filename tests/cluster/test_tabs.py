"""A user with tabs on several workers comes once and goes once, whatever becomes of the workers."""

from __future__ import annotations

import time
from pathlib import Path

from chatapp.chat.attendance import LEASE_SECONDS
from clients import wait_until
from cluster.workers import await_workers, kill_worker, pid_of, worker_of
from party import Guest, Party, heard
from servers import PATIENCE_SECONDS, ServerProcess, running

TABS = 3

GRACE_SECONDS = 0.5

SETTINGS = {"LIMITS_ENABLED": "no", "LIMITS_LEAVE_GRACE_SECONDS": str(GRACE_SECONDS)}


def worker(guest: Guest) -> str:
    """Return the id of the worker that a client is connected to."""
    return worker_of(guest.sio.eio.sid)


def tab_elsewhere(party: Party, guest: Guest, taken: set[str]) -> Guest:
    """Return another tab of a user, with a worker that is not among these."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        tab = party.tab(guest)
        if worker(tab) not in taken:
            return tab
        tab.close()
        assert time.monotonic() < deadline, f"all connections came to {taken}"


def test_a_user_with_tabs_on_three_workers_of_which_one_is_killed_joins_once_and_leaves_once(
    tmp_path: Path,
) -> None:
    with running("conf", tmp_path, workers=TABS + 1, **SETTINGS) as server:
        await_workers(server, TABS + 1)
        party = Party(server.url)
        try:
            check_comings_and_goings(server, party)
        finally:
            party.close()


def check_comings_and_goings(server: ServerProcess, party: Party) -> None:
    observer = party.guest("observer")
    tabs = [first := party.guest("ann")]
    while worker(first) == worker(observer):
        first.close()
        first = tabs[0] = party.tab(first)
    while len(tabs) < TABS:
        taken = {worker(observer), *map(worker, tabs)}
        tabs.append(tab_elsewhere(party, first, taken))
    ann, name = tabs[0].member, tabs[0].name

    def members() -> list[dict[str, str]]:
        return observer.call("members", {"room": party.room})["members"]

    kill_worker(server, pid_of(server, worker(tabs[1])))
    deadline = time.monotonic() + LEASE_SECONDS + GRACE_SECONDS + 2
    while time.monotonic() < deadline:
        assert ann in members()
        time.sleep(0.2)
    tabs[0].close()
    assert heard(observer, "joined").count(name) == 1 and heard(observer, "left") == []
    began = time.monotonic()
    kill_worker(server, pid_of(server, worker(tabs[2])))
    wait_until(lambda: ann not in members(), "the end of the lease", every_seconds=0.05)
    took = time.monotonic() - began
    print(f"gone from the list {took:.1f} s after the kill")
    assert took < LEASE_SECONDS + GRACE_SECONDS + 2
    wait_until(lambda: heard(observer, "left"), "the announcement")
    assert heard(observer, "joined").count(name) == 1 and heard(observer, "left") == [name]
    assert members() == [observer.member]
