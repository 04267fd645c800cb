"""Where a service can be killed: the boundaries between the steps of a message.

Three kinds of points:

    before   the call is about to be made: Redis knows nothing
    sent     the reply lies in our socket and was not read: Redis has done it, nobody here knows
    after    the call has returned: this process knows, and nothing follows

`killed_at` does the killing.
"""

from collections.abc import Callable
from typing import Any

import attrs

from loadtest_trio.backends.redis import RedisService
from loadtest_trio.backends.redis.channel import Channel
from loadtest_trio.backends.s3 import S3Service
from loadtest_trio.metrics.service import MetricsService
from loadtest_trio.web import HealthService
from loadtest_trio.worker import Runner


def _always(_: Any) -> bool:
    return True


@attrs.frozen
class Point:
    """A place to die at.

    Attributes:
        owner: The class whose method is wrapped, or None for a script's call.
        name: The method, or the script.
        when: ``before``, ``sent`` or ``after``.
        counts: Whether this time counts: told the arguments, the reply or the result.
        situation: How a test brings a process there: under ``load``, during the ``shutdown``, or by
            finding a ``corpse``: what a killed process had claimed; ``poison`` is the same with
            MAX_DELIVERIES=1.
    """

    owner: type | None
    name: str
    when: str
    counts: Callable[[Any], bool] = _always
    situation: str = "load"


def _script(name: str, counts: Callable[[Any], bool] = _always, situation: str = "load") -> dict[str, Point]:
    """The three points of a call that is one script; `counts` judges the reply, and a method's result."""
    return {
        f"{name}.before": Point(RedisService, name, "before", situation=situation),
        f"{name}.sent": Point(None, name, "sent", counts, situation),
        f"{name}.after": Point(RedisService, name, "after", situation=situation),
    }


def _moved(index: int) -> Callable[[list[Any]], bool]:
    return lambda reply: bool(reply[index])


POINTS: dict[str, Point] = {
    **_script("enqueue"),
    **_script("claim", _moved(2)),
    "claim.after": Point(RedisService, "claim", "after", bool),
    "work.before": Point(Runner, "run", "before"),
    "put.before": Point(S3Service, "put", "before"),
    "put.after": Point(S3Service, "put", "after"),
    "delete.after": Point(S3Service, "delete", "after"),
    "work.after": Point(Runner, "run", "after"),
    **_script("settle"),
    **_script("heartbeat"),
    **_script("release", situation="shutdown"),
    **_script("retire", situation="shutdown"),
    "last_line.before": Point(MetricsService, "write", "before", situation="shutdown"),
    "close.before": Point(HealthService, "stop", "before", situation="shutdown"),
    **_script("reap", _moved(2), situation="corpse"),
    "reap.after": Point(RedisService, "reap", "after", lambda result: result.requeued, "corpse"),
    "bury.before": Point(Channel, "script", "before", lambda call: call[1] == "bury", "poison"),
    "bury.sent": Point(None, "bury", "sent", _moved(1), "poison"),
}
