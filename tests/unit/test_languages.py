"""The words of the pages: every language has them all, and each browser gets its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from chatapp import errors
from chatapp.web.languages import FALLBACK, catalogue, choose, languages

STATIC = Path(__file__).parents[2] / "chatapp" / "web" / "static"
TEMPLATE = STATIC.parent / "templates" / "chatapp" / "page.html"

#: What a language calls its plurals (CLDR), for whole numbers.
PLURALS = {"de": {"one", "other"}, "en": {"one", "other"}, "ru": {"one", "few", "many", "other"}}
_FORM = re.compile(r"(.+)\.(zero|one|two|few|many|other)")


def gaps(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def stem(key: str) -> str:
    found = _FORM.fullmatch(key)
    return found[1] if found else key


@pytest.mark.parametrize("language", languages())
def test_every_language_has_all_words_and_no_others(language: str) -> None:
    words, english = catalogue(language), catalogue(FALLBACK)
    assert {stem(key) for key in words} == {stem(key) for key in english}
    for key, text in words.items():
        assert text.strip() == text != ""
        model = english.get(key) or english[f"{stem(key)}.other"]
        assert gaps(text) == gaps(model), key


@pytest.mark.parametrize("language", languages())
def test_every_plural_has_the_forms_of_its_language(language: str) -> None:
    forms: dict[str, set[str]] = {}
    for key in catalogue(language):
        if found := _FORM.fullmatch(key):
            forms.setdefault(found[1], set()).add(found[2])
    assert forms and all(each == PLURALS[language] for each in forms.values()), forms


def test_every_word_that_the_page_says_is_there_and_every_word_there_is_said() -> None:
    known = {stem(key) for key in catalogue(FALLBACK)}
    scripts = "".join(path.read_text("utf-8") for path in sorted(STATIC.glob("*.js")))
    said = set(re.findall(r'say\("([a-z_]+)"[,)]', scripts))
    said |= set(re.findall(r"\bwords\.([a-z_]+)", TEMPLATE.read_text("utf-8"))) - {"say"}
    assert said <= known, said - known
    built = re.compile(r"(error|state|notifications)_.*|language")
    unsaid = {key for key in known - said if not built.fullmatch(key) and f'"{key}"' not in scripts}
    # How far a message has come is said by the name of that state.
    assert unsaid <= {"sending"}, unsaid


def test_refusals_have_words_under_their_codes() -> None:
    codes = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")}
    ours = {key.removeprefix("error_") for key in catalogue(FALLBACK) if key.startswith("error_")}
    # What the client itself says is in no class of errors.
    assert ours - codes <= {"queue_full", "lost", "offline", "left"}


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("ru", "ru"),
        ("fr,ru;q=0.5", "ru"),
        ("fr", "en"),
        ("", "en"),
        ("*", "en"),
    ],
)
def test_a_browser_gets_the_language_it_asks_for(asked: str, given: str) -> None:
    assert choose(parse_accept_header(asked, LanguageAccept)) == given
