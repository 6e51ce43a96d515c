"""``python -m benchmarks``: measure chatapp and its peers side by side and print one table."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import PEERS, ROOT, Contender, chatapp
from benchmarks.loads import LOADS
from benchmarks.measure import Course, measure
from benchmarks.processes import BenchmarkError, Cores, raise_file_limit, two_cores
from benchmarks.table import Row, table

#: Files that are open besides one per client: the interpreter's, the database's.
OTHER_FILES = 500
#: Time for just-in-time compilers and growing windows, as a share of the time measured.
WARM_UP = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; return the exit status."""
    options = _parser().parse_args(arguments)
    if options.quick:
        options.seconds, options.rounds = 1.0, 1
    chosen = [LOADS[name] for name in options.load or LOADS]
    everyone = _contenders(options)
    rows = [
        Row(load, stores, contender.name)
        for stores in _storages(options)
        for load in chosen
        for contender in everyone
        if contender.can_store or not stores
    ]
    by_name = {contender.name: contender for contender in everyone}
    course = Course(options.seconds * WARM_UP, options.seconds, options.acks)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends the server too
    try:
        cores = two_cores()
        raise_file_limit(max(load.clients for load in chosen) + OTHER_FILES)
        _run(rows, by_name, course, cores, options.rounds)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    rounds = "1 round" if options.rounds == 1 else f"medians of {options.rounds} rounds"
    print(f"{_machine(cores)}; {rounds} of {options.seconds:g} s.\n")
    print(table(rows))
    return 1 if any(row.reasons() for row in rows) else 0


def _run(
    rows: Sequence[Row], by_name: dict[str, Contender], course: Course, cores: Cores, rounds: int
) -> None:
    """Fill the rows. All servers have their turn at a load before any has its next one."""
    groups: dict[object, list[Row]] = {}
    for row in rows:
        groups.setdefault((row.load, row.stores), []).append(row)
    turns = [row for group in groups.values() for _ in range(rounds) for row in group]
    for number, row in enumerate(turns, 1):
        stored = "each message" if row.stores else "nothing"
        line = f"[{number}/{len(turns)}] {row.load.title}, {stored} stored: {row.name}"
        print(line, file=sys.stderr, end="", flush=True)
        try:
            run = measure(by_name[row.name], row.load, course, cores, stores=row.stores)
        except (BenchmarkError, OSError) as error:
            row.runs.append(f"{error}" or repr(error))
            print(": failed", file=sys.stderr)
        else:
            row.runs.append(run)
            print(f": {run.cpu_us_per_delivery:.2f} µs", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help=f"measure only this server (repeatable): {', '.join(PEERS)}, or a chatapp's name",
    )
    parser.add_argument("--load", action="append", choices=LOADS, help="this load only (repeatable)")
    parser.add_argument("--stored", choices=("nothing", "all", "both"), default="both")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each time (4)")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument(
        "--no-acks", dest="acks", action="store_false", help="senders ask for no acknowledgement"
    )
    parser.add_argument(
        "--chatapp",
        action="append",
        metavar="NAME=TREE",
        help="a source tree of chatapp (repeatable; chatapp=this one)",
    )
    parser.add_argument("--gunicorn", action="store_true", help="also measure each chatapp under gunicorn")
    return parser


def _contenders(options: argparse.Namespace) -> list[Contender]:
    named = dict(PEERS)
    for argument in options.chatapp or [f"chatapp={ROOT}"]:
        name, _, tree = argument.rpartition("=")
        path = Path(tree).resolve()
        name = name or path.name
        named[name] = chatapp(name, path)
        if options.gunicorn:
            named[f"{name}-gunicorn"] = chatapp(f"{name}, gunicorn", path, workers=1)
    unknown = [name for name in options.only or [] if name not in named]
    if unknown:
        raise SystemExit(f"--only: there is no {', '.join(unknown)}; there are {', '.join(named)}")
    return [contender for name, contender in named.items() if name in (options.only or named)]


def _storages(options: argparse.Namespace) -> list[bool]:
    return {"nothing": [False], "all": [True], "both": [False, True]}[options.stored]


def _machine(cores: Cores) -> str:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    model = models[0] if models else platform.machine()
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} cores, load average {load:.1f} at the end; Python "
        f"{platform.python_version()}; the server on core {cores.server}, the load on {cores.generator}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
