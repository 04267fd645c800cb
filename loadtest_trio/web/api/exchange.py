"""The request and the answer of a route of the job API."""

import re
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs
import orjson

from loadtest_trio.web.api.problems import Problem

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MOST_FIELDS = 100
_LONGEST_NUMBER = 20  # digits; int() raises an error of its own above 4,300


@attrs.define
class Request:
    """A request whose body has been received.

    Attributes:
        method: The method, such as ``GET``.
        path: The percent-decoded path.
        raw_query: The query string as sent, without the question mark.
        headers: Headers with lower-case names; of a repeated header, the last.
        body: The complete body.
        receive: The ASGI callable, which tells when the client disconnects.
    """

    method: str
    path: str
    raw_query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes = b""
    receive: Callable[[], Awaitable[Any]] | None = None

    def header(self, name: bytes) -> str:
        """Return a header's text without surrounding blanks; "" if it is absent."""
        value = self.headers.get(name)
        return value.decode("latin-1").strip() if value else ""

    def query(self) -> dict[str, str]:
        """Return the parameters of the query; of a repeated one, the last.

        Raises:
            Problem: The query is malformed.
        """
        if not self.raw_query:
            return {}
        try:
            text = self.raw_query.decode("ascii")
            if _BAD_ESCAPE.search(text):
                raise ValueError("a percent sign without two hexadecimal digits")
            return form_fields(text)
        except ValueError as error:
            raise Problem(400, "The query string is not readable.") from error

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number from the query.

        Raises:
            Problem: It is not a whole number within the bounds.
        """
        text = self.query().get(name)
        if text is None:
            return default
        digits = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
        if not digits or not least <= int(text) <= most:
            raise Problem(400, f"{name} must be a whole number from {least} to {most}.")
        return int(text)

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; a byte order mark before it is skipped (RFC 8259, 8.1).

        Raises:
            Problem: The body is not a JSON object.
        """
        try:
            value = orjson.loads(self.body.removeprefix(BOM_UTF8))
        except (ValueError, RecursionError) as error:
            raise Problem(400, "The body is not valid JSON.") from error
        if not isinstance(value, dict):
            raise Problem(400, "The body must be a JSON object.")
        return value


def form_fields(text: str) -> dict[str, str]:
    """Return the fields of a query or a form; of a repeated one, the last.

    Raises:
        ValueError: There are too many, or an escape is no UTF-8: a guess would be other data than was meant.
    """
    return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))


@attrs.frozen
class Answer:
    """The answer to a request.

    Attributes:
        status: The HTTP status.
        body: The complete body.
        headers: Headers with lower-case names; the content length is added later.
    """

    status: int
    body: bytes = b""
    headers: Headers = attrs.field(factory=list)

    @classmethod
    def json(cls, status: int, value: object, headers: Headers | None = None) -> "Answer":
        """Return an answer with a JSON body."""
        return cls(status, orjson.dumps(value), [JSON, *(headers or [])])


def retry_after(seconds: float) -> tuple[bytes, bytes]:
    """Return the Retry-After header, in whole seconds, at least one."""
    return b"retry-after", b"%d" % max(1, -int(-seconds // 1))
