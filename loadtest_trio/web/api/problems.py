"""Error answers of the job API (RFC 9457, "Problem Details for HTTP APIs")."""

from http import HTTPStatus
from typing import Any

import orjson

CONTENT_TYPE = (b"content-type", b"application/problem+json")


class Problem(Exception):  # noqa: N818 - the RFC's word
    """Ends a request with a problem document.

    Args:
        status: The HTTP status.
        detail: One sentence for the sender of the request.
        headers: Further headers.
        extra: Further members of the document.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        headers: list[tuple[bytes, bytes]] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or []
        self.extra = extra or {}

    def document(self) -> dict[str, Any]:
        """Return the problem as JSON."""
        title = HTTPStatus(self.status).phrase
        return {
            "type": "about:blank",
            "title": title,
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }

    def body(self) -> bytes:
        """Return the document's bytes."""
        return orjson.dumps(self.document())
