"""The syntax of private messages, and the article's faults in reading it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chatapp.domain.names import parse_guest_name, site_name
from chatapp.domain.private import address, parse_private
from chatapp.errors import InvalidName, InvalidPayload, InvalidText


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("@bob hi", ("bob", "hi")),
        ("@bob hi there", ("bob", "hi there")),
        ("@bob\thi", ("bob", "hi")),
        ("@bob   hi", ("bob", "hi")),
        ('@"bob jones" hi', ("bob jones", "hi")),
        ('@"bob" hi', ("bob", "hi")),
        ('@bob "quoted"', ("bob", '"quoted"')),
        ('@bob say "hi" to @carol', ("bob", 'say "hi" to @carol')),
    ],
)
def test_name_and_text_are_taken_apart(raw: str, expected: tuple[str, str]) -> None:
    assert parse_private(raw) == expected


def test_the_name_comes_without_its_at_sign() -> None:
    assert parse_private("@bob hi")[0] == "bob"


@pytest.mark.parametrize("raw", ["@bob", "@bob ", "@bob\n", "@bob \n\t ", '@"bob"', '@"bob jones" '])
def test_a_name_alone_is_not_split_into_name_and_text(raw: str) -> None:
    with pytest.raises(InvalidText, match="There is no text after the name"):
        parse_private(raw)


@pytest.mark.parametrize("raw", ["@\ud800", "@" + "x" * 10_000, '@"\ud800"x', "\ud800"])
def test_a_refusal_repeats_nothing_that_was_sent(raw: str) -> None:
    with pytest.raises((InvalidPayload, InvalidText)) as refused:
        parse_private(raw)
    assert len(refused.value.message.encode()) < 200


@pytest.mark.parametrize(
    "name", ["jean-luc", "j_r", "j.r.", "Łukasz", "Давид", "田中", "علي", "O'Neil", "a@b.c"]
)
def test_names_are_not_limited_to_word_characters(name: str) -> None:
    assert parse_private(f"@{name} hi") == (name, "hi")


@pytest.mark.parametrize("name", ["bob jones", "Jean-Luc le Grand", "山田 太郎", "de la Cruz, José"])
def test_names_with_spaces_can_be_addressed(name: str) -> None:
    assert parse_private(f'@"{name}" hi') == (name, "hi")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("@bob line1\nline2", "line1\nline2"),
        ("@bob\nline1\nline2", "line1\nline2"),
        ("@bob \r\nline1\r\nline2", "line1\r\nline2"),
        ("@bob one\n\nthree\n", "one\n\nthree\n"),
        ("@bob\n    indented\n    code", "    indented\n    code"),
        ('@"bob jones"\nline1\n"line2"', 'line1\n"line2"'),
    ],
)
def test_every_line_of_the_text_is_kept(raw: str, text: str) -> None:
    assert parse_private(raw)[1] == text


@pytest.mark.parametrize(
    "raw", ["", "hi", "mail me at bob@example.org", "hi @bob", "bob hi", " @bob hi", "\n@bob", "@", "@ hi"]
)
def test_a_text_is_private_only_if_it_begins_with_an_addressed_name(raw: str) -> None:
    with pytest.raises(InvalidPayload, match='@name text, or as @"name with spaces" text'):
        parse_private(raw)


def test_an_at_sign_further_on_belongs_to_the_text() -> None:
    assert parse_private("@bob write to carol@example.org") == ("bob", "write to carol@example.org")


@pytest.mark.parametrize("raw", [None, 5, 1.5, True, {}, {"to": "bob"}, ["@bob hi"], b"@bob hi"])
def test_a_payload_of_another_type_is_refused(raw: object) -> None:
    with pytest.raises(InvalidPayload, match="must be a text"):
        parse_private(raw)


@pytest.mark.parametrize("raw", ['@"', '@"bob hi', '@"bob\nsaid "hi"', '@"bob jones\r\nx" y'])
def test_a_missing_closing_quotation_mark_is_named(raw: str) -> None:
    with pytest.raises(InvalidPayload, match="The closing quotation mark after the name is missing"):
        parse_private(raw)


@pytest.mark.parametrize("raw", ['@"" hi', '@" " hi', '@"bob"hi', '@"bob", hi'])
def test_a_quoted_name_is_not_empty_and_has_a_space_after_it(raw: str) -> None:
    with pytest.raises(InvalidPayload, match='@"name with spaces" text'):
        parse_private(raw)


def test_a_name_is_addressed_with_quotation_marks_only_where_needed() -> None:
    assert address("bob") == "@bob"
    assert address("bob jones") == '@"bob jones"'


@settings(deadline=None)
@given(st.text(max_size=40) | st.text('ab "＂@＠é\u3000\u00a0\n\u0085\u180e', max_size=12))
def test_every_allowed_name_can_be_addressed(raw: str) -> None:
    names = []
    for parse in (parse_guest_name, site_name):
        try:
            names.append(parse(raw, 32).display)
        except InvalidName:
            continue
    assume(names)
    for name in names:
        assert parse_private(address(name) + " x") == (name, "x")
        assert parse_private(address(name) + "\nx\ny") == (name, "x\ny")


@settings(deadline=None)
@given(st.text(max_size=40) | st.text('ab "@\n\r\t', max_size=12))
def test_any_text_is_parsed_or_refused(raw: str) -> None:
    try:
        name, text = parse_private("@" + raw)
    except (InvalidPayload, InvalidText):
        return
    assert name.strip()
    assert text.strip()
    assert name in raw
    assert raw.endswith(text)
