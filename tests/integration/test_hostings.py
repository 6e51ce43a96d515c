"""Every way of hosting, with every transport: what clients get is the same, and so is how it ends."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import requests

from clients import TRANSPORTS, Chatter, wait_until
from servers import HOSTINGS, PATIENCE_SECONDS, ServerProcess, running

#: Those of the README, and gunicorn's two with the application loaded before the worker is forked.
COMMANDS = {
    **HOSTINGS,
    "gevent --preload": [*HOSTINGS["gevent"], "--preload"],
    "conf --preload": [*HOSTINGS["conf"], "--preload"],
}

#: What a stop may take with clients that stay: gunicorn's worker looks once a second.
STOP_SECONDS = 6

#: A server under gunicorn that logs all there is to log, its requests included.
LOG_EVERYTHING = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "DEBUG", "handlers": ["console"]},
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"gunicorn.access": {"level": "DEBUG", "propagate": True}},
}


@pytest.fixture(scope="module", params=COMMANDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    command, directory = COMMANDS[request.param], tmp_path_factory.mktemp("hosting")
    with running(directory=directory, command=command, LIMITS_LEAVE_GRACE_SECONDS="0") as server:
        yield server
    check_output(server)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def room(transport: str) -> str:
    """A room of the test's own; `named` gives it users of its own."""
    return f"room-{transport}-{time.monotonic_ns()}"


def named(name: str, room: str) -> str:
    return f"{name}-{room[-10:]}"


def check_output(server: ServerProcess, secrets: Iterable[str] = ()) -> None:
    """Fail if something went wrong in the server, or if it told one of these."""
    output = "".join(server.output)
    assert not re.search("Traceback|Warning", output), output
    assert [line for line in server.output if any(secret in line for secret in secrets)] == []


def test_the_transport_in_use_is_the_one_asked_for(server: ServerProcess, transport: str) -> None:
    with Chatter(server.url, transport) as ann:
        assert ann.sio.transport() == ("polling" if transport == "polling" else "websocket")
        # An upgrade keeps the session that polling began; a WebSocket alone never polled.
        assert ann.sio.eio.transports == TRANSPORTS[transport]
        assert ann.call("rooms")["error"]["code"] == "not_in_room"


def test_two_clients_talk_both_ways(server: ServerProcess, transport: str, room: str) -> None:
    with Chatter(server.url, transport) as ann, Chatter(server.url, transport) as bob:
        ann.join(room, named("ann", room))
        bob.join(room, named("bob", room))
        first, second = ann.say("hello bob"), bob.say("hello ann")
        assert (first["seq"], second["seq"]) == (1, 2)
        bob.wait_for_texts(["hello bob"])
        ann.wait_for_texts(["hello ann"])
        history = bob.call("history", {"room": room})
        assert [(item["seq"], item["message"]) for item in history["messages"]] == [
            (1, "hello bob"),
            (2, "hello ann"),
        ]


def test_a_private_message_reaches_its_receiver_alone(
    server: ServerProcess, transport: str, room: str
) -> None:
    ann_name, bob_name = named("ann", room), named("bob", room)
    clients = [Chatter(server.url, transport) for _ in range(3)]
    with clients[0] as ann, clients[1] as bob, clients[2] as cid:
        ann.join(room, ann_name)
        bob.join(room, bob_name)
        cid.join(room, named("cid", room))
        answer = ann.call("new pm", f"@{bob_name} for you")
        assert answer["ok"] and answer["room"] == f"@{bob_name}"
        ann.say("for all", room=room)
        bob.wait_for_texts(["for you", "for all"])
        cid.wait_for_texts(["for all"])
        private = bob.messages()[0]
        assert (private["type"], private["room"], private["target"]) == ("private", f"@{ann_name}", bob_name)


def test_a_client_that_goes_is_noticed(server: ServerProcess, transport: str, room: str) -> None:
    with Chatter(server.url, transport) as ann:
        ann.join(room, named("ann", room))
        with Chatter(server.url, transport) as bob:
            bob.join(room, named("bob", room))
            wait_until(lambda: any(f"{named('bob', room)} joined" in text for text in ann.notices()))
        gone = wait_until(lambda: [change for change in ann.events("presence") if change["left"]])
        assert [user["username"] for user in gone[0]["left"]] == [named("bob", room)]
        assert gone[0]["online"] == 1
        assert ann.notices()[-1] == f"{named('bob', room)} left"


def test_a_request_for_a_session_that_has_just_ended_is_refused(server: ServerProcess) -> None:
    url = f"{server.url}/socket.io/?EIO=4&transport=polling"
    session = json.loads(requests.get(url, timeout=PATIENCE_SECONDS).text[1:])
    url += f"&sid={session['sid']}"
    assert requests.post(url, data="1", timeout=PATIENCE_SECONDS).ok  # Engine.IO's close
    for answer in (requests.post(url, data="40", timeout=PATIENCE_SECONDS) for _ in range(2)):
        assert answer.status_code == 400


def logging_everything(name: str, directory: Path) -> list[str]:
    """Return the command with the loudest log that keeps to what the README says about access logs."""
    command = list(COMMANDS[name])
    if name.startswith("conf"):
        config = directory / "logging.json"
        config.write_text(json.dumps(LOG_EVERYTHING | {"handlers": _handlers()}), "utf-8")
        return [*command, "--log-config-json", str(config), "--access-logfile", "-"]
    return command if name == "serve" else [*command, "--log-level", "debug"]


def _handlers() -> dict[str, object]:
    # gunicorn's own settings of its loggers name these two.
    return {name: {"class": "logging.StreamHandler"} for name in ("console", "error_console")}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_stop_with_clients_is_quick_clean_and_tells_nothing_of_them(name: str, tmp_path: Path) -> None:
    command = logging_everything(name, tmp_path)
    with running(directory=tmp_path, command=command, LOG_LEVEL="debug") as server:
        clients = [Chatter(server.url, transport) for transport in TRANSPORTS]
        secrets = ["words"]
        for number, client in enumerate(clients):
            client.join("lobby", f"user-{number}")
            client.say(f"words of user-{number}")
            client.call("new pm", f"@user-{number} words to oneself")
            assert client.token
            secrets += [client.token, client.sio.eio.sid, client.sio.get_sid()]
        began = time.monotonic()
        status = server.stop()
        assert status == 0
        assert time.monotonic() - began < STOP_SECONDS
        for client in clients:
            wait_until(lambda client=client: not client.sio.connected, "the end of the connection")
            client.close()
    check_output(server, secrets)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_serve_ends_at_a_signal_with_clients_in_the_middle_of_talking(
    number: signal.Signals, tmp_path: Path
) -> None:
    with running("serve", tmp_path) as server, Chatter(server.url) as ann, Chatter(server.url) as bob:
        ann.join("lobby", "ann")
        bob.join("lobby", "bob")
        for count in range(20):  # nobody waits for these
            ann.emit("new message", f"words {count}")
        assert server.stop(number) == 0
    check_output(server, ["words"])
