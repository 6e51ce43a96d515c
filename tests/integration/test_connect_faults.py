"""A connection that fails by a fault of the server's: its client hears so, and does not wait."""

from __future__ import annotations

from pathlib import Path

from clients import TRANSPORTS, refused, wait_until
from servers import running


def test_a_client_that_cannot_be_admitted_is_told_and_the_reason_is_logged() -> None:
    nowhere = Path("/proc/chatapp")  # where no secret key can be kept, without which no token can be read
    with running("serve", nowhere, STORAGE_URL="none") as server:
        for transport in TRANSPORTS:
            told = refused(server.url, transport, auth={"token": "a token"})
            assert told["data"]["code"] == "internal_error"
            assert str(nowhere) not in str(told)
        reason = f"{nowhere}/secret_key"
        wait_until(lambda: sum(reason in line for line in server.output) >= len(TRANSPORTS), "the log")
