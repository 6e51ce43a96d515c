"""The log as the chat uses it: every call but `Log.append` may block its greenlet, none the event loop."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chatapp.domain.messages import Draft, Item, Room, User, conversation_key
from chatapp.domain.names import Name, RoomName
from chatapp.errors import Refusal
from chatapp.log.batches import Job
from chatapp.log.immediate import AtOnce, Immediate
from chatapp.log.memory import MemoryStore
from chatapp.log.pages import Page, Pages, Since
from chatapp.log.roll import Roll
from chatapp.log.sql import SqlStore
from chatapp.log.store import Appended, Conversation, Standing, Store, Visit, Visited
from chatapp.log.threads import Threads
from chatapp.log.writer import GroupCommit

T = TypeVar("T")

#: Entries that one transaction of the retention deletes: a millisecond or two of a writer's time.
TRIM_STEP = 500


@dataclass(frozen=True, slots=True)
class Entered:
    """A room as its new member finds it; `missed` is None for one who did not say `since`, and
    `their_read_seq`, the other's read mark, in all that is not the conversation of two people."""

    room: Room
    last_seq: int
    read_seq: int
    missed: Page | None
    their_read_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    """What a log holds after a place, complete up to `reached`; `last_seq` is the log's last place. `room`
    is None if there is no such room."""

    room: Room | None
    items: Sequence[Item]
    reached: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class _Preview:
    room: Room | None
    is_member: bool
    missed: Page | None


