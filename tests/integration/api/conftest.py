"""The job service behind each server and on each kind of store: the same tests run against all of them."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio

from loadtest_trio.backends.redis import RedisOptions, RedisService
from loadtest_trio.build import Service, open_service
from loadtest_trio.lifetimes import Load, unsupervised
from tests.support.in_memory import in_memory, settings
from tests.support.memory_bucket import MemoryBucket
from tests.support.memory_redis import MemoryRedis

_VARIANTS = [("memory", "lean"), ("memory", "hypercorn"), ("valkey", "lean")]


@attrs.frozen
class Api:
    """A running job service and a client of it."""

    service: Service
    client: httpx.AsyncClient
    bucket: MemoryBucket

    async def submit(self, kind: str = "sleep", client: str = "c", **payload: Any) -> str:
        """Submit a job that is accepted; return its id."""
        body = {"type": kind, "payload": payload or {"ms": 0}}
        answer = await self.client.post("/api/jobs", json=body, headers={"X-Client-Id": client})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def reaches(self, job_id: str, status: str) -> None:
        """Wait until a job has a status, by asking again and again."""
        with trio.fail_after(10):
            while (await self.client.get(f"/api/jobs/{job_id}")).json()["status"] != status:  # noqa: ASYNC110
                await trio.sleep(0.05)

    async def ended(self, job_id: str) -> dict[str, Any]:
        """Wait until a job has ended; return it."""
        with trio.fail_after(20):
            while True:
                job: dict[str, Any] = (await self.client.get(f"/api/jobs/{job_id}?wait=5")).json()
                if job["status"] in ("COMPLETED", "DEAD_LETTER", "CANCELLED"):
                    return job


Open = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture(params=_VARIANTS, ids="-".join)
def open_api(request: pytest.FixtureRequest) -> Open:
    """Return what opens the job service with the given settings, for the length of a block."""
    store, server = request.param
    url = request.getfixturevalue("redis_url") if store == "valkey" else ""

    @asynccontextmanager
    async def open_(*, works: bool = True, **variables: object) -> AsyncIterator[Api]:
        roles = "api,worker" if works else "api"
        given = {"ROLES": roles, "API_PORT": 0, "API_SERVER": server, "JOB_RATE_LIMIT_PER_MINUTE": 0}
        configured = settings(**{**given, **variables})
        bucket = MemoryBucket()
        surroundings = in_memory(MemoryRedis(), bucket)
        if url:

            def real(options: RedisOptions, *arguments: Any, **rest: Any) -> RedisService:
                return RedisService(attrs.evolve(options, url=url), *arguments, **rest)

            clients = attrs.evolve(surroundings.clients, redis=real)
            surroundings = attrs.evolve(surroundings, clients=clients, unix_clock=time.time)
        async with open_service(configured, surroundings) as service:
            await service.redis.connect()
            async with trio.open_nursery() as nursery:
                assert service.api
                load = Load(service)
                await nursery.start(service.api.run)
                await nursery.start(load.run, unsupervised)
                async with httpx.AsyncClient(base_url=service.api.url, timeout=20) as client:
                    yield Api(service, client, bucket)
                load.stop(5)
                service.api.stop(1)

    return open_
