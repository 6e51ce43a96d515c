"""A process with one bus, under gevent, that does what is written to it and says what it heard."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gevent.fileobject import FileObject  # noqa: E402

from chatapp.cluster.buses import open_bus  # noqa: E402
from chatapp.cluster.directory import Directory, new_worker_id  # noqa: E402
from chatapp.settings import Cluster, Settings  # noqa: E402


class Peer:
    """Its public methods are the commands."""

    def __init__(self, url: str, path: str) -> None:
        self.got: list[bytes] = []
        self.doubts = 0
        self.bus: Any = open_bus(Settings(cluster=Cluster(bus=url)), Directory(Path(path)))
        self.bus.on_payload = self.got.append
        self.bus.on_doubt = self._doubt
        self.worker_id = new_worker_id()

    def _doubt(self) -> None:
        self.doubts += 1

    def start(self) -> dict[str, Any]:
        began = time.monotonic()
        self.bus.start(self.worker_id)
        return {"id": self.worker_id, "seconds": time.monotonic() - began}

    def listen(self, *topics: str) -> float:
        began = time.monotonic()
        self.bus.listen(topics)
        return time.monotonic() - began

    def ignore(self, *topics: str) -> None:
        self.bus.ignore(topics)

    def publish(self, topics: list[str], *texts: str) -> None:
        for text in texts:
            self.bus.publish(topics, text.encode())

    def flood(self, topics: list[str], count: int, size: int, per_round: int, pause: float) -> float:
        """Return the longest time that one call took. Payloads begin with their numbers."""
        longest = 0.0
        for number in range(count):
            payload = b"%d " % number + b"x" * size
            began = time.perf_counter()
            self.bus.publish(topics, payload)
            longest = max(longest, time.perf_counter() - began)
            if number % per_round == per_round - 1:
                gevent.sleep(pause)
        return longest

    def count_up(self, seconds: float) -> list[float]:
        """Publish growing numbers for so long; return when each was published."""
        times = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            times.append(time.monotonic())
            self.bus.publish(["count"], b"%d" % (len(times) - 1))
            gevent.sleep(0.0005)
        return times

    def hammer(self, rounds: int) -> list[tuple[float, list[int]]]:
        """Listen to those numbers again and again; return each time when that was done and what came."""
        seen = []
        for _ in range(rounds):
            self.bus.listen(["count"])
            since = time.monotonic()
            self.got.clear()
            while len(self.got) < 3:
                gevent.sleep(0.0005)
            seen.append((since, [int(payload) for payload in self.got[:3]]))
            self.bus.ignore(["count"])
        return seen

    def heard(self) -> dict[str, Any]:
        """What has come so far, the numbers of a flood without what fills them."""
        texts = [payload[:40].decode().rstrip("x").strip() for payload in self.got]
        return {"got": texts, "doubts": self.doubts}

    def counts(self) -> dict[str, Any]:
        counts = self.bus.counts
        return {
            "published": counts.published,
            "received": counts.received,
            "dropped": dict(counts.dropped),
            "links": counts.links,
            "alone": self.bus.is_alone,
        }

    def cpu(self) -> float:
        return time.process_time()

    def memory(self) -> int:
        """Return the kilobytes in use."""
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4

    def close(self) -> float:
        began = time.monotonic()
        self.bus.close()
        return time.monotonic() - began


def main() -> None:
    peer = Peer(*sys.argv[1:3])
    lines = FileObject(sys.stdin.buffer)

    def carry_out(number: int, command: str, arguments: list[Any]) -> None:
        answer = json.dumps([number, getattr(peer, command)(*arguments)])
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()

    for line in lines:
        number, command, arguments = json.loads(line)
        gevent.spawn(carry_out, number, command, arguments)


if __name__ == "__main__":
    main()
