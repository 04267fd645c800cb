"""sleep: simulated work of ``params["ms"]`` milliseconds that waits and computes nothing."""

from collections.abc import Mapping
from typing import Any

import trio

from loadtest_trio.errors import MalformedMessageError


def check_params(params: Mapping[str, Any], max_seconds: float) -> None:
    """Check what a message asks for.

    Raises:
        MalformedMessageError: ``ms`` is not a number from 0 to `max_seconds` in milliseconds.
    """
    ms = params.get("ms")
    if isinstance(ms, bool) or not isinstance(ms, int | float) or not 0 <= ms <= max_seconds * 1000:
        raise MalformedMessageError(
            f"params.ms must be a number from 0 to {max_seconds * 1000:g} (JOB_MAX_SECONDS)"
        )


async def sleep(params: Mapping[str, Any]) -> None:
    """Wait for ``params["ms"]`` milliseconds."""
    await trio.sleep(params["ms"] / 1000)
