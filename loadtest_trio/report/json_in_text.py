"""Finds JSON in text: whole values, objects behind a prefix, quoted texts, CSV cells. Pure."""

import csv
import json
import re
from collections.abc import Iterator
from datetime import datetime
from json import JSONDecoder
from math import isfinite
from typing import Any

import orjson

from loadtest_trio.report.details import LogLine

_BEGINNING = re.compile(r'\{\s*"timestamp"')  # of a line of the service
_MOST_DIGITS = 20  # of a 64-bit integer, or of a negative one with its sign
_JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _number_or_none(text: str) -> float | None:
    number = float(text)
    return number if isfinite(number) else None


def _integer_or_none(text: str) -> float | None:
    number = int(text) if len(text) <= _MOST_DIGITS else None
    return _number_or_none(text) if number is None or not -(2**63) <= number < 2**64 else number


# As orjson has it: Python's own decoder also accepts NaN, numbers beyond all floats and huge integers.
_DECODER = JSONDecoder(parse_float=_number_or_none, parse_int=_integer_or_none, parse_constant=lambda _: None)


def parsed(text: str | bytes) -> Any:
    """Return a JSON object or array; None for anything else."""
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None


def stands_alone(text: str) -> bool:
    """Whether a text is more than the rest of a line that was split."""
    return bool(_BEGINNING.search(text)) or isinstance(parsed(text), dict)


def objects_in(text: str) -> tuple[list[Any], int, int | None]:
    """Find the JSON objects in a text.

    Returns:
        All of the text, where it is one value, or else each object that begins like a line of ours, or else
        the first object; how many of ours are broken; where the last one begins, if it has no end.
    """
    whole = parsed(text)
    if whole is not None:
        return [whole], 0, None
    objects, broken, unfinished = [], 0, None
    match = _BEGINNING.search(text) or re.search(r"\{", text)
    while match:
        value, end = _decoded(text, match.start())
        if value is not None:
            objects.append(value)
        broken += unfinished is not None
        unfinished = match.start() if value is None and match[0] != "{" else None
        match = _BEGINNING.search(text, end)
    return objects, broken, unfinished


def _decoded(text: str, start: int) -> tuple[Any, int]:
    try:
        value, end = _DECODER.raw_decode(text, start)
        if _SURROGATE.search(text, start, end):  # half a pair is no text
            value = orjson.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None, start + 1
    return value, end


def values_in(document: str) -> list[Any] | None:
    """Return the JSON values of a document, one after the other; None when any of it is no JSON."""
    text, at, values = document.strip(), 0, []
    while at < len(text):
        value, end = _decoded(text, at)
        if value is None:
            return None
        values.append(value)
        at = end
        while at < len(text) and text[at].isspace():
            at += 1
    return values


def texts_in(text: str) -> Iterator[str]:
    """Yield quoted texts in a line that may hold a line of ours: JSON's, and those of a CSV row."""
    for quoted in _JSON_TEXT.findall(text):
        if r"\"event\"" in quoted:
            try:
                yield str(orjson.loads(quoted))
            except ValueError:
                continue
    if '""event""' in text:
        before = text.find('"{""') - 1
        try:
            rows = list(csv.reader([text], delimiter=text[before] if before >= 0 else ","))
        except (csv.Error, TypeError, ValueError):
            return
        yield from (cell for row in rows for cell in row if '"event"' in cell)


def as_text(value: Any) -> str | None:
    """Return a text, or the bytes that journald writes as a list of numbers; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(each, int) and 0 <= each < 256 for each in value):
        return bytes(value).decode(errors="replace")
    return None


def line_in(value: Any) -> LogLine | None:
    """Return a line of the service with ``_at``, its time in Unix seconds; None for anything else."""
    try:
        if not isinstance(value["event"], str):
            return None
        return {**value, "_at": datetime.fromisoformat(value["timestamp"]).timestamp()}
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
