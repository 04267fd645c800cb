"""Worker processes: limited, killed in time, replaced when they die, and gone in the end."""

import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from loadtest_trio.errors import JobTimeoutError, WorkerProcessError
from loadtest_trio.handlers.compute.kernels import sha512_chain
from loadtest_trio.handlers.compute.pool import ComputeLimits, ComputePool, open_compute_pool
from tests.support import kernels
from tests.support.cancellation import Scene, cancel_everywhere
from tests.support.processes import alive, descriptors, until, workers, written

LONG = 1.0
"""An estimate, in seconds, that needs a process."""


@asynccontextmanager
async def pool(max_seconds: float = 60.0, processes: int = 1) -> AsyncIterator[ComputePool]:
    async with open_compute_pool(ComputeLimits(max_seconds=max_seconds, processes=processes)) as opened:
        yield opened


async def pid_of_worker(opened: ComputePool) -> int:
    return int(await opened.run(LONG, kernels.pid))


async def test_process_is_kept_for_the_next_job() -> None:
    async with pool() as opened:
        first = await pid_of_worker(opened)
        assert first != os.getpid()
        assert await pid_of_worker(opened) == first


async def test_worker_imports_nothing_heavy() -> None:
    """A worker process has no event loop, no HTTP and no other room of ours in it: it starts fast."""
    async with pool() as opened:
        await opened.run(LONG, sha512_chain, b"x", 1)
        names = (await opened.run(LONG, kernels.modules)).decode().split()
    assert not {name.split(".")[0] for name in names} & {"trio", "httpx", "h11", "cattrs", "numpy", "orjson"}
    ours = {name for name in names if name.startswith("loadtest_trio.")}
    assert ours == {f"loadtest_trio.handlers{rest}" for rest in ("", ".compute", ".compute.kernels")}


async def test_deadline_ends_job_and_process(tmp_path: Path) -> None:
    """The error is permanent and names the setting; the process is gone; the next job gets another."""
    async with pool(max_seconds=2.0) as opened:
        with pytest.raises(JobTimeoutError, match="JOB_MAX_SECONDS=2") as caught:
            await opened.run(LONG, kernels.linger, 60.0, str(tmp_path / "pid"))
        assert not caught.value.retryable
        late = int((tmp_path / "pid").read_text())
        assert not alive(late)
        assert await pid_of_worker(opened) != late


async def test_waiting_for_a_process_does_not_count_towards_the_deadline(tmp_path: Path) -> None:
    """Three jobs of 1.2 s in one process all finish within a limit of 3 s each."""
    async with pool(max_seconds=3.0) as opened, trio.open_nursery() as nursery:
        await pid_of_worker(opened)
        for number in range(3):
            nursery.start_soon(opened.run, LONG, kernels.linger, 1.2, str(tmp_path / str(number)))


async def test_cancelled_job_kills_its_process(tmp_path: Path) -> None:
    async with pool() as opened, trio.open_nursery() as nursery:
        nursery.start_soon(opened.run, LONG, kernels.linger, 60.0, str(tmp_path / "pid"))
        pid = await written(tmp_path / "pid")
        nursery.cancel_scope.cancel()
    assert not alive(pid)


async def test_killed_process_is_reported_and_replaced(tmp_path: Path) -> None:
    """A worker killed in the middle of a job is a retryable error; the same job then succeeds elsewhere."""
    errors: list[WorkerProcessError] = []
    async with pool() as opened:

        async def work() -> None:
            try:
                await opened.run(LONG, kernels.linger, 60.0, str(tmp_path / "pid"))
            except WorkerProcessError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            killed = await written(tmp_path / "pid")
            os.kill(killed, signal.SIGKILL)
        assert [str(error) for error in errors] == ["a worker process died: signal 9"]
        assert errors[0].retryable
        assert await pid_of_worker(opened) != killed


async def test_process_killed_while_idle_is_replaced_without_an_error() -> None:
    async with pool() as opened:
        idle = await pid_of_worker(opened)
        os.kill(idle, signal.SIGKILL)
        await until(lambda: opened.processes == 0)
        assert await pid_of_worker(opened) != idle
        os.kill(await pid_of_worker(opened), signal.SIGKILL)


