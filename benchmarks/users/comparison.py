"""All load generators in turn, round after round, then ours with the users that it has to hold."""

import argparse

from benchmarks.jobs.deployment import ServiceError
from benchmarks.output import RunInfo, complain, report_progress
from benchmarks.process import Unavailable
from benchmarks.users.generators import OURS, Generator, find_generators
from benchmarks.users.report import FEW, MANY, Comparison, Round
from benchmarks.users.trial import GeneratorError, Sample, Schedule, run_trial
from tests.clients.launch import ClientLoad

_RAMP_SECONDS = 5.0
_HELD_SPAWN_RATE = 750.0
_SHORT_JOB = {"type": "sleep", "payload": {"ms": 50}}
_LONG_JOB = {"type": "sleep", "payload": {"ms": 30_000}}


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
                    complain(f"round {number + 1}  {generator.name}: left out: {reason}")
                    continue
                rounds[-1][generator.name, users] = sample
                report_progress(f"round {number + 1}  {describe(generator.name, sample)}")
    held: list[Sample] = []
    try:
        held = [] if OURS in left_out else hold(options)
    except (GeneratorError, ServiceError) as reason:
        failed = True
        left_out[f"{OURS}, {options.held:,} users held"] = str(reason)
        complain(f"held     {OURS}: left out: {reason}")
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
