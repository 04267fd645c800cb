"""A job API that computes nothing: for tests of clients and load generators."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs


@attrs.define
class JobApi:
    """What the server answers, and what it was asked.

    Attributes:
        polls_until_done: A job has ended at this poll.
        final_status: How it ends then.
        refused_first: So many submissions are answered 429 before the first is accepted.
        url: Where it serves.
        submissions: Client id and body of each submission that was accepted.
        polls: Polls by path.
    """

    polls_until_done: int = 1
    final_status: str = "succeeded"
    refused_first: int = 0
    url: str = ""
    submissions: list[tuple[str, str]] = attrs.field(factory=list)
    polls: Counter[str] = attrs.field(factory=Counter)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def submit(self, client: str, body: str) -> tuple[int, str]:
        """Return status and body for a submission."""
        with self._lock:
            if self.refused_first > 0:
                self.refused_first -= 1
                return 429, "{}"
            self.submissions.append((client, body))
            return 202, json.dumps({"id": f"job-{len(self.submissions)}", "status": "queued"})

    def status(self, path: str) -> tuple[int, str]:
        """Return status and body for a poll."""
        with self._lock:
            self.polls[path] += 1
            ended = self.polls[path] >= self.polls_until_done
        return 200, json.dumps({"status": self.final_status if ended else "running"})


class _Handler(BaseHTTPRequestHandler):
    api: JobApi
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one segment: the second of two would wait for an acknowledgement

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(*self.api.submit(self.headers["X-Client-Id"], body))

    def do_GET(self) -> None:
        self._answer(*self.api.status(self.path))

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Retry-After", "0.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serve(api: JobApi) -> Iterator[JobApi]:
    """Serve the API on a loopback port, in threads, until the block ends."""
    handler = type("Handler", (_Handler,), {"api": api})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
