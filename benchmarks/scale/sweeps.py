"""The sweeps: what varies, and how each size is measured. Everything else is equal."""

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

FEW, BASE = 10, 64  # the default number of workers; the number from which additional memory is counted
DISTANCE_SECONDS = 0.03  # delay of a request at the endpoint
THROUGHPUT = "throughput"
_MANY_OBJECTS, _BODIES = 50_000, 500
MESSAGES_A_WORKER, MOST_MESSAGES = 200, 15_000
_REQUESTS_A_SECOND = 1000.0  # all workers together
_BOTH_ROLES = "scheduler,worker"


@attrs.frozen
class Sweep:
    """One quantity that varies.

    Attributes:
        name: What ``--only`` calls it.
        title: Heading of its table.
        unit: Heading of the column of sizes.
        sizes: The sizes; the first is the one the others are compared with.
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
        objects: Whether the bucket already has objects.
    """

    title: str
    contender: Contender
    objects: bool


def with_workers(size: int, testbed: Testbed) -> Sample:
    """Measure a daemon with this number of workers on a prepared queue.

    On loopback a few dozen workers would do all the work. So the endpoint delays its responses by as much as
    keeps all workers busy (Little's law): the rate is the same at every size, and below what the core can do.
    There are many more objects than workers, so that workers do not wait for each other's keys.
    """
    with NginxS3(delay=size / _REQUESTS_A_SECOND) as endpoint:
        return run_trial(_worker(size), _with_many_objects(_at(endpoint, testbed)))


def with_known(size: int, testbed: Testbed) -> Sample:
    """Measure a daemon that knows this number of objects and schedules its own messages.

    The bucket's minimum equals its size, so that all sizes get the same mix, refills included. The queue is
    short, so that even of a hundred objects most are available. There is only the first LIST.
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
    """Measure a daemon with this number of workers and an S3 server that is as distant as a real one.

    A worker spends nearly all of a message waiting, so the rate grows with the workers until the core is
    full. The number of messages grows with the workers, so that each size takes five to ten seconds.
    """
    with NginxS3(delay=DISTANCE_SECONDS) as endpoint:
        many = _with_many_objects(_at(endpoint, testbed))
        many.messages = min(MESSAGES_A_WORKER * size, MOST_MESSAGES)
        return run_trial(_worker(size), many)


def with_waiting(size: int, testbed: Testbed) -> Sample:
    """Measure a daemon while this number of messages waits behind those that are measured."""
    return run_trial(_worker(BASE), testbed, behind=size)


SWEEPS = (
    Sweep("workers", "Workers", "workers", (8, 16, BASE, 128, 256, 512), with_workers),
    Sweep("known", "Known objects", "objects", (100, 10_000, 1_000_000), with_known),
    Sweep("waiting", "Waiting messages", "messages behind", (1_000, 100_000, 1_000_000), with_waiting),
    Sweep(THROUGHPUT, "Throughput", "workers", tuple(2**n for n in range(9)), at_a_distance),
)


def _at(endpoint: Endpoint, testbed: Testbed) -> Testbed:
    """Return a copy of the testbed with another endpoint."""
    moved = copy.copy(testbed)
    moved.endpoint = endpoint
    return moved


def _with_many_objects(testbed: Testbed) -> Testbed:
    """Give the testbed many objects with few different bodies, so that workers seldom share a key."""
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
