"""Two hundred greenlets append to a log in a process that gevent has patched, and others read: nothing may
hang, and the order must be right. Arguments: a directory, and for how many seconds."""

from __future__ import annotations

import sys
import time
from pathlib import Path

SENDERS, USERS, READERS, ROOMS = 200, 20, 8, 3
MAX_CLOSE_SECONDS = 10


def main(directory: str, seconds: float) -> None:
    from gevent import monkey

    monkey.patch_all()
    import logging

    import gevent

    from chatapp.domain.messages import Draft, Kind
    from chatapp.domain.names import parse_room_name, site_name
    from chatapp.log.database import Database
    from chatapp.log.log import Log
    from chatapp.log.sql import SqlStore
    from chatapp.log.store import Appended

    # What a server does: it logs, and each line takes a lock.
    logging.basicConfig(level=logging.INFO, filename=f"{directory}/log")
    logger = logging.getLogger("crowd")
    database = Database(f"sqlite:///{directory}/chat.db", synchronous="normal", busy_seconds=20)
    store = SqlStore(database, reactions_per_message=20)
    log = Log(store, readers=4, max_waiting=10_000, page_limit=200, catch_up=1000)
    handed_on: list[Appended] = []
    names = [parse_room_name(f"room {number}", 64) for number in range(ROOMS)]
    reads = 0
    end = time.monotonic() + seconds

    def send(number: int) -> None:
        user = log.sign_in(f"site:{number % USERS}", site_name(f"user {number % USERS}", 32))
        room = log.open_room(names[number % ROOMS])
        turn, last_seq = 0, 0
        while not turn or time.monotonic() < end:
            draft = Draft(room, user, Kind.MESSAGE, f"{number} {turn}", client_id=f"{number} {turn}")
            appended = log.append_and_wait(draft, handed_on.append)
            assert appended.entry.seq > last_seq
            turn, last_seq = turn + 1, appended.entry.seq
            logger.info("sent")

    def read(number: int) -> None:
        nonlocal reads
        while time.monotonic() < end:
            room = log.find_room(names[number % ROOMS].key)
            if room is not None:
                seqs = [item.entry.seq for item in log.history(room.id, None, None, 20).items]
                assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True
                reads += 1
            logger.info("read")

    crowd = [gevent.spawn(send, number) for number in range(SENDERS)]
    crowd += [gevent.spawn(read, number) for number in range(READERS)]
    gevent.joinall(crowd, raise_error=True)
    began = time.monotonic()
    log.close()
    assert time.monotonic() - began < MAX_CLOSE_SECONDS, "close takes too long"
    for room_id in {appended.entry.room_id for appended in handed_on}:
        seqs = [appended.entry.seq for appended in handed_on if appended.entry.room_id == room_id]
        assert seqs == list(range(1, len(seqs) + 1)), "handed on in another order"
    while len(list(Path("/proc/self/task").iterdir())) > 1:  # a thread ends a moment after its work
        gevent.sleep(0.005)
    print(f"{len(handed_on)} messages, {reads} reads")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
