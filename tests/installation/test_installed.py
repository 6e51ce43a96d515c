"""What is installed from an sdist, a wheel or a clone has the pages' libraries, without npm or network."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from chatapp.web.assets import FOLDER, libraries
from servers import PATIENCE_SECONDS, ROOT, ServerProcess

#: What belongs to a clone, without what is made in it.
CLONED = (
    "chatapp",
    "conf",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "constraints.txt",
    "setup.cfg",
    "setup.py",
)
OFFLINE = {"PIP_NO_INDEX": "1", "npm_config_registry": "http://127.0.0.1:9/", "PIP_FIND_LINKS": ""}
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"


def run(*command: object, cwd: Path, **environ: str) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | OFFLINE | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose libraries are there, on a machine whose npm tells that it was called, and fails."""
    folder = tmp_path_factory.mktemp("clone")
    for name in CLONED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


@pytest.fixture(scope="module")
def sdist(clone: Path) -> Path:
    run(sys.executable, "-c", BUILD, "build_sdist", clone / "dist", cwd=clone)
    (sdist,) = (clone / "dist").glob("*.tar.gz")
    return sdist


@pytest.fixture(scope="module")
def wheel(clone: Path) -> Path:
    run(sys.executable, "-c", BUILD, "build_wheel", clone / "dist", cwd=clone)
    (wheel,) = (clone / "dist").glob("*.whl")
    return wheel


class Environment:
    """A virtual environment that has what chatapp needs, and not chatapp."""

    def __init__(self, folder: Path) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
        self._folder = folder
        self.python = folder / "bin" / "python"
        purelib = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
        # Named by a path file, that folder's own path files count for nothing: no editable chatapp.
        Path(purelib, "needed.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")

    def install(self, *what: object) -> None:
        """Install chatapp alone, with neither an index nor npm at hand."""
        npm = self._folder / "no-npm"
        npm.mkdir()
        (npm / "npm").write_text("#!/bin/sh\necho npm was called >&2\nexit 1\n", "utf-8")
        (npm / "npm").chmod(0o755)
        pip = (self.python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation")
        run(*pip, "--use-pep517", "--ignore-installed", *what, cwd=self._folder, PATH=f"{npm}:/usr/bin:/bin")

    def folder(self) -> Path:
        """Return where the installed chatapp has its scripts."""
        script = "import chatapp.web.assets; print(chatapp.web.assets.FOLDER)"
        found = subprocess.check_output([self.python, "-I", "-c", script], text=True, cwd=self._folder)
        return Path(found.strip())

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Run the server that is installed; yields its address."""
        environ = os.environ | {"PORT": "0", "CHATAPP_STORAGE_URL": "none"}
        command = [str(self.python), "-I", "-u", "-m", "chatapp", "serve"]
        server = ServerProcess(command, environ, self._folder)
        try:
            yield server.url
        finally:
            server.kill()

    def check(self, home: Path) -> None:
        """Check that it is a chatapp below `home` that is installed, and that it serves all scripts."""
        assert self.folder().is_relative_to(home)
        run(self.python, "-I", "-m", "chatapp", "check", cwd=self._folder)
        with self.serving() as url:
            for name in (*libraries(), "chatapp.js"):
                answer = requests.get(f"{url}/chat/assets/{name}", timeout=PATIENCE_SECONDS)
                assert (answer.status_code, answer.content) == (200, (FOLDER / name).read_bytes())


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def test_an_sdist_has_all_that_is_needed_to_install_from_it(
    sdist: Path, environment: Environment, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    wanted = {*(f"static/{name}" for name in libraries()), "npm/package.json", "npm/package-lock.json"}
    assert {f"chatapp/web/{name}" for name in wanted} <= names
    assert not any("node_modules" in name for name in names)
    environment.install(sdist)
    environment.check(tmp_path)


def test_a_wheel_has_the_libraries_and_their_licences(
    wheel: Path, environment: Environment, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"chatapp/web/static/{name}" for name in libraries()} <= names
    assert sum("LICENSE" in name for name in libraries()) == 2
    environment.install(wheel)
    environment.check(tmp_path)


def test_a_clone_installed_in_place_serves_them_from_there(clone: Path, environment: Environment) -> None:
    environment.install("-e", clone)
    environment.check(clone)
