"""``config``: shows every setting and where its value comes from."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

from loadtest_trio.cli.exits import BAD_CONFIGURATION, OK, complain
from loadtest_trio.settings import SETTINGS, Settings, look

MEANING = "Show every setting: value, source, default, meaning."
_WIDTH_IN_A_PIPE = 220


def add_options(_: argparse.ArgumentParser) -> None:
    """Add no options."""


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print all settings with secrets masked, including those with faults."""
    survey = look(environ, options.config)
    faulty = {fault.name for fault in survey.faults}
    table = Table("setting", "value", "source", "default", "meaning", box=None, pad_edge=False)
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(Settings)
    for field, info in zip(fields, SETTINGS, strict=True):
        value = survey.values.get(field.name, field.default)
        shown = "(fault)" if info.name in faulty else info.shown(value)
        table.add_row(info.name, shown, survey.sources[info.name], info.default_text, info.meaning)
    width = None if sys.stdout.isatty() else _WIDTH_IN_A_PIPE
    Console(width=width, highlight=False, markup=False).print(table)
    code = BAD_CONFIGURATION if survey.faults else OK
    return complain(code, *map(str, survey.faults), *survey.warnings)
