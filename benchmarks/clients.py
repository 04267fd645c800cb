"""Repeats one request with one S3 client: `python -m benchmarks.clients CLIENT get|put COUNT TASKS`.

client_comparison.py starts it as a child, so that each client is alone in its process; it prints CPU µs per
request as JSON. Address and credentials come from the environment that `Testbed.environment` makes.
"""
# mypy: disable-error-code="import-not-found,import-untyped,no-any-unimported"

import asyncio
import json
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import trio

from benchmarks.calibration import SIZE

KEY = "loadtest/one"
WARM_UP = 0.2

Call = Callable[[], Awaitable[object]]
Session = Callable[[str, int], Any]  # method, tasks -> an async context manager that yields a Call

URL = os.environ.get("S3_ENDPOINT_URL", "")
BUCKET = os.environ.get("S3_BUCKET", "bench")
BODY = b"a" * SIZE


@asynccontextmanager
async def s3service(method: str, tasks: int, *, transport: Literal["lean", "httpx"]) -> AsyncIterator[Call]:
    """The package's S3Service: signs, checks, translates errors."""
    from loadtest_trio.backends.s3 import BucketLocation, S3Service, Signing, find_credentials
    from loadtest_trio.http.client.deadline_watch import DeadlineWatch
    from loadtest_trio.http.client.transport import open_transport

    watch = DeadlineWatch()
    service = S3Service(
        transport=open_transport(transport, max_connections=tasks, verify=trusting(), watch=watch),
        location=BucketLocation(BUCKET, "us-east-1", URL, "loadtest/"),
        signing=Signing(await find_credentials(os.environ, home=Path.home(), unix_clock=time.time)),
        deadline_watch=watch,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        try:
            yield partial(service.get, KEY) if method == "get" else partial(service.put, KEY, BODY)
        finally:
            await service.aclose()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def httpx_client(method: str, tasks: int) -> AsyncIterator[Call]:
    """Stock httpx under Trio, unsigned."""
    import httpx

    limits = httpx.Limits(max_connections=tasks, max_keepalive_connections=tasks)
    async with httpx.AsyncClient(limits=limits, verify=trusting(), trust_env=False) as client:
        content = BODY if method == "put" else None
        yield partial(client.request, method.upper(), f"{URL}/{BUCKET}/{KEY}", content=content)


@asynccontextmanager
async def httpcore_pool(method: str, tasks: int) -> AsyncIterator[Call]:
    """The engine of httpx (httpcore) under Trio, unsigned."""
    import httpcore

    pool = httpcore.AsyncConnectionPool(
        ssl_context=trusting(), max_connections=tasks, max_keepalive_connections=tasks
    )
    async with pool:
        content = BODY if method == "put" else None
        yield partial(pool.request, method.upper(), f"{URL}/{BUCKET}/{KEY}", content=content)


@asynccontextmanager
async def aiobotocore(method: str, tasks: int) -> AsyncIterator[Call]:
    """aiobotocore, the client of the asyncio peer."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(
        max_pool_connections=tasks,
        s3={"addressing_style": "path", "payload_signing_enabled": False},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    async with get_session().create_client("s3", endpoint_url=URL, config=config) as s3:

        async def get() -> None:
            async with (await s3.get_object(Bucket=BUCKET, Key=KEY))["Body"] as stream:
                assert len(await stream.read()) == SIZE

        yield get if method == "get" else partial(s3.put_object, Bucket=BUCKET, Key=KEY, Body=BODY)


@asynccontextmanager
async def obstore(method: str, tasks: int) -> AsyncIterator[Call]:  # noqa: ARG001 - it has no such limit
    """obstore, the client of the obstore peer."""
    import obstore as rust

    from benchmarks.peers.asyncio_obstore import open_store
    from benchmarks.peers.common import Job

    store = open_store(Job())

    async def get() -> None:
        assert len(await (await rust.get_async(store, KEY)).bytes_async()) == SIZE

    yield get if method == "get" else partial(rust.put_async, store, KEY, BODY, use_multipart=False)


TRIO: dict[str, Session] = {
    "S3Service": partial(s3service, transport="lean"),
    "S3Service on httpx": partial(s3service, transport="httpx"),
    "httpx": httpx_client,
    "httpcore": httpcore_pool,
}
ASYNCIO: dict[str, Session] = {"aiobotocore": aiobotocore, "obstore": obstore}


def trusting() -> ssl.SSLContext:
    """Return a TLS context that trusts this run's certificate authority."""
    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))


class Turns:
    """Hands out `count` calls to the tasks, and measures CPU time from the end of the warm-up on."""

    def __init__(self, count: int) -> None:
        self._left, self._warm = count, int(count * (1 - WARM_UP))
        self._start = 0.0

    async def take(self, call: Call) -> None:
        """Make calls one after the other until none is left."""
        while self._left > 0:
            self._left -= 1
            if self._left == self._warm:
                self._start = time.process_time()
            await call()

    def cpu_us(self) -> float:
        """Return CPU microseconds per call."""
        return (time.process_time() - self._start) / self._warm * 1e6


async def under_trio(session: Session, method: str, count: int, tasks: int) -> float:
    """Measure a Trio client."""
    turns = Turns(count)
    async with session(method, tasks) as call, trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(turns.take, call)
    return turns.cpu_us()


async def under_asyncio(session: Session, method: str, count: int, tasks: int) -> float:
    """Measure an asyncio client."""
    turns = Turns(count)
    async with session(method, tasks) as call:
        await asyncio.gather(*(turns.take(call) for _ in range(tasks)))
    return turns.cpu_us()


def main(name: str, method: str, count: int, tasks: int) -> None:
    """Measure one client and print the result."""
    if name in TRIO:
        cpu_us = trio.run(under_trio, TRIO[name], method, count, tasks)
    else:
        cpu_us = asyncio.run(under_asyncio(ASYNCIO[name], method, count, tasks))
    print(json.dumps({"cpu_us": cpu_us}), flush=True)
    os._exit(0)  # obstore's threads abort some interpreters at exit


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
