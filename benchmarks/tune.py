"""Saturation searches: `scripts/bench tune [--searches N] [--embedded] [--delay SECONDS] [-- TUNE OPTIONS]`.

`python -m loadtest_trio tune` runs on one core, as on one vCPU; Redis and the fast S3 endpoint have the
other. `--delay` makes every S3 request wait at the endpoint, like a distant server; then many workers are
needed to keep the core busy. With `--embedded` service and embedded servers share all cores. Several searches
run in a row, and the report shows them side by side. Options of `tune` itself follow after ``--``.
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from benchmarks.fast_backends import fast_backends
from benchmarks.output import complain
from benchmarks.process import CLIENT_CORE, Unavailable
from loadtest_trio.report import write_report


def main() -> int:
    """Run the searches with their report; return the exit code, or 2 when a server is missing."""
    options = parse(sys.argv[1:])
    try:
        with backends(options) as environ:
            if options.searches == 1:
                return search(options, environ, options.output)
            return search_repeatedly(options, environ)
    except Unavailable as reason:
        complain(f"tune: {reason}")
        return 2


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="scripts/bench tune", description=__doc__)
    parser.add_argument("--searches", type=int, default=1, help="searches in a row (1)")
    parser.add_argument("--embedded", action="store_true", help="with the embedded servers, on all cores")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds an S3 request waits (0)")
    parser.add_argument("--workers", type=int, help="WORKER_CONCURRENCY (64; embedded: the default)")
    parser.add_argument(
        "--output", type=Path, default=Path("tune-report"), help="where to write (tune-report)"
    )
    parser.add_argument("rest", nargs="*", help="options of tune, after --")
    return parser.parse_args(arguments)


def backends(options: argparse.Namespace) -> AbstractContextManager[Mapping[str, str]]:
    """Return what provides the environment of a search: running servers, or none for embedded ones.

    There are enough objects for many workers; all other settings are the defaults.
    """
    if options.embedded:
        workers = {} if options.workers is None else {"WORKER_CONCURRENCY": str(options.workers)}
        return nullcontext(os.environ | workers)
    return fast_backends(options.delay)


def search(options: argparse.Namespace, environ: Mapping[str, str], folder: Path) -> int:
    """Run one search on its core. It also receives Ctrl-C, and then still writes its report."""
    own = [] if not options.embedded else ["--embedded"]
    settings = {
        "WORKER_CONCURRENCY": str(options.workers or 64),
        "PRECONDITION_MIN_OBJECTS": "2000",
        "PRECONDITION_MAX_OBJECTS": "5000",
    }
    command = [sys.executable, "-m", "loadtest_trio", "tune", *own, "--output", str(folder), *options.rest]
    process = subprocess.Popen(
        command, env={**environ, **({} if options.embedded else settings)}, stdin=subprocess.DEVNULL
    )
    if not options.embedded:
        os.sched_setaffinity(process.pid, {CLIENT_CORE})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def search_repeatedly(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run searches in a row, keep their log lines, and write one report on all of them."""
    logs = []
    for number in range(1, options.searches + 1):
        folder = options.output / f"search-{number}"
        code = search(options, environ, folder)
        if code:
            return code
        logs.append(options.output / f"search-{number}.jsonl.gz")
        with (folder / "tune.jsonl").open("rb") as lines, gzip.open(logs[-1], "wb") as packed:
            shutil.copyfileobj(lines, packed)
        shutil.rmtree(folder)  # its report is a part of the report on all searches
    sys.stderr.write(f"report: {write_report(logs, options.output)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
