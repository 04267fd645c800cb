"""Fails when a message costs over 25 % more CPU than before: `python -m benchmarks.guard`, under a minute.

It compares a ratio: CPU per message of the real daemon (a worker on a filled queue, stub S3, its own Redis)
over CPU per message of a fixed workload (calibration.py), on the same core in alternation. Of two estimates
the lower one counts, the median of the rounds' ratios or the ratio of the minima: other load on the machine
distorts one or the other, a regression raises both. `--update` writes a new baseline for this processor;
commit it with the reason.

The ratio depends on processor and Python build less than CPU time does, but it does: some copy fast, others
interpret fast. So every processor model has its own baseline. An unknown model is held to the highest one,
and the guard reports that, and also when the Python differs.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks import calibration
from benchmarks.contenders import CONTENDERS
from benchmarks.machine import python_build
from benchmarks.measure import Failed, measure
from benchmarks.process import CLIENT_CORE, SERVER_CORE, Unavailable, pin
from benchmarks.redis_server import RedisServer
from benchmarks.stub_s3 import StubS3
from benchmarks.testbed import Testbed
from loadtest_trio.metrics.machine import describe

BASELINES = Path(__file__).with_name("guard_baselines.json")
ALLOWED = 1.25
LEAST_ROUNDS = 3
MESSAGES = 2_500
CALIBRATION_MESSAGES = 1_000
WORKER = next(each for each in CONTENDERS if each.name == "worker")


@attrs.frozen
class Baseline:
    """The ratio that later runs are compared with.

    Attributes:
        ratio: CPU per message of the daemon over that of the calibration workload.
        cpu: Processor model.
        python: Version and build of the interpreter.
        taken_at: Date of the measurement.
    """

    ratio: float
    cpu: str
    python: str
    taken_at: str


def compare(rounds: int, seconds: float) -> float:
    """Return CPU per message of the daemon over that of the calibration workload; see `estimate`.

    Args:
        rounds: Maximum number of rounds.
        seconds: Start no new round after this time, except for the minimum number of rounds.

    Raises:
        Unavailable: There is no Redis server.
        Failed: The daemon did not do its work.
    """
    ours: list[float] = []
    fixed: list[float] = []
    with StubS3() as s3, RedisServer() as redis:
        testbed = Testbed(s3, redis, tls=False, messages=MESSAGES)
        deadline = time.monotonic() + seconds
        for number in range(rounds):
            if number >= LEAST_ROUNDS and time.monotonic() > deadline:
                break
            pin(CLIENT_CORE)
            fixed.append(calibration.cpu_us(s3.port, CALIBRATION_MESSAGES))
            pin(SERVER_CORE)
            ours.append(measure(WORKER, testbed, check_bucket=False).cpu_us)
            say(f"round {number + 1}: worker {ours[-1]:.0f}, calibration {fixed[-1]:.0f} CPU µs a message")
    return estimate(ours, fixed)


def estimate(ours: Sequence[float], fixed: Sequence[float]) -> float:
    """Return the ratio of two noisy series with one value per round: the lower of two estimates.

    Noise only adds. The median tolerates a minority of disturbed rounds; the ratio of the minima tolerates
    a majority, as long as each side had one undisturbed round.
    """
    rounds = [ours_us / fixed_us for ours_us, fixed_us in zip(ours, fixed, strict=True)]
    return min(statistics.median(rounds), min(ours) / min(fixed))


def regressed(ratio: float, baseline: float) -> bool:
    """Return whether a message costs more than is allowed."""
    return ratio > ALLOWED * baseline


def choose(baselines: Sequence[Baseline], cpu: str) -> Baseline:
    """Return the baseline of a processor model, or the highest one for an unknown model."""
    return max(baselines, key=lambda each: (each.cpu == cpu, each.ratio))


def judge(ratio: float, baseline: Baseline, cpu: str, python: str) -> tuple[bool, str]:
    """Return whether this is a regression, and the line for the log.

    Args:
        ratio: The ratio measured now.
        baseline: The baseline to compare it with.
        cpu: Processor model of this measurement.
        python: Interpreter of this measurement.
    """
    bad = regressed(ratio, baseline.ratio)
    text = (
        f"ratio {ratio:.3f}, baseline {baseline.ratio:.3f}: {ratio / baseline.ratio - 1:+.1%}, "
        f"{ALLOWED - 1:.0%} allowed: {'a REGRESSION' if bad else 'good'}"
    )
    if (cpu, python) != (baseline.cpu, baseline.python):
        text += (
            f"; beware: this is {cpu} with Python {python}, the baseline of {baseline.taken_at} was made on "
            f"{baseline.cpu} with {baseline.python}: compare with the commit before"
        )
    return bad, text


def say(text: str) -> None:
    """Print a line."""
    print(f"guard: {text}", flush=True)


def read_baselines() -> list[Baseline]:
    """Return the baselines of all processors."""
    return [Baseline(**each) for each in json.loads(BASELINES.read_text())]


def write_baseline(ratio: float, cpu: str) -> None:
    """Write the baseline of a processor model."""
    others = [each for each in read_baselines() if each.cpu != cpu]
    baseline = Baseline(round(ratio, 3), cpu, python_build(), time.strftime("%Y-%m-%d", time.gmtime()))
    BASELINES.write_text(json.dumps(list(map(attrs.asdict, [*others, baseline])), indent=1) + "\n")


def main(arguments: list[str]) -> int:
    """Run the guard; return 1 for a regression, 2 when nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--update", action="store_true", help="write the baseline instead of checking it")
    options = parser.parse_args(arguments)
    try:
        ratio = compare(options.rounds, seconds=300.0 if options.update else 50.0)
    except (Unavailable, Failed) as reason:
        say(f"cannot measure: {reason}")
        return 2
    cpu = str(describe()["cpu_model"])
    if options.update:
        write_baseline(ratio, cpu)
        say(f"new baseline {ratio:.3f}")
        return 0
    bad, text = judge(ratio, choose(read_baselines(), cpu), cpu, python_build())
    say(text)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
