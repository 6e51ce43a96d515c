"""Whatever worker a request comes to, the one that has its session answers, in every hosting."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from clients import TRANSPORTS, Chatter, wait_until
from cluster.workers import await_workers, kill_worker, worker_pids
from protocol_peer import hosted
from raw_polling import Exchange, RawPolling, Reply, knock, request
from raw_websocket import RawWebSocket
from servers import HOSTINGS, PATIENCE_SECONDS, ServerProcess, running
from siblings import handed_over, session_of, siblings, sockets, worker_id

#: One process with three workers, in each way that gunicorn has of making them.
SEVERAL = {
    "conf": [*HOSTINGS["conf"], "-w", "3"],
    "gevent": [*HOSTINGS["gevent"], "-w", "3"],
    "geventwebsocket": [*HOSTINGS["geventwebsocket"], "-w", "3"],
    "conf --preload": [*HOSTINGS["conf"], "-w", "3", "--preload"],
    "gevent --preload": [*HOSTINGS["gevent"], "-w", "3", "--preload"],
}

WEBSOCKET = "EIO=4&transport=websocket&sid="


@pytest.fixture(scope="module", params=HOSTINGS)
def hosting(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def data_dir(hosting: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("siblings")


@pytest.fixture(scope="module")
def pair(hosting: str, data_dir: Path) -> Iterator[list[ServerProcess]]:
    """Two workers, both of which have begun."""
    with siblings(data_dir, hosting) as servers:
        for server in servers:
            RawPolling(server.url).post("1")
        yield servers
        for server in servers:
            assert not re.search("Traceback|Warning|refused", "".join(server.output)), server.output


def upgraded(session: RawPolling) -> RawWebSocket:
    """Let a session change to a WebSocket."""
    websocket = RawWebSocket(session.url, query=WEBSOCKET + session.sid)
    websocket.say("2probe")
    assert websocket.receive_text() == "3probe"
    assert session.poll().packets[-1] == "6"
    websocket.say("5")
    return websocket


def test_a_session_lives_by_another_worker_from_its_second_request_to_its_end(
    pair: list[ServerProcess],
) -> None:
    owner, other = pair
    before = handed_over(other).get("sent", 0), handed_over(owner).get("received", 0)
    with session_of(owner, by=other) as session:
        session.connect()
        assert session.call("join room", {"roomname": "far away", "username": "ann"})["ok"]
        session.hold()
        assert session.call("new message", "held polls are answered", 2)["seq"] == 1
        with upgraded(session) as websocket:
            assert websocket.call("new message", "so are WebSockets")["seq"] == 2
            websocket.say("1")
            assert websocket.closed_with() == 1000
        assert session.begin("GET").reply().status == 400  # it is over
    # Each request is a connection of its own here; what is said on the WebSocket is no request.
    sent, received = handed_over(other)["sent"] - before[0], handed_over(owner)["received"] - before[1]
    assert sent == received > 5


def test_a_session_can_be_closed_by_another_worker(pair: list[ServerProcess]) -> None:
    owner, other = pair
    with session_of(owner, by=other) as session:
        session.connect()
        held = session.hold()
        session.post("1")
        assert held.reply().packets == ["6"]
        session.held = None
        assert session.begin("POST", "2").reply().status == 400


def test_what_is_against_the_protocol_is_so_by_another_worker_too(pair: list[ServerProcess]) -> None:
    owner, other = pair
    with session_of(owner, by=other) as session:
        assert session.begin("POST", "nonsense").reply().status == 400
    with session_of(owner, by=other) as session:
        session.hold()
        wait_until(lambda: handed_over(owner).get("received", 0) >= handed_over(other).get("sent", 0))
        refused = session.begin("GET").reply()
        assert (refused.status, refused.text) == (400, '"Two polls at once."')
        assert refused.headers["Connection"] == "close"


def test_pages_of_other_origins_hear_what_they_may(hosting: str, tmp_path: Path) -> None:
    friend = "https://friend.example"
    with siblings(tmp_path, hosting, APP_ALLOWED_ORIGINS=friend) as (owner, other):
        session = RawPolling(owner.url)
        query = f"&sid={session.sid}"
        answer = Exchange(other.url, request(other.url, "POST", query, "40", Origin=friend)).reply()
        assert answer.status == 200 and answer.headers["Access-Control-Allow-Origin"] == friend
        poll = Exchange(other.url, request(other.url, "GET", query, Origin=friend)).reply()
        assert poll.text.startswith("40{") and poll.headers["Access-Control-Allow-Origin"] == friend
        assert poll.headers.get_all("Content-Length") == [str(len(poll.text))]
        foreign = Exchange(other.url, request(other.url, "GET", query, Origin="https://foe.example")).reply()
        assert foreign.status == 400 and "Access-Control-Allow-Origin" not in foreign.headers


def test_a_websocket_costs_one_hop_and_its_messages_none(pair: list[ServerProcess]) -> None:
    owner, other = pair
    before = handed_over(other).get("sent", 0)
    with contextlib.ExitStack() as stack:
        websockets = []
        for number in range(20):
            session = stack.enter_context(RawPolling(owner.url))
            session.connect()
            websocket = RawWebSocket(other.url, query=WEBSOCKET + session.sid)
            websockets.append(stack.enter_context(websocket))
            websocket.say("2probe")
            assert websocket.receive_text() == "3probe"
            websocket.say("5")
            joined = websocket.call("join room", {"roomname": f"hop {number}", "username": f"hop-{number}"})
            assert joined["ok"], joined
        ticks = cpu_ticks(other)
        for number in range(50):
            for websocket in websockets:
                assert websocket.call("new message", f"message {number}")["ok"]
        # 1,000 messages later the other worker has done nothing: a tick is 10 ms.
        assert cpu_ticks(other) - ticks <= 10
    assert handed_over(other)["sent"] - before == len(websockets)


def cpu_ticks(server: ServerProcess) -> int:
    """Return what a server and its worker have had of the processor: proc(5), stat."""
    pids = [server.pid]
    with open(f"/proc/{server.pid}/task/{server.pid}/children") as children:
        pids += map(int, children.read().split())
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(found[11]) + int(found[12]) for found in fields)


@pytest.mark.parametrize(
    "sid", ["0123abcd" + "x" * 20, "../" * 4 + "etc/passwd", "%00" * 8, "x", "%2e%2e%2fx.hand"]
)
def test_a_session_that_nobody_has_is_refused_at_once(
    pair: list[ServerProcess], data_dir: Path, sid: str
) -> None:
    there = sockets(data_dir)
    for method, body in (("GET", None), ("POST", "40")):
        answer = Exchange(pair[1].url, request(pair[1].url, method, f"&sid={sid}", body)).reply()
        assert (answer.status, answer.text) == (400, '"There is no such session."')
    assert sockets(data_dir) == there


def test_a_session_that_a_worker_has_no_more_is_refused_by_every_worker(pair: list[ServerProcess]) -> None:
    owner, other = pair
    with RawPolling(owner.url) as session:
        session.post("1")
        for server in (owner, other):
            session.url = server.url
            assert session.begin("GET").reply().status == 400
            assert session.begin("POST", "40").reply().status == 400


def test_a_body_that_is_too_big_is_refused_where_it_comes(pair: list[ServerProcess]) -> None:
    owner, other = pair
    before = handed_over(other).get("sent", 0)
    with session_of(owner, by=other) as session:
        head = request(other.url, "POST", f"&sid={session.sid}", "").replace(
            b"Content-Length: 0", b"Content-Length: 20000000"
        )
        assert Exchange(other.url, head + b"x" * 100_000).reply().status == 413
        chunked = request(other.url, "POST", f"&sid={session.sid}", Transfer_Encoding="chunked")
        chunks = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        assert Exchange(other.url, chunked + chunks * 2).reply().status == 413
        assert handed_over(other).get("sent", 0) == before
        session.connect()  # it did not suffer


def test_a_body_in_chunks_arrives(pair: list[ServerProcess]) -> None:
    owner, other = pair
    with session_of(owner, by=other) as session:
        chunked = request(other.url, "POST", f"&sid={session.sid}", Transfer_Encoding="chunked")
        answer = Exchange(other.url, chunked + b"1\r\n4\r\n1\r\n0\r\n0\r\n\r\n").reply()
        assert (answer.status, answer.text) == (200, "ok")
        assert session.poll().text.startswith("40{")


def test_the_largest_body_arrives(pair: list[ServerProcess]) -> None:
    owner, other = pair
    with session_of(owner, by=other) as session:
        session.connect()
        session.post('42["nobody hears this","' + "x" * 65_000 + '"]')


def test_one_connection_of_a_proxy_carries_the_requests_of_all_sessions_and_of_the_site(
    pair: list[ServerProcess],
) -> None:
    """As a proxy does it keeps a connection for whatever comes next, unless an answer ends it."""
    owner, other = pair
    far, near = session_of(owner, by=other), RawPolling(other.url)
    proxy = http.client.HTTPConnection(urlsplit(other.url).netloc, timeout=PATIENCE_SECONDS)

    def ask(method: str, path: str, body: str | None = None) -> tuple[int, str]:
        proxy.request(method, path, body)
        response = proxy.getresponse()
        return response.status, response.read().decode()

    def path(session: RawPolling) -> str:
        return f"/socket.io/?EIO=4&transport=polling&sid={session.sid}"

    with contextlib.closing(proxy):
        for session in (far, near):
            assert ask("POST", path(session), "40") == (200, "ok")
            assert ask("GET", path(session))[1].startswith("40{")
        for number in range(1, 6):
            for session, status in ((near, 200), (far, 200), (far, 200), (near, 200)):
                assert ask("GET", "/chat/health") == (200, '{"ok":true}\n')
                assert ask("POST", path(session), f'42{number}["rooms"]') == (status, "ok")
                assert proxy.sock is None or session is near  # the owner's answer is its connection's last
                status, text = ask("GET", path(session))
                assert status == 200 and json.loads(text.removeprefix(f"43{number}"))[0]["ok"] is False
        assert ask("POST", path(far), "1") == (200, "ok")
        assert ask("GET", path(far))[0] == 400
        assert ask("POST", path(near), '42["rooms"]') == (200, "ok")
    assert handed_over(owner).get("sent", 0) == 0  # nothing is handed back


@pytest.mark.parametrize("hosting", HOSTINGS)
def test_who_comes_to_a_worker_that_is_about_to_end_is_let_in_by_another(
    hosting: str, tmp_path: Path
) -> None:
    with (
        hosted(hosting, tmp_path, STORAGE_URL="") as ending,
        hosted(hosting, tmp_path, STORAGE_URL="") as staying,
    ):
        (stayer,) = {worker_id(RawPolling(staying.url)), *sockets(tmp_path)}
        ender = worker_id(RawPolling(ending.url))
        assert sockets(tmp_path) == {stayer, ender}
        assert requests.get(f"{ending.url}/retire", timeout=PATIENCE_SECONDS).ok
        assert sockets(tmp_path) == {stayer}
        with RawPolling(ending.url) as session:
            assert worker_id(session) == stayer
            session.connect()
        with RawWebSocket(ending.url) as websocket:
            assert websocket.open_session()["sid"].startswith(stayer)
        assert requests.get(f"{staying.url}/retire", timeout=PATIENCE_SECONDS).ok
        assert knock(ending.url).status == 503


# gunicorn's own workers


@pytest.fixture(scope="module", params=SEVERAL)
def three(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("three")
    with running_workers(SEVERAL[request.param], directory) as server:
        yield server
        assert not re.search("Traceback|Warning|refused", "".join(server.output)), server.output


@contextlib.contextmanager
def running_workers(command: Sequence[str], directory: Path, **settings: str) -> Iterator[ServerProcess]:
    """Run gunicorn until all its three workers have begun."""
    settings = {"WEB_METRICS": "yes", "LIMITS_ENABLED": "no", **settings}
    with running(directory=directory, command=command, **settings) as server:
        met: set[str] = set()

        def all_met() -> bool:
            # Together, so that more than one worker gets some.
            exchanges = [Exchange(server.url, request(server.url, "GET", "")) for _ in range(10)]
            for reply in [exchange.reply() for exchange in exchanges]:
                if reply.status == 200:  # a worker may be at its end
                    met.add(json.loads(reply.text[1:])["sid"][:8])
            return len(met) == 3

        wait_until(all_met, "three workers")
        yield server


def check_forty(url: str, prefix: str) -> None:
    """Let 40 clients do all there is to do, with a connection for each request."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawPolling(url)) for _ in range(40)]
        for client in clients:
            client.post("40")
        for client in clients:
            assert client.poll().text.startswith("40{")
        for number, client in enumerate(clients):
            name = f"{prefix}-{number}"
            assert client.call("join room", {"roomname": name, "username": name})["ok"]
        for client in clients:
            client.hold()
        for client in clients:
            assert client.call("new message", "by post and poll", 2)["seq"] == 1
        for client in clients[:20]:
            websocket = stack.enter_context(upgraded(client))
            assert websocket.call("new message", "by WebSocket", 3)["seq"] == 2
            websocket.say("1")
            assert websocket.closed_with() == 1000
        for client in clients[20:]:
            assert client.call("new message", "by post and poll", 3)["seq"] == 2
            client.post("1")
        for client in clients:
            assert client.begin("POST", "2").reply().status == 400


