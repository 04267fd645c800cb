"""The work on a message that needs no server, one function per component, each returning a call to repeat."""

import io
import random
import time
from collections.abc import Callable

import attrs

from benchmarks.calibration import SIZE
from benchmarks.testbed import BUCKET
from loadtest_trio.backends.s3.credentials import Credentials
from loadtest_trio.backends.s3.sigv4 import UNSIGNED_PAYLOAD, Signer
from loadtest_trio.handlers.objects.payload import edit, uuid_lines
from loadtest_trio.jobs.message import Message, Operation
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.collecting import collect
from loadtest_trio.metrics.counters import Metrics

_MESSAGES_A_LINE = 16_000  # ten seconds at the target rate


@attrs.frozen
class Component:
    """A component to measure.

    Attributes:
        call: Runs it once.
        count: Calls per round.
        messages: Number of messages that one call covers.
    """

    call: Callable[[], object]
    count: int
    messages: int = 1

    def cpu_us(self) -> float:
        """Return CPU µs per message; a first call is not counted."""
        self.call()
        started = time.process_time()
        for _ in range(self.count):
            self.call()
        return (time.process_time() - started) / (self.count * self.messages) * 1e6


def components() -> dict[str, Component]:
    """Return all components by name."""
    return {
        "sign": Component(signing(), 2_000),
        "create": Component(payload(), 20),
        "edit": Component(editing(), 500),
        "record": Component(recording(), 2_000),
        "line": Component(collecting(), 5, _MESSAGES_A_LINE),
    }


def signing() -> Callable[[], object]:
    """Sign one PUT, as S3Service does."""
    signer, keys = Signer("us-east-1"), Credentials("AKIDBENCH", "secret")
    headers = [("host", "127.0.0.1:9000"), ("content-type", "text/plain")]
    path = f"/{BUCKET}/loadtest/0123456789abcdef0123456789abcdef.txt"
    return lambda: signer.sign("PUT", path, "", headers, UNSIGNED_PAYLOAD, keys, time.time())


def payload() -> Callable[[], object]:
    """Make one medium-sized file."""
    rng = random.Random()
    return lambda: uuid_lines(5_500, rng)


def editing() -> Callable[[], object]:
    """Edit one medium-sized file."""
    rng = random.Random()
    body = uuid_lines(5_500, rng)
    return lambda: edit(body, rng)


def recording() -> Callable[[], object]:
    """Record the metrics of one message: scheduled, handled, 1.25 S3 requests."""
    metrics, rng = Metrics(), random.Random(1)
    message = Message("id", Operation.READ, "loadtest/x", created_at=1.0)

    def record() -> None:
        taken = 1.0 + rng.random()
        metrics.scheduled(message)
        metrics.observe_s3("GET", taken, SIZE, None)
        metrics.handled(message, started=taken, ended=taken + 0.01)
        if rng.random() < 0.25:
            metrics.observe_s3("PUT", taken, SIZE, None)

    return record


def collecting() -> Callable[[], object]:
    """Collect and write one metrics line, after ten busy seconds."""
    metrics, rng = Metrics(), random.Random(1)
    logs.configure(io.StringIO(), json=True)
    messages = [Message("id", operation, "loadtest/x", created_at=1.0) for operation in Operation]
    shares = {operation.value: 25.0 for operation in Operation}

    def line() -> None:
        for number in range(400):  # enough distinct values to fill the buckets that histograms usually have
            taken = 1.0 + rng.expovariate(20)
            metrics.handled(messages[number % 4], started=taken, ended=taken + rng.expovariate(100))
            metrics.observe_s3(("GET", "PUT", "DELETE")[number % 3], rng.expovariate(100), SIZE, None)
        logs.event("metrics", **collect(metrics, shares))

    return line
