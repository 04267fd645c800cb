"""sleep: simulated work that waits ``params["ms"]`` milliseconds without computing."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import trio

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers.registry import Handler
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy


def sleep_handler(max_seconds: float, retry: RetryPolicy) -> Handler:
    """Return the handler of ``sleep``; `max_seconds` is `JOB_MAX_SECONDS`."""
    check = partial(check_params, max_seconds=max_seconds)
    return Handler("sleep", sleep, retry, check=check, max_seconds=max_seconds, public=True)


def check_params(params: Mapping[str, Any], max_seconds: float) -> None:
    """Check the parameters of a message.

    Raises:
        MalformedMessageError: ``ms`` is not a number from 0 to `max_seconds` in milliseconds.
    """
    ms = params.get("ms")
    if isinstance(ms, bool) or not isinstance(ms, int | float) or not 0 <= ms <= max_seconds * 1000:
        raise MalformedMessageError(f"ms must be a number from 0 to {max_seconds * 1000:g} (JOB_MAX_SECONDS)")


async def sleep(message: Message) -> None:
    """Wait for ``params["ms"]`` milliseconds."""
    await trio.sleep(message.params["ms"] / 1000)
