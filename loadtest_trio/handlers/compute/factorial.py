"""factorial: all decimal digits of ``params["n"]`` factorial."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers.compute.kernels import factorial_digits
from loadtest_trio.handlers.compute.pool import ComputePool
from loadtest_trio.handlers.registry import Handler
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy

_SECONDS_AT_ONE = 4e-9
_EXPONENT = 1.5


def factorial_handler(pool: ComputePool, retry: RetryPolicy) -> Handler:
    """Return the handler of ``factorial``."""
    check = partial(check_params, max_n=pool.limits.factorial_max_n)
    return Handler(
        "factorial",
        partial(factorial, pool=pool),
        retry,
        check=check,
        max_seconds=pool.limits.max_seconds,
        public=True,
        content_type="text/plain; charset=utf-8",
    )


def estimate_seconds(n: int) -> float:
    """Return how long ``n!`` takes, in seconds.

    Fitted to 1,000 to 1,000,000 (``python -m benchmarks.compute``) and rounded up by a third.
    """
    return _SECONDS_AT_ONE * math.pow(n, _EXPONENT)


def check_params(params: Mapping[str, Any], max_n: int) -> None:
    """Check what a message asks for.

    Raises:
        MalformedMessageError: ``n`` is not a whole number from 0 to `max_n`.
    """
    n = params.get("n")
    if type(n) is not int or not 0 <= n <= max_n:
        raise MalformedMessageError(f"n must be a whole number from 0 to {max_n}")


async def factorial(message: Message, pool: ComputePool) -> bytes:
    """Return the decimal digits of ``params["n"]!`` as ASCII.

    Raises:
        JobTimeoutError: It took longer than `JOB_MAX_SECONDS`.
        WorkerProcessError: Its worker process died.
    """
    n = message.params["n"]
    return await pool.run(estimate_seconds(n), factorial_digits, n)
