"""Transactions that a database undid for no fault of theirs, and how they are tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from chatapp.errors import Refusal

T = TypeVar("T")

#: How often a transaction is tried. Of two that are in each other's way one succeeds, so that of a dozen
#: processes the last has its turn after as many.
MAX_ATTEMPTS = 12
#: The longest pause after the first attempt; it doubles with each, up to the most.
FIRST_PAUSE_SECONDS = 0.005
MAX_PAUSE_SECONDS = 0.1


class Undone(Exception):
    """Nothing of the transaction was kept, and all of it may succeed when it is done again: another one was
    in its way, or its connection broke. `refusal` is what to say if it is not."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Undecided(Exception):
    """The connection broke during the commit: all of the transaction was kept or nothing. `refusal` is what
    to say to those who cannot find out."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def until_done(attempt: Callable[[], T]) -> T:
    """Return ``attempt()``, a transaction, called again where it was undone. Raises the refusal in the
    end."""
    for number in range(MAX_ATTEMPTS):
        try:
            return attempt()
        except Undone as undone:
            if number == MAX_ATTEMPTS - 1:
                raise undone.refusal from undone.__cause__
        # Random, for two that wait equally long are in each other's way again.
        time.sleep(random.uniform(0, min(FIRST_PAUSE_SECONDS * 2**number, MAX_PAUSE_SECONDS)))
    raise AssertionError("the last attempt returns or raises")


__all__ = ["Undecided", "Undone", "until_done"]
