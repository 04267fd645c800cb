"""The saturation search on one core: `scripts/bench tune [--delay SECONDS] [-- TUNE OPTIONS]`.

`python -m loadtest_trio tune` runs on one core, as on one vCPU; Redis and the fast S3 endpoint have the
other. `--delay` makes every S3 request wait at the endpoint, like a distant server; then many workers are
needed to keep the core busy. Options of `tune` itself follow after ``--``.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.fast_backends import fast_backends
from benchmarks.output import complain
from benchmarks.process import CLIENT_CORE, Unavailable


def main() -> int:
    """Run one search with its report; return its exit code, or 2 when a server is missing."""
    parser = argparse.ArgumentParser(prog="scripts/bench tune", description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds an S3 request waits (0)")
    parser.add_argument("--workers", type=int, default=64, help="WORKER_CONCURRENCY of the search (64)")
    parser.add_argument(
        "--output", type=Path, default=Path("tune-report"), help="where to write (tune-report)"
    )
    parser.add_argument("rest", nargs="*", help="options of tune, after --")
    options = parser.parse_args()
    try:
        with fast_backends(options.delay) as backends:
            return search(options, backends)
    except Unavailable as reason:
        complain(f"tune: {reason}")
        return 2


def search(options: argparse.Namespace, backends: dict[str, str]) -> int:
    """Run the search on its core. It also receives Ctrl-C, and then still writes its report.

    There are enough objects for many workers; all other settings are the defaults.
    """
    environ = backends | {
        "WORKER_CONCURRENCY": str(options.workers),
        "PRECONDITION_MIN_OBJECTS": "2000",
        "PRECONDITION_MAX_OBJECTS": "5000",
    }
    command = [sys.executable, "-m", "loadtest_trio", "tune", "--output", str(options.output), *options.rest]
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {CLIENT_CORE})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main())
