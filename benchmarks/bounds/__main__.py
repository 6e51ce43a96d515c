"""``python -m benchmarks.bounds``: measure what chatapp is to bear; print a line for each figure."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.bounds import commits, idle, joins, lone, slow_reader, workers
from benchmarks.bounds.trial import Figure, Trial
from benchmarks.contenders import ROOT, chatapp
from benchmarks.processes import BenchmarkError, raise_file_limit, two_cores

TRIALS: Mapping[str, Callable[[Trial], Iterator[Figure]]] = {
    "joins": joins.figures,
    "idle": idle.figures,
    "commits": commits.figures,
    "lone": lone.figures,
    "slow_reader": slow_reader.figures,
    "workers": workers.figures,
}
#: Files that are open besides one for each client.
OTHER_FILES = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; return 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bounds", description=__doc__)
    parser.add_argument("trials", nargs="*", metavar="NAME", help=f"{', '.join(TRIALS)}; all if not given")
    parser.add_argument("--quick", action="store_true", help="one short round, with fewer idle clients")
    parser.add_argument("--chatapp", type=Path, default=ROOT, metavar="TREE", help="chatapp's source tree")
    options = parser.parse_args(arguments)
    names = options.trials or list(TRIALS)
    if unknown := [name for name in names if name not in TRIALS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(TRIALS)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends the server too
    hold = True
    try:
        raise_file_limit((idle.CLIENTS if "idle" in names else joins.CLIENTS) + OTHER_FILES)
        tree = options.chatapp.resolve()
        trial = Trial(chatapp("chatapp", tree), tree, two_cores(), options.quick)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    for name in names:
        try:
            for figure in TRIALS[name](trial):
                hold = hold and figure.holds()
                print(f"{name}: {figure}", flush=True)
        except (BenchmarkError, OSError) as error:
            hold = False
            print(f"{name}: FAILS: {error or repr(error)}", flush=True)
    return 0 if hold else 1


if __name__ == "__main__":
    raise SystemExit(main())
