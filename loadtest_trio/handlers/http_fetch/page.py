"""What a fetch returns, and how it is written as one result."""

from base64 import b64encode

import attrs
import orjson


@attrs.frozen
class Page:
    """A complete HTTP answer.

    Attributes:
        url: Where it came from, after redirects.
        status: The HTTP status; any will do: a 404 or a 500 has been fetched, too.
        headers: Names and values in the server's order; repeated names stay repeated.
        body: The body as sent, with the transfer coding undone and no other.
        truncated: The body was longer than `HTTP_FETCH_MAX_BYTES`; this is its beginning.
    """

    url: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    truncated: bool = False

    def encode(self) -> bytes:
        """Return the page as a JSON object.

        ``body`` is the body's text and ``encoding`` is ``utf-8`` when its bytes are valid UTF-8; otherwise
        ``encoding`` is ``base64``. Either way the exact bytes can be had back.
        """
        try:
            body, encoding = self.body.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            body, encoding = b64encode(self.body).decode("ascii"), "base64"
        return orjson.dumps(
            {
                "url": self.url,
                "status": self.status,
                "headers": self.headers,
                "encoding": encoding,
                "body": body,
                "truncated": self.truncated,
            }
        )
