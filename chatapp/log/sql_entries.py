"""The entries table: appending, reading, trimming."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, update

from chatapp.domain.messages import (
    Draft,
    Entry,
    Item,
    Kind,
    Message,
    User,
    apply,
    check_change,
    check_repeat,
    fold,
    items,
)
from chatapp.errors import NotFound, Refusal
from chatapp.log.compiled import Compiled
from chatapp.log.schema import entries, rooms, users
from chatapp.log.store import Appended, Head

_entries = select(entries, users.c.name).join(users, users.c.id == entries.c.user_id)

# Lists go into statements as one parameter, in JSON: SQLite takes 32,766 parameters at most.
_keys = func.json_each(bindparam("keys")).table_valued("value", name="keys")
_ids = func.json_each(bindparam("ids")).table_valued("value", name="ids")
_seqs = func.json_each(bindparam("seqs")).table_valued("value", name="seqs")
_is_listed = entries.c.seq.in_(select(_seqs.c.value))
_changes_listed = entries.c.target_seq.in_(select(_seqs.c.value))

# What SQLite makes of a statement was looked at, and a test looks at it again: without statistics it
# takes a room for ten entries, and reads a whole one rather than the index of changes, unless the index
# gives the order that is asked for. For ``(user_id, client_id) IN (...)`` it reads the whole table.
_repeated = (
    select(entries, users.c.name)
    .select_from(_keys)
    .join(
        entries,
        (entries.c.user_id == func.json_extract(_keys.c.value, "$[0]"))
        & (entries.c.client_id == func.json_extract(_keys.c.value, "$[1]")),
    )
    .join(users, users.c.id == entries.c.user_id)
)
_messages = _entries.where(entries.c.room_id == bindparam("room"), _is_listed, entries.c.target_seq.is_(None))
_changes = _entries.where(entries.c.room_id == bindparam("room"), _changes_listed).order_by(
    entries.c.target_seq, entries.c.seq
)
_head = Compiled(select(rooms.c.last_seq).where(rooms.c.id == bindparam("room")).with_for_update())
_heads = Compiled(
    select(rooms.c.id, rooms.c.last_seq)
    .where(rooms.c.id.in_(select(_ids.c.value)))
    .order_by(rooms.c.id)
    .with_for_update()
)
_raise_head = Compiled(
    update(rooms).where(rooms.c.id == bindparam("room")).values(last_seq=bindparam("head"))
)
_insert = Compiled(insert(entries))
_blank = (
    update(entries)
    .where(entries.c.room_id == bindparam("room"), _is_listed)
    .where(entries.c.type.in_([Kind.MESSAGE.value, Kind.NOTICE.value, Kind.EDIT.value]))
    .values(text="")
)


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(
        row.room_id,
        row.seq,
        Kind(row.type),
        User(row.user_id, row.name),
        row.text,
        row.sent_at,
        row.target_seq,
        row.client_id,
    )


class SqlEntries:
    """The part of `SqlStore` that knows the rooms' logs."""

    def __init__(self, reactions_per_message: int) -> None:
        self._reactions_per_message = reactions_per_message

    def append(self, tx: Connection, drafts: Sequence[Draft], now: int) -> list[Appended | Refusal]:
        heads = self._lock_heads(tx, drafts)
        known = self._already_stored(tx, drafts)
        targets = self._targets(tx, drafts)
        outcomes: list[Appended | Refusal] = []
        new: list[Entry] = []
        for draft in drafts:
            repeat_key = (draft.user.id, draft.client_id)
            try:
                if draft.client_id is not None and repeat_key in known:
                    check_repeat(draft, known[repeat_key])
                    outcomes.append(Appended(known[repeat_key], None, repeated=True))
                    continue
                appended = self._number(draft, heads, targets, now)
            except Refusal as refusal:
                outcomes.append(refusal)
                continue
            outcomes.append(appended)
            new.append(appended.entry)
            known[repeat_key] = appended.entry
        self._insert(tx, new, heads)
        return outcomes

    @staticmethod
    def _lock_heads(tx: Connection, drafts: Sequence[Draft]) -> dict[int, int]:
        room_ids = {draft.room.id for draft in drafts}
        if len(room_ids) > 1:
            return dict(_heads.rows(tx, ids=json.dumps(list(room_ids))))
        (room_id,) = room_ids
        row = _head.row(tx, room=room_id)
        return {} if row is None else {room_id: row[0]}

    @staticmethod
    def _already_stored(tx: Connection, drafts: Sequence[Draft]) -> dict[tuple[int, str | None], Entry]:
        keys = [(draft.user.id, draft.client_id) for draft in drafts if draft.client_id is not None]
        if not keys:
            return {}
        found = tx.execute(_repeated, {"keys": json.dumps(keys)})
        return {(row.user_id, row.client_id): _entry(row) for row in found}

    def _targets(self, tx: Connection, drafts: Sequence[Draft]) -> dict[tuple[int, int], Message]:
        """Return the messages that `drafts` want to change, by room and seq."""
        wanted: dict[int, set[int]] = defaultdict(set)
        for draft in drafts:
            if draft.target_seq is not None:
                wanted[draft.room.id].add(draft.target_seq)
        return {
            (room_id, seq): message
            for room_id, seqs in wanted.items()
            for seq, message in self._fold(tx, room_id, seqs).items()
        }

    def _number(
        self, draft: Draft, heads: dict[int, int], targets: dict[tuple[int, int], Message], now: int
    ) -> Appended:
        """Give the draft its place and say what it makes of its room. Raises the refusal."""
        room_id = draft.room.id
        if room_id not in heads:
            raise NotFound("There is no such room.")
        target = None
        if draft.target_seq is not None:
            target = targets.get((room_id, draft.target_seq))
            check_change(draft, target, reactions_per_message=self._reactions_per_message)
        heads[room_id] += 1
        entry = Entry(
            room_id,
            heads[room_id],
            draft.kind,
            draft.user,
            draft.text,
            now,
            draft.target_seq,
            draft.client_id,
        )
        if target is None:
            targets[room_id, entry.seq] = Message(entry, entry.text)
            return Appended(entry, Message(entry, entry.text))
        apply(target, entry)
        # A copy, for later drafts of this batch may change the same message again.
        reactions = {emoji: list(givers) for emoji, givers in target.reactions.items()}
        return Appended(entry, replace(target, reactions=reactions))

    def _insert(self, tx: Connection, new: Sequence[Entry], heads: dict[int, int]) -> None:
        if not new:
            return
        _insert.run_many(
            tx,
            [
                {
                    "room_id": entry.room_id,
                    "seq": entry.seq,
                    "type": entry.kind.value,
                    "user_id": entry.user.id,
                    "text": entry.text,
                    "target_seq": entry.target_seq,
                    "client_id": entry.client_id,
                    "sent_at": entry.sent_at_ms,
                }
                for entry in new
            ],
        )
        touched = {entry.room_id for entry in new}
        _raise_head.run_many(tx, [{"room": room_id, "head": heads[room_id]} for room_id in touched])
        for entry in new:
            if entry.kind is Kind.DELETE and entry.target_seq is not None:
                changes = self._changes(tx, entry.room_id, [entry.target_seq])[entry.target_seq]
                seqs = [entry.target_seq, *(change.seq for change in changes)]
                tx.execute(_blank, {"room": entry.room_id, "seqs": json.dumps(seqs)})

    def head(self, tx: Connection, room_id: int) -> Head:
        first = select(func.min(entries.c.seq)).where(entries.c.room_id == room_id).scalar_subquery()
        row = tx.execute(select(rooms.c.last_seq, first).where(rooms.c.id == room_id)).one()
        return Head(row[0] + 1 if row[1] is None else row[1], row[0])

    def replay(
        self, tx: Connection, room_id: int, after: int, before: int | None, limit: int
    ) -> tuple[list[Item], int]:
        found = _entries.where(entries.c.room_id == room_id, entries.c.seq > after)
        if before is not None:
            found = found.where(entries.c.seq < before)
        page = self._page(tx, found.order_by(entries.c.seq).limit(limit))
        targets = {entry.target_seq if entry.kind.is_change else entry.seq for entry in page}
        messages = self._fold(tx, room_id, {seq for seq in targets if seq is not None})
        return items(page, messages), page[-1].seq if page else 0

    def page_back(self, tx: Connection, room_id: int, before: int | None, limit: int) -> list[Message]:
        found = _entries.where(entries.c.room_id == room_id, entries.c.target_seq.is_(None))
        if before is not None:
            found = found.where(entries.c.seq < before)
        page = self._page(tx, found.order_by(entries.c.seq.desc()).limit(limit))
        changes = self._changes(tx, room_id, [entry.seq for entry in page])
        return [fold(entry, changes[entry.seq]) for entry in reversed(page)]

    @staticmethod
    def _page(tx: Connection, found: Select[tuple[object, ...]]) -> list[Entry]:
        return [_entry(row) for row in tx.execute(found)]

    def _fold(self, tx: Connection, room_id: int, seqs: set[int]) -> dict[int, Message]:
        """Return those of the messages `seqs` that the log holds, as they are now."""
        if not seqs:
            return {}
        found = tx.execute(_messages, {"room": room_id, "seqs": json.dumps(list(seqs))})
        page = [_entry(row) for row in found]
        changes = self._changes(tx, room_id, [entry.seq for entry in page])
        return {entry.seq: fold(entry, changes[entry.seq]) for entry in page}

    def _changes(self, tx: Connection, room_id: int, seqs: Iterable[int]) -> defaultdict[int, list[Entry]]:
        """Return the changes of the messages `seqs`, by message, in the log's order."""
        changes: defaultdict[int, list[Entry]] = defaultdict(list)
        for row in tx.execute(_changes, {"room": room_id, "seqs": json.dumps(list(seqs))}):
            changes[row.target_seq].append(_entry(row))
        return changes

    def trim(self, tx: Connection, room_id: int, keep: int | None, since: int | None, limit: int) -> int:
        head = self.head(tx, room_id)
        cut = head.first_seq - 1
        if keep is not None:
            cut = max(cut, head.last_seq - keep)
        if since is not None:
            start = select(entries.c.seq, entries.c.sent_at).where(entries.c.room_id == room_id)
            for row in tx.execute(start.order_by(entries.c.seq).limit(limit)):
                if row.sent_at >= since:
                    break
                cut = max(cut, row.seq)
        cut = min(cut, head.first_seq - 1 + limit)
        gone = tx.execute(delete(entries).where(entries.c.room_id == room_id, entries.c.seq <= cut))
        return gone.rowcount
