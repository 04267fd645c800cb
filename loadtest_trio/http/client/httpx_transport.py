"""httpx's own transport behind the contract of `LeanTransport`, for comparison (``S3_TRANSPORT=httpx``)."""

from typing import Any

import httpx
import trio


class HttpxTransport(httpx.AsyncHTTPTransport):
    """httpx's transport with the contract of `LeanTransport`: the same timeouts, complete responses.

    Args:
        timeouts: Seconds for ``connect``, ``read`` and ``write``, for requests that set none.
        request_timeout: Seconds for the whole request.
        options: Options of `httpx.AsyncHTTPTransport`.
    """

    def __init__(self, timeouts: dict[str, float], request_timeout: float, **options: Any) -> None:
        super().__init__(**options)
        self._timeouts = timeouts
        self._request_timeout = request_timeout

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, complete.

        Raises:
            httpx.TransportError: The request failed; the subclass says how.
        """
        request.extensions.setdefault("timeout", self._timeouts)
        with trio.move_on_after(self._request_timeout):
            response = await super().handle_async_request(request)
            await response.aread()
            return response
        raise httpx.ReadTimeout("the whole request took too long", request=request)
