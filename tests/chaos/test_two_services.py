"""Two services on one queue and one bucket: each does the other's work when that one cannot.

The bucket is not judged here: operations on one key keep their order within one process only.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest_trio.backends.embedded import S3Server
from tests.support.audit import Audit
from tests.support.rig import Rig, start_redis, wait_until
from tests.support.service_process import ServiceProcess

LOAD = {"SCHEDULER_MESSAGES_PER_SECOND": "100", "SCHEDULER_INTERVAL_SECONDS": "0.1"}
SILENCE_SECONDS = 3.0


@pytest.fixture
def rig(s3_server: S3Server, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A queue on a Redis of its own that keeps its history."""
    with start_redis(tmp_path) as server:
        yield Rig.on(server, s3_server, request.node.name.replace("_", "-"), tmp_path)


def work(rig: Rig, service: ServiceProcess, messages: int) -> None:
    """Wait until so many more messages are done."""
    done = rig.books()["processed"]
    wait_until(lambda: rig.books()["processed"] >= done + messages, 60, lambda: str(service.lines[-3:]))


def with_something_in_hand(rig: Rig, service: ServiceProcess) -> None:
    """Freeze a service at a moment when it has claimed messages and not settled them."""
    for _ in range(200):
        service.signal(signal.SIGSTOP)
        time.sleep(0.02)  # what it has sent takes effect
        if rig.in_flight(service.process.pid):
            return
        service.signal(signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError("never caught with anything in flight")


def assert_each_ended_once(audit: Audit) -> None:
    assert [problem for problem in audit.problems if "objects" not in problem] == []
    assert audit.enqueued == audit.processed + audit.missed
    assert audit.lost == 0


def test_killed_service_is_replaced_by_the_other(rig: Rig) -> None:
    """The other service reaps the dead one's messages while it works, and nothing is lost."""
    with rig.service(environ=LOAD) as first, rig.service(environ=LOAD) as second:
        for each in (first, second):
            each.wait_for("metrics", lambda line: line["messages_processed"] > 50)
        with_something_in_hand(rig, first)
        first.signal(signal.SIGKILL)
        reaped = second.wait_for("consumers_reaped")
        work(rig, second, 50)
        second.process.terminate()
        assert second.wait() == 0
    assert reaped["requeued"] > 0
    rig.drain()
    assert_each_ended_once(rig.audit())


def test_frozen_service_settles_stale(rig: Rig) -> None:
    """A frozen service's messages are done by the other; its own settlements are stale when it wakes up."""
    with rig.service(environ=LOAD) as first, rig.service(environ=LOAD) as second:
        for each in (first, second):
            each.wait_for("metrics", lambda line: line["messages_processed"] > 50)
        with_something_in_hand(rig, first)
        time.sleep(SILENCE_SECONDS)
        second.wait_for("consumers_reaped")
        first.signal(signal.SIGCONT)
        first.wait_for("metrics", lambda line: line["settlements_stale"] > 0)
        work(rig, first, 50)
        for each in (first, second):
            each.process.terminate()
        assert (first.wait(), second.wait()) == (0, 0)
        stopped = first.events("service_stopped")[0]
    assert stopped["ledger"]["difference"] == 0
    rig.drain()
    assert_each_ended_once(rig.audit())
