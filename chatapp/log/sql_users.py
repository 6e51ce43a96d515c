"""The users table: who has which name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update

from chatapp.domain.messages import User
from chatapp.domain.names import Name, name_key
from chatapp.errors import NameTaken, StorageBusy
from chatapp.log.compiled import Compiled
from chatapp.log.lists import is_listed
from chatapp.log.repeats import Undone
from chatapp.log.schema import users
from chatapp.log.store import new_user_id

_touch = Compiled(update(users).where(is_listed(users.c.id, "ids")).values(seen_at=bindparam("now")))
_by_id = Compiled(select(users.c.id, users.c.name).where(users.c.id == bindparam("id")))
_by_key = Compiled(select(users.c.id, users.c.name).where(users.c.name_key == bindparam("key")))
_known_as = Compiled(
    select(users.c.id, users.c.name).where(
        users.c.subject == bindparam("subject"),
        users.c.name == bindparam("name"),
        users.c.name_key == bindparam("key"),
    )
)
_alike = Compiled(
    select(users.c.id, users.c.subject, users.c.seen_at).where(
        or_(users.c.name_key == bindparam("key"), users.c.skeleton == bindparam("skeleton"))
    )
)
_add = Compiled(insert(users))


class SqlUsers:
    """The part of `SqlStore` that knows users."""

    def claim_name(
        self,
        tx: Connection,
        name: Name,
        user_id: int | None,
        now: int,
        is_held: Callable[[int, int], bool],
    ) -> User:
        same = _alike.rows(tx, key=name.key, skeleton=name.skeleton)
        holders = [holder for holder in same if holder[0] != user_id]
        for holder_id, subject, seen_at in holders:
            if subject is not None or is_held(holder_id, seen_at):
                raise NameTaken(f"The name {name.display!r} is taken.")
        for holder_id, _, seen_at in holders:
            self._let_go(tx, holder_id, seen_at)
        named = {"name": name.display, "name_key": name.key, "skeleton": name.skeleton, "seen_at": now}
        if user_id is not None:
            if tx.execute(update(users).where(users.c.id == user_id).values(named)).rowcount:
                return User(user_id, name.display)
        return User(_insert(tx, named, user_id), name.display)

    def sign_in(self, tx: Connection, subject: str, name: Name, now: int) -> User:
        known = tx.execute(select(users).where(users.c.subject == subject)).one_or_none()
        name = self._free_name(tx, name, known)
        named = {"name": name.display, "name_key": name.key, "skeleton": None, "seen_at": now}
        if known is not None:
            tx.execute(update(users).where(users.c.id == known.id).values(named))
            return User(known.id, name.display)
        return User(_insert(tx, {**named, "subject": subject}), name.display)

    def _free_name(self, tx: Connection, name: Name, known: Row[tuple[object, ...]] | None) -> Name:
        """Return `name`, or the first of name-2, name-3 … that no other user of the site has."""
        number, wanted = 1, name
        while True:
            holder = tx.execute(select(users).where(users.c.name_key == name.key)).one_or_none()
            if holder is None or (known is not None and holder.id == known.id):
                return name
            if holder.subject is None:  # a guest: the site's own users come first
                self._let_go(tx, holder.id, holder.seen_at)
                return name
            number += 1
            display = f"{wanted.display}-{number}"
            name = replace(wanted, display=display, key=name_key(display))

    @staticmethod
    def _let_go(tx: Connection, user_id: int, seen_at: int) -> None:
        is_still_so = (users.c.id == user_id) & (users.c.seen_at == seen_at)
        if not tx.execute(update(users).where(is_still_so).values(name_key=None, skeleton=None)).rowcount:
            raise Undone(StorageBusy(retry_after=1))  # another process has just seen them, or named them anew

    def known_as(self, tx: Connection, subject: str, name: Name) -> User | None:
        row = _known_as.row(tx, subject=subject, name=name.display, key=name.key)
        return None if row is None else User(*row)

    def user(self, tx: Connection, user_id: int) -> User | None:
        row = _by_id.row(tx, id=user_id)
        return None if row is None else User(*row)

    def find_user(self, tx: Connection, key: str) -> User | None:
        row = _by_key.row(tx, key=key)
        return None if row is None else User(*row)

    def touch(self, tx: Connection, user_ids: Collection[int], now: int) -> None:
        _touch.run(tx, ids=user_ids, now=now)


def _insert(tx: Connection, values: dict[str, object], user_id: int | None = None) -> int:
    user_id = new_user_id() if user_id is None else user_id
    _add.run(tx, **{"id": user_id, "subject": None, **values})
    return user_id
