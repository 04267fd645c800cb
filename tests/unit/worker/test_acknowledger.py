"""The acknowledger: completions reach Redis in batches, each once, and none is lost."""

from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from loadtest_trio.jobs.delivery import Delivery, Outcome, Settlement
from loadtest_trio.jobs.message import Message
from loadtest_trio.worker.acknowledger import Acknowledger
from loadtest_trio.worker.completion import Completion


@attrs.define
class Queue:
    """Accepts settlements after a configured delay, and reports some as stale."""

    seconds: float = 0.0
    stale: set[str] = attrs.field(factory=set)
    error: Exception | None = None
    calls: list[list[str]] = attrs.field(factory=list)

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Take them."""
        await trio.sleep(self.seconds)
        if self.error:
            raise self.error
        self.calls.append([each.token for each in settlements])
        return [each.token not in self.stale for each in settlements]


def finished(number: int) -> Completion:
    """Return the end of a delivery."""
    return Completion(Delivery(str(number), b""), None, Outcome.PROCESSED)


@attrs.define
class Told:
    """What the acknowledger reported."""

    results: list[tuple[str, bool]] = attrs.field(factory=list)

    def __call__(self, end: Completion, counted: bool) -> None:
        """Note it."""
        self.results.append((end.delivery.token, counted))


async def test_completions_are_batched(autojump_clock: MockClock) -> None:
    """Completions within a few milliseconds are settled in one call, in order."""
    queue, told = Queue(), Told()
    acknowledger = Acknowledger(queue, told)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acknowledger.run)
        for number in range(5):
            acknowledger.put(finished(number))
            await trio.sleep(0.001)
        await trio.sleep(1)
        assert queue.calls == [["0", "1", "2", "3", "4"]]
        assert told.results == [(str(number), True) for number in range(5)]
        nursery.cancel_scope.cancel()


async def test_full_batch_is_settled_at_once(autojump_clock: MockClock) -> None:
    """A full batch is settled without a pause; its size is bounded."""
    queue = Queue()
    acknowledger = Acknowledger(queue, Told())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acknowledger.run)
        for number in range(1000):
            acknowledger.put(finished(number))
        before = trio.current_time()
        await wait_all_tasks_blocked()
        assert trio.current_time() == before
        assert sum(map(len, queue.calls)) >= 900
        await trio.sleep(1)
        assert [token for call in queue.calls for token in call] == [str(number) for number in range(1000)]
        assert max(map(len, queue.calls)) <= 256
        nursery.cancel_scope.cancel()


async def test_jobs_are_settled_on_request(autojump_clock: MockClock) -> None:
    """Jobs are settled without a pause, with the messages that are pending; messages alone keep theirs."""
    queue, told = Queue(), Told()
    acknowledger = Acknowledger(queue, told)
    acknowledger.put(finished(0))
    assert await acknowledger.settle_jobs() == 0
    assert queue.calls == []
    acknowledger.put(attrs.evolve(finished(1), message=Message("j", "sleep", job=True)))
    before = trio.current_time()
    assert await acknowledger.settle_jobs() == 2
    assert trio.current_time() == before
    assert queue.calls == [["0", "1"]]
    assert told.results == [("0", True), ("1", True)]
    assert await acknowledger.settle_jobs() == 0


async def test_completions_during_a_call_join_next_batch(autojump_clock: MockClock) -> None:
    """During a call completions gather, and nothing is settled twice."""
    queue, told = Queue(seconds=5), Told()
    acknowledger = Acknowledger(queue, told)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acknowledger.run)
        acknowledger.put(finished(0))
        await trio.sleep(1)
        for number in range(1, 4):
            acknowledger.put(finished(number))
        await trio.sleep(20)
        assert queue.calls == [["0"], ["1", "2", "3"]]
        nursery.cancel_scope.cancel()


async def test_batches_grow_with_slow_calls(autojump_clock: MockClock) -> None:
    """If a call takes as long as 100 completions, batches grow instead of the backlog."""
    queue, waiting = Queue(seconds=0.1), list[int]()
    acknowledger = Acknowledger(queue, Told())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acknowledger.run)
        for number in range(10_000):
            acknowledger.put(finished(number))
            await trio.sleep(0.001)
            waiting.append(number + 1 - sum(map(len, queue.calls)))
        nursery.cancel_scope.cancel()
    assert max(waiting) < 300


async def test_stale_settlements_are_reported() -> None:
    """The callback learns for each completion whether it counted."""
    told = Told()
    acknowledger = Acknowledger(Queue(stale={"1"}), told)
    for number in range(3):
        acknowledger.put(finished(number))
    await acknowledger.flush()
    assert told.results == [("0", True), ("1", False), ("2", True)]


@pytest.mark.parametrize("cut_off_at", [0.005, 0.5, 2.0])
async def test_flush_settles_batch_of_cancelled_call(autojump_clock: MockClock, cut_off_at: float) -> None:
    """Whenever the task is cancelled, a later flush settles the rest, in order, once."""
    queue, told = Queue(seconds=1), Told()
    acknowledger = Acknowledger(queue, told)
    with trio.move_on_after(cut_off_at):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(acknowledger.run)
            for number in range(3):
                acknowledger.put(finished(number))
            await trio.sleep(1.5)
            acknowledger.put(finished(3))
            await trio.sleep_forever()
    if cut_off_at < 1.5:
        acknowledger.put(finished(3))
    await acknowledger.flush()
    await acknowledger.flush()
    assert told.results == [(str(number), True) for number in range(4)]


async def test_failing_call_keeps_completions_pending() -> None:
    """If Redis refuses, the error is raised and the completions stay pending."""
    queue, told = Queue(error=RuntimeError("no")), Told()
    acknowledger = Acknowledger(queue, told)
    acknowledger.put(finished(0))
    with pytest.raises(RuntimeError, match="no"):
        await acknowledger.flush()
    queue.error = None
    await acknowledger.flush()
    assert told.results == [("0", True)]
