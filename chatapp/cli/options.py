"""What the commands share: the option that names the INI file, and what wrong settings end with."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from chatapp.settings import Settings

config_option = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(),
    help="The INI file. Without it CHATAPP_CONFIG names one, and without that the defaults hold.",
)


class WrongSettings(click.ClickException):
    """What is wrong with the settings, each on a line of its own on stderr; exit status 2."""

    exit_code = 2

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=True)


def settings_of(config: str | None) -> Settings:
    """Return the settings for a command's ``--config``. Raises WrongSettings, which ends the command."""
    from chatapp.errors import SettingsError
    from chatapp.settings import load_settings

    try:
        return load_settings(config)
    except SettingsError as error:
        raise WrongSettings(error.faults) from None
