"""Windows of experiments on the real service: conditions change while it runs, and end with the window."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.metrics import logs
from loadtest_trio.settings import load
from loadtest_trio.tune.plan.steps import Handicap, Kind, Step, Switch
from loadtest_trio.tune.rig.rig import open_rig

STAND_IN = Path(__file__).parents[1] / "support" / "s3_stand_in.py"
BASELINE = Step(Kind.EXPERIMENT, 0.5, 4, switch=Switch(guard_seconds=0.3, most_workers=8))


@pytest.fixture
def s3_port() -> Iterator[int]:
    """An S3 stand-in in its own process."""
    with subprocess.Popen([sys.executable, str(STAND_IN)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        process.kill()


async def test_windows_change_the_running_service(redis_server: RedisServer, s3_port: int) -> None:
    """Delays, workers and burnt CPU apply in their own window only; another file size starts a new stage."""
    environ = {
        "REDIS_ENDPOINT": redis_server.url,
        "QUEUE_NAME": "windows",
        "S3_BUCKET": "windows",
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{s3_port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "MIN_FILE_UUIDS": "10",
        "MAX_FILE_UUIDS": "20",
        "PRECONDITION_MIN_OBJECTS": "20",
    }
    logs.configure(io.StringIO(), json=True)
    with trio.fail_after(120):
        async with open_rig(load(environ).settings, environ, trio.current_time) as rig:

            async def usage(handicap: Handicap, workers: int = 4) -> tuple[float, float, float, int]:
                seen = await rig.measure(attrs.evolve(BASELINE, handicap=handicap, workers=workers))
                assert seen.goodput > 0
                assert len(seen.probes) == 2
                return seen.usage.s3_ms, seen.usage.redis_ms, seen.goodput, rig.stage

            before = await usage(Handicap())
            slow_s3 = await usage(Handicap(s3_seconds=0.2))
            slow_redis = await usage(Handicap(redis_seconds=0.2))
            assert (await usage(Handicap(cpu=0.4), workers=8))[3] == before[3]
            after = await usage(Handicap())
            other_size = await usage(Handicap(size=0.5))
    assert slow_s3[0] > 200 > after[0]
    assert slow_redis[1] > 200 > after[1]
    assert before[3] == slow_s3[3] == slow_redis[3] == after[3] == other_size[3] - 1
