"""SIGKILL of a real service process at every step of a message, on a Redis that keeps its history."""

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from loadtest_trio.backends.embedded import RedisServer, S3Server
from tests.support.audit import Audit
from tests.support.kill_points import POINTS
from tests.support.rig import Rig, start_redis, wait_until
from tests.support.service_process import ServiceProcess

SATURATED = {"SCHEDULER_MODE": "saturate", "SCHEDULER_TARGET_QUEUE_LENGTH": "40"}
MESSAGES = 20
SIDE_BY_SIDE = 4
ATTEMPTS = 5


@pytest.fixture(scope="module")
def recording_redis() -> Iterator[RedisServer]:
    """A Redis whose append-only file is never rewritten."""
    with start_redis() as server:
        yield server


@pytest.fixture(scope="module")
def audits(
    recording_redis: RedisServer,
    s3_server: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[dict[str, Future[Audit]]]:
    """The trials of all selected points, some side by side, each with a queue and a prefix of its own.

    Most of a trial is waiting for the dead to be noticed.
    """
    points = [
        str(item.callspec.params["point"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.originalname == test_killed_service_loses_nothing.__name__
    ]
    folder = tmp_path_factory.mktemp("kill-matrix")
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    rigs = {point: Rig.on(recording_redis, s3_server, point, folder) for point in points}
    yield {point: pool.submit(kill_and_audit, rig, point) for point, rig in rigs.items()}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("point", POINTS)
def test_killed_service_loses_nothing(audits: dict[str, Future[Audit]], point: str) -> None:
    """Killed at this step, the service loses nothing: each message ends once, the bucket matches."""
    audit = audits[point].result()
    assert audit.problems == []
    assert audit.enqueued == audit.processed + audit.missed + audit.dead
    assert audit.lost == audit.unexpected == 0
    assert audit.enqueued >= MESSAGES
    assert (audit.dead > 0) == (POINTS[point].situation == "poison")


def kill_and_audit(rig: Rig, point: str) -> Audit:
    """Bring a service to a point, let it die there, let another one work off the rest, and look."""
    match POINTS[point].situation:
        case "load":
            die_under_load(rig, point)
        case "shutdown":
            die_in_shutdown(rig, point)
        case "corpse":
            die_over_a_corpse(rig, point)
        case "poison":
            rig.environ["MAX_DELIVERIES"] = "1"
            die_over_a_corpse(rig, point)
    rig.drain()
    return rig.audit()


def die_under_load(rig: Rig, point: str) -> None:
    """Run at full load until the trap closes."""
    with rig.service(point, MESSAGES, SATURATED) as service:
        assert service.wait(30) == -signal.SIGKILL, service.lines[-3:]


def die_in_shutdown(rig: Rig, point: str) -> None:
    """Ask a loaded service to end; again, when it happened to have nothing to give back at that moment."""
    for _ in range(ATTEMPTS):
        with rig.service(point, environ={**SATURATED, "LOG_INTERVAL_SECONDS": "60"}) as service:
            work(rig, service)
            service.process.terminate()
            code = service.wait(30)
        if code == -signal.SIGKILL:
            return
        assert code == 0, service.complaints
    raise AssertionError(f"{point} was not reached in {ATTEMPTS} shutdowns")


def die_over_a_corpse(rig: Rig, point: str) -> None:
    """Leave a corpse with messages in its hands, and kill the one that finds it."""
    die_under_load(rig, "work.after")
    assert rig.sizes()["in_flight"] > 0
    with rig.service(point, environ=SATURATED) as service:
        assert service.wait(30) == -signal.SIGKILL, service.lines[-3:]


def work(rig: Rig, service: ServiceProcess) -> None:
    """Wait until the service is at work."""
    service.wait_for("service_started")
    before = rig.books()["processed"]
    wait_until(lambda: rig.books()["processed"] > before + 30, 30, lambda: str(service.lines[-3:]))
