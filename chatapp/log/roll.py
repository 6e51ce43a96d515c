"""The roll of the workers as the chat uses it: who is alive, and who is where. Its calls may block."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from chatapp.log.sql import SqlStore
from chatapp.log.sql_workers import Elsewhere, Place

T = TypeVar("T")

Run = Callable[[Callable[[Any], T]], T]


class Roll:
    """One worker's view of the workers and presence tables; see `SqlWorkers`."""

    def __init__(self, store: SqlStore, write: Run[Any], read: Run[Any]) -> None:
        self._store = store
        self._write = write
        self._read = read

    def enlist(self, worker: str) -> None:
        """Note that this worker is there, and nobody in it yet."""
        self._write(lambda tx: self._store.enlist(tx, worker))

    def beat(self, worker: str) -> dict[str, int] | None:
        """Note that this worker is still there. Return the beats of all, None if it is taken for dead."""

        def beat(tx: Any) -> dict[str, int] | None:
            return self._store.beats(tx) if self._store.beat(tx, worker) else None

        beats: dict[str, int] | None = self._write(beat)
        return beats

    def bury(self, worker: str, beat: int) -> bool:
        """Delete a worker whose beat stands still, and its users. Return whether that was so."""
        return bool(self._write(lambda tx: self._store.bury(tx, worker, beat)))

    def attend(self, worker: str, arrived: Collection[Place], gone: Collection[Place]) -> None:
        """Note who is in rooms in this worker now, and who no longer is."""
        self._write(lambda tx: self._store.attend(tx, worker, arrived, gone))

    def others(self, worker: str, room_ids: Collection[int]) -> list[Elsewhere]:
        """Return who is in these rooms in other workers."""
        others: list[Elsewhere] = self._read(lambda tx: self._store.others(tx, worker, room_ids))
        return others

    def checksums(self, worker: str, room_ids: Collection[int]) -> dict[tuple[int, str], tuple[int, int]]:
        """Return, by room and other worker, the `checksum` of the users there."""
        sums: dict[tuple[int, str], tuple[int, int]]
        sums = self._read(lambda tx: self._store.checksums(tx, worker, room_ids))
        return sums

    def is_anywhere(self, tx: Any, user_id: int) -> bool:
        """Return whether the user is in a room in any worker, inside the transaction `tx`."""
        return self._store.is_anywhere(tx, user_id)

    def are_anywhere(self, user_ids: Collection[int]) -> set[int]:
        """Return those of the users who are in a room in any worker."""
        found: set[int]
        found = self._read(lambda tx: {user for user in user_ids if self._store.is_anywhere(tx, user)})
        return found
