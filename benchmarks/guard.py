"""Fails when a message costs over 25 % more CPU than it did: `python -m benchmarks.guard`, under a minute.

What is compared is a ratio: CPU a message of the real daemon (a worker on a filled queue, stub S3, its own
Redis) over CPU a message of a fixed reference (reference.py), both on the same core in alternation. It is
the lower of two estimates, the median of the rounds' ratios and the ratio of the least: a neighbour on the
machine spoils one or the other, a regression raises both. `--update` writes the new baseline; commit it
with the reason.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

from benchmarks import reference
from benchmarks.contenders import CONTENDERS
from benchmarks.measure import Failed, Field, measure
from benchmarks.process import CLIENT_CORE, SERVER_CORE, Unavailable
from benchmarks.redis_server import RedisServer
from benchmarks.stub_s3 import StubS3

BASELINE = Path(__file__).with_name("guard_baseline.json")
ALLOWED = 1.25
LEAST_ROUNDS = 3
MESSAGES = 2_500
REFERENCE_MESSAGES = 1_000
WORKER = next(each for each in CONTENDERS if each.name == "worker")


def compare(rounds: int, seconds: float) -> float:
    """Return CPU a message of the daemon over that of the reference.

    Args:
        rounds: Most rounds to play.
        seconds: Begin no further round after this long, once the least number is played.

    Raises:
        Unavailable: There is no Redis server.
        Failed: The daemon did not do its work.
    """
    ours: list[float] = []
    fixed: list[float] = []
    with StubS3() as s3, RedisServer() as redis:
        field = Field(s3, redis, tls=False, messages=MESSAGES)
        deadline = time.monotonic() + seconds
        for number in range(rounds):
            if number >= LEAST_ROUNDS and time.monotonic() > deadline:
                break
            pin(CLIENT_CORE)
            fixed.append(reference.cpu_us(s3.port, REFERENCE_MESSAGES))
            pin(SERVER_CORE)
            ours.append(measure(WORKER, field, check_bucket=False).cpu_us)
            say(f"round {number + 1}: worker {ours[-1]:.0f}, reference {fixed[-1]:.0f} CPU µs a message")
    typical: float = statistics.median(
        [ours_us / fixed_us for ours_us, fixed_us in zip(ours, fixed, strict=True)]
    )
    return min(typical, min(ours) / min(fixed))


def pin(core: int) -> None:
    """Move this process to a core, where that can be done."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def say(text: str) -> None:
    """Tell the reader of the log."""
    print(f"guard: {text}", flush=True)


def write_baseline(ratio: float) -> None:
    """Write the ratio that later runs are held to."""
    facts = {
        "ratio": round(ratio, 3),
        "python": platform.python_version(),
        "taken_at": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    BASELINE.write_text(json.dumps(facts, indent=1) + "\n")


def main(arguments: list[str]) -> int:
    """Measure and judge; return 1 for a regression, 2 when nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--update", action="store_true", help="write the baseline instead of checking it")
    options = parser.parse_args(arguments)
    try:
        ratio = compare(options.rounds, seconds=300.0 if options.update else 50.0)
    except (Unavailable, Failed) as reason:
        say(f"cannot measure: {reason}")
        return 2
    if options.update:
        write_baseline(ratio)
        say(f"new baseline {ratio:.3f}")
        return 0
    baseline = json.loads(BASELINE.read_text())["ratio"]
    change = ratio / baseline - 1
    verdict = "a REGRESSION" if ratio > ALLOWED * baseline else "good"
    say(f"ratio {ratio:.3f}, baseline {baseline:.3f}: {change:+.1%}, {ALLOWED - 1:.0%} allowed: {verdict}")
    return 1 if ratio > ALLOWED * baseline else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
