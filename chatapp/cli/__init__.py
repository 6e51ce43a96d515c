"""The command line: ``chatapp serve``, ``check``, ``client`` and ``admin``."""

from __future__ import annotations

import importlib

import click

#: Where each command is. It is imported when it runs: `serve` has to patch the process before anything
#: that opens sockets is imported, and the others need to start quickly.
COMMANDS = {
    "admin": "chatapp.cli.admin",
    "check": "chatapp.cli.check",
    "client": "chatapp.client.command",
    "serve": "chatapp.cli.serve",
}


class Commands(click.Group):
    """The commands of `COMMANDS`."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return their names."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a command; None if there is no such."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[name]), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(importlib.import_module("chatapp").__version__, prog_name="chatapp")
def main() -> None:
    """A chat server for the Flask site you already run."""
