"""Silence for the libraries' loggers that would log in a native thread: see `Database`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


def silence(*names: str) -> None:
    """Let these loggers log nothing. A disabled logger takes no lock."""
    for name in names:
        logging.getLogger(name).disabled = True


@contextlib.contextmanager
def silenced(name: str) -> Iterator[None]:
    """Let this logger log nothing for now."""
    logger = logging.getLogger(name)
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled
