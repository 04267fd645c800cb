"""httpx's stock transport, to compare with (``S3_TRANSPORT=httpx``)."""

from typing import Any

import httpx
import trio


class StockTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport, made to keep the contract of `LeanTransport`: same timeouts, complete responses.

    Args:
        timeouts: Seconds for ``connect``, ``read`` and ``write``, where a request brings none.
        request_timeout: Seconds for the whole request.
        options: Those of `httpx.AsyncHTTPTransport`.
    """

    def __init__(self, timeouts: dict[str, float], request_timeout: float, **options: Any) -> None:
        super().__init__(**options)
        self._timeouts = timeouts
        self._request_timeout = request_timeout

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, complete.

        Raises:
            httpx.TransportError: One of its subclasses, by what went wrong.
        """
        request.extensions.setdefault("timeout", self._timeouts)
        with trio.move_on_after(self._request_timeout):
            response = await super().handle_async_request(request)
            await response.aread()
            return response
        raise httpx.ReadTimeout("the whole request took too long", request=request)
