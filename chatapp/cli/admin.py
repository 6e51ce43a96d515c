"""``chatapp admin``: what an administrator says and does, from a shell or a cron script."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from chatapp.cli.options import config_option, settings_of
from chatapp.errors import ChatError


@click.group()
def admin() -> None:
    """Speak in the chat from a shell or a script."""


def _said(speak: Callable[[Any, str], dict[str, Any]], config: str | None, text: str) -> None:
    """Have `speak` say the text, ``-`` for standard input, and print the place that it got."""
    from chatapp.server import ChatServer

    if text == "-":
        text = sys.stdin.read().rstrip("\n")
    try:
        chat = ChatServer(settings_of(config))
        try:
            receipt = speak(chat, text)
        finally:
            chat.close()
    except ChatError as error:
        raise click.ClickException(error.message) from None
    click.echo(f"{receipt['room']} {receipt['seq']}")


_sender = click.option("--sender", default="system", show_default=True, help="The name it is said under.")
_client_id = click.option("--client-id", help="Said again with the same id, it is stored once.")


@admin.command()
@click.argument("room")
@click.argument("text")
@_sender
@_client_id
@click.option("--notice", is_flag=True, help="Show it as a notice.")
@config_option
def post(room: str, text: str, sender: str, client_id: str | None, notice: bool, config: str | None) -> None:
    """Say TEXT in ROOM: stored, and delivered by whatever processes serve the chat. TEXT - reads it from
    standard input."""
    _said(
        lambda chat, text: chat.post(room, text, sender=sender, client_id=client_id, notice=notice),
        config,
        text,
    )


@admin.command()
@click.argument("user")
@click.argument("text")
@_sender
@_client_id
@config_option
def tell(user: str, text: str, sender: str, client_id: str | None, config: str | None) -> None:
    """Say TEXT to USER alone."""
    _said(lambda chat, text: chat.send_private(user, text, sender=sender, client_id=client_id), config, text)
