"""`ChatServer` as a host site uses it: hooks, callbacks, its own voice, its pages, starting and stopping."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import requests
import websocket

from chatapp import ChatServer, create_app
from chatapp.errors import HostingError
from chatapp.settings import App, Settings, Storage, Web
from clients import wait_until
from older_peer import OlderPolling
from party import Party
from servers import PATIENCE_SECONDS, ServerProcess, running

PROGRAM = [sys.executable, str(Path(__file__).parents[1] / "chat_host.py")]

INTERNAL = {"code": "internal_error", "message": "Something went wrong on the server."}


class Host:
    """The program `chat_host`, as HTTP shows it."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.url = server.url

    def told(self, kind: str, about: str) -> list[Any]:
        """Return what the hooks and callbacks of one kind got that has `about` in it."""
        told = requests.get(f"{self.url}/told", timeout=PATIENCE_SECONDS).json()
        return [arguments for name, *arguments in told if name == kind and about in str(arguments)]

    def wait_until_told(self, kind: str, about: str) -> list[Any]:
        """Return the same once there is something: callbacks run after the acknowledgement."""
        found: list[Any] = wait_until(lambda: self.told(kind, about), f"a call of {kind}")
        return found

    def do(self, verb: str, *args: Any, **options: Any) -> Any:
        """Return what a method of the `ChatServer` returns, or the error's name and message."""
        asked = {"args": args, "options": options}
        answer = requests.post(f"{self.url}/do/{verb}", json=asked, timeout=PATIENCE_SECONDS).json()
        return answer["returned"] if "returned" in answer else answer["raised"]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    settings = {"LIMITS_LEAVE_GRACE_SECONDS": "0", "WEB_METRICS": "yes"}
    with running(directory=tmp_path_factory.mktemp("host"), command=PROGRAM, **settings) as server:
        yield Host(server)


@pytest.fixture
def party(host: Host) -> Iterator[Party]:
    party = Party(host.url)
    yield party
    party.close()


# Callbacks


def test_on_join_and_on_leave_are_told_once_for_all_tabs(host: Host, party: Party) -> None:
    ann = party.guest("ann")
    tab = party.tab(ann)
    bob = party.guest("bob")
    about_ann = [ann.user_id, ann.name, party.room]
    wait_until(lambda: host.told("join", bob.name))
    assert host.told("join", ann.name) == [about_ann]
    ann.close()
    wait_until(lambda: len(bob.call("members", {"room": party.room})["members"]) == 2)
    assert host.told("leave", ann.name) == []
    tab.call("leave room", {"roomname": party.room})
    assert host.wait_until_told("leave", ann.name) == [about_ann]


