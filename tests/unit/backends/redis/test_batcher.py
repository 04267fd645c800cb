"""Requests of many tasks travel in few calls, and nobody's cancellation or failure becomes another's."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from loadtest_trio.backends.redis.batcher import Batcher
from loadtest_trio.errors import RedisRejectedError, RedisUnavailableError


class Server:
    """Doubles numbers, a second a call."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.error: Exception | None = None
        self.seconds = 1.0

    async def double(self, numbers: list[int]) -> list[int]:
        self.calls.append(list(numbers))
        await trio.sleep(self.seconds)
        if self.error:
            raise self.error
        return [2 * each for each in numbers]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def batcher(server: Server) -> Batcher[int, int]:
    return Batcher(server.double, most=10)


async def test_those_who_come_during_a_call_travel_together(
    autojump_clock: MockClock, server: Server, batcher: Batcher[int, int]
) -> None:
    """The first goes at once, the rest with the next call; everybody gets its own answers."""
    answers: dict[int, list[int]] = {}

    async def ask(*numbers: int) -> None:
        answers[numbers[0]] = await batcher.ask(numbers)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 1)
        await wait_all_tasks_blocked()
        for n in (2, 3, 5):
            nursery.start_soon(ask, n, n + 100)
    assert trio.current_time() == 2
    assert [sorted(call) for call in server.calls] == [[1], [2, 3, 5, 102, 103, 105]]
    assert answers == {1: [2], 2: [4, 204], 3: [6, 206], 5: [10, 210]}


async def test_those_who_come_together_travel_together(
    autojump_clock: MockClock, server: Server, batcher: Batcher[int, int]
) -> None:
    """Requests that arrive in one turn of the event loop need one call, also when none is under way."""
    async with trio.open_nursery() as nursery:
        for n in range(5):
            nursery.start_soon(batcher.ask, (n,))
    assert trio.current_time() == 1
    assert [sorted(call) for call in server.calls] == [[0, 1, 2, 3, 4]]


async def test_call_is_bounded(autojump_clock: MockClock, server: Server, batcher: Batcher[int, int]) -> None:
    """More than fit into a call go with the next one; a single task's items are never torn apart."""
    async with trio.open_nursery() as nursery:
        for start in range(0, 24, 4):
            nursery.start_soon(batcher.ask, range(start, start + 4))
        await wait_all_tasks_blocked()
        nursery.start_soon(batcher.ask, range(100, 120))
    assert [len(call) for call in server.calls] == [8, 8, 8, 20]


async def test_cancelled_task_leaves_the_others_alone(
    autojump_clock: MockClock, server: Server, batcher: Batcher[int, int]
) -> None:
    """Whoever leads a batch stays until the others have their answers; whoever does not may go at once."""
    gone: list[float] = []
    answers: list[int] = []

    async def leave(after: float, number: int) -> None:
        with trio.move_on_after(after):
            await batcher.ask([number])
        gone.append(trio.current_time())

    async def stay(number: int) -> None:
        answers.extend(await batcher.ask([number]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stay, 1)
        await wait_all_tasks_blocked()
        nursery.start_soon(leave, 0.25, 2)  # leads the second batch
        await wait_all_tasks_blocked()
        nursery.start_soon(leave, 0.5, 3)
        nursery.start_soon(stay, 4)
    assert gone == [0.5, 2]
    assert sorted(answers) == [2, 8]


async def test_failure_is_that_of_the_whole_batch(
    autojump_clock: MockClock, server: Server, batcher: Batcher[int, int]
) -> None:
    """Everybody gets an exception of their own; the next call is a new one."""
    server.error = RedisRejectedError("no")
    errors: list[RedisRejectedError] = []

    async def ask(number: int) -> None:
        with pytest.raises(RedisRejectedError, match="no") as caught:
            await batcher.ask([number])
        errors.append(caught.value)

    async with trio.open_nursery() as nursery:
        for n in range(3):
            nursery.start_soon(ask, n)
    assert len(set(map(id, errors))) == 3
    server.error = None
    assert await batcher.ask([1]) == [2]


async def test_outage_is_known_at_once(
    autojump_clock: MockClock, server: Server, batcher: Batcher[int, int]
) -> None:
    """While Redis is away one call tries it now and then; the others do not wait for that."""
    server.error, server.seconds = RedisUnavailableError("away"), 5.0
    for _ in range(3):
        with pytest.raises(RedisUnavailableError, match="away"):
            await batcher.ask([1])
    assert trio.current_time() == 5, "only the first waited"
    await trio.sleep(0.3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_outage, batcher)
        await wait_all_tasks_blocked()
        with pytest.raises(RedisUnavailableError):
            await batcher.ask([2])
        assert trio.current_time() == pytest.approx(5.3), "the probe is under way"
    server.error = None
    await trio.sleep(0.3)
    assert await batcher.ask([3]) == [6]
    assert await batcher.ask([4]) == [8]
    assert server.calls == [[1], [1], [3], [4]]


async def test_frozen_server_keeps_few_waiting(
    autojump_clock: MockClock, server: Server, batcher: Batcher[int, int]
) -> None:
    """Who came early is refused when the call fails; who comes when it is overdue, after a moment at most."""
    server.error, server.seconds = RedisUnavailableError("no answer"), 5.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_outage, batcher)
        await trio.sleep(0.5)
        nursery.start_soon(expect_outage, batcher)  # in the next batch, which does not try on its own
        await trio.sleep(1.0)
        with pytest.raises(RedisUnavailableError, match=r"not answered for 1\.8 s"):
            await batcher.ask([3])
        assert trio.current_time() == 1.75, "the first waits a moment for a reply that nobody has read yet"
        with pytest.raises(RedisUnavailableError, match=r"not answered for 1\.8 s"):
            await batcher.ask([4])
        assert trio.current_time() == 1.75, "the others do not"
    assert trio.current_time() == 5
    assert server.calls == [[1]]


async def test_reply_that_this_process_had_no_time_to_read_is_waited_for(
    autojump_clock: MockClock, server: Server, batcher: Batcher[int, int]
) -> None:
    """A process without CPU for seconds does not say that Redis is out."""
    server.seconds = 3.1
    answers: list[int] = []

    async def ask(number: int) -> None:
        answers.extend(await batcher.ask([number]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 1)
        await trio.sleep(3.0)  # as if nothing had run meanwhile
        nursery.start_soon(ask, 2)
    assert answers == [2, 4]


async def expect_outage(batcher: Batcher[int, int]) -> None:
    with pytest.raises(RedisUnavailableError):
        await batcher.ask([1])
