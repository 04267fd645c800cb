"""Log records as text for people: one line each where it fits 100 columns, else indented lines. Pure."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loguru import Record

COLUMNS = 100
_INDENT = " " * 17  # the width of time and level
_HIDDEN = frozenset(
    {
        "by_operation",
        "s3",
        "redis",
        "histograms",
        "ledger",
        "backend_cpu",
        "_aws",
        "settings",
        "machine",
        "versions",
    }
)

# What a client or a foreign message names must not move a terminal's cursor. Lines and tabs are laid out.
_ALL_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROLS = {code: shown for code, shown in _ALL_CONTROLS.items() if chr(code) not in "\n\t"}


def on_one_line(text: str) -> str:
    """Return a text with its control characters shown, and without what cannot be encoded."""
    return text.translate(_ALL_CONTROLS).encode(errors="replace").decode()


def render_text(record: "Record") -> str:
    """Return a record as readable lines of at most 100 columns; nested fields are left to the JSON form."""
    head = f"{record['time']:HH:mm:ss} {record['level'].name:<7} "
    lines = [
        head + _INDENT[len(head) :] + each if place == 0 else each for place, each in enumerate(_body(record))
    ]
    return "".join(f"{line}\n" for line in lines).encode(errors="replace").decode()


def _body(record: "Record") -> Iterator[str]:
    name, fields = record["message"], record["extra"]
    if name == "metrics":
        yield from _wrapped(metrics_text(fields))
        return
    shown = {key: str(value).translate(_CONTROLS) for key, value in fields.items() if key not in _HIDDEN}
    plain = [f"{key}={value}" for key, value in shown.items() if "\n" not in value]
    yield from _wrapped(" ".join((name.replace("_", " "), *plain)))
    for key, value in shown.items():
        if "\n" in value:  # such as a traceback, whose lines say more when they stay lines
            yield f"{_INDENT}{key}:"
            for line in value.splitlines():
                yield from _wrapped(line, indent_first=True)


def _wrapped(text: str, *, indent_first: bool = False) -> Iterator[str]:
    width = COLUMNS - len(_INDENT)
    if len(text) <= width and "\t" not in text:
        yield _INDENT * indent_first + text
        return
    pieces = textwrap.wrap(text, width, break_on_hyphens=False, drop_whitespace=True) or [""]
    for place, piece in enumerate(pieces):
        yield _INDENT * (indent_first or place > 0) + piece


def metrics_text(fields: Mapping[str, Any]) -> str:
    """Return a metrics line as a person reads it in passing."""
    p99, cpu, memory = (fields.get(name) for name in ("end_to_end_p99_ms", "cpu_percent", "memory_mb"))
    parts = [
        f"{fields.get('phase')} {short(fields.get('rate_per_second'))}/s",
        f"p99 {'–' if p99 is None else f'{p99:.0f} ms' if p99 < 10_000 else f'{p99 / 1000:.0f} s'}",
        f"queue {short(fields.get('queue_length'))}",
        f"in flight {short(fields.get('in_flight'))}",
        *([f"delayed {short(fields['delayed'])}"] if fields.get("delayed") else []),
        f"dead {short(fields.get('dead'))}",
        f"errors {short(fields.get('errors'))}",
        f"CPU {'–' if cpu is None else f'{cpu:.0f}'} %",
        f"{'–' if memory is None else f'{memory:.0f}'} MB",
    ]
    return " | ".join(parts)


def short(value: float | None) -> str:
    """Return a count or a rate in at most five characters."""
    if value is None:
        return "–"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            scale = {"G": 1e9, "M": 1e6, "k": 1e3}[unit]
            return f"{value / scale:.0f}{unit}"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
