"""What goes wrong among the workers of a host: killed, standing still, many at once."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bus_process import BusProcess
from clients import wait_until
from servers import ROOT

Make = Callable[[], BusProcess]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workers"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(BusProcess("auto", path))


def started(make: Make, count: int) -> list[BusProcess]:
    workers = [make() for _ in range(count)]
    for worker in workers:
        worker.start()
    return workers


def test_a_killed_worker_is_forgotten_with_its_socket_and_makes_the_others_doubt(
    make: Make, path: Path
) -> None:
    one, two = started(make, 2)
    two.ask("listen", "r1")
    doubts = one.doubts
    two.kill()
    wait_until(lambda: one.ask("counts")["alone"])
    assert one.doubts == doubts + 1
    assert [entry.name for entry in path.iterdir()] == [f"{one.worker_id}.bus"]


def test_a_worker_that_stands_still_holds_up_one_listen_and_no_more(make: Make) -> None:
    one, two = started(make, 2)
    two.stop()
    try:
        assert 0.9 < one.ask("listen", "r1") < 2
        assert one.ask("listen", "r2") < 0.5
        doubts = one.doubts
        assert make().start() < 2  # who comes now waits no longer either
    finally:
        two.resume()
    wait_until(lambda: one.doubts > doubts)
    two.ask("publish", ["r1", "r2"], "news")
    wait_until(lambda: one.got == ["news"])


def test_who_stood_still_while_others_came_knows_them_afterwards(make: Make) -> None:
    one, two = started(make, 2)
    two.stop()
    try:
        (three,) = started(make, 1)
    finally:
        two.resume()
    two.ask("listen", "r2")
    three.ask("listen", "r3")
    three.ask("publish", ["r2"], "to two")
    two.ask("publish", ["r3"], "to three")
    wait_until(lambda: two.got == ["to two"] and three.got == ["to three"])
    assert one.got == []


def test_workers_that_start_and_die_at_once_leave_the_others_in_order(make: Make, path: Path) -> None:
    (one,) = started(make, 1)
    one.ask("listen", "r1")
    others = [make() for _ in range(4)]
    starting = [other.begin("start") for other in others]
    others[0].kill()  # in the midst of it
    others[1].kill()
    for start in starting[2:]:
        start.get()
    for other in others[2:]:
        other.ask("publish", ["r1"], "news")
    wait_until(lambda: one.got == ["news"] * 2)
    wait_until(lambda: len(list(path.glob("[!.]*"))) == 3)
    assert one.ask("counts")["links"] == 2


def test_a_script_reaches_all_but_those_that_stand_still_in_a_second(make: Make, path: Path) -> None:
    one, two, three = started(make, 3)
    three.kill()
    code = (
        "import pathlib, sys\nfrom chatapp.cluster.once import publish_once\n"
        "print(publish_once(pathlib.Path(sys.argv[1]), ['*'], b'7 ' + b'x' * 10**6))"
    )

    def publish() -> tuple[str, float]:
        began = time.monotonic()
        run = subprocess.run(
            [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return run.stdout, time.monotonic() - began

    assert publish()[0] == "2\n"
    two.stop()
    try:
        reached, seconds = publish()
    finally:
        two.resume()
    assert reached == "1\n" and seconds < 3  # the start of Python included
    wait_until(lambda: one.got == ["7", "7"])


def test_what_a_payload_costs_is_small_beside_what_it_carries(make: Make) -> None:
    """Some 1 µs on each side where nothing else runs; the bound allows for a machine that is busy."""
    one, two = started(make, 2)
    two.ask("listen", "r1")
    count = 20_000
    before = one.ask("cpu"), two.ask("cpu")
    one.ask("flood", ["r1"], count, 200, 200, 0.001)
    wait_until(lambda: two.ask("counts")["received"] == count, every_seconds=0.1)
    for worker, cpu in zip((one, two), before, strict=True):
        assert (worker.ask("cpu") - cpu) / count < 20e-6
