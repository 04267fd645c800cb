"""Build a known bottleneck into the real service; `tune` has to name it.

The short form makes only the experiments, in about a minute each. The long form is the whole command, as a
user runs it: ``TUNE_ORACLES=long ./scripts/test tests/chaos/test_tune_oracles.py``.

The test depends on an idle machine: if another program takes its cores, the search rightly names CPU, or no
bottleneck. Such a test is repeated once, and then skipped with its measurements.
"""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.metrics import logs
from loadtest_trio.settings import load
from loadtest_trio.tune.plan.explanation import MIXED
from loadtest_trio.tune.plan.loop import drive
from loadtest_trio.tune.plan.plan import Goal, find_bottleneck, tune
from loadtest_trio.tune.plan.steps import Step, TuneEvent
from loadtest_trio.tune.plan.switchback import Design
from loadtest_trio.tune.rig.rig import open_rig

SUPPORT = Path(__file__).parents[1] / "support"
LONG = os.environ.get("TUNE_ORACLES") == "long"
pytestmark = pytest.mark.alone
ATTEMPTS = 2
RESTLESS = 0.1  # of the time, the service was ready to run and got no core
SHORT_SECONDS, LONG_SECONDS = 60.0, 280.0
DESIGN = Design() if LONG else Design(seconds=1.0, first=3)
FAST = {
    "MIN_FILE_UUIDS": "20",
    "MAX_FILE_UUIDS": "40",
    "WORKER_CONCURRENCY": "20",
    "PRECONDITION_MIN_OBJECTS": "50",
}
BIG = {"MIN_FILE_UUIDS": "1000", "MAX_FILE_UUIDS": "1000"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
BURN = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"

Start = Callable[..., int]


class _SilentProgress:
    def step(self, step: Step) -> None: ...

    def event(self, event: TuneEvent) -> None: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a support program and return the port it prints; all of them end with the test."""
    with ExitStack() as stack:

        def begin(program: str, *arguments: object) -> int:
            command = [sys.executable, str(SUPPORT / program), *map(str, arguments)]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdout
            return int(process.stdout.readline())

        yield begin


@pytest.fixture
def busy_core() -> Iterator[Callable[[], None]]:
    """Pin this process to one core together with a process that is always busy."""
    before = os.sched_getaffinity(0)
    with ExitStack() as stack:

        def share() -> None:
            core = min(before)
            os.sched_setaffinity(0, {core})
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", BURN, str(core)]))
            stack.callback(process.kill)

        yield share
    os.sched_setaffinity(0, before)


async def name_bottleneck(redis_url: str, s3_port: int, **settings: str) -> tuple[str, float]:
    """Return the bottleneck that the search names, and the share of time the service waited for a core.

    The log appears in the failure's report.
    """
    environ = {
        **FAST,
        **CREDENTIALS,
        "REDIS_ENDPOINT": redis_url,
        "S3_BUCKET": "oracle",
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{s3_port}",
        **settings,
    }
    loaded = load(environ).settings
    mix = {name.value: weight for name, weight in loaded.steady_state_distribution.weights.items()}
    seconds = LONG_SECONDS if LONG else SHORT_SECONDS
    goal = Goal(workers=loaded.worker_concurrency, mix=mix, seconds=seconds, step_seconds=2.0, design=DESIGN)
    log, began = io.StringIO(), time.monotonic()
    logs.configure(log, json=True)
    plan = (
        tune(goal, time.monotonic)
        if LONG
        else find_bottleneck(goal, lambda: time.monotonic() - began > seconds)
    )
    with trio.fail_after(180 + 2 * seconds):
        async with open_rig(loaded, environ, trio.current_time) as rig:
            await drive(plan, rig, _SilentProgress())
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    for line in lines:
        if line["event"] in ("tune_window", "tune_experiment", "tune_verdict"):
            print({name: value for name, value in line.items() if name not in ("timestamp", "level")})
    verdict = next(line for line in lines if line["event"] == "tune_verdict")
    return str(verdict["bottleneck"]), float(verdict["evidence"].get("cpu_wait", 0.0))


async def expect(bottleneck: str, redis_url: str, s3_port: int, **settings: str) -> None:
    """Fail if the search names another bottleneck twice; skip if it cannot decide."""
    for _ in range(ATTEMPTS):
        named, waited = await name_bottleneck(redis_url, s3_port, **settings)
        if named == bottleneck:
            return
    if named == MIXED or (waited > RESTLESS and bottleneck != "CPU"):
        pytest.skip(f"named {named}; the service waited for a core {waited:.0%} of the time")
    pytest.fail(f"named {named}, not {bottleneck}")


async def test_single_worker_is_named_configuration(redis_server: RedisServer, start: Start) -> None:
    """One worker and an S3 that answers after 10 ms: everything waits for that worker."""
    s3 = start("s3_stand_in.py", "--delay-ms", 10)
    await expect("configuration", redis_server.url, s3, WORKER_CONCURRENCY="1")


async def test_throttling_s3_is_named(redis_server: RedisServer, start: Start) -> None:
    """An S3 that answers 503 above 80 requests per second."""
    s3 = start("s3_stand_in.py", "--limit", 80)
    await expect("S3", redis_server.url, s3)


async def test_slow_redis_is_named(redis_server: RedisServer, start: Start) -> None:
    """A Redis that is 60 ms away."""
    proxy = start("slow_proxy.py", redis_server.port, "--delay-ms", 60)
    url = redis_server.url.replace(f":{redis_server.port}", f":{proxy}")
    await expect("Redis", url, start("s3_stand_in.py"))


async def test_narrow_network_is_named(redis_server: RedisServer, start: Start) -> None:
    """A connection to S3 that carries 2 MB per second."""
    proxy = start("slow_proxy.py", start("s3_stand_in.py"), "--bandwidth", 2e6)
    await expect("network", redis_server.url, proxy, **BIG)


async def test_busy_core_is_named_cpu(
    redis_server: RedisServer, start: Start, busy_core: Callable[[], None]
) -> None:
    """Another process takes half of the core that the service runs on."""
    s3 = start("s3_stand_in.py")
    busy_core()
    await expect("CPU", redis_server.url, s3, **BIG)
