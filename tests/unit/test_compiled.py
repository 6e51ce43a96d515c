"""Statements that the driver runs itself: their values, their rows and their errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    insert,
    literal,
    select,
)

from chatapp.log.compiled import Compiled

birds = Table("birds", MetaData(), Column("id", Integer, primary_key=True), Column("name", String(20)))


@pytest.fixture
def tx() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    birds.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_rows_are_tuples_in_the_order_of_the_statement(tx: Connection) -> None:
    add = Compiled(insert(birds))
    add.run(tx, name="wren", id=2)
    add.run(tx, id=1, name=None)
    every = Compiled(select(birds.c.name, birds.c.id).order_by(birds.c.id))
    assert every.rows(tx) == [(None, 1), ("wren", 2)]
    one = Compiled(select(birds).where(birds.c.id == bindparam("id")))
    assert one.row(tx, id=2) == (2, "wren")
    assert one.row(tx, id=3) is None


def test_values_are_told_by_name_and_constants_are_part_of_the_statement(tx: Connection) -> None:
    Compiled(insert(birds)).run(tx, name="'; DROP TABLE birds", id=7)
    found = Compiled(select(literal("x"), birds.c.name).where(birds.c.id == bindparam("id"), birds.c.id > 6))
    assert found.rows(tx, id=7) == [("x", "'; DROP TABLE birds")]


def test_errors_are_the_drivers_own(tx: Connection) -> None:
    add = Compiled(insert(birds))
    add.run(tx, id=1, name=None)
    with pytest.raises(sqlite3.IntegrityError):
        add.run(tx, id=1, name=None)
