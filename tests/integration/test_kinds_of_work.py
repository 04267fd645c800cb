"""The daemon does jobs: computations, fetches and sleeps, on the durable queue, whatever ends it."""

import base64
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio

from loadtest_trio.backends.redis import RedisService
from loadtest_trio.handlers.compute.kernels import factorial_digits, sha512_chain
from loadtest_trio.jobs.job import Job, Status
from loadtest_trio.jobs.store import Change, NewJob
from tests.support.processes import alive, until, workers
from tests.support.redis_service import make_redis
from tests.support.service_process import ServiceProcess

SECONDS_OF_WORK = 3_000_000
"""Iterations of sha512 that take about a second."""


@pytest.fixture
def environ(redis_url: str, s3_environment: dict[str, str], bucket: str) -> dict[str, str]:
    """The variables of a worker on the shared Valkey and SeaweedFS."""
    return {
        "REDIS_ENDPOINT": redis_url,
        "S3_BUCKET": bucket,
        "ROLES": "worker",
        "LOG_INTERVAL_SECONDS": "1",
        "HTTP_FETCH_ALLOW": "127.0.0.1",
        "JOB_MAX_SECONDS": "20",
        **s3_environment,
    }


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[RedisService]:
    """The service's queue, for submitting and asking."""
    service = make_redis(url=redis_url, queue_name="loadtest", consumer="test", backoff=lambda _: 0.02)
    yield service
    service.close()


async def submit(queue: RedisService, operation: str, **payload: Any) -> str:
    (submission,) = await queue.jobs.submit([NewJob(operation, payload, "client", ordered=False)])
    return submission.id


async def job_when(
    queue: RedisService, one: str, met: Callable[[Job], bool] = lambda job: job.status.ended
) -> Job:
    """Wait until a job stands as wanted."""
    with trio.fail_after(30):
        while True:
            (job,) = await queue.jobs.get([one])
            assert job
            if met(job):
                return job
            await trio.sleep(0.05)


async def worker_of(service: ServiceProcess) -> int:
    """Wait until the service has a worker process with a computation in hand, and return its pid."""
    await until(lambda: bool(workers(service.process.pid)))
    pid = workers(service.process.pid)[0]
    await until(lambda: os.getpgid(pid) == pid)  # set up, and about to begin
    return pid


async def test_every_kind_of_work_gives_its_result(
    environ: dict[str, str], queue: RedisService, odd_port: int, s3_client: Any, bucket: str
) -> None:
    """Inline and in processes: small results are in the record, large ones in the bucket."""
    with ServiceProcess(environ=environ):
        small = await submit(queue, "factorial", n=20)
        large = await submit(queue, "factorial", n=20_000)
        chain = await submit(queue, "sha512", data="Hello", iterations=10_000)
        page = await submit(queue, "http-fetch", url=f"http://127.0.0.1:{odd_port}/binary")
        nap = await submit(queue, "sleep", ms=50)
        ended = [await job_when(queue, one) for one in (small, large, chain, page, nap)]
    assert [job.status for job in ended] == [Status.SUCCEEDED] * 5
    assert ended[0].result == b"2432902008176640000"
    digits = await trio.to_thread.run_sync(
        lambda: s3_client.get_object(Bucket=bucket, Key=ended[1].result_ref)["Body"].read()
    )
    assert digits == factorial_digits(20_000)
    assert ended[2].result == sha512_chain(b"Hello", 10_000)
    fetched = json.loads(ended[3].result or b"")
    assert (fetched["status"], base64.b64decode(fetched["body"])) == (200, bytes(range(256)))
    assert ended[4].result is None


async def test_work_that_cannot_be_done_is_dead_with_the_reason(
    environ: dict[str, str], queue: RedisService
) -> None:
    """A forbidden address and a number beyond the limit are final at once."""
    with ServiceProcess(environ=environ):
        forbidden = await submit(queue, "http-fetch", url="http://169.254.169.254/latest/meta-data/")
        too_large = await submit(queue, "factorial", n=100_001)
        forbidden_job, too_large_job = await job_when(queue, forbidden), await job_when(queue, too_large)
    assert (forbidden_job.status, forbidden_job.attempts) == (Status.DEAD, 1)
    assert "metadata address" in forbidden_job.error
    assert too_large_job.status is Status.DEAD
    assert too_large_job.error == "n must be a whole number from 0 to 100000"


