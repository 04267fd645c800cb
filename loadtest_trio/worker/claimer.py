"""Claims messages in batches and hands them to the workers one by one.

The channel to the workers is unbuffered: a send completes when a worker takes the message. So at most one
claimed batch waits for workers and another for its keys; a shutdown releases exactly these messages. A claim
costs the same for one message as for many; a claim per worker would cost a thread hop per message.

Messages waiting for their key must not block claims for other keys. If a whole batch waits behind slow work,
because an object is slow or fails repeatedly, those messages return to the queue for a while.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs
import trio

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.jobs.delivery import Delivery
from loadtest_trio.jobs.message import decode
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.worker.key_order import KeyOrder
from loadtest_trio.worker.runner import Claimed

_BATCH = 64
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05  # seconds between two claims from an empty queue
_LONGEST_PAUSE_AFTER_SOME = 0.005  # so that the next claim is a larger one
_LONG_SECONDS = 1.0


class _Queue(Protocol):
    async def claim(self, limit: int) -> list[Delivery]: ...


class _Refuse(Protocol):
    def __call__(self, delivery: Delivery, error: MalformedMessageError) -> None: ...


@attrs.frozen
class GiveBack:
    """Callbacks for claimed messages that no worker gets.

    Attributes:
        refuse: Called with an element that no handler accepts, and the reason.
        defer: Called with messages that wait too long for their keys, in order.
    """

    refuse: _Refuse
    defer: Callable[[list[Claimed]], None]


async def _settle_nothing() -> int:
    return 0


class Claimer:
    """The only task that claims.

    Args:
        queue: The queue to claim from.
        registry: Finds the handler of a message.
        key_order: Runs messages with the same key one at a time and in order.
        concurrency: Number of workers; also the maximum batch size.
        give_back: Callbacks for messages that no worker gets.
        health_state: Is told about progress.
        settle_jobs: Settles finished jobs at once; returns how many messages were settled.
    """

    def __init__(
        self,
        queue: _Queue,
        registry: Registry,
        key_order: KeyOrder[Claimed],
        concurrency: int,
        give_back: GiveBack,
        health_state: HealthState,
        settle_jobs: Callable[[], Awaitable[int]] = _settle_nothing,
    ) -> None:
        self._queue = queue
        self._registry = registry
        self._key_order = key_order
        self._batch = min(_BATCH, concurrency)
        self._give_back = give_back
        self._health_state = health_state
        self._settle_jobs = settle_jobs
        self._ready: deque[Claimed] = deque()

    def resize(self, concurrency: int) -> None:
        """Set the number of workers."""
        self._batch = min(_BATCH, concurrency)

    async def run(self, workers: trio.MemorySendChannel[Claimed]) -> None:
        """Claim and hand out until cancelled; `unstarted` then returns the messages not handed out.

        Args:
            workers: The channel that the workers receive from.
        """
        pause, settled = _SHORTEST_PAUSE, 0
        while True:
            crowded = self._key_order.waiting >= self._batch
            if crowded and (late := self._key_order.abandon(_LONG_SECONDS)):
                self._give_back.defer(late)
            deliveries = [] if crowded else await self._queue.claim(self._batch)
            self._health_state.beat("worker")
            self._accept(deliveries)
            while self._ready:
                await _hand_over(workers, self._ready[0])
                self._ready.popleft()
            # If the queue held no more than the last settlement put there, further jobs may wait in their
            # clients' lanes: they come out with the next settlement, which therefore precedes the next claim.
            starved = len(deliveries) <= settled
            pause = self._pause_after(len(deliveries), pause, starved)
            if len(deliveries) < self._batch:
                await trio.sleep(pause)
            settled = await self._settle_jobs() if starved else 0

    def _pause_after(self, claimed: int, pause: float, starved: bool) -> float:
        """Return how long to wait after a claim: the longer, the less of a batch there was."""
        if claimed and starved:
            return _SHORTEST_PAUSE
        if claimed:
            return min(_SHORTEST_PAUSE * self._batch / claimed, _LONGEST_PAUSE_AFTER_SOME)
        return min(2 * pause, _LONGEST_PAUSE)

    def unstarted(self) -> list[str]:
        """Give up the messages that no worker has started; return their tokens in the order of the claim."""
        claimed = [*self._ready, *self._key_order.abandon()]
        self._ready.clear()
        return sorted(each.delivery.token for each in claimed)

    def _accept(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            try:
                message = decode(delivery.element)
                claimed = Claimed(delivery, message, self._registry.find(message))
            except MalformedMessageError as error:
                self._give_back.refuse(delivery, error)
                continue
            key = claimed.order_key
            if not key or self._key_order.enter(key, claimed):
                self._ready.append(claimed)


async def _hand_over(workers: trio.MemorySendChannel[Claimed], claimed: Claimed) -> None:
    try:
        workers.send_nowait(claimed)  # serves all waiting workers in one step of the event loop
    except trio.WouldBlock:
        await workers.send(claimed)
