"""Build a known bottleneck into the real service; `tune` has to name it.

The short form makes only the experiments, in about a minute each. Three of the six causes need two or three,
too long for every run: ``TUNE_ORACLES=short ./scripts/test tests/chaos/test_tune_oracles.py`` has all of
them. The long form, ``TUNE_ORACLES=long``, is the whole command, as a user runs it.

The test depends on an idle machine: if another program takes its cores, the search rightly names CPU, or no
bottleneck. Such a test is repeated once, and then skipped with its measurements.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.tune.plan.explanation import MIXED
from loadtest_trio.tune.plan.switchback import Design
from tests.support.searches import Length, search, verdict_of
from tests.support.shared_machine import CAUSES, shared_machine

SUPPORT = Path(__file__).parents[1] / "support"
LONG = os.environ.get("TUNE_ORACLES") == "long"
ALL = bool(os.environ.get("TUNE_ORACLES"))
pytestmark = pytest.mark.alone
takes_minutes = pytest.mark.skipif(not ALL, reason="takes two or three minutes: TUNE_ORACLES=short runs it")
ATTEMPTS = 2
RESTLESS = 0.1  # of the time, the service was ready to run and got no core
LENGTH = (
    Length(whole=True, seconds=280.0, design=Design())
    if LONG
    else Length(whole=False, seconds=60.0, design=Design(seconds=1.0, first=3))
)
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


async def name_bottleneck(environ: Mapping[str, str]) -> tuple[str, float]:
    """Return the bottleneck that the search names, and the share of time the service waited for a core.

    The log appears in the failure's report.
    """
    lines = await search(environ, LENGTH)
    for line in lines:
        if line["event"] in ("tune_window", "tune_experiment", "tune_verdict"):
            print({name: value for name, value in line.items() if name not in ("timestamp", "level")})
    verdict = verdict_of(lines)
    return str(verdict["bottleneck"]), float(verdict["evidence"].get("cpu_wait", 0.0))


async def expect(bottleneck: str, redis_url: str, s3_port: int, **settings: str) -> None:
    """Search with an S3 stand-in; see `expect_in`."""
    environ = {
        **FAST,
        **CREDENTIALS,
        "REDIS_ENDPOINT": redis_url,
        "S3_BUCKET": "oracle",
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{s3_port}",
        **settings,
    }
    await expect_in(bottleneck, environ)


async def expect_in(bottleneck: str, environ: Mapping[str, str]) -> None:
    """Fail if the search names another bottleneck twice; skip if it cannot decide."""
    for _ in range(ATTEMPTS):
        named, waited = await name_bottleneck(environ)
        if named == bottleneck:
            return
    if named == MIXED or (waited > RESTLESS and bottleneck != "CPU"):
        pytest.skip(f"named {named}; the service waited for a core {waited:.0%} of the time")
    pytest.fail(f"named {named}, not {bottleneck}")


async def test_single_worker_is_named_configuration(redis_server: RedisServer, start: Start) -> None:
    """One worker and an S3 that answers after 10 ms: everything waits for that worker."""
    s3 = start("s3_stand_in.py", "--delay-ms", 10)
    await expect("configuration", redis_server.url, s3, WORKER_CONCURRENCY="1")


@takes_minutes
async def test_throttling_s3_is_named(redis_server: RedisServer, start: Start) -> None:
    """An S3 that answers 503 above 80 requests per second."""
    s3 = start("s3_stand_in.py", "--limit", 80)
    await expect("S3", redis_server.url, s3)


@pytest.mark.parametrize("cause", ["slow SeaweedFS", "slow Redis"])
async def test_slow_backend_of_a_shared_machine_is_named(cause: str) -> None:
    """Embedded backends share the machine with the service; ``scripts/cause-trials`` is the long form."""
    with shared_machine(cause) as environ:
        await expect_in(CAUSES[cause][0], environ)


@takes_minutes
async def test_narrow_network_is_named(redis_server: RedisServer, start: Start) -> None:
    """A connection to S3 that carries 2 MB per second."""
    proxy = start("slow_proxy.py", start("s3_stand_in.py"), "--bandwidth", 2e6)
    await expect("network", redis_server.url, proxy, **BIG)


@takes_minutes
async def test_busy_core_is_named_cpu(
    redis_server: RedisServer, start: Start, busy_core: Callable[[], None]
) -> None:
    """Another process takes half of the core that the service runs on."""
    s3 = start("s3_stand_in.py")
    busy_core()
    await expect("CPU", redis_server.url, s3, **BIG)
