"""Random kills: one queue, one bucket, and a service that is killed again and again, then audited.

Each life lasts a random time, from the middle of its start to some seconds of full load. Most end by
SIGKILL alone; some are asked to end first (SIGTERM) and killed a moment later, in the middle of their
shutdown. Run it with ``scripts/kill-trials``.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import attrs

from loadtest_trio.backends.embedded import S3Server
from loadtest_trio.metrics.machine import describe
from tests.support.audit import Audit
from tests.support.progress import end_progress, show_progress
from tests.support.results import write_results
from tests.support.rig import Rig, start_redis

LOAD = {"SCHEDULER_MODE": "saturate", "SCHEDULER_TARGET_QUEUE_LENGTH": "100"}
LONGEST_START = 0.3
LONGEST_LIFE = 1.5
ASKED_FIRST = 0.25
LONGEST_SHUTDOWN = 0.15


@attrs.frozen
class Killed:
    """What the kills hit.

    Attributes:
        kills: SIGKILLs that found the process alive.
        while_starting: Of those, before it had said that it started.
        while_stopping: Of those, after SIGTERM.
        ended_first: Processes that ended by themselves between SIGTERM and SIGKILL.
    """

    kills: int = 0
    while_starting: int = 0
    while_stopping: int = 0
    ended_first: int = 0


def kill_again_and_again(rig: Rig, kills: int, rng: Random) -> Killed:
    """Kill so many lives of the service, one after the other."""
    count = Killed()
    while count.kills < kills:
        count = kill_once(rig, count, rng)
    return count


def kill_once(rig: Rig, count: Killed, rng: Random) -> Killed:
    """Live one life and end it.

    Returns:
        The count with this life in it.
    """
    with rig.service(environ=LOAD) as service:
        early = rng.random() < 0.1
        if early:
            time.sleep(rng.uniform(0, LONGEST_START))
        else:
            service.wait_for("service_started", seconds=60)
            time.sleep(rng.uniform(0, LONGEST_LIFE))
        stopping = not early and rng.random() < ASKED_FIRST
        if stopping:
            service.signal(signal.SIGTERM)
            time.sleep(rng.uniform(0, LONGEST_SHUTDOWN))
        service.signal(signal.SIGKILL)
        try:
            code = service.wait(30)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"survived SIGKILL: {service.lines[-3:]}") from error
    assert code in (-signal.SIGKILL, 0), service
    if code == 0:
        return attrs.evolve(count, ended_first=count.ended_first + 1)
    return attrs.evolve(
        count,
        kills=count.kills + 1,
        while_starting=count.while_starting + early,
        while_stopping=count.while_stopping + stopping,
    )


def run(kills: int, seed: int) -> tuple[Killed, Audit]:
    """Start the servers, kill, drain and audit."""
    with (
        tempfile.TemporaryDirectory() as folder,
        start_redis() as redis_server,
        S3Server.start() as s3_server,
    ):
        rig = Rig.on(redis_server, s3_server, "random-kills", Path(folder))
        rng = Random(seed)
        count = Killed()
        while count.kills < kills:
            count = kill_once(rig, count, rng)
            show_progress(f"{count.kills} of {kills} kills, {rig.books()['created']} messages")
        rig.drain(300)
        end_progress()
        return count, rig.audit()


def main() -> int:
    """Run the trials and write what came out; the exit code is 1 when a message is unaccounted for."""
    options = _options()
    began = datetime.now(UTC)
    count, audit = run(options.kills, options.seed)
    results = {
        "title": "Random kills",
        "date": began.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - began).total_seconds()),
        "machine": describe(),
        "load_average": [round(each, 1) for each in os.getloadavg()],
        "seed": options.seed,
        "figures": {**attrs.asdict(count), **attrs.asdict(audit)},
    }
    write_results(options.into, "kill-trials", results, [results["figures"]])
    return 0 if audit.clean else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/kill-trials", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=Path, default=Path("reports"), help="folder of the results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
