"""Brings a database to the newest schema, with Alembic."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, String, column, inspect, select, table

from chatapp.errors import StorageUnavailable
from chatapp.log.quiet import silenced

MIGRATIONS = Path(__file__).with_name("migrations")

_revision = select(column("version_num", String)).select_from(table("alembic_version"))


def newest() -> str:
    """Return the revision of the newest migration, by which its file's name begins."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*.py"))


def migrate(
    connection: Connection,
    transaction: Callable[[Connection], AbstractContextManager[object]] = Connection.begin,
) -> None:
    """Run the migrations that this database has not seen; most often there is none.

    Reads first, so that a database that cannot be written, but is up to date, can be read. `transaction`
    begins one that keeps other processes from doing the same until it is committed. Raises StorageUnavailable
    for a database that a newer chatapp has made.
    """
    reading = connection.execution_options(chatapp_write=False)
    with reading.begin():
        current = reading.scalar(_revision) if inspect(reading).has_table("alembic_version") else None
    if current == newest():
        return
    # Here, for it takes 0.1 s that every start would pay.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    writing = connection.execution_options(chatapp_write=True)
    try:
        with silenced("alembic.runtime.migration"), transaction(writing):
            command.upgrade(config, "head")  # which looks again at what there is by now
    except CommandError as error:
        raise StorageUnavailable(retry_after=None) from error
