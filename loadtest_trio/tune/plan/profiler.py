"""A sampling CPU profile of this process, by operation and by component.

The kernel sends SIGPROF after every few milliseconds of CPU time (setitimer(2), ITIMER_PROF), and Python runs
the handler on the main thread, where the whole service runs. The stack shows which handler (operation) and
which module (component) used the CPU. If the main thread is waiting in the event loop, which costs nothing,
the CPU time was used by one of RedisService's threads.
"""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_INTERVAL_SECONDS = 0.004
_COMPONENTS = (  # the first match from the innermost frame outwards
    ("/payload.py", "generate"),
    ("/sigv4.py", "sign"),
    ("/tls.py", "HTTP and TLS"),
    ("/s3/", "HTTP and TLS"),
    ("/loadtest_trio/http/", "HTTP and TLS"),
    ("/httpx/", "HTTP and TLS"),
    ("/httpcore/", "HTTP and TLS"),
    ("/redis/", "Redis"),
    ("/claimer.py", "Redis"),
    ("/acknowledger.py", "Redis"),
    ("/loadtest_trio/metrics/", "metrics"),
    ("/hdrh/", "metrics"),
)
_OPERATIONS = {
    f"/handlers/objects/{name.lower()}.py": name for name in ("READ", "UPDATE", "CREATE", "DELETE")
}
_WAITING = "get_events"
_REST = "rest"


class CpuProfile:
    """The samples taken in one period.

    Attributes:
        samples: (operation, component) -> number of samples.
    """

    def __init__(self) -> None:
        self.samples: Counter[tuple[str, str]] = Counter()
        self._began = time.process_time()

    def seconds(self) -> dict[tuple[str, str], float]:
        """Return the process's CPU seconds since the start, distributed by the samples."""
        spent, total = time.process_time() - self._began, self.samples.total()
        return {place: spent * count / total for place, count in self.samples.items()} if total else {}

    def take(self, _: int, frame: FrameType | None) -> None:
        """Take one sample; this is the handler of SIGPROF."""
        if frame is not None and frame.f_code.co_name == _WAITING:
            self.samples["", "Redis"] += 1
            return
        component, operation = "", ""
        while frame is not None:
            file = frame.f_code.co_filename
            component = component or _component(file)
            operation = operation or _operation(file)
            frame = frame.f_back
        self.samples[operation, component or _REST] += 1


def _component(file: str) -> str:
    return next((name for part, name in _COMPONENTS if part in file), "")


def _operation(file: str) -> str:
    return next((name for part, name in _OPERATIONS.items() if file.endswith(part)), "")


@contextmanager
def profiling() -> Iterator[CpuProfile]:
    """Sample while the block runs. Works only on the main thread."""
    profile = CpuProfile()
    before = signal.signal(signal.SIGPROF, profile.take)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL_SECONDS, _INTERVAL_SECONDS)
    try:
        yield profile
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
