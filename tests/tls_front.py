"""A process that decrypts TLS for a server of this host: `tls_before` runs it."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
from gevent.server import StreamServer
from gevent.socket import create_connection


def forward(source: Any, target: Any) -> None:
    """Pass on what comes until one side ends."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)


def serve(port: int, certificate: str, key: str) -> None:
    """Decrypt for this port, on a port that is free, which is printed."""

    def handle(client: Any, _: Any) -> None:
        with create_connection(("127.0.0.1", port)) as server:
            ways = [gevent.spawn(forward, client, server), gevent.spawn(forward, server, client)]
            gevent.joinall(ways, count=1)
            gevent.killall(ways)

    front = StreamServer(
        ("127.0.0.1", 0), handle, certfile=certificate, keyfile=key, ssl_version=ssl.PROTOCOL_TLS_SERVER
    )
    front.start()
    print(front.server_port, flush=True)
    front.serve_forever()


@contextlib.contextmanager
def tls_before(port: int, directory: Path) -> Iterator[tuple[int, Path]]:
    """Decrypt for a server of this host; yield the port for TLS, and the certificate of localhost."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    made = ["-keyout", str(key), "-out", str(certificate), "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", *made]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    command = [sys.executable, __file__, str(port), str(certificate), str(key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as front:
        try:
            assert front.stdout is not None
            yield int(front.stdout.readline()), certificate
        finally:
            front.kill()


if __name__ == "__main__":
    serve(int(sys.argv[1]), *sys.argv[2:4])
