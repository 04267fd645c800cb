"""Is the service alive, and what is it waiting for? Pure bookkeeping behind the health endpoint.

Two different questions. A *task* that makes no progress is stuck: the process should be replaced (503).
A *backend* that does not answer is an outage: the process is doing its job by waiting (200, degraded).
So nobody counts as stuck during an outage, and its time counts for nobody. (It must not start everybody's
time anew: a backend that comes and goes would then hide a task that is stuck.)
"""

from collections.abc import Callable

import attrs

from loadtest_trio.errors import LoadtestError


@attrs.frozen
class Health:
    """One reading.

    Attributes:
        stuck: Task -> seconds since it last made progress, for those past the limit.
        degraded: Backend -> what is wrong with it, for those in an outage.
    """

    stuck: dict[str, float]
    degraded: dict[str, str]

    @property
    def alive(self) -> bool:
        """Whether every task has made progress lately."""
        return not self.stuck


@attrs.define
class _Outage:
    since: float
    reason: str


class HealthState:
    """Progress of the tasks and state of the backends.

    Args:
        clock: Monotonic seconds.
        stall_seconds: A task without a beat for longer is stuck.
    """

    def __init__(self, clock: Callable[[], float], stall_seconds: float) -> None:
        self._clock = clock
        self._stall_seconds = stall_seconds
        self._beats: dict[str, float] = {}
        self._outages: dict[str, _Outage] = {}

    def beat(self, task: str, quiet_for: float = 0.0) -> None:
        """Note that a task makes progress; the first beat begins its supervision.

        Args:
            task: Its name.
            quiet_for: How long it may well make no progress from now on, in seconds: it works on something
                that takes its time and ends by itself.
        """
        now = self._clock()
        self._beats[task] = max(now + quiet_for, self._beats.get(task, now))

    def ended(self, task: str) -> None:
        """End the supervision of a task that finished on purpose."""
        self._beats.pop(task, None)

    def backend(self, name: str, error: LoadtestError | None) -> bool:
        """Note the result of a call to a backend.

        Args:
            name: ``redis`` or ``s3``.
            error: What went wrong, or None when it answered.

        Returns:
            Whether this call began or ended an outage, so that it is said once.
        """
        before = self._outages.get(name)
        if error is None:
            if before is None:
                return False
            del self._outages[name]
            self._leave_out(before.since)
            return True
        self._outages[name] = _Outage(before.since if before else self._clock(), str(error))
        return before is None

    def outage_since(self, name: str) -> float | None:
        """Return since when a backend has not answered; None while it does."""
        outage = self._outages.get(name)
        return outage.since if outage else None

    def read(self) -> Health:
        """Return the present state of everything."""
        now = self._clock()
        degraded = {name: outage.reason for name, outage in self._outages.items()}
        stuck = {task: now - at for task, at in self._beats.items() if now - at > self._stall_seconds}
        return Health({} if degraded else stuck, degraded)

    def _leave_out(self, since: float) -> None:
        """Let the time from `since` to now count for nobody."""
        now = self._clock()
        self._beats = {task: max(at, min(now, at + now - since)) for task, at in self._beats.items()}
