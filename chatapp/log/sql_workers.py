"""The workers and presence tables: which workers there are, and who is in which room in which of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from chatapp.domain.messages import User
from chatapp.log.compiled import Compiled
from chatapp.log.schema import presence, users, workers

#: A user in a room: room id, user id.
Place = tuple[int, int]

_places = func.json_each(bindparam("places")).table_valued("value", name="places")
_room_id, _user_id = (func.json_extract(_places.c.value, path) for path in ("$[0]", "$[1]"))
_is_theirs = (
    (presence.c.room_id == _room_id)
    & (presence.c.user_id == _user_id)
    & (presence.c.worker_id == bindparam("worker"))
)
_come = Compiled(
    insert(presence).from_select(
        ["room_id", "user_id", "worker_id"],
        select(_room_id, _user_id, bindparam("worker"))
        .select_from(_places)
        .where(~exists().where(_is_theirs).correlate(_places)),
    )
)
_go = Compiled(
    delete(presence).where(presence.c.worker_id == bindparam("worker"), exists().where(_is_theirs))
)
_listed = func.json_each(bindparam("rooms")).table_valued("value", name="rooms")
_is_listed = presence.c.room_id.in_(select(_listed.c.value))
_others = Compiled(
    select(presence.c.worker_id, presence.c.room_id, presence.c.user_id, users.c.name)
    .join(users, users.c.id == presence.c.user_id)
    .where(_is_listed, presence.c.worker_id != bindparam("worker"))
)
#: User ids are 62 random bits, whose sum no database holds.
_SUM_MODULUS = 1_000_003
_sums = Compiled(
    select(
        presence.c.room_id,
        presence.c.worker_id,
        func.count(),
        func.sum(presence.c.user_id % _SUM_MODULUS),
    )
    .where(_is_listed, presence.c.worker_id != bindparam("worker"))
    .group_by(presence.c.room_id, presence.c.worker_id)
)
_beat = Compiled(update(workers).where(workers.c.id == bindparam("worker")).values(beat=workers.c.beat + 1))
_of_worker = Compiled(delete(presence).where(presence.c.worker_id == bindparam("worker")))
_is_anywhere = Compiled(select(presence.c.worker_id).where(presence.c.user_id == bindparam("user")).limit(1))


class Elsewhere(NamedTuple):
    """A user in a room, by a connection to another worker."""

    worker: str
    room_id: int
    user: User


def checksum(user_ids: Iterable[int]) -> tuple[int, int]:
    """Return how many users these are and a sum by which two sets of them are told apart."""
    ids = list(user_ids)
    return len(ids), sum(user_id % _SUM_MODULUS for user_id in ids)


class SqlWorkers:
    """The part of `SqlStore` that knows workers and who is where."""

    def enlist(self, tx: Connection, worker: str) -> None:
        """Note that this worker is there, and nobody in it yet."""
        _of_worker.run(tx, worker=worker)
        tx.execute(delete(workers).where(workers.c.id == worker))
        tx.execute(insert(workers).values(id=worker, beat=1))

    def beat(self, tx: Connection, worker: str) -> bool:
        """Note that this worker is still there. Return whether the others believe so, too."""
        return bool(_beat.run(tx, worker=worker).rowcount)

    def beats(self, tx: Connection) -> dict[str, int]:
        """Return the beats of all workers."""
        return {row.id: row.beat for row in tx.execute(select(workers))}

    def bury(self, tx: Connection, worker: str, beat: int) -> bool:
        """Delete a worker whose beat stands still at `beat`, and its users. Return whether that was so."""
        still = delete(workers).where(workers.c.id == worker, workers.c.beat == beat)
        if not tx.execute(still).rowcount:
            return False
        _of_worker.run(tx, worker=worker)
        return True

    def attend(
        self, tx: Connection, worker: str, arrived: Collection[Place], gone: Collection[Place]
    ) -> None:
        """Note who is in rooms in this worker now, and who no longer is."""
        if arrived:
            _come.run(tx, worker=worker, places=json.dumps(list(arrived)))
        if gone:
            _go.run(tx, worker=worker, places=json.dumps(list(gone)))

    def others(self, tx: Connection, worker: str, room_ids: Collection[int]) -> list[Elsewhere]:
        """Return who is in these rooms in other workers."""
        rows = _others.rows(tx, worker=worker, rooms=json.dumps(list(room_ids)))
        return [Elsewhere(other, room_id, User(user_id, name)) for other, room_id, user_id, name in rows]

    def checksums(
        self, tx: Connection, worker: str, room_ids: Collection[int]
    ) -> dict[tuple[int, str], tuple[int, int]]:
        """Return, by room and other worker, the `checksum` of the users there."""
        rows = _sums.rows(tx, worker=worker, rooms=json.dumps(list(room_ids)))
        return {(room_id, other): (int(count), int(total)) for room_id, other, count, total in rows}

    def is_anywhere(self, tx: Connection, user_id: int) -> bool:
        """Return whether the user is in a room in any worker."""
        return _is_anywhere.row(tx, user=user_id) is not None
