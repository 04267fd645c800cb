"""One second of every fault in front of each backend, under a steady load: scripts/outage-trials in short."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

from loadtest_trio.backends.embedded import RedisServer, S3Server
from tests.support.audit import Audit
from tests.support.fault_proxy import Fault
from tests.support.outages import BACKENDS, FAULTS, KILL, Trial, outages
from tests.support.rig import Rig, start_redis

NOTICED_AT_ONCE = {Fault.RESET, Fault.HALF_CLOSED, Fault.TRUNCATED, KILL}
CALM_SECONDS = 0.5


@attrs.frozen
class Aftermath:
    """How the outages of one backend went, and what became of the messages."""

    trials: list[Trial]
    audit: Audit


@pytest.fixture(scope="module")
def aftermaths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Aftermath]]]:
    """The outages of both backends side by side, each with servers of its own to kill.

    Most of an outage is waiting. Redis keeps what it has acknowledged.
    """
    pool = ThreadPoolExecutor(len(BACKENDS))
    with ExitStack() as servers:
        begun = {}
        for backend in BACKENDS:
            folder = tmp_path_factory.mktemp(f"outages-{backend}")
            redis = servers.enter_context(start_redis(folder, appendfsync="always"))
            s3 = servers.enter_context(S3Server.start(folder))
            begun[backend] = pool.submit(suffer_all, backend, redis, s3, folder)
        yield begun
        pool.shutdown(cancel_futures=True)


def suffer_all(backend: str, redis: RedisServer, s3: S3Server, folder: Path) -> Aftermath:
    """Go through every fault of a backend, and look at what is left."""
    with outages(redis, s3, backend, folder, CALM_SECONDS) as load:
        trials = [load.suffer(backend, fault, 1.0) for fault in FAULTS]
    return Aftermath(trials, Rig(redis, s3, backend, folder).audit())


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_second_outage_loses_nothing(aftermaths: dict[str, Future[Aftermath]], backend: str) -> None:
    """In and after each fault of a second, health stays 200, nothing is lost or dead, work continues."""
    found = aftermaths[backend].result()
    trials, audit = found.trials, found.audit
    assert len(trials) == len(FAULTS)
    assert [trial for trial in trials if not trial.survived] == []
    assert [each.fault for each in trials if each.fault in NOTICED_AT_ONCE and each.noticed is None] == []
    assert audit.problems == []
    assert audit.enqueued == audit.processed + audit.missed
    assert audit.enqueued > 500
