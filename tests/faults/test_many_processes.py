"""Several processes, each with a log of its own, write the same rooms of one database at the same time."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

import databases
from faults.writing_process import ROOMS, SENDERS
from servers import PATIENCE_SECONDS, ROOT

PROCESSES, SECONDS = 4, 3


def start(url: str, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("writing_process.py")), url, str(number), str(SECONDS)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kind", ["sqlite", *databases.KINDS])
def test_the_logs_of_rooms_that_many_processes_write_are_whole_and_in_order(
    kind: str, tmp_path: Path
) -> None:
    if kind == "sqlite":
        write_together(f"sqlite:///{tmp_path}/chat.db")
    else:
        with databases.new_database(kind) as url:
            write_together(url)


def write_together(url: str) -> None:
    processes = [start(url, number) for number in range(PROCESSES)]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdin is not None
            if process.stdout.readline() != "ready\n":
                pytest.fail(process.communicate()[1])
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()  # now, all of them
            process.stdin = None
        outputs = [process.communicate(timeout=SECONDS + 2 * PATIENCE_SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [errors for _, errors in outputs] == [""] * PROCESSES
    told = [json.loads(output) for output, _ in outputs]
    with databases.connected(make_url(url)) as connection:
        rows = connection.exec_driver_sql("SELECT room_id, seq, client_id FROM entries ORDER BY room_id, seq")
        stored = [tuple(row) for row in rows]
        heads = dict(map(tuple, connection.exec_driver_sql("SELECT id, last_seq FROM rooms")))
        (users,) = connection.exec_driver_sql("SELECT count(*) FROM users").one()

    acknowledged = [tuple(entry) for one in told for entry in one["kept"]]
    assert len(acknowledged) == len(set(acknowledged)) == len(stored)
    assert set(acknowledged) == set(stored)
    seqs = collections.defaultdict(list)
    for room_id, seq, _ in stored:
        seqs[room_id].append(seq)
    assert len(seqs) == 1 + ROOMS + SENDERS  # each pair's conversation, too, is there once
    for room_id, found in seqs.items():
        assert found == list(range(1, heads[room_id] + 1))
    for one in told:
        latest: dict[int, int] = {}
        for room_id, seq, _ in one["kept"]:
            assert seq > latest.get(room_id, 0), "handed on in another order"
            latest[room_id] = seq
    names = [name for one in told for name in one["named"]]
    assert sorted(names) == sorted({f"guest {number}" for number in range(SENDERS)})
    assert users == 2 * SENDERS
