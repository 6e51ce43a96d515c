"""Where the chat cannot work it says so in a sentence, at the start or to the client, without a traceback."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from clients import wait_until
from servers import HOSTINGS, PATIENCE_SECONDS, ROOT, running
from visitors import failed_start

NOTHING_SHARED = "start it with `-w 1`, or let the workers share a database"
NO_GEVENT_WORKER = "start gunicorn with `-k gevent`, or keep this worker and run the chat beside it"
NO_GEVENT = "chatapp runs on gevent, and this process does not"

#: A site that has put the chat into itself as the README says, on whatever server runs it.
SHOP = """
import os, flask, chatapp
app = flask.Flask(__name__)
app.add_url_rule("/", "home", lambda: "the shop")
chatapp.ChatServer().init_app(app, realtime=os.environ["SHOP_REALTIME"] == "yes")
"""

GUNICORN = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0"]


def check_no_traceback(output: str) -> None:
    """Fail if there is a traceback through our code. (When all its workers end at once, gunicorn may
    stumble over that itself.)"""
    assert not re.search(r'File ".*\b(chatapp/|wsgi\.py|shop\.py)', output), output


@pytest.mark.parametrize(
    "command",
    [
        [*HOSTINGS["gevent"], "-w", "2"],
        [*HOSTINGS["gevent"], "-w", "2", "--preload"],
        [*HOSTINGS["conf"], "-w", "2"],
    ],
    ids=["gevent", "--preload", "conf"],
)
def test_more_than_one_worker_is_refused_at_the_start_if_nothing_is_stored(
    command: list[str], tmp_path: Path
) -> None:
    output = failed_start(command, tmp_path, STORAGE_URL="none")
    assert NOTHING_SHARED in output
    check_no_traceback(output)


def test_several_workers_from_the_environment_are_refused_too_if_nothing_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    output = failed_start(HOSTINGS["gevent"], tmp_path, STORAGE_URL="none")
    assert NOTHING_SHARED in output
    check_no_traceback(output)


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["a worker", "--preload"])
def test_a_second_worker_that_comes_later_answers_503_if_nothing_is_stored(
    options: list[str], tmp_path: Path
) -> None:
    command = [*HOSTINGS["gevent"], *options]
    with running(directory=tmp_path, command=command, STORAGE_URL="none") as server:
        assert get(server.url, "/socket.io/?EIO=4&transport=polling").status_code == 200
        os.kill(server.pid, signal.SIGTTIN)
        wait_until(lambda: get(server.url, "/socket.io/?EIO=4&transport=polling").status_code == 503)
        assert get(server.url, "/chat/health").ok
    output = "".join(server.output)
    assert NOTHING_SHARED in output
    check_no_traceback(output)


def test_workers_that_cannot_find_each_other_say_why_and_one_alone_goes_on(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)
    for workers, status in (("1", 200), ("2", 503)):
        command = [*HOSTINGS["conf"], "-w", workers]
        with running(directory=tmp_path, command=command) as server:
            answer = get(server.url, "/socket.io/?EIO=4&transport=polling")
            assert answer.status_code == status
            assert get(server.url, "/chat/health").ok
        output = "".join(server.output)
        assert "run is open to other users of this machine" in output
        check_no_traceback(output)


def test_tls_that_ends_in_our_worker_is_refused_at_the_start(tmp_path: Path) -> None:
    files = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    for file in files:
        file.touch()
    tls = [f"--certfile={files[0]}", f"--keyfile={files[1]}"]
    output = failed_start([*HOSTINGS["conf"], *tls], tmp_path)
    assert "let the proxy before it do that" in output
    check_no_traceback(output)


def test_tls_that_ends_in_one_of_several_workers_is_refused_at_the_start(tmp_path: Path) -> None:
    files = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    for file in files:
        file.touch()
    tls = [f"--certfile={files[0]}", f"--keyfile={files[1]}"]
    output = failed_start([*HOSTINGS["gevent"], *tls, "-w", "2"], tmp_path)
    assert "cannot pass connections from worker to worker where TLS ends in gunicorn" in output
    check_no_traceback(output)


@pytest.mark.parametrize(
    ("options", "worker"),
    [
        ([], "SyncWorker"),
        (["-k", "gthread", "--threads", "4"], "ThreadWorker"),
        (["--preload"], "SyncWorker"),
    ],
    ids=["sync", "gthread", "sync --preload"],
)
def test_workers_that_cannot_hold_connections_are_refused_at_the_start(
    options: list[str], worker: str, tmp_path: Path
) -> None:
    output = failed_start([*GUNICORN, *options, "wsgi:app"], tmp_path)
    assert f"not {worker}: {NO_GEVENT_WORKER}" in output
    check_no_traceback(output)


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["a worker", "--preload"])
def test_wrong_settings_are_listed_when_gunicorn_starts(options: list[str], tmp_path: Path) -> None:
    ini = tmp_path / "chat.ini"
    ini.write_text("[app]\nprot = 8000\n\n[limits]\nmessages = often\n", "utf-8")
    output = failed_start([*HOSTINGS["gevent"], *options], tmp_path, CONFIG=str(ini))
    assert f"{ini}:2: [app] prot: " in output
    assert f"{ini}:5: [limits] messages: " in output
    check_no_traceback(output)


def test_a_taken_port_ends_serve_with_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        output = failed_start(HOSTINGS["serve"], tmp_path, APP_PORT=str(port))
    (line,) = output.splitlines()
    assert f"Cannot listen on 127.0.0.1 port {port}" in line
    assert "set PORT" in line


def test_an_address_of_another_host_ends_serve_with_one_sentence(tmp_path: Path) -> None:
    # 192.0.2.0/24 is nobody's (RFC 5737).
    (line,) = failed_start(HOSTINGS["serve"], tmp_path, APP_HOST="192.0.2.1").splitlines()
    assert "Cannot listen on 192.0.2.1 port " in line


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_a_site_on_other_workers_serves_the_pages_without_the_sockets(worker: str, shop: Path) -> None:
    command = [*GUNICORN, "-k", worker, "shop:app"]
    with running(directory=shop, command=command, cwd=shop) as server:
        assert get(server.url, "/").text == "the shop"
        assert get(server.url, "/chat/").ok
        assert get(server.url, "/chat/health").json() == {"ok": True}
        # No sockets, so that it cannot be that half of a chat works.
        assert get(server.url, "/socket.io/?EIO=4&transport=polling").status_code == 404
        assert server.stop() == 0
    check_no_traceback("".join(server.output))


def test_a_threaded_process_answers_socket_io_with_503_and_the_rest_as_before(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_REALTIME", "yes")
    command = [sys.executable, "-m", "flask", "--app", "shop", "run", "--port", "0"]
    with running(directory=shop, command=command, cwd=shop) as server:
        for _ in range(3):  # each in a thread of its own
            assert get(server.url, "/").text == "the shop"
            assert get(server.url, "/chat/health").json() == {"ok": True}
            for transport in ("polling", "websocket"):
                answer = get(server.url, f"/socket.io/?EIO=4&transport={transport}")
                assert answer.status_code == 503
                assert NO_GEVENT in answer.text and "`chatapp serve`" in answer.text
    output = "".join(server.output)
    assert NO_GEVENT in output
    check_no_traceback(output)


def test_starting_a_server_in_a_process_without_gevent_raises_the_sentence(tmp_path: Path) -> None:
    program = (
        "from chatapp import ChatServer, errors\n"
        "try: ChatServer().start()\n"
        "except errors.HostingError as error: print(error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT), "CHATAPP_APP_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert ended.stdout.startswith(NO_GEVENT)
    assert ended.stderr == ""
    assert not (tmp_path / "data").exists()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the site in it, which runs without sockets."""
    (tmp_path / "shop.py").write_text(SHOP, "utf-8")
    monkeypatch.setenv("SHOP_REALTIME", "no")
    return tmp_path


def get(url: str, path: str) -> requests.Response:
    return requests.get(url + path, timeout=PATIENCE_SECONDS)
