"""The task metadata endpoint, version 4."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from loadtest_trio.metrics.ecs import TaskLimits, parse_limits, read_task_limits

TASK = {"Cluster": "default", "Limits": {"CPU": 1, "Memory": 2048}, "Containers": []}


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A stand-in for the container agent that knows one address."""

    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/v4/abc-123/task"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(TASK).encode() if found else b"")

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v4/abc-123"
        server.shutdown()
        thread.join()


async def test_the_limits_of_the_task_are_read(endpoint: str) -> None:
    """CPU and memory come from the endpoint that the environment names."""
    assert await read_task_limits({"ECS_CONTAINER_METADATA_URI_V4": endpoint}) == TaskLimits(1, 2048)


async def test_outside_ecs_there_are_no_limits() -> None:
    """Without the variable nothing is asked, and nothing is known."""
    assert await read_task_limits({}) == TaskLimits(None, None)


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"Limits": 3}', b"<html>"])
async def test_an_invalid_answer_leaves_the_limits_unknown(answer: bytes) -> None:
    """An endpoint that talks nonsense leaves the limits unknown."""

    def transport() -> httpx.MockTransport:
        return httpx.MockTransport(lambda _: httpx.Response(200, content=answer))

    environ = {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x"}
    assert await read_task_limits(environ, transport) == TaskLimits()


async def test_an_unreachable_endpoint_leaves_the_limits_unknown() -> None:
    """A refused connection or a malformed address leaves the limits unknown."""
    for address in ("http://127.0.0.1:1/v4", "http://[broken"):
        assert await read_task_limits({"ECS_CONTAINER_METADATA_URI_V4": address}) == TaskLimits()


def test_a_limit_that_is_missing_is_unknown() -> None:
    """A task without a CPU limit (EC2) has none."""
    assert parse_limits({"Limits": {"Memory": 512}}) == TaskLimits(None, 512)
