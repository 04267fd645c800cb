"""Sleeping, for thousands of tasks at once.

`trio.sleep_until` makes a cancel scope a call, and a `Cancelled` that unwinds to it: some 15 µs. A user that
polls every second would spend a third of its CPU there. One heap and one task that wakes the sleepers cost 3.

That task has a scope for each wake-up, whose deadline is the first sleeper's. When it passes, Trio asks it to
abort its wait; the task then goes on as if it had been woken, so that no exception is made and unwound.

Invariants: `run` is the only one that wakes; a sleeper that is cancelled marks its entry, so that it is not
woken a second time; a sleeper that is due before all others moves the deadline of `run`.
"""

from heapq import heappop, heappush
from math import inf

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled


class Sleepers:
    """Wakes tasks at the times they ask for, while somebody runs `run`."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Entry]] = []
        self._count = 0
        self._scope = trio.CancelScope()
        self._wakes = inf

    async def until(self, due: float) -> None:
        """Sleep until a time in Trio's clock; returns after one turn of the loop at once if it is past."""
        self._count += 1
        entry = _Entry(current_task())
        heappush(self._heap, (due, self._count, entry))
        if due < self._wakes:
            self._wakes = self._scope.deadline = due
        await wait_task_rescheduled(entry.cancel)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wake sleepers until cancelled; outlives all of them."""
        task_status.started()
        task = current_task()

        def abort(_: RaiseCancelT) -> Abort:
            if not self._scope.cancel_called:
                return Abort.SUCCEEDED  # cancelled from outside
            reschedule(task)
            return Abort.FAILED

        while True:
            self._wake_due(trio.current_time())
            self._wakes = self._heap[0][0] if self._heap else inf
            with trio.CancelScope(deadline=self._wakes) as self._scope:
                await wait_task_rescheduled(abort)

    def _wake_due(self, now: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= now:
            task = heappop(heap)[2].task
            if task is not None:
                reschedule(task)


class _Entry:
    """One sleeper.

    Attributes:
        task: To be woken; None when it was cancelled.
    """

    __slots__ = ("task",)

    def __init__(self, task: Task) -> None:
        self.task: Task | None = task

    def cancel(self, _: RaiseCancelT) -> Abort:
        """Not wake it: it was cancelled."""
        self.task = None
        return Abort.SUCCEEDED
