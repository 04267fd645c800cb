"""wrk, a load generator in C that repeats one constant request: the practical limit for an HTTP client."""

import re
import shutil
import tempfile
from pathlib import Path

from benchmarks.calibration import SIZE
from benchmarks.process import CLIENT_CORE, Child

_PUT = f'wrk.method = "PUT"\nwrk.body = string.rep("a", {SIZE})\n'
_REQUESTS_A_SECOND = 4000


def installed() -> bool:
    """Return whether wrk is installed."""
    return shutil.which("wrk") is not None


def cpu_us(url: str, method: str, *, requests: int, tasks: int) -> float:
    """Return wrk's CPU µs per request, from the rusage of its process.

    Args:
        url: The object's URL.
        method: ``GET``, or ``PUT`` of a medium-sized file.
        requests: Approximate number; wrk takes a duration instead.
        tasks: Number of connections.

    Raises:
        RuntimeError: wrk made no request.
    """
    with tempfile.TemporaryDirectory(prefix="bench-wrk-") as name:
        folder = Path(name)
        (folder / "put.lua").write_text(_PUT)
        script = ["-s", str(folder / "put.lua")] if method == "PUT" else []
        seconds = max(1, requests // _REQUESTS_A_SECOND)
        command = ["wrk", "-t1", f"-c{tasks}", f"-d{seconds}s", *script, url]
        child = Child(command, core=CLIENT_CORE, log=folder / "log", output=folder / "out")
        usage = child.wait(timeout=seconds + 30.0)
        done = re.search(r"(\d+) requests in", (folder / "out").read_text())
        if not done or not int(done[1]):
            raise RuntimeError(f"wrk failed: {child.stderr_tail()}")
    return usage.total / int(done[1]) * 1e6
