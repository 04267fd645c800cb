"""httpx's own transport behind the contract of `LeanTransport`, for comparison (``S3_TRANSPORT=httpx``)."""

from typing import Any

import httpx
import trio

from loadtest_trio.http.client.http1 import BodyTooLargeError, BufferStream
from loadtest_trio.http.client.proxy import Proxy

_CLEANUP_SECONDS = 1.0


def httpx_proxy(proxy: Proxy) -> httpx.Proxy:
    """Return a proxy as httpx has it."""
    headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    return httpx.Proxy(f"http://{host}:{proxy.port}", headers=headers)


class HttpxTransport(httpx.AsyncHTTPTransport):
    """httpx's transport with the contract of `LeanTransport`: the same timeouts, complete responses.

    Args:
        timeouts: Seconds for ``connect``, ``read`` and ``write``, for requests that set none.
        request_timeout: Seconds for the whole request.
        max_body_bytes: Largest accepted body of a response.
        options: Options of `httpx.AsyncHTTPTransport`.
    """

    def __init__(
        self, timeouts: dict[str, float], request_timeout: float, max_body_bytes: int, **options: Any
    ) -> None:
        super().__init__(**options)
        self._timeouts = timeouts
        self._request_timeout = request_timeout
        self._max_body_bytes = max_body_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, complete.

        Raises:
            httpx.TransportError: The request failed; the subclass says how.
        """
        request.extensions.setdefault("timeout", self._timeouts)
        with trio.move_on_after(self._request_timeout):
            try:
                response = await super().handle_async_request(request)
            except RuntimeError as error:  # the system gives no thread to look the host up in
                raise httpx.ConnectError(str(error), request=request) from error
            return await self._complete(response)
        raise httpx.ReadTimeout("the whole request took too long", request=request)

    async def _complete(self, response: httpx.Response) -> httpx.Response:
        """Read a response and return it with its body as it was sent, not decoded."""
        body = bytearray()
        try:
            assert isinstance(response.stream, httpx.AsyncByteStream)
            async for part in response.stream:
                body += part
                if len(body) > self._max_body_bytes:
                    raise BodyTooLargeError(self._max_body_bytes)
        finally:
            with trio.move_on_after(_CLEANUP_SECONDS, shield=True):
                await response.aclose()
        extensions = {**response.extensions, "body": body}
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=BufferStream(body),
            extensions=extensions,
        )
