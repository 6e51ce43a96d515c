"""Facts about characters: which are invisible, which script they belong to, which look alike."""

from __future__ import annotations

import bisect
import functools
import importlib.resources
import json
import re
import unicodedata
from typing import Any

#: Unicode's Default_Ignorable_Code_Point: characters that show nothing where they are not supported.
IGNORABLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

#: Categories that leave no mark on the page: control, format, lone surrogates and every kind of space.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})

_BRAILLE_BLANK = "\u2800"


def is_visible(text: str) -> bool:
    """Whether a reader would see anything of `text`."""
    return any(
        unicodedata.category(char) not in _UNSEEN_CATEGORIES
        and char != _BRAILLE_BLANK
        and not IGNORABLE.match(char)
        for char in text
    )


def describe(char: str) -> str:
    """Return `char` as an error message shows it: itself in quotation marks, or ``U+200B``."""
    if char.isprintable() and is_visible(char) and not unicodedata.category(char).startswith("M"):
        return f"“{char}”"
    return f"U+{ord(char):04X}"


def scripts(text: str) -> frozenset[str]:
    """Return the scripts `text` is written in, such as ``Latin``.

    That is Unicode's Script property, without Common and Inherited. Characters newer than our data are
    of the script ``Unknown``.
    """
    return frozenset(_script(char) for char in text) - {"Common", "Inherited"}


@functools.lru_cache(maxsize=4096)
def skeleton(text: str) -> str:
    """Return what `text` looks like: texts of one skeleton are easily taken for one another.

    This is the skeleton of UTS #39 section 4, taken from the text as it is written and then without regard to
    case, until nothing changes any more. ``BiII`` thus looks like ``Bill``, although ``biii`` would not.
    """
    before = None
    while text != before:
        before = text
        text = _prototypes(text).casefold()
    return text


def _prototypes(text: str) -> str:
    prototype_of = _confusables()
    text = IGNORABLE.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFD", "".join(prototype_of.get(char, char) for char in text))


# confusable_homoglyphs ships Unicode's tables as JSON. Only the files are read, and only when first needed
# (50 ms): its modules would load and keep all of it, 900 KB of JSON, at import, and know no skeleton.


def _load(filename: str) -> dict[str, Any]:
    file = importlib.resources.files("confusable_homoglyphs").joinpath(filename)
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


@functools.lru_cache(maxsize=1)
def _confusables() -> dict[str, str]:
    """Return character -> prototype: the mapping of Unicode's confusables.txt, about 6,300 pairs.

    The file at hand holds each pair under both its ends, so its direction has to be found again. Of a pair,
    the look-alike comes first. A look-alike has no other partner, and a prototype is never mapped itself; so
    an end is a prototype if its first partner came before it and has no other.
    """
    partners: dict[str, list[dict[str, str]]] = _load("confusables.json")
    found: dict[str, str] = {}
    seen: set[str] = set()
    for end, others in partners.items():
        seen.add(end)
        first = others[0]["c"]
        if first not in seen or len(partners[first]) > 1:
            found[_unmarked(end)] = _unmarked(first)
    return found


def _unmarked(text: str) -> str:
    # confusables.txt, from whose comments the JSON was made, puts marks around right-to-left characters.
    return text.strip("\u200e")


@functools.lru_cache(maxsize=1)
def _script_ranges() -> tuple[list[int], list[tuple[int, str]]]:
    """Return the first code points of all ranges, and for each range its last code point and its script."""
    table = _load("categories.json")
    names = [name.replace("_", " ").title() for name in table["iso_15924_aliases"]]
    ranges = table["code_points_ranges"]
    return [row[0] for row in ranges], [(row[1], names[row[2]]) for row in ranges]


def _script(char: str) -> str:
    starts, ranges = _script_ranges()
    code_point = ord(char)
    last, name = ranges[bisect.bisect_right(starts, code_point) - 1]
    return name if code_point <= last else "Unknown"
