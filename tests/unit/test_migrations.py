"""Migrations: they make what the code expects, once, whoever runs them and however often."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, make_url, select

import databases
from chatapp.errors import StorageUnavailable
from chatapp.log.database import Database
from chatapp.log.migrate import MIGRATIONS, migrate, newest
from chatapp.log.schema import metadata, rooms
from chatapp.log.server_database import ServerDatabase
from servers import PATIENCE_SECONDS, ROOT


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A connection to a new database, which has no tables."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/chat.db")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture(params=["sqlite", *databases.KINDS])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new database, of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/chat.db"
    else:
        with databases.new_database(request.param) as url:
            yield url


def open_database(url: str) -> Database | ServerDatabase:
    if url.startswith("sqlite"):
        return Database(url, synchronous="normal", busy_seconds=1)
    return ServerDatabase(url, busy_seconds=1, readers=1)


def schema(connection: Connection) -> list[tuple[str, str]]:
    with connection.begin():
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master ORDER BY name")
        return [(row.name, row.sql) for row in found]


def test_the_migrations_make_the_tables_that_the_code_knows(url: str) -> None:
    with closing(open_database(url)) as database, database.transaction(write=True) as tx:
        assert compare_metadata(MigrationContext.configure(tx), metadata) == []


@pytest.mark.parametrize("kind", databases.KINDS)
def test_each_table_of_a_server_is_as_it_would_be_made_directly(kind: str) -> None:
    found = []
    for directly in (False, True):
        with databases.new_database(kind) as url:
            if directly:
                with databases.connected(make_url(url)) as connection:
                    metadata.create_all(connection)
            else:
                with closing(open_database(url)) as database, database.transaction(write=False):
                    pass
            with databases.connected(make_url(url)) as connection:
                found.append(set(columns_and_indexes(connection)))
    assert found[0] == found[1]


def columns_and_indexes(connection: Connection) -> Iterator[tuple[str, ...]]:
    """Yield what the server itself says about each column and each index."""
    more = ""
    if connection.dialect.name == "postgresql":
        indexes = (
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename != 'alembic_version'"
        )
        yield from map(tuple, connection.exec_driver_sql(indexes))
        schema = "'public'"
    else:
        schema, more = "DATABASE()", ", column_type, column_key, extra"
    columns = f"table_name, column_name, data_type, is_nullable, character_maximum_length{more}"
    rows = connection.exec_driver_sql(
        f"SELECT {columns} FROM information_schema.columns WHERE table_schema = {schema}"
    )
    yield from (tuple(map(str, row)) for row in rows if row[0] != "alembic_version")


def test_texts_are_told_apart_by_their_bytes_in_each_table(url: str) -> None:
    with closing(open_database(url)) as database, database.transaction(write=True) as tx:
        for number, key in enumerate(["a", "A", "\u00e4", "a ", "\U0001f44d", "\U0001f44e"]):
            values = {"key": key, "name": key, "epoch": str(number), "last_seq": 0}
            tx.execute(insert(rooms).values(values))
        found = tx.execute(select(rooms.c.epoch).where(rooms.c.key == "A")).scalars().all()
        assert found == ["1"]


def test_each_table_is_as_it_would_be_made_directly(connection: Connection, tmp_path: Path) -> None:
    migrate(connection)
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/direct.db")
    with engine.connect() as direct:
        with direct.begin():
            metadata.create_all(direct)
        tables = {name: described(sql) for name, sql in schema(direct)}
    engine.dispose()
    migrated = {name: described(sql) for name, sql in schema(connection) if "alembic" not in name}
    assert migrated == tables


def described(sql: str | None) -> set[str]:
    """Return what a CREATE statement says, whatever the order."""
    return {line.strip().rstrip(",") for line in (sql or "").splitlines()}


def test_there_is_one_newest_schema() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    assert ScriptDirectory.from_config(config).get_heads() == [newest()]


def test_a_database_that_is_up_to_date_is_not_written(connection: Connection, tmp_path: Path) -> None:
    migrate(connection)
    before = schema(connection)
    connection.exec_driver_sql("PRAGMA query_only = 1")
    connection.rollback()
    contents = (tmp_path / "chat.db").read_bytes()
    for _ in range(2):
        migrate(connection)
    assert schema(connection) == before
    assert (tmp_path / "chat.db").read_bytes() == contents


def test_a_database_that_a_newer_chatapp_made_is_refused_and_left_alone(url: str) -> None:
    with closing(open_database(url)) as database, database.transaction(write=True) as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with (
        closing(open_database(url)) as database,
        pytest.raises(StorageUnavailable) as refused,
        database.transaction(write=False),
    ):
        pass
    assert "9999" in str(refused.value.__cause__)
    with databases.connected(make_url(url)) as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "9999"


def test_processes_that_start_at_once_on_a_new_database_make_it_once(url: str) -> None:
    code = (
        "import sys\n"
        "from chatapp.log.database import Database\n"
        "from chatapp.log.server_database import ServerDatabase\n"
        "if sys.argv[1].startswith('sqlite'):\n"
        "    database = Database(sys.argv[1], synchronous='normal', busy_seconds=20)\n"
        "else:\n"
        "    database = ServerDatabase(sys.argv[1], busy_seconds=20, readers=1)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "with database.transaction(write=False) as tx:\n"
        "    print(tx.exec_driver_sql('SELECT version_num FROM alembic_version').scalars().all())\n"
        "database.close()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, url],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()  # now, all of them
        process.stdin = None
    outputs = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    assert outputs == [("['0002']\n", "")] * 3
    if url.startswith("sqlite"):
        with databases.connected(make_url(url)) as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