class Log:
    """Opens nothing before its first call. `close` it to flush and let go."""

    def __init__(
        self,
        store: Store,
        *,
        readers: int,
        max_waiting: int,
        page_limit: int,
        catch_up: int,
        page_bytes: int = 262_144,
        clock: Callable[[], float] = time.time,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
        soon: Callable[[Callable[[], None]], None] | None = None,
        at_once: bool = False,
    ) -> None:
        """Without `readers` everything is read where it is asked, and with `at_once` written, too. That
        blocks, which only `MemoryStore` does not and a process that serves nobody may."""
        self._store = store
        self._clock = clock
        self._page_limit = page_limit
        self._pages = Pages(store, page_limit=page_limit, catch_up=catch_up, page_bytes=page_bytes)
        self._threads = Threads(store, readers)
        #: Who is where in which worker; None where nothing is shared with other processes.
        self.roll = Roll(store, self._write, self._read) if isinstance(store, SqlStore) else None
        self._writer: GroupCommit | Immediate | AtOnce
        if isinstance(store, MemoryStore):
            self._writer = Immediate(store, clock)
        elif at_once:
            self._writer = AtOnce(store, clock)
        else:
            self._writer = GroupCommit(
                store,
                run=self._threads.write,
                max_waiting=max_waiting,
                clock=clock,
                observe=observe,
                soon=soon,
            )

    # In the order of the commits

    def append(self, draft: Draft, then: Callable[[Appended | Refusal], None]) -> None:
        """Have `draft` committed, and do not wait for it.

        `then` gets what it became, or why it was refused, once and in the order of the commits; it runs in
        the event loop and must not block. Raises the refusal at once where nothing is taken at all.
        """
        self._writer.append(draft, then)

    def append_and_wait(
        self, draft: Draft, then: Callable[[Appended | Refusal], None] | None = None
    ) -> Appended:
        """Commit `draft`; return what it became, after `then` got it, or raise the refusal."""
        appended: Appended = self._writer.carry_out(Job(draft, then=then))
        return appended

    def wait(self) -> None:
        """Wait until all that was submitted before is committed, or refused, and handed on."""
        self._writer.wait()

    def enter(
        self,
        name: RoomName,
        user: User,
        since: Since | None,
        then: Callable[[Entered], None] | None = None,
        before: Callable[[Room], None] | None = None,
    ) -> Entered:
        """Make `user` a member of the room and return what was missed.

        What is appended here after `then` has run is not in it, and everything before is: whoever starts
        to listen inside `then` misses nothing and gets nothing twice. ``before(room)``, which may block, is
        called before the room's place is looked at, for whoever has to listen to other processes, too. The
        bulk is read beforehand, so that a thousand clients that come back do not make the writer wait.
        """
        found = self._read(lambda tx: self._preview(tx, name, user.id, since))
        room = found.room or self._open_room(name)
        if before is not None:
            before(room)

        def look_on(tx: Any, visited: Visited) -> Entered:
            missed = (
                self._pages.missed_by_now(tx, room, since, found.missed, visited.last_seq) if since else None
            )
            return Entered(room, visited.last_seq, visited.read_seq, missed)

        visit = Visit(room.id, user.id, joins=not found.is_member)
        return self._do(Job(visit=visit, work=look_on, writes=visit.joins), then)

    def revisit(self, room: Room, user: User, since: Since | None) -> Entered:
        """Return what a member of a conversation missed, who hears it already."""

        def read(tx: Any) -> Entered:
            missed = self._pages.missed(tx, room, since) if since else None
            last_seq = self._store.head(tx, room.id).last_seq
            read_seq = self._store.read_seq(tx, room.id, user.id)
            other = room.other(user.id)
            theirs = self._store.read_seq(tx, room.id, other.id) if other.id != user.id else None
            return Entered(room, last_seq, read_seq, missed, theirs)

        return self._read(read)

    def follow(self, room_id: int, after: int, then: Callable[[Followed | Refusal], None]) -> None:
        """Have what follows a place read, and do not wait for it.

        `then` gets it in the order of the commits: what this process has committed and is in it was handed
        on before, and what is not in it will be handed on later. It must not block. Raises the refusal at
        once where nothing is taken at all.
        """

        def read(tx: Any) -> Followed:
            room = self._store.room(tx, room_id)
            if room is None:
                return Followed(None, [], 0, 0)
            last_seq = self._store.head(tx, room_id).last_seq
            items, reached = self._store.replay(tx, room_id, after, None, self._page_limit)
            # Without items there is nothing up to the end, whatever was deleted there.
            return Followed(room, items, reached or last_seq, last_seq)

        self._writer.submit(Job(work=read, writes=False, then=then))

    def leave(self, room_id: int, user_id: int) -> None:
        """End a membership."""
        self._write(lambda tx: self._store.remove_member(tx, room_id, user_id))

    def conversation(self, first: User, second: User) -> Room:
        """Return the room of these two."""
        epoch = new_epoch()
        return self._write(lambda tx: self._store.open_conversation(tx, first, second, epoch))

    def open_room(self, name: RoomName) -> Room:
        """Return the room of this name, made if there was none."""
        return self.find_room(name.key) or self._open_room(name)

    def mark_read(self, room_id: int, user_id: int, seq: int) -> int:
        """Move the user's read mark forward; return where it is."""
        return self._write(lambda tx: self._store.mark_read(tx, room_id, user_id, seq))

    # Users

    def claim_name(self, name: Name, user_id: int | None, is_held: Callable[[int, int], bool]) -> User:
        """Give a guest a name; see `Store.claim_name`. Who is in a room in any process keeps theirs."""
        now = self._now()

        def claim(tx: Any) -> User:
            def is_kept(holder: int, seen_at: int) -> bool:
                is_elsewhere = self.roll is not None and self.roll.is_anywhere(tx, holder)
                return is_elsewhere or is_held(holder, seen_at)

            return self._store.claim_name(tx, name, user_id, now, is_kept)

        return self._write(claim)

    def sign_in(self, subject: str, name: Name) -> User:
        """Return the user of the site; see `Store.sign_in`. Writes only what is new."""
        now = self._now()
        return self._read(lambda tx: self._store.known_as(tx, subject, name)) or self._write(
            lambda tx: self._store.sign_in(tx, subject, name, now)
        )

    def user(self, user_id: int) -> User | None:
        """Return the user with this id."""
        return self._read(lambda tx: self._store.user(tx, user_id))

    def find_user(self, key: str) -> User | None:
        """Return the user who has this name now."""
        return self._read(lambda tx: self._store.find_user(tx, key))

    def touch(self, user_ids: Collection[int]) -> None:
        """Note that these users are here, so that their names stay theirs."""
        now = self._now()
        if user_ids:
            self._write(lambda tx: self._store.touch(tx, user_ids, now))

    # Reading

    def check(self) -> None:
        """Raise the refusal if nothing can be read."""
        self._read(lambda tx: self._store.find_room(tx, ""))

    def heads(self, room_ids: Collection[int]) -> dict[int, int]:
        """Return the last place in the log of each of these rooms."""
        return self._read(lambda tx: self._store.heads(tx, room_ids))

    def conversations(self, user_ids: Collection[int]) -> list[Conversation]:
        """Return the conversations that these users have, each once or twice."""
        return self._read(lambda tx: self._store.conversations(tx, user_ids))

    def find_room(self, key: str) -> Room | None:
        """Return the room with this key."""
        return self._read(lambda tx: self._store.find_room(tx, key))

    def find_conversation(self, user: User, key: str) -> tuple[User | None, Room | None]:
        """Return who has the name with this key, and the room that they and `user` have, if any."""

        def find(tx: Any) -> tuple[User | None, Room | None]:
            other = self._store.find_user(tx, key)
            if other is None:
                return None, None
            return other, self._store.find_room(tx, conversation_key(user, other))

        return self._read(find)

    def standings(self, user_id: int) -> list[Standing]:
        """Return the rooms the user belongs to, with what is unread."""
        return self._read(lambda tx: self._store.standings(tx, user_id))

    def history(self, room_id: int, before: int | None, after: int | None, limit: int) -> Page:
        """Return up to `limit` items, fewer where their texts are long; bounds are exclusive.

        With `after` the log is replayed from there, changes included; without it come the latest
        messages (below `before`) as they are now.
        """
        limit = min(limit, self._page_limit)
        if after is not None:
            return self._read(lambda tx: self._pages.replay(tx, room_id, after, before, limit))
        return self._read(lambda tx: self._pages.latest(tx, room_id, before, limit))

    def trim(self, keep: int | None, max_age_seconds: float | None) -> int:
        """Delete what the retention no longer keeps, in small transactions; return how much."""
        since = None if max_age_seconds is None else int((self._clock() - max_age_seconds) * 1000)
        total = 0
        for room_id in self._read(self._store.room_ids):
            while gone := self._trim_step(room_id, keep, since):
                total += gone
        return total

    def close(self, timeout_seconds: float = 5) -> None:
        """Write what waits, then let go of files and threads."""
        self._writer.close(timeout_seconds)
        self._threads.close(timeout_seconds)
        self._store.close()

    @property
    def is_committing(self) -> bool:
        """Whether something of this process is being committed, after which `call_at_commit` calls."""
        return self._writer.is_committing

    def call_at_commit(self, call: Callable[[], None]) -> None:
        """Have ``call()`` called at each commit, before what it has committed is handed on, in the event
        loop. It must not block."""
        self._writer.on_commit = call

    @property
    def waiting(self) -> int:
        """How many writes wait for their commit."""
        return self._writer.waiting

    # How it is done

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _write(self, work: Callable[[Any], T]) -> T:
        done: T = self._writer.carry_out(Job(work=work, refuses_late=False))
        return done

    def _do(self, job: Job, then: Callable[[T], None] | None) -> T:
        """Carry out `job`; `then` gets a success."""

        def succeed(outcome: Any) -> None:
            if then is not None and not isinstance(outcome, Refusal):
                then(outcome)

        job.then = succeed
        done: T = self._writer.carry_out(job)
        return done

    def _open_room(self, name: RoomName) -> Room:
        epoch = new_epoch()
        return self._write(lambda tx: self._store.open_room(tx, name, epoch))

    def _read(self, work: Callable[[Any], T]) -> T:
        return self._threads.read(work)

    def _preview(self, tx: Any, name: RoomName, user_id: int, since: Since | None) -> _Preview:
        room = self._store.find_room(tx, name.key)
        if room is None:
            return _Preview(None, False, None)
        missed = self._pages.missed(tx, room, since) if since else None
        return _Preview(room, self._store.is_member(tx, room.id, user_id), missed)

    def _trim_step(self, room_id: int, keep: int | None, since: int | None) -> int:
        return self._write(lambda tx: self._store.trim(tx, room_id, keep, since, TRIM_STEP))


def new_epoch() -> str:
    """Return a room's epoch: random, so that no two logs are taken for each other."""
    return secrets.token_hex(8)
