"""The rooms and members tables: which rooms there are and who belongs to them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)

from chatapp.domain.messages import Kind, Room, User, conversation_key
from chatapp.domain.names import RoomName
from chatapp.log.compiled import Compiled
from chatapp.log.schema import entries, members, rooms, users
from chatapp.log.store import Conversation, Standing, Visit, Visited

_first, _second = users.alias("first"), users.alias("second")
_rooms = (
    select(
        rooms,
        _first.c.name.label("first_name"),
        _second.c.name.label("second_name"),
    )
    .outerjoin(_first, rooms.c.first_user_id == _first.c.id)
    .outerjoin(_second, rooms.c.second_user_id == _second.c.id)
)
_find = Compiled(_rooms.where(rooms.c.key == bindparam("key")))
_is_member = and_(members.c.room_id == bindparam("room"), members.c.user_id == bindparam("user"))
_by_id = Compiled(_rooms.where(rooms.c.id == bindparam("id")))
_listed = func.json_each(bindparam("rooms")).table_valued("value", name="listed")
_heads = Compiled(select(rooms.c.id, rooms.c.last_seq).where(rooms.c.id.in_(select(_listed.c.value))))
_owners = func.json_each(bindparam("users")).table_valued("value", name="owners")
_conversation = select(rooms.c.id, rooms.c.last_seq, rooms.c.first_user_id, rooms.c.second_user_id)
# Two look-ups, for of "one or the other" a database makes a search of the whole table.
_conversations = Compiled(
    union_all(
        *(
            _conversation.where(user.in_(select(_owners.c.value)))
            for user in (rooms.c.first_user_id, rooms.c.second_user_id)
        )
    )
)
_find_member = Compiled(select(members.c.role).where(_is_member))
_remove_member = Compiled(delete(members).where(_is_member))
_read_seq = Compiled(select(members.c.read_seq).where(_is_member))
_last_seq = select(rooms.c.last_seq).where(rooms.c.id == bindparam("room")).scalar_subquery()
_mark = case((_last_seq < bindparam("seq"), _last_seq), else_=bindparam("seq"))
_mark_read = Compiled(update(members).where(_is_member, members.c.read_seq < _mark).values(read_seq=_mark))

# All visits of a batch at once: the driver lets go of the interpreter in each statement, and when it is
# busy gets it back 5 ms later.
_visits = func.json_each(bindparam("visits")).table_valued("key", "value", name="visits")
_room_id, _user_id = (func.json_extract(_visits.c.value, path) for path in ("$[0]", "$[1]"))
_is_theirs = and_(members.c.room_id == _room_id, members.c.user_id == _user_id)
_join = Compiled(
    insert(members).from_select(
        ["room_id", "user_id", "role", "read_seq"],
        select(rooms.c.id, _user_id, literal("member"), rooms.c.last_seq)
        .select_from(_visits)
        .join(rooms, rooms.c.id == _room_id)
        .where(~exists().where(_is_theirs).correlate(_visits)),
    )
)
_look = Compiled(
    select(rooms.c.last_seq, members.c.read_seq)
    .select_from(_visits)
    .join(rooms, rooms.c.id == _room_id)
    .outerjoin(members, _is_theirs)
    .order_by(_visits.c.key)
)


def _room(row: Sequence[Any]) -> Room:
    id, key, name, epoch, _, first_id, second_id, first_name, second_name = row[:9]
    pair = None
    if first_id is not None:
        pair = (User(first_id, first_name), User(second_id, second_name))
    return Room(id, key, name, epoch, pair)


class SqlRooms:
    """The part of `SqlStore` that knows rooms and memberships."""

    def open_room(self, tx: Connection, name: RoomName, epoch: str) -> Room:
        return self.find_room(tx, name.key) or self._make_room(tx, name.key, name.display, epoch)

    def open_conversation(self, tx: Connection, first: User, second: User, epoch: str) -> Room:
        key = conversation_key(first, second)
        room = self.find_room(tx, key)
        if room is None:
            room = self._make_room(tx, key, key, epoch, (first, second))
            for user_id in {first.id, second.id}:
                tx.execute(insert(members).values(_membership(room.id, user_id, 0)))
        return room

    @staticmethod
    def _make_room(
        tx: Connection, key: str, name: str, epoch: str, pair: tuple[User, User] | None = None
    ) -> Room:
        values = {"key": key, "name": name, "epoch": epoch, "last_seq": 0}
        if pair is not None:
            values |= {"first_user_id": pair[0].id, "second_user_id": pair[1].id}
        made = tx.execute(insert(rooms).values(values)).inserted_primary_key
        assert made is not None
        return Room(int(made[0]), key, name, epoch, pair)

    def find_room(self, tx: Connection, key: str) -> Room | None:
        row = _find.row(tx, key=key)
        return None if row is None else _room(row)

    def room(self, tx: Connection, room_id: int) -> Room | None:
        row = _by_id.row(tx, id=room_id)
        return None if row is None else _room(row)

    def room_ids(self, tx: Connection) -> Iterable[int]:
        return tx.scalars(select(rooms.c.id)).all()

    def heads(self, tx: Connection, room_ids: Collection[int]) -> dict[int, int]:
        return dict(_heads.rows(tx, rooms=json.dumps(list(room_ids))))

    def conversations(self, tx: Connection, user_ids: Collection[int]) -> list[Conversation]:
        rows = _conversations.rows(tx, users=json.dumps(list(user_ids)))
        return [Conversation(*row) for row in rows]

    def is_member(self, tx: Connection, room_id: int, user_id: int) -> bool:
        return _find_member.row(tx, room=room_id, user=user_id) is not None

    def add_member(self, tx: Connection, room_id: int, user_id: int) -> None:
        self.visit(tx, [Visit(room_id, user_id, joins=True)])

    def visit(self, tx: Connection, visits: Sequence[Visit]) -> list[Visited]:
        joining = {(visit.room_id, visit.user_id) for visit in visits if visit.joins}
        if joining:
            _join.run(tx, visits=json.dumps(list(joining)))
        found = _look.rows(tx, visits=json.dumps(visits))
        return [Visited(last_seq, read_seq or 0) for last_seq, read_seq in found]

    def remove_member(self, tx: Connection, room_id: int, user_id: int) -> None:
        _remove_member.run(tx, room=room_id, user=user_id)

    def mark_read(self, tx: Connection, room_id: int, user_id: int, seq: int) -> int:
        _mark_read.run(tx, room=room_id, user=user_id, seq=seq)
        return self.read_seq(tx, room_id, user_id)

    def read_seq(self, tx: Connection, room_id: int, user_id: int) -> int:
        row = _read_seq.row(tx, room=room_id, user=user_id)
        return 0 if row is None else int(row[0])

    def standings(self, tx: Connection, user_id: int) -> list[Standing]:
        unread = (
            select(func.count())
            .where(
                entries.c.room_id == rooms.c.id,
                entries.c.seq > members.c.read_seq,
                entries.c.user_id != user_id,
                entries.c.type.in_([Kind.MESSAGE.value, Kind.NOTICE.value]),
            )
            .correlate(rooms, members)
            .scalar_subquery()
        )
        latest = (
            select(func.coalesce(func.max(entries.c.sent_at), 0))
            .where(entries.c.room_id == rooms.c.id, entries.c.seq == rooms.c.last_seq)
            .correlate(rooms)
            .scalar_subquery()
        )
        rows = tx.execute(
            _rooms.add_columns(members.c.read_seq, unread.label("unread"))
            .join(members, and_(members.c.room_id == rooms.c.id, members.c.user_id == user_id))
            .order_by(latest, rooms.c.id)
        )
        return [Standing(_room(row), row.last_seq, row.read_seq, row.unread) for row in rows]


def _membership(room_id: int, user_id: int, read_seq: int) -> dict[str, object]:
    return {"room_id": room_id, "user_id": user_id, "role": "member", "read_seq": read_seq}
