"""An S3 with known limits, in a process of its own: ``python tests/support/s3_stand_in.py --limit 80``.

It keeps objects in memory, checks no signature, and knows GET, PUT, DELETE and ListObjectsV2 of path-style
addresses. Above the limit it answers object requests with 503 SlowDown, as S3 does. It prints its port.
"""

import argparse
import asyncio
import time
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code><Message>No such key.</Message></Error>"
Answer = tuple[str, bytes]


class Bucket:
    """The objects and the limits.

    Args:
        limit: Object requests a second; 0: any number.
        delay: Seconds before each answer.
    """

    def __init__(self, limit: float, delay: float) -> None:
        self.delay = delay
        self._limit = limit
        self._objects: dict[str, bytes] = {}
        self._allowance, self._at = 1.0, time.monotonic()

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """Do one request."""
        parts = urlsplit(target)
        key = unquote(parts.path).partition("/")[2].partition("/")[2]
        if not key:
            return self._list(parse_qs(parts.query)) if method == "GET" else ("200 OK", b"")
        if self._limit and not self._admit():
            return "503 Slow Down", SLOW_DOWN
        if method == "PUT":
            self._objects[key] = body
            return "200 OK", b""
        if method == "DELETE":
            self._objects.pop(key, None)
            return "204 No Content", b""
        return ("200 OK", self._objects[key]) if key in self._objects else ("404 Not Found", NO_SUCH_KEY)

    def _admit(self) -> bool:
        now = time.monotonic()
        self._allowance = min(self._limit / 10, self._allowance + self._limit * (now - self._at))
        self._at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _list(self, query: dict[str, list[str]]) -> Answer:
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", [""])[0]
        keys = sorted(key for key in self._objects if key.startswith(prefix) and key > after)
        page = keys[:1000]
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self._objects[key])}</Size></Contents>"
            for key in page
        )
        more = (
            f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if len(keys) > 1000 else ""
        )
        flag = "true" if more else "false"
        return (
            "200 OK",
            f"<ListBucketResult><IsTruncated>{flag}</IsTruncated>{contents}{more}</ListBucketResult>".encode(),
        )


async def serve(bucket: Bucket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection until it ends."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ", 2)
            lengths = [line.partition(":")[2] for line in head if line.lower().startswith("content-length:")]
            body = await reader.readexactly(int(lengths[0])) if lengths else b""
            if bucket.delay:
                await asyncio.sleep(bucket.delay)
            status, content = bucket.answer(method, target, body)
            length = "" if status.startswith("204") else f"Content-Length: {len(content)}\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n".encode() + content)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(limit: float, delay: float) -> None:
    """Serve until killed."""
    bucket = Bucket(limit, delay)
    server = await asyncio.start_server(
        lambda reader, writer: serve(bucket, reader, writer), "127.0.0.1", 0, limit=2**22
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=float, default=0.0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    options = parser.parse_args()
    asyncio.run(main(options.limit, options.delay_ms / 1000))
