"""The short form of scripts/kill-trials."""

from pathlib import Path
from random import Random

from loadtest_trio.backends.embedded import S3Server
from tests.chaos.kill_trials import kill_again_and_again
from tests.support.rig import Rig, start_redis

KILLS = 10


def test_ten_kills_at_random_times_lose_nothing(s3_server: S3Server, tmp_path: Path) -> None:
    """Whenever it is killed, every message ends once, and the bucket matches the ledger."""
    with start_redis(tmp_path) as redis_server:
        rig = Rig.on(redis_server, s3_server, "random-kills", tmp_path)
        killed = kill_again_and_again(rig, KILLS, Random(7))
        rig.drain()
        audit = rig.audit()
    assert killed.kills == KILLS
    assert audit.problems == []
    assert audit.enqueued == audit.processed + audit.missed + audit.dead
    assert audit.lost == audit.unexpected == 0
    assert audit.enqueued > 100
