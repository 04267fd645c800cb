"""Makes a `RedisService` from plain keyword arguments, of its options and its observers alike."""

import time
from collections.abc import Callable
from typing import Any

import attrs

from loadtest_trio.backends.redis import RedisObservers, RedisOptions, RedisService


def make_redis(
    *, backoff: Callable[[int], float], clock: Callable[[], float] = time.time, **arguments: Any
) -> RedisService:
    """Return the service; `arguments` are the fields of `RedisOptions` and `RedisObservers`."""
    names = attrs.fields_dict(RedisObservers)
    observers = RedisObservers(**{name: arguments.pop(name) for name in list(arguments) if name in names})
    return RedisService(RedisOptions(**arguments), observers, backoff=backoff, clock=clock)