def test_forty_clients_without_sticky_sessions_lose_no_request(three: ServerProcess) -> None:
    check_forty(three.url, "forty")
    figures = requests.get(f"{three.url}/chat/metrics", timeout=PATIENCE_SECONDS).text
    assert re.search(r'^chatapp_handed_over_total\{outcome="sent"\} [1-9]', figures, re.MULTILINE), figures
    assert 'outcome="dead"' not in figures


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_python_socketios_client_works_without_sticky_sessions(three: ServerProcess, transport: str) -> None:
    for number in range(10):
        with Chatter(three.url, transport) as ann:
            name = f"{transport}-{number}"
            ann.join(name, name)
            assert [ann.say(f"message {count}")["seq"] for count in range(3)] == [1, 2, 3]


def test_workers_behind_a_unix_socket_hand_over_too(tmp_path: Path) -> None:
    command = [part.replace("127.0.0.1:0", f"unix:{tmp_path}/chat.sock") for part in SEVERAL["conf"]]
    with running_workers(command, tmp_path / "data") as server:
        assert server.url.startswith("unix:")
        check_forty(server.url, "unix")


@pytest.mark.parametrize("name", ["conf", "gevent"])
def test_clients_go_on_while_workers_are_replaced_one_by_one(name: str, tmp_path: Path) -> None:
    """Each worker ends after some requests; whoever is told so begins anew at once, and misses nothing."""
    command = [*SEVERAL[name], "--max-requests", "100", "--max-requests-jitter", "50"]
    with running_workers(command, tmp_path) as server:
        people = [Persistent(server.url, f"person-{number}") for number in range(6)]
        texts = [f"message {number}" for number in range(40)]
        for number, text in enumerate(texts):
            for person in people:
                assert person.say(text) == number + 1
        for person in people:
            page = person.call("history", {"room": person.name, "limit": 100})
            assert [message["message"] for message in page["messages"]] == texts
            person.close()
    output = "".join(server.output)
    assert output.count("Autorestarting worker") >= 2
    assert sum(person.sessions for person in people) > len(people)  # or nothing ended under anybody
    assert not re.search("Traceback|Warning", output), output


