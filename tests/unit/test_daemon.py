"""The daemon: one way in, one way out, whatever the reason, and nothing left running."""

import signal
import threading
from typing import Any
from unittest.mock import patch

import attrs
import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.daemon import Daemon, serve
from loadtest_trio.errors import BackendUnavailableError, RedisRejectedError
from loadtest_trio.metrics import signals
from tests.support.in_memory import InMemory, build_in_memory, in_memory, loaded
from tests.support.log_lines import LogLines
from tests.support.memory_bucket import Fault, MemoryBucket
from tests.support.memory_redis import MemoryRedis

SMALL = {"MIN_FILE_UUIDS": 1, "MAX_FILE_UUIDS": 2}


class Running:
    """A daemon on the in-memory backends, and its result."""

    def __init__(self, service: InMemory, configuration: Any) -> None:
        self.service = service
        self.daemon = Daemon(service.service, configuration)
        self.calls: list[str] = []
        observe = service.queue._observe

        def note(kind: str, seconds: float, size: int, error: Any) -> None:
            self.calls.append(kind)
            observe(kind, seconds, size, error)

        service.queue._observe = note

    def books(self) -> dict[str, int]:
        """Return where messages are, as far as anywhere, once it is over; the books must balance."""
        assert self.service.under_way() == 0
        snapshot = self.service.redis.snapshot()
        assert snapshot.surplus == 0
        names = ("queued", "in_flight", "delayed", "dead", "consumers")
        return {name: value for name in names if (value := getattr(snapshot, name))}


async def prepared(
    *, bucket: MemoryBucket | None = None, redis: MemoryRedis | None = None, **variables: object
) -> Running:
    """Build a daemon that is not started."""
    configuration = loaded(**{**SMALL, **variables})
    return Running(await build_in_memory(configuration.settings, bucket=bucket, redis=redis), configuration)


async def test_daemon_ends_after_duration(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """After RUN_DURATION_SECONDS it ends in order with exit code 0, all work done and counted."""
    run = await prepared(RUN_DURATION_SECONDS=60, SCHEDULER_MESSAGES_PER_SECOND=20)
    assert await run.daemon.run() == 0
    assert 60 <= trio.current_time() < 62
    assert run.books() == {}
    stopped = log_lines.all()[-1]
    assert (stopped["event"], stopped["reason"]) == ("service_stopped", "the run's duration is over")
    assert stopped["ledger"]["difference"] == 0
    assert stopped["messages_created"] == stopped["messages_processed"] >= 1180
    assert run.service.service.inventory.objects == len(run.service.bucket.objects)


async def test_log_has_every_stage_of_a_run(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Started, preconditions met, metrics, stopping with the reason, a last line, stopped with totals."""
    run = await prepared(RUN_DURATION_SECONDS=25, WORKER_CONCURENCY=5)
    await run.daemon.run()
    events = [line["event"] for line in log_lines.all()]
    assert events == [
        "service_starting",
        "setting_unknown",
        "service_started",
        "precondition_met",
        "metrics",
        "metrics",
        "service_stopping",
        "metrics",
        "service_stopped",
    ]
    started = log_lines.of("service_started")[0]
    assert started["settings"]["WORKER_CONCURRENCY"] == "10"
    assert started["versions"].keys() >= {"python", "trio", "httpx"}
    assert started["machine"]["cpus"] >= 1
    assert started["health"].startswith("http://")


@pytest.mark.parametrize(
    ("host", "token", "warned"),
    [("127.0.0.1", "", False), ("0.0.0.0", "", True), ("0.0.0.0", "correct-horse", False)],
)
async def test_open_dashboard_gives_a_warning(
    host: str, token: str, warned: bool, autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """A dashboard open to others without a token gives one warning; its address is logged at start."""
    variables: dict[str, Any] = {"HEALTH_HOST": host, "DASHBOARD_TOKEN": token, "DASHBOARD": "true"}
    await (await prepared(RUN_DURATION_SECONDS=5, **variables)).daemon.run()
    assert log_lines.of("service_started")[0]["dashboard"].endswith("/")
    assert bool(log_lines.of("dashboard_open")) is warned
    assert "correct-horse" not in log_lines.text


async def test_shutdown_order(autojump_clock: MockClock) -> None:
    """Scheduling ends, then claiming; results are settled; the consumer retires; the last line follows."""
    run = await prepared(
        RUN_DURATION_SECONDS=20.05, SCHEDULER_MODE="saturate", bucket=MemoryBucket(latency=0.5)
    )
    await run.daemon.run()
    last = {kind: len(run.calls) - 1 - run.calls[::-1].index(kind) for kind in set(run.calls)}
    assert last["enqueue"] < last["release"] < last["settle"] < last["retire"] < last["snapshot"]
    assert last["claim"] < last["release"]
    assert run.calls[-1] == "snapshot"
    assert run.books().keys() == {"queued"}


async def stop_by_signal(number: signal.Signals, after: float) -> None:
    """Send a signal to this process."""
    await trio.sleep(after)
    signal.raise_signal(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signal_ends_daemon(
    autojump_clock: MockClock, log_lines: LogLines, number: signal.Signals
) -> None:
    """SIGTERM, SIGINT and SIGHUP end it in order, with exit code 0 and the signal's name as the reason."""
    run = await prepared()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_by_signal, number, 30)
        assert await run.daemon.run() == 0
    assert run.books() == {}
    assert log_lines.all()[-1]["reason"] == f"received {number.name}"


async def test_job_api_serves_until_a_load_balancer_has_noticed(autojump_clock: MockClock) -> None:
    """Without work in progress the daemon still lives for API_DRAIN_SECONDS, unless a second signal comes."""
    drain = 8
    for second, expected in ((None, 1 + drain), (3, 4)):
        run = await prepared(ROLES="api", API_PORT=0, API_DRAIN_SECONDS=drain)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_by_signal, signal.SIGTERM, 1)
            if second:
                nursery.start_soon(stop_by_signal, signal.SIGTERM, 1 + second)
            assert await run.daemon.run() == 0
        assert expected <= trio.current_time() - began < expected + 1


