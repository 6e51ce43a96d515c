"""What is asked for, pinned and installed agrees; what is needed ships, and no secret does."""

from __future__ import annotations

import ast
import configparser
import fnmatch
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "chatapp"

#: The oldest versions without the faults that chatapp must not bring to a site.
OLDEST_ALLOWED = {
    "flask": "3.1.3",
    "gevent": "25.4.1",
    "gunicorn": "23",
    "python-engineio": "4.13.2",
    "python-socketio": "5.16.2",
    "werkzeug": "3.1.4",
}

SETUP = configparser.ConfigParser(interpolation=None)
SETUP.read(ROOT / "setup.cfg", "utf-8")


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


ASKED_FOR = [Requirement(line) for line in lines(SETUP["options"]["install_requires"])]
OF_EXTRAS = [Requirement(line) for extra in SETUP["options.extras_require"].values() for line in lines(extra)]
OF_TESTS = [Requirement(line) for line in lines(SETUP["options.extras_require"]["test"])]
PINNED = [Requirement(line) for line in lines((ROOT / "constraints.txt").read_text("utf-8"))]

#: What only the drivers of databases and buses need, which the test extra does not install.
OF_DRIVERS = {"async-timeout", "psycopg-binary"}

#: Files and folders that are not part of the project: what is made, cached, written, or cloned.
NOT_OURS = {
    *(".git", ".venv", "build", "chatapp.egg-info", "dist", "node_modules", "var"),
    *(".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__"),
}


def files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that belong to the project."""
    for path in sorted(folder.iterdir()):
        if path.name in NOT_OURS:
            continue
        if path.is_dir():
            yield from files(path)
        else:
            yield path


@pytest.mark.parametrize("requirement", [*ASKED_FOR, *OF_TESTS], ids=str)
def test_what_is_installed_is_what_is_asked_for(requirement: Requirement) -> None:
    assert requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True)


@pytest.mark.parametrize("name", OLDEST_ALLOWED)
def test_no_version_with_a_known_fault_is_allowed(name: str) -> None:
    (requirement,) = [asked for asked in ASKED_FOR if canonicalize_name(asked.name) == name]
    floors = [Version(part.version) for part in requirement.specifier if part.operator == ">="]
    assert floors and min(floors) >= Version(OLDEST_ALLOWED[name])


def test_gunicorn_comes_with_what_its_gevent_worker_needs() -> None:
    (gunicorn,) = [asked for asked in ASKED_FOR if asked.name == "gunicorn"]
    assert gunicorn.extras == {"gevent"}


@pytest.mark.parametrize("requirement", [*ASKED_FOR, *OF_EXTRAS], ids=str)
def test_every_pin_is_a_version_that_is_allowed(requirement: Requirement) -> None:
    name = canonicalize_name(requirement.name)
    pins = [pin for pin in PINNED if canonicalize_name(pin.name) == name]
    assert pins, f"constraints.txt does not pin {name}"
    for pin in pins:
        (exactly,) = pin.specifier
        assert exactly.operator == "=="
        assert requirement.specifier.contains(exactly.version)


def test_no_pin_is_without_a_use() -> None:
    needed: set[tuple[str, frozenset[str]]] = set()
    queue = [*ASKED_FOR, *OF_EXTRAS]
    while queue:
        requirement = queue.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key not in needed:
            needed.add(key)
            queue += requires(requirement)
    pinned = {canonicalize_name(pin.name) for pin in PINNED if pin.marker is None or pin.marker.evaluate()}
    assert pinned - {name for name, _extras in needed} <= OF_DRIVERS


def requires(requirement: Requirement) -> Iterator[Requirement]:
    """Yield what a requirement needs in turn here, if it is installed."""
    try:
        needs = importlib.metadata.requires(requirement.name) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for need in map(Requirement, needs):
        extras = {"", *requirement.extras}
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
            yield need


def test_python_3_10_is_the_oldest() -> None:
    assert SETUP["options"]["python_requires"] == ">=3.10"


def test_the_license_is_mit() -> None:
    assert SETUP["metadata"]["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License\n")


def test_setup_py_says_nothing_that_setup_cfg_can_say() -> None:
    tree = ast.parse((ROOT / "setup.py").read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (setup,) = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "setup"]
    assert {keyword.arg for keyword in setup.keywords} == {"cmdclass", "setup_requires"}


def test_every_file_of_the_package_is_installed() -> None:
    patterns = {folder: lines(globs) for folder, globs in SETUP["options.package_data"].items()}
    missing = []
    for path in files(PACKAGE):
        # The nearest folder that is a package, as setuptools finds it: all above it are packages too.
        package = path.parent
        while not all((folder / "__init__.py").exists() for folder in between(package)):
            package = package.parent
        dotted = ".".join(package.relative_to(ROOT).parts)
        inside = path.relative_to(package).as_posix()
        is_module = path.suffix == ".py" and path.parent == package
        if not is_module and not any(matches(inside, glob) for glob in patterns.get(dotted, [])):
            missing.append(str(path.relative_to(ROOT)))
    assert missing == []


def between(folder: Path) -> list[Path]:
    """Return a folder and all above it up to chatapp itself."""
    return [folder, *(above for above in folder.parents if above.is_relative_to(PACKAGE))]


def matches(path: str, glob: str) -> bool:
    """Tell whether setuptools' glob, whose ``*`` stops at a slash, takes this file."""
    parts, globs = path.split("/"), glob.split("/")
    return len(parts) == len(globs) and all(map(fnmatch.fnmatchcase, parts, globs))


