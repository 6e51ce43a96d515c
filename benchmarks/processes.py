"""Servers as processes on a core of their own, and what the operating system says that they use."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: How long a server may take to start.
START_SECONDS = 30
_LISTENING = re.compile(r"[Ll]istening (?:on|at):? http://127\.0\.0\.1:(\d+)")

#: What is waited for that at most: a server may always have something to do.
SETTLE_SECONDS = 30.0

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """A server did not do what is measured. The text says what."""


@dataclass(frozen=True)
class Cores:
    """Which core is the server's, and which the load generator's."""

    server: int
    generator: int


def two_cores() -> Cores:
    """Return two of the cores that this process may use. Raises BenchmarkError if it has one only."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("two cores are needed: one for the server, one for the load")
    return Cores(server=cores[-1], generator=cores[-2])


def raise_file_limit(files: int) -> None:
    """Let this process and those it starts open so many files. Raises BenchmarkError if they may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        raise BenchmarkError(f"{files} open files are needed, and the limit is {hard}: see ulimit -Hn")
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


@dataclass(frozen=True)
class Process:
    """One line of ``/proc/<pid>/stat`` (proc(5))."""

    pid: int
    session: int
    #: User and system time, of processes that it has waited for too.
    cpu_ticks: int


def parse_stat(line: str) -> Process:
    """Return what a line of ``/proc/<pid>/stat`` says. The command's name in it may hold anything."""
    pid = int(line.partition(" ")[0])
    fields = line.rpartition(")")[2].split()
    return Process(pid, session=int(fields[3]), cpu_ticks=sum(map(int, fields[11:15])))


def _processes() -> Iterator[Process]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended
            yield parse_stat(path.read_text("utf-8", "replace"))


class Server:
    """A server that runs, with all its processes."""

    def __init__(self, session: int, port: int) -> None:
        self._session = session
        self.port = port

    def cpu_seconds(self) -> float:
        """Return the user and system time that it has used so far, in steps of a clock tick (10 ms)."""
        return sum(process.cpu_ticks for process in self._own()) / _TICKS_PER_SECOND

    def memory_kb(self) -> int:
        """Return its proportional set size: what pages it shares count by how many share them."""
        total = 0
        for process in self._own():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it ended
                rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii")
                total += int(rollup.partition("\nPss:")[2].split()[0])
        return total

    def open_files(self) -> int:
        """Return how many file descriptors it has open."""
        return sum(self.open_files_of_each())

    def open_files_of_each(self) -> list[int]:
        """Return how many file descriptors each of its processes has open, the most first."""
        counts = (len(os.listdir(f"/proc/{process.pid}/fd")) for process in self._own())
        return sorted(counts, reverse=True)

    def settle(self, quiet_seconds: float, read_on: Callable[[], object]) -> None:
        """Wait until it has nothing more to do, with clients that go on reading."""
        deadline = time.monotonic() + SETTLE_SECONDS
        used, quiet_since = self.cpu_seconds(), time.monotonic()
        while (now := time.monotonic()) < min(deadline, quiet_since + quiet_seconds):
            time.sleep(0.05)
            read_on()
            if (cpu_seconds := self.cpu_seconds()) > used:
                used, quiet_since = cpu_seconds, now

    def _own(self) -> list[Process]:
        return [process for process in _processes() if process.session == self._session]


@contextlib.contextmanager
def running(
    command: Sequence[str], environ: Mapping[str, str], cwd: Path, output: Path, core: int
) -> Iterator[Server]:
    """Run a server on one core, from when it says where it listens to the end of the block.

    What it prints goes to the file `output`. Raises BenchmarkError if it does not start, and if it has
    ended when the block fails.
    """
    with output.open("wb") as stream:
        own_cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})  # which the child inherits
        try:
            process = subprocess.Popen(
                command,
                env=os.environ | environ,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            os.sched_setaffinity(0, own_cores)
    try:
        yield Server(process.pid, _port(process, output))
    except (BenchmarkError, OSError) as error:
        if process.poll() is not None:
            status = f"the server ended with status {process.returncode}"
            raise BenchmarkError(f"{status}: {_last_lines(output)}") from error
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _port(process: subprocess.Popen[bytes], output: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := _LISTENING.search(output.read_text("utf-8", "replace")):
            return int(found[1])
        time.sleep(0.02)
    raise BenchmarkError(f"did not start: {_last_lines(output)}")


def _last_lines(output: Path) -> str:
    lines = [line.strip() for line in output.read_text("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(lines[-5:]) or "it said nothing"
