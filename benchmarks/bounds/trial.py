"""A trial, and the figures that it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Contender
from benchmarks.measure import Course
from benchmarks.processes import Cores
from benchmarks.table import number
from benchmarks.traffic import Tally


@dataclass(frozen=True)
class Figure:
    """A figure and, if it has one, its bound."""

    title: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    def holds(self) -> bool:
        """Tell whether the figure is within its bound."""
        above = self.at_most is not None and self.value > self.at_most
        below = self.at_least is not None and self.value < self.at_least
        return not above and not below

    def __str__(self) -> str:
        line = f"{self.title}: {number(self.value)} {self.unit}"
        if self.at_most is not None:
            line += f", at most {number(self.at_most)}"
        elif self.at_least is not None:
            line += f", at least {number(self.at_least)}"
        else:
            return line
        return f"{line}: {'holds' if self.holds() else 'FAILS'}"


def core_share(*tallies: Tally) -> Figure:
    """Return how much of its core the load generator got, at least: all on a machine that is idle."""
    share = min(tally.core_share for tally in tallies)
    return Figure("meanwhile the load generator got", 100 * share, "% of its core")


@dataclass(frozen=True)
class Trial:
    """Which chatapp is tried, where, and how thoroughly."""

    chatapp: Contender
    tree: Path
    cores: Cores
    quick: bool = False

    @property
    def rounds(self) -> int:
        """How often what is compared takes turns; figures are the medians."""
        return 1 if self.quick else 3

    @property
    def course(self) -> Course:
        """How long a closed loop is kept up."""
        return Course(1.0, 2.0) if self.quick else Course(2.0, 6.0)
