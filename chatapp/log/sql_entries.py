"""The entries table: appending, reading, trimming."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from sqlalchemy import BigInteger, Connection, String, bindparam, delete, func, insert, or_, select, update

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
from chatapp.log.compiled import Compiled, Row, execute
from chatapp.log.lists import Rows, is_listed
from chatapp.log.schema import entries, rooms, users
from chatapp.log.store import Appended, Head

_entries = select(entries, users.c.name).join(users, users.c.id == entries.c.user_id)

_keys = Rows("keys", BigInteger(), String(64))
_is_listed = is_listed(entries.c.seq, "seqs")
_changes_listed = is_listed(entries.c.target_seq, "seqs")

# What SQLite makes of a statement was looked at, and a test looks at it again: without statistics it
# takes a room for ten entries, and reads a whole one rather than the index of changes, unless the index
# gives the order that is asked for. For ``(user_id, client_id) IN (...)`` it reads the whole table.
_repeated = Compiled(
    select(entries, users.c.name)
    .select_from(_keys.table)
    .join(entries, (entries.c.user_id == _keys[0]) & (entries.c.client_id == _keys[1]))
    .join(users, users.c.id == entries.c.user_id)
)
_in_room = _entries.where(entries.c.room_id == bindparam("room"))
_messages = Compiled(_in_room.where(_is_listed, entries.c.target_seq.is_(None)))
_changes = Compiled(_in_room.where(_changes_listed).order_by(entries.c.target_seq, entries.c.seq))
_forth = Compiled(
    _in_room.where(entries.c.seq > bindparam("after"), entries.c.seq < bindparam("before"))
    .order_by(entries.c.seq)
    .limit(bindparam("limit"))
)
_back = Compiled(
    _in_room.where(entries.c.target_seq.is_(None), entries.c.seq < bindparam("before"))
    .order_by(entries.c.seq.desc())
    .limit(bindparam("limit"))
)
_first_seq = select(func.min(entries.c.seq)).where(entries.c.room_id == bindparam("room")).scalar_subquery()
_reach = Compiled(select(rooms.c.last_seq, _first_seq).where(rooms.c.id == bindparam("room")))
# The lock by which the commits of several processes are in the order of `seq`. Without `key_share` it would
# keep out those, too, who only become members of the room.
_head = Compiled(
    select(rooms.c.last_seq).where(rooms.c.id == bindparam("room")).with_for_update(key_share=True)
)
_heads = Compiled(
    select(rooms.c.id, rooms.c.last_seq)
    .where(is_listed(rooms.c.id, "ids"))
    .order_by(rooms.c.id)
    .with_for_update(key_share=True)
    # A small table MariaDB would rather read as a whole, and lock other rooms on its way.
    .with_hint(rooms, "FORCE INDEX (PRIMARY)", "mysql")
)
_raise_head = Compiled(
    update(rooms).where(rooms.c.id == bindparam("room")).values(last_seq=bindparam("head"))
)
_insert = Compiled(insert(entries))

# The driver lets go of the interpreter in each statement, once for every row that it is given, and while
# the event loop is busy it gets it back 5 ms later: a batch of 500 rows took a second then. So the rows of
# a batch are one parameter.
_new = Rows("new", *(column.type for column in entries.columns))
_insert_all = Compiled(
    insert(entries).from_select(
        [column.name for column in entries.columns],
        select(*(_new[place] for place in range(len(_new)))).select_from(_new.table),
    )
)
_raise_heads = Compiled(
    update(rooms)
    .where(is_listed(rooms.c.id, "ids"))
    .values(last_seq=select(func.max(entries.c.seq)).where(entries.c.room_id == rooms.c.id).scalar_subquery())
)
_blank = Compiled(
    update(entries)
    .where(entries.c.room_id == bindparam("room"), _is_listed)
    .where(or_(*(entries.c.type == kind.value for kind in (Kind.MESSAGE, Kind.NOTICE, Kind.EDIT))))
    .values(text="")
)


_COLUMNS = [column.name for column in entries.columns]
_TEXT = _COLUMNS.index("text")

#: MariaDB takes 16 MB at a time, and a character may take seven bytes there.
_STATEMENT_CHARACTERS = 1_000_000
_KINDS = {kind.value: kind for kind in Kind}

#: Any number, but always the same.
TURN = 0x7475726E

#: Beyond any place in a log: SQL's BIGINT ends there.
_NO_BOUND = 2**63 - 1


def _pieces(rows: list[Row]) -> Iterator[list[Row]]:
    """Yield `rows` in pieces whose texts fit into one statement."""
    size = 0
    piece: list[Row] = []
    for row in rows:
        size += len(row[_TEXT])
        if size > _STATEMENT_CHARACTERS and piece:
            yield piece
            size, piece = len(row[_TEXT]), []
        piece.append(row)
    yield piece


def _entry(row: Row) -> Entry:
    room_id, seq, kind, user_id, text, target_seq, client_id, sent_at, name = row
    return Entry(room_id, seq, _KINDS[kind], User(user_id, name), text, sent_at, target_seq, client_id)


class SqlEntries:
    """The part of `SqlStore` that knows the rooms' logs."""

    def __init__(self, reactions_per_message: int) -> None:
        self._reactions_per_message = reactions_per_message

    def lock(self, tx: Connection, room_ids: Collection[int], *, others: bool) -> None:
        if tx.dialect.name == "sqlite":  # one process writes at a time
            return
        if others and tx.dialect.name == "postgresql":
            # It looks for transactions that wait for each other after a second; MySQL does at once.
            execute(tx, "SELECT pg_advisory_xact_lock(%s)", [TURN])
        if room_ids:
            _heads.rows(tx, ids=sorted(room_ids))

    def append(self, tx: Connection, drafts: Sequence[Draft], now: int) -> list[Appended | Refusal]:
        heads = self._lock_heads(tx, drafts)
        known = self._already_stored(tx, drafts)
        changes = any(draft.target_seq is not None for draft in drafts)
        targets = self._targets(tx, drafts) if changes else None
        outcomes: list[Appended | Refusal] = []
        new: list[Entry] = []
        for draft in drafts:
            try:
                entry = known.get((draft.user.id, draft.client_id)) if known else None
                if entry is not None:
                    check_repeat(draft, entry)
                    outcomes.append(Appended(entry, None, repeated=True))
                    continue
                appended = self._number(draft, heads, targets, now)
            except Refusal as refusal:
                outcomes.append(refusal)
                continue
            outcomes.append(appended)
            new.append(appended.entry)
            if draft.client_id is not None:
                known[draft.user.id, draft.client_id] = appended.entry
        self._insert(tx, new)
        return outcomes

    @staticmethod
    def _lock_heads(tx: Connection, drafts: Sequence[Draft]) -> dict[int, int]:
        room_ids = {draft.room.id for draft in drafts}
        if len(room_ids) > 1:
            return dict(_heads.rows(tx, ids=sorted(room_ids)))
        (room_id,) = room_ids
        row = _head.row(tx, room=room_id)
        return {} if row is None else {room_id: row[0]}

    @staticmethod
    def _already_stored(tx: Connection, drafts: Sequence[Draft]) -> dict[tuple[int, str | None], Entry]:
        keys = [(draft.user.id, draft.client_id) for draft in drafts if draft.client_id is not None]
        if not keys:
            return {}
        found = map(_entry, _repeated.rows(tx, keys=keys))
        return {(entry.user.id, entry.client_id): entry for entry in found}

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
        self,
        draft: Draft,
        heads: dict[int, int],
        targets: dict[tuple[int, int], Message] | None,
        now: int,
    ) -> Appended:
        """Give the draft its place and say what it makes of its room. Raises the refusal.

        `targets` is None where no draft of the batch changes anything.
        """
        room_id = draft.room.id
        if room_id not in heads:
            raise NotFound("There is no such room.")
        target = None
        if draft.target_seq is not None and targets is not None:
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
            if targets is not None:
                targets[room_id, entry.seq] = Message(entry, entry.text)
            return Appended(entry, Message(entry, entry.text))
        apply(target, entry)
        # A copy, for later drafts of this batch may change the same message again.
        reactions = {emoji: list(givers) for emoji, givers in target.reactions.items()}
        return Appended(entry, replace(target, reactions=reactions))

    def _insert(self, tx: Connection, new: Sequence[Entry]) -> None:
        if not new:
            return
        rows = [
            (
                entry.room_id,
                entry.seq,
                entry.kind.value,
                entry.user.id,
                entry.text,
                entry.target_seq,
                entry.client_id,
                entry.sent_at_ms,
            )
            for entry in new
        ]
        if len(rows) == 1:
            _insert.run(tx, **dict(zip(_COLUMNS, rows[0], strict=True)))
            _raise_head.run(tx, room=new[0].room_id, head=new[0].seq)
        else:
            for piece in _pieces(rows):
                _insert_all.run(tx, new=piece)
            _raise_heads.run(tx, ids={entry.room_id for entry in new})
        for entry in new:
            if entry.kind is Kind.DELETE and entry.target_seq is not None:
                changes = self._changes(tx, entry.room_id, [entry.target_seq])[entry.target_seq]
                seqs = [entry.target_seq, *(change.seq for change in changes)]
                _blank.run(tx, room=entry.room_id, seqs=seqs)

    def head(self, tx: Connection, room_id: int) -> Head:
        row = _reach.row(tx, room=room_id)
        assert row is not None
        last_seq, first_seq = row
        return Head(last_seq + 1 if first_seq is None else first_seq, last_seq)

    def replay(
        self, tx: Connection, room_id: int, after: int, before: int | None, limit: int
    ) -> tuple[list[Item], int]:
        rows = _forth.rows(
            tx, room=room_id, after=after, before=_NO_BOUND if before is None else before, limit=limit
        )
        page = list(map(_entry, rows))
        targets = {entry.target_seq if entry.kind.is_change else entry.seq for entry in page}
        messages = self._fold(tx, room_id, {seq for seq in targets if seq is not None})
        return items(page, messages), page[-1].seq if page else 0

    def page_back(self, tx: Connection, room_id: int, before: int | None, limit: int) -> list[Message]:
        before = _NO_BOUND if before is None else before
        rows = _back.rows(tx, room=room_id, before=before, limit=limit)
        page = list(map(_entry, rows))
        changes = self._changes(tx, room_id, [entry.seq for entry in page])
        return [fold(entry, changes[entry.seq]) for entry in reversed(page)]

    def _fold(self, tx: Connection, room_id: int, seqs: set[int]) -> dict[int, Message]:
        """Return those of the messages `seqs` that the log holds, as they are now."""
        if not seqs:
            return {}
        rows = _messages.rows(tx, room=room_id, seqs=seqs)
        page = list(map(_entry, rows))
        changes = self._changes(tx, room_id, [entry.seq for entry in page])
        return {entry.seq: fold(entry, changes[entry.seq]) for entry in page}

    def _changes(self, tx: Connection, room_id: int, seqs: Iterable[int]) -> defaultdict[int, list[Entry]]:
        """Return the changes of the messages `seqs`, by message, in the log's order."""
        changes: defaultdict[int, list[Entry]] = defaultdict(list)
        for change in map(_entry, _changes.rows(tx, room=room_id, seqs=seqs)):
            assert change.target_seq is not None
            changes[change.target_seq].append(change)
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
