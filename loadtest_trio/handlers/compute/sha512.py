"""sha512: the chain of brief 002, SHA-512 applied ``params["iterations"]`` times to ``params["data"]``.

The first application hashes the UTF-8 bytes of the data, each further one the 64 bytes of the digest before;
the result is the last digest in lower-case hex. So one iteration is what ``printf %s "$data" | sha512sum``
says, and `n` iterations are `n` applications.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers.compute.kernels import sha512_chain
from loadtest_trio.handlers.compute.pool import ComputePool
from loadtest_trio.handlers.registry import Handler
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy

_SECONDS_AN_ITERATION = 4.5e-7
_SECONDS_A_BYTE = 2.5e-9


def sha512_handler(pool: ComputePool, retry: RetryPolicy) -> Handler:
    """Return the handler of ``sha512``."""
    check = partial(check_params, max_iterations=pool.limits.sha512_max_iterations)
    return Handler(
        "sha512",
        partial(sha512, pool=pool),
        retry,
        check=check,
        max_seconds=pool.limits.max_seconds,
        public=True,
        content_type="text/plain; charset=utf-8",
    )


def estimate_seconds(size: int, iterations: int) -> float:
    """Return how long a chain takes, in seconds.

    Fitted (``python -m benchmarks.compute``) and rounded up by a third.

    Args:
        size: Bytes of data.
        iterations: Applications.
    """
    return _SECONDS_AN_ITERATION * iterations + _SECONDS_A_BYTE * size


def check_params(params: Mapping[str, Any], max_iterations: int) -> None:
    """Check what a message asks for.

    Raises:
        MalformedMessageError: ``data`` is no text, or ``iterations`` is not a whole number from 1 to
            `max_iterations`.
    """
    if not isinstance(params.get("data"), str):
        raise MalformedMessageError("data must be a string")
    iterations = params.get("iterations")
    if type(iterations) is not int or not 1 <= iterations <= max_iterations:
        raise MalformedMessageError(f"iterations must be a whole number from 1 to {max_iterations}")


async def sha512(message: Message, pool: ComputePool) -> bytes:
    """Return the last digest of the chain, in hex.

    Raises:
        JobTimeoutError: It took longer than `JOB_MAX_SECONDS`.
        WorkerProcessError: Its worker process died.
    """
    data, iterations = message.params["data"].encode(), message.params["iterations"]
    return await pool.run(estimate_seconds(len(data), iterations), sha512_chain, data, iterations)
