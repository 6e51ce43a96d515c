"""The words of the pages: one catalogue for each language, and which one a browser gets."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from werkzeug.datastructures import LanguageAccept

#: What whoever asks for none of ours gets. It holds every word.
FALLBACK = "en"

_FOLDER = Path(__file__).parent


@functools.cache
def languages() -> tuple[str, ...]:
    """Return the languages that there are, as BCP 47 calls them, the fallback first."""
    found = {path.stem for path in _FOLDER.glob("*.json")}
    return (FALLBACK, *sorted(found - {FALLBACK}))


def choose(accepted: LanguageAccept) -> str:
    """Return which language an ``Accept-Language`` header asks for."""
    return accepted.best_match(languages()) or FALLBACK


@functools.cache
def catalogue(language: str) -> dict[str, str]:
    """Return the words of one of `languages`, by key.

    Names in braces stand for what differs. Where a number decides, the key ends in one of the plural
    categories of CLDR, as in ``unread.one``; ``other`` is always there.
    """
    words: dict[str, str] = json.loads((_FOLDER / f"{language}.json").read_text("utf-8"))
    return words
