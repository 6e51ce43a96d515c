"""``chatapp client`` as a script uses it: what it sends, says and returns."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import engineio
import pytest
from click.testing import CliRunner, Result

from chatapp.client.command import client
from clients import wait_until
from servers import PATIENCE_SECONDS
from unit.chat_double import ChatDouble, running_double

ROOT = Path(__file__).parents[2]
Run = Callable[..., Result]


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatDouble]:
    bound = engineio.payload.Payload.max_decode_packets
    monkeypatch.setattr(engineio.payload.Payload, "max_decode_packets", bound)  # so that it is put back
    with running_double() as running:
        yield running


@pytest.fixture
def run(double: ChatDouble, tmp_path: Path) -> Run:
    """Runs the command for bob in the lobby, with more arguments and a standard input."""

    def run_client(*arguments: str, stdin: str | bytes = "", name: bool = True) -> Result:
        who = ["--name", "bob"] if name else []
        env = {"XDG_STATE_HOME": str(tmp_path)}
        words = ["--room", "lobby", "--url", double.url, *who, *arguments]
        return CliRunner().invoke(client, words, input=stdin, env=env)

    return run_client


@pytest.mark.parametrize("transport", ["auto", "websocket", "polling"])
def test_sent_texts_are_stored_and_nothing_is_said(run: Run, double: ChatDouble, transport: str) -> None:
    result = run("--send", "one", "--send", "two", "--transport", transport)
    assert (result.exit_code, result.output) == (0, "")
    assert double.texts("lobby") == ["one", "two"]


def test_an_answer_to_a_poll_may_be_long(run: Run, double: ChatDouble) -> None:
    join = double.sio.handlers["/"]["join room"]

    def join_a_lively_room(sid: str, payload: Any) -> Any:
        for number in range(100):
            double.sio.emit("news", number, to=sid)
        return join(sid, payload)

    double.sio.on("join room", join_a_lively_room)
    result = run("--send", "one", "--transport", "polling")
    assert (result.exit_code, result.output) == (0, "")


def test_lines_of_the_standard_input_are_sent(run: Run, double: ChatDouble) -> None:
    result = run(stdin="one\n\n/var/log\r\nzwölf 🐙")
    assert (result.exit_code, result.output) == (0, "")
    assert double.texts("lobby") == ["one", "/var/log", "zwölf 🐙"]


def test_verbose_says_how_it_goes(run: Run) -> None:
    assert run("--send", "one", "--verbose").stdout == "in lobby as bob\nstored in lobby at 1\n"


def test_a_private_text_reaches_the_person_alone(run: Run, double: ChatDouble) -> None:
    assert run("--send", '@"ann lee" psst').exit_code == 0
    assert double.called("new message") == []
    assert [item["message"] for item in double.conversation("bob", "ann lee").entries] == ["psst"]


def test_a_refused_text_is_said_and_the_status_is_1(run: Run, double: ChatDouble) -> None:
    double.refusals["new message"] = [{"code": "invalid_text", "message": "Too long."}]
    result = run("--send", "one", "--send", "two")
    assert (result.exit_code, result.stderr) == (1, "Error: Not sent: Too long.\n")
    assert double.texts("lobby") == []


def test_a_text_sent_too_fast_is_sent_again(run: Run, double: ChatDouble) -> None:
    refusal = {"code": "rate_limited", "message": "Too fast.", "retry_after": 0.1}
    double.refusals["new message"] = [refusal, refusal]
    assert run("--send", "one").exit_code == 0
    assert double.texts("lobby") == ["one"]


def test_a_wait_that_is_too_long_is_said_with_its_reason(run: Run, double: ChatDouble) -> None:
    double.refusals["new message"] = [{"code": "rate_limited", "message": "Too fast.", "retry_after": 600}]
    result = run("--send", "one", "--timeout", "3")
    assert result.exit_code == 1
    assert result.stderr == "Error: No acknowledgement came within 3 s. Too fast.\n"


def test_a_taken_name_is_said(run: Run, double: ChatDouble) -> None:
    double.refusals["join room"] = [{"code": "name_taken", "message": "This name is taken."}]
    result = run("--send", "one")
    assert (result.exit_code, result.stderr) == (1, "Error: You cannot join lobby: This name is taken.\n")


def test_a_server_that_is_not_there_is_said(run: Run, double: ChatDouble) -> None:
    double.stop()
    result = run("--send", "one")
    assert result.exit_code == 1
    assert result.stderr == f"Error: Cannot connect to {double.url}: nothing listens there.\n"
    double.start()


def test_a_wrong_path_is_said(run: Run) -> None:
    result = run("--send", "one", "--path", "/nowhere")
    assert (result.exit_code, "HTTP 404; is the path right?" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--room", "lobby"], "Say who you are"),
        (["--name", "bob"], "Missing option '--room'"),
        (["--room", "lobby", "--name", "bob", "--url", "example.org"], "must look like"),
        (["--room", "lobby", "--name", "bob", "--url", "ftp://example.org"], "must look like"),
        (["--room", "lobby", "--name", "bob", "--url", "http://"], "must look like"),
        (["--room", "lobby", "--name", "bob", "--url", "http://a:b"], "must look like"),
        (["--room", "lobby", "--name", "bob", "--url", "http://[::1"], "must look like"),
        (["--room", "lobby", "--name", "bob", "--url", "http://a/chat"], "--path says where"),
        (["--room", "lobby", "--cookie", "session"], "must look like session=value"),
        (["--room", "lobby", "--cookie", "a b=c"], "must look like session=value"),
        (["--room", "lobby", "--cookie", "a=b\r\nX: y"], "must look like session=value"),
        (["--room", "lobby", "--name", "bob", "--user-agent", "a\r\nX: y"], "must be printable ASCII"),
        (["--room", "lobby", "--name", "bob", "--timeout", "0"], "--timeout"),
        (["--room", "lobby", "--name", "bob", "--timeout", "nan"], "--timeout"),
        (["--room", "lobby", "--name", "bob", "--transport", "pigeon"], "--transport"),
        (["--room", "lobby", "--name", "bob", "--config", "/nowhere.ini"], "--config"),
    ],
)
def test_wrong_options_are_a_usage_error(arguments: list[str], part: str) -> None:
    result = CliRunner().invoke(client, [*arguments, "--send", "x"])
    assert result.exit_code == 2
    assert part in result.stderr


def test_what_is_wrong_in_the_ini_file_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    ini = tmp_path / "chat.ini"
    ini.write_text("[chat.events]\nNEWMESSAGE = x\n")
    result = run("--send", "x", "--config", str(ini))
    assert result.exit_code == 2
    assert "NEWMESSAGE" in result.stderr


def test_names_of_events_come_from_the_ini_file(run: Run, double: ChatDouble, tmp_path: Path) -> None:
    ini = tmp_path / "chat.ini"
    ini.write_text("[chat.events]\nJOINROOM = enter\n")
    double.sio.on("enter", double.sio.handlers["/"]["join room"])
    del double.sio.handlers["/"]["join room"]
    assert run("--send", "x", "--config", str(ini)).exit_code == 0
    assert double.texts("lobby") == ["x"]


def test_cookies_stand_in_for_a_name(run: Run, double: ChatDouble, tmp_path: Path) -> None:
    result = run("--send", "x", "--cookie", "session=abc; other=1", "--cookie", "third=2", name=False)
    assert result.exit_code == 0
    assert set(double.cookies[0].split("; ")) == {"session=abc", "other=1", "third=2"}
    assert double.called("join room") == [{"roomname": "lobby"}]
    assert list(tmp_path.iterdir()) == []


def test_the_token_is_kept_and_shown_the_next_time(run: Run, double: ChatDouble, tmp_path: Path) -> None:
    run("--send", "one")
    run("--send", "two")
    assert [payload.get("token") for payload in double.called("join room")] == [None, "token of bob"]
    kept = json.loads((tmp_path / "chatapp" / "tokens.json").read_text())
    assert kept == {double.url: {"bob": "token of bob"}}


def test_the_token_is_not_kept_if_that_is_not_wanted(run: Run, tmp_path: Path) -> None:
    assert run("--send", "one", "--no-token-file").exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_token_file_is_only_warned_of(run: Run, tmp_path: Path) -> None:
    (tmp_path / "chatapp").mkdir()
    (tmp_path / "chatapp" / "tokens.json").write_text("{")
    result = run("--send", "one")
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: ")


def test_bytes_that_are_no_text_are_said(run: Run, double: ChatDouble) -> None:
    result = run(stdin=b"fine\n\xff\n")
    assert (result.exit_code, result.stderr) == (1, "Error: Line 2 is not UTF-8.\n")
    assert double.texts("lobby") == ["fine"]


# As a process of its own.

PROGRAM = "from chatapp.client.command import client; client()"


def start(double: ChatDouble, tmp_path: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    words = ["--room", "lobby", "--name", "bob", "--url", double.url, *arguments]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)},
        stdin=options.get("stdin", subprocess.PIPE),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_lines_are_sent_as_they_come_and_an_interrupt_is_no_traceback(
    double: ChatDouble, tmp_path: Path
) -> None:
    with start(double, tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write("first\n")
        process.stdin.flush()
        wait_until(lambda: double.texts("lobby") == ["first"], "the first line, with more to come")
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_SECONDS)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (130, "")


def test_a_server_that_goes_away_for_good_is_waited_for_only_so_long(
    double: ChatDouble, tmp_path: Path
) -> None:
    with start(double, tmp_path, "--timeout", "1") as process:
        assert process.stdin is not None
        process.stdin.write("first\n")
        process.stdin.flush()
        wait_until(lambda: double.texts("lobby") == ["first"], "the first line")
        double.stop()
        _, errors = process.communicate("second\n", timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert errors.startswith("Error: No acknowledgement came within 1 s. Cannot connect to")
    double.start()


def test_without_a_standard_input_there_is_nothing_to_send(double: ChatDouble, tmp_path: Path) -> None:
    with start(double, tmp_path, stdin=subprocess.DEVNULL) as process:
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, output, errors) == (0, "", "")


def test_a_site_that_is_no_chat_server_leaves_no_traceback(tmp_path: Path, double: ChatDouble) -> None:
    class Site(http.server.SimpleHTTPRequestHandler):
        pass

    with http.server.HTTPServer(("127.0.0.1", 0), Site) as site:
        url = f"http://127.0.0.1:{site.server_port}"
        site.timeout = PATIENCE_SECONDS
        with start(double, tmp_path, "--send", "x", "--url", url) as process:
            site.handle_request()
            output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, output) == (1, "")
    assert errors == f"Error: Cannot connect to {url}: the answer was HTTP 404; is the path right?\n"
