"""An S3 endpoint that needs nothing installed: `python -m benchmarks.stub_s3 PORT KEYS`.

Every GET of a key returns the same medium-sized file, PUT and DELETE are accepted and forgotten, and LIST
returns the same keys, a thousand per page. It uses one thread per connection: its own CPU does not matter.
"""

import re
import socketserver
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.calibration import SIZE
from benchmarks.process import SERVER_CORE, Child, free_ports, wait_for_port

BODY = (b"01234567-89ab-4cde-8f01-23456789abcd\n" * (SIZE // 37))[:SIZE]
PAGE = 1000
ENTRY = (
    "<Contents><Key>loadtest/known-{:07d}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;5f363e0e58a95f06cbe9bbc662c5dfb6&quot;</ETag>"
    f"<Size>{len(BODY)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
TOKEN = re.compile(rb"continuation-token=(\d+)")
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
HEAD = (
    "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: binary/octet-stream\r\n"
    'ETag: "5f363e0e58a95f06cbe9bbc662c5dfb6"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n'
    "x-amz-request-id: 0123456789ABCDEF\r\nContent-Length: {}\r\n\r\n"
)


def list_page(target: bytes, keys: int) -> bytes:
    """Return one page of a listing; the continuation token is the number of its first key."""
    token = TOKEN.search(target)
    begin = int(token[1]) if token else 0
    end = min(begin + PAGE, keys)
    entries = "".join(map(ENTRY.format, range(begin, end)))
    more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < keys else ""
    truncated = f"<IsTruncated>{str(end < keys).lower()}</IsTruncated>"
    return f"<ListBucketResult>{truncated}{more}{entries}</ListBucketResult>".encode()


class Connection(socketserver.BaseRequestHandler):
    """Serves one keep-alive connection."""

    server: "Server"

    def handle(self) -> None:
        """Answer requests until the client disconnects."""
        received = b""
        while True:
            while (end := received.find(b"\r\n\r\n")) < 0:
                chunk = self.request.recv(65536)
                if not chunk:
                    return
                received += chunk
            head, rest = received[:end], len(received) - end - 4
            length = LENGTH.search(head)
            missing = (int(length[1]) if length else 0) - rest
            while missing > 0:
                missing -= len(self.request.recv(min(missing, 1 << 20)))
            received = b""
            self.answer(head)

    def answer(self, head: bytes) -> None:
        """Send the response to one request."""
        method, target = head.split(b" ", 2)[:2]
        body = b""
        if method == b"GET":
            body = list_page(target, self.server.keys) if b"?" in target else BODY
        self.request.sendall(HEAD.format(len(body)).encode() + body)


class Server(socketserver.ThreadingTCPServer):
    """A server with daemon threads, and a backlog large enough for all workers at once."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256
    keys = 0


class StubS3:
    """The stub as an `Endpoint`: a context manager around its process. It stores no objects.

    Args:
        keys: Number of keys that LIST returns.
    """

    tls_url = ""
    ca_file: Path | None = None
    credentials = ("AKIDGUARD", "unchecked")

    def __init__(self, keys: int = 0) -> None:
        self._keys = keys

    def __enter__(self) -> Self:
        """Start the process and wait until it listens."""
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = tempfile.TemporaryDirectory(prefix="bench-stub-")
        command = [sys.executable, "-m", "benchmarks.stub_s3", str(self.port), str(self._keys)]
        self._child = Child(command, core=SERVER_CORE, log=Path(self._folder.name) / "stderr")
        wait_for_port(self.port, self._child)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process."""
        self._child.stop()
        self._folder.cleanup()

    def reset(self, bucket: str, objects: Iterable[tuple[str, bytes]]) -> None:
        """Do nothing: every key exists."""

    def contents(self, bucket: str) -> Iterator[tuple[str, bytes]]:  # noqa: ARG002 - the interface
        """Yield nothing."""
        yield from ()


if __name__ == "__main__":
    with Server(("127.0.0.1", int(sys.argv[1])), Connection) as server:
        server.keys = int(sys.argv[2])
        server.serve_forever()
