"""Repeating, observing and telling of outages, in virtual time."""

from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.backends.redis.channel import Channel
from loadtest_trio.backends.redis.connection import Connections
from loadtest_trio.backends.redis.scripts import Scripts
from loadtest_trio.errors import LoadtestError, RedisError, RedisRejectedError, RedisUnavailableError

AWAY = RedisUnavailableError("away")
NO = RedisRejectedError("no")


@attrs.define
class Redis:
    """Stands in for `Connections` and `Scripts`: gives the replies in order, raising errors among them."""

    replies: list[Any]
    calls: list[tuple[object, ...]] = attrs.field(factory=list)

    def run(self, *command: object) -> Any:
        self.calls.append(command)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    execute = run


@attrs.define
class Log:
    """Collects what the channel tells."""

    outages: list[RedisError | None] = attrs.field(factory=list)
    observed: list[tuple[str, int, LoadtestError | None]] = attrs.field(factory=list)

    def observe(self, kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        assert seconds >= 0
        self.observed.append((kind, size, error))


def channel_to(redis: Redis, log: Log) -> Channel:
    return Channel(
        cast(Connections, redis),
        cast(Scripts, redis),
        threads=2,
        backoff=lambda attempt: float(attempt),
        observe=log.observe,
        on_outage=log.outages.append,
    )


async def test_success_is_observed(autojump_clock: MockClock) -> None:
    """A call that succeeds is observed with its size and tells nothing of outages."""
    log = Log()
    reply = await channel_to(Redis([[b"a", b"b"]]), log).script("claim", 1, size=len)
    assert reply == [b"a", b"b"]
    assert log.observed == [("claim", 2, None)]
    assert log.outages == []


async def test_call_is_repeated_until_redis_is_back(autojump_clock: MockClock) -> None:
    """Each failed attempt is told and waits; the same arguments are sent; the return is told once."""
    redis, log = Redis([AWAY, AWAY, AWAY, b"x"]), Log()
    start = trio.current_time()
    assert await channel_to(redis, log).script("settle", 7) == b"x"
    assert trio.current_time() - start == pytest.approx(1 + 2 + 3, abs=0.1)
    assert redis.calls == [("settle", 7)] * 4
    assert log.outages == [AWAY, AWAY, AWAY, None]
    assert [error for _, _, error in log.observed] == [AWAY, AWAY, AWAY, None]


async def test_rejection_is_raised_at_once(autojump_clock: MockClock) -> None:
    """A no is not asked again."""
    redis, log = Redis([NO, b"x"]), Log()
    with pytest.raises(RedisRejectedError):
        await channel_to(redis, log).command("length", "LLEN")
    assert len(redis.calls) == 1
    assert log.outages == []


async def test_once_means_once(autojump_clock: MockClock) -> None:
    """The calls of the first contact leave repeating to their caller."""
    redis = Redis([AWAY, AWAY])
    channel = channel_to(redis, Log())
    with pytest.raises(RedisUnavailableError):
        await channel.command_once("connect", "INFO")
    with pytest.raises(RedisUnavailableError):
        await channel.script_once("snapshot")
    assert len(redis.calls) == 2


async def test_one_kind_may_fail_alone(mock_clock: MockClock) -> None:
    """While enqueues are refused (Redis is full), a claim that succeeds does not end the outage."""
    log = Log()

    class Full(Redis):
        def run(self, *command: object) -> Any:
            self.calls.append(command)
            if command[0] == "enqueue" and self.replies:
                raise self.replies.pop(0)
            return command[0]

    channel = channel_to(Full([AWAY, AWAY]), log)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.script, "enqueue")
        while not log.outages:  # the clock stands still: it would run on while a thread is at work
            await trio.lowlevel.checkpoint()
        await channel.script("claim")
        assert log.outages == [AWAY]
        mock_clock.autojump_threshold = 0
    assert log.outages == [AWAY, AWAY, None]


async def test_cancelled_call_does_not_keep_the_outage_open(autojump_clock: MockClock) -> None:
    """A call given up during an outage no longer counts: the next success of any kind ends the outage."""
    log = Log()
    channel = channel_to(Redis([AWAY, b"x"]), log)
    with trio.move_on_after(0.5):
        await channel.script("snapshot")
    assert await channel.script("heartbeat") == b"x"
    assert log.outages == [AWAY, None]


async def test_cancelled_call_returns_what_its_thread_got() -> None:
    """A call is never abandoned in its thread: cancelled there, it still hands over the reply."""
    log = Log()

    class Slow(Redis):
        def run(self, *command: object) -> Any:
            trio.from_thread.run_sync(scope.cancel)
            return b"claimed"

    reply = None
    with trio.CancelScope() as scope:
        reply = await channel_to(Slow([]), log).script("claim")
    assert reply == b"claimed"


async def test_no_thread_is_an_outage(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    """Where the system gives no thread, the call waits until it does; the process goes on."""
    real, failures = trio.to_thread.run_sync, [RuntimeError("can't start new thread")] * 2

    async def run_sync(*arguments: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return await real(*arguments, **options)

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)
    log = Log()
    assert await channel_to(Redis([b"1"]), log).command("x", b"X") == b"1"
    assert [str(error) for error in log.outages] == [
        *["Redis cannot be asked: can't start new thread"] * 2,
        "None",
    ]
