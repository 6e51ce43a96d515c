"""The rooms and members tables: which rooms there are and who belongs to them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Row, and_, case, delete, func, insert, select, update

from chatapp.domain.messages import Kind, Room, User, conversation_key
from chatapp.domain.names import RoomName
from chatapp.log.schema import entries, members, rooms, users
from chatapp.log.store import Standing

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


def _room(row: Row[tuple[object, ...]]) -> Room:
    pair = None
    if row.first_user_id is not None:
        pair = (User(row.first_user_id, row.first_name), User(row.second_user_id, row.second_name))
    return Room(row.id, row.key, row.name, row.epoch, pair)


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
        row = tx.execute(_rooms.where(rooms.c.key == key)).one_or_none()
        return None if row is None else _room(row)

    def room_ids(self, tx: Connection) -> Iterable[int]:
        return tx.scalars(select(rooms.c.id)).all()

    def is_member(self, tx: Connection, room_id: int, user_id: int) -> bool:
        return tx.scalar(select(members.c.role).where(_is(room_id, user_id))) is not None

    def add_member(self, tx: Connection, room_id: int, user_id: int) -> None:
        if not self.is_member(tx, room_id, user_id):
            last = tx.scalar(select(rooms.c.last_seq).where(rooms.c.id == room_id))
            tx.execute(insert(members).values(_membership(room_id, user_id, last or 0)))

    def remove_member(self, tx: Connection, room_id: int, user_id: int) -> None:
        tx.execute(delete(members).where(_is(room_id, user_id)))

    def mark_read(self, tx: Connection, room_id: int, user_id: int, seq: int) -> int:
        last = select(rooms.c.last_seq).where(rooms.c.id == room_id).scalar_subquery()
        wanted = case((last < seq, last), else_=seq)
        tx.execute(
            update(members).where(_is(room_id, user_id), members.c.read_seq < wanted).values(read_seq=wanted)
        )
        return self.read_seq(tx, room_id, user_id)

    def read_seq(self, tx: Connection, room_id: int, user_id: int) -> int:
        return tx.scalar(select(members.c.read_seq).where(_is(room_id, user_id))) or 0

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


def _is(room_id: int, user_id: int):  # type: ignore[no-untyped-def]
    return and_(members.c.room_id == room_id, members.c.user_id == user_id)


def _membership(room_id: int, user_id: int, read_seq: int) -> dict[str, object]:
    return {"room_id": room_id, "user_id": user_id, "role": "member", "read_seq": read_seq}
