"""The simulated users beside k6 and Locust: `scripts/bench users`.

All play brief 001's client on one core, against a fast server that shares the other core with its Redis: a
number of users that each can keep up with, then more than any can. Last, ours alone holds 15,000 users.
"""

import argparse
import sys

from benchmarks.output import add_only, add_options, complain
from benchmarks.process import SERVER_CORE, pin
from benchmarks.users.comparison import compare
from benchmarks.users.generators import GENERATORS
from benchmarks.users.report import MANY, write_all


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


def main(arguments: list[str]) -> int:
    """Measure and report; return 1 when a generator failed, 2 when nothing could be measured."""
    options = parse(arguments)
    pin(SERVER_CORE)
    comparison, failed = compare(options)
    if not any(comparison.rounds):
        complain("users: nothing could be measured")
        return 2
    print(write_all(comparison, options.results))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
