"""A database server is killed under load and comes back: nothing acknowledged is lost, and all goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import databases
from clients import wait_until
from faults.raw_client import RawClient
from servers import PATIENCE_SECONDS, running

SENDERS, KILLS = 6, 3
#: How soon all has to work again once the database answers.
BACK_SECONDS = 5
#: How long anybody waits for an answer, whatever happens: as long as two connections may take to be made.
ANSWER_SECONDS = 7


class Sender(threading.Thread):
    """Says one thing after the other, and says it again if it was refused; every other one has no id."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: dict[int, str] = {}  # by seq
        self.refusals: list[dict[str, object]] = []
        self.longest_seconds = 0.0
        self.latest = 0.0
        self.fault: BaseException | None = None
        self._number = number
        self._client = RawClient(port)
        self._ended = threading.Event()
        answer = self._client.call("join room", {"roomname": "lobby", "username": f"user {number}"})
        assert answer["ok"], answer

    def run(self) -> None:
        try:
            with self._client:
                turn = 0
                while not self._ended.is_set():
                    turn += 1
                    self._say(f"{self._number} {turn}", has_id=turn % 2 == 0)
        except BaseException as fault:
            self.fault = fault
            raise

    def finish(self) -> None:
        self._ended.set()
        self.join(PATIENCE_SECONDS)
        assert self.fault is None and not self.is_alive()

    def _say(self, text: str, *, has_id: bool) -> None:
        message = {"message": text, **({"client_id": text} if has_id else {})}
        while not self._ended.is_set():
            began = time.monotonic()
            answer = self._client.call("new message", message)
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
            if answer["ok"]:
                self.acknowledged[answer["seq"]] = text
                self.latest = began
                return
            self.refusals.append(answer["error"])
            self._ended.wait(0.05)


@pytest.mark.parametrize(
    "start", [databases.start_postgres, databases.start_mariadb], ids=["postgresql", "mariadb"]
)
def test_a_database_that_is_killed_and_started_again_costs_no_acknowledged_message(
    start: Callable[[], databases.DatabaseServer], tmp_path: Path
) -> None:
    with closing(start()) as database, databases.new_database(database.kind, database) as url:
        with running(directory=tmp_path, STORAGE_URL=url, LIMITS_ENABLED="no") as server:
            senders = [Sender(server.port, number) for number in range(SENDERS)]
            for sender in senders:
                sender.start()
            for _ in range(KILLS):
                seen = [len(sender.acknowledged) for sender in senders]
                wait_until(
                    lambda seen=seen: all(
                        len(sender.acknowledged) > before + 20
                        for sender, before in zip(senders, seen, strict=True)
                    )
                )
                refused = [len(sender.refusals) for sender in senders]
                database.kill()
                wait_until(
                    lambda refused=refused: all(
                        len(sender.refusals) > before + 2
                        for sender, before in zip(senders, refused, strict=True)
                    )
                )
                database.start()
                back = time.monotonic()
                wait_until(lambda back=back: all(sender.latest > back for sender in senders))
                assert time.monotonic() - back < BACK_SECONDS
            for sender in senders:
                sender.finish()
        with databases.connected(databases.make_url(url)) as connection:
            rows = connection.exec_driver_sql("SELECT seq, text, client_id FROM entries ORDER BY seq").all()
    stored = {seq: text for seq, text, _ in rows}
    assert list(stored) == list(range(1, len(rows) + 1))
    for sender in senders:
        assert sender.acknowledged.items() <= stored.items()
        assert {refusal["code"] for refusal in sender.refusals} == {"storage_unavailable"}
        assert all(refusal["retry_after"] for refusal in sender.refusals)
        assert sender.longest_seconds < ANSWER_SECONDS
    ids = [client_id for _, _, client_id in rows if client_id]
    assert len(ids) == len(set(ids))
    assert not any("Traceback" in line for line in server.output)
