"""Workers let go of what they knew of each other's clients once these are gone."""

from __future__ import annotations

import contextlib
from pathlib import Path

from chatapp.housekeeping import COMPARE_SECONDS
from clients import Chatter, wait_until
from faults.census import check_released, running_census, settled
from servers import ServerProcess

ROOMS = 10


def talk(servers: list[ServerProcess], turn: int) -> None:
    """Have somebody on each server join rooms of their own, talk there and privately, and go."""
    with contextlib.ExitStack() as stack:
        people = [stack.enter_context(Chatter(server.url)) for server in servers]
        names = [f"turn {turn} person {number}" for number, _ in enumerate(people)]
        for number in range(ROOMS):
            for name, person in zip(names, people, strict=True):
                person.join(f"turn {turn} room {number}", name)
            for person in people:
                person.say("hello")
        for name, person in zip(reversed(names), people, strict=True):
            assert person.call("new pm", {"to": name, "message": "psst"})["ok"]
        for person in people:
            wait_until(lambda person=person: len(person.messages()) == ROOMS + 1, "the messages")


def test_what_was_known_of_others_goes_with_them(tmp_path: Path) -> None:
    settings = {"LIMITS_ENABLED": "no", "LIMITS_LEAVE_GRACE_SECONDS": "0.1"}
    with (
        running_census("conf", tmp_path, **settings) as one,
        running_census("conf", tmp_path, **settings) as two,
    ):
        servers = [one, two]
        for turn in range(5):
            talk(servers, turn)
        base = [settled(server) for server in servers]
        for turn in range(5, 45):
            talk(servers, turn)
        for server, before in zip(servers, base, strict=True):
            check_released(server, before, spare_objects=2000, seconds=COMPARE_SECONDS + 10)