def test_on_message_gets_the_message_object_once_it_is_delivered(host: Host, party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    receipt = ann.say("hello", client_id=party.named("c"))
    ann.say("hello", client_id=party.named("c"))  # a repetition
    ann.call("edit message", {"room": party.room, "seq": receipt["seq"], "message": "hello again"})
    bob.wait_for_texts(["hello"])
    assert host.wait_until_told("message", party.room) == [[bob.messages()[0]]]
    ann.say("the end")
    wait_until(lambda: len(host.told("message", party.room)) == 2)
    assert host.told("private", party.room) == []


def test_on_private_message_gets_it_as_its_sender_sees_it(host: Host, party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    tab = party.tab(ann)
    ann.tell(bob, f"for {bob.name} alone")
    wait_until(tab.messages)
    assert host.wait_until_told("private", bob.name) == [[tab.messages()[0]]]
    assert tab.messages()[0]["room"] == f"@{bob.name}"
    assert host.told("message", bob.name) == []


def test_a_callback_that_fails_is_logged_and_changes_nothing(host: Host, party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    ann.say("let a callback fail")
    bob.wait_for_texts(["let a callback fail"])
    assert host.wait_until_told("message", party.room)  # the callback after it
    wait_until(lambda: any("a fault of the host's callback" in line for line in host.server.output))
    ann.say("still here")
    bob.wait_for_texts(["let a callback fail", "still here"])


# Hooks


def test_before_join_can_send_into_another_room(host: Host, party: Party) -> None:
    ann = party.guest("ann", room=party.named("old"))
    assert ann.joined["room"] == party.named("new")
    assert host.told("before join", ann.name) == [[party.named("old"), ann.user_id, ann.name]]
    assert host.wait_until_told("join", ann.name) == [[ann.user_id, ann.name, party.named("new")]]
    assert ann.say("in the new room")["room"] == party.named("new")


def test_before_join_can_refuse_with_a_code_of_the_hosts_own(host: Host, party: Party) -> None:
    stranger = party.stranger()
    payload = {"roomname": party.named("closed"), "username": party.named("ann")}
    error = {"code": "members_only", "message": "This room is for members."}
    assert stranger.call("join room", payload) == {"ok": False, "error": error}
    stranger.emit("join room", payload)
    wait_until(lambda: stranger.events("new message"))
    assert stranger.events("new message") == [
        {"error": True, "msg": "This room is for members.", "code": "members_only"}
    ]
    assert host.do("members", party.named("closed")) == []
    assert host.told("join", payload["username"]) == []


def test_before_message_can_change_the_text(host: Host, party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    receipt = ann.say("darn it")
    ann.call("edit message", {"room": party.room, "seq": receipt["seq"], "message": "darn, darn"})
    ann.tell(bob, "the darn rest")
    bob.wait_for_texts(["**** it", "the **** rest"])
    assert [message["message"] for message in ann.history()["messages"]] == ["****, ****"]
    asked = [call for call in host.told("before message", "darn") if call[1] == ann.name]
    assert asked == [
        [party.room, ann.name, "darn it", False],
        [party.room, ann.name, "darn, darn", True],
        [f"@{bob.name}", ann.name, "the darn rest", False],
    ]


def test_hooks_run_in_the_order_in_which_they_were_added(host: Host, party: Party) -> None:
    party.guest("ann").say(f"darn {party.room}")
    assert host.told("second hook", party.room) == [[f"**** {party.room}"]]


def test_before_message_can_refuse(party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    refused = ann.call("new message", {"message": "let it be refused"})
    error = {"code": "refused", "message": "Not in this house.", "retry_after": 7}
    assert refused == {"ok": False, "error": error}
    ann.emit("new message", "let it be refused")
    ann.say("this is fine")
    assert {"error": True, "msg": "Not in this house.", "code": "refused"} in ann.events("new message")
    bob.wait_for_texts(["this is fine"])


def test_what_a_hook_makes_of_a_text_must_still_be_one(party: Party) -> None:
    refused = party.guest("ann").call("new message", {"message": "let it be empty"})
    assert refused["error"]["code"] == "invalid_text"


def test_a_hook_that_fails_refuses_the_one_message_and_is_logged(host: Host, party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    assert ann.call("new message", {"message": "let a hook fail"}) == {"ok": False, "error": INTERNAL}
    faulty = {"roomname": party.named("faulty")}
    assert ann.call("join room", faulty) == {"ok": False, "error": INTERNAL}
    ann.say("still here")
    bob.wait_for_texts(["still here"])
    wait_until(lambda: faults(host.server.output) == 2, "both tracebacks")
    output = "".join(host.server.output)
    assert output.count("a before_message hook failed") == 1
    assert output.count("a before_join hook failed") == 1
    assert "let a hook fail" not in output


def faults(output: list[str]) -> int:
    return sum("RuntimeError: a fault of the host's hook" in line for line in output)


# The host's own voice


def test_post_stores_and_delivers_and_a_repetition_does_neither(host: Host, party: Party) -> None:
    ann = party.guest("ann")
    receipt = host.do("post", party.room, "the shop closes soon", client_id=party.named("c"))
    assert host.do("post", party.room, "the shop closes soon", client_id=party.named("c")) == receipt
    host.do("post", party.room, "good night", sender=party.named("keeper"))
    ann.wait_for_texts(["the shop closes soon", "good night"])
    first, second = ann.history()["messages"]
    assert [first, second] == ann.messages()
    assert receipt == {key: first[key] for key in ("room", "seq", "id", "sent_at")} | {
        "epoch": ann.joined["epoch"]
    }
    assert (first["username"], first["type"]) == ("system", "generic")
    assert second["username"] == party.named("keeper")
    assert first["user_id"] != second["user_id"]


def test_post_makes_the_room_and_a_notice_is_part_of_its_log(host: Host, party: Party) -> None:
    receipt = host.do("post", party.room, "the first word", notice=True)
    assert receipt["seq"] == 1
    ann = party.guest("ann")
    (message,) = ann.history()["messages"]
    assert (message["type"], message["seq"], message["message"]) == ("notice", 1, "the first word")


def test_post_refuses_what_a_client_may_not_say_either(host: Host, party: Party) -> None:
    assert host.do("post", party.room, " ")[0] == "InvalidText"
    assert host.do("post", "", "hello")[0] == "InvalidName"
    assert host.do("post", party.room, "hello", sender=" ")[0] == "InvalidName"
    assert host.do("members", "") == ["InvalidName", host.do("members", "")[1]]


def test_send_private_reaches_its_receiver_alone(host: Host, party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    receipt = host.do("send_private", ann.name, "your order is ready", client_id=party.named("c"))
    repeated = host.do("send_private", ann.name, "your order is ready", client_id=party.named("c"))
    assert repeated == receipt
    assert receipt["room"] == f"@{ann.name}"
    host.do("post", party.room, "for all")
    ann.wait_for_texts(["your order is ready", "for all"])
    bob.wait_for_texts(["for all"])
    private = ann.messages()[0]
    assert (private["type"], private["room"], private["target"]) == ("private", "@system", ann.name)
    assert host.do("send_private", party.named("nobody"), "hello")[0] == "NoSuchUser"


def test_members_are_those_who_are_here(host: Host, party: Party) -> None:
    bob, ann = party.guests("bob", "ann")
    assert host.do("members", party.room) == [ann.member, bob.member]
    bob.call("leave room", {"roomname": party.room})
    assert host.do("members", party.room) == [ann.member]
    assert host.do("members", party.named("elsewhere")) == []


def test_a_distributed_message_is_shown_and_not_stored(host: Host, party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    bob.call("leave room", {"roomname": party.room})
    host.do("distribute_message", party.room, "the lights go out")
    wait_until(lambda: "the lights go out" in ann.notices())
    (notice,) = [event for event in ann.events("new message") if event["message"] == "the lights go out"]
    assert notice == {
        "room": party.room,
        "type": "notice",
        "username": "system",
        "user_id": None,
        "message": "the lights go out",
        "sent_at": notice["sent_at"],
    }
    assert ann.history()["messages"] == []
    assert bob.call("rooms")["ok"]  # whatever was on its way to bob has arrived
    assert "the lights go out" not in bob.notices()
    assert host.do("distribute_message", party.named("elsewhere"), "is anybody here?") is None


def test_send_message_reaches_all_tabs_of_one_user(host: Host, party: Party) -> None:
    ann, bob = party.guests("ann", "bob")
    tab = party.tab(ann)
    host.do("send_message", ann.name, "your session ends soon", code="session")
    host.do("send_message", bob.name, "hello")
    wait_until(lambda: ann.events("server notice") and tab.events("server notice"))
    assert ann.events("server notice") == [{"code": "session", "message": "your session ends soon"}]
    assert tab.events("server notice") == ann.events("server notice")
    wait_until(lambda: bob.events("server notice"))
    assert bob.events("server notice") == [{"code": "message", "message": "hello"}]
    assert host.do("send_message", party.named("nobody"), "hello")[0] == "NoSuchUser"


def test_events_of_the_hosts_own_are_answered_beside_the_chats(party: Party) -> None:
    stranger = party.stranger()
    assert stranger.call("add", [1, 2, 3]) == 6
    assert stranger.call("no such event", [1])["error"]["code"] == "invalid_payload"
    assert party.guest("ann").say("hello")["ok"]


@pytest.mark.parametrize("data", ['[["add"],[1,2]]', '[{"add":1}]', "[]", "{}", '"add"', "[null]"])
def test_an_event_without_a_name_ends_its_connection(host: Host, data: str) -> None:
    address = f"{host.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
    wild = websocket.create_connection(address, timeout=PATIENCE_SECONDS)
    assert wild.recv().startswith("0{")
    wild.send("40")
    assert wild.recv().startswith("40{")
    wild.send(f"421{data}")  # an event, and 1 to name it in the acknowledgement
    opcode, payload = wild.recv_data()
    assert (opcode, int.from_bytes(payload[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1008)
    wild.shutdown()
    assert "TypeError" not in "".join(host.server.output)


# Pages and the program's life


def test_the_metrics_count(host: Host, party: Party) -> None:
    before = metrics(host)
    ann, bob = party.guests("ann", "bob")
    receipt = ann.say("one")
    bob.say("two")
    ann.call("edit message", {"room": party.room, "seq": receipt["seq"], "message": "more"})
    ann.call("new message", {"message": " "})
    OlderPolling(party.url).say("1")
    after = metrics(host)
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name)}
    assert grown['chatapp_entries_total{kind="message"}'] == 2
    assert grown['chatapp_entries_total{kind="edit"}'] == 1
    assert grown['chatapp_refusals_total{code="invalid_text"}'] == 1
    assert grown['chatapp_sessions_total{protocol="4"}'] >= 2
    assert grown['chatapp_sessions_total{protocol="3"}'] == 1
    assert grown["chatapp_commit_seconds_count"] == grown["chatapp_commit_jobs_count"] >= 5
    assert after["chatapp_waiting_writes"] == 0
    party.tab(ann)
    # Those of other tests may still be going.
    wait_until(lambda: gauges(host) == (3, 2), "three connections of two users")
    party.close()
    wait_until(lambda: gauges(host) == (0, 0), "everybody to be gone")


def gauges(host: Host) -> tuple[float, float]:
    now = metrics(host)
    return now["chatapp_connections"], now["chatapp_users"]


def metrics(host: Host) -> dict[str, float]:
    answer = requests.get(f"{host.url}/chat/metrics", timeout=PATIENCE_SECONDS)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_stop_lets_start_return_and_what_was_acknowledged_is_there_afterwards(tmp_path: Path) -> None:
    with running(directory=tmp_path, command=PROGRAM) as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", server.url)
        party = Party(server.url)
        ann = party.guest("ann")
        ann.say("to be kept")
        assert requests.post(f"{server.url}/stop", timeout=PATIENCE_SECONDS).text == "soon"
        wait_until(lambda: "start has returned\n" in server.output, "the end")
        wait_until(lambda: not ann.sio.connected, "the end of the connection")
        party.close()
        assert server.wait() == 0
        server.restart()
        party = Party(server.url)
        bob = party.guest("bob", room=ann.room)
        assert [message["message"] for message in bob.history()["messages"]] == ["to be kept"]
        party.close()
    assert "Traceback" not in "".join(server.output)


def make_chat(directory: Path, **sections: Any) -> ChatServer:
    return ChatServer(Settings(**{"app": App(data_dir=directory), **sections}))


def test_the_chat_is_found_in_the_apps_extensions(tmp_path: Path) -> None:
    app, chat = flask.Flask("site"), make_chat(tmp_path)
    chat.init_app(app)
    assert app.extensions["chatapp"] is chat


def test_a_second_initialization_is_refused_with_the_remedy(tmp_path: Path) -> None:
    app, chat = flask.Flask("site"), make_chat(tmp_path)
    chat.init_app(app)
    for again in (chat, make_chat(tmp_path)):
        with pytest.raises(HostingError, match="call init_app once"):
            again.init_app(app)
    with pytest.raises(HostingError, match="call init_app once"):
        chat.init_app(flask.Flask("another site"))


def test_making_and_initializing_a_server_opens_and_makes_nothing(tmp_path: Path) -> None:
    make_chat(tmp_path / "data").init_app(flask.Flask("site"))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("prefix", ["/chat", "/talk/here"])
def test_the_root_leads_to_the_page_and_a_site_keeps_its_own(prefix: str, tmp_path: Path) -> None:
    settings = Settings(app=App(data_dir=tmp_path), web=Web(prefix=prefix))
    alone = create_app(settings).test_client()
    answer = alone.get("/")
    assert (answer.status_code, answer.location) == (302, f"{prefix}/")
    assert "chatapp.js" in alone.get(answer.location).text
    site = flask.Flask("site")
    ChatServer(settings).init_app(site)
    assert site.test_client().get("/").status_code == 404


def test_health_is_503_while_the_storage_is_gone(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a directory should be")
    chat = make_chat(tmp_path / "data")
    app = flask.Flask("site")
    chat.init_app(app)
    gone = app.test_client().get("/chat/health")
    assert gone.status_code == 503
    assert (gone.json or {})["error"]["code"] == "storage_unavailable"
    (tmp_path / "data").unlink()
    well = app.test_client().get("/chat/health")
    assert (well.status_code, well.json) == (200, {"ok": True})
    chat.close()


def test_a_request_that_comes_after_the_end_is_sent_away_and_begins_nothing(tmp_path: Path) -> None:
    chat = make_chat(tmp_path)
    app = flask.Flask("site")
    chat.init_app(app)
    chat.close()
    before = os.listdir("/proc/self/fd")
    answer = app.test_client().get("/socket.io/?EIO=4&transport=polling")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert os.listdir("/proc/self/fd") == before


def test_health_is_200_where_nothing_is_stored(tmp_path: Path) -> None:
    app = create_app(Settings(app=App(data_dir=tmp_path / "data"), storage=Storage(url="none")))
    assert app.test_client().get("/chat/health").json == {"ok": True}
    assert not (tmp_path / "data").exists()


def test_metrics_are_off_unless_they_are_asked_for(tmp_path: Path) -> None:
    off, on = make_chat(tmp_path), make_chat(tmp_path, web=Web(metrics=True))
    for chat, status in ((off, 404), (on, 200)):
        app = flask.Flask("site")
        chat.init_app(app)
        assert app.test_client().get("/chat/metrics").status_code == status
