"""Answers that a server gives by itself, as problem documents (RFC 9457)."""

import json
from http import HTTPStatus

from loadtest_trio.http.server.asgi import Headers, Message


class RefusedError(Exception):
    """A request that does not reach the application, or not whole; the connection ends with the answer.

    Attributes:
        status: The HTTP status to answer.
        reason: What is wrong with the request, for its author.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def problem(status: int, detail: str) -> tuple[Message, Message]:
    """Return the two ASGI messages of a response that says what is wrong and ends the connection.

    Args:
        status: The HTTP status, which also gives the title.
        detail: What is wrong with this request.
    """
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body = json.dumps(document).encode()
    headers: Headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    return (
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    )