def is_farewell(reply: Reply) -> bool:
    return "restarting" in reply.packets[0] and reply.packets[-1] == "1"


def test_a_reload_ends_all_sessions_and_their_clients_go_on_at_once(tmp_path: Path) -> None:
    with running_workers(SEVERAL["conf"], tmp_path) as server, contextlib.ExitStack() as stack:
        before = sockets(tmp_path)
        assert len(before) == 3
        clients = [stack.enter_context(RawPolling(server.url)) for _ in range(12)]
        for client in clients:
            client.connect()
        websockets = [stack.enter_context(upgraded(client)) for client in clients[:4]]
        held = [client.hold() for client in clients[4:8]]
        os.kill(server.pid, signal.SIGHUP)
        for websocket in websockets:
            assert websocket.closed_with() == 1012
        for exchange in held:
            assert is_farewell(exchange.reply())
        for client in clients[4:]:
            client.held = None
            reply = client.begin("GET").reply()
            if is_farewell(reply):  # it asked before its worker had come to it
                reply = client.begin("GET").reply()
            assert reply.status == 400
        ann = Persistent(server.url, "ann")
        assert [ann.say(f"message {number}") for number in range(20)] == list(range(1, 21))
        ann.close()
        wait_until(lambda: not before & sockets(tmp_path), "the sockets of those that ended to go")
        assert server.stop() == 0
        assert sockets(tmp_path) == set()
    assert not re.search("Traceback|Warning", "".join(server.output)), server.output