SECRET = r"(secret|secret_key|password|passwd|api_key|private_key)"
#: In code: a name that ends like a secret's, set to words in quotes (`$` begins a shell's variable).
QUOTED = re.compile(rf"""(?i){SECRET}["']?(\s*:\s*str)?\s*[=:]\s*["'][^"'$]""")
#: In a configuration file: a key that ends so, set to anything.
BARE = re.compile(rf"(?i)^\s*(environment=)?\w*{SECRET}\s*=\s*[^\s$]")
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
CODE = {".html", ".js", ".md", ".py"}


def secrets_in(suffix: str, text: str) -> list[str]:
    """Return the lines of a file that set a secret to something."""
    patterns = [QUOTED, PRIVATE_KEY] if suffix in CODE else [QUOTED, PRIVATE_KEY, BARE]
    return [line for line in text.splitlines() if any(pattern.search(line) for pattern in patterns)]


@pytest.mark.parametrize(
    ("suffix", "line", "is_one"),
    [
        (".ini", "secret_key =", False),
        (".ini", "secret_key = abc", True),
        (".service", "Environment=CHATAPP_APP_SECRET_KEY=${KEY}", False),
        (".service", "Environment=CHATAPP_APP_SECRET_KEY=abc", True),
        (".py", 'SECRET_KEY = "change me"', True),
        (".py", '    secret_key: str = "abc"', True),
        (".py", '    secret_key: str = ""', False),
        (".py", 'app.config.update(SECRET_KEY="abc")', True),
        (".js", 'connect({"password": "abc"})', True),
        (".md", 'SITE_SECRET_KEY="$SECRET_KEY" chatapp serve', False),
        (".py", 'app.secret_key = os.environ["SECRET_KEY"]', False),
        (".py", 'SECRET_KEY_FILE = "secret_key"', False),
        (".pem", "-----BEGIN RSA PRIVATE KEY-----", True),
    ],
)
def test_a_secret_is_told_from_what_only_looks_like_one(suffix: str, line: str, is_one: bool) -> None:
    assert bool(secrets_in(suffix, line)) == is_one


def test_no_file_that_ships_holds_a_secret() -> None:
    found = {}
    for path in files(ROOT):
        # The sites in the tests have secrets of their own.
        if not path.is_relative_to(ROOT / "tests"):
            text = path.read_text("utf-8", errors="replace")
            if secrets := secrets_in(path.suffix, text):
                found[str(path.relative_to(ROOT))] = secrets
    assert found == {}
