"""The benchmark's own arithmetic: the frames it sends, the marks it counts, the lines it prints."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

# It is run from the root of the project and installed nowhere.
sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import frames
from benchmarks.bounds.trial import Figure
from benchmarks.contenders import NODE, ROOT, chatapp
from benchmarks.crowd import Crowd
from benchmarks.loads import LOADS, Load
from benchmarks.measure import Figures
from benchmarks.processes import BenchmarkError, parse_stat
from benchmarks.table import Row, number, table
from benchmarks.traffic import Paced, Traffic

FIGURES = Figures(
    cpu_us_per_delivery=10.0,
    deliveries_per_second=100_000.0,
    p50_ms=1.0,
    p99_ms=5.0,
    generator_load=0.5,
    core_share=1.0,
    kb_per_connection=20.0,
    cpu_us_per_connect=400.0,
)


def unmasked(frame: bytes) -> bytes:
    """Return the payload of a masked text frame, byte by byte as in RFC 6455, section 5.3."""
    assert frame[0] == 0x81  # the last fragment of a text, and its first
    assert frame[1] & 0x80  # masked
    size, start = frame[1] & 0x7F, 2
    if size == 126:
        size, start = int.from_bytes(frame[2:4], "big"), 4
    key, masked = frame[start : start + 4], frame[start + 4 :]
    assert len(masked) == size
    return bytes(byte ^ key[place % 4] for place, byte in enumerate(masked))


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 127, 65535])
def test_a_frame_unmasks_to_its_payload(size: int) -> None:
    payload = bytes(number % 251 for number in range(size))
    assert unmasked(frames.client_frame(payload)) == payload


def test_a_message_is_an_event_of_socket_io() -> None:
    payload = unmasked(frames.message("lobby", 7, wants_ack=True))
    assert payload.startswith(b"427[")
    name, message = json.loads(payload[3:])
    assert name == "new message"
    assert message == {"room": "lobby", "message": frames.text(7)}


def test_a_message_asks_for_an_acknowledgement_only_if_it_is_to() -> None:
    assert unmasked(frames.message("lobby", 7, wants_ack=False)).startswith(b"42[")


@pytest.mark.parametrize("slot", [0, 42, frames.MAX_SLOTS - 1])
def test_a_text_has_sixty_characters_one_mark_and_its_slot(slot: int) -> None:
    text = frames.text(slot).encode()
    assert len(text) == frames.TEXT_CHARACTERS
    assert text.count(frames.MARK) == 1
    assert [int(found) for found in frames.SLOT.findall(json.dumps(text.decode()).encode())] == [slot]


@given(st.lists(st.binary(min_size=130, max_size=280), max_size=6), st.integers(1, 2000))
def test_each_delivery_counts_once_wherever_the_network_cuts(filling: list[bytes], step: int) -> None:
    stream = b""
    for slot, fill in enumerate(filling):
        message = {"message": frames.text(slot), "id": fill.hex()[:99]}
        payload = f"42{json.dumps(['new message', message])}".encode()
        stream += b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload
    reads = [stream[start : start + step] for start in range(0, len(stream), step)]
    assert sum(read.count(frames.MARK) for read in reads) == len(filling)


def test_json_leaves_the_mark_as_it_is() -> None:
    assert json.dumps(frames.text(3)).encode()[1:-1] == frames.text(3).encode()


@pytest.mark.parametrize("load", LOADS.values(), ids=lambda load: load.name)
def test_the_clients_of_a_load_fill_its_rooms(load: Load) -> None:
    assert load.clients == load.rooms * load.room_size
    sizes = [0] * load.rooms
    for client in range(load.clients):
        sizes[load.room_of(client)] += 1
    assert set(sizes) == {load.room_size}
    assert load.senders <= load.room_size


def test_the_clients_of_a_load_sit_in_the_rooms_that_they_have_joined() -> None:
    load = Load("small", "4 in rooms of 2", clients=4, room_size=2, senders=1)
    assert load.rooms_of_all() == ["small0", "small1", "small0", "small1"]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(load.clients)]
        assert load.seat(clients) == [("small0", clients[::2]), ("small1", clients[1::2])]


class Peer:
    """The server's end of a crowd of two in one room, which says what a test tells it to."""

    LOAD = Load("room", "2 in 1 room", clients=2, room_size=2, senders=1)

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.ends: list[socket.socket] = []
        for _ in range(self.LOAD.clients):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            crowd.connections.append(ours)
            crowd.poll.register(ours, select.EPOLLIN)
            self.ends.append(theirs)
        self.room = ("room", crowd.connections)

    def deliver(self, slot: int, times: int = 1) -> None:
        """Acknowledge a message to its sender, and deliver it to the other."""
        self.ends[0].sendall(b'\x81\x1043%d[{"ok":true}]' % slot)
        self.ends[1].sendall(
            b'\x81\x5042["new message",{"message":"%s"}]' % frames.text(slot).encode() * times
        )


@pytest.fixture
def peer() -> Iterator[Peer]:
    with contextlib.closing(Crowd()) as crowd:
        peer = Peer(crowd)
        yield peer
        for end in peer.ends:
            end.close()


