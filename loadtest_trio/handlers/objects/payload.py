r"""File contents: lines of random UUIDs, generated and edited without a Python loop per line. Pure.

A line is 37 bytes (RFC 9562, text form and a newline) with eight groups of four hex digits:

    0   4    9    14   19   24  28  32  36
    xxxxxxxx-xxxx-4xxx-Vxxx-xxxxxxxxxxxx\n      V is one of 8 9 a b

16 random bits make one group, and a table holds the text of all 65,536 groups. numpy looks up one group for
all lines at a time and writes it into its column. Without numpy (`hexlify` and strided deletions) this took
five times as long, a fifth of all CPU in the default mix.
"""

import re
from binascii import hexlify
from random import Random

import numpy as np

LINE_BYTES = 37
_TEMPLATE = b"........-....-....-....-............\n"
_VERSION_AT, _VARIANT_AT = 14, 19
_HYPHENS_AT = (8, 13, 18, 23)
_EDITABLE = tuple(i for i in range(36) if i not in (*_HYPHENS_AT, _VERSION_AT, _VARIANT_AT))
_HEX_DIGITS = b"0123456789abcdef"
_ANY_CASE = _HEX_DIGITS + _HEX_DIGITS.upper()

_GROUPS_AT = {"0": 0, "1": 4, "2": 9, "3": 14, "4": 19, "5": 24, "6": 28, "7": 32}
_LINE = np.dtype(
    {
        "names": list(_GROUPS_AT),
        "formats": ["V4"] * 8,
        "offsets": list(_GROUPS_AT.values()),
        "itemsize": LINE_BYTES,
    }
)
_TEXT_OF = np.frombuffer(hexlify(np.arange(65536, dtype=">u2").tobytes()), "V4")


def uuid_lines(count: int, rng: Random) -> bytearray:
    """Return `count` random version 4 UUIDs, one per line.

    Args:
        count: Number of lines, 1 or more.
        rng: Supplies the seed.

    Returns:
        A buffer of 37 * count bytes.
    """
    bits = np.random.SFC64(rng.getrandbits(128)).random_raw(2 * count).view(np.uint16).reshape(count, 8)
    bits[:, 3] = bits[:, 3] & 0x0FFF | 0x4000  # RFC 9562, section 5.4: the version is 4
    bits[:, 4] = bits[:, 4] & 0x3FFF | 0x8000  # and the variant 10 in binary
    text = bytearray(_TEMPLATE) * count
    lines = np.frombuffer(text, _LINE)
    for number, name in enumerate(_GROUPS_AT):
        lines[name] = _TEXT_OF.take(bits[:, number])
    return text


def edit(body: bytearray, rng: Random) -> None:
    """Change exactly two hex digits to two different ones, in place.

    In a file of UUID lines the version and variant digits are left alone, so every line remains a valid
    version 4 UUID. In any other file, any two hex digits are changed.

    Args:
        body: The file; its length does not change.
        rng: Chooses positions and digits.

    Raises:
        ValueError: The file holds fewer than two hex digits.
    """
    for at in _two_positions(body, rng):
        old = body[at]
        digits = _HEX_DIGITS.upper() if 65 <= old <= 70 else _HEX_DIGITS
        body[at] = rng.choice([digit for digit in digits if digit != old])


def _two_positions(body: bytearray, rng: Random) -> list[int]:
    lines, rest = divmod(len(body), LINE_BYTES)
    if lines and not rest:
        places = (divmod(place, len(_EDITABLE)) for place in rng.sample(range(lines * len(_EDITABLE)), 2))
        chosen = [line * LINE_BYTES + _EDITABLE[column] for line, column in places]
        if all(_is_uuid_line(body, at // LINE_BYTES) and body[at] in _ANY_CASE for at in chosen):
            return chosen
    digits = [match.start() for match in re.finditer(rb"[0-9a-fA-F]", body)]
    if len(digits) < 2:
        raise ValueError("the file holds fewer than two hex digits")
    return rng.sample(digits, 2)


def _is_uuid_line(body: bytearray, line: int) -> bool:
    text = body[line * LINE_BYTES : (line + 1) * LINE_BYTES]
    return text[36] == 10 and all(text[i] == 45 for i in _HYPHENS_AT) and text[_EDITABLE[0] : 8].isalnum()
