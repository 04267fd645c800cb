"""Do searches name the cause on a shared machine? Ten for each cause. Run by ``scripts/cause-trials``.

Embedded backends and the service share all CPUs, and a known cause limits them (`shared_machine`). Each cause
must be named in nine of ten searches. Nothing else may run on the machine meanwhile.
"""

import argparse
import os
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import trio

from loadtest_trio.metrics.machine import describe
from loadtest_trio.tune.plan.switchback import Design
from tests.support.progress import show_progress
from tests.support.results import write_results
from tests.support.searches import Length, search, verdict_of
from tests.support.shared_machine import CAUSES, shared_machine

NEEDED = 0.9
_SHOWN = ("messages_per_second", "machine_cpu", "cpu", "s3_cpu", "redis_cpu", "cpu_wait")


def run(cause: str, searches: int, length: Length) -> list[dict[str, Any]]:
    """Search so many times for one cause; returns the verdicts."""
    found = []
    for number in range(1, searches + 1):
        with shared_machine(cause) as environ:
            verdict = verdict_of(trio.run(partial(search, environ, length)))
        show_progress(f"{cause} {number}: {verdict['bottleneck']}\n")
        kept = ("bottleneck", "because", "scores", "evidence")
        found.append({"cause": cause, "expected": CAUSES[cause][0], **{name: verdict[name] for name in kept}})
    return found


def summary(cause: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of one cause: how often it was named, and the means of the evidence."""
    named = [each["bottleneck"] for each in found]
    means = {
        name: round(sum(each["evidence"].get(name, 0.0) for each in found) / len(found), 2) for name in _SHOWN
    }
    others = sorted({name for name in named if name != CAUSES[cause][0]})
    right = named.count(CAUSES[cause][0])
    return {
        "cause": cause,
        "named_right": f"{right} of {len(named)}",
        "as": CAUSES[cause][0],
        "else": others,
    } | means


def main() -> int:
    """Run the trials and write what came out; the exit code is 1 when a cause was named too rarely."""
    options = _options()
    began = datetime.now(UTC)
    length = Length(whole=False, seconds=options.seconds, design=Design())
    found = {cause: run(cause, options.searches, length) for cause in options.causes}
    results = {
        "title": "Searches that name the cause on a shared machine",
        "date": began.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - began).total_seconds()),
        "machine": describe(),
        "load_average": [round(each, 1) for each in os.getloadavg()],
        "searches": [each for trials in found.values() for each in trials],
    }
    closing = "Means over the searches: CPU seconds per second; of the machine, the busy share of all CPUs.\n"
    rows = [summary(cause, trials) for cause, trials in found.items()]
    write_results(options.into, "cause-trials", results, rows, closing)
    return 0 if all(_is_named(trials) for trials in found.values()) else 1


def _is_named(found: list[dict[str, Any]]) -> bool:
    right = [each for each in found if each["bottleneck"] == each["expected"]]
    return len(right) >= NEEDED * len(found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/cause-trials", description=__doc__)
    parser.add_argument("--searches", type=int, default=10, help="for each cause")
    parser.add_argument("--seconds", type=float, default=60.0, help="of experiments in a search")
    parser.add_argument("--causes", nargs="+", default=list(CAUSES), choices=list(CAUSES))
    parser.add_argument("--into", type=Path, default=Path("reports"), help="folder of the results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
