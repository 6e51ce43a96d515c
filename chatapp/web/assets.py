"""The scripts that pages load: our own, and the libraries that the build takes from npm."""

from __future__ import annotations

import json
from pathlib import Path

_WEB = Path(__file__).parent
#: Our own scripts; below it, in ``vendor/``, the libraries.
FOLDER = _WEB / "static"
_VENDOR = "vendor"


def libraries() -> list[str]:
    """Return which files belong into ``vendor/``, as paths below `FOLDER`."""
    package = json.loads((_WEB / "npm" / "package.json").read_text("utf-8"))
    return [f"{_VENDOR}/{name}" for name in package["assets"]]


def text(name: str) -> str:
    """Return what one of the files below `FOLDER` holds. Raises OSError."""
    return (FOLDER / name).read_text("utf-8")


def missing() -> str:
    """Return the sentence about libraries that are not there; empty if all are.

    That is so where chatapp runs from a clone that was never installed.
    """
    absent = [name for name in libraries() if not (FOLDER / name).is_file()]
    if not absent:
        return ""
    return (
        f"The pages of the chat lack {', '.join(absent)}, which the installation takes from npm: install"
        " chatapp again with pip, or run `python setup.py assets` where it lies."
    )
