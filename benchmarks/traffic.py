"""The load itself: sends what may be under way, counts what comes back, samples how long it took."""

from __future__ import annotations

import gc
import itertools
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks import frames
from benchmarks.crowd import Crowd
from benchmarks.loads import Load, Room
from benchmarks.processes import BenchmarkError

#: Frames are made beforehand and sent again and again, by the time nobody waits for the last time.
FRAMES = 20_000
#: Latency is taken at every so many-th connection, and at each of a few. The number divides no number
#: of rooms, so that all have their share.
PROBE_EVERY = 19
FEW = 20

#: How often all that may be under way must have been delivered before a measurement can end.
TURNOVERS = 2

_BUFFER_BYTES = 1 << 18
#: How many sockets are read before the next messages are sent.
_EVENTS = 64
#: How long nothing may come before a load counts as stuck.
_STALL_SECONDS = 10.0


@dataclass
class Tally:
    """What one stretch of a load came to."""

    seconds: float = 0.0
    sent: int = 0
    acks: int = 0
    #: In rooms of one, where nobody else is: acknowledgements.
    deliveries: int = 0
    #: The time in which the load generator found nothing to read.
    idle_seconds: float = 0.0
    #: The processor time that the load generator got: all, since it never sleeps, if its core is its own.
    cpu_seconds: float = 0.0
    marks_at_probes: int = 0
    latencies_seconds: list[float] = field(default_factory=list)

    @property
    def generator_load(self) -> float:
        """For what share of the time the load generator had something to do."""
        return 1 - self.idle_seconds / self.seconds

    @property
    def core_share(self) -> float:
        """How much of its core the load generator got."""
        return self.cpu_seconds / self.seconds

    def latency_ms(self, percent: int) -> float:
        """Return the latency that so many percent of the messages did not exceed."""
        return statistics.quantiles(self.latencies_seconds, n=100)[percent - 1] * 1e3


class _Turns:
    """Who takes turns in sending what in a room, and how many deliveries are outstanding."""

    __slots__ = ("due", "frames", "turn")

    def __init__(self, prepared: list[tuple[socket.socket, int, bytes]]) -> None:
        self.frames = prepared
        self.turn = 0
        self.due = 0


