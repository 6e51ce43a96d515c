"""Apache with ``conf/apache.conf``, in which only the addresses are others."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import wait_until
from servers import ROOT

_LISTEN, _UPSTREAM = "<VirtualHost *:80>", "http://127.0.0.1:8000/"

_MODULES = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http")

_MAIN = """
ServerName localhost
ServerRoot {directory}
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
ErrorLog {directory}/error.log
Listen {address}
{modules}
{user}
Include {directory}/chatapp.conf
"""


def _program() -> tuple[str, Path]:
    """Return the program and the folder of its modules, where Debian has them."""
    program = shutil.which("apache2", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    modules = Path("/usr/lib/apache2/modules")
    if program is None or not modules.is_dir():
        pytest.skip("there is no Apache: apt-get install apache2-bin")
    return program, modules


def configuration(address: str, upstream: str) -> str:
    """Return the text of ``conf/apache.conf`` for these addresses, ``host:port`` each."""
    text = (ROOT / "conf" / "apache.conf").read_text("utf-8")
    assert text.count(_LISTEN) == 1 and text.count(_UPSTREAM) == 2
    text = text.replace(_LISTEN, f"<VirtualHost {address}>")
    return text.replace(_UPSTREAM, f"http://{upstream}/")


@contextlib.contextmanager
def apache(directory: Path, upstream: str) -> Iterator[str]:
    """Run Apache before a server (``host:port``), with its files in `directory`; yield its URL."""
    program, modules = _program()
    directory.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    main = _MAIN.format(
        directory=directory,
        address=address,
        modules="\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in _MODULES),
        user="User nobody\nGroup nogroup" if os.geteuid() == 0 else "",
    )
    (directory / "chatapp.conf").write_text(configuration(address, upstream), "utf-8")
    (directory / "apache.conf").write_text(main, "utf-8")
    with (directory / "stderr.log").open("wb") as errors:
        process = subprocess.Popen(
            [program, "-DFOREGROUND", "-f", str(directory / "apache.conf")],
            env=os.environ | {"APACHE_LOG_DIR": str(directory)},
            stderr=errors,
            start_new_session=True,
        )
    try:
        wait_until(lambda: process.poll() is not None or (directory / "apache.pid").exists(), "Apache")
        assert process.poll() is None, (directory / "stderr.log").read_text("utf-8")
        yield f"http://{address}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # in good order it waits for those who are connected
        process.wait()
