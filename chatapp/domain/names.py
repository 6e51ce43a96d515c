"""Names of users and rooms: what is allowed, what counts as the same, what looks the same."""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
import unicodedata
from dataclasses import dataclass

from precis_i18n import get_profile

from chatapp.domain.characters import IGNORABLE, describe, is_visible, scripts, skeleton
from chatapp.errors import InvalidName

#: Names that would speak for the site or address everybody. Guests get neither them nor their look-alikes.
RESERVED = frozenset(
    {"admin", "administrator", "moderator", "mod", "operator", "owner", "staff", "support", "webmaster"}
    | {"chat", "host", "notice", "root", "server", "system"}
    | {"all", "channel", "everybody", "everyone", "here", "nobody"}
)

#: Keys and skeletons are at most this long, whatever the name: NFKC can make 18 characters of one.
KEY_CHARACTERS = 255

#: A longer text is nobody's name. It bounds the work too: Unicode normalization can take quadratic time.
_LONGEST_NAME = 1024

#: Canonical composition makes at most this many characters into one.
_LONGEST_COMPOSITION = 4

_SPACES = re.compile(r"[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")

#: Forms of the quotation mark and the at sign that NFKC turns into '"' and '@'.
_QUOTES = '"＂'
_ATS = "@＠﹫"

#: The joiners are part of many emoji and of Persian and Indic spelling.
_JOINERS = "\u200c\u200d"

#: Scripts that one word of Japanese, Chinese or Korean may be written in.
_WRITTEN_TOGETHER = (
    frozenset({"Han", "Hiragana", "Katakana"}),
    frozenset({"Han", "Bopomofo"}),
    frozenset({"Han", "Hangul"}),
)

_case_preserved = get_profile("UsernameCasePreserved")
_case_mapped = get_profile("UsernameCaseMapped")


@dataclass(frozen=True, slots=True)
class Name:
    """A user's name as people see it, as it is compared (`key`), and what it looks like (`skeleton`)."""

    display: str
    key: str
    skeleton: str


@dataclass(frozen=True, slots=True)
class RoomName:
    """A room's name as people see it, and as it is compared (`key`)."""

    display: str
    key: str


def parse_guest_name(raw: object, max_characters: int) -> Name:
    """Return the name a guest asks for, or raise `InvalidName` with the reason.

    A name is one or more userparts of RFC 8265 section 3 (UsernameCaseMapped) with single spaces between
    them. What PRECIS lets through is narrowed: letters of one script, few marks in a row, at least one letter
    or digit, nothing reserved, and nothing that the syntax of private messages or of rooms needs.
    """
    display = _userparts(_trimmed(raw, "A user name", max_characters))
    _check_length(display, "A user name", max_characters)
    if '"' in display:
        raise InvalidName("A user name must not contain quotation marks.")
    if display.startswith(("@", "#")):
        raise InvalidName(f"A user name must not begin with {display[0]}.")
    if not any(char.isalnum() for char in display):
        raise InvalidName("A user name needs at least one letter or digit.")
    _check_scripts(display)
    _check_marks(display)
    name = _name(display)
    if _looks_reserved(name):
        raise InvalidName(f"The name {display} is reserved, or looks like one that is.")
    return name


def site_name(raw: object, max_characters: int) -> Name:
    """Return the name the site gives its user.

    The site decides who is called what, so what chat cannot use is taken out rather than refused: control and
    format characters, quotation marks and leading at signs; a long name is cut. `InvalidName` if nothing
    visible is left.
    """
    if not isinstance(raw, str):
        raise InvalidName("The site must give a user's name as a text.")
    text = _cleaned(raw)[: max_characters * _LONGEST_COMPOSITION]
    name = _name(unicodedata.normalize("NFC", text)[:max_characters].rstrip())
    if not is_visible(name.display):
        raise InvalidName("The site gave a user's name in which nothing is visible.")
    return name


def name_key(text: object) -> str:
    """Return the key of the user whom `text` addresses; empty, so nobody's, if it is no name. Never raises.

    For every `Name`, ``name_key(name.display) == name.key``. A leading ``@``, quotation marks, case and width
    do not matter. The key is the UsernameCaseMapped form where there is one, else the NFKC case-folded one.
    """
    if not isinstance(text, str) or len(text) > _LONGEST_NAME:
        return ""
    return _key(text)


def parse_room_name(raw: object, max_characters: int) -> RoomName:
    """Return the name of a room, or raise `InvalidName` with the reason.

    Letters, emoji and spaces are welcome. Two names are one room's if they are equal in NFKC, case-folded and
    without invisible characters.
    """
    display = unicodedata.normalize("NFC", _trimmed(raw, "A room name", max_characters, joiners=True))
    _check_length(display, "A room name", max_characters)
    if not is_visible(display):
        raise InvalidName("A room name needs at least one visible character.")
    key = _spaced(_folded(IGNORABLE.sub("", unicodedata.normalize("NFKC", display))))
    if key.startswith("@"):
        raise InvalidName("A room name must not begin with @: @name is the conversation with a user.")
    return RoomName(display, _bounded(key))


def _name(display: str) -> Name:
    return Name(display, name_key(display), _bounded(skeleton(display)))


def _bounded(key: str) -> str:
    # Not just cut: different names must not get one key.
    if len(key) <= KEY_CHARACTERS:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()
    return key[: KEY_CHARACTERS - len(digest)] + digest


@functools.lru_cache(maxsize=4096)
def _key(text: str) -> str:
    # NFKC comes before PRECIS, so that a name which PRECIS refuses for its compatibility characters (raised
    # letters, ligatures) has the key of the name written without them. What PRECIS accepts keeps its key.
    text = _cleaned(IGNORABLE.sub("", unicodedata.normalize("NFKC", _cleaned(text))))
    try:
        key = " ".join(_case_mapped.enforce(part) for part in text.split(" "))
    except UnicodeEncodeError:
        key = _folded(text)
    return _bounded(key)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text.casefold())


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _cleaned(text: str) -> str:
    """Return `text` without what no name holds."""
    text = "".join(
        char
        for char in _spaced(text)
        if unicodedata.category(char) not in ("Cc", "Cf", "Cs") and char not in _QUOTES
    )
    return _spaced(text).lstrip(_ATS + " ")


def _trimmed(raw: object, what: str, max_characters: int, *, joiners: bool = False) -> str:
    """Return `raw` with single spaces, having checked that it is a short text without unseen characters."""
    if not isinstance(raw, str):
        raise InvalidName(f"{what} must be a text.")
    text = _SPACES.sub(" ", raw.strip())
    if not text:
        raise InvalidName(f"{what} must not be empty.")
    if len(text) > max_characters * _LONGEST_COMPOSITION:  # so long that no normalization helps
        _check_length(text, what, max_characters)
    for before, char, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if joiners and char in _JOINERS and before != " " and after != " ":
            continue
        if unicodedata.category(char) in ("Cc", "Cf", "Cs"):
            raise InvalidName(f"{what} must not contain invisible characters ({describe(char)}).")
    return text


def _check_length(text: str, what: str, max_characters: int) -> None:
    if len(text) > max_characters:
        raise InvalidName(f"{what} has at most {max_characters} characters; this one has {len(text)}.")


def _userparts(text: str) -> str:
    """Return `text` with each of its parts enforced by PRECIS, in the case it was typed in."""
    try:
        return " ".join(_case_preserved.enforce(part) for part in text.split(" "))
    except UnicodeEncodeError as error:
        raise InvalidName(_reason(error)) from None


def _reason(error: UnicodeEncodeError) -> str:
    # precis_i18n reports either one character or, for rules about the whole, all of the text.
    if error.reason.endswith("/bidi_rule"):
        return "A right-to-left user name must begin with one of its letters and hold no left-to-right ones."
    if error.end - error.start == 1:
        return f"A user name must not contain {describe(error.object[error.start])}."
    return "This user name is not allowed."


def _check_scripts(name: str) -> None:
    found = scripts(name)
    if len(found) > 1 and not any(found <= together for together in _WRITTEN_TOGETHER):
        listed = " and ".join(sorted(found))
        raise InvalidName(f"A user name must not mix letters of different scripts (here {listed}).")


def _check_marks(name: str) -> None:
    """Refuse piled-up marks: the bounds of UTS #39 section 5.4, and two for accents, which stack on a letter.

    Vowel signs and joined consonants of Indic scripts and Tibetan are marks too, but of combining class 0.
    """
    accents = marks = 0
    for before, char in itertools.pairwise(" " + name):
        is_mark = unicodedata.category(char) == "Mn"
        marks = marks + 1 if is_mark else 0
        accents = accents + 1 if unicodedata.combining(char) else 0
        if is_mark and before == " ":
            raise InvalidName("An accent or other mark in a user name must stand on a letter.")
        if accents > 2 or marks > 4 or (is_mark and char == before):
            raise InvalidName("A user name must not have so many accents or other marks on one letter.")


def _looks_reserved(name: Name) -> bool:
    return "".join(filter(str.isalnum, name.skeleton)) in _reserved_skeletons()


@functools.lru_cache(maxsize=1)
def _reserved_skeletons() -> frozenset[str]:
    # A digit one looks like a capital I, so each i is taken in both cases. To take i and l for the same in
    # all names would be simpler, and would make "all" of Ali.
    return frozenset(
        skeleton("".join(letters))
        for word in RESERVED
        for letters in itertools.product(*("iI" if letter == "i" else letter for letter in word))
    )
