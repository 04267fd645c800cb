"""Payloads: valid, unique and uniform UUIDs; an edit changes two hex digits and nothing else."""

import re
import uuid
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.handlers.objects.payload import LINE_BYTES, edit, uuid_lines

LINE = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n")
HEX = b"0123456789abcdefABCDEF"
FIXED = {8, 13, 18, 23, 14, 19, 36}


def valid(body: bytes | bytearray) -> bool:
    """Whether every line is a version 4 UUID in its canonical form."""
    return all(LINE.fullmatch(line) for line in bytes(body).splitlines(keepends=True))


@given(st.integers(1, 300), st.integers(0))
def test_lines_are_uuids(count: int, seed: int) -> None:
    """There are as many lines as requested, each a valid version 4 UUID."""
    body = uuid_lines(count, Random(seed))
    assert len(body) == count * LINE_BYTES
    assert valid(body)
    for line in bytes(body).decode().splitlines():
        parsed = uuid.UUID(line)
        assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, line)


def test_uuids_are_unique() -> None:
    """Ten files of 10,000 lines contain 100,000 different UUIDs."""
    rng = Random(7)
    assert len({line for _ in range(10) for line in bytes(uuid_lines(10_000, rng)).split()}) == 100_000


def test_digits_are_uniform() -> None:
    """At every free position all 16 digits are equally likely: chi-square, 30 positions, fixed seed."""
    body = uuid_lines(20_000, Random(11))
    for column in set(range(36)) - FIXED:
        counts = Counter(body[column::LINE_BYTES])
        assert set(counts) == set(b"0123456789abcdef")
        chi_square = sum((count - 1250) ** 2 / 1250 for count in counts.values())
        assert chi_square < 44.3  # 15 degrees of freedom: exceeded with a probability of 1e-4
    variants = Counter(body[19::LINE_BYTES])
    assert sum((count - 5000) ** 2 / 5000 for count in variants.values()) < 21.1  # 3 degrees, 1e-4


def test_same_seed_gives_same_file() -> None:
    """The same seed gives the same file, another seed another file."""
    assert uuid_lines(10, Random(1)) == uuid_lines(10, Random(1)) != uuid_lines(10, Random(2))


def changes(before: bytes, after: bytes | bytearray) -> list[int]:
    """Positions at which two equally long bodies differ."""
    assert len(before) == len(after)
    return [at for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]


@given(st.integers(1, 50), st.integers(0), st.integers(1, 5))
def test_edit_changes_two_hex_digits(count: int, seed: int, times: int) -> None:
    """Every edit changes exactly two digits and leaves valid version 4 UUIDs."""
    rng = Random(seed)
    body = uuid_lines(count, rng)
    for _ in range(times):
        before = bytes(body)
        edit(body, rng)
        changed = changes(before, body)
        assert len(changed) == 2
        assert all(body[at] in b"0123456789abcdef" for at in changed)
        assert valid(body)


def test_edits_are_uniform_over_free_digits() -> None:
    """Over many edits a line's 30 free positions are hit equally often, the others never."""
    rng, hits = Random(5), Counter[int]()
    body = uuid_lines(4, rng)
    for _ in range(6000):
        before = bytes(body)
        edit(body, rng)
        hits.update(at % LINE_BYTES for at in changes(before, body))
    assert set(hits) == set(range(36)) - FIXED
    assert all(300 < count < 500 for count in hits.values())  # 400 expected


@given(st.text(min_size=0, max_size=200).map(str.encode), st.integers(0))
def test_foreign_text_keeps_case_of_digits(text: bytes, seed: int) -> None:
    """In other text two hex digits change to two of the same case; without two, it is refused."""
    body = bytearray(text)
    if sum(byte in HEX for byte in text) < 2:
        with pytest.raises(ValueError, match="fewer than two hex digits"):
            edit(body, Random(seed))
        assert body == text
        return
    edit(body, Random(seed))
    changed = changes(text, body)
    assert len(changed) == 2
    for at in changed:
        assert text[at] in HEX
        assert body[at] in HEX
        assert not (chr(text[at]).isupper() and chr(body[at]).islower())


@pytest.mark.parametrize("seed", range(30))
def test_uuid_shaped_line_with_other_letters(seed: int) -> None:
    """If the hyphens match but the rest is not a UUID, only hex digits are changed."""
    text = b"zzzzzzz1-zzzz-4zzz-azzz-zzzzzzzzzzz2\n"
    body = bytearray(text)
    edit(body, Random(seed))
    changed = changes(text, body)
    assert len(changed) == 2
    assert all(text[at] in HEX and body[at] in HEX for at in changed)


def test_text_of_matching_length_is_foreign() -> None:
    """Text of a multiple of 37 bytes that is not a UUID file is edited as foreign text."""
    text = b"xy-0zz" + b"z" * (LINE_BYTES - 7) + b"1"
    body = bytearray(text)
    edit(body, Random(1))
    assert changes(text, body) == [3, LINE_BYTES - 1]
