"""A transport around the transport: when does an answer begin, and what if everything took longer?"""

from collections.abc import Callable

import httpx
import trio

_LISTING = b"list-type="


class ObservedTransport(httpx.AsyncBaseTransport):
    """Hands requests on, and tells when the answer to each GET of an object began.

    Args:
        inner: Sends the requests; closed by `aclose`.
        on_first_byte: Told how many seconds after the request the first byte of the answer arrived.
        delay: Seconds to wait before each request, for the experiments of `tune`.
    """

    def __init__(
        self, inner: httpx.AsyncBaseTransport, on_first_byte: Callable[[float], None], delay: float = 0.0
    ) -> None:
        self._inner = inner
        self._on_first_byte = on_first_byte
        self._delay = delay

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, later if that is wanted."""
        started = trio.current_time()
        if self._delay:
            await trio.sleep(self._delay)
        response = await self._inner.handle_async_request(request)
        began = response.extensions.get("first_byte_at")
        if began and request.method == "GET" and _LISTING not in request.extensions.get("target", b""):
            self._on_first_byte(began - started)
        return response

    async def aclose(self) -> None:
        """Close the transport inside."""
        await self._inner.aclose()
