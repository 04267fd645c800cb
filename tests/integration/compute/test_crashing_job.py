"""A job whose computation always kills its process runs out of retries and ends dead."""

from functools import partial
from pathlib import Path
from random import Random

from loadtest_trio.errors import LoadtestError, WorkerProcessError
from loadtest_trio.handlers.compute.pool import ComputeLimits, open_compute_pool
from loadtest_trio.handlers.registry import Handler
from loadtest_trio.jobs.delivery import Delivery, Outcome
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy, job_put_back
from loadtest_trio.worker.runner import Claimed, Runner
from tests.support import kernels


async def test_job_that_always_crashes_its_process_ends_dead(tmp_path: Path) -> None:
    """Three retries make four attempts, each in a new process; then the job is dead, with the reason."""
    note = tmp_path / "pids"
    policy = RetryPolicy(3, attempts_in_place=1, put_back=job_put_back(2.0))
    failures: list[LoadtestError] = []
    message = Message("1", "crash")
    async with open_compute_pool(ComputeLimits(processes=1)) as pool:

        async def crash(_: Message) -> bytes:
            return await pool.run(1.0, kernels.crash, str(note))

        runner = Runner(
            Random(1), lambda _: None, lambda *failure: failures.append(failure[-1]), unix_clock=lambda: 0.0
        )
        claim = partial(Claimed, Delivery("token", b""), handler=Handler("crash", crash, policy))
        completion = await runner.run(claim(message=message))
        longest = []
        while completion.outcome is Outcome.RETRY:
            longest.append(completion.delay)
            message = message.put_back(retries=completion.retries, attempts=completion.attempts)
            completion = await runner.run(claim(message=message))
    assert completion.outcome is Outcome.DEAD
    assert completion.attempts == 4
    assert str(completion.error) == "a worker process died: signal 9"
    assert [type(error) for error in failures] == [WorkerProcessError] * 4
    assert len(set(note.read_text().split())) == 4
    assert all(delay <= most for delay, most in zip(longest, (2, 4, 8), strict=True))
