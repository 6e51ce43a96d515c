"""The shipped files for systemd and supervisor: what they have run starts, reloads and stops as they say."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import socketio

from clients import Chatter, wait_until
from servers import PATIENCE_SECONDS, ROOT, running

PROGRAMS = Path(sys.executable).parent


def here(name: str, directory: Path) -> str:
    """Return the text of a shipped file, with the places of this test."""
    text = (ROOT / "conf" / name).read_text("utf-8")
    settings = directory / "chatapp.ini"
    settings.write_text("[limits]\nleave_grace_seconds = 1\n", "utf-8")
    places = {
        "/srv/chatapp/.venv/bin": str(PROGRAMS),
        "/srv/chatapp": str(ROOT),
        "/var/lib/chatapp": str(directory / "data"),
        "/var/log/chatapp.log": str(directory / "chatapp.log"),
        "/etc/chatapp/chatapp.ini": str(settings),
        "=chatapp\n": f"={getpass.getuser()}\n",  # the user and the group
    }
    for place, ours in places.items():
        text = text.replace(place, ours)
    return text


def is_told_of_restart(client: Chatter) -> bool:
    return any(notice["code"] == "restarting" for notice in client.events("server notice"))


def come_back(url: str) -> Chatter | None:
    """Return a client, None while old workers turn newcomers away, or let them in just before their end."""
    try:
        return Chatter(url, wait_seconds=1)
    except socketio.exceptions.ConnectionError:
        return None


def unit(text: str) -> dict[str, list[str]]:
    """Return a unit's directives: systemd.syntax(7)."""
    found = defaultdict(list)
    for line in text.splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found[key].append(value)
    return found


def test_the_unit_of_systemd_says_when_it_is_ready_reloads_and_stops_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directives = unit(here("chatapp.service", tmp_path))
    settings = dict(line.split("=", 1) for line in directives["Environment"])
    [command], [reload] = directives["ExecStart"], directives["ExecReload"]
    assert directives["Type"] == ["notify"] and directives["KillMode"] == ["mixed"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE_SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with running(
            command=[*shlex.split(command), "-b", "127.0.0.1:0"],
            cwd=Path(directives["WorkingDirectory"][0]),
            **{key.removeprefix("CHATAPP_"): value for key, value in settings.items()},
        ) as server:
            assert b"READY=1" in systemd.recv(1024)
            with Chatter(server.url) as ann:
                ann.join("lobby", "ann")
                subprocess.run(shlex.split(reload.replace("$MAINPID", str(server.pid))), check=True)
                wait_until(lambda: is_told_of_restart(ann), "the notice")
            with wait_until(lambda: come_back(server.url), "the new worker") as bob:
                bob.join("lobby", "bob")
                began = time.monotonic()
                assert server.stop() == 0
                assert time.monotonic() - began < float(directives["TimeoutStopSec"][0])
                wait_until(lambda: is_told_of_restart(bob), "the notice")
    assert (tmp_path / "data" / "chatapp.db").exists()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    path = tmp_path / "chatapp.service"
    path.write_text(here("chatapp.service", tmp_path), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    assert "chatapp.service" not in done.stderr, done.stderr


class Supervisor:
    """A supervisor with the shipped file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        text = here("supervisor.conf", directory).replace("wsgi:app", "wsgi:app -b 127.0.0.1:0")
        text = text.replace("startsecs=3", "startsecs=1")
        (directory / "chatapp.conf").write_text(text, "utf-8")
        self._file = directory / "supervisord.conf"
        self._file.write_text(
            f"[supervisord]\nlogfile={directory}/supervisord.log\npidfile={directory}/supervisord.pid\n"
            f"childlogdir={directory}\n[unix_http_server]\nfile={directory}/socket\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[supervisorctl]\nserverurl=unix://{directory}/socket\n[include]\nfiles=chatapp.conf\n",
            "utf-8",
        )
        self.process = subprocess.Popen(
            [str(PROGRAMS / "supervisord"), "-n", "-c", str(self._file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def control(self, *command: str) -> str:
        """Return what supervisorctl answers."""
        done = subprocess.run(
            [str(PROGRAMS / "supervisorctl"), "-c", str(self._file), *command],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    def urls(self) -> list[str]:
        """Return where the chat has listened so far."""
        log = self.directory / "chatapp.log"
        return re.findall(r"Listening at: (\S+)", log.read_text("utf-8") if log.exists() else "")


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    try:
        yield supervisor
    finally:
        supervisor.process.terminate()
        supervisor.process.wait(PATIENCE_SECONDS)


def is_well(url: str) -> bool:
    try:
        return requests.get(f"{url}/chat/health", timeout=PATIENCE_SECONDS).ok
    except requests.ConnectionError:
        return False


def test_supervisor_starts_the_chat_again_when_it_is_killed_and_stops_it_in_good_order(
    supervisor: Supervisor,
) -> None:
    wait_until(supervisor.urls, "the chat")
    wait_until(lambda: "RUNNING" in supervisor.control("status"), "supervisor's trust", every_seconds=0.2)
    os.kill(int(supervisor.control("pid", "chatapp")), signal.SIGKILL)
    wait_until(lambda: len(supervisor.urls()) == 2, "the next one")
    url = supervisor.urls()[1]
    wait_until(lambda: is_well(url), "its answer")
    wait_until(lambda: "RUNNING" in supervisor.control("status"), "supervisor's trust", every_seconds=0.2)
    with Chatter(url) as ann:
        ann.join("lobby", "ann")
        assert supervisor.control("stop", "chatapp") == "chatapp: stopped"
        wait_until(lambda: is_told_of_restart(ann), "the notice")
    assert "Shutting down: Master" in (supervisor.directory / "chatapp.log").read_text("utf-8")
