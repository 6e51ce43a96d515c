"""The scripts and styles that pages load: our own, and the libraries that the build takes from npm."""

from __future__ import annotations

import functools
import gzip
import json
import mimetypes
from pathlib import Path

from flask import Response, request

_WEB = Path(__file__).parent
#: Our own scripts; below it, in ``vendor/``, the libraries.
FOLDER = _WEB / "static"
_VENDOR = "vendor"
#: What shows a chat, on the page and in a widget, below `FOLDER` and in the order in which it is loaded:
#: after ``chatapp.js``, and before what makes use of it.
VIEW_SCRIPTS = (
    "chatapp-text.js",
    "chatapp-rows.js",
    "chatapp-items.js",
    "chatapp-window.js",
    "chatapp-tools.js",
    "chatapp-view.js",
    "chatapp-composer.js",
    "chatapp-parts.js",
)


def libraries() -> list[str]:
    """Return which files belong into ``vendor/``, as paths below `FOLDER`."""
    package = json.loads((_WEB / "npm" / "package.json").read_text("utf-8"))
    return [f"{_VENDOR}/{name}" for name in package["assets"]]


def text(name: str) -> str:
    """Return what one of the files below `FOLDER` holds. Raises OSError."""
    return (FOLDER / name).read_text("utf-8")


def file_answer(name: str) -> Response:
    """Answer the present request with one of the files below `FOLDER`. Raises OSError."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return text_answer(text(name), f"{kind}; charset=utf-8")


def text_answer(content: str, content_type: str) -> Response:
    """Answer the present request with a text: compressed for whom that is understood (RFC 9110, 12.5.3),
    and without it for who has it already."""
    data = content.encode()
    is_compressed = request.accept_encodings["gzip"] > 0
    answer = Response(_compressed(data) if is_compressed else data, content_type=content_type)
    if is_compressed:
        answer.content_encoding = "gzip"
    answer.vary.add("Accept-Encoding")
    answer.headers["Cache-Control"] = "no-cache"  # used again only after asking whether it is still so
    answer.add_etag()
    answer.make_conditional(request)
    return answer


@functools.lru_cache(maxsize=64)
def _compressed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


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
