"""Results of a long run: a JSON file with everything and a small Markdown table of the same."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_results(
    folder: Path, stem: str, results: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], closing: str = ""
) -> None:
    """Write ``stem.json`` and ``stem.md``, and show the table.

    Args:
        folder: Where to; made if it is missing.
        stem: The files' name.
        results: Everything; `title`, `date`, `seconds` and `machine` head the table.
        rows: What the table shows. A single row is shown as a list of names and figures.
        closing: A paragraph below the table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.json").write_text(json.dumps(results, indent=1) + "\n")
    machine = results["machine"]
    head = (
        f"### {results['title']}\n\n{results['date']}, {results['seconds']} s, "
        f"{machine['cpus']} x {machine['cpu_model']}, {machine['platform']}\n\n"
    )
    text = head + (_list(rows[0]) if len(rows) == 1 else _table(rows)) + (closing and f"\n{closing}")
    (folder / f"{stem}.md").write_text(text)
    sys.stdout.write(text)


def _list(row: Mapping[str, Any]) -> str:
    lines = [f"| {name.replace('_', ' ')} | {_cell(value)} |" for name, value in row.items()]
    return "\n".join(["| what | figure |", "| --- | ---: |", *lines]) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(rows[0])
    head = [" | ".join(name.replace("_", " ") for name in names), " | ".join("---" for _ in names)]
    lines = [*head, *(" | ".join(_cell(row[name]) for name in names) for row in rows)]
    return "".join(f"| {line} |\n" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return "–" if value is None else str(value)
