"""The client's CPU per message in the queue, by batch size: `scripts/bench redis_queue`.

It covers claim, settle, enqueue and length, in all threads of this process; the server's CPU is not counted.
Equal batch sizes show what batching saves; the service's own sizes show what it pays.
"""

import argparse
import itertools
import statistics
import sys
import time
from pathlib import Path

import attrs
import trio

from benchmarks.charts import Series, draw
from benchmarks.output import RunInfo, add_options, complain, report_progress, spread, table, write
from benchmarks.process import CLIENT_CORE, Unavailable, pin
from benchmarks.redis_server import RedisServer
from loadtest_trio.backends.redis import RedisOptions, RedisService
from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.message import Message, Operation
from loadtest_trio.scheduler import service as scheduler
from loadtest_trio.worker import acknowledger, claimer

TARGET = 60.0
SIZES = (1, 4, 16, 32, 64, 128, 256)
WORKERS = (10, 64)
_RATE = 1600  # messages a second: the target for one vCPU


@attrs.frozen
class Batches:
    """Number of messages per call, for each kind of call."""

    enqueue: int
    claim: int
    settle: int

    @classmethod
    def equal(cls, size: int) -> "Batches":
        """Return the same size for every kind of call."""
        return cls(size, size, size)

    @classmethod
    def of_service(cls, workers: int) -> "Batches":
        """Return the service's batch sizes at the target rate, derived from its constants.

        In saturate mode the scheduler reads the length and enqueues ten times a second; a claim takes as
        many messages as there are workers; the acknowledger sends what gathered during its pause. (Rate mode
        enqueues more at once.)
        """
        return cls(
            enqueue=min(scheduler._BATCH, round(_RATE * scheduler._POLL_SECONDS)),
            claim=min(claimer._BATCH, workers),
            settle=min(acknowledger._FULL_BATCH, round(_RATE * acknowledger._LINGER_SECONDS)),
        )

    def __str__(self) -> str:
        return f"enqueue {self.enqueue}, claim {self.claim}, settle {self.settle}"


@attrs.frozen
class Cost:
    """The cost of one message: CPU of this process, and wall time."""

    cpu_us: float
    wall_us: float


async def measure(url: str, batches: Batches, messages: int) -> Cost:
    """Put messages through the queue and measure CPU and time.

    Args:
        url: A Redis server that nobody else uses.
        batches: Batch sizes.
        messages: Maximum number; small batches get fewer.

    Returns:
        The cost per message; a first cycle is not counted.
    """
    service = RedisService(RedisOptions(url, "bench", "bench"), backoff=lambda _: 0.1)
    await service.connect()
    turns = max(1, min(messages, batches.claim * 1000) // batches.enqueue)
    elements = [
        Message(f"{n:032x}", Operation.READ, f"loadtest/{n:032x}.txt", created_at=1.7e9).encode()
        for n in range(batches.enqueue)
    ]
    await _turn(service, elements, batches)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(turns):
        await _turn(service, elements, batches)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    snapshot = await service.snapshot()
    assert snapshot.processed == snapshot.created
    assert snapshot.surplus == 0
    await service.erase()
    service.close()
    done = turns * len(elements)
    return Cost(cpu / done * 1e6, wall / done * 1e6)


async def _turn(service: RedisService, elements: list[bytes], batches: Batches) -> None:
    """Put every message through the queue once."""
    await service.length()
    await service.enqueue(elements)
    finished: list[Settlement] = []
    for _ in range(-(-len(elements) // batches.claim)):
        finished += [Settlement.processed(each.token) for each in await service.claim(batches.claim)]
        while len(finished) >= batches.settle:
            await service.settle(finished[: batches.settle])
            del finished[: batches.settle]
    if finished:
        await service.settle(finished)


def run_rounds(url: str, everything: dict[str, Batches], rounds: int, messages: int) -> dict[str, list[Cost]]:
    """Measure all batch sizes in every round."""
    costs: dict[str, list[Cost]] = {name: [] for name in everything}
    for number, (name, batches) in itertools.product(range(rounds), everything.items()):
        costs[name].append(trio.run(measure, url, batches, messages))
        report_progress(f"round {number + 1}  {name}: {costs[name][-1].cpu_us:.0f} CPU µs")
    return costs


def render(about: RunInfo, everything: dict[str, Batches], costs: dict[str, list[Cost]]) -> str:
    """Return the table with its heading."""
    how = (
        f"CPU of the client for enqueue, claim, settle and length together. The service's rows have the "
        f"batches that it makes at {_RATE:,} messages a second; their target is {TARGET:g} µs."
    )
    rows = [
        [
            name,
            str(everything[name]),
            spread([each.cpu_us for each in values], 1),
            spread([each.wall_us for each in values], 1),
        ]
        for name, values in costs.items()
    ]
    heads = ["batches", "messages a call", "CPU µs a message", "wall µs a message"]
    return about.heading("Redis by the size of batches", how) + "\n" + table(heads, rows)


def plot(path: Path, costs: dict[str, list[Cost]]) -> None:
    """Draw CPU per message by batch size; the service's own costs are horizontal lines."""
    cpu = {name: [each.cpu_us for each in values] for name, values in costs.items()}
    equal = {int(name): values for name, values in cpu.items() if name.isdigit()}
    levels = {
        f"{name}: {statistics.median(values):.0f} µs": values
        for name, values in cpu.items()
        if not name.isdigit()
    }
    levels[f"target: {TARGET:.0f} µs"] = [TARGET]
    draw(
        path,
        "Redis: what a batch is worth",
        "messages a call, the same for each kind of call",
        [Series("CPU µs a message", equal, levels)],
    )


def write_all(
    folder: Path, about: RunInfo, everything: dict[str, Batches], costs: dict[str, list[Cost]]
) -> str:
    """Write redis_queue.json, .md and .png; return the table."""
    text = render(about, everything, costs)
    rows = {
        name: {"batches": attrs.asdict(everything[name]), "costs": list(map(attrs.asdict, values))}
        for name, values in costs.items()
    }
    picture = "\n\n![CPU by size of batches](redis_queue.png)"
    write(folder, "redis_queue", text + picture, attrs.asdict(about) | {"rows": rows})
    plot(folder / "redis_queue.png", costs)
    return text


def main(arguments: list[str]) -> int:
    """Measure, print and write the result; return 2 without a Redis server."""
    parser = argparse.ArgumentParser(prog="scripts/bench redis_queue", description=__doc__)
    add_options(parser)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="sizes of equal batches")
    parser.add_argument("--messages", type=int, default=20_000, help="messages a trial, at most (20000)")
    options = parser.parse_args(arguments)
    everything = {str(size): Batches.equal(size) for size in options.sizes}
    everything |= {f"service, {workers} workers": Batches.of_service(workers) for workers in WORKERS}
    try:
        with RedisServer() as redis:
            pin(CLIENT_CORE)
            costs = run_rounds(redis.endpoint, everything, options.rounds, options.messages)
    except Unavailable as reason:
        complain(f"redis_queue: cannot measure: {reason}")
        return 2
    print(write_all(options.results, RunInfo.now(options.rounds), everything, costs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