async def test_second_signal_skips_grace_period(autojump_clock: MockClock) -> None:
    """With slow work in progress the first signal waits for it; the second returns it to the queue."""
    run = await prepared(bucket=MemoryBucket(latency=3600), SHUTDOWN_GRACE_SECONDS=1000, WORKER_CONCURRENCY=3)
    run.service.bucket.objects = {f"loadtest/{i}": b"00" for i in range(200)}
    run.service.bucket.latency_of = {"LIST": 0.0}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_by_signal, signal.SIGTERM, 30)
        nursery.start_soon(stop_by_signal, signal.SIGTERM, 50)
        assert await run.daemon.run() == 0
    assert 50 <= trio.current_time() < 51
    assert run.books().keys() == {"queued"}


async def with_work_that_outlasts_grace_period() -> Running:
    """Return a daemon whose requests take an hour, and whose grace period 7 s."""
    run = await prepared(bucket=MemoryBucket(latency=3600), SHUTDOWN_GRACE_SECONDS=7)
    run.service.bucket.objects = {f"loadtest/{i}": b"00" for i in range(200)}
    run.service.bucket.latency_of = {"LIST": 0.0}
    return run


async def test_closed_terminal_does_not_skip_grace_period(autojump_clock: MockClock) -> None:
    """The system and the shell both send SIGHUP then: the second one is no request to hurry."""
    run = await with_work_that_outlasts_grace_period()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_by_signal, signal.SIGHUP, 30)
        nursery.start_soon(stop_by_signal, signal.SIGHUP, 31)
        await run.daemon.run()
    assert 37 <= trio.current_time() < 38


