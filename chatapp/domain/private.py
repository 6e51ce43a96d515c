"""The syntax of private messages: ``@name text``, or ``@"name with spaces" text``."""

from __future__ import annotations

import re

from chatapp.errors import InvalidPayload, InvalidText

_SYNTAX = 'Write a private message as @name text, or as @"name with spaces" text.'

#: White space after the name belongs to neither, up to the end of the line; the text keeps all its lines.
_PRIVATE = re.compile(
    r"""@ (?: "(?P<quoted> [^"\r\n]+ )" (?=\s|\Z) | (?P<bare> [^\s"]\S* ) )
    [^\S\n]* \n? (?P<text>.*)""",
    re.VERBOSE | re.DOTALL,
)
_UNBALANCED = re.compile(r'@"[^"\r\n]*(?:[\r\n]|\Z)')


def parse_private(raw: object) -> tuple[str, str]:
    """Return the name a private message is for, as typed and without the ``@``, and its text.

    `InvalidPayload` if it is not of this syntax, which the message then shows; `InvalidText` if it has no
    text. Whether the name is somebody's, and the text allowed, is for `name_key` and `parse_text` to say.
    """
    if not isinstance(raw, str):
        raise InvalidPayload(f"A private message must be a text. {_SYNTAX}")
    found = _PRIVATE.match(raw)
    if not found:
        if _UNBALANCED.match(raw):
            raise InvalidPayload(f"The closing quotation mark after the name is missing. {_SYNTAX}")
        raise InvalidPayload(_SYNTAX)
    name: str = found["bare"] or found["quoted"]
    text: str = found["text"]
    if not name.strip():
        raise InvalidPayload(f"There is no name after the @. {_SYNTAX}")
    if not text.strip():
        raise InvalidText(f"There is no text after the name. {_SYNTAX}")
    return name, text


def address(name: str) -> str:
    """Return how the user of this name is addressed: ``@bob``, ``@"bob jones"``."""
    return f'@"{name}"' if re.search(r"\s", name) else f"@{name}"
