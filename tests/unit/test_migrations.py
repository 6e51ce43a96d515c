"""Migrations: they make what the code expects, once, whoever runs them and however often."""

from __future__ import annotations

import os
import sqlite3
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
from sqlalchemy import Connection

from chatapp.errors import StorageUnavailable
from chatapp.log.database import Database
from chatapp.log.migrate import MIGRATIONS, migrate
from chatapp.log.schema import metadata
from servers import PATIENCE_SECONDS, ROOT


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A connection to a new database, which has no tables."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/chat.db")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def schema(connection: Connection) -> list[tuple[str, str]]:
    with connection.begin():
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master ORDER BY name")
        return [(row.name, row.sql) for row in found]


def test_the_migrations_make_the_tables_that_the_code_knows(connection: Connection) -> None:
    migrate(connection)
    with connection.begin():
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


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
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1


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


def test_a_database_that_a_newer_chatapp_made_is_refused_and_left_alone(tmp_path: Path) -> None:
    def open_database() -> Database:
        return Database(f"sqlite:///{tmp_path}/chat.db", synchronous="normal", busy_seconds=1)

    database = open_database()
    with database.transaction(write=True) as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    contents = (tmp_path / "chat.db").read_bytes()
    database = open_database()
    with pytest.raises(StorageUnavailable) as refused, database.transaction(write=False):
        pass
    assert "9999" in str(refused.value.__cause__)
    database.close()
    assert (tmp_path / "chat.db").read_bytes() == contents


def test_processes_that_start_at_once_on_a_new_database_make_it_once(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from chatapp.log.database import Database\n"
        "database = Database(sys.argv[1], synchronous='normal', busy_seconds=20)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "with database.transaction(write=False) as tx:\n"
        "    print(tx.exec_driver_sql('SELECT version_num FROM alembic_version').scalars().all())\n"
        "database.close()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"sqlite:///{tmp_path}/chat.db"],
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
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