def test_hangup_is_not_heeded_under_nohup() -> None:
    """``nohup`` has it ignored, which a receiver would undo."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signals.that_ask_to_end() == (signal.SIGTERM, signal.SIGINT)
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_grace_period_bounds_shutdown(autojump_clock: MockClock) -> None:
    """Work still unfinished after SHUTDOWN_GRACE_SECONDS returns to the queue."""
    run = await with_work_that_outlasts_grace_period()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_by_signal, signal.SIGTERM, 30)
        await run.daemon.run()
    assert 37 <= trio.current_time() < 38
    assert run.books().keys() == {"queued"}


@pytest.mark.parametrize("task", ["scheduler", "worker", "metrics", "health"])
async def test_crash_shuts_down_in_order(autojump_clock: MockClock, log_lines: LogLines, task: str) -> None:
    """If any task crashes, its traceback is logged, the others end in order, and the exit code is 1."""
    run = await prepared()

    async def crash(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep(20)
        raise ZeroDivisionError("oops")

    part = {"metrics": "metrics_service"}.get(task, task)
    with patch.object(getattr(run.service.service, part), "run", crash):
        assert await run.daemon.run() == 1
    (crashed,) = log_lines.of("task_crashed")
    assert (crashed["task"], crashed["error"]) == (task, "ZeroDivisionError: oops")
    assert "in crash" in crashed["traceback"]
    assert log_lines.all()[-1]["event"] == "service_stopped"
    assert log_lines.all()[-1]["reason"] == f"the {task} crashed"
    assert 20 <= trio.current_time() < 22
    assert run.books().keys() <= {"queued"}


async def test_crash_names_its_cause(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """The log line has the error inside the nurseries, not the text of their groups."""
    run = await prepared()

    async def crash(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep(1)
        raise ExceptionGroup("Exceptions from Trio nursery", [ZeroDivisionError("oops")])

    with patch.object(run.service.service.worker, "run", crash):
        assert await run.daemon.run() == 1
    (crashed,) = log_lines.of("task_crashed")
    assert crashed["error"] == "ZeroDivisionError: oops"


@pytest.mark.parametrize("kind", ["enqueue", "claim", "settle", "heartbeat", "snapshot"])
async def test_refusal_by_redis_shuts_down_in_order(
    autojump_clock: MockClock, log_lines: LogLines, kind: str
) -> None:
    """If Redis permanently refuses a call, the service ends in order and logs it."""
    run = await prepared()
    attempt = run.service.queue._attempt

    async def refuse(called: str, step: Any, size: int = 0) -> Any:
        if called == kind and trio.current_time() > 20:
            await trio.lowlevel.checkpoint()
            raise RedisRejectedError("NOPERM")
        return await attempt(called, step, size)

    with patch.object(run.service.queue, "_attempt", refuse):
        assert await run.daemon.run() == 1
    assert "NOPERM" in log_lines.of("task_crashed")[0]["traceback"]
    assert log_lines.all()[-1]["event"] == "service_stopped"
    assert run.service.redis.snapshot().surplus == 0


async def test_shutdown_without_redis_is_bounded(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Stopped during a Redis outage, it ends soon after the grace period with its last known totals."""
    run = await prepared(RUN_DURATION_SECONDS=30, SHUTDOWN_GRACE_SECONDS=10)
    async with trio.open_nursery() as nursery:

        async def cut() -> None:
            await trio.sleep(29)
            run.service.redis.go_away()

        nursery.start_soon(cut)
        assert await run.daemon.run() == 0
    assert trio.current_time() < 30 + 10 + 5 + 2 + 1
    assert log_lines.all()[-1]["event"] == "service_stopped"
    run.service.redis.come_back()
    assert run.service.balance() == 0


async def test_late_redis_is_waited_for(autojump_clock: MockClock) -> None:
    """A Redis that starts late is not an error."""
    run = await prepared(RUN_DURATION_SECONDS=10, STARTUP_TIMEOUT_SECONDS=30)
    run.service.redis.go_away()
    async with trio.open_nursery() as nursery:

        async def come_up() -> None:
            await trio.sleep(20)
            run.service.redis.come_back()

        nursery.start_soon(come_up)
        assert await run.daemon.run() == 0
    assert run.service.redis.counters["processed"] > 0


