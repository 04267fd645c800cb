"""The S3 transport alone: `scripts/bench transport [--requests N]`.

CPU µs of the client for one GET and one PUT of 200 KB, unsigned, over HTTP and HTTPS, against nginx:

* ``wrk``: C, the practical limit;
* ``bare``: a socket, with the same bytes and the same waits, and neither parser nor checks: the floor of
  Python and Trio (HTTP only);
* ``connection``: our `Connection` alone, without pool, deadlines and httpx objects;
* ``lean``: `LeanTransport` with a `DeadlineWatch`, as the service uses it;
* ``lean, unwatched``: the same with one cancel scope per request instead;
* ``httpx``: httpx's own transport.

All are measured in short turns and compared within a round, so that other load slows all alike.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from operator import truediv

import attrs
import trio

from benchmarks import wrk
from benchmarks.endpoint import NginxS3
from benchmarks.output import RunInfo, add_options, complain, report_progress, spread, table, write
from benchmarks.process import CLIENT_CORE, Unavailable, pin
from benchmarks.transport_scenarios import (
    BODY,
    BUCKET,
    KEY,
    METHODS,
    Call,
    Scenario,
    over_bare_sockets,
    over_connections,
    over_transport,
)

Values = dict[str, list[float]]


async def cpu_us(session: AbstractAsyncContextManager[list[Call]], requests: int) -> float:
    """Return CPU µs per request, after a warm-up with a fifth of the requests."""
    async with session as calls:
        await repeat(calls, requests // 5)
        started = time.process_time()
        await repeat(calls, requests)
        return (time.process_time() - started) / requests * 1e6


async def repeat(calls: list[Call], count: int) -> None:
    """Make `count` requests, with one task for each of the calls."""
    left = count

    async def task(call: Call) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(task, call)


def contenders(scenario: Scenario) -> dict[str, Callable[[int], float]]:
    """Return the contenders of a scenario: functions from a number of requests to CPU µs per request."""

    def ours(requests: int, *, watched: bool) -> float:
        return trio.run(cpu_us, over_transport(scenario, "lean", watched=watched), requests)

    everybody: dict[str, Callable[[int], float]] = {
        "wrk": partial(wrk_cpu_us, scenario),
        "bare": lambda requests: trio.run(cpu_us, over_bare_sockets(scenario), requests),
        "connection": lambda requests: trio.run(cpu_us, over_connections(scenario), requests),
        "lean": partial(ours, watched=True),
        "lean, unwatched": partial(ours, watched=False),
        "httpx": lambda requests: trio.run(cpu_us, over_transport(scenario, "httpx"), requests // 5),
    }
    if not wrk.installed():
        del everybody["wrk"]
    if scenario.tls:
        del everybody["bare"]
    return everybody


def wrk_cpu_us(scenario: Scenario, requests: int) -> float:
    """Return wrk's CPU µs per request."""
    return wrk.cpu_us(scenario.url, scenario.method, requests=requests, tasks=scenario.tasks)


def scenarios(endpoint: NginxS3, options: argparse.Namespace) -> Iterator[tuple[str, Values]]:
    """Measure every scenario: all contenders in turn, round after round."""
    for tls in (False, True):
        for method in METHODS:
            endpoint.reset(BUCKET, [(KEY, bytes(BODY))])
            scenario = Scenario(endpoint, method, tls=tls, tasks=options.tasks)
            values: Values = {}
            for _ in range(options.rounds):
                for name, measure in contenders(scenario).items():
                    values.setdefault(name, []).append(measure(options.requests))
            report_progress(f"measured: {scenario.name}")
            yield scenario.name, values


def render(about: RunInfo, figures: dict[str, Values], tasks: int) -> str:
    """Return one table per scenario; ratios are taken within a round."""
    how = f"Unsigned requests, {tasks} at a time, over loopback to nginx; CPU of the client."
    blocks = [about.heading("The S3 transport", how)]
    for title, values in figures.items():
        limit = values.get("wrk")
        rows = [
            [name, spread(series, 1), spread(list(map(truediv, series, limit)) if limit else [], 2)]
            for name, series in values.items()
        ]
        blocks += [table([title, "CPU µs a request", "÷ wrk"], rows), ""]
    return "\n".join(blocks)


def main(arguments: list[str]) -> int:
    """Measure, print, and write transport.json and transport.md; return 2 without an endpoint."""
    parser = argparse.ArgumentParser(prog="scripts/bench transport", description=__doc__)
    add_options(parser)
    parser.add_argument(
        "--requests", type=int, default=2000, help="requests a turn; httpx makes a fifth (2000)"
    )
    parser.add_argument("--tasks", type=int, default=10, help="concurrent requests (10)")
    options = parser.parse_args(arguments)
    try:
        with NginxS3() as endpoint:
            pin(CLIENT_CORE)
            figures = dict(scenarios(endpoint, options))
    except Unavailable as reason:
        complain(f"transport: cannot measure: {reason}")
        return 2
    about = RunInfo.now(options.rounds)
    text = render(about, figures, options.tasks)
    facts = attrs.asdict(about) | {"tasks": options.tasks, "cpu_us": figures}
    write(options.results, "transport", text, facts)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
