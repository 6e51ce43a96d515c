"""Facts about characters: visibility, scripts, look-alikes."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from precis_i18n.unicode import UnicodeData

from chatapp.domain.characters import IGNORABLE, _confusables, describe, is_visible, scripts, skeleton

EVERY = [chr(code_point) for code_point in range(sys.maxunicode + 1)]
ASSIGNED = [char for char in EVERY if unicodedata.category(char) not in ("Cn", "Co", "Cs")]


def test_ignorable_characters_are_those_of_unicode() -> None:
    expected = [char for char in ASSIGNED if UnicodeData().default_ignorable(ord(char))]
    assert [char for char in ASSIGNED if IGNORABLE.match(char)] == expected


@pytest.mark.parametrize("text", ["a", "é", "7", "♥", "👩‍💻", " . ", "\u200bx", "漢"])
def test_what_shows_is_visible(text: str) -> None:
    assert is_visible(text)


@pytest.mark.parametrize(
    "text", ["", " \t\n", "\u00a0\u3000", "\u200b\u200d", "\u2800", "\u3164\u115f", "\ufe0f", "\u202e"]
)
def test_what_does_not_show_is_not_visible(text: str) -> None:
    assert not is_visible(text)


def test_characters_are_described_by_themselves_or_by_their_number() -> None:
    described = [describe(char) for char in "♥\u200b\x07\u0301 "]
    assert described == ["“♥”", "U+200B", "U+0007", "U+0301", "U+0020"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bob-1 _.", {"Latin"}),
        ("12 3", set()),
        ("Zoë", {"Latin"}),
        ("Zoe\u0308", {"Latin"}),
        ("Давид", {"Cyrillic"}),
        ("аdmin", {"Cyrillic", "Latin"}),
        ("ラーメン食べる", {"Han", "Hiragana", "Katakana"}),
        ("𐌀", {"Old Italic"}),
        ("\U000fffff", {"Unknown"}),
    ],
)
def test_scripts_of_a_text(text: str, expected: set[str]) -> None:
    assert scripts(text) == expected


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("paypal", "paypa1"),
        ("Bill", "BiII"),
        ("coco", "сосо"),  # Cyrillic
        ("Bob", "ΒΟΒ"),  # Greek capitals
        ("mike", "rnike"),
        ("Mike", "rnike"),
        ("mod", "m0d"),
        ("José", "Jose\u0301"),
        ("bob", "b\u200bo\u034fb"),
        ("bob", "𝓫𝓸𝓫"),
        ("ǆ", "dž"),
    ],
)
def test_look_alikes_have_one_skeleton(text: str, other: str) -> None:
    assert skeleton(text) == skeleton(other)


@pytest.mark.parametrize(
    ("text", "other"), [("Ali", "all"), ("Miia", "Mila"), ("Anna", "Avva"), ("bob", "rob"), ("Нина", "Huna")]
)
def test_names_that_can_be_told_apart_have_different_skeletons(text: str, other: str) -> None:
    assert skeleton(text) != skeleton(other)


def test_every_character_has_a_skeleton_that_is_its_own_skeleton() -> None:
    wrong = [char for char in ASSIGNED if skeleton(skeleton(char)) != skeleton(char)]
    assert wrong == []


def test_unicodes_table_is_read_whole_and_clean() -> None:
    table = _confusables()
    assert len(table) > 6300
    assert all(len(look_alike) == 1 for look_alike in table)
    assert not table.keys() & set("".join(table.values()))
    assert "\u200e" not in "".join(table.values())


def test_pairs_of_unicodes_table_are_read_in_their_direction() -> None:
    # Each side knows only the other; U+06D4 and U+FE58 are two of many that look like a hyphen.
    assert skeleton("\u0337") == skeleton("\u0338") == "\u0338"
    assert skeleton("\u06d4") == skeleton("\ufe58") == "-"
