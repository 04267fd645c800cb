"""What is varied, and how each size is tried. The sizes of a sweep differ in nothing else."""

import copy
import itertools
from collections.abc import Callable, Iterator

import attrs

from benchmarks.contenders import SATURATE, WORKER, Contender, daemon
from benchmarks.endpoint import NginxS3
from benchmarks.scale.trial import Sample, run_trial
from benchmarks.stub_s3 import StubS3
from benchmarks.testbed import Endpoint, Testbed
from benchmarks.workload import PREFIX

Measure = Callable[[int, Testbed], Sample]

FEW, BASE = 10, 64  # the default number of workers; the one that the memory of a further one is counted from
DISTANCE_SECONDS = 0.03  # that a request waits at the endpoint
THROUGHPUT = "throughput"
_MANY_OBJECTS, _BODIES = 50_000, 500
MESSAGES_A_WORKER, MOST_MESSAGES = 200, 15_000
_REQUESTS_A_SECOND = 1000.0  # of all workers together
_BOTH_ROLES = "scheduler,worker"


@attrs.frozen
class Sweep:
    """One thing that is varied.

    Attributes:
        name: What ``--only`` calls it.
        title: Heading of its table.
        unit: Heading of the column of sizes.
        sizes: The sizes, the one that the others are compared to first.
        measure: Measures one size.
    """

    name: str
    title: str
    unit: str
    sizes: tuple[int, ...]
    measure: Measure


@attrs.frozen
class Start:
    """One way to start.

    Attributes:
        title: What the table calls it.
        contender: The daemon.
        objects: Whether the bucket has objects already.
    """

    title: str
    contender: Contender
    objects: bool


def with_workers(size: int, testbed: Testbed) -> Sample:
    """Measure a daemon with so many workers on a prepared queue.

    On loopback a few dozen workers do all the work and the others sleep. So the endpoint is as distant as
    keeps all of them busy (Little's law): the rate is the same at every size, less than the core could do.
    There are many more objects than workers, or they would wait for each other's keys.
    """
    with NginxS3(delay=size / _REQUESTS_A_SECOND) as endpoint:
        return run_trial(_worker(size), _with_many_objects(_at(endpoint, testbed)))


def with_known(size: int, testbed: Testbed) -> Sample:
    """Measure a daemon that knows so many objects and schedules its own messages among them.

    The floor of the bucket is its size, so that all sizes get the same mix, refills included. The queue is
    kept short, so that also of a hundred objects most are free to be chosen. Only the first LIST happens.
    """
    env = SATURATE | {
        "ROLES": _BOTH_ROLES,
        "PRECONDITION_MIN_OBJECTS": str(size),
        "PRECONDITION_MAX_OBJECTS": str(2 * size),
        "SCHEDULER_TARGET_QUEUE_LENGTH": "100",
        "SCHEDULER_INTERVAL_SECONDS": "0.05",
        "INVENTORY_RECONCILE_SECONDS": "86400",
    }
    contender = Contender(
        "known", "both roles", daemon, concurrency=FEW, env=env, scheduled=True, service=True
    )
    with StubS3(size) as endpoint:
        return run_trial(contender, _at(endpoint, testbed))


def at_a_distance(size: int, testbed: Testbed) -> Sample:
    """Measure a daemon with so many workers, the S3 server being as far away as a real one may be.

    A worker waits for nearly all of a message, so the rate grows with the workers until the core is full.
    The number of messages grows with them, so that each size takes five to ten seconds.
    """
    with NginxS3(delay=DISTANCE_SECONDS) as endpoint:
        many = _with_many_objects(_at(endpoint, testbed))
        many.messages = min(MESSAGES_A_WORKER * size, MOST_MESSAGES)
        return run_trial(_worker(size), many)


def with_waiting(size: int, testbed: Testbed) -> Sample:
    """Measure a daemon while so many further messages wait behind those it works on."""
    return run_trial(_worker(BASE), testbed, behind=size)


SWEEPS = (
    Sweep("workers", "Workers", "workers", (8, 16, BASE, 128, 256, 512), with_workers),
    Sweep("known", "Known objects", "objects", (100, 10_000, 1_000_000), with_known),
    Sweep("waiting", "Waiting messages", "messages behind", (1_000, 100_000, 1_000_000), with_waiting),
    Sweep(THROUGHPUT, "Throughput", "workers", tuple(2**n for n in range(9)), at_a_distance),
)


def _at(endpoint: Endpoint, testbed: Testbed) -> Testbed:
    """Return the same testbed with another endpoint."""
    moved = copy.copy(testbed)
    moved.endpoint = endpoint
    return moved


def _with_many_objects(testbed: Testbed) -> Testbed:
    """Let the testbed have many objects, of few bodies: workers seldom wait for each other's keys."""
    bodies = [body for _, body in testbed.objects[:_BODIES]]
    testbed.keys = [f"{PREFIX}many-{n:06d}" for n in range(_MANY_OBJECTS)]
    testbed.objects = list(zip(testbed.keys, itertools.cycle(bodies), strict=False))
    return testbed


def _worker(concurrency: int) -> Contender:
    return Contender("worker", "ROLES=worker", daemon, concurrency=concurrency, env=WORKER, service=True)


def _starts() -> Iterator[Start]:
    yield Start("a worker, messages waiting", _worker(FEW), objects=True)
    for title, objects in (("both roles, an empty bucket", False), ("both roles, a filled bucket", True)):
        env = {"ROLES": _BOTH_ROLES}
        both = Contender("both", title, daemon, concurrency=FEW, env=env, scheduled=True, service=True)
        yield Start(title, both, objects)


STARTS = tuple(_starts())
