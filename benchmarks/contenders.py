"""Who is measured, and how each is started."""

from __future__ import annotations

import configparser
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Cores, Server, running

ROOT = Path(__file__).parents[1]

#: The one that all the others are compared with.
NODE = "Node socket.io"

#: What differs from chatapp's defaults, by section and key: an older tree may not know each of them.
SETTINGS: Mapping[str, Mapping[str, str]] = {"limits": {"enabled": "no", "connections": "20000"}}


@dataclass(frozen=True)
class Start:
    """A command, where it runs, and what it finds in its environment."""

    command: Sequence[str]
    environ: Mapping[str, str]
    cwd: Path


@dataclass(frozen=True)
class Contender:
    """A server under a name. ``start(directory, stores)`` may write into the directory."""

    name: str
    start: Callable[[Path, bool], Start]
    #: Whether it can commit every message before it sends it on.
    can_store: bool = False

    @contextlib.contextmanager
    def running(self, cores: Cores, *, stores: bool) -> Iterator[tuple[Server, Path]]:
        """Run it on its core, and this process on the other; yield it and the directory it keeps its data
        in, which is gone afterwards. Raises BenchmarkError if it does not start, or ends."""
        with tempfile.TemporaryDirectory(prefix="chatapp-bench-") as name:
            directory = Path(name)
            start = self.start(directory, stores)
            output = directory / "output"
            with running(start.command, start.environ, start.cwd, output, cores.server) as server:
                os.sched_setaffinity(0, {cores.generator})
                yield server, directory


def node() -> Contender:
    """Return Node's socket.io, which commits with better-sqlite3."""

    def start(directory: Path, stores: bool) -> Start:
        store = ["--store", str(directory / "node.db")] if stores else []
        program = shutil.which("node", path=str(Path(sys.executable).parent)) or "node"
        command = [program, str(ROOT / "benchmarks" / "node" / "server.js"), *store]
        return Start(command, {"NODE_ENV": "production"}, directory)

    return Contender(NODE, start, can_store=True)


def _python_peer(name: str, module: str, *options: str) -> Contender:
    def start(directory: Path, stores: bool) -> Start:
        return Start([sys.executable, "-m", *options, f"benchmarks.peers.{module}"], {}, ROOT)

    return Contender(name, start)


def chatapp(name: str, tree: Path, *, workers: int = 0) -> Contender:
    """Return the chatapp of a source tree, which commits to SQLite; with so many workers under gunicorn."""
    serve = ["-m", "chatapp", "serve"]
    if workers:
        conf = str(tree / "conf" / "gunicorn.conf.py")
        serve = ["-m", "gunicorn", "-c", conf, "-b", "127.0.0.1:0", "-w", str(workers), "wsgi:app"]

    def start(directory: Path, stores: bool) -> Start:
        environ = {
            "PORT": "0",
            "PYTHONPATH": str(tree),
            "PYTHONUNBUFFERED": "1",
            "CHATAPP_APP_DATA_DIR": str(directory),
            "CHATAPP_STORAGE_URL": "" if stores else "none",
        } | _settings(tree)
        return Start([sys.executable, *serve], environ, tree)

    return Contender(name, start, can_store=True)


def _settings(tree: Path) -> dict[str, str]:
    """Return those of `SETTINGS` that a source tree knows, as environment variables."""
    known = configparser.ConfigParser(interpolation=None)
    known.read(tree / "conf" / "chatapp.ini", "utf-8")
    return {
        f"CHATAPP_{section}_{key}".upper(): value
        for section, keys in SETTINGS.items()
        for key, value in keys.items()
        if known.has_option(section, key)
    }


_UNDER_GEVENT = ["gevent.monkey", "--module"]

#: What ``--only`` knows, besides the names of the chatapps.
PEERS: Mapping[str, Contender] = {
    "node": node(),
    "gevent": _python_peer("python-socketio, gevent", "socketio_gevent", *_UNDER_GEVENT),
    "flask": _python_peer("Flask-SocketIO", "flask_socketio_gevent", *_UNDER_GEVENT),
    "uvicorn": _python_peer("python-socketio, uvicorn", "socketio_uvicorn"),
}
