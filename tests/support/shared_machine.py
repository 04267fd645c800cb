"""A machine that the service shares with its embedded backends, with a known cause of its limit.

nothing slowed    SeaweedFS needs most of the CPUs
slow SeaweedFS    it may run for a third of the time only
slow Redis        60 ms away, behind a proxy
burnt core        other programs take all CPUs but one
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from loadtest_trio.backends.embedded import EmbeddedBackends

_SUPPORT = Path(__file__).parent
_BURN = """import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
while os.getppid() == int(sys.argv[2]):
    pass
"""
_BURNERS = 4  # on each core, so that it is really burnt: the scheduler shares a core fairly
_REDIS_DELAY_MS = 60
_FEW_OBJECTS = {"PRECONDITION_MIN_OBJECTS": "50"}  # a slow S3 is long in taking many


def _nothing(_: ExitStack, backends: EmbeddedBackends) -> dict[str, str]:
    return {}


def _slow_seaweedfs(stack: ExitStack, backends: EmbeddedBackends) -> dict[str, str]:
    process = _start(stack, str(_SUPPORT / "throttle.py"), str(backends.s3.pid))
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return {}


def _slow_redis(stack: ExitStack, backends: EmbeddedBackends) -> dict[str, str]:
    port = backends.redis.port
    arguments = (str(port), "--delay-ms", str(_REDIS_DELAY_MS))
    proxy = _start(stack, str(_SUPPORT / "slow_proxy.py"), *arguments)
    stack.callback(proxy.kill)
    assert proxy.stdout
    url = backends.redis_url.replace(f":{port}", f":{int(proxy.stdout.readline())}")
    return {"REDIS_ENDPOINT": url}


def _burnt_core(stack: ExitStack, _: EmbeddedBackends) -> dict[str, str]:
    for core in sorted(os.sched_getaffinity(0))[1:]:
        for _burner in range(_BURNERS):
            stack.callback(_start(stack, "-c", _BURN, str(core), str(os.getpid())).kill)
    return {}


def _start(stack: ExitStack, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, *arguments]
    return stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))


_Slow = Callable[[ExitStack, EmbeddedBackends], dict[str, str]]
CAUSES: Mapping[str, tuple[str, _Slow]] = {
    "nothing slowed": ("S3", _nothing),
    "slow SeaweedFS": ("S3", _slow_seaweedfs),
    "slow Redis": ("Redis", _slow_redis),
    "burnt core": ("CPU", _burnt_core),
}
"""Name -> the bottleneck that a search has to name, and what makes it so."""


@contextmanager
def shared_machine(cause: str) -> Iterator[dict[str, str]]:
    """Start embedded backends with a cause; yields the environment of the service."""
    with EmbeddedBackends.start() as backends, ExitStack() as stack:
        changed = CAUSES[cause][1](stack, backends)
        yield {**backends.environment(), **_FEW_OBJECTS, **changed}
