"""Client CPU of the queue: claim, settle, enqueue and length together, in µs a message, by batch size.

    python -m benchmarks.redis_queue [--batches 1 16 64] [--messages 20000] [--rounds 5] [--json FILE]

Starts a Redis of its own. CPU is that of this process (all threads), from the operating system; the
server's is not counted.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import trio

from loadtest_trio.embedded import RedisServer
from loadtest_trio.message import Message, Operation
from loadtest_trio.redis_service import RedisService, Settlement


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    options = _options()
    binary = Path(options.redis_server) if options.redis_server else None
    with RedisServer.start(binary=binary) as server:
        rows = [
            {"batch": batch, **trio.run(_measure, server.url, batch, options.messages, options.rounds)}
            for batch in options.batches
        ]
    print(f"{'batch':>6} {'CPU µs/msg':>11} {'min':>7} {'max':>7} {'wall µs/msg':>12}")
    for row in rows:
        print(
            f"{row['batch']:>6} {row['cpu_us']:>11.1f} {row['cpu_us_min']:>7.1f} "
            f"{row['cpu_us_max']:>7.1f} {row['wall_us']:>12.1f}"
        )
    if options.json:
        report = {
            "benchmark": "redis_queue",
            "messages": options.messages,
            "rounds": options.rounds,
            "rows": rows,
        }
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 32, 64, 128])
    parser.add_argument("--messages", type=int, default=20_000, help="messages a round, at most")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--redis-server", help="another redis-server binary than the embedded one")
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args(sys.argv[1:])


async def _measure(url: str, batch: int, messages: int, rounds: int) -> dict[str, float]:
    service = RedisService(url=url, queue_name=f"bench-{batch}", consumer="bench", backoff=lambda _: 0.1)
    await service.connect()
    cycles = max(1, min(messages, batch * 1000) // batch)  # small batches need fewer messages to be seen
    elements = [
        Message(f"{n:032x}", Operation.READ, f"loadtest/{n:032x}.txt", created_at=1.7e9).encode()
        for n in range(batch)
    ]
    await _cycle(service, elements)
    cpu, wall = [], []
    for _ in range(rounds):
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        for _ in range(cycles):
            await _cycle(service, elements)
        cpu.append((time.process_time() - cpu_start) / (cycles * batch) * 1e6)
        wall.append((time.perf_counter() - wall_start) / (cycles * batch) * 1e6)
    snapshot = await service.snapshot()
    assert snapshot.processed == snapshot.created
    assert snapshot.surplus == 0
    service.close()
    return {
        "cpu_us": statistics.median(cpu),
        "cpu_us_min": min(cpu),
        "cpu_us_max": max(cpu),
        "wall_us": statistics.median(wall),
    }


async def _cycle(service: RedisService, elements: list[bytes]) -> None:
    """Every message once through the queue."""
    await service.enqueue(elements)
    deliveries = await service.claim(len(elements))
    assert len(deliveries) == len(elements)
    await service.settle([Settlement.processed(delivery.token) for delivery in deliveries])
    await service.length()


if __name__ == "__main__":
    main()
