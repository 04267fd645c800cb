"""Writes the reference tables into the pages of docs/; with ``--check``, only says which are out of date.

A table stands between ``<!-- reference: NAME -->`` and ``<!-- end -->`` in a page.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from loadtest_trio.backends.redis.layout import KEYS
from loadtest_trio.cli.exits import MEANINGS
from loadtest_trio.metrics.reference import EVENTS, FIELDS, JOB_FIELDS
from loadtest_trio.settings import SETTINGS

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"(<!-- reference: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(columns: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; `columns` are separated by bars."""
    head = [f"| {columns} |", "|" + " --- |" * len(columns.split("|"))]
    return "\n".join(head + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def code_table(columns: str, meanings: Mapping[str, str]) -> str:
    """Return a table whose first column is code."""
    return table(columns, ((f"`{name}`", meaning) for name, meaning in meanings.items()))


def settings_table() -> str:
    """Return the table of settings."""

    def default(required: bool, text: str) -> str:
        return "**required**" if required else f"`{text}`" if text else "unset"

    def meaning(text: str, aliases: tuple[str, ...]) -> str:
        read = ", ".join(f"`{alias}`" for alias in aliases)
        return f"{text} Also read from {read}." if aliases else text

    return table(
        "setting | default | meaning | allowed",
        (
            (
                f"`{info.name}`",
                default(info.required, info.default_text),
                meaning(info.meaning, info.aliases),
                info.allowed.replace("|", "\\|"),
            )
            for info in SETTINGS
        ),
    )


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "fields": lambda: code_table("field | meaning", FIELDS),
    "job_fields": lambda: code_table("field | meaning", JOB_FIELDS),
    "events": lambda: code_table("event | meaning", EVENTS),
    "keys": lambda: code_table("Redis key | holds", KEYS),
    "exits": lambda: table("code | meaning", ((str(code), meaning) for code, meaning in MEANINGS.items())),
}


def written(page: str) -> str:
    """Return a page with its tables as they should be."""
    return BLOCK.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], page)


def main(arguments: list[str]) -> int:
    """Write, or check; return 1 when a page is out of date and was only checked."""
    stale = []
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        if written(page) != page:
            stale.append(path.name)
            if "--check" not in arguments:
                path.write_text(written(page), encoding="utf-8")
    verb = "is out of date: run scripts/reference" if "--check" in arguments else "written"
    for name in stale:
        sys.stdout.write(f"docs/{name} {verb}\n")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