async def test_never_more_processes_than_allowed(tmp_path: Path) -> None:
    counts: list[int] = []
    async with pool(processes=2) as opened, trio.open_nursery() as nursery:
        nursery.start_soon(_watch, counts)
        async with trio.open_nursery() as jobs:
            for number in range(6):
                jobs.start_soon(opened.run, LONG, kernels.linger, 0.1, str(tmp_path / str(number)))
        nursery.cancel_scope.cancel()
    assert max(counts) == 2
    assert not workers()


async def _watch(counts: list[int]) -> None:
    while True:
        counts.append(len(workers()))
        await trio.sleep(0.02)


async def test_signals_for_the_service_do_not_end_a_computation(tmp_path: Path) -> None:
    """SIGINT and SIGTERM change nothing in a worker, and it has left the service's process group."""
    results: list[bytes] = []
    async with pool() as opened:

        async def work() -> None:
            results.append(await opened.run(LONG, kernels.linger, 1.0, str(tmp_path / "pid")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            pid = await written(tmp_path / "pid")
            assert os.getpgid(pid) != os.getpgid(0)
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
    assert results == [b"done"]


async def test_no_process_outlives_the_pool() -> None:
    async with pool(processes=2) as opened, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(opened.run, LONG, sha512_chain, b"x", 200_000)
    assert not workers()


async def test_ends_of_every_kind_leave_no_descriptor(tmp_path: Path) -> None:
    """Three rounds of a result, a crash, a deadline and a cancellation, and no descriptor more."""

    async def round_of_ends() -> None:
        async with pool(max_seconds=2.0) as opened:
            await pid_of_worker(opened)
            with pytest.raises(WorkerProcessError):
                await opened.run(LONG, kernels.crash, str(tmp_path / "crashed"))
            with pytest.raises(JobTimeoutError):
                await opened.run(LONG, kernels.linger, 60.0, str(tmp_path / "late"))
            with trio.move_on_after(0.2):
                await opened.run(LONG, kernels.linger, 60.0, str(tmp_path / "cancelled"))

    await round_of_ends()
    gc.collect()
    before = descriptors()
    for _ in range(2):
        await round_of_ends()
    gc.collect()
    assert descriptors() <= before


def test_cancelled_at_any_step_the_pool_works_on() -> None:
    """Whatever step of a computation is cancelled, no process is left busy and the slot is free again."""

    async def build() -> Scene:
        context = pool()
        opened = await context.__aenter__()

        async def run() -> None:
            await opened.run(LONG, sha512_chain, b"x", 1000)

        async def check(cancelled: bool) -> None:
            assert await opened.run(LONG, sha512_chain, b"x", 1) == sha512_chain(b"x", 1)
            assert len(workers()) == 1
            await context.__aexit__(None, None, None)
            assert not workers()

        return Scene(run, check)

    assert cancel_everywhere(build, real_time=True) >= 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signal_to_a_process_that_is_starting_costs_no_attempt(number: signal.Signals) -> None:
    """A signal for the whole group may hit a process before it is set up; another one does the job.

    One that comes late finds the process set up, and it stays: then the next pool is struck.
    """
    for _ in range(20):
        hit: list[int] = []

        async def strike(hit: list[int] = hit) -> None:
            while not hit:
                hit.extend(workers())
                await trio.lowlevel.checkpoint()
            os.kill(hit[0], number)

        async with pool() as opened, trio.open_nursery() as nursery:
            nursery.start_soon(strike)
            survivor = await pid_of_worker(opened)
            nursery.cancel_scope.cancel()
        assert hit
        if survivor not in hit:
            return
    pytest.fail("every process was set up before the signal came")


async def test_process_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system gives no process now: the job is not at fault, and the next attempt finds one."""
    async with pool() as opened:

        async def none_left(*_: object, **__: object) -> bytes:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        workers = await opened._open_workers()
        monkeypatch.setattr(type(workers), "run_sync", none_left)
        with pytest.raises(WorkerProcessError, match="Resource temporarily unavailable") as caught:
            await opened.run(LONG, kernels.pid)
        assert caught.value.retryable
