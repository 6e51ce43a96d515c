"""``chatapp serve``: the chat server by itself. Patches the process before anything else is imported."""

from __future__ import annotations

import click

from chatapp.cli.options import config_option, settings_of


@click.command()
@config_option
def serve(config: str | None) -> None:
    """Run the chat server: alone, or beside a site that keeps its own server."""
    from gevent import monkey

    monkey.patch_all()

    from chatapp.hosting import collect_less_garbage

    collect_less_garbage()  # of what is imported, too

    import logging
    import signal

    import gevent

    from chatapp.errors import ChatError
    from chatapp.server import ChatServer

    settings = settings_of(config)
    logging.basicConfig(
        level=settings.log.level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        chat = ChatServer(settings)
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, chat.stop)
        chat.start(lambda host, port: click.echo(f"Listening on http://{host}:{port} (Ctrl-C stops)"))
    except ChatError as error:
        raise click.ClickException(error.message) from None
