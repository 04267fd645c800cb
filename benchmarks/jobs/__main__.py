"""The job service beside its peers: `scripts/bench jobs`; `--sweep NAME` varies one size instead.

wrk sends 30 % submissions and 70 % status requests over 64 and over 500 connections. The service has one
core, Redis and wrk have the other. Everybody takes a turn in every round.
"""

import argparse
import sys

from benchmarks.jobs.comparison import compare
from benchmarks.jobs.deployment import ServiceError
from benchmarks.jobs.load import LoadError
from benchmarks.jobs.report import write_all
from benchmarks.jobs.services import OURS, SERVICES
from benchmarks.jobs.sweeps import SWEEPS
from benchmarks.output import add_only, add_options, complain
from benchmarks.process import SERVER_CORE, Unavailable, pin


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench jobs", description=__doc__)
    add_options(parser)
    parser.add_argument("--seconds", type=int, default=6, help="how long each load lasts (6)")
    add_only(parser, [each.name for each in SERVICES])
    parser.add_argument("--submit", type=int, default=30, help="submissions in a hundred requests (30)")
    parser.add_argument("--clients", type=int, default=100_000, help="size of the set of client ids (100000)")
    parser.add_argument(
        "--unordered", action="store_true", help="submissions waive the order of their client"
    )
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"a variable for {OURS}, such as JOB_RATE_LIMIT_PER_MINUTE=0; can be repeated",
    )
    parser.add_argument("--sweep", choices=SWEEPS, help="vary one size of one service instead of comparing")
    parser.add_argument("--most", type=int, default=sys.maxsize, help="of a sweep: leave out larger sizes")
    parser.add_argument(
        "--ttl", type=int, default=600, help="of --sweep memory: seconds records are kept (600)"
    )
    options = parser.parse_args(arguments)
    if not all("=" in each for each in options.setting):
        parser.error("--setting: NAME=VALUE expected")
    options.settings = dict(each.split("=", 1) for each in options.setting)
    return options


def main(arguments: list[str]) -> int:
    """Measure and report; return 1 when a service failed, 2 when nothing could be measured."""
    options = parse(arguments)
    pin(SERVER_CORE)
    if options.sweep:
        try:
            print(SWEEPS[options.sweep](options))
        except Unavailable as reason:
            complain(f"jobs: cannot measure: {reason}")
            return 2
        except (ServiceError, LoadError) as reason:
            complain(f"jobs: failed: {reason}")
            return 1
        return 0
    comparison, failed = compare(options)
    if not any(comparison.rounds):
        complain("jobs: nothing could be measured")
        return 2
    print(write_all(comparison, options.results))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
