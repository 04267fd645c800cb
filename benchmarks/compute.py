"""The computations of jobs: how long they take against their estimates, and what worker processes cost.

python -m benchmarks.compute    # needs only the package; half a minute on two free cores
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import psutil
import trio

from benchmarks.output import RunInfo, add_options, report_progress, spread, table, write
from loadtest_trio.handlers.compute import factorial, sha512
from loadtest_trio.handlers.compute.kernels import factorial_digits, sha512_chain
from loadtest_trio.handlers.compute.pool import ComputeLimits, open_compute_pool

_FACTORIALS = (100, 1_000, 3_000, 10_000, 100_000, 1_000_000)
_CHAINS = (10, 1_000, 100_000, 3_000_000)
_CALLS = 300
_LAG_JOBS = 10
_LAG_ITERATIONS = 3_000_000
_IN_A_PROCESS = 1.0  # an estimate, in seconds

Values = dict[str, list[float]]


def computations() -> dict[str, tuple[float, Callable[[], bytes]]]:
    """Return estimate and call of each computation."""
    return {
        **{f"{n:,}!": (factorial.estimate_seconds(n), partial(factorial_digits, n)) for n in _FACTORIALS},
        **{
            f"sha512 × {count:,}": (sha512.estimate_seconds(5, count), partial(sha512_chain, b"Hello", count))
            for count in _CHAINS
        },
    }


def fastest_seconds(call: Callable[[], bytes]) -> float:
    """Return the shortest of some calls; fewer, the longer they take."""
    times: list[float] = []
    while not times or (len(times) < 20 and sum(times) < 0.2):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


async def processes() -> dict[str, float]:
    """Return what a worker process costs, and how late the loop is while all of them compute."""
    async with open_compute_pool(ComputeLimits()) as pool:
        began = time.perf_counter()
        await pool.run(_IN_A_PROCESS, sha512_chain, b"x", 1)
        started = time.perf_counter()
        for _ in range(_CALLS):
            await pool.run(_IN_A_PROCESS, sha512_chain, b"x", 1)
        called = time.perf_counter()
        (worker,) = (child for child in psutil.Process().children() if "fork" in " ".join(child.cmdline()))
        memory = worker.memory_full_info().uss
        lags: list[float] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_record_lags, lags)
            async with trio.open_nursery() as jobs:
                for _ in range(_LAG_JOBS):
                    jobs.start_soon(pool.run, _IN_A_PROCESS, sha512_chain, b"x", _LAG_ITERATIONS)
            nursery.cancel_scope.cancel()
    lags.sort()
    return {
        "first call, with the start of a process (ms)": (started - began) * 1e3,
        "each further call (µs)": (called - started) / _CALLS * 1e6,
        "memory of a process (MB)": memory / 1e6,
        f"lag of the loop while {_LAG_JOBS} chains run, median (ms)": lags[len(lags) // 2] * 1e3,
        "lag, 99th percentile (ms)": lags[len(lags) * 99 // 100] * 1e3,
        "lag, longest (ms)": lags[-1] * 1e3,
    }


async def _record_lags(lags: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await trio.sleep(0.001)
        lags.append(time.perf_counter() - began - 0.001)


def render(about: RunInfo, seconds: Values, costs: Values) -> str:
    """Return both tables."""
    estimates = {name: estimate for name, (estimate, _) in computations().items()}
    rows = [
        [name, spread([each * 1e3 for each in series], 3), f"{estimates[name] * 1e3:,.3f}"]
        for name, series in seconds.items()
    ]
    return "\n".join(
        [
            about.heading("Computations", "The fastest of up to 20 calls a round."),
            table(["computation", "ms", "estimate, ms"], rows),
            "",
            table(["worker processes", "value"], [[name, spread(each, 2)] for name, each in costs.items()]),
        ]
    )


def main(arguments: list[str]) -> int:
    """Measure, print, and write compute.json and compute.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compute", description=__doc__)
    add_options(parser)
    options = parser.parse_args(arguments)
    folder: Path = options.results
    seconds: Values = {}
    costs: Values = {}
    for number in range(options.rounds):
        for name, (_, call) in computations().items():
            seconds.setdefault(name, []).append(fastest_seconds(call))
        for name, value in trio.run(processes).items():
            costs.setdefault(name, []).append(value)
        report_progress(f"measured: round {number + 1}")
    about = RunInfo.now(options.rounds)
    text = render(about, seconds, costs)
    write(folder, "compute", text, attrs.asdict(about) | {"seconds": seconds, "processes": costs})
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