def test_a_closed_loop_ends_when_too_much_is_delivered(peer: Peer) -> None:
    traffic = Traffic(peer.LOAD, peer.crowd, [peer.room], acks=True)
    peer.deliver(0, times=2)
    with pytest.raises(BenchmarkError, match="more was delivered than was sent"):
        traffic.run(0)


def test_an_open_loop_ends_when_all_has_been_delivered(peer: Peer) -> None:
    paced = Paced(peer.LOAD, peer.crowd, [peer.room], per_second=1)
    peer.deliver(0)
    tally = paced.run(0.01)
    assert (tally.sent, tally.acks, tally.deliveries, len(tally.latencies_seconds)) == (1, 1, 1, 1)


def test_a_setting_is_changed_only_where_the_tree_has_it(tmp_path: Path) -> None:
    assert chatapp("ours", ROOT).start(tmp_path, True).environ["CHATAPP_LIMITS_ENABLED"] == "no"
    assert "CHATAPP_LIMITS_ENABLED" not in chatapp("none", tmp_path).start(tmp_path, True).environ


@pytest.mark.parametrize(
    ("figure", "line", "holds"),
    [
        (Figure("a join", 1.5, "times", at_most=2), "a join: 1.50 times, at most 2.00: holds", True),
        (Figure("a join", 2.5, "times", at_most=2), "a join: 2.50 times, at most 2.00: FAILS", False),
        (Figure("commits", 900, "/s", at_least=800), "commits: 900 /s, at least 800: holds", True),
        (Figure("commits", 700, "/s", at_least=800), "commits: 700 /s, at least 800: FAILS", False),
        (Figure("p99", 12.3, "ms"), "p99: 12.3 ms", True),
    ],
)
def test_a_figure_tells_whether_its_bound_holds(figure: Figure, line: str, holds: bool) -> None:
    assert (str(figure), figure.holds()) == (line, holds)


def test_the_time_of_a_process_is_read_past_any_name() -> None:
    fields = ["S", "1", "77", "77", *"0" * 7, "5", "6", "7", "8", *"0" * 30]
    process = parse_stat(f"80 (a) b (c) {' '.join(fields)}")
    assert (process.pid, process.session, process.cpu_ticks) == (80, 77, 5 + 6 + 7 + 8)


def lines_of(*rows: Row) -> list[list[str]]:
    """Return the cells of the table's rows, without its two lines of heads."""
    lines = table(rows).splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_the_table_has_medians_and_how_many_times_those_of_node_they_are() -> None:
    load = LOADS["fives"]
    runs = [replace(FIGURES, cpu_us_per_delivery=figure) for figure in (9.0, 2.0, 5.0)]
    node, ours = lines_of(Row(load, False, NODE, [FIGURES]), Row(load, False, "chatapp", list(runs)))
    assert node[:5] == [load.title, "nothing", NODE, "10.0", "100,000"]
    assert ours[2:5] == ["chatapp", "5.00 (0.50×)", "100,000 (1.00×)"]


def test_a_server_is_compared_with_node_under_the_same_load_and_storage() -> None:
    load = LOADS["fives"]
    rows = [
        Row(load, False, NODE, [FIGURES]),
        Row(load, True, NODE, [replace(FIGURES, cpu_us_per_delivery=40.0)]),
        Row(load, True, "chatapp", [FIGURES]),
        Row(LOADS["hall"], True, "chatapp", [FIGURES]),
    ]
    assert [line[3] for line in lines_of(*rows)] == ["10.0", "40.0", "10.0 (0.25×)", "10.0"]


def test_a_figure_that_is_missing_is_a_dash() -> None:
    run = replace(FIGURES, kb_per_connection=None)
    ((*_, kb_per_connection, _connect, _generator),) = lines_of(Row(LOADS["pair"], False, NODE, [run]))
    assert kb_per_connection == "–"


def test_a_run_that_failed_is_told_below_the_table_and_spoils_no_median() -> None:
    row = Row(LOADS["hall"], True, "chatapp", ["it broke off", FIGURES, "it broke off"])
    assert lines_of(row)[0][3] == "10.0"
    notes = table([row]).splitlines()[4:]
    assert notes == ["- chatapp, 500 in 1 room, each message stored: 2 of 3 runs failed: it broke off"]


def test_a_load_generator_at_its_limit_is_told_below_the_table() -> None:
    row = Row(LOADS["hall"], False, "chatapp", [replace(FIGURES, generator_load=0.95)])
    assert "generator was at its limit" in table([row]).splitlines()[-1]


def test_a_machine_that_did_something_else_is_told_below_the_table() -> None:
    row = Row(LOADS["hall"], False, "chatapp", [FIGURES, replace(FIGURES, core_share=0.5)])
    assert "In 1 of 2 runs the load generator got 50 % of its core" in table([row]).splitlines()[-1]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "0.50"), (5.04, "5.04"), (12.84, "12.8"), (100.4, "100"), (1234567.0, "1,234,567")],
)
def test_figures_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown
