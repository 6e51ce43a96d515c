"""Names of users and rooms: what is refused and why, what is the same, what looks the same."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from precis_i18n import get_profile

from chatapp.domain.names import (
    KEY_CHARACTERS,
    RESERVED,
    Name,
    name_key,
    parse_guest_name,
    parse_room_name,
    site_name,
)
from chatapp.errors import InvalidName

#: Any text, and texts that come close to names: odd case mappings, look-alikes, spaces and signs.
TEXTS = st.text(max_size=70) | st.text(
    'abIil1Oo0 .-_@＠"＂#\u0301\u0345\u0660\u06f1\u200c\u200d\u3000\u00a0'
    "ßẞſİıKΣσςϴéÉǅǆﬁａＡﾊﾟ漢ひカДавАאبᎠꭰﷺ♥",
    max_size=40,
)


def guest(raw: object) -> Name:
    return parse_guest_name(raw, 32)


# Guests


@pytest.mark.parametrize(
    ("raw", "display", "key"),
    [
        ("Bob", "Bob", "bob"),
        ("jean-luc_r.2", "jean-luc_r.2", "jean-luc_r.2"),
        ("  Bob   Jones\n", "Bob Jones", "bob jones"),
        ("山田\u3000太郎", "山田 太郎", "山田 太郎"),
        ("Jose\u0301", "José", "josé"),
        ("Ｂｏｂ", "Bob", "bob"),
        ("ﾜﾀﾅﾍﾞ", "ワタナベ", "ワタナベ"),
        ("Straße", "Straße", "straße"),
        ("ДАВИД", "ДАВИД", "давид"),
        ("Ὀδυσσεύς", "Ὀδυσσεύς", "ὀδυσσεύς"),
        ("1", "1", "1"),
        ("<b>", "<b>", "<b>"),
    ],
)
def test_a_guest_keeps_the_case_but_is_known_without_it(raw: str, display: str, key: str) -> None:
    name = guest(raw)
    assert (name.display, name.key) == (display, key)


@pytest.mark.parametrize(
    "raw",
    [
        *["Łukasz", "Ελένη", "Нина", "ნინო", "Արամ", "דוד", "علي", "مُحَمَّد"],
        *["आदित्य", "สมชาย", "กี่", "སྒྲོལ་མ", "ကျုံ့", "ላሊ"],
        *["김민준", "金민준", "山田たろう", "ケンタ君", "王小明ㄨ"],
        *["Nguyễn Thị Ánh", "Ali", "Ian", "Lia", "Mila", "Allan", "Hosta", "C#", "O'Neil"],
    ],
)
def test_names_of_the_world_are_welcome(raw: str) -> None:
    assert guest(raw).display == raw


@pytest.mark.parametrize("raw", [None, 5, True, {}, {"name": "bob"}, ["bob"], b"bob"])
def test_a_guests_name_is_a_text(raw: object) -> None:
    with pytest.raises(InvalidName, match="must be a text"):
        guest(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "must not be empty"),
        (" \n\u3000", "must not be empty"),
        ("...", "at least one letter or digit"),
        ("- -", "at least one letter or digit"),
        ("a\tb", r"invisible characters \(U\+0009\)"),
        ("a\nb", r"invisible characters \(U\+000A\)"),
        ("a\0b", r"U\+0000"),
        ("a\x1b[31mb", r"U\+001B"),
        ("a\u200bb", r"U\+200B"),
        ("a\u200db", r"U\+200D"),
        ("a\u202eb", r"U\+202E"),
        ("a\u00adb", r"U\+00AD"),
        ("a\ud800b", r"U\+D800"),
        ("\u3164", r"U\+3164"),
        ("a\u034fb", r"U\+034F"),
        ("\u2800", r"U\+2800"),
        ("♥bob", "“♥”"),
        ("😀", "“😀”"),
        ("ﬁsh", "“ﬁ”"),
        ("bob²", "“²”"),
        ('bob "b" jones', "quotation marks"),
        ("＂bob", "quotation marks"),
        ("@bob", "begin with @"),
        ("＠bob", "begin with @"),
        ("#lobby", "begin with #"),
        ("Bоb", "different scripts .here Cyrillic and Latin."),
        ("bob Давид", "different scripts"),
        ("Νick", "Greek and Latin"),
        ("ㄨカ", "Bopomofo and Katakana"),
        ("김かな", "Hangul and Hiragana"),
        ("דודbob", "right-to-left"),
        ("2דוד", "right-to-left"),
        ("x" * 33, "at most 32 characters; this one has 33"),
        ("x" * 1_000_000, "at most 32 characters"),
    ],
)
def test_a_guest_is_told_what_is_wrong_with_a_name(raw: str, reason: str) -> None:
    with pytest.raises(InvalidName, match=reason):
        guest(raw)


def test_length_is_counted_in_composed_characters() -> None:
    assert parse_guest_name("e\u0301" * 4, 4).display == "é" * 4
    with pytest.raises(InvalidName, match="at most 4 characters; this one has 5"):
        parse_guest_name("e\u0301" * 5, 4)


@pytest.mark.parametrize(
    "raw",
    [
        "q\u0301\u0302\u0303",
        "q\u0301\u0301",
        "ก\u0e47\u0e47",
        "ก" + "\u0e34\u0e47" * 3,
        "\u0301b",
        "b \u0301",
    ],
)
def test_marks_are_not_piled_up(raw: str) -> None:
    with pytest.raises(InvalidName, match="accent"):
        guest(raw)


def test_two_accents_on_a_letter_are_allowed() -> None:
    assert guest("q\u0301\u0323").key


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_reserved_names_are_refused_in_any_case(word: str) -> None:
    for raw in (word, word.upper(), word.title()):
        with pytest.raises(InvalidName, match="reserved"):
            guest(raw)


@pytest.mark.parametrize(
    "raw",
    [
        *["adm1n", "Adm1n", "ADMlN", "adm|n", "admIn", "adm1nistrat0r"],
        *["m0derator", "M0DERAT0R", "rnod", "a11", "AII"],
        *["[admin]", "a.d.m.i.n", "-server-", "Ad Min", "ádmin", "ЅУЅТЕМ", "ｎｏｔｉｃｅ"],
    ],
)
def test_look_alikes_of_reserved_names_are_refused(raw: str) -> None:
    with pytest.raises(InvalidName, match="reserved"):
        guest(raw)


def test_an_admin_with_a_cyrillic_letter_is_refused() -> None:
    with pytest.raises(InvalidName, match="scripts"):
        guest("\u0430dmin")


@pytest.mark.parametrize(
    ("raw", "other"), [("Bill", "BiII"), ("coco", "сосо"), ("BOB", "ВОВ"), ("Mike", "rnike"), ("Al", "A1")]
)
def test_names_that_look_the_same_have_one_skeleton_and_two_keys(raw: str, other: str) -> None:
    assert guest(raw).skeleton == guest(other).skeleton
    assert guest(raw).key != guest(other).key


# The site's users


@pytest.mark.parametrize(
    ("raw", "display", "key"),
    [
        ("Bob", "Bob", "bob"),
        (" Bob \t Jones\r\n", "Bob Jones", "bob jones"),
        ("Jose\u0301", "José", "josé"),
        ("admin", "admin", "admin"),
        ('Dwayne "The Rock" Johnson', "Dwayne The Rock Johnson", "dwayne the rock johnson"),
        ("@@bob", "bob", "bob"),
        ("@ ＠ bob", "bob", "bob"),
        ("a\u200b\0b \u202e c", "ab c", "ab c"),
        ("a\ud800b", "ab", "ab"),
        ("Straße", "Straße", "straße"),
        ("♥ Straße", "♥ Straße", "♥ strasse"),
        ("ﬁsh", "ﬁsh", "fish"),
        ("Bоb", "Bоb", "bоb"),
        ("#1 fan", "#1 fan", "#1 fan"),
        ("❤\ufe0f", "❤\ufe0f", "❤"),
        ("bob@example.org", "bob@example.org", "bob@example.org"),
        ("x" * 31 + " yz", "x" * 31, "x" * 31),
    ],
)
def test_the_sites_name_is_taken_with_what_chat_cannot_use_left_out(raw: str, display: str, key: str) -> None:
    name = site_name(raw, 32)
    assert (name.display, name.key) == (display, key)


@pytest.mark.parametrize("raw", ["", " ", '"', "@", "\u200b", "\u3164", "\u2800", "\0", "\ud800", None, 5])
def test_a_site_name_in_which_nothing_is_visible_is_refused(raw: object) -> None:
    with pytest.raises(InvalidName, match="The site"):
        site_name(raw, 32)


def test_a_site_name_is_cut_to_the_limit() -> None:
    assert site_name("x" * 1_000_000, 32).display == "x" * 32


def test_keys_and_skeletons_fit_their_columns_and_stay_different() -> None:
    one, other = site_name("ﷺ" * 31 + "a", 32), site_name("ﷺ" * 31 + "b", 32)
    assert len(one.key) == len(one.skeleton) == KEY_CHARACTERS
    assert one.key != other.key
    assert one.skeleton != other.skeleton


# How a name is looked up


@pytest.mark.parametrize("text", ["Bob", "@Bob", "BOB", " bob ", '@"bob"', "ｂｏｂ", "＠Bob", "b\u200bob"])
def test_a_user_is_found_however_the_name_is_typed(text: str) -> None:
    assert name_key(text) == guest("Bob").key


@pytest.mark.parametrize(
    "text", ["", "@", '@""', " ", "\0", "\ud800", "\u200b", "x" * 2000, None, {}, b"bob"]
)
def test_what_is_no_name_is_nobodys_key(text: object) -> None:
    assert name_key(text) == ""


def test_names_that_precis_tells_apart_have_two_keys() -> None:
    assert name_key("Straße") != name_key("Strasse")


@pytest.mark.parametrize(
    ("text", "other"), [("Straße²", "Straße2"), ("\u034f@bob", "bob"), ("¨x", "\u0308x"), ("＂﹫bob", "bob")]
)
def test_names_of_compatible_characters_have_one_key(text: str, other: str) -> None:
    assert name_key(text) == name_key(other)


@pytest.mark.timeout(10)
def test_marks_that_would_take_half_a_minute_to_sort_are_no_names() -> None:
    raw = "a" + "\u0301\u0316" * 100_000
    for parse in (parse_guest_name, parse_room_name):
        with pytest.raises(InvalidName, match="at most 32 characters"):
            parse(raw, 32)
    assert len(site_name(raw, 32).display) == 32
    assert name_key(raw) == ""


@settings(deadline=None)
@given(TEXTS)
def test_a_guests_name_has_its_precis_key_and_is_found_by_it(raw: str) -> None:
    try:
        name = guest(raw)
    except InvalidName:
        return
    profile = get_profile("UsernameCaseMapped")
    assert name.key == " ".join(profile.enforce(part) for part in name.display.split(" "))
    assert name == guest(name.display)
    assert name_key(name.display) == name_key(name.key) == name_key(raw) == name.key


@settings(deadline=None)
@given(TEXTS, st.integers(1, 40))
def test_a_sites_name_is_found_by_its_key_and_is_its_own_name(raw: str, max_characters: int) -> None:
    try:
        name = site_name(raw, max_characters)
    except InvalidName:
        return
    assert name_key(name.display) == name.key != ""
    assert site_name(name.display, max_characters) == name
    assert len(name.display) <= max_characters
    assert '"' not in name.display
    assert not name.display.startswith("@")
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in name.display)


@settings(deadline=None)
@given(TEXTS)
def test_looking_up_any_text_raises_nothing_and_gives_a_key_that_can_be_stored(text: str) -> None:
    assert len(name_key(text).encode()) <= 4 * KEY_CHARACTERS


def test_the_key_of_every_character_that_precis_accepts_is_the_one_of_precis() -> None:
    preserved, mapped = get_profile("UsernameCasePreserved"), get_profile("UsernameCaseMapped")
    wrong = []
    for char in map(chr, range(sys.maxunicode + 1)):
        if not char.isalnum() or unicodedata.category(char) == "Lo":  # other letters have no case
            continue
        try:
            display, key = preserved.enforce(char), mapped.enforce(char)
        except UnicodeEncodeError:
            continue
        if name_key(display) != key:
            wrong.append(char)
    assert wrong == []


# Rooms


@pytest.mark.parametrize(
    ("raw", "display", "key"),
    [
        ("Lobby", "Lobby", "lobby"),
        ("  The   Lobby \n", "The Lobby", "the lobby"),
        ("#general", "#general", "#general"),
        ("Café", "Café", "café"),
        ("Cafe\u0301", "Café", "café"),
        ("STRASSE", "STRASSE", "strasse"),
        ("Straße", "Straße", "strasse"),
        ("ＬＯＢＢＹ", "ＬＯＢＢＹ", "lobby"),
        ("🎉 party", "🎉 party", "🎉 party"),
        ("👩\u200d💻", "👩\u200d💻", "👩💻"),
        ("❤\ufe0f", "❤\ufe0f", "❤"),
        ("می\u200cخواهم", "می\u200cخواهم", "میخواهم"),
        ("mixed Бob", "mixed Бob", "mixed бob"),
        ("a@b", "a@b", "a@b"),
        ('"quoted"', '"quoted"', '"quoted"'),
        ("!", "!", "!"),
    ],
)
def test_a_room_keeps_its_name_but_is_known_without_case(raw: str, display: str, key: str) -> None:
    name = parse_room_name(raw, 64)
    assert (name.display, name.key) == (display, key)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "must be a text"),
        (5, "must be a text"),
        ({}, "must be a text"),
        ("", "must not be empty"),
        (" \n ", "must not be empty"),
        ("\u3164", "visible"),
        ("\u2800", "visible"),
        ("a\nb", r"U\+000A"),
        ("a\0b", r"U\+0000"),
        ("a\u200bb", r"U\+200B"),
        ("a\u202eb", r"U\+202E"),
        ("\u200dab", r"U\+200D"),
        ("ab \u200d", r"U\+200D"),
        ("a\ud800b", r"U\+D800"),
        ("@bob", "begin with @"),
        ("＠bob", "begin with @"),
        ("\ufe0f@bob", "begin with @"),
        ("\ufe0f @bob", "begin with @"),
        ("x" * 65, "at most 64 characters; this one has 65"),
        ("x" * 1_000_000, "at most 64 characters"),
    ],
)
def test_a_room_name_is_refused_with_the_reason(raw: object, reason: str) -> None:
    with pytest.raises(InvalidName, match=reason):
        parse_room_name(raw, 64)


def test_room_keys_fit_their_column_and_stay_different() -> None:
    keys = {parse_room_name("ﷺ" * 63 + end, 64).key for end in "ab"}
    assert {len(key) for key in keys} == {KEY_CHARACTERS}
    assert len(keys) == 2


@settings(deadline=None)
@given(TEXTS)
def test_a_rooms_display_name_and_key_are_names_of_the_same_room(raw: str) -> None:
    try:
        name = parse_room_name(raw, 64)
    except InvalidName:
        return
    assert parse_room_name(name.display, 64) == name
    assert name.key != ""
    assert name.key.encode()
