"""Joins and leaves of one moment, merged, so that a crowd costs a few notices and not its square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from chatapp.domain.messages import User

#: Names in one notice; the others are a number.
NAMES = 3

#: The shortest wait before changes go out, and what each user in the room adds to it: a notice costs
#: one delivery to each of n users, so that n who join one after the other may cause about 1000 of
#: each a second, and not n of n.
MERGE_SECONDS = 0.05
MERGE_SECONDS_PER_MEMBER = 0.001


def merge_seconds(online: int) -> float:
    """Return how long a room of that size gathers its joins and leaves."""
    return MERGE_SECONDS + online * MERGE_SECONDS_PER_MEMBER


class Notice(NamedTuple):
    """What people are told of a moment: these users came, or these went."""

    code: str  # joined, left
    users: Sequence[User]

    @property
    def text(self) -> str:
        """The sentence, in English."""
        return f"{name_them(self.users)} {self.code}"


@dataclass(slots=True)
class Arrivals:
    """The changes of one room that have not gone out yet, by user id.

    `joined` and `left` say where each user ended up, also of those who came and went within the
    moment: a list of members that somebody got in between has to be put right.
    """

    due: float
    joined: dict[int, User] = field(default_factory=dict)
    left: dict[int, User] = field(default_factory=dict)
    #: user id -> whether they were here before all that
    _were_here: dict[int, bool] = field(default_factory=dict)

    def join(self, user: User) -> None:
        """Note a join."""
        self._were_here.setdefault(user.id, False)
        self.left.pop(user.id, None)
        self.joined[user.id] = user

    def leave(self, user: User) -> None:
        """Note a leave."""
        self._were_here.setdefault(user.id, True)
        self.joined.pop(user.id, None)
        self.left[user.id] = user

    def notices(self) -> list[Notice]:
        """Return what people are told, nothing of what was undone within the moment."""
        arrived = [user for user in self.joined.values() if not self._were_here[user.id]]
        gone = [user for user in self.left.values() if self._were_here[user.id]]
        both = ((arrived, "joined"), (gone, "left"))
        return [Notice(code, users) for users, code in both if users]


def name_them(users: Sequence[User]) -> str:
    """Return ``ann``, ``ann and bob``, ``ann, bob and cid``, ``ann, bob, cid and 7 others``."""
    names = [user.name for user in users[:NAMES]]
    others = len(users) - len(names)
    if others:
        names.append(f"{others} other{'s' if others > 1 else ''}")
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
