"""Runs a soak test and reports on it: `python -m benchmarks.soak`; see scripts/soak."""

import argparse
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contenders import ROOT
from benchmarks.output import complain
from benchmarks.process import Unavailable
from benchmarks.soak.backends import CHOICES
from benchmarks.soak.jobs import Load, record_jobs
from benchmarks.soak.record import record
from benchmarks.soak.report import annotate, write_report
from benchmarks.soak.slopes import BLOCK_SECONDS, FEWEST_BLOCKS


def main() -> int:
    """Run a soak test, or only report on an earlier one."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # unwinds, so that the service and its servers are stopped
    options = _options()
    today = datetime.now(UTC).date().isoformat()
    name = "soak-jobs" if options.service == "jobs" else "soak"
    folder: Path = options.into or ROOT / "reports" / f"{name}-{today}"
    if not options.report_only:
        try:
            _record(folder, options)
        except Unavailable as reason:
            complain(f"soak: {reason}")
            return 2
    if options.note:
        annotate(folder, options.note)
    return 0 if write_report(folder, options.warm_up) else 1


def _record(folder: Path, options: argparse.Namespace) -> None:
    if options.service == "jobs":
        record_jobs(folder, Load(options.users, options.minutes))
    else:
        backends = CHOICES[options.backends]
        record(folder, backends, minutes=options.minutes, rate=options.rate, workers=options.workers)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--service", choices=("load", "jobs"), default="load", help="load (default) or jobs")
    parser.add_argument("--minutes", type=float, default=60, help="how long the service runs (60)")
    parser.add_argument("--rate", type=float, default=60, help="load: messages a second (60)")
    parser.add_argument("--workers", type=int, default=10, help="load: WORKER_CONCURRENCY (10)")
    parser.add_argument("--backends", choices=CHOICES, default="embedded", help="load: embedded, or nginx")
    parser.add_argument("--users", type=int, default=1000, help="jobs: simulated users (1000)")
    parser.add_argument("--warm-up", type=float, default=15, help="minutes before slopes are fitted (15)")
    parser.add_argument(
        "--note", default="", help="a sentence for the report, such as what else ran meanwhile"
    )
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="results (reports/soak-DATE)")
    parser.add_argument("--report-only", action="store_true", help="report on the samples in FOLDER")
    options = parser.parse_args()
    if options.minutes < options.warm_up + FEWEST_BLOCKS * BLOCK_SECONDS / 60:
        parser.error("too short for a slope: let it run, or let it warm up less")
    return options


if __name__ == "__main__":
    sys.exit(main())