async def test_interrupt_of_the_whole_group_lets_a_computation_finish(
    environ: dict[str, str], queue: RedisService
) -> None:
    """Ctrl-C reaches every process of the terminal; the job in hand ends well, and stderr is empty."""
    with ServiceProcess(environ=environ, wrapper=("setsid",)) as service:
        one = await submit(queue, "sha512", data="x", iterations=2 * SECONDS_OF_WORK)
        pid = await worker_of(service)
        os.killpg(service.process.pid, signal.SIGINT)
        assert await trio.to_thread.run_sync(service.wait) == 0
        complaints = service.complaints
    assert (await job_when(queue, one)).status is Status.SUCCEEDED
    assert complaints == ""
    assert not alive(pid)


async def test_computation_beyond_the_grace_period_goes_back_to_the_queue(
    environ: dict[str, str], queue: RedisService
) -> None:
    with ServiceProcess(environ={**environ, "SHUTDOWN_GRACE_SECONDS": "0.5"}) as service:
        one = await submit(queue, "sha512", data="x", iterations=15 * SECONDS_OF_WORK)
        pid = await worker_of(service)
        service.signal(signal.SIGTERM)
        assert await trio.to_thread.run_sync(service.wait, 10) == 0
        complaints = service.complaints
    assert (await job_when(queue, one, lambda _: True)).status is Status.QUEUED
    assert complaints == ""
    assert not alive(pid)


async def test_computation_ends_when_its_service_is_killed(
    environ: dict[str, str], queue: RedisService
) -> None:
    with ServiceProcess(environ=environ) as service:
        await submit(queue, "sha512", data="x", iterations=15 * SECONDS_OF_WORK)
        pid = await worker_of(service)
        service.signal(signal.SIGKILL)
        await until(lambda: not alive(pid), within=5)


async def test_job_whose_process_is_killed_is_done_by_another(
    environ: dict[str, str], queue: RedisService
) -> None:
    """The first attempt ends with the process, the second one succeeds within the retry's two seconds."""
    with ServiceProcess(environ=environ) as service:
        one = await submit(queue, "sha512", data="x", iterations=SECONDS_OF_WORK)
        pid = await worker_of(service)
        os.kill(pid, signal.SIGKILL)
        job = await job_when(queue, one)
        failure = service.wait_for("operation_failed")
    assert (job.status, job.attempts) == (Status.SUCCEEDED, 2)
    assert failure["error"] == "a worker process died: signal 9"
    assert failure["error_type"] == "WorkerProcessError"


async def test_computation_beyond_the_limit_is_dead_and_the_next_one_is_done(
    environ: dict[str, str], queue: RedisService
) -> None:
    with ServiceProcess(environ={**environ, "JOB_MAX_SECONDS": "1", "COMPUTE_PROCESSES": "1"}):
        endless = await submit(queue, "sha512", data="x", iterations=15 * SECONDS_OF_WORK)
        after = await submit(queue, "factorial", n=20_000)
        late = await job_when(queue, endless)
        assert (await job_when(queue, after)).status is Status.SUCCEEDED
    assert (late.status, late.attempts) == (Status.DEAD, 1)
    assert "JOB_MAX_SECONDS=1" in late.error


async def test_cancelled_job_ends_its_computation(environ: dict[str, str], queue: RedisService) -> None:
    with ServiceProcess(environ=environ) as service:
        one = await submit(queue, "sha512", data="x", iterations=15 * SECONDS_OF_WORK)
        pid = await worker_of(service)
        assert await queue.jobs.cancel(one) is Change.DONE
        assert (await job_when(queue, one)).status is Status.CANCELLED
        await until(lambda: not alive(pid), within=5)
        after = await submit(queue, "factorial", n=20_000)
        assert (await job_when(queue, after)).status is Status.SUCCEEDED
