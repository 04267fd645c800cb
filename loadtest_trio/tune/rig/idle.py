"""Measures the backends without load before a search, and deletes the search's objects after it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio

from loadtest_trio.backends.readiness import wait_until_ready
from loadtest_trio.build import Service, open_service
from loadtest_trio.errors import LoadtestError
from loadtest_trio.handlers.objects.payload import uuid_lines
from loadtest_trio.metrics import calibration
from loadtest_trio.metrics.collecting import collect
from loadtest_trio.settings import Settings
from loadtest_trio.surroundings import Surroundings
from loadtest_trio.tune.plan import cost_stages, experiments
from loadtest_trio.tune.plan.steps import Handicap, Kind, Step
from loadtest_trio.tune.rig.ceiling import client_ceiling
from loadtest_trio.tune.rig.rig import step_settings

_CALLS, _GETS, _FILE_LINES = 100, 20, 5000
_DELETE_SECONDS, _DELETE_TASKS = 15.0, 16


async def calibrate(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any]:
    """Measure the machine and the backends without load.

    Returns:
        `score` and `score_spread` of the machine; `client_ceiling_per_second`, the throughput of the client's
        code alone; `redis_round_trip_ms`, including the thread; `s3_first_byte_ms`, `s3_get_ms` and
        `s3_put_ms` of one file of typical size, one request at a time (medians).
    """
    async with _open_idle_service(settings, environ) as service:
        for _ in range(_CALLS):
            await service.redis.length()
        key = f"{service.settings.s3_prefix}calibration"
        for _ in range(_GETS):
            await service.s3.put(key, uuid_lines(_FILE_LINES, Random(0)))
            await service.s3.get(key)
        await service.s3.delete(key)
        measured = collect(service.metrics, dict.fromkeys(service.metrics.operations, 0.0))
    get, put = measured["s3"]["GET"], measured["s3"]["PUT"]
    return {
        **calibration.score(calibration.THOROUGH_SECONDS),
        "client_ceiling_per_second": await client_ceiling(settings),
        "redis_round_trip_ms": measured["redis"]["length"]["latency_ms"]["p50"],
        "s3_first_byte_ms": get.get("first_byte_ms", {}).get("p50"),
        "s3_get_ms": get["latency_ms"]["p50"],
        "s3_put_ms": put["latency_ms"]["p50"],
        "file_bytes": 37 * _FILE_LINES,
    }


async def delete_leftovers(settings: Settings, environ: Mapping[str, str]) -> None:
    """Delete the objects that the search left behind; give up after 15 seconds."""
    with trio.move_on_after(_DELETE_SECONDS, shield=True):
        try:
            for size in {1.0, experiments.HALF, *cost_stages.SIZES}:
                async with _open_idle_service(settings, environ, size) as service:
                    await _empty(service)
        except LoadtestError:
            return  # the search itself succeeded, even if the bucket can no longer be reached


async def _empty(service: Service) -> None:
    send, receive = trio.open_memory_channel[str](0)

    async def delete(keys: trio.MemoryReceiveChannel[str]) -> None:
        async with keys:
            async for key in keys:
                await service.s3.delete(key)

    async with trio.open_nursery() as nursery, send:
        for _ in range(_DELETE_TASKS):
            nursery.start_soon(delete, receive.clone())
        receive.close()
        async for page in service.s3.list():
            for listed in page.objects:
                await send.send(listed.key)


@asynccontextmanager
async def _open_idle_service(
    settings: Settings, environ: Mapping[str, str], size: float = 1.0
) -> AsyncIterator[Service]:
    step = Step(Kind.CALIBRATE, 0, _DELETE_TASKS, handicap=Handicap(size=size))
    async with open_service(step_settings(settings, step, 0.0), Surroundings(environ)) as service:
        await wait_until_ready(service.redis, service.s3, service.settings)
        yield service
