"""``config``: every setting, with its history."""

import argparse
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from loadtest_trio.commands.exits import OK, complain
from loadtest_trio.settings import SETTINGS, load

MEANING = "Show every setting: value, source, default, meaning."
_WIDTH_IN_A_PIPE = 220


def add_options(_: argparse.ArgumentParser) -> None:
    """There are none."""


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the table; secrets are masked."""
    loaded = load(environ, options.config)
    table = Table("setting", "value", "source", "default", "meaning", box=None, pad_edge=False)
    for info in SETTINGS:
        value = info.shown(getattr(loaded.settings, info.name.lower()))
        table.add_row(info.name, value, loaded.sources[info.name], info.default_text, info.meaning)
    width = None if sys.stdout.isatty() else _WIDTH_IN_A_PIPE
    Console(width=width, highlight=False, markup=False).print(table)
    return complain(OK, *loaded.warnings)
