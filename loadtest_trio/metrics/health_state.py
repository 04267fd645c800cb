"""The state behind the health endpoint: whether tasks make progress and backends answer. Pure.

A *task* without progress is stuck: the process should be replaced (503). A *backend* that does not answer is
an outage: the process does its job by waiting (200, degraded). No task counts as stuck during an outage, and
the outage's time is subtracted afterwards. The tasks' times do not start again after an outage, because a
backend that comes and goes would then hide a stuck task.
"""

from collections.abc import Callable

import attrs

from loadtest_trio.errors import LoadtestError


@attrs.frozen
class Health:
    """The state at one moment.

    Attributes:
        stuck: Seconds since the last progress of each task past the limit, by task.
        degraded: The reason of each outage, by backend.
    """

    stuck: dict[str, float]
    degraded: dict[str, str]

    @property
    def alive(self) -> bool:
        """Whether every task has made progress lately."""
        return not self.stuck


@attrs.define
class _Outage:
    """An outage: when it was noticed, when it had begun, and the latest reason."""

    noticed: float
    began: float
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
        """Record that a task makes progress; its first beat begins its supervision.

        Args:
            task: Its name.
            quiet_for: Seconds from now in which it need not make progress, because its work takes that long
                and ends by itself.
        """
        now = self._clock()
        self._beats[task] = max(now + quiet_for, self._beats.get(task, now))

    def ended(self, task: str) -> None:
        """End the supervision of a task that has ended on purpose."""
        self._beats.pop(task, None)

    def backend(self, name: str, error: LoadtestError | None, since: float | None = None) -> bool:
        """Record the result of a call to a backend.

        Args:
            name: ``redis`` or ``s3``.
            error: The error, or None when the backend answered.
            since: When the outage began, if it was not known at once.

        Returns:
            Whether this call began or ended an outage, so that it is logged once.
        """
        before = self._outages.get(name)
        if error is None:
            if before is None:
                return False
            del self._outages[name]
            self._subtract(before.noticed)
            return True
        now = self._clock()
        noticed, began = (before.noticed, before.began) if before else (now, now)
        self._outages[name] = _Outage(noticed, began if since is None else min(began, since), str(error))
        return before is None

    def outage_since(self, name: str) -> float | None:
        """Return when a backend's outage began; None while it answers."""
        outage = self._outages.get(name)
        return outage.began if outage else None

    def read(self) -> Health:
        """Return the present state of everything."""
        now = self._clock()
        degraded = {name: outage.reason for name, outage in self._outages.items()}
        stuck = {task: now - at for task, at in self._beats.items() if now - at > self._stall_seconds}
        return Health({} if degraded else stuck, degraded)

    def _subtract(self, since: float) -> None:
        """Subtract an outage that began at `since` from the time without progress of every task."""
        now = self._clock()
        self._beats = {task: max(at, min(now, at + now - since)) for task, at in self._beats.items()}