async def test_missing_redis_ends_start_after_timeout(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Without Redis it gives up after STARTUP_TIMEOUT_SECONDS, in one line that names the setting."""
    run = await prepared(STARTUP_TIMEOUT_SECONDS=12)
    run.service.redis.go_away()
    with pytest.raises(BackendUnavailableError, match="check REDIS_ENDPOINT") as caught:
        await run.daemon.run()
    assert "\n" not in str(caught.value)
    assert 12 <= trio.current_time() < 14
    assert log_lines.of("service_started") == []


async def test_missing_bucket_fails_at_once(autojump_clock: MockClock) -> None:
    """Waiting would not help, so the daemon does not wait."""
    run = await prepared(bucket=MemoryBucket(exists=False))
    with pytest.raises(BackendUnavailableError, match="S3_BUCKET"):
        await run.daemon.run()
    assert trio.current_time() < 1


async def test_missing_bucket_is_created_on_request(autojump_clock: MockClock) -> None:
    """With S3_CREATE_BUCKET it is created, and the run begins."""
    run = await prepared(bucket=MemoryBucket(exists=False), S3_CREATE_BUCKET="true", RUN_DURATION_SECONDS=5)
    assert await run.daemon.run() == 0
    assert len(run.service.bucket.objects) > 50


async def test_signal_ends_wait_for_backend(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """A signal during the wait at start ends it with exit code 0; nothing was started."""
    run = await prepared(STARTUP_TIMEOUT_SECONDS=600)
    run.service.redis.go_away()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_by_signal, signal.SIGTERM, 5)
        assert await run.daemon.run() == 0
    assert trio.current_time() < 7
    assert log_lines.of("service_started") == []


async def test_roles_split_the_work(autojump_clock: MockClock) -> None:
    """One process only schedules, another only works; together they do everything."""
    redis, bucket = MemoryRedis(), MemoryBucket()
    # Who only schedules hears of comings and goings from the next LIST.
    variables = {"INVENTORY_RECONCILE_SECONDS": 1, "PRECONDITION_MIN_OBJECTS": 200}
    scheduler = await prepared(
        redis=redis, bucket=bucket, ROLES="scheduler", RUN_DURATION_SECONDS=30, **variables
    )
    worker = await prepared(redis=redis, bucket=bucket, ROLES="worker", RUN_DURATION_SECONDS=35)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.daemon.run)
        nursery.start_soon(worker.daemon.run)
    assert "claim" not in scheduler.calls
    assert "enqueue" not in worker.calls
    assert worker.books() == {}
    assert redis.counters["created"] == redis.counters["processed"] + redis.counters["missed"]
    assert redis.counters["processed"] > 2000


async def test_service_survives_outages(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """After a minute without Redis and one without S3 it is healthy and has caught up."""
    run = await prepared(RUN_DURATION_SECONDS=300, SCHEDULER_MESSAGES_PER_SECOND=5, LOG_INTERVAL_SECONDS=60)
    health_state = run.service.service.health_state
    async with trio.open_nursery() as nursery:

        async def cut() -> None:
            await trio.sleep(30)
            run.service.redis.go_away()
            await trio.sleep(70)
            assert health_state.read().alive
            assert health_state.read().degraded.keys() == {"redis"}
            run.service.redis.come_back()
            await trio.sleep(30)
            assert health_state.read().degraded == {}
            run.service.bucket.break_down(Fault.UNREACHABLE)
            await trio.sleep(70)
            assert health_state.read().alive
            assert health_state.read().degraded.keys() == {"s3"}
            run.service.bucket.recover()
            await trio.sleep(30)
            assert health_state.read().degraded == {}

        nursery.start_soon(cut)
        assert await run.daemon.run() == 0
    assert run.books() == {}
    metrics = run.service.service.metrics
    steady = sum(stats.steady for stats in metrics.operations.values())
    assert 5 * 297 <= steady + metrics.totals["withheld"] <= 5 * 300  # withheld: no object left to choose
    changes = [(line["event"], line["backend"]) for line in log_lines.all() if "backend" in line]
    assert changes == [
        (event, name) for name in ("redis", "s3") for event in ("backend_unavailable", "backend_recovered")
    ]


@pytest.mark.parametrize("fails", [False, True])
async def test_clients_are_closed(autojump_clock: MockClock, fails: bool) -> None:
    """However it ends, both clients are closed and no thread is left."""
    threads = threading.active_count()
    configuration = loaded(**SMALL, RUN_DURATION_SECONDS=5, STARTUP_TIMEOUT_SECONDS=1)
    redis, bucket = MemoryRedis(), MemoryBucket()
    queues: list[Any] = []
    surroundings = in_memory(redis, bucket)

    def open_queue(*arguments: Any, **options: Any) -> Any:
        queues.append(surroundings.clients.redis(*arguments, **options))
        return queues[-1]

    watched = attrs.evolve(surroundings, clients=attrs.evolve(surroundings.clients, redis=open_queue))
    if fails:
        redis.go_away()
        with pytest.raises(BackendUnavailableError):
            await serve(configuration, watched)
    else:
        assert await serve(configuration, watched) == 0
    assert bucket.closed
    assert [queue.closed for queue in queues] == [True]
    assert threading.active_count() <= threads  # an idle thread of an earlier test may end meanwhile
