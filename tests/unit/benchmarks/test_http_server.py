"""The benchmark of the HTTP servers: its contenders answer alike, and the tables it makes."""

import pytest
import trio

from benchmarks import http_server
from benchmarks.output import RunInfo
from benchmarks.process import free_ports
from tests.support.raw_client import RawClient

ABOUT = RunInfo({"cpu": "a CPU", "cores": 2, "python": "3.11", "commit": "abc"}, "2026-01-01T00:00:00Z", 2)


@pytest.mark.parametrize("name", http_server.CONTENDERS)
async def test_every_contender_gives_the_same_answer(nursery: trio.Nursery, name: str) -> None:
    """All are measured by the same work."""
    (port,) = free_ports(1)
    nursery.start_soon(http_server.CONTENDERS[name], port)
    await trio.testing.wait_all_tasks_blocked()
    async with await RawClient.connect(port) as client:
        for _ in range(2):
            answer = await client.get(b"/api/jobs/1")
            assert (answer.status, answer.body) == (200, http_server.BODY)


def test_tables() -> None:
    """Each case has its median and its spread, of CPU and of requests a second."""
    figures = {"bytes a connection": [4000.0, 5000.0]}
    for connections in http_server.CONNECTIONS:
        for kind in ("GET", "POST"):
            figures |= {f"{kind}, {connections}: µs": [10.0, 12.0], f"{kind}, {connections}: /s": [5e4, 6e4]}
    text = http_server.render(ABOUT, {"lean": figures})
    assert text.count("11.0 (10.0–12.0)") == 4
    assert text.count("55,000 (50,000–60,000)") == 4
    assert "| lean | 4,500 (4,000–5,000) |" in text
