"""The long form of the outage tests: each fault for 10 and for 60 seconds. Run by ``scripts/outage-trials``.

Redis fsyncs every write (``appendfsync always``), since "with an append-only file nothing is lost" is what
is asked; the looser ``everysec`` can lose up to two seconds when Redis is killed while its disk is slow.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from loadtest_trio.backends.embedded import S3Server
from loadtest_trio.metrics.machine import describe
from tests.support.audit import Audit
from tests.support.outages import BACKENDS, FAULTS, RATE, RECOVERY_SECONDS, Trial, outages
from tests.support.progress import show_progress
from tests.support.results import write_results
from tests.support.rig import Rig, start_redis


def run(
    backends: Sequence[str], faults: Sequence[str], seconds: Sequence[float], appendfsync: str
) -> tuple[list[Trial], Audit]:
    """Start the servers and go through every fault; says each result as it comes."""
    trials = []
    with (
        tempfile.TemporaryDirectory() as folder,
        start_redis(appendfsync=appendfsync) as redis_server,
        S3Server.start() as s3_server,
    ):
        with outages(redis_server, s3_server, "outages", Path(folder), RECOVERY_SECONDS) as load:
            for length in seconds:
                for backend in backends:
                    for fault in faults:
                        trials.append(load.suffer(backend, fault, length))
                        show_progress(f"{trials[-1]}\n")
        return trials, Rig(redis_server, s3_server, "outages", Path(folder)).audit()


def main() -> int:
    """Run the trials and write what came out; the exit code is 1 when the promise was broken."""
    options = _options()
    began = datetime.now(UTC)
    trials, audit = run(options.backends, options.faults, options.seconds, options.appendfsync)
    rows: list[dict[str, Any]] = [attrs.asdict(trial) for trial in trials]
    results = {
        "title": f"Outages at {RATE} messages a second",
        "date": began.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - began).total_seconds()),
        "machine": describe(),
        "load_average": [round(each, 1) for each in os.getloadavg()],
        "appendfsync": options.appendfsync,
        "audit": attrs.asdict(audit),
        "trials": rows,
    }
    found = ", ".join(
        f"{name} {value or 0}" for name, value in attrs.asdict(audit).items() if name != "problems"
    )
    closing = f"All on one process, Redis with appendfsync {options.appendfsync}. Audit: {found}; "
    closing += f"problems: {'; '.join(audit.problems) or 'none'}.\n"
    write_results(options.into, "outage-trials", results, rows, closing)
    return 0 if all(trial.survived for trial in trials) and audit.clean else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/outage-trials", description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 60.0])
    parser.add_argument("--backends", nargs="+", default=BACKENDS, choices=BACKENDS)
    parser.add_argument("--faults", nargs="+", default=FAULTS, choices=FAULTS)
    parser.add_argument("--appendfsync", default="always", choices=("always", "everysec"))
    parser.add_argument("--into", type=Path, default=Path("reports"), help="folder of the results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
