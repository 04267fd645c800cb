"""The limiter finds the knee of a simulated service and follows it when it moves."""

from random import Random

import attrs
import pytest

from loadtest_trio.worker.limiter import ConcurrencyLimiter, Window


@attrs.define
class Resource:
    """Work that takes `base` seconds alone, on what does at most `capacity` pieces a second.

    With n workers a piece takes ``max(base, n / capacity)``, by Little's law: the knee is there.
    """

    base: float
    capacity: float
    offered: float = float("inf")
    noise: float = 0.0
    rng: Random = attrs.field(factory=lambda: Random(1))

    @property
    def knee(self) -> float:
        """The number of workers beyond which nothing is gained."""
        return self.base * self.capacity

    def throughput(self, workers: int) -> float:
        """Pieces a second that so many workers do."""
        return min(self.offered, workers / max(self.base, workers / self.capacity))

    def window(self, workers: int) -> Window:
        """What a second with so many workers looks like."""
        latency = max(self.base, workers / self.capacity) * (1 + self.rng.uniform(0, self.noise))
        done = int(self.throughput(workers))
        return Window(1.0, done, done * latency)


def settled(limiter: ConcurrencyLimiter, resource: Resource, windows: int = 200) -> list[int]:
    """Run for so many windows and return the limits of the last sixty."""
    limits = []
    for _ in range(windows):
        limits.append(limiter.limit)
        limiter.observe(resource.window(limiter.limit))
    return limits[-60:]


@pytest.mark.parametrize("start", [1, 10, 400])
@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_limiter_finds_the_knee(start: int, noise: float) -> None:
    """From below and from above it reaches nearly full throughput without many queued workers."""
    resource = Resource(base=0.04, capacity=500, noise=noise)
    limits = settled(ConcurrencyLimiter(start), resource)
    typical = sorted(limits)[len(limits) // 2]
    assert resource.throughput(typical) >= 0.95 * resource.capacity
    assert typical <= 2.2 * resource.knee


def test_limiter_follows_a_moving_knee() -> None:
    """A slower backend needs more workers; one that loses capacity needs fewer."""
    limiter = ConcurrencyLimiter(10)
    quick, slow, weak = Resource(0.04, 500), Resource(0.16, 500), Resource(0.04, 100)
    settled(limiter, quick)
    slower = settled(limiter, slow, 400)
    assert max(slower) >= 0.8 * slow.knee
    weaker = settled(limiter, weak, 400)
    assert sorted(weaker)[30] <= 4 * weak.knee + 10


def test_limit_does_not_grow_with_idle_workers() -> None:
    """If less is offered than the workers could do, their number does not grow."""
    assert max(settled(ConcurrencyLimiter(20), Resource(0.04, 500, offered=50))) <= 20


def test_nearly_empty_window_changes_nothing() -> None:
    """A window with little or no work leaves the limit unchanged."""
    limiter = ConcurrencyLimiter(20)
    for window in (Window(1, 0, 0), Window(1, 3, 30)):
        assert limiter.observe(window) == 20


def test_throttling_cuts_limit_at_once() -> None:
    """Each window with throttling cuts the limit, down to the minimum."""
    limiter = ConcurrencyLimiter(100, least=2)
    assert limiter.observe(Window(1, 500, 50, throttled=1)) == 70
    for _ in range(30):
        limiter.observe(Window(1, 500, 50, throttled=9))
    assert limiter.limit == 2


def test_limit_never_exceeds_maximum() -> None:
    """However much throughput there is to gain, the limit stays at its maximum."""
    limits = settled(ConcurrencyLimiter(10, most=30), Resource(1.0, 10_000))
    assert max(limits) == 30
