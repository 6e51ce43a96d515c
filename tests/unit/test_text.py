"""Texts, reactions and client ids: what is let through, and as what."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatapp.domain.text import MARKS_IN_A_ROW, parse_client_id, parse_emoji, parse_text
from chatapp.errors import InvalidPayload, InvalidText


def parse(raw: object) -> str:
    return parse_text(raw, 4000, 16000)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("hello", "hello"),
        ("one\r\ntwo\rthree\nfour", "one\ntwo\nthree\nfour"),
        ("one\u2028two\u2029three", "one\ntwo\nthree"),
        ("a\tb", "a\tb"),
        ("Cafe\u0301", "Café"),
        ("hello \t\r\n\n", "hello"),
        ("\n \n    code\n        more", "    code\n        more"),
        ("  two spaces", "  two spaces"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("👩‍👩‍👧 می‌خواهم", "👩‍👩‍👧 می‌خواهم"),
        ("\u2067עברית\u2069 \u202eabc", "\u2067עברית\u2069 \u202eabc"),
    ],
)
def test_a_text_is_normalized_and_otherwise_left_alone(raw: str, text: str) -> None:
    assert parse(raw) == text


@pytest.mark.parametrize("raw", [None, 5, True, {}, ["x"], b"x"])
def test_only_a_text_is_a_text(raw: object) -> None:
    with pytest.raises(InvalidText, match="must be a text"):
        parse(raw)


@pytest.mark.parametrize("raw", ["", " ", "\n\t \r\n", "\u00a0\u3000", "\u200b\ufeff", "\u3164", "\u2800"])
def test_a_text_in_which_nothing_is_visible_is_empty(raw: str) -> None:
    with pytest.raises(InvalidText, match="must not be empty"):
        parse(raw)


@pytest.mark.parametrize("char", ["\0", "\x07", "\x0b", "\x1b", "\x7f", "\x85", "\x9b", "\ud800", "\udfff"])
def test_control_characters_and_lone_surrogates_are_refused_by_number(char: str) -> None:
    with pytest.raises(InvalidText, match=f"U\\+{ord(char):04X}"):
        parse(f"a{char}b")


def test_the_limit_in_characters_is_named_with_the_actual_length() -> None:
    assert parse_text("x" * 10, 10, 100) == "x" * 10
    with pytest.raises(InvalidText, match="at most 10 characters; this one has 11"):
        parse_text("x" * 11, 10, 100)


def test_the_limit_in_bytes_is_named_with_the_actual_size() -> None:
    assert parse_text("é" * 10, 10, 20) == "é" * 10
    with pytest.raises(InvalidText, match="at most 20 bytes; this one has 22"):
        parse_text("é" * 9 + "😀", 10, 20)


def test_lengths_are_counted_after_normalization() -> None:
    assert parse_text("e\u0301" * 10 + "\r\n" * 50, 10, 20) == "é" * 10


def test_a_pile_of_marks_is_refused() -> None:
    assert parse("a" + "\u0301" * MARKS_IN_A_ROW)
    with pytest.raises(InvalidText, match="accents"):
        parse("a" + "\u0301" * (MARKS_IN_A_ROW + 1))


@pytest.mark.timeout(10)
@pytest.mark.parametrize(("limit", "reason"), [(4000, "at most 4000 characters"), (1_000_000, "accents")])
def test_marks_that_would_take_half_a_minute_to_sort_are_refused_at_once(limit: int, reason: str) -> None:
    with pytest.raises(InvalidText, match=reason):
        parse_text("a" + "\u0301\u0316" * 100_000, limit, limit)


@settings(deadline=None)
@given(st.text())
def test_an_accepted_text_is_clean_and_parses_to_itself(raw: str) -> None:
    try:
        text = parse(raw)
    except InvalidText:
        return
    assert text == unicodedata.normalize("NFC", text) == parse(text)
    assert text.strip()
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in set(text) - {"\n", "\t"})
    assert len(text.encode()) <= 16000


@pytest.mark.parametrize(
    "emoji",
    [
        *["👍", "❤", "❤️", "👍🏿", "👩‍💻", "👨‍👩‍👧‍👦", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"],
        *["1️⃣", "#️⃣", "🏳️‍🌈", "👩🏻‍❤️‍💋‍👨🏿", "‼️", "©️", "ℹ️", "Ⓜ️", "⏰", "🫪"],
        *[":thumbsup:", ":+1:", ":slightly_smiling_face:"],
    ],
)
def test_an_emoji_or_a_shortcode_is_a_reaction(emoji: str) -> None:
    assert parse_emoji(emoji) == emoji


@pytest.mark.parametrize(
    "raw",
    [
        *(None, 5, {}, ["👍"], "", " ", ":a b:", ":a:\n", "👍 ", " 👍", "👍\n", "\ud83d"),
        *("a", "ok", "1", "#", "é", "<b>", ":", "::", ":<b>:", ":A:", "+1", "👍👍", "🇩", "🇩🇪🇫"),
        *("\u200d", "\ufe0f", "👍\u200d", "\u200d👍", "👍\u0301", "👍\u202e"),
        *(":" + "a" * 33 + ":", "👍" + "\u200d👍" * 8),
    ],
)
def test_anything_else_is_no_reaction(raw: object) -> None:
    with pytest.raises(InvalidText, match="one emoji"):
        parse_emoji(raw)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_a_reaction_is_small_and_holds_no_markup(raw: str) -> None:
    try:
        emoji = parse_emoji(raw)
    except InvalidText:
        return
    assert len(emoji.encode()) <= 64
    assert not set(emoji) & set("<>&\"' \n")


@pytest.mark.parametrize("raw", ["1", "a-b_c:d", "x" * 64, "with space"])
def test_a_client_id_is_taken_as_it_is(raw: str) -> None:
    assert parse_client_id(raw) == raw


def test_no_client_id_is_none() -> None:
    assert parse_client_id(None) is None


@pytest.mark.parametrize("raw", ["", "x" * 65, "é", "a\n", "\x7f", "\0", 5, True, {}, ["x"]])
def test_a_client_id_of_another_shape_is_refused(raw: object) -> None:
    with pytest.raises(InvalidPayload, match="1 to 64 printable ASCII"):
        parse_client_id(raw)
