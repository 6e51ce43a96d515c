"""Guests of one test: real clients in a room, and under names, that no other test uses."""

from __future__ import annotations

import itertools
from typing import Any

from clients import Chatter, wait_until

#: Where times pass quickly: a leave is announced soon, and a name is free 5 seconds later.
QUICK = {"AUTH_NAME_HOLD_MINUTES": "0", "LIMITS_LEAVE_GRACE_SECONDS": "0.3", "WEB_METRICS": "yes"}

_numbers = itertools.count(1)


class Guest(Chatter):
    """A client that has joined a room; `joined` is the acknowledgement."""

    def __init__(self, url: str, room: str, name: str | None, **fields: Any) -> None:
        super().__init__(url)
        self.joined = self.join(room, name, **fields)
        self.room = room
        self.name: str = self.joined["user"]["name"]
        self.user_id: str = self.joined["user"]["id"]

    @property
    def member(self) -> dict[str, str]:
        """This user as lists of members show one."""
        return {"user_id": self.user_id, "username": self.name}

    def tell(self, to: Guest, text: str, **fields: Any) -> Any:
        """Say something privately and return the acknowledgement, which has to be a success."""
        answer = self.call("new pm", {"to": to.name, "message": text, **fields})
        assert answer["ok"], answer
        return answer

    def history(self, room: str | None = None, **fields: Any) -> Any:
        """Return the acknowledgement of a page of a room's log, which has to be a success."""
        answer = self.call("history", {"room": room or self.room, **fields})
        assert answer["ok"], answer
        return answer

    def standing(self, room: str | None = None) -> Any:
        """Return how this user stands with a room, None for one that is not theirs."""
        rooms = self.call("rooms")["rooms"]
        return next((standing for standing in rooms if standing["room"] == (room or self.room)), None)


class Party:
    """Makes the clients of one test; `close` disconnects them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._number = next(_numbers)
        self._chatters: list[Chatter] = []
        self.room = self.named("room")

    def named(self, name: str) -> str:
        """Return a name of a user or a room that is this test's own."""
        return f"{name}-{self._number}"

    def guests(self, *names: str, room: str | None = None) -> list[Guest]:
        """Return new users, who have joined the room."""
        return [self.guest(name, room) for name in names]

    def gathered(self, *names: str) -> list[Guest]:
        """Return new users who have joined the room; what announced that is no longer in `received`."""
        guests = self.guests(*names)
        wait_until(lambda: guests[-1].name in heard(guests[-1], "joined"), "the last announcement")
        settle(*guests)
        for guest in guests:
            guest.received.clear()
        return guests

    def guest(self, name: str, room: str | None = None) -> Guest:
        """Return a new user, who has joined the room."""
        return self.add(Guest(self.url, room or self.room, self.named(name)))

    def tab(self, guest: Guest, room: str | None = None) -> Guest:
        """Return another connection of the same user, which has joined the room too."""
        return self.add(Guest(self.url, room or guest.room, None, token=guest.token))

    def stranger(self, **options: Any) -> Chatter:
        """Return a client that has not joined anything."""
        return self.add(Chatter(self.url, **options))

    def add(self, chatter: Any) -> Any:
        """Have a client disconnected in the end."""
        self._chatters.append(chatter)
        return chatter

    def close(self) -> None:
        """Disconnect all."""
        for chatter in self._chatters:
            chatter.close()


def heard(chatter: Chatter, change: str) -> list[str]:
    """Return the names of all whose coming (``joined``) or going (``left``) this client has heard of."""
    return [member["username"] for push in chatter.events("presence") for member in push[change]]


def settle(*chatters: Chatter) -> None:
    """Wait until all that was sent to these clients up to now has arrived: an answer that is asked for
    now comes after it."""
    for chatter in chatters:
        chatter.call("rooms")


def check_refusal(answer: Any, code: str, words: str = "") -> Any:
    """Return the error of an acknowledgement, which has to be a refusal with this code and these words."""
    assert set(answer) == {"ok", "error"}, answer
    assert answer["ok"] is False
    assert answer["error"]["code"] == code, answer
    assert set(answer["error"]) <= {"code", "message", "retry_after"}
    assert words in answer["error"]["message"], answer
    return answer["error"]
