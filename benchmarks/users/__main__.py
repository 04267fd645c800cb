"""The simulated users beside k6 and Locust: `scripts/bench users`.

All play brief 001's client on one core, against a fast server that shares the other core with its Redis: a
number of users that each can keep up with, then more than any can. Last, ours alone holds 15,000 users.
"""

import argparse
import sys

from benchmarks.jobs.deployment import ServiceError
from benchmarks.output import RunInfo, add_only, add_options, report_progress
from benchmarks.process import SERVER_CORE, Unavailable, pin
from benchmarks.users.generators import GENERATORS, OURS, Generator, find_generators
from benchmarks.users.report import FEW, MANY, Comparison, Round, write_all
from benchmarks.users.trial import GeneratorError, Sample, Schedule, run_trial
from tests.clients.launch import ClientLoad

_RAMP_SECONDS = 5.0
_HELD_SPAWN_RATE = 750.0
_SHORT_JOB = {"type": "sleep", "payload": {"ms": 50}}
_LONG_JOB = {"type": "sleep", "payload": {"ms": 30_000}}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench users", description=__doc__)
    add_options(parser)
    parser.add_argument("--seconds", type=float, default=6, help="how long each trial is measured (6)")
    add_only(parser, [each.name for each in GENERATORS])
    parser.add_argument(
        "--held", type=int, default=15_000, help="users that ours has to hold (15000; 0: none)"
    )
    parser.add_argument("--held-seconds", type=float, default=20, help="how long they are measured (20)")
    parser.add_argument("--held-rounds", type=int, default=1, help="how often they are (1)")
    parser.add_argument("--few-only", action="store_true", help=f"leave out {MANY} users: no memory a user")
    return parser.parse_args(arguments)


def compare(options: argparse.Namespace) -> tuple[Comparison, bool]:
    """Measure every generator once in each round, then our own with the users it has to hold.

    Returns:
        The comparison, and whether a generator that can run here has failed.
    """
    schedule = Schedule(measure_seconds=options.seconds)
    rounds: list[Round] = []
    left_out: dict[str, str] = {}
    failed = False
    for number in range(options.rounds):
        rounds.append({})
        for generator in find_generators(options.only):
            for users in (FEW,) if options.few_only else (FEW, MANY):
                if generator.name in left_out:
                    continue
                load = ClientLoad(users, users / _RAMP_SECONDS, seconds=0, job=_SHORT_JOB)
                try:
                    sample = run_trial(generator, load, schedule)
                except (Unavailable, GeneratorError, ServiceError) as reason:
                    failed = failed or not isinstance(reason, Unavailable)
                    left_out[generator.name] = str(reason)
                    report_progress(f"round {number + 1}  {generator.name}: left out: {reason}")
                    continue
                rounds[-1][generator.name, users] = sample
                report_progress(f"round {number + 1}  {describe(generator.name, sample)}")
    held = [] if OURS in left_out else hold(options)
    return Comparison(RunInfo.now(options.rounds), rounds, held, left_out), failed


def hold(options: argparse.Namespace) -> list[Sample]:
    """Measure our generator with the users that it has to hold: each polls one long job every second.

    Returns:
        A sample a round; none when it was not asked for.

    Raises:
        GeneratorError: It failed.
        ServiceError: The server failed.
    """
    ours = [each for each in find_generators(options.only) if each.name == OURS]
    if not ours or not options.held:
        return []
    return [hold_once(ours[0], options.held, options.held_seconds) for _ in range(options.held_rounds)]


def hold_once(generator: Generator, users: int, seconds: float) -> Sample:
    """Measure a generator with so many users once."""
    load = ClientLoad(users, _HELD_SPAWN_RATE, seconds=0, jobs=1, job=_LONG_JOB)
    sample = run_trial(generator, load, Schedule(settle_seconds=5, measure_seconds=seconds))
    report_progress(f"held     {describe(generator.name, sample)}")
    return sample


def describe(name: str, sample: Sample) -> str:
    """Return a sample as one line of progress."""
    return (
        f"{name:7} {sample.users:6,} users  {sample.rate:7,.0f} requests/s  "
        f"{sample.cpu_us:6.1f} µs CPU a request  {sample.rss_mb:5.0f} MB  {sample.late_percent:.2f} % late  "
        f"{sample.failures} not 2xx  ({sample.busy:.0%} busy)"
    )


def main(arguments: list[str]) -> int:
    """Measure and report; return 1 when a generator failed, 2 when nothing could be measured."""
    options = parse(arguments)
    pin(SERVER_CORE)
    comparison, failed = compare(options)
    if not any(comparison.rounds):
        report_progress("users: nothing could be measured")
        return 2
    print(write_all(comparison, options.results))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
