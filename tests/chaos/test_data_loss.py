"""Redis comes back without its data: this cannot be prevented here, but it is noticed and counted."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from loadtest_trio.backends.embedded import RedisServer, S3Server
from tests.support.rig import Rig, wait_until
from tests.support.service_process import LogLine, ServiceProcess

BATCH = 20
READS = "READ:1,UPDATE:0,CREATE:0,DELETE:0"  # all that can be scheduled for ever where nobody works


@pytest.fixture
def forgetful_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis without persistence."""
    with RedisServer.start(tmp_path, appendonly=False) as server:
        yield server


@pytest.fixture
def rig(forgetful_redis: RedisServer, s3_server: S3Server, tmp_path: Path) -> Rig:
    """The service's surroundings."""
    return Rig.on(forgetful_redis, s3_server, "forgetful", tmp_path)


def told_of_a_loss(service: ServiceProcess) -> tuple[LogLine, LogLine]:
    """Return the one line about a loss and the first metrics line with it, and end the service."""
    said = service.wait_for("redis_data_lost")
    line = service.wait_for("metrics", lambda line: line["ledger"]["lost"] > 0)
    service.process.terminate()
    assert service.wait() == 0
    assert len(service.events("redis_data_lost")) == 1
    return said, line


def test_emptied_queue_is_counted_exactly(rig: Rig) -> None:
    """The exact number of lost messages is reported once and balances the ledger."""
    environ = {
        "ROLES": "scheduler",
        "SCHEDULER_MODE": "saturate",
        "SCHEDULER_TARGET_QUEUE_LENGTH": "200",
        "STEADY_STATE_DISTRIBUTION": READS,
        "PRECONDITION_MIN_OBJECTS": "1",
    }
    seed_one_object(rig)
    with rig.service(environ=environ) as service:
        wait_until(lambda: rig.sizes()["queue"] >= 200, 30, lambda: str(service.lines[-3:]))
        service.wait_for("metrics", lambda line: line["queue_length"] >= 200)
        forgotten = rig.sizes()["queue"]
        rig.redis_server.kill()
        rig.redis_server.restart()
        said, line = told_of_a_loss(service)
    assert said["messages"] == line["ledger"]["lost"] == forgotten
    assert line["ledger"]["difference"] == 0


def test_service_under_load_continues_on_empty_redis(rig: Rig) -> None:
    """Under load: the loss is reported, the ledger balances, and every later message is processed."""
    environ = {
        "SCHEDULER_MODE": "saturate",
        "SCHEDULER_TARGET_QUEUE_LENGTH": "1000",
        "SCHEDULER_INTERVAL_SECONDS": "0.1",
        "PRECONDITION_MIN_OBJECTS": "200",  # as many as it takes for the queue never to run empty
        "PRECONDITION_MAX_OBJECTS": "2000",
    }
    with rig.service(environ=environ) as service:
        service.wait_for("precondition_met")
        wait_until(lambda: rig.sizes()["queue"] >= 500, 30, lambda: str(service.lines[-3:]))
        with stopped(service):
            found = rig.sizes()
            assert found["queue"] > 0
            rig.redis_server.kill()
            rig.redis_server.restart()
        said = service.wait_for("redis_data_lost")
        service.wait_for("metrics", lambda line: line["ledger"]["lost"] == said["messages"])
        before = rig.books()["processed"]
        wait_until(lambda: rig.books()["processed"] > before + 50, 30, lambda: str(service.lines[-3:]))
        service.process.terminate()
        assert service.wait() == 0
        ended = service.events("service_stopped")[0]
        assert len(service.events("redis_data_lost")) == 1
    # Replies that were under way when Redis died make this service remember a little less or more.
    under_way = 2 * int(rig.environ["WORKER_CONCURRENCY"])
    assert abs(said["messages"] - found["queue"] - found["in_flight"]) <= under_way
    assert ended["ledger"]["lost"] == said["messages"]
    assert ended["ledger"]["difference"] == 0
    rig.drain()
    assert rig.books()["created"] == sum(rig.books()[place] for place in ("processed", "missed", "lost"))


def test_scheduler_notices_restored_snapshot(rig: Rig) -> None:
    """If Redis falls back to a snapshot, messages enqueued right afterwards do not hide the loss."""
    environ = {
        "ROLES": "scheduler",
        "SCHEDULER_MESSAGES_PER_SECOND": str(10 * BATCH),
        "SCHEDULER_INTERVAL_SECONDS": "0.1",
        "STEADY_STATE_DISTRIBUTION": READS,
        "PRECONDITION_MIN_OBJECTS": "1",
    }
    seed_one_object(rig)
    with rig.service(environ=environ) as service:
        wait_until(lambda: rig.sizes()["queue"] >= 100, 30, lambda: str(service.lines[-3:]))
        with stopped(service), redis.Redis.from_url(rig.redis_server.url) as client:
            kept = rig.books()["created"]
            client.save()
        wait_until(lambda: rig.books()["created"] >= kept + 100, 30, lambda: str(service.lines[-3:]))
        with stopped(service):
            created = rig.books()["created"]
            rig.redis_server.kill()
            rig.redis_server.restart()
        said, line = told_of_a_loss(service)
    # A batch whose reply was under way when the service was stopped is sent anew: it is not lost.
    assert created - kept - BATCH <= said["messages"] <= created - kept
    assert line["ledger"]["lost"] == said["messages"]
    assert line["ledger"]["difference"] == 0


@contextmanager
def stopped(service: ServiceProcess) -> Iterator[None]:
    """Hold a process still, so that what is about to be forgotten can be counted."""
    service.signal(signal.SIGSTOP)
    time.sleep(0.2)  # what it has sent arrives
    try:
        yield
    finally:
        service.signal(signal.SIGCONT)


def seed_one_object(rig: Rig) -> None:
    """Let a full service create an object, so that one without workers has something to schedule for."""
    with rig.service(environ={"PRECONDITION_MIN_OBJECTS": "1", "SCHEDULER_MESSAGES_PER_SECOND": "1"}) as full:
        full.wait_for("precondition_met")
        full.process.terminate()
        assert full.wait() == 0
    rig.drain()
