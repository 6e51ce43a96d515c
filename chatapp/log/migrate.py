"""Brings a database to the newest schema, with Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(connection: Connection) -> None:
    """Run the migrations that this database has not seen; most often there is none.

    Reads first, so that a database that cannot be written, but is up to date, can be read.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    head = ScriptDirectory.from_config(config).get_current_head()
    reading = connection.execution_options(chatapp_write=False)
    with reading.begin():
        current = MigrationContext.configure(reading).get_current_revision()
    if current != head:
        writing = connection.execution_options(chatapp_write=True)
        with writing.begin():
            command.upgrade(config, "head")
