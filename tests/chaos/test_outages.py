"""One second of every fault in front of each backend, under a steady load: scripts/outage-trials in short."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest_trio.backends.embedded import RedisServer, S3Server
from tests.support.fault_proxy import Fault
from tests.support.outages import FAULTS, KILL, outages
from tests.support.rig import Rig, start_redis

NOTICED_AT_ONCE = {Fault.RESET, Fault.HALF_CLOSED, Fault.TRUNCATED, KILL}
CALM_SECONDS = 0.5


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis to kill, that keeps what it has acknowledged."""
    with start_redis(tmp_path, appendfsync="always") as server:
        yield server


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Server]:
    """A SeaweedFS to kill."""
    with S3Server.start(tmp_path) as server:
        yield server


@pytest.mark.parametrize("backend", ["redis", "s3"])
def test_one_second_outage_loses_nothing(
    own_redis: RedisServer, own_s3: S3Server, tmp_path: Path, backend: str
) -> None:
    """In and after each fault of a second, health stays 200, nothing is lost or dead, work continues."""
    with outages(own_redis, own_s3, backend, tmp_path, CALM_SECONDS) as load:
        trials = [load.suffer(backend, fault, 1.0) for fault in FAULTS]
    assert [trial for trial in trials if not trial.survived] == []
    assert [each.fault for each in trials if each.fault in NOTICED_AT_ONCE and each.noticed is None] == []
    audit = Rig(own_redis, own_s3, backend, tmp_path).audit()
    assert audit.problems == []
    assert audit.enqueued == audit.processed + audit.missed
    assert audit.enqueued > 500
