"""What would take the server's memory or time is refused by its beginning, and nobody else waits for it.

A frame that declares 2 GiB, a request of 20 MB, a million fragments, and their like: 1009 or 413, while the
event loop stands still for less than 20 ms and memory grows by at most 2 MiB.
"""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from attacks import head_of_post, pour, survives
from protocol_peer import Polling
from raw_websocket import BINARY, CONTINUATION, PING, TEXT, RawWebSocket, frame, header
from servers import ServerProcess

TOO_BIG = 1009


def code_after(server: ServerProcess, data: bytes, flood: bytes = b"", times: int = 0) -> int:
    with RawWebSocket(server.url) as client:
        client.open_session()
        client.send(data)
        if flood:
            pour(client.socket, flood, times)
            client.socket.settimeout(3)
        return client.closed_with()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [1 << 31, (1 << 63) - 1])
def test_a_frame_that_declares_gigabytes_is_refused_by_its_header(
    server: ServerProcess, opcode: int, size: int
) -> None:
    def attack(server: ServerProcess) -> None:
        began = time.monotonic()
        assert code_after(server, header(opcode, size)) == TOO_BIG
        assert time.monotonic() - began < 1

    survives(server, attack)


def test_a_frame_of_gigabytes_is_refused_while_it_pours_in(server: ServerProcess) -> None:
    survives(
        server,
        lambda server: check(code_after(server, header(TEXT, 1 << 31) + b"mask", b"*" * 65536, 300), TOO_BIG),
    )


def check(code: int, wanted: int) -> None:
    assert code == wanted


@pytest.mark.parametrize("size", [0, 1])
def test_a_million_fragments_are_refused_at_the_limit(server: ServerProcess, size: int) -> None:
    fragments = frame(CONTINUATION, b"x" * size, fin=False) * 10_000

    def attack(server: ServerProcess) -> None:
        start = frame(TEXT, b"4", fin=False)
        assert code_after(server, start, fragments, 100) == TOO_BIG

    survives(server, attack)


def test_a_request_of_20_megabytes_is_refused_by_its_header(server: ServerProcess) -> None:
    def attack(server: ServerProcess) -> None:
        polling = Polling(server.url)
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            began = time.monotonic()
            client.sendall(head_of_post(polling.query, "Content-Length: 20000000"))
            client.settimeout(3)
            assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
            assert time.monotonic() - began < 1
        polling.say("1")

    survives(server, attack)


def test_a_request_of_20_megabytes_is_refused_while_it_pours_in(server: ServerProcess) -> None:
    def attack(server: ServerProcess) -> None:
        polling = Polling(server.url)
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(head_of_post(polling.query, "Content-Length: 20000000"))
            pour(client, b"*" * 65536, 300)
            client.settimeout(3)
            with contextlib.suppress(ConnectionError):  # its end may overtake the answer
                assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
        polling.say("1")

    survives(server, attack)


def test_a_request_of_20_megabytes_in_chunks_is_refused_at_the_limit(server: ServerProcess) -> None:
    chunk = b"10000\r\n" + b"*" * 65536 + b"\r\n"

    def attack(server: ServerProcess) -> None:
        polling = Polling(server.url)
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(head_of_post(polling.query, "Transfer-Encoding: chunked"))
            pour(client, chunk, 300)
            client.settimeout(3)
            with contextlib.suppress(ConnectionError):
                assert client.recv(4096)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 411", b"HTTP/1.1 413")
        polling.post("1")

    survives(server, attack)


def test_json_that_is_nested_as_deep_as_a_message_is_long_is_refused(server: ServerProcess) -> None:
    data = b'42["echo",' + b"[" * 65000
    survives(server, lambda server: check(code_after(server, frame(TEXT, data)), 1007))
    data = b'42["echo",' + b"[" * 32000 + b"]" * 32001
    survives(server, lambda server: check(code_after(server, frame(TEXT, data)), 1007))


def test_a_number_of_sixty_thousand_digits_stops_nobody(server: ServerProcess) -> None:
    def attack(server: ServerProcess) -> None:
        with RawWebSocket(server.url) as client:
            client.open_session()
            client.say('421["echo",' + "9" * 60000 + "]")
            client.receive()  # an answer or the end, as long as it comes soon

    survives(server, attack)


def test_a_flood_of_pings_stops_nobody(server: ServerProcess) -> None:
    pings = frame(PING, b"x" * 125) * 500

    def attack(server: ServerProcess) -> None:
        with RawWebSocket(server.url) as client:
            client.open_session()
            pour(client.socket, pings, 40)

    survives(server, attack)


def test_a_payload_of_as_many_packets_as_fit_stops_nobody(server: ServerProcess) -> None:
    body = b"\x1e".join([b"3"] * 32768)

    def attack(server: ServerProcess) -> None:
        polling = Polling(server.url)
        assert polling.post_bytes(body).status == 400

    survives(server, attack)
