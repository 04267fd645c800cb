"""What a `RedisService` is told: where the queue is, and who hears of what happens to it."""

from collections.abc import Callable

import attrs

from loadtest_trio.errors import LoadtestError, RedisError
from loadtest_trio.jobs.store import JobLimits
from loadtest_trio.metrics.counters import Observer


def _unobserved(kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
    """Ignore a call."""


def _ignored(_: object) -> None:
    """Ignore an event."""


@attrs.frozen
class RedisOptions:
    """Where the queue is, and its limits.

    Attributes:
        url: ``redis://`` or ``rediss://``, with user, password and database number where needed.
        queue_name: Names the keys; instances that share it share the work.
        consumer: Unique to this process over all instances and restarts.
        heartbeat_ttl: A consumer that was silent for longer, in seconds, is dead. Beat at a third of it.
        max_deliveries: Deliveries of one message before a reaper sends it to the dead list.
        threads: Calls under way at once. There are ten kinds of callers (the scheduler, the claimer, the
            acknowledger, the heartbeat, the reaper, the metrics service, and those who submit, read, cancel
            and list jobs), and none must wait for another's slow call: a heartbeat that does is late, and
            its consumer is taken for dead.
        timeout: For connecting, for sending and between two parts of a reply, in seconds.
        delay: Returns the seconds to add to a call, in its thread: for the experiments of `tune`.
        job_limits: What the job store takes.
    """

    url: str
    queue_name: str
    consumer: str
    heartbeat_ttl: float = 15.0
    max_deliveries: int = 5
    threads: int = 10
    timeout: float = 5.0
    delay: Callable[[], float] | None = None
    job_limits: JobLimits = attrs.field(factory=JobLimits)


@attrs.frozen
class RedisObservers:
    """Who hears of calls and outages.

    Attributes:
        observe: Called with every attempt of every call.
        on_outage: Called with the error of every attempt that failed because Redis is away, and with None
            when it is back.
        on_data_loss: Called when Redis has forgotten what this process knew, with the number of messages
            that it counted as lost: 0 when another process was first, or nothing was waiting. Over all
            processes the numbers add up to `lost` in the ledger.
    """

    observe: Observer = _unobserved
    on_outage: Callable[[RedisError | None], None] = _ignored
    on_data_loss: Callable[[int], None] = _ignored
