"""One of several processes that write the same rooms of one database.

Arguments: its URL, the number of the process, and for how many seconds. Prints ``ready``, begins when its
input ends, and prints JSON: which guests' names it got, and what was acknowledged, as a list of
``[room, seq, client_id]`` in the order in which it was handed on.
"""

from __future__ import annotations

import json
import sys
import time

SENDERS, ROOMS = 40, 20


def main(url: str, process: str, seconds: float) -> None:
    from gevent import monkey

    monkey.patch_all()
    import gevent

    from chatapp.domain.messages import Draft, Kind
    from chatapp.domain.names import parse_guest_name, parse_room_name, site_name
    from chatapp.errors import NameTaken
    from chatapp.log.log import Log
    from chatapp.log.opening import open_log
    from chatapp.log.store import Appended
    from chatapp.settings import Settings, Storage

    def open_one() -> Log:
        return open_log(Settings(storage=Storage(url=url, busy_seconds=20)))

    log = open_one()
    log.check()  # has the tables made, by one of them all
    print("ready", flush=True)
    sys.stdin.read()
    handed_on: list[Appended] = []
    named: list[str] = []
    end = time.monotonic() + seconds

    def send(number: int) -> None:
        # All processes do the same at once: whoever comes second has to find what the first has made.
        user = log.sign_in(f"site:{number}", site_name(f"user {number}", 32))
        try:
            guest = log.claim_name(parse_guest_name(f"guest {number}", 32), None, lambda *_: True)
            named.append(guest.name)
        except NameTaken:
            pass
        names = [parse_room_name(name, 64) for name in ("everybody", f"room {number % ROOMS}")]
        rooms = [log.enter(name, user, None).room for name in names]
        other = log.sign_in(f"site:{(number + 1) % SENDERS}", site_name(f"user {(number + 1) % SENDERS}", 32))
        rooms.append(log.conversation(user, other))
        turn = 0
        while not turn or time.monotonic() < end:
            room = rooms[turn % len(rooms)]
            draft = Draft(room, user, Kind.MESSAGE, "x", client_id=f"{process} {number} {turn}")
            log.append_and_wait(draft, handed_on.append)
            if turn % 10 == 9:
                log.touch([user.id, other.id])
                log.mark_read(room.id, user.id, 10**9)
            turn += 1

    gevent.joinall([gevent.spawn(send, number) for number in range(SENDERS)], raise_error=True)
    log.close()
    entries = [appended.entry for appended in handed_on]
    print(json.dumps({"named": named, "kept": [[e.room_id, e.seq, e.client_id] for e in entries]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
