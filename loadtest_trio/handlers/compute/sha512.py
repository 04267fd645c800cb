"""sha512: the chain of brief 002, SHA-512 applied ``params["iterations"]`` times to ``params["data"]``.

The first application hashes the UTF-8 bytes of the data, each further one the 64 bytes of the digest before;
the result is the last digest in lower-case hex. So one iteration is what ``printf %s "$data" | sha512sum``
says, and `n` iterations are `n` applications.
"""

from collections.abc import Mapping
from typing import Any

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers.compute.kernels import sha512_chain
from loadtest_trio.handlers.compute.pool import ComputePool

_SECONDS_AN_ITERATION = 4.5e-7
_SECONDS_A_BYTE = 2.5e-9


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
        raise MalformedMessageError("params.data must be a string")
    iterations = params.get("iterations")
    if type(iterations) is not int or not 1 <= iterations <= max_iterations:
        raise MalformedMessageError(f"params.iterations must be a whole number from 1 to {max_iterations}")


async def sha512(params: Mapping[str, Any], pool: ComputePool) -> bytes:
    """Return the last digest of the chain, in hex.

    Raises:
        JobTimeoutError: It took longer than `JOB_MAX_SECONDS`.
        WorkerProcessError: Its worker process died.
    """
    data, iterations = params["data"].encode(), params["iterations"]
    return await pool.run(estimate_seconds(len(data), iterations), sha512_chain, data, iterations)
