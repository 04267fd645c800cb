"""The checks' judgement, against backends that answer as late as they are told, in virtual time."""

from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.backends.redis import RedisService, ServerInfo
from loadtest_trio.backends.s3 import S3Service
from loadtest_trio.cli.preflight.checks import CheckResult, Grade, check_redis, check_s3

INFO: dict[str, Any] = {
    "server": "valkey",
    "version": "7.2",
    "mode": "standalone",
    "role": "master",
    "append_only": True,
    "maxmemory": 0,
    "maxmemory_policy": "noeviction",
}


class Backend:
    """A Redis and an S3 in one; each answer takes the given seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._body = b""

    async def connect(self) -> ServerInfo:
        await trio.lowlevel.checkpoint()
        return cast(ServerInfo, type("Info", (), INFO))

    async def length(self) -> int:
        await trio.sleep(self._seconds)
        return 0

    async def check_bucket(self) -> None:
        await trio.sleep(self._seconds)

    async def put(self, _: str, body: bytes) -> None:
        await trio.sleep(self._seconds)
        self._body = body

    async def get(self, _: str) -> bytes:
        await trio.sleep(self._seconds)
        return self._body

    async def delete(self, _: str) -> None:
        await trio.sleep(self._seconds)


def grades(results: list[CheckResult]) -> set[Grade]:
    """Return the grades of what was timed."""
    return {result.grade for result in results if " ms" in result.detail}


@pytest.mark.parametrize(("milliseconds", "grade"), [(4.9, Grade.OK), (5.1, Grade.WARNING)])
async def test_slow_redis_is_a_warning(autojump_clock: MockClock, milliseconds: float, grade: Grade) -> None:
    """A median round trip above 5 ms is a warning: such a Redis is remote or overloaded."""
    backend = cast(RedisService, Backend(milliseconds / 1000))
    assert grades(await check_redis(backend)) == {grade}


@pytest.mark.parametrize(("milliseconds", "grade"), [(199, Grade.OK), (201, Grade.WARNING)])
async def test_slow_s3_is_a_warning(autojump_clock: MockClock, milliseconds: float, grade: Grade) -> None:
    """Each S3 request above 200 ms is a warning."""
    backend = cast(S3Service, Backend(milliseconds / 1000))
    assert grades(await check_s3(backend, "loadtest/")) == {grade}
