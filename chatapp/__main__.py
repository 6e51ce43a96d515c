"""``python -m chatapp``: the command line."""

from chatapp.cli import main

main(prog_name="chatapp")
