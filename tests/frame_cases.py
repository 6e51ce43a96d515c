"""Texts and close codes of RFC 6455 as the cases of the Autobahn test suite have them, valid and not."""

from __future__ import annotations

VALID_TEXTS = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\x00",
    "\x7f",
    "\u0080",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\ufffd",
    "\uffff",
    "\U00010000",
    "\U0010ffff",
    "\U0001f600\u200d",
]

INVALID_TEXTS = [
    bytes.fromhex(text)
    for text in (
        "cebae1bdb9cf83cebcceb5eda080656469746564",  # a surrogate within
        "f4908080",  # beyond U+10FFFF
        "f888888880",
        "fc8080808080",
        "80",
        "bf",
        "8080",
        "c0",
        "c080",  # longer than needed
        "c1bf",
        "e0808f",
        "e09fbf",
        "f0808080",
        "f08fbfbf",
        "eda080",
        "edbfbf",
        "eda080edb080",
        "ce",  # cut off
        "e1bd",
        "f09f98",
        "fe",
        "ff",
        "20ff20",
    )
]

VALID_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]

INVALID_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
