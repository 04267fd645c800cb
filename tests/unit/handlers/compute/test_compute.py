"""What a message of `factorial`, `sha512` or `sleep` may ask for, what it costs, and what it returns."""

import hashlib
import math
from typing import Any

import pytest
import trio

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers import sleep as sleeping
from loadtest_trio.handlers.compute import factorial, sha512
from loadtest_trio.handlers.compute.kernels import factorial_digits
from loadtest_trio.handlers.compute.pool import INLINE_SECONDS, ComputeLimits, open_compute_pool
from loadtest_trio.handlers.http_fetch.connect import SystemResolver
from loadtest_trio.handlers.http_fetch.fetch import Fetcher, FetchLimits, fetch_handler
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy

LIMITS = ComputeLimits(processes=1)


@pytest.mark.parametrize("n", [0, 1, 100_000])
def test_factorial_accepts_whole_numbers_up_to_the_limit(n: int) -> None:
    factorial.check_params({"n": n}, 100_000)


@pytest.mark.parametrize(
    "params", [{}, *({"n": n} for n in (-1, 100_001, 5.0, "5", True, None, [5], 10**400))]
)
def test_factorial_refuses_anything_else(params: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessageError, match=r"^n must be a whole number from 0 to 100000"):
        factorial.check_params(params, 100_000)


@pytest.mark.parametrize(("data", "iterations"), [("", 1), ("Hello", 10), ("日本", 100)])
def test_sha512_accepts_text_and_a_count(data: str, iterations: int) -> None:
    sha512.check_params({"data": data, "iterations": iterations}, 100)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"iterations": 1}, "data"),
        ({"data": b"x", "iterations": 1}, "data"),
        ({"data": 1, "iterations": 1}, "data"),
        ({"data": "x"}, "iterations"),
        *(({"data": "x", "iterations": each}, "iterations") for each in (0, -1, 101, "10", 1.0, True, None)),
    ],
)
def test_sha512_refuses_anything_else(params: dict[str, Any], named: str) -> None:
    with pytest.raises(MalformedMessageError, match=rf"^{named} must be"):
        sha512.check_params(params, 100)


@pytest.mark.parametrize("ms", [0, 0.5, 250, 60_000])
def test_sleep_accepts_up_to_the_longest_job(ms: float) -> None:
    sleeping.check_params({"ms": ms}, 60)


@pytest.mark.parametrize("ms", [-1, 60_001, math.inf, math.nan, "5", True, None])
def test_sleep_refuses_anything_else(ms: Any) -> None:
    with pytest.raises(MalformedMessageError, match=r"^ms must be a number from 0 to 60000"):
        sleeping.check_params({"ms": ms}, 60)


async def test_sleep_waits_as_long_as_it_is_told(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    await sleeping.sleep(Message("1", "sleep", params={"ms": 2500}))
    assert trio.current_time() - began == pytest.approx(2.5)


def test_estimates_grow_with_the_work() -> None:
    """More work is never estimated cheaper, and the default limits' worst case is far beyond inline."""
    for estimates in (
        [factorial.estimate_seconds(n) for n in (0, 10, 1000, 100_000)],
        [sha512.estimate_seconds(100, count) for count in (1, 1000, 10**6, 10**8)],
        [sha512.estimate_seconds(size, 1) for size in (0, 1000, 10**6, 10**7)],
    ):
        assert estimates == sorted(estimates)
        assert estimates[0] < INLINE_SECONDS < estimates[-1]


async def test_short_work_runs_inline() -> None:
    """Small numbers and short chains start no process."""
    async with open_compute_pool(LIMITS) as pool:
        assert (
            await factorial.factorial(Message("1", "factorial", params={"n": 20}), pool)
            == b"2432902008176640000"
        )
        chain = await sha512.sha512(Message("2", "sha512", params={"data": "Hello", "iterations": 10}), pool)
        assert pool.processes == 0
    digest = b"Hello"
    for _ in range(10):
        digest = hashlib.sha512(digest).digest()
    assert chain == digest.hex().encode()


async def test_long_work_runs_in_a_process_and_says_the_same() -> None:
    """What is estimated beyond a millisecond comes from a worker process, byte for byte the same."""
    async with open_compute_pool(LIMITS) as pool:
        digits = await factorial.factorial(Message("1", "factorial", params={"n": 20_000}), pool)
        assert pool.processes == 1
    assert digits == factorial_digits(20_000)


@pytest.mark.parametrize(
    ("operation", "good", "bad"),
    [
        ("factorial", {"n": 5}, {"n": 6}),
        ("sha512", {"data": "x", "iterations": 5}, {"data": "x", "iterations": 6}),
        ("sleep", {"ms": 5000}, {"ms": 5001}),
        ("http-fetch", {"url": "http://example.com/"}, {"url": "ftp://example.com/"}),
    ],
)
async def test_registered_handler_checks_what_a_message_asks_for(
    operation: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    """Each kind of work is found by its name, needs no key, and holds messages to its limits."""
    limits = ComputeLimits(max_seconds=5.0, processes=1, factorial_max_n=5, sha512_max_iterations=5)
    retry = RetryPolicy(3)
    async with open_compute_pool(limits) as pool:
        registry = Registry(
            [
                factorial.factorial_handler(pool, retry),
                sha512.sha512_handler(pool, retry),
                sleeping.sleep_handler(limits.max_seconds, retry),
                fetch_handler(Fetcher(FetchLimits(timeout_seconds=5.0), SystemResolver()), retry),
            ]
        )
        handler = registry.find(Message("1", operation, params=good))
        assert (handler.operation, handler.needs_key, handler.max_seconds) == (operation, False, 5.0)
        with pytest.raises(MalformedMessageError):
            registry.find(Message("1", operation, params=bad))
