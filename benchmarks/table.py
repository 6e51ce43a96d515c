"""The one table: medians over the rounds, and their ratios to Node's."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.contenders import NODE
from benchmarks.loads import Load
from benchmarks.measure import Figures

#: From here on the load generator may have been what limited the rate.
GENERATOR_LIMIT = 0.9
#: With less of its core than this something else was going on.
LEAST_SHARE = 0.9


@dataclass(frozen=True)
class Column:
    """A figure of each run. Those with a ratio are compared with Node's."""

    title: str
    value: Callable[[Figures], float | None]
    has_ratio: bool = True


COLUMNS = [
    Column("CPU µs/delivery", lambda run: run.cpu_us_per_delivery),
    Column("deliveries/s", lambda run: run.deliveries_per_second),
    Column("p50 ms", lambda run: run.p50_ms),
    Column("p99 ms", lambda run: run.p99_ms),
    Column("KB/idle connection", lambda run: run.kb_per_connection),
    Column("CPU µs/connect", lambda run: run.cpu_us_per_connect),
    Column("generator %", lambda run: 100 * run.generator_load, has_ratio=False),
]


@dataclass
class Row:
    """The runs of one server under one load. A run that failed is its reason."""

    load: Load
    stores: bool
    name: str
    runs: list[Figures | str] = field(default_factory=list)

    def median(self, column: Column) -> float | None:
        """Return the median of a column over the runs that have it."""
        figures = [column.value(run) for run in self.runs if isinstance(run, Figures)]
        values = [value for value in figures if value is not None]
        return statistics.median(values) if values else None

    def reasons(self) -> list[str]:
        """Return why runs failed."""
        return [run for run in self.runs if isinstance(run, str)]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table. In brackets: how many times Node's figure."""
    nodes = {(row.load, row.stores): row for row in rows if row.name == NODE}
    lines = [["load", "stored", "server", *(column.title for column in COLUMNS)]]
    lines.append([":--", ":--", ":--", *["--:"] * len(COLUMNS)])
    for row in rows:
        head = [row.load.title, "each message" if row.stores else "nothing", row.name]
        cells = [_cell(row, column, nodes) for column in COLUMNS]
        lines.append([*head, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n" + _notes(rows)


def _cell(row: Row, column: Column, nodes: Mapping[tuple[Load, bool], Row]) -> str:
    value = row.median(column)
    if value is None:
        return "–"
    node = nodes.get((row.load, row.stores))
    base = node.median(column) if node is not None and node is not row and column.has_ratio else None
    return number(value) + (f" ({value / base:.2f}×)" if base else "")


def number(value: float) -> str:
    """Return a figure as people read it: three digits, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _notes(rows: Sequence[Row]) -> str:
    notes = []
    shares = [run.core_share for row in rows for run in row.runs if isinstance(run, Figures)]
    if short := [share for share in shares if share < LEAST_SHARE]:
        got = f"the load generator got {100 * min(short):.0f} % of its core and more"
        notes.append(
            f"- In {len(short)} of {len(shares)} runs {got}: deliveries/s and latency are those of a machine"
            " that did something else."
        )
    for row in rows:
        where = f"{row.name}, {row.load.title}, {'each message' if row.stores else 'nothing'} stored"
        share = row.median(COLUMNS[-1])
        if share is not None and share >= 100 * GENERATOR_LIMIT:
            notes.append(f"- {where}: the load generator was at its limit; CPU per delivery still holds.")
        for reason in dict.fromkeys(row.reasons()):
            notes.append(f"- {where}: {row.runs.count(reason)} of {len(row.runs)} runs failed: {reason}")
    return "".join(f"\n{note}" for note in notes)
