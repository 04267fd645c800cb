"""The client-only ceiling: the throughput of the client's own code with an S3 that costs nothing.

The configured mix goes through the real handlers, the real S3Service with its signatures, and a transport
that answers from memory. The cost of sockets, TLS, Redis and the scheduler is excluded.
"""

import time
from random import Random

import httpx
import trio

from loadtest_trio.backends.s3 import BucketLocation, Credentials, S3Service, Signing, StaticCredentials
from loadtest_trio.handlers.objects import object_handlers
from loadtest_trio.handlers.objects.payload import uuid_lines
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy
from loadtest_trio.kinds_of_work import file_sizes
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.scheduler.mix import Mix
from loadtest_trio.settings import Settings

_SECONDS, _FILES = 0.4, 16


class CannedTransport(httpx.AsyncBaseTransport):
    """Answers each GET with one of a few files, and every other request with an empty body.

    Args:
        files: The files, used in turn.
    """

    def __init__(self, files: list[bytearray]) -> None:
        self._files = files
        self._served = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer at once, with a copy of the file because a body read from a socket is also a new object."""
        await trio.lowlevel.checkpoint()
        body = bytearray()
        if request.method == "GET":
            self._served += 1
            body = bytearray(self._files[self._served % len(self._files)])
        return httpx.Response(200, extensions={"body": body})


async def client_ceiling(settings: Settings) -> float:
    """Return how many messages the client code processes per second of CPU time, one at a time.

    CPU time and not wall time, because the share of the core used by other programs says nothing about the
    client.
    """
    rng, metrics = Random(0), Metrics()
    sizes = file_sizes(settings, rng)
    store = S3Service(
        transport=CannedTransport([uuid_lines(sizes.draw(), rng) for _ in range(_FILES)]),
        location=BucketLocation("ceiling", settings.aws_region),
        signing=Signing(StaticCredentials(Credentials("key", "secret"))),
        observe=metrics.observe_s3,
    )
    registry = Registry(object_handlers(store, rng, sizes.draw, RetryPolicy(0)))
    mix = Mix(settings.steady_state_distribution.weights, rng)
    done, began = 0, time.process_time()
    while (spent := time.process_time() - began) < _SECONDS:
        operation = mix.draw()
        await registry[operation].run(Message(f"ceiling-{done}", operation, f"ceiling-{done}"))
        done += 1
    return round(done / spent, 1)
