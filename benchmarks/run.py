"""The S3 load benchmark (`scripts/bench`): measures every contender once per round and prints a table."""

import argparse
import sys
from contextlib import ExitStack

from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.endpoint import NginxS3
from benchmarks.measure import Failed, Result, measure
from benchmarks.output import RunInfo, add_only, add_options, complain, report_progress
from benchmarks.process import SERVER_CORE, Unavailable, pin
from benchmarks.redis_server import RedisServer
from benchmarks.report import Report, write_all
from benchmarks.testbed import Endpoint, Testbed


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    add_options(parser)
    parser.add_argument("--messages", type=int, default=20_000, help="messages of the fast ones (20000)")
    add_only(parser, [each.name for each in CONTENDERS])
    parser.add_argument("--endpoint", choices=("nginx", "seaweedfs"), default="nginx", help="the S3 server")
    parser.add_argument("--tls", action="store_true", help="HTTPS (TLS 1.3) to the endpoint")
    options = parser.parse_args(arguments)
    if options.tls and options.endpoint != "nginx":
        parser.error("--tls works with --endpoint nginx only")
    return options


def chosen(only: list[str]) -> list[Contender]:
    """Return the contenders of these names; without names, all that are not optional."""
    return [each for each in CONTENDERS if (each.name in only if only else not each.optional)]


def open_endpoint(name: str) -> Endpoint:
    """Return the context manager of the S3 server, not yet started."""
    if name == "nginx":
        return NginxS3()
    from benchmarks.seaweed import SeaweedS3  # imports packages that nginx does not need

    return SeaweedS3()


Rounds = list[list[Result]]


def run_rounds(options: argparse.Namespace, contenders: list[Contender]) -> tuple[Rounds, dict[str, str]]:
    """Measure all contenders in every round.

    Returns:
        The results of each round, and the reason for each contender that was left out.
    """
    rounds: Rounds = []
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        endpoint = stack.enter_context(open_endpoint(options.endpoint))
        redis = stack.enter_context(RedisServer())
        testbed = Testbed(endpoint, redis, tls=options.tls, messages=options.messages)
        for number in range(options.rounds):
            results = []
            for contender in contenders:
                if contender.name in left_out:
                    continue
                try:
                    result = measure(contender, testbed)
                except (Unavailable, Failed) as reason:
                    left_out[contender.name] = str(reason)
                    complain(f"round {number + 1}  {contender.name}: left out: {reason}")
                    continue
                results.append(result)
                report_progress(
                    f"round {number + 1}  {contender.name:12} {result.rate:8.0f} msg/s"
                    f" {result.cpu_us:8.0f} µs CPU a message  ({result.busy:.0%} busy)"
                )
            rounds.append(results)
    return rounds, left_out


def main(arguments: list[str]) -> int:
    """Run the benchmark; return 1 when a contender failed, 2 when nothing could be measured."""
    options = parse(arguments)
    pin(SERVER_CORE)
    try:
        rounds, left_out = run_rounds(options, chosen(options.only))
    except Unavailable as reason:
        complain(f"bench: cannot measure: {reason}")
        return 2
    about = RunInfo.now(options.rounds)
    report = Report(
        endpoint=options.endpoint,
        scheme="https" if options.tls else "http",
        messages=options.messages,
        taken_at=about.taken_at,
        machine=dict(about.machine),
        rounds=rounds,
        left_out=left_out,
    )
    if not any(rounds):
        return 2
    print(write_all(report, options.results))
    return 1 if any(len(results) < len(rounds[0]) for results in rounds) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
