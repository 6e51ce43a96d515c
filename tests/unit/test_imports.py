"""Who may import whom, and that importing anything of chatapp has no effect on the process."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "chatapp"

#: The parts of chatapp, lowest first; those in one set may import each other. A part imports its own
#: set and those before it, and no part imports the package's public names.
LAYERS = [
    {"errors", "metrics"},
    {"settings", "secret"},
    {"domain"},
    {"log"},
    {"cluster"},
    {"engine"},
    {"auth", "rates", "wire", "payloads"},
    {"chat"},
    {"handlers", "housekeeping", "voice"},
    {"web"},
    {"hosting"},
    {"server"},
    {"worker"},
    {"client"},
    {"cli"},
    {"__init__", "__main__"},
]
LEVELS = {part: level for level, parts in enumerate(LAYERS) for part in parts}

#: What the domain may import besides the standard library.
DOMAIN_MAY_IMPORT = {"chatapp.errors", "chatapp.domain", "precis_i18n", "confusable_homoglyphs"}
#: The programs that decide how their process waits; everything else runs in somebody's process.
MAY_PATCH = {ROOT / "wsgi.py", PACKAGE / "cli" / "serve.py"}

MODULES = sorted(PACKAGE.rglob("*.py"))
SHIPPED = [*MODULES, *ROOT.glob("*.py"), *(ROOT / "conf").rglob("*.py")]
SOURCES = [*SHIPPED, *(path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts)]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of each module that this one imports anywhere, function bodies included."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in inner if name.startswith("chatapp.") and is_module(name)]
            yield from modules
            if len(modules) < len(inner):
                yield node.module


def part(module: str) -> str:
    """Return which part of chatapp a module belongs to: ``log`` for ``chatapp.log.store``."""
    return module.split(".")[1] if "." in module else "__init__"


def of_chatapp(names: Iterator[str]) -> Iterator[str]:
    return (name for name in names if name.split(".")[0] == "chatapp")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_down_only(path: Path) -> None:
    own = part(module_name(path))
    assert own in LEVELS, f"{own} has no place in LAYERS yet"
    for name in of_chatapp(imports(path)):
        assert LEVELS[part(name)] <= LEVELS[own], f"{module_name(path)} imports {name}, which is above it"


def test_no_modules_import_each_other() -> None:
    graph = {module_name(path): set(of_chatapp(imports(path))) - {module_name(path)} for path in MODULES}
    assert list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", sorted((PACKAGE / "domain").rglob("*.py")), ids=module_name)
def test_the_domain_knows_nothing_but_itself(path: Path) -> None:
    for name in imports(path):
        known = {name, name.split(".")[0], ".".join(name.split(".")[:2])}
        assert known & (DOMAIN_MAY_IMPORT | sys.stdlib_module_names), f"{module_name(path)} imports {name}"


def test_nothing_that_ships_looks_for_pytest() -> None:
    assert [path for path in SHIPPED if any("pytest" in name for name in imports(path))] == []


def test_only_programs_of_their_own_patch_the_standard_library() -> None:
    patching = [
        path
        for path in SHIPPED
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr.startswith("patch_"))
        or (isinstance(node, ast.alias) and node.name.startswith("patch_"))
    ]
    assert set(patching) <= MAY_PATCH


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


# Imports every module in a process of its own and prints what that has changed, module by module.
IMPORT_ALL = """
import gc, importlib, json, logging, os, pkgutil, signal, sys, threading

def state():  # "files" holds the folder that lists them too, the same one each time
    from gevent import monkey  # by now nothing is patched, and this patches nothing
    gc.collect()
    return {
        "patched": list(filter(monkey.is_module_patched, ("socket", "threading", "time", "ssl", "os"))),
        "threads": [thread.name for thread in threading.enumerate()],
        "files": sorted(os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")),
        "root handlers": list(map(repr, logging.root.handlers)),
        "signals": [repr(signal.getsignal(s)) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)],
    }

def all_names():
    package = importlib.import_module("chatapp")
    yield "chatapp"
    for found in pkgutil.walk_packages(package.__path__, "chatapp."):
        if not found.name.endswith(".__main__"):
            yield found.name

before, seen = state(), {}
for name in all_names():
    importlib.import_module(name)
    after = state()
    seen[name] = {key: after[key] for key in after if after[key] != before[key]}
    before = after
print(json.dumps(seen))
"""


def test_importing_any_module_patches_starts_and_opens_nothing() -> None:
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert run.returncode == 0, run.stderr
    changes = json.loads(run.stdout)
    names = {module_name(path) for path in MODULES if "migrations" not in path.parts}
    assert set(changes) == {name for name in names if not name.endswith("__main__")}
    assert {name: change for name, change in changes.items() if change} == {}
