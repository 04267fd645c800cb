"""Redis comes back without its memory: that cannot be prevented here, but it must be noticed and counted."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest_trio.embedded import RedisServer, S3Server
from tests.support.rig import Rig, wait_until


@pytest.fixture
def forgetful_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis without persistence."""
    with RedisServer.start(tmp_path, appendonly=False) as server:
        yield server


@pytest.fixture
def rig(forgetful_redis: RedisServer, s3_server: S3Server, tmp_path: Path) -> Rig:
    """The service's surroundings."""
    return Rig.on(forgetful_redis, s3_server, "forgetful", tmp_path)


def test_an_emptied_queue_is_counted_to_the_message(rig: Rig) -> None:
    """The messages that Redis forgot are said once, as many as there were, and close the ledger."""
    environ = {
        "ROLES": "scheduler",
        "SCHEDULER_MODE": "saturate",
        "SCHEDULER_TARGET_QUEUE_LENGTH": "200",
        "PRECONDITION_MIN_OBJECTS": "1",
    }
    seed_one_object(rig)
    with rig.service(environ=environ) as service:
        wait_until(lambda: rig.sizes()["queue"] >= 200, 30, lambda: str(service.lines[-3:]))
        service.wait_for("metrics", lambda line: line["queue_length"] >= 200)
        forgotten = rig.sizes()["queue"]
        rig.redis_server.kill()
        rig.redis_server.restart()
        said = service.wait_for("redis_data_lost")
        line = service.wait_for("metrics", lambda line: line["ledger"]["lost"] > 0)
        service.process.terminate()
        assert service.wait() == 0
        assert len(service.events("redis_data_lost")) == 1
    assert said["messages"] == line["ledger"]["lost"] == forgotten
    assert line["ledger"]["difference"] == 0


def test_a_loaded_service_goes_on_with_an_empty_redis(rig: Rig) -> None:
    """In full work: the loss is said, the ledger closes with it, and every later message is worked off."""
    environ = {"SCHEDULER_MODE": "saturate", "SCHEDULER_TARGET_QUEUE_LENGTH": "100"}
    with rig.service(environ=environ) as service:
        service.wait_for("metrics", lambda line: line["messages_processed"] > 50)
        service.signal(signal.SIGSTOP)  # so that what is about to be forgotten can be counted
        time.sleep(0.2)
        found = rig.sizes()
        rig.redis_server.kill()
        rig.redis_server.restart()
        service.signal(signal.SIGCONT)
        said = service.wait_for("redis_data_lost")
        service.wait_for(
            "metrics", lambda line: line["messages_processed"] > 0 and line["uptime_seconds"] > 1
        )
        before = rig.books()["processed"]
        wait_until(lambda: rig.books()["processed"] > before + 50, 30, lambda: str(service.lines[-3:]))
        service.process.terminate()
        assert service.wait() == 0
        stopped = service.events("service_stopped")[0]
        assert len(service.events("redis_data_lost")) == 1
    # Replies that were under way when Redis died make this service remember a little less or more.
    under_way = 2 * int(rig.environ["WORKER_CONCURRENCY"])
    assert abs(said["messages"] - found["queue"] - found["in_flight"]) <= under_way
    assert stopped["ledger"]["lost"] == said["messages"]
    assert stopped["ledger"]["difference"] == 0
    rig.drain()
    assert rig.books()["created"] == sum(rig.books()[place] for place in ("processed", "missed", "lost"))


def seed_one_object(rig: Rig) -> None:
    """Let a full service create an object, so that one without workers has something to schedule for."""
    with rig.service(environ={"PRECONDITION_MIN_OBJECTS": "1", "SCHEDULER_MESSAGES_PER_SECOND": "1"}) as full:
        full.wait_for("precondition_met")
        full.process.terminate()
        assert full.wait() == 0
    rig.drain()
