"""What would take the server's memory or time by the older protocol: bounded as in `test_hostile`."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from attacks import head_of_post, pour, survives
from older_peer import JsonpPolling, OlderPolling, OlderWebSocket, binary_payload, form, payload
from raw_websocket import BINARY, CONTINUATION, TEXT, frame, header
from servers import ServerProcess

MOST_BYTES = 65536
TOO_BIG, NOT_A_PACKET = 1009, 1007

KINDS = [OlderPolling, JsonpPolling]


GRIN = "\U0001f600"

NESTED = '42["echo",' + "[" * 15000 + "]" * 15001

BODIES = {
    "messages": payload([f'42["message","{"é" * 20}"]'] * 700),
    "pings": payload([f"2{GRIN}"] * 999),
    "one long ping": payload(["2" + GRIN * 16000]),
    "too many packets": payload(["6"] * 21000),
    "too many packets of bytes": binary_payload(["6"] * 16000),
    "attachments that nobody awaits": binary_payload([b""] * 999),
    "texts that may be UTF-8 twice": payload([("2" + "é" * 20).encode().decode("latin-1")] * 700),
    "lists in lists": payload([NESTED]),
    "zeros": b"\x00" * MOST_BYTES,
    "ones": b"1" * MOST_BYTES,
    "a length and no packet": b"9999999999:" + GRIN.encode() * 16000,
    "a length of bytes that goes on": b"\x00" + b"\x09" * (MOST_BYTES - 1),
    "a form of percent signs": b"d=" + b"%" * (MOST_BYTES - 2),
    "a form of backslashes": form(["4" + "\\\\n" * 6000]),
    "a form of messages": form([f'42["message","{"x" * 20}"]'] * 999),
    "a form of fields": b"&" * MOST_BYTES,
    "a form of named fields": b"d=&" * (MOST_BYTES // 3),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_post_holds_stops_nobody(
    server: ServerProcess, kind: type[OlderPolling], body: bytes
) -> None:
    assert len(body) <= MOST_BYTES

    def attack(server: ServerProcess) -> None:
        polling = kind(server.url)
        if polling.post_bytes(body).status == 200:
            polling.say("1")

    survives(server, attack)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", ["Content-Length: 20000000", "Transfer-Encoding: chunked"])
def test_a_request_of_20_megabytes_is_refused_while_it_pours_in(
    server: ServerProcess, kind: type[OlderPolling], line: str
) -> None:
    is_chunked = "chunked" in line
    data = b"*" * MOST_BYTES
    data = b"10000\r\n" + data + b"\r\n" if is_chunked else data

    def attack(server: ServerProcess) -> None:
        polling = kind(server.url)
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(head_of_post(polling.query, line))
            pour(client, data, 300)
            client.settimeout(3)
            with contextlib.suppress(ConnectionError):  # its end may overtake the answer
                status = client.recv(4096)[9:12]
                assert status == b"413" or (is_chunked and status in (b"400", b"411"))
        polling.post("1")

    survives(server, attack)


def code_after(server: ServerProcess, data: bytes, flood: bytes = b"", times: int = 0) -> int:
    with OlderWebSocket(server.url) as client:
        client.open_session()
        client.send(data)
        if flood:
            pour(client.socket, flood, times)
            client.socket.settimeout(3)
        return client.closed_with()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_frame_that_declares_gigabytes_is_refused_by_its_header(server: ServerProcess, opcode: int) -> None:
    def attack(server: ServerProcess) -> None:
        began = time.monotonic()
        assert code_after(server, header(opcode, 1 << 31)) == TOO_BIG
        assert time.monotonic() - began < 1

    survives(server, attack)


def test_a_million_fragments_are_refused_at_the_limit(server: ServerProcess) -> None:
    fragments = frame(CONTINUATION, b"", fin=False) * 10_000

    def attack(server: ServerProcess) -> None:
        assert code_after(server, frame(BINARY, b"\x04", fin=False), fragments, 100) == TOO_BIG

    survives(server, attack)


@pytest.mark.parametrize("text", [NESTED, "b" * 60000, "b4" + "=" * 60000, "40/custom?" + "a&" * 30000])
def test_a_long_text_that_is_no_packet_stops_nobody(server: ServerProcess, text: str) -> None:
    def attack(server: ServerProcess) -> None:
        assert code_after(server, frame(TEXT, text.encode())) == NOT_A_PACKET

    survives(server, attack)


def test_a_flood_of_pings_whose_answers_are_not_read_stops_nobody(server: ServerProcess) -> None:
    pings = frame(TEXT, b"2" + b"x" * 1000) * 50

    def attack(server: ServerProcess) -> None:
        with OlderWebSocket(server.url) as client:
            client.open_session()
            pour(client.socket, pings, 100)

    survives(server, attack)
