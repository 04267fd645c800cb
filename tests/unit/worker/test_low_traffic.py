"""At low traffic an outage of S3 costs no message, and a poison message still ends dead."""

from collections.abc import Callable
from random import Random

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.backends.opening import note_backend
from loadtest_trio.backends.s3 import BucketLocation, Credentials, S3Service, Signing, StaticCredentials
from loadtest_trio.backends.s3.outage_detector import Outage
from loadtest_trio.jobs.delivery import Outcome
from loadtest_trio.jobs.message import Message, Operation
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.worker import Runner
from loadtest_trio.worker.completion import Completion
from tests.support.handlers import claimed

LISTING = httpx.Response(200, text="<ListBucketResult></ListBucketResult>")
HOUR = 3600.0


@attrs.define
class World:
    """A worker with S3 as its transport answers."""

    answer: Callable[[httpx.Request], httpx.Response]
    state: HealthState = attrs.field(factory=lambda: HealthState(trio.current_time, 60))

    def service(self) -> S3Service:
        """Return the real client."""
        return S3Service(
            transport=httpx.MockTransport(self.answer),
            location=BucketLocation("bkt", "us-east-1", "http://s3.example:1"),
            signing=Signing(StaticCredentials(Credentials("AK", "s"))),
            on_outage=self._note,
        )

    def _note(self, outage: Outage | None) -> None:
        if outage is None:
            note_backend(self.state, "s3", None)
        else:
            note_backend(self.state, "s3", outage.error, outage.since)

    async def work(self, s3: S3Service, message: Message, seconds: float) -> tuple[Completion, int]:
        """Deliver one message for so many seconds; return how it stands then, and its deliveries."""

        async def probe(_: str) -> None:
            await s3.probe()

        async def read(message: Message) -> None:
            await s3.get(message.key)

        runner = Runner(Random(1), self.state.outage_since, lambda *_: None, trio.current_time, probe=probe)
        end, deliveries = trio.current_time() + seconds, 0
        while True:
            deliveries += 1
            result = await runner.run(claimed(message, read))
            if result.outcome is not Outcome.RETRY or trio.current_time() >= end:
                return result, deliveries
            message = message.put_back(retries=result.retries, attempts=result.attempts)
            await trio.sleep(result.delay)


FAULTS = {
    "500": lambda: httpx.Response(500, text="<Error><Code>InternalError</Code></Error>"),
    "503 of a proxy": lambda: httpx.Response(503, text="<html>no backend</html>"),
    "slow down, retry after a minute": lambda: httpx.Response(503, headers={"retry-after": "60"}),
    "408": lambda: httpx.Response(408),
    "400 of a proxy": lambda: httpx.Response(400, text="<html>plain HTTP on an HTTPS port</html>"),
    "denied": lambda: httpx.Response(403, text="<Error><Code>AccessDenied</Code></Error>"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_outage_costs_a_lone_message_nothing(fault: str, autojump_clock: MockClock) -> None:
    """One message an hour, and S3 answers errors to everything: it waits, and is done when S3 is back."""
    out_until = HOUR + trio.current_time()

    def answer(request: httpx.Request) -> httpx.Response:
        listing = b"list-type" in request.extensions["target"]
        if not 1 < trio.current_time() < out_until:
            return LISTING if listing else httpx.Response(200, text="object", headers={"etag": "e"})
        return FAULTS[fault]()

    world = World(answer)
    s3 = world.service()
    await s3.get("before")
    await trio.sleep(10)
    result, _ = await world.work(s3, Message("1", Operation.READ, "k"), 2 * HOUR)
    assert (result.outcome, result.error) == (Outcome.PROCESSED, None)
    assert world.state.read().degraded == {}


async def test_poison_message_of_a_healthy_s3_ends_dead(autojump_clock: MockClock) -> None:
    """The probe succeeds, so the object is at fault, also where no other message is under way."""

    def answer(request: httpx.Request) -> httpx.Response:
        return LISTING if b"list-type" in request.extensions["target"] else FAULTS["500"]()

    world = World(answer)
    result, deliveries = await world.work(world.service(), Message("1", Operation.READ, "k"), 2 * HOUR)
    assert (result.outcome, deliveries) == (Outcome.DEAD, 4)
    assert world.state.read().degraded == {}


async def test_poison_message_of_a_redirected_bucket_ends_dead(autojump_clock: MockClock) -> None:
    """The probe goes where every request goes: to the address that S3 redirects to."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["host"] == "s3.test":
            there = "http://s3.test:81/bucket"
            return httpx.Response(
                307, headers={"location": there}, text="<Error><Code>TemporaryRedirect</Code></Error>"
            )
        return LISTING if b"list-type" in request.extensions["target"] else FAULTS["500"]()

    world = World(answer)
    result, deliveries = await world.work(world.service(), Message("1", Operation.READ, "k"), 2 * HOUR)
    assert (result.outcome, deliveries) == (Outcome.DEAD, 4)
    assert world.state.read().degraded == {}


async def test_probes_are_rare(autojump_clock: MockClock) -> None:
    """However many messages fail at once, S3 is probed once a second."""
    probes = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal probes
        probes += 1
        return LISTING

    s3 = World(answer).service()
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(s3.probe)
    assert probes == 1
    await trio.sleep(1)
    await s3.probe()
    assert probes == 2