class Traffic:
    """A load on rooms, whose members are some or all of a crowd. The others are only read from."""

    def __init__(self, load: Load, crowd: Crowd, rooms: Sequence[Room], *, acks: bool) -> None:
        self._load = load
        self._crowd = crowd
        self._receive = {connection.fileno(): connection.recv_into for connection in crowd.connections}
        self._wants_acks = acks
        self._buffer = bytearray(_BUFFER_BYTES)
        self._turns = [self._prepare(number, room) for number, room in enumerate(rooms)]
        self._turns_of = {
            member.fileno(): turns
            for turns, (_, members) in zip(self._turns, rooms, strict=True)
            for member in members
        }
        self._senders = {sender.fileno() for turns in self._turns for sender, _, _ in turns.frames}
        #: What brings a message home: its deliveries, or in a room of one its acknowledgement.
        self._mark, self._slot = frames.MARK, frames.SLOT
        if not load.fan_out:
            self._mark, self._slot = frames.ACK_MARK, frames.ACK_SLOT
        self._per_message = load.fan_out or 1
        #: How many deliveries may be outstanding in a room for one more message to be sent.
        self._allowed = (load.under_way - 1) * self._per_message
        self._ready = self._turns
        members = list(self._turns_of)
        self._probes = set(members[:: 1 if len(members) <= FEW else PROBE_EVERY])
        self._sent_at = [0.0] * frames.MAX_SLOTS

    def _prepare(self, number: int, room: Room) -> _Turns:
        name, members = room
        senders = members[: self._load.senders]
        count = max(FRAMES // self._load.rooms, 2 * self._load.under_way)
        count += -count % len(senders)  # in the next round too nobody has two turns in a row

        def frame(slot: int) -> bytes:
            return frames.message(name, slot, wants_ack=self._wants_acks, characters=self._load.characters)

        slots = range(number * count, (number + 1) * count)
        return _Turns([(senders[slot % len(senders)], slot, frame(slot)) for slot in slots])

    def run(self, seconds: float) -> Tally:
        """Keep the load up for so long, and go on with it at the next call.

        Raises BenchmarkError if the server closes a connection, stops delivering, delivers more than was
        sent or does not acknowledge.
        """
        tally = Tally()
        gc.disable()
        try:
            cpu_started = time.process_time()
            started = heard_at = time.perf_counter()
            deadline = started + seconds
            while (now := time.perf_counter()) < deadline or self._has_to_go_on(tally):
                self._send(tally)
                if self._read(tally):
                    heard_at = now
                    continue
                tally.idle_seconds += time.perf_counter() - now
                if now - heard_at > _STALL_SECONDS:
                    last = bytes(self._buffer[:200])
                    raise BenchmarkError(f"nothing came for {_STALL_SECONDS:.0f} seconds, last {last!r}")
            tally.seconds = time.perf_counter() - started
            tally.cpu_seconds = time.process_time() - cpu_started
        finally:
            gc.enable()
        self._check(tally)
        return tally

    def _has_to_go_on(self, tally: Tally) -> bool:
        """Tell whether too little would be known if it ended: it goes on until what may be under way has
        been delivered `TURNOVERS` times."""
        window = self._load.under_way * self._per_message
        return tally.deliveries < TURNOVERS * window * len(self._turns)

    def _check(self, tally: Tally) -> None:
        answered = tally.sent - self._load.under_way * len(self._turns)
        if self._wants_acks and tally.acks < answered / 2:
            raise BenchmarkError(f"of {tally.sent} messages only {tally.acks} were acknowledged")
        read = len(tally.latencies_seconds)  # a slot that two reads share is counted, and not read
        if not 0.9 * tally.marks_at_probes <= read <= tally.marks_at_probes:
            raise BenchmarkError(f"{tally.marks_at_probes} marks were counted for {read} messages")

    def _send(self, tally: Tally) -> None:
        """Send what may be sent now."""
        if ready := self._ready:
            allowed = self._allowed
            for turns in ready:
                while turns.due <= allowed:
                    self._say(turns, time.perf_counter(), tally)
            self._ready = []

    def _say(self, turns: _Turns, at: float, tally: Tally) -> None:
        sender, slot, frame = turns.frames[turns.turn]
        turns.turn = (turns.turn + 1) % len(turns.frames)
        turns.due += self._per_message
        self._sent_at[slot] = at
        sender.send(frame)
        tally.sent += 1

    def _read(self, tally: Tally) -> int:
        receive, turns_of, buffer, mark = self._receive, self._turns_of, self._buffer, self._mark
        probes, senders, ready, allowed = self._probes, self._senders, self._ready, self._allowed
        watches_pings = self._crowd.expects_pings()
        # It never sleeps: waking it up would be a part of the server's write, an interrupt for the other
        # core, which no client that is elsewhere costs (10 µs and more on a virtual machine).
        events = self._crowd.poll.poll(0, _EVENTS)
        for fd, _ in events:
            size = receive[fd](buffer)
            if not size:
                raise BenchmarkError("the server closed a connection")
            found = buffer.count(mark, 0, size)
            if found:
                turns = turns_of[fd]
                turns.due -= found
                if turns.due <= allowed:
                    if turns.due < 0:
                        raise BenchmarkError("more was delivered than was sent")
                    ready.append(turns)
                tally.deliveries += found
            if fd in senders:
                tally.acks += buffer.count(frames.ACK_MARK, 0, size)
            if fd in probes:
                self._sample(size, found, tally)
            if watches_pings and buffer.find(frames.PING, 0, size) >= 0:
                self._crowd.answer_ping(fd)
        return len(events)

    def _sample(self, size: int, found: int, tally: Tally) -> None:
        now = time.perf_counter()
        tally.marks_at_probes += found
        for slot in self._slot.findall(self._buffer, 0, size):
            tally.latencies_seconds.append(now - self._sent_at[int(slot)])


class Paced(Traffic):
    """An open loop: so many messages a second, in one room after the other, whatever becomes of them.

    Latency counts from the moment at which a message was due, so it holds what a late one waited.
    """

    def __init__(self, load: Load, crowd: Crowd, rooms: Sequence[Room], *, per_second: float) -> None:
        super().__init__(load, crowd, rooms, acks=True)
        self._next_turns = itertools.cycle(self._turns)
        self._pause_seconds = 1 / per_second
        self._next = self._until = 0.0

    def run(self, seconds: float) -> Tally:
        """Send for so long, then wait until everything has been delivered."""
        self._next = time.perf_counter()
        self._until = self._next + seconds
        return super().run(seconds)

    def _has_to_go_on(self, tally: Tally) -> bool:
        return any(turns.due > 0 for turns in self._turns)

    def _send(self, tally: Tally) -> None:
        self._ready = []
        until = min(time.perf_counter(), self._until)
        while self._next <= until:
            self._say(next(self._next_turns), self._next, tally)
            self._next += self._pause_seconds
