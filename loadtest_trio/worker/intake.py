"""Claims messages in batches and hands them to the workers one by one.

The channel to the workers has no buffer: a job has been sent when a worker has taken it. So one batch at
most is claimed and waits for a worker, another for its key; a shutdown pushes exactly these back. A claim
costs the same for one message as for many: one a worker would cost a thread hop a message.
"""

from collections import deque
from typing import Protocol

import attrs
import trio

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.jobs.delivery import Delivery
from loadtest_trio.jobs.message import Message, decode
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.worker.key_order import Lanes

_BATCH = 64
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05  # between two looks at an empty queue, in seconds


@attrs.frozen
class Job:
    """A claimed message.

    Attributes:
        delivery: What Redis handed out; its token settles it.
        message: The same, read.
    """

    delivery: Delivery
    message: Message


class _Queue(Protocol):
    async def claim(self, limit: int) -> list[Delivery]: ...


class _Refuse(Protocol):
    def __call__(self, delivery: Delivery, error: MalformedMessageError) -> None: ...


class Intake:
    """The one task that claims.

    Args:
        queue: Where from.
        lanes: Keeps jobs on one key apart and in order.
        concurrency: The number of workers; a batch is never larger.
        refuse: Told about an element that is not a message.
        health_state: Where it shows that it makes progress.
    """

    def __init__(
        self, queue: _Queue, lanes: Lanes[Job], concurrency: int, refuse: _Refuse, health_state: HealthState
    ) -> None:
        self._queue = queue
        self._lanes = lanes
        self._batch = min(_BATCH, concurrency)
        self._refuse = refuse
        self._health_state = health_state
        self._ready: deque[Job] = deque()

    async def run(self, workers: trio.MemorySendChannel[Job]) -> None:
        """Claim and hand out until cancelled; what is then neither started nor done is `unstarted`.

        Args:
            workers: The channel the workers receive from.
        """
        pause = _SHORTEST_PAUSE
        while True:
            crowded = self._lanes.waiting >= self._batch
            deliveries = [] if crowded else await self._queue.claim(self._batch)
            self._health_state.beat("worker")
            self._accept(deliveries)
            while self._ready:
                await _hand_over(workers, self._ready[0])
                self._ready.popleft()
            if len(deliveries) == self._batch:
                pause = _SHORTEST_PAUSE
            else:
                pause = _SHORTEST_PAUSE if deliveries else min(2 * pause, _LONGEST_PAUSE)
                await trio.sleep(pause)

    def unstarted(self) -> list[str]:
        """Give up what no worker has started, and return its tokens in the order of the claim."""
        jobs = [*self._ready, *self._lanes.abandon()]
        self._ready.clear()
        return sorted(job.delivery.token for job in jobs)

    def _accept(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            try:
                job = Job(delivery, decode(delivery.element))
            except MalformedMessageError as error:
                self._refuse(delivery, error)
                continue
            if self._lanes.enter(job.message.key, job):
                self._ready.append(job)


async def _hand_over(workers: trio.MemorySendChannel[Job], job: Job) -> None:
    try:
        workers.send_nowait(job)  # to all who wait, in one step of the event loop instead of one each
    except trio.WouldBlock:
        await workers.send(job)
