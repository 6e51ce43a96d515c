"""What an error of a database server means for the transaction that met it."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """What can be done about an error."""

    #: A wrong statement or a wrong value: nothing, here.
    OURS = "ours"
    #: Another transaction was in the way: undone, and worth another try.
    CONFLICT = "conflict"
    #: The connection is gone: undone unless it was being committed, and worth another try with a new one.
    LOST = "lost"
    #: It took too long, or there are too many: the sender may try again.
    BUSY = "busy"
    #: Nothing helps but a person.
    UNAVAILABLE = "unavailable"