@pytest.mark.parametrize("name", [name for name in SEVERAL if "--preload" in name])
def test_gunicorn_replaces_a_worker_that_is_gone_also_when_it_has_loaded_us_itself(
    name: str, tmp_path: Path
) -> None:
    with running(directory=tmp_path, command=SEVERAL[name]) as server:
        await_workers(server, 3)
        before = worker_pids(server)
        kill_worker(server, before[0])
        wait_until(lambda: len(worker_pids(server)) == 3, "another worker")
        await_workers(server, 3)
        assert len(set(before) & set(worker_pids(server))) == 2
        assert not [line for line in server.output if "Warning" in line]


class Persistent:
    """A polling client in a room of its own name that begins anew when its session ends, and says again
    what was not acknowledged."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name
        #: How often it has begun.
        self.sessions = 0
        self._session: RawPolling | None = None
        self._token: dict[str, str] = {}
        self._count = 0

    def say(self, text: str) -> int:
        """Return the message's place in the room."""
        self._count += 1
        payload = {"room": self.name, "message": text, "client_id": f"c{self._count}"}
        return int(self.call("new message", payload)["seq"])

    def call(self, event: str, payload: dict[str, Any]) -> Any:
        """Emit an event until it is acknowledged; return how."""
        # Not as fast as it can, for each request counts towards --max-requests.
        return wait_until(lambda: self._try(event, payload), "an acknowledgement", every_seconds=0.1)

    def _try(self, event: str, payload: dict[str, Any]) -> Any:
        try:
            if self._session is None:
                self._session = RawPolling(self.url)
                self.sessions += 1
                self._session.connect()
                secret = f"the secret of {self.name} alone"  # the first answer may be lost with its worker
                user = {"roomname": self.name, "username": self.name, "secret": secret, **self._token}
                self._token = {"token": self._session.call("join room", user)["token"]}
            return self._session.call(event, payload, 2)
        except (AssertionError, OSError, http.client.HTTPException):  # it has ended
            self.close()
            return None

    def close(self) -> None:
        if self._session is not None and self._session.held is not None:
            self._session.held.close()
        self._session = None
