"""Sleeping, for thousands of tasks at once.

`trio.sleep_until` makes a cancel scope a call, and a `Cancelled` that unwinds to it: some 15 µs. A user that
polls every second would spend a third of its CPU there. One heap and one task that wakes the sleepers cost 3.

Invariants: `run` is the only one that wakes; a sleeper that is cancelled marks its entry, so that it is not
woken a second time; a sleeper that is due before all others moves the deadline of `run`.
"""

from heapq import heappop, heappush
from math import inf

import trio
from trio.lowlevel import Abort, RaiseCancelT, current_task, reschedule, wait_task_rescheduled


class Sleepers:
    """Wakes tasks at the times they ask for, while somebody runs `run`."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, list[trio.lowlevel.Task | None]]] = []
        self._count = 0
        self._scope = trio.CancelScope()
        self._wakes = inf

    async def until(self, due: float) -> None:
        """Sleep until a time in Trio's clock; returns after one turn of the loop at once if it is past."""
        entry: list[trio.lowlevel.Task | None] = [current_task()]
        self._count += 1
        heappush(self._heap, (due, self._count, entry))
        if due < self._wakes:
            self._wakes = self._scope.deadline = due

        def abort(_: RaiseCancelT) -> Abort:
            entry[0] = None
            return Abort.SUCCEEDED

        await wait_task_rescheduled(abort)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wake sleepers until cancelled; outlives all of them."""
        task_status.started()
        while True:
            self._wake_due(trio.current_time())
            self._wakes = self._heap[0][0] if self._heap else inf
            with trio.CancelScope(deadline=self._wakes) as self._scope:
                await trio.sleep_forever()

    def _wake_due(self, now: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= now:
            task = heappop(heap)[2][0]
            if task is not None:
                reschedule(task)
