"""The attempts at one message: processed, missed, retried, dead, or excused by an outage."""

from collections.abc import Callable
from random import Random
from typing import Any

import attrs
import pytest
import trio

from loadtest_trio.errors import (
    BucketMissingError,
    CredentialsError,
    FetchUnreachableError,
    LoadtestError,
    MalformedMessageError,
    ObjectMissingError,
    ObjectTooLargeError,
    RedisUnavailableError,
    S3BrokenResponseError,
    S3CredentialsError,
    S3DeniedError,
    S3RejectedError,
    S3ServerError,
    S3ThrottledError,
    S3UnreachableError,
)
from loadtest_trio.jobs.delivery import Outcome
from loadtest_trio.jobs.message import Message, Operation
from loadtest_trio.jobs.retry import IN_PLACE, PUT_BACK, RetryPolicy
from loadtest_trio.worker import Runner
from loadtest_trio.worker.completion import Completion
from tests.support.handlers import claimed

MESSAGE = Message("1", Operation.READ, "k")
ATTEMPTS_IN_PLACE = RetryPolicy(0).attempts_in_place
MOST_IN_PLACE = RetryPolicy(0).most_in_place
VERDICT_SECONDS = 0.5


@attrs.define
class Script:
    """A handler that fails as told, and what it was asked."""

    failures: list[Exception]
    calls: int = 0
    told: list[tuple[int, LoadtestError]] = attrs.field(factory=list)
    slept: list[float] = attrs.field(factory=list)
    out_since: Callable[[], float | None] = lambda: None
    now: float = 0.0

    async def handle(self, message: Message) -> None:
        """Fail, or not."""
        await trio.lowlevel.checkpoint()
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)

    async def sleep(self, seconds: float) -> None:
        """Wait without waiting."""
        await trio.lowlevel.checkpoint()
        self.slept.append(seconds)
        self.now += seconds

    def runner(self) -> Runner:
        """Return the runner around it."""
        return Runner(
            rng=Random(1),
            out_since=lambda backend: self.out_since() if backend == "s3" else None,
            on_failure=lambda message, attempt, error: self.told.append((attempt, error)),
            unix_clock=lambda: 1000.0 + self.now,
            sleep=self.sleep,
            clock=lambda: self.now,
        )

    async def run(self, message: Message, max_retries: int = 3) -> Completion:
        """Run one delivery of a message with this handler."""
        return await self.runner().run(claimed(message, self.handle, max_retries))


async def test_success_needs_one_attempt() -> None:
    """Without a failure there is one attempt, no report and no wait."""
    script = Script([])
    result = await script.run(MESSAGE)
    assert (result.outcome, result.attempts, result.error) == (Outcome.PROCESSED, 1, None)
    assert (script.told, script.slept) == ([], [])


async def test_missing_object_is_not_a_failure() -> None:
    """A missing object ends the message as missed at once, without a failure report."""
    script = Script([ObjectMissingError("gone")])
    result = await script.run(MESSAGE)
    assert (result.outcome, result.attempts, script.told) == (Outcome.MISSED, 1, [])


TRANSIENT = [
    S3UnreachableError("x"),
    S3ThrottledError("x"),
    S3ServerError("x"),
    S3BrokenResponseError("x"),
    S3DeniedError("x"),
    CredentialsError("x"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
async def test_transient_error_is_retried_in_place(error: LoadtestError) -> None:
    """After a transient error the same worker reports it, waits briefly and tries again."""
    script = Script([error] * 3)
    result = await script.run(MESSAGE)
    assert (result.outcome, script.calls) == (Outcome.PROCESSED, 4)
    assert script.told == [(1, error), (2, error), (3, error)]
    assert len(script.slept) == 3
    assert all(0 <= seconds <= IN_PLACE.ceiling(i) for i, seconds in enumerate(script.slept[:2], 1))
    assert script.slept[2] <= max(IN_PLACE.ceiling(3), VERDICT_SECONDS)


@pytest.mark.parametrize("error", TRANSIENT[:5], ids=lambda error: type(error).__name__)
async def test_persistent_error_returns_message_to_queue(error: LoadtestError) -> None:
    """After four attempts the message waits on the queue, longer each time."""
    for retries in range(3):
        script = Script([error] * 10)
        message = attrs.evolve(MESSAGE, retries=retries, attempts=4 * retries)
        result = await script.run(message)
        assert (result.outcome, script.calls) == (Outcome.RETRY, ATTEMPTS_IN_PLACE)
        assert (result.retries, result.attempts) == (retries + 1, 4 * (retries + 1))
        assert result.error is error
        assert 0 <= result.delay <= PUT_BACK.ceiling(retries + 1)


async def test_message_out_of_retries_is_dead() -> None:
    """After the maximum number of retries, the next four failed attempts make a message dead."""
    script = Script([S3ServerError("x")] * 10)
    result = await script.run(attrs.evolve(MESSAGE, retries=2, attempts=8), max_retries=2)
    assert (result.outcome, result.attempts) == (Outcome.DEAD, 12)
    none = await Script([S3ServerError("x")] * 10).run(MESSAGE, max_retries=0)
    assert none.outcome is Outcome.DEAD


@pytest.mark.parametrize(
    "error",
    [ObjectTooLargeError("x"), S3RejectedError("x"), MalformedMessageError("x"), LoadtestError("x")],
    ids=repr,
)
async def test_permanent_error_is_not_retried(error: LoadtestError) -> None:
    """A permanent error ends the message after one attempt."""
    script = Script([error])
    result = await script.run(MESSAGE)
    assert (result.outcome, result.attempts, result.error) == (Outcome.DEAD, 1, error)
    assert script.told == [(1, error)]


@pytest.mark.parametrize(
    "surprise", [RuntimeError("boom"), ValueError("bad key"), KeyError("k"), RecursionError()]
)
async def test_unexpected_exception_ends_only_its_message(surprise: Exception) -> None:
    """Any other exception of a handler ends its message, with its name in the reason."""
    result = await Script([surprise]).run(MESSAGE)
    assert result.outcome is Outcome.DEAD
    assert type(surprise).__name__ in str(result.error)


async def test_attempts_during_outage_are_free() -> None:
    """During an S3 outage attempts are free: the message does not die, whatever its retries."""
    script = Script([S3UnreachableError("x")] * 50, out_since=lambda: -1.0)
    result = await script.run(MESSAGE, max_retries=0)
    assert (result.outcome, result.attempts, script.calls) == (Outcome.PROCESSED, 1, 51)
    assert max(script.slept) <= IN_PLACE.cap


async def test_long_outage_returns_message_to_queue_for_free() -> None:
    """After many free attempts the message returns to the queue without using up a retry, indefinitely."""
    script = Script([S3UnreachableError("x")] * 500, out_since=lambda: -1.0)
    result = await script.run(attrs.evolve(MESSAGE, attempts=2), max_retries=0)
    assert (result.outcome, script.calls) == (Outcome.RETRY, MOST_IN_PLACE)
    assert (result.retries, result.attempts) == (0, 2)


@pytest.mark.parametrize(
    "error",
    [S3BrokenResponseError("x"), S3DeniedError("x"), S3CredentialsError("x"), BucketMissingError("x")],
    ids=repr,
)
async def test_every_outage_symptom_is_free(error: LoadtestError) -> None:
    """Denials and broken responses are free too while they affect the whole of S3."""
    script = Script([error] * 50, out_since=lambda: -1.0)
    result = await script.run(MESSAGE, max_retries=0)
    assert (result.outcome, result.attempts, script.calls) == (Outcome.PROCESSED, 1, 51)


@pytest.mark.parametrize("error", [S3BrokenResponseError("x"), S3DeniedError("x")], ids=repr)
async def test_error_of_a_single_object_is_not_free(error: LoadtestError) -> None:
    """While S3 serves other objects, denied or broken requests use up the message's attempts."""
    script = Script([error] * 50)
    result = await script.run(attrs.evolve(MESSAGE, retries=1, attempts=4), max_retries=1)
    assert (result.outcome, result.attempts, result.error) == (Outcome.DEAD, 8, error)


async def test_short_retry_after_is_waited_for_in_place() -> None:
    """The next request waits at least as long as S3 asks."""
    error = S3ThrottledError("x")
    error.retry_after = 3.0
    script = Script([error] * 2)
    result = await script.run(MESSAGE)
    assert result.outcome is Outcome.PROCESSED
    assert all(3.0 <= seconds <= 3.0 + IN_PLACE.cap for seconds in script.slept)


async def test_long_retry_after_waits_on_queue() -> None:
    """A message that has to wait long does so on the queue, at least as long as S3 asks."""
    error = S3ThrottledError("x")
    error.retry_after = 120.0
    script = Script([error] * 9)
    result = await script.run(MESSAGE)
    assert (result.outcome, result.retries, result.attempts, script.calls) == (Outcome.RETRY, 0, 1, 1)
    assert result.delay >= 120.0


async def test_attempt_that_reveals_outage_counts() -> None:
    """The message itself may break its requests; only later attempts are free."""
    script = Script([S3UnreachableError("x")] * 500)
    script.out_since = lambda: 0.0
    result = await script.run(MESSAGE, max_retries=0)
    assert (result.outcome, result.retries, result.attempts) == (Outcome.RETRY, 0, 1)


async def test_poison_message_ends_while_s3_serves_others() -> None:
    """S3 serves others meanwhile, so each failure begins a new outage and each attempt counts."""
    script = Script([S3UnreachableError("x")] * 500)
    script.out_since = lambda: script.now
    deliveries, message = 0, MESSAGE
    while (result := await script.run(message, max_retries=2)).outcome is Outcome.RETRY:
        deliveries += 1
        message = message.put_back(retries=result.retries, attempts=result.attempts)
    assert (result.outcome, deliveries, result.attempts, script.calls) == (Outcome.DEAD, 2, 12, 12)


async def test_poison_message_ends_without_other_traffic() -> None:
    """Without other traffic each delivery costs one attempt, so the message ends later."""
    deliveries, message = 0, MESSAGE
    while True:
        script = Script([S3UnreachableError("x")] * 500, out_since=lambda: 0.0)
        result = await script.run(message, max_retries=1)
        deliveries += 1
        if result.outcome is Outcome.DEAD:
            break
        message = message.put_back(retries=result.retries, attempts=result.attempts)
    assert deliveries == 2 * ATTEMPTS_IN_PLACE


async def test_missing_credentials_are_free() -> None:
    """Attempts without valid credentials are free, as during an outage."""
    result = await Script([CredentialsError("x")] * 50).run(MESSAGE, max_retries=0)
    assert result.outcome is Outcome.PROCESSED


@pytest.mark.parametrize("error", TRANSIENT[1:5], ids=lambda error: type(error).__name__)
async def test_attempts_are_excused_when_their_outage_becomes_known(error: LoadtestError) -> None:
    """An outage that is known after three failures, and began before them, costs nothing."""
    script = Script([error] * 500)
    script.out_since = lambda: -1.0 if script.calls >= 4 else None
    result = await script.run(MESSAGE, max_retries=0)
    assert (result.outcome, result.retries, result.attempts) == (Outcome.RETRY, 0, 0)


@pytest.mark.parametrize("in_place", [1, 4])
async def test_message_is_not_given_up_before_an_outage_can_be_known(in_place: int) -> None:
    """However short the delays, the last attempt comes when other keys had time to fail too."""
    for seed in range(50):
        script = Script([S3BrokenResponseError("x")] * 9)
        runner = attrs.evolve(script.runner(), rng=Random(seed))
        result = await runner.run(claimed(MESSAGE, script.handle, in_place=in_place))
        assert script.now >= VERDICT_SECONDS
        assert (result.outcome, result.retries) == (Outcome.RETRY, 1)


async def test_error_of_the_work_itself_is_not_waited_for() -> None:
    """What no outage can explain ends its delivery at once."""
    script = Script([FetchUnreachableError("x")] * 9)
    await script.runner().run(claimed(MESSAGE, script.handle, in_place=1))
    assert (script.calls, script.slept) == (1, [])


async def test_free_attempts_do_not_count_after_outage() -> None:
    """Failures during the outage do not count after it."""
    script = Script([S3UnreachableError("x")] * 6)
    script.out_since = lambda: -1.0 if script.calls <= 3 else None
    result = await script.run(MESSAGE)
    assert (result.outcome, result.attempts, script.calls) == (Outcome.PROCESSED, 4, 7)


async def test_cancellation_passes_through(autojump_clock: Any) -> None:
    """Cancellation is neither swallowed nor reported as a failure."""
    script = Script([])

    async def forever(message: Message) -> None:
        await trio.sleep_forever()

    with trio.move_on_after(5) as scope:
        await script.runner().run(claimed(MESSAGE, forever))
    assert scope.cancelled_caught
    assert script.told == []


async def test_completion_carries_handler_result() -> None:
    """The completion contains the handler's result beside outcome and time."""

    async def answer(message: Message) -> bytes:
        return b"42"

    completion = await Script([]).runner().run(claimed(MESSAGE, answer))
    assert (completion.outcome, completion.result, completion.at) == (Outcome.PROCESSED, b"42", 1000.0)


async def test_outage_of_another_backend_is_not_free() -> None:
    """Attempts are free only during an outage of the backend that the error belongs to."""
    script = Script([RedisUnavailableError("x")] * 50, out_since=lambda: -1.0)
    completion = await script.run(MESSAGE)
    assert (completion.outcome, completion.attempts) == (Outcome.RETRY, 4)
