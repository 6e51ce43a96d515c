"""What a bus owes to the workers, whichever it is: one suite for the siblings' and for Redis."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bus_process import BusProcess
from clients import wait_until
from valkey_server import valkey

#: How long a call may take that does not block, on a machine that does other things too.
NO_BLOCK_SECONDS = 0.5

Start = Callable[[int], list[BusProcess]]


@pytest.fixture(params=["siblings", "redis"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Start so many workers with a bus each."""
    with contextlib.ExitStack() as stack:
        url = "auto"
        if request.param == "redis":
            url = stack.enter_context(valkey()).url

        def start(count: int) -> list[BusProcess]:
            workers = [stack.enter_context(BusProcess(url, tmp_path / "workers")) for _ in range(count)]
            for worker in workers:
                assert worker.start() < 1.0
            return workers

        yield start


def test_payloads_reach_whoever_hears_their_topic_in_order_and_not_their_sender(start: Start) -> None:
    one, two, three = start(3)
    one.ask("listen", "r1")
    two.ask("listen", "r1", "u7")
    texts = [str(number) for number in range(1000)]
    one.ask("publish", ["r1"], *texts)
    one.ask("publish", ["u7"], "private")
    one.ask("publish", ["*"], "all")
    wait_until(lambda: two.got[-1:] == ["all"] and three.got)
    assert two.got == [*texts, "private", "all"]
    assert three.got == ["all"]
    assert one.got == []


def test_a_payload_to_several_topics_comes_once(start: Start) -> None:
    one, two = start(2)
    two.ask("listen", "a", "b")
    for number in range(50):
        one.ask("publish", ["a", "b", "*", "c"], str(number))
    one.ask("publish", ["a"], "end")
    wait_until(lambda: two.got[-1:] == ["end"])
    assert two.got == [*map(str, range(50)), "end"]


def test_what_is_ignored_is_not_heard_any_more(start: Start) -> None:
    one, two = start(2)
    two.ask("listen", "a", "b")
    two.ask("ignore", "a", "unknown", "*")
    two.ask("listen", "c")  # when this is known, so is that
    for topic in ("a", "c", "*"):
        one.ask("publish", [topic], topic)
    wait_until(lambda: two.got[-1:] == ["*"])
    assert two.got == ["c", "*"]
    two.ask("listen", "a")
    one.ask("publish", ["a"], "again")
    wait_until(lambda: two.got[-1:] == ["again"])


def test_what_is_published_after_listen_has_returned_is_heard(start: Start) -> None:
    one, two = start(2)
    counting = one.begin("count_up", 4)
    rounds = two.ask("hammer", 300)
    times = counting.get()
    for since, numbers in rounds:
        first = bisect.bisect_right(times, since)
        assert numbers[0] <= first, "the first one after listen was missed"
        assert numbers == [*range(numbers[0], numbers[0] + 3)]


def test_many_listen_at_once_and_each_is_confirmed(start: Start) -> None:
    one, two = start(2)
    listening = [two.begin("listen", f"r{number}", "shared") for number in range(200)]
    assert max(later.get() for later in listening) < 1.0
    for number in range(200):
        one.ask("publish", [f"r{number}"], str(number))
    wait_until(lambda: len(two.got) == 200)
    assert two.got == [*map(str, range(200))]


def test_to_hear_nothing_new_takes_no_time(start: Start) -> None:
    one, two = start(2)
    two.ask("listen", "a")
    one.stop()
    assert two.ask("listen", "a", "*") < NO_BLOCK_SECONDS
    assert two.ask("listen") < NO_BLOCK_SECONDS


def test_a_flood_arrives_whole_and_no_call_blocks(start: Start) -> None:
    one, two = start(2)
    two.ask("listen", "r1")
    assert one.ask("flood", ["r1"], 20_000, 200, 200, 0.002) < NO_BLOCK_SECONDS
    wait_until(lambda: len(two.got) == 20_000)
    assert two.got == [*map(str, range(20_000))]
    counts = one.ask("counts")
    assert counts["published"] == 20_000 and counts["dropped"] == {}
    assert two.ask("counts")["received"] == 20_000


def test_a_payload_of_megabytes_arrives_and_one_beyond_the_bound_is_dropped_with_doubt(start: Start) -> None:
    one, two = start(2)
    two.ask("listen", "r1")
    one.ask("flood", ["r1"], 1, 3 * 2**20, 1, 0)
    wait_until(lambda: two.got == ["0"])
    before = two.doubts
    one.ask("flood", ["r1"], 1, 5 * 2**20, 1, 0)
    wait_until(lambda: two.doubts > before)
    assert one.ask("counts")["dropped"]["too large"] == 1
    one.ask("publish", ["r1"], "next")
    one.ask("publish", ["r1"], "next")
    wait_until(lambda: (one.ask("publish", ["r1"], "next"), two.got[-1:] == ["next"])[1])


def test_a_worker_that_stands_still_costs_the_others_little_and_doubts_when_it_goes_on(start: Start) -> None:
    one, two, three = start(3)
    two.ask("listen", "r1")
    three.ask("listen", "r1")
    before, memory = two.doubts, one.ask("memory")
    two.stop()
    try:
        # 100 MB: more than Valkey keeps for a subscriber (32 MB) and the kernel, too.
        assert one.ask("flood", ["r1"], 40_000, 2500, 100, 0.004) < NO_BLOCK_SECONDS
        wait_until(lambda: len(three.got) == 40_000)
        assert one.ask("memory") - memory < 40_000
    finally:
        two.resume()
    wait_until(lambda: two.doubts > before)
    one.ask("publish", ["r1"], "next")
    wait_until(lambda: two.got[-1:] == ["next"])


def test_closing_sends_what_waits(start: Start) -> None:
    one, two = start(2)
    two.ask("listen", "r1")
    publishing = one.begin("flood", ["r1"], 2000, 1000, 2001, 0)
    closing = one.begin("close")
    publishing.get()
    assert closing.get() < 1.0
    wait_until(lambda: len(two.got) == 2000)
    assert one.ask("counts")["alone"] is True
    one.ask("publish", ["r1"], "too late")
    assert one.ask("listen", "r2") < 0.1


def test_who_comes_later_hears_and_is_heard(start: Start) -> None:
    (one,) = start(1)
    one.ask("listen", "r1")
    (two,) = start(1)
    two.ask("publish", ["r1"], "here")
    wait_until(lambda: one.got == ["here"])
    two.ask("listen", "r2")
    one.ask("publish", ["r2"], "there")
    wait_until(lambda: two.got == ["there"])


def test_a_worker_that_is_killed_keeps_nobody_waiting(start: Start) -> None:
    one, two, three = start(3)
    two.kill()
    assert three.ask("listen", "r1") < NO_BLOCK_SECONDS
    one.ask("publish", ["r1"], "news")
    wait_until(lambda: three.got == ["news"])
