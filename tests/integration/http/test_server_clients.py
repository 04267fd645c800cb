"""Clients that nobody here wrote."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

if TYPE_CHECKING:
    from tests.integration.http.conftest import Serving

BODY = bytes(range(256)) * 1000


def have(program: str) -> str:
    """Return a program's path, or skip the test."""
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is missing: apt-get install {program}")
    return path


async def test_httpx(serve: Serving) -> None:
    """httpx, with a pool of connections, sized and chunked bodies."""
    server = await serve()

    async def chunks() -> object:
        for at in range(0, len(BODY), 10_000):
            yield BODY[at : at + 10_000]

    async def ask(client: httpx.AsyncClient) -> None:
        for _ in range(10):
            assert (await client.get("/")).json() == {"ok": True}
            assert (await client.post("/echo", content=BODY)).content == BODY
            assert (await client.post("/echo", content=chunks())).content == BODY  # type: ignore[arg-type]
            assert (await client.get("/stream")).text == "one two three"
            assert (await client.head("/")).headers["content-length"] == "11"
            assert (await client.get("/empty")).status_code == 204

    async with (
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
        trio.open_nursery() as nursery,
    ):
        for _ in range(5):
            nursery.start_soon(ask, client)


async def test_standard_library(serve: Serving) -> None:
    """`http.client`, which sends head and body apart, and `urllib`, which closes after each request."""
    server = await serve()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for body in (BODY, b"", _parts()):
            connection.request("POST", "/echo", body, encode_chunked=not isinstance(body, bytes))
            response = connection.getresponse()
            assert response.read() == (body if isinstance(body, bytes) else BODY)
        connection.request("GET", "/stream")
        assert connection.getresponse().read() == b"one two three"
        connection.close()
        with urllib.request.urlopen(f"{server.url}/", timeout=10) as answer:
            assert json.load(answer) == {"ok": True}

    await trio.to_thread.run_sync(ask)


def _parts() -> Iterator[bytes]:
    yield BODY[:1000]
    yield BODY[1000:]


@pytest.mark.parametrize("options", [[], ["--http1.0"], ["--http2"], ["-H", "Transfer-Encoding: chunked"]])
async def test_curl(serve: Serving, options: list[str]) -> None:
    """Curl waits for a 100 before it sends a long body, and keeps its connection for the next address."""
    server = await serve()
    if options == ["--http1.0"]:
        options = ["--http1.0", "-H", "Expect:"]
    command = [have("curl"), "-sS", "--max-time", "20", "--data-binary", "@-", *options]
    done = await trio.run_process([*command, f"{server.url}/echo"], stdin=BODY * 3, capture_stdout=True)
    assert done.stdout == BODY * 3
    pair = [f"{server.url}/", f"{server.url}/stream", "-w", "%{num_connects}"]
    done = await trio.run_process([have("curl"), "-sS", "--max-time", "20", *pair], capture_stdout=True)
    assert done.stdout == b'{"ok":true}1one two three0'
    done = await trio.run_process([have("curl"), "-sSI", "--max-time", "20", server.url], capture_stdout=True)
    assert b"content-length: 11" in done.stdout.lower()


async def test_wrk(serve: Serving) -> None:
    """wrk, with fifty connections, meets nothing but 200."""
    server = await serve()
    command = [have("wrk"), "-t1", "-c50", "-d1s", f"{server.url}/"]
    done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT)
    report = done.stdout.decode()
    assert " requests in " in report
    assert "Non-2xx" not in report
    assert "Socket errors" not in report
