"""Text that people send: messages, reactions, and the ids that clients give their messages."""

from __future__ import annotations

import re
import unicodedata

from chatapp.domain.characters import describe, is_visible
from chatapp.errors import InvalidPayload, InvalidText

#: The bound of the Stream-Safe Text Format (UAX #15 section 13). No language comes near it, and without a
#: bound normalization takes quadratic time: 64,000 marks on one letter stall the process for 3 seconds.
MARKS_IN_A_ROW = 30

EMOJI_CODE_POINTS = 16
CLIENT_ID_CHARACTERS = 64

#: Control characters but newline and tab, and lone surrogates, which have no UTF-8.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NEWLINE = re.compile(r"\r\n?|[\u2028\u2029]")
_LEADING_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")

_SHORTCODE = re.compile(r":[a-z0-9_+-]{1,32}:")

#: The emoji sequences of UTS #51, over the blocks that emoji live in rather than the list of some year.
_EMOJI_BASE = (
    r"[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f"
    r"\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
)
_EMOJI_TAGS = r"[\U000e0020-\U000e007e]+\U000e007f"
_EMOJI_UNIT = rf"{_EMOJI_BASE}(?:[\U0001f3fb-\U0001f3ff]|{_EMOJI_TAGS}|\ufe0f)?"
_EMOJI = re.compile(
    r"[0-9#*]\ufe0f?\u20e3"  # a keycap
    r"|[\U0001f1e6-\U0001f1ff]{2}"  # a flag
    rf"|{_EMOJI_UNIT}(?:\u200d{_EMOJI_UNIT})*"
)


def parse_text(raw: object, max_characters: int, max_bytes: int) -> str:
    r"""Return the text of a message in NFC with ``\n`` as newline, or raise `InvalidText` with the reason.

    Blank lines before it and white space after it are dropped; the first line keeps its indentation, for it
    may be code. Line and paragraph separators become newlines. Bidirectional controls stay: right-to-left
    writing needs them, and ``<bdi>`` keeps what they do inside the message. Lengths are counted after all
    that, in code points and in bytes of UTF-8.
    """
    if not isinstance(raw, str):
        raise InvalidText("A message must be a text.")
    if raw.isascii() and raw.isprintable():  # most are: one line of letters, digits, signs and spaces
        text = raw.rstrip()
        if not text:
            raise InvalidText("A message must not be empty.")
    else:
        text = _cleaned(raw, max_characters, max_bytes)
    _check_length(text, max_characters)
    size_bytes = len(text) if text.isascii() else len(text.encode())
    if size_bytes > max_bytes:
        raise InvalidText(f"A message has at most {max_bytes} bytes; this one has {size_bytes}.")
    return text


def _cleaned(raw: str, max_characters: int, max_bytes: int) -> str:
    """Return `raw` in NFC, without what is dropped. Raises InvalidText for what must not be in a message."""
    text = _NEWLINE.sub("\n", raw)
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        raise InvalidText(f"A message must not contain control characters ({describe(forbidden[0])}).")
    text = _LEADING_BLANK_LINES.sub("", text.rstrip())
    if len(text) > max(max_characters, max_bytes):  # so long that no normalization helps
        _check_length(text, max_characters)
    if not text.isascii():
        _check_marks(text)
        text = unicodedata.normalize("NFC", text)
    if not is_visible(text):
        raise InvalidText("A message must not be empty.")
    return text


def parse_emoji(raw: object) -> str:
    """Return a reaction, or raise `InvalidText`.

    A reaction is one emoji of up to 16 code points (so 64 bytes), or one shortcode: up to 32 of ``a-z``,
    ``0-9``, ``_``, ``+`` and ``-`` between colons. An emoji is a sequence of UTS #51: a symbol with its skin
    tone or variation, several of those joined, a flag, a keycap.
    """
    if isinstance(raw, str):
        is_emoji = len(raw) <= EMOJI_CODE_POINTS and _EMOJI.fullmatch(raw)
        if is_emoji or _SHORTCODE.fullmatch(raw):
            return raw
    raise InvalidText("A reaction must be one emoji, or a shortcode such as :thumbsup:.")


def parse_client_id(raw: object) -> str | None:
    """Return the id a client gave its message, None if it gave none, or raise `InvalidPayload`."""
    if raw is None:
        return None
    if isinstance(raw, str) and 1 <= len(raw) <= CLIENT_ID_CHARACTERS and raw.isascii() and raw.isprintable():
        return raw
    raise InvalidPayload(f"client_id must be 1 to {CLIENT_ID_CHARACTERS} printable ASCII characters.")


def _check_length(text: str, max_characters: int) -> None:
    if len(text) > max_characters:
        raise InvalidText(f"A message has at most {max_characters} characters; this one has {len(text)}.")


def _check_marks(text: str) -> None:
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks > MARKS_IN_A_ROW:
            raise InvalidText(f"A message must not have more than {MARKS_IN_A_ROW} accents on one letter.")
