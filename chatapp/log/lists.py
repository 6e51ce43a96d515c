"""Lists that go into a statement as one parameter, in whatever form a database takes them.

SQLite takes 32,766 parameters at most, and a driver lets go of the interpreter once for each row that it is
given. So a list is JSON for SQLite (``json_each``). PostgreSQL gets numbers as an array, MySQL and MariaDB as
they are written in a statement, for only so do they look for each in an index; rows are JSON there, too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Dialect,
    String,
    Text,
    TypeDecorator,
    bindparam,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

#: Without a collation of its own: they compare as the columns of the tables do.
_MYSQL_TEXT = "CHARACTER SET utf8mb4"


class _Numbers(TypeDecorator[Sequence[int]]):
    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(BigInteger) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Sequence[int] | None, dialect: Dialect) -> Any:
        numbers = list(value or ())
        if dialect.name == "sqlite":
            return json.dumps(numbers)
        if dialect.name == "postgresql":
            return numbers
        return tuple(numbers) or (None,)  # the driver writes it out, and () would be wrong


class _Rows(TypeDecorator[Sequence[Sequence[Any]]]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[Sequence[Any]] | None, dialect: Dialect) -> str:
        return json.dumps(value, ensure_ascii=False)


def is_listed(column: ColumnElement[int], name: str) -> ColumnElement[bool]:
    """Return whether `column` is one of the whole numbers in the list that is the parameter `name`."""
    return _Listed(column, name)


class _Listed(FunctionElement[bool]):
    name = "is_listed"
    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[int], name: str) -> None:
        super().__init__(column, bindparam(name, type_=_Numbers()))

    def self_group(self, against: Any = None) -> Any:
        return self  # not ``… IN (…) = 1``, which finds no index


@compiles(_Listed, "sqlite")
def _in_json(element: _Listed, compiler: SQLCompiler, **options: Any) -> str:
    column, numbers = element.clauses
    name = numbers.key
    listed = f"SELECT {name}.value FROM json_each({compiler.process(numbers, **options)}) AS {name}"
    return f"{compiler.process(column, **options)} IN ({listed})"


@compiles(_Listed, "postgresql")
def _in_array(element: _Listed, compiler: SQLCompiler, **options: Any) -> str:
    column, numbers = element.clauses
    return f"{compiler.process(column, **options)} = ANY ({compiler.process(numbers, **options)})"


@compiles(_Listed, "mysql")
@compiles(_Listed, "mariadb")
def _in_list(element: _Listed, compiler: SQLCompiler, **options: Any) -> str:
    column, numbers = element.clauses
    return f"{compiler.process(column, **options)} IN {compiler.process(numbers, **options)}"


class Rows:
    """The rows of a list of lists, which is the parameter `name`: a table to select from.

    ``rows[n]`` is the value at `n` in each row, and has the nth of `types`; `place` grows from row to row.
    """

    def __init__(self, name: str, *types: TypeEngine[Any]) -> None:
        self._types = types
        self.table = _JsonRows(name, types).table_valued("key", "value", name=name)

    @property
    def place(self) -> ColumnElement[int]:
        """What to order by for the list's own order."""
        return self.table.c.key

    def __getitem__(self, number: int) -> ColumnElement[Any]:
        return _Cell(self.table.c.value, number, self._types[number])

    def __len__(self) -> int:
        return len(self._types)


class _JsonRows(FunctionElement[Any]):
    name = "json_rows"
    inherit_cache = False

    def __init__(self, name: str, types: Sequence[TypeEngine[Any]]) -> None:
        super().__init__(bindparam(name, type_=_Rows()))
        self.types = types


@compiles(_JsonRows, "sqlite")
def _json_each(element: _JsonRows, compiler: SQLCompiler, **options: Any) -> str:
    (rows,) = element.clauses
    return f"json_each({compiler.process(rows, **options)})"


@compiles(_JsonRows, "postgresql")
def _json_array_elements(element: _JsonRows, compiler: SQLCompiler, **options: Any) -> str:
    (rows,) = element.clauses
    elements = f"jsonb_array_elements(CAST({compiler.process(rows, **options)} AS JSONB))"
    return f"(SELECT value, ordinality AS key FROM {elements} WITH ORDINALITY)"


@compiles(_JsonRows, "mysql")
@compiles(_JsonRows, "mariadb")
def _json_table(element: _JsonRows, compiler: SQLCompiler, **options: Any) -> str:
    (rows,) = element.clauses
    columns = ["`key` FOR ORDINALITY"]
    for number, type_ in enumerate(element.types):
        declared = compiler.dialect.type_compiler_instance.process(type_)
        if isinstance(type_, String):
            declared = f"{declared} {_MYSQL_TEXT}"
        columns.append(f"c{number} {declared} PATH '$[{number}]'")
    return f"JSON_TABLE({compiler.process(rows, **options)}, '$[*]' COLUMNS ({', '.join(columns)}))"


class _Cell(FunctionElement[Any]):
    name = "cell"
    inherit_cache = False

    def __init__(self, value: ColumnElement[Any], number: int, type_: TypeEngine[Any]) -> None:
        super().__init__(value)
        self.number = number
        self.type = type_


@compiles(_Cell, "sqlite")
def _extract(element: _Cell, compiler: SQLCompiler, **options: Any) -> str:
    (value,) = element.clauses
    return f"json_extract({compiler.process(value, **options)}, '$[{element.number}]')"


@compiles(_Cell, "postgresql")
def _cast(element: _Cell, compiler: SQLCompiler, **options: Any) -> str:
    (value,) = element.clauses
    declared = compiler.dialect.type_compiler_instance.process(element.type)
    return f"CAST({compiler.process(value, **options)} ->> {element.number} AS {declared})"


@compiles(_Cell, "mysql")
@compiles(_Cell, "mariadb")
def _column(element: _Cell, compiler: SQLCompiler, **options: Any) -> str:
    (value,) = element.clauses
    return f"{compiler.preparer.quote(value.table.name)}.c{element.number}"


__all__ = ["Rows", "is_listed"]
