"""``users``: flags in `options`, the command in `command`."""

from loadtest_trio.cli.users.command import MEANING, execute
from loadtest_trio.cli.users.options import add_options

__all__ = ["MEANING", "add_options", "execute"]
