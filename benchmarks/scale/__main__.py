"""``python -m benchmarks.scale``: all sizes in turn, round after round, then tables; see ../README.md."""

import argparse
import sys

from benchmarks.endpoint import NginxS3
from benchmarks.field import Field
from benchmarks.measure import Failed
from benchmarks.output import About, add_options
from benchmarks.process import SERVER_CORE, Unavailable, pin
from benchmarks.redis_server import RedisServer
from benchmarks.scale.report import Scale, write_all
from benchmarks.scale.sweeps import STARTS, SWEEPS, Sweep
from benchmarks.scale.trial import Rounds, start_once

LEAST_MESSAGES = 2000
PARTS = (*(sweep.name for sweep in SWEEPS), "start")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="BENCH_MODULE=scale scripts/bench", description=__doc__)
    add_options(parser)
    parser.add_argument("--messages", type=int, default=20_000, help="messages a trial (20000)")
    parser.add_argument("--starts", type=int, default=5, help="starts of each kind (5)")
    parser.add_argument("--most", type=int, default=sys.maxsize, help="leave out larger sizes")
    parser.add_argument("--only", default="", help=f"comma-separated, of {', '.join(PARTS)}")
    options = parser.parse_args(arguments)
    options.parts = options.only.split(",") if options.only else list(PARTS)
    unknown = set(options.parts) - set(PARTS)
    if options.messages < LEAST_MESSAGES:
        parser.error(f"--messages: {LEAST_MESSAGES} or more, or 512 workers have too little to do")
    if unknown:
        parser.error(f"--only: unknown {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return options


def play(sweep: Sweep, field: Field, *, rounds: int, most: int) -> Rounds:
    """Try every size of a sweep up to `most`, and all of them again."""
    played: Rounds = []
    for number in range(rounds):
        samples = {}
        for size in sweep.sizes:
            if size > most:
                continue
            sample = samples[size] = sweep.attempt(size, field)
            say(
                f"round {number + 1}  {size:>9,} {sweep.unit:15} {sample.cpu_us:6.0f} µs CPU a message, "
                f"{sample.rate:6.0f} msg/s, {sample.busy:4.0%} busy, {sample.rss_mb:4.0f} MB"
            )
        played.append(samples)
    return played


def play_starts(field: Field, times: int) -> dict[str, list[float]]:
    """Start in every way, and all of them again; returns the seconds by title."""
    seconds: dict[str, list[float]] = {start.title: [] for start in STARTS}
    for _ in range(times):
        for start in STARTS:
            seconds[start.title].append(start_once(start.contender, field, objects=start.objects))
            say(f"{start.title}: {seconds[start.title][-1]:.2f} s")
    return seconds


def say(text: str) -> None:
    """Tell the user how it goes, on standard error."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Measure and report; return the exit code, 2 when something could not be measured."""
    options = parse(arguments)
    pin(SERVER_CORE)
    try:
        with NginxS3() as endpoint, RedisServer() as redis:
            field = Field(endpoint, redis, tls=False, messages=options.messages)
            sweeps = {
                sweep.name: play(sweep, field, rounds=options.rounds, most=options.most)
                for sweep in SWEEPS
                if sweep.name in options.parts and sweep.sizes[0] <= options.most
            }
            starts = play_starts(field, options.starts) if "start" in options.parts else {}
    except (Unavailable, Failed) as reason:
        say(f"scale: cannot measure: {reason}")
        return 2
    scale = Scale(About.now(options.rounds), options.messages, sweeps, starts)
    # A part of the sweeps has files of its own, lest it replace the whole.
    name = "-".join(["scale", *(options.parts if options.only else [])])
    print(write_all(scale, options.results, name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
