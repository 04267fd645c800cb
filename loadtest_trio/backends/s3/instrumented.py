"""A transport wrapper that measures the time to first byte and can delay requests."""

from collections.abc import Callable

import httpx
import trio

_LISTING = b"list-type="


class InstrumentedTransport(httpx.AsyncBaseTransport):
    """Forwards requests and reports the time to first byte of each GET of an object.

    Args:
        inner: Sends the requests; `aclose` closes it.
        on_first_byte: Called with the seconds from the request to the first byte of its response.
        delay: Returns the seconds to wait before a request, for the experiments of `tune`.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        on_first_byte: Callable[[float], None],
        delay: Callable[[], float] | None = None,
    ) -> None:
        self._inner = inner
        self._on_first_byte = on_first_byte
        self._delay = delay

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, after the delay if there is one."""
        started = trio.current_time()
        if self._delay and (seconds := self._delay()):
            await trio.sleep(seconds)
        response = await self._inner.handle_async_request(request)
        began = response.extensions.get("first_byte_at")
        if began and request.method == "GET" and _LISTING not in request.extensions.get("target", b""):
            self._on_first_byte(began - started)
        return response

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()
