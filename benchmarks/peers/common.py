"""Shared by the Python peers of the S3 load: the contract with the harness, and the work besides I/O.

The contract: read all settings from the environment, pop `MESSAGES` JSON messages from the right end of the
list ``{QUEUE_NAME}:queue``, process them, print one JSON line with the counts, exit.
"""

import json
import os
import random
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

HEX = b"0123456789abcdef"
VECTORISED = bool(os.environ.get("VECTORISED"))


@dataclass(frozen=True)
class Job:
    """The settings from the harness."""

    redis_endpoint: str = os.environ.get("REDIS_ENDPOINT", "redis://127.0.0.1:6379")
    s3_endpoint: str = os.environ.get("S3_ENDPOINT_URL", "")
    bucket: str = os.environ.get("S3_BUCKET", "bench")
    queue: str = f"{{{os.environ.get('QUEUE_NAME', 'loadtest')}}}:queue"
    messages: int = int(os.environ.get("MESSAGES", "1000"))
    concurrency: int = int(os.environ.get("WORKER_CONCURRENCY", "64"))


@dataclass
class Tally:
    """Counts of the messages processed so far."""

    claimed: int = 0
    done: dict[str, int] = field(default_factory=lambda: {"READ": 0, "UPDATE": 0, "CREATE": 0, "DELETE": 0})
    failed: int = 0
    started: float = field(default_factory=time.perf_counter)

    def print(self) -> None:
        """Print the line that the harness reads."""
        usage = os.times()
        print(
            json.dumps(
                {
                    "messages": sum(self.done.values()),
                    "failed": self.failed,
                    "by_operation": self.done,
                    "wall_seconds": time.perf_counter() - self.started,
                    "cpu_seconds": usage.user + usage.system,
                }
            ),
            flush=True,
        )


def read_message(element: bytes) -> dict[str, Any]:
    """Return one queue element as a dictionary."""
    message: dict[str, Any] = json.loads(element)
    return message


def create_payload(count: int) -> bytes:
    """Return `count` random UUIDs, one per line; with the service's own code when VECTORISED is set."""
    if VECTORISED:
        from loadtest_trio.handlers.objects.payload import uuid_lines

        return bytes(uuid_lines(count, random.Random()))
    return "".join(f"{uuid4()}\n" for _ in range(count)).encode()


def edit(body: bytes) -> bytes:
    """Return the body with two random hex digits replaced by different ones."""
    text = bytearray(body)
    for _ in range(2):
        while text[position := random.randrange(len(text))] not in HEX:
            pass
        text[position] = random.choice([digit for digit in HEX if digit != text[position]])
    return bytes(text)
