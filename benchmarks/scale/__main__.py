"""Measures all sizes in turn, round after round: `scripts/bench scale`; see ../README.md."""

import argparse
import sys

from benchmarks.endpoint import NginxS3
from benchmarks.measure import Failed
from benchmarks.output import RunInfo, add_only, add_options, complain, report_progress
from benchmarks.process import SERVER_CORE, Unavailable, pin
from benchmarks.redis_server import RedisServer
from benchmarks.scale.report import Scale, write_all
from benchmarks.scale.sweeps import STARTS, SWEEPS, Sweep
from benchmarks.scale.trial import Rounds, start_once
from benchmarks.testbed import Testbed

LEAST_MESSAGES = 2000
SWEEP_NAMES = (*(sweep.name for sweep in SWEEPS), "start")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench scale", description=__doc__)
    add_options(parser)
    parser.add_argument("--messages", type=int, default=20_000, help="messages per trial (20000)")
    parser.add_argument("--starts", type=int, default=5, help="number of starts of each kind (5)")
    parser.add_argument("--most", type=int, default=sys.maxsize, help="leave out larger sizes")
    add_only(parser, SWEEP_NAMES)
    options = parser.parse_args(arguments)
    options.selected = options.only or list(SWEEP_NAMES)
    if options.messages < LEAST_MESSAGES:
        parser.error(f"--messages: {LEAST_MESSAGES} or more, or 512 workers have too little to do")
    return options


def run_sweep(sweep: Sweep, testbed: Testbed, *, rounds: int, most: int) -> Rounds:
    """Measure every size of a sweep up to `most`, round after round."""
    rounds_done: Rounds = []
    for number in range(rounds):
        samples = {}
        for size in sweep.sizes:
            if size > most:
                continue
            sample = samples[size] = sweep.measure(size, testbed)
            report_progress(
                f"round {number + 1}  {size:>9,} {sweep.unit:15} {sample.cpu_us:6.0f} µs CPU a message, "
                f"{sample.rate:6.0f} msg/s, {sample.busy:4.0%} busy, {sample.rss_mb:4.0f} MB"
            )
        rounds_done.append(samples)
    return rounds_done


def measure_starts(testbed: Testbed, times: int) -> dict[str, list[float]]:
    """Measure every way to start, `times` times; return the seconds by title."""
    seconds: dict[str, list[float]] = {start.title: [] for start in STARTS}
    for _ in range(times):
        for start in STARTS:
            seconds[start.title].append(start_once(start.contender, testbed, objects=start.objects))
            report_progress(f"{start.title}: {seconds[start.title][-1]:.2f} s")
    return seconds


def main(arguments: list[str]) -> int:
    """Measure and report; return 2 when something could not be measured."""
    options = parse(arguments)
    pin(SERVER_CORE)
    try:
        with NginxS3() as endpoint, RedisServer() as redis:
            testbed = Testbed(endpoint, redis, tls=False, messages=options.messages)
            sweeps = {
                sweep.name: run_sweep(sweep, testbed, rounds=options.rounds, most=options.most)
                for sweep in SWEEPS
                if sweep.name in options.selected and sweep.sizes[0] <= options.most
            }
            starts = measure_starts(testbed, options.starts) if "start" in options.selected else {}
    except (Unavailable, Failed) as reason:
        complain(f"scale: cannot measure: {reason}")
        return 2
    scale = Scale(RunInfo.now(options.rounds), options.messages, sweeps, starts)
    # A selection of sweeps has its own files, so that it does not replace the complete result.
    name = "-".join(["scale", *(options.selected if options.only else [])])
    print(write_all(scale, options.results, name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
