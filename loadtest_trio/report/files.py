"""Opens log files by their content: compression, encoding and holes. Names and suffixes do not matter.

Log rotation renames files (``run.log.1``, ``run.log-20260101``), CloudWatch exports them as ``000000.gz``,
and PowerShell's ``>`` writes UTF-16, so only the first bytes tell what a file is.
"""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

_HEAD_BYTES = 4096
_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_REFUSED = {
    b"\x28\xb5\x2f\xfd": "compressed with zstd: decompress it (zstd -d)",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\x04\x22\x4d\x18": "compressed with lz4: decompress it",
}
_TAR_AT, _TAR = 257, b"ustar"
_LINE_ENDS = b"\r\n\x00"
_HOLE = re.compile(rb"\x00{2,}")  # file space that was never written, anywhere in a file
_NO_TEXT = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f]")
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"{\x00": "utf-16-le",
    b"[\x00": "utf-16-le",
    b"\x00{": "utf-16-be",
    b"\x00[": "utf-16-be",
}


class NotALogFileError(Exception):
    """The file holds no text; the reason is for people."""


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a text file as UTF-8, decompressed, without line breaks.

    A hole ends a line: what stands behind it was written later, for example after the power failed.

    Raises:
        NotALogFileError: It is no text, or compressed in a way that cannot be read here.
        OSError: It cannot be read.
        EOFError: The compressed data ends too early.
        zlib.error, lzma.LZMAError, UnicodeError: The data are damaged.
    """
    with path.open("rb") as raw, _decompressed(raw) as file:
        for line in _text(file):
            parts = _HOLE.split(line) if b"\x00" in line else (line,)
            yield from (part.strip(_LINE_ENDS) for part in parts)


DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeError)
"""What `lines_of` raises when a file cannot be read to its end; gzip.BadGzipFile is an OSError."""


def _decompressed(raw: IO[bytes]) -> IO[bytes]:
    head = _peek(raw)
    for mark, reason in _REFUSED.items():
        if head.startswith(mark):
            raise NotALogFileError(reason)
    for mark, opener in _COMPRESSED.items():
        if head.startswith(mark):
            return opener(raw)  # type: ignore[no-any-return, operator] # all three give binary files
    return raw


def _peek(file: Any) -> bytes:
    """Return the next bytes without reading them: a pipe (``report <(…)``) cannot be read twice."""
    return bytes(file.peek(_HEAD_BYTES)[:_HEAD_BYTES])


def _text(file: IO[bytes]) -> Iterator[bytes]:
    head = _peek(file)
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if encoding:
        return (line.encode(errors="replace") for line in io.TextIOWrapper(file, encoding, newline="\n"))
    while head and not head.strip(b"\x00"):  # copytruncate leaves a hole where the old lines were
        file.read(len(head))
        head = _peek(file)
    head = head.lstrip(b"\x00")
    if head[_TAR_AT:].startswith(_TAR):
        raise NotALogFileError("a tar archive: unpack it")
    if b"\x00" in head and _NO_TEXT.search(_HOLE.sub(b"", head)):
        raise NotALogFileError("binary")
    return iter(file)
