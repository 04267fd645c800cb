"""nginx chooses targets by the target group's algorithm."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import httpx
import pytest
import trio

from benchmarks.endpoint import find_nginx
from benchmarks.process import Unavailable
from loadtest_trio.backends.embedded.ports import LOOPBACK, free_ports
from loadtest_trio.backends.embedded.watchdog import Watchdog
from tests.rehearsal.applied import Deployment
from tests.rehearsal.balancer import Balancer
from tests.rehearsal.clock import AwsClock
from tests.rehearsal.snapshot import load_snapshot

_HELD = b"GET /held"


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    """Ends nginx; skips without it."""
    try:
        find_nginx()
    except Unavailable as error:
        pytest.skip(str(error))
    with Watchdog() as watchdog:
        yield watchdog


async def serve(release: trio.Event, stream: trio.SocketStream) -> None:
    """Answer requests of one connection; those for /held after the release."""
    async with stream:
        while request := await stream.receive_some():
            if request.startswith(_HELD):
                await release.wait()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@asynccontextmanager
async def balanced(watchdog: Watchdog, algorithm: str, release: trio.Event) -> AsyncIterator[Balancer]:
    """A balancer with two healthy targets."""
    applied = load_snapshot()
    assert applied.api.target_group is not None
    group = attrs.evolve(applied.api.target_group, algorithm=algorithm)
    deployment: Deployment = attrs.evolve(applied, api=attrs.evolve(applied.api, target_group=group))
    folder: Path = watchdog.folder / f"balancer-{time.time_ns()}"
    balancer = Balancer(folder, watchdog.group, AwsClock(), deployment)
    ports = free_ports(2)
    async with trio.open_nursery() as nursery:
        for port in ports:
            await nursery.start(partial(trio.serve_tcp, partial(serve, release), port, host=LOOPBACK))
        await nursery.start(balancer.run)
        for port in ports:
            balancer.register(port, group)
        with trio.fail_after(10):
            while not all(balancer.serving(port) for port in ports):  # noqa: ASYNC110 - no event
                await trio.sleep(0.05)
        yield balancer
        nursery.cancel_scope.cancel()


async def chosen(balancer: Balancer, requests: int) -> Counter[int]:
    """Send requests one after another while one is held; return how many each target had of them."""
    began = time.time()
    async with httpx.AsyncClient(trust_env=False, base_url=balancer.url) as client:
        for _ in range(requests):
            assert (await client.get("/")).status_code == 200
    return Counter(each.port for each in balancer.requests(began) if each.path == "/")


@pytest.mark.parametrize(("algorithm", "targets"), [("least_outstanding_requests", 1), ("round_robin", 2)])
async def test_busy_target_is_passed_over_only_by_least_outstanding_requests(
    watchdog: Watchdog, algorithm: str, targets: int
) -> None:
    """While a target holds a request the other gets all of them, or every second one."""
    release = trio.Event()
    async with balanced(watchdog, algorithm, release) as balancer, trio.open_nursery() as nursery:
        async with httpx.AsyncClient(trust_env=False, base_url=balancer.url) as waiting:
            nursery.start_soon(waiting.get, "/held")
            await trio.sleep(0.3)
            found = await chosen(balancer, 10)
            assert len(found) == targets
            assert sum(found.values()) == 10
            release.set()
            await trio.sleep(0.3)
        held = next(each.port for each in balancer.requests() if each.path == "/held")
        assert held not in found or targets == 2
        assert set((await chosen(balancer, 10)).values()) == {5}, "they take turns again"
