"""Checks whether the backends are fit for a long run. Checks return results and never raise."""

import secrets
from collections.abc import Awaitable, Callable, Iterator
from enum import StrEnum
from statistics import median

import attrs
import trio

from loadtest_trio.backends.redis import RedisService, ServerInfo
from loadtest_trio.backends.s3 import S3Service
from loadtest_trio.errors import LoadtestError, S3DeniedError

_ROUNDS = 20
# Within a region Redis answers in a millisecond and S3 in some tens. Slower ones are remote or overloaded.
_REDIS_SECONDS = 0.005
_S3_SECONDS = 0.2
_PROBE = b"loadtest_trio preflight\n"


class Grade(StrEnum):
    """The grade of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@attrs.frozen
class CheckResult:
    """The result of one check.

    Attributes:
        what: What was checked.
        grade: The grade.
        detail: The measurement or fault, and what to do about it.
    """

    what: str
    grade: Grade
    detail: str


async def check_redis(redis: RedisService) -> list[CheckResult]:
    """Check version, role, persistence, memory policy and latency."""
    try:
        info = await redis.connect()
        latencies = [await _timed(redis.length) for _ in range(_ROUNDS)]
    except LoadtestError as error:
        return [CheckResult("Redis", Grade.FAILED, str(error))]
    return [*_judge(info), _latency("Redis round trip", latencies)]


def _judge(info: ServerInfo) -> Iterator[CheckResult]:
    yield CheckResult("Redis version", Grade.OK, f"{info.server} {info.version}, {info.mode}")
    primary = info.role == "master"
    yield CheckResult(
        "Redis role", Grade.OK if primary else Grade.FAILED, info.role if primary else "not a primary"
    )
    kept = "append-only file on" if info.append_only else "no append-only file: a restart forgets the queue"
    yield CheckResult("Redis persistence", Grade.OK if info.append_only else Grade.WARNING, kept)
    evicts = info.maxmemory_policy != "noeviction"
    advice = f"{info.maxmemory_policy}: messages can be evicted; set maxmemory-policy noeviction"
    grade = (Grade.FAILED if info.maxmemory else Grade.WARNING) if evicts else Grade.OK
    yield CheckResult("Redis memory policy", grade, advice if evicts else "noeviction")


async def check_s3(s3: S3Service, prefix: str) -> list[CheckResult]:
    """Try every request that the service makes on a probe object under the prefix, and remove it again."""
    key = f"{prefix}.preflight-{secrets.token_hex(8)}"
    steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("S3 ListBucket, region", s3.check_bucket),
        ("S3 PutObject", lambda: s3.put(key, _PROBE)),
        ("S3 GetObject", lambda: _compare(s3, key)),
        ("S3 DeleteObject", lambda: s3.delete(key)),
    ]
    results = []
    for what, step in steps:
        try:
            seconds = await _timed(step)
        except LoadtestError as error:
            results.append(CheckResult(what, Grade.FAILED, str(error)))
            if not isinstance(error, S3DeniedError):
                break  # the other requests would only say the same
        else:
            results.append(_judge_latency(what, seconds, _S3_SECONDS, f"{1000 * seconds:.1f} ms"))
    return results


async def _compare(s3: S3Service, key: str) -> None:
    if bytes(await s3.get(key)) != _PROBE:
        raise LoadtestError("what was read is not what was written")


async def _timed(call: Callable[[], Awaitable[object]]) -> float:
    begun = trio.current_time()
    await call()
    return trio.current_time() - begun


def _latency(what: str, seconds: list[float]) -> CheckResult:
    detail = f"median {1000 * median(seconds):.2f} ms, worst of {len(seconds)} {1000 * max(seconds):.2f} ms"
    return _judge_latency(what, median(seconds), _REDIS_SECONDS, detail)


def _judge_latency(what: str, seconds: float, most: float, detail: str) -> CheckResult:
    if seconds <= most:
        return CheckResult(what, Grade.OK, detail)
    return CheckResult(what, Grade.WARNING, f"{detail}: above {1000 * most:g} ms; is it in another region?")
