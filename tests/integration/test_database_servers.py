"""A whole server on each kind of database server, and what `chatapp check` says about one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

import databases
from faults.raw_client import RawClient
from servers import PATIENCE_SECONDS, ROOT, running

SECRET = "correct-horse"


@pytest.fixture(params=databases.KINDS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with databases.new_database(request.param) as url:
        yield url


def texts(page: Any) -> list[str]:
    return [message["message"] for message in page["messages"]]


def test_a_chat_goes_on_where_it_was_after_the_server_was_started_again(url: str, tmp_path: Path) -> None:
    with running(directory=tmp_path, STORAGE_URL=url, LIMITS_ENABLED="no") as server:
        tokens = {}
        with ExitStack() as stack:
            ann, bob = (stack.enter_context(RawClient(server.port)) for _ in range(2))
            for name, client in (("ann", ann), ("bob", bob)):
                answer = client.call("join room", {"roomname": "Lobby", "username": name})
                assert answer["ok"], answer
                tokens[name] = answer["token"]
            first = ann.call("new message", {"message": "teh first", "client_id": "c1"})
            assert first["seq"] == 1
            again = ann.call("new message", {"message": "teh first", "client_id": "c1"})
            assert (again["ok"], again["seq"]) == (True, 1)
            assert ann.call("edit message", {"room": "lobby", "seq": 1, "message": "the first 👍"})["ok"]
            assert bob.call("react", {"room": "lobby", "seq": 1, "emoji": "🎉", "on": True})["ok"]
            assert bob.call("new pm", "@ann psst")["ok"]
            assert ann.call("read", {"room": "lobby", "seq": 1})["ok"]
            refused = bob.call("join room", {"roomname": "lobby", "username": "Ann"})
            assert not refused["ok"]
        server.kill()
        server.restart()
        with RawClient(server.port, tokens["ann"]) as ann:
            joined = ann.call("join room", {"roomname": "lobby"})
            assert joined["ok"] and joined["last_seq"] == 3
            page = ann.call("history", {"room": "lobby"})
            assert texts(page) == ["the first 👍"]
            assert texts(ann.call("history", {"room": "@bob"})) == ["psst"]
            assert ann.call("new message", {"message": "second"})["seq"] == 4
            rooms = {room["room"]: room for room in ann.call("rooms", {})["rooms"]}
            assert rooms["@bob"]["unread"] == 1
    assert not any("Traceback" in line for line in server.output)


def check(url: str, directory: Path) -> subprocess.CompletedProcess[str]:
    environ = {"CHATAPP_STORAGE_URL": url, "CHATAPP_APP_DATA_DIR": str(directory), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "chatapp", "check"],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_check_tries_the_connection_and_shows_no_password(url: str, tmp_path: Path) -> None:
    right = make_url(url).set(password=SECRET) if url.startswith("postgresql") else make_url(url)
    done = check(right.render_as_string(hide_password=False), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "storage" in done.stdout and SECRET not in done.stdout
    done = check(make_url(url).set(database="nowhere").render_as_string(hide_password=False), tmp_path)
    assert done.returncode == 2 and SECRET not in done.stderr
    (fault,) = done.stderr.splitlines()
    assert fault.startswith("[storage] url: ") and "cannot be used: " in fault and "nowhere" in fault


def test_check_says_that_a_database_has_the_wrong_encoding(tmp_path: Path) -> None:
    with databases.new_database("postgresql") as url:
        with databases.connected(make_url(url)) as connection:
            connection.exec_driver_sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        done = check(make_url(url).set(database="latin").render_as_string(), tmp_path)
        with databases.connected(make_url(url)) as connection:
            connection.exec_driver_sql("DROP DATABASE latin")
    assert done.stderr == (
        "[storage] url: PostgreSQL cannot be used: its encoding is LATIN1; make one with ENCODING 'UTF8'\n"
    )


def test_check_says_that_a_password_is_wrong(tmp_path: Path) -> None:
    with databases.new_database("mariadb") as url:
        parts = make_url(url)
        with databases.connected(parts) as connection:
            connection.exec_driver_sql("CREATE USER 'locked'@'localhost' IDENTIFIED BY 'another'")
        wrong = parts.set(username="locked", password=SECRET).render_as_string(hide_password=False)
        done = check(wrong, tmp_path)
        with databases.connected(parts) as connection:
            connection.exec_driver_sql("DROP USER 'locked'@'localhost'")
    (fault,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert fault.startswith("[storage] url: MySQL cannot be used: Access denied for user 'locked'")
    assert SECRET not in done.stdout + done.stderr
