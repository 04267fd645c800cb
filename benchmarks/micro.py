"""The components of a message, each beside its target: `scripts/bench micro [--rounds N]`.

CPU µs of: signing; the payload of a CREATE; the edit of an UPDATE; metrics and logging; the queue, with the
service's batch sizes; and one GET and one PUT of 200 KB by several clients over HTTP and HTTPS, with wrk (C)
as the practical limit.
"""

import argparse
import statistics
import sys

import attrs
import trio

from benchmarks import redis_queue
from benchmarks.client_comparison import LIMIT, OURS, PEER, Round, compare_clients, costs, ratios
from benchmarks.components import components
from benchmarks.output import RunInfo, add_options, complain, spread, table, write
from benchmarks.process import CLIENT_CORE, SERVER_CORE, Unavailable, pin
from benchmarks.redis_server import RedisServer
from benchmarks.targets import HEADS, Target

FEW, MANY = 10, 64  # workers: the default, and the number that targets are measured with


def component_rounds(rounds: int) -> list[dict[str, float]]:
    """Measure all components that need no server, once per round."""
    cases = components()
    return [{name: component.cpu_us() for name, component in cases.items()} for _ in range(rounds)]


def queue_rounds(rounds: int, messages: int = 10_000) -> dict[int, list[float]]:
    """Measure the queue with the batch sizes of few and of many workers, in alternation."""
    costs: dict[int, list[float]] = {FEW: [], MANY: []}
    with RedisServer() as redis:
        for _ in range(rounds):
            for workers, values in costs.items():
                batches = redis_queue.Batches.of_service(workers)
                values.append(trio.run(redis_queue.measure, redis.endpoint, batches, messages).cpu_us)
    return costs


def figures(
    costs_by_component: list[dict[str, float]],
    queue: dict[int, list[float]],
    requests: dict[str, list[Round]],
) -> list[Target]:
    """Return all figures with their targets."""

    def of(*names: str) -> list[float]:
        return [sum(each[name] for name in names) for each in costs_by_component]

    against = [
        figure
        for kind, rounds in requests.items()
        for figure in (
            Target(f"{OURS}: {kind}", ratios(rounds, OURS, LIMIT), 2, "≤", f"× {LIMIT}"),
            Target(f"{OURS}: {kind}", ratios(rounds, OURS, PEER), 1, "<", f"× {PEER}"),
        )
    ]
    return [
        *against,
        Target("sign one request", of("sign"), 25),
        Target("CREATE: payload of 5,500 UUIDs", of("create"), 1000),
        Target("UPDATE: edit of 200 KB", of("edit"), 50),
        *(
            Target(
                f"Redis a message, {workers} workers ({redis_queue.Batches.of_service(workers)})", values, 60
            )
            for workers, values in queue.items()
        ),
        Target("metrics and logging a message", of("record", "line"), 20),
    ]


def render(about: RunInfo, targets: list[Target], requests: dict[str, list[Round]]) -> str:
    """Return the result as Markdown: the targets, then the comparison of clients."""
    how = "CPU of the client, all threads, user and system. A target is met when the median keeps to it."
    blocks = [
        about.heading("Components of a message", how),
        table(["component", *HEADS], [figure.row() for figure in targets]),
    ]
    for kind, rounds in requests.items():
        names = sorted(
            {name for each in rounds for name in each},
            key=lambda name: statistics.median(costs(rounds, name)),
        )
        rows = [
            [
                name,
                spread(costs(rounds, name), 1),
                spread(ratios(rounds, name, LIMIT), 2),
                spread(ratios(rounds, name, PEER), 2),
            ]
            for name in names
        ]
        blocks += ["", table([kind, "CPU µs a request", f"÷ {LIMIT}", f"÷ {PEER}"], rows)]
    return "\n".join(blocks)


def main(arguments: list[str]) -> int:
    """Measure, print, and write micro.json and micro.md; leave out what is not installed."""
    parser = argparse.ArgumentParser(prog="scripts/bench micro", description=__doc__)
    add_options(parser)
    parser.add_argument("--requests", type=int, default=5_000, help="requests per fast client (5000)")
    parser.add_argument(
        "--components-only",
        "--parts-only",
        dest="components_only",
        action="store_true",
        help="leave the clients out",
    )
    options = parser.parse_args(arguments)
    pin(CLIENT_CORE)
    component_costs = component_rounds(options.rounds)
    requests: dict[str, list[Round]] = {}
    queue: dict[int, list[float]] = {FEW: [], MANY: []}
    try:
        queue = queue_rounds(options.rounds)
        pin(SERVER_CORE)
        if not options.components_only:
            requests = compare_clients(options.rounds, options.requests)
    except Unavailable as reason:
        complain(f"bench: left out: {reason}")
    about, targets = RunInfo.now(options.rounds), figures(component_costs, queue, requests)
    text = render(about, targets, requests)
    facts = attrs.asdict(about) | {"targets": [attrs.asdict(each) | {"met": each.met} for each in targets]}
    write(options.results, "micro", text, facts | {"components": component_costs, "requests": requests})
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
