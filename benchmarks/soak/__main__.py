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
from benchmarks.soak.record import record
from benchmarks.soak.report import write_report
from benchmarks.soak.slopes import BLOCK_SECONDS, FEWEST_BLOCKS


def main() -> int:
    """Run a soak test, or only report on an earlier one."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # unwinds, so that the service and its servers are stopped
    options = _options()
    folder: Path = options.into
    if not options.report_only:
        backends = CHOICES[options.backends]
        try:
            record(folder, backends, minutes=options.minutes, rate=options.rate, workers=options.workers)
        except Unavailable as reason:
            complain(f"soak: {reason}")
            return 2
    return 0 if write_report(folder, options.warm_up) else 1


def _options() -> argparse.Namespace:
    today = datetime.now(UTC).date().isoformat()
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long the service runs (60)")
    parser.add_argument("--rate", type=float, default=60, help="messages a second (60)")
    parser.add_argument("--workers", type=int, default=10, help="WORKER_CONCURRENCY (10)")
    parser.add_argument("--backends", choices=CHOICES, default="embedded", help="nginx: a core of their own")
    parser.add_argument("--warm-up", type=float, default=15, help="minutes before slopes are fitted (15)")
    parser.add_argument("--into", type=Path, default=ROOT / "reports" / f"soak-{today}", metavar="FOLDER")
    parser.add_argument("--report-only", action="store_true", help="report on the samples in FOLDER")
    options = parser.parse_args()
    if options.minutes < options.warm_up + FEWEST_BLOCKS * BLOCK_SECONDS / 60:
        parser.error("too short for a slope: let it run, or let it warm up less")
    return options


if __name__ == "__main__":
    sys.exit(main())
