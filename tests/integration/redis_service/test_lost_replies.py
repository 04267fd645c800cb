"""A reply that is lost after the server did the work: asked again, nothing happens twice."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio

from loadtest_trio.errors import RedisRejectedError, RedisUnavailableError
from loadtest_trio.redis_service import RedisService, Settlement, dead_record

Spoil = Callable[[], None]


@pytest.fixture(params=["lost", "truncated", "lost twice"])
def spoil(request: pytest.FixtureRequest, proxy: Any) -> Spoil:
    """Spoils the reply to the next script call, in each of the ways."""

    def do() -> None:
        proxy.lose = {"lost": 1, "lost twice": 2}.get(request.param, 0)
        proxy.truncate = int(request.param == "truncated")

    return do


@pytest.fixture
async def service(make_service: Any, through: str) -> RedisService:
    """A consumer behind the proxy, connected (its scripts are loaded)."""
    service: RedisService = make_service(url=through)
    await service.connect()
    return service


async def surplus(service: RedisService) -> int:
    return (await service.snapshot()).surplus


async def test_enqueue_does_not_double(service: RedisService, bare: Any, spoil: Spoil) -> None:
    """The batch is on the queue once."""
    spoil()
    assert await service.enqueue([b"1", b"2"]) == 2
    assert await service.enqueue([b"3"]) == 3
    assert bare.queue() == [b"1", b"2", b"3"]
    assert (await service.snapshot()).created == 3


async def test_claim_returns_the_batch_that_was_claimed(
    service: RedisService, bare: Any, spoil: Spoil
) -> None:
    """The repeated claim gets the messages, tokens and times of the first, and takes no others."""
    await service.enqueue([b"1", b"1", b"2", b"3"])
    spoil()
    deliveries = await service.claim(3)
    assert [delivery.element for delivery in deliveries] == [b"1", b"1", b"2"]
    assert bare.in_flight("a") == {each.token.encode(): each.element for each in deliveries}
    assert {delivery.deliveries for delivery in deliveries} == {1}
    assert bare.queue() == [b"3"]


async def test_empty_claim_stays_empty(service: RedisService, spoil: Spoil) -> None:
    """A claim that found nothing finds nothing when repeated; the next one starts afresh."""
    spoil()
    assert await service.claim(3) == []
    await service.enqueue([b"1"])
    assert len(await service.claim(3)) == 1


async def test_repeated_claim_keeps_the_delivery_count(
    service: RedisService, make_service: Any, bare: Any, spoil: Spoil
) -> None:
    """A message that was reaped before says so in the repeated claim too."""
    dead = make_service("dead")
    await dead.enqueue([b"1"])
    await dead.claim(1)
    await bare.silence("dead", alive=service)
    await service.reap()
    spoil()
    assert [delivery.deliveries for delivery in await service.claim(1)] == [2]


async def test_settle_answers_the_same(service: RedisService, bare: Any, spoil: Spoil) -> None:
    """What counted says so again, what was stale too, and the books move once."""
    await service.enqueue([b"1", b"2", b"3", b"4"])
    one, two, three, four = await service.claim(4)
    settlements = [
        Settlement.processed(one.token),
        Settlement.processed(one.token),
        Settlement.missed(two.token),
        Settlement.retry(three.token, b"3", 60.0),
        Settlement.dead(four.token, dead_record(b"4", error="e", attempts=1, time=0.0)),
    ]
    spoil()
    assert await service.settle(settlements) == [True, False, True, True, True]
    snapshot = await service.snapshot()
    assert (snapshot.processed, snapshot.missed, snapshot.delayed, snapshot.dead) == (1, 1, 1, 1)
    assert snapshot.surplus == 0


@pytest.mark.parametrize("step", ["release", "retire", "heartbeat", "reap", "snapshot"])
async def test_other_calls_can_be_repeated(service: RedisService, bare: Any, spoil: Spoil, step: str) -> None:
    """Repeating them moves nothing twice."""
    await service.enqueue([b"1", b"2"])
    deliveries = await service.claim(2)
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "release": lambda: service.release([delivery.token for delivery in deliveries]),
        "retire": service.retire,
        "heartbeat": service.heartbeat,
        "reap": service.reap,
        "snapshot": service.snapshot,
    }
    spoil()
    await calls[step]()
    assert sorted([*bare.queue(), *bare.in_flight("a").values()]) == [b"1", b"2"]
    assert await surplus(service) == 0


async def test_poison_is_buried_once(service: RedisService, make_service: Any, bare: Any, proxy: Any) -> None:
    """The reaper's two steps lose or double nothing when the reply to either is lost."""
    reaper = make_service("r", url=service_url(service, proxy), max_deliveries=1)
    await reaper.connect()
    await service.enqueue([b"1", b"2"])
    await service.claim(2)
    await bare.silence("a", alive=reaper)
    proxy.lose = 3
    await reaper.reap()
    snapshot = await reaper.snapshot()
    assert (snapshot.dead, snapshot.queued, snapshot.in_flight, snapshot.consumers) == (2, 0, 0, 1)
    assert snapshot.surplus == 0


def service_url(service: RedisService, proxy: Any) -> str:
    password = service._connections._endpoint.password
    return f"redis://:{password}@127.0.0.1:{proxy.port}/0"


async def test_late_duplicates_change_nothing(
    service: RedisService, bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that arrives long after it was given up and repeated is recognised and does nothing."""
    sent: list[tuple[Any, ...]] = []
    execute = service._connections.execute

    def recording(*command: Any) -> Any:
        sent.append(command)
        return execute(*command)

    monkeypatch.setattr(service._connections, "execute", recording)
    await service.enqueue([b"1", b"2"])
    (first,) = await service.claim(1)
    await service.settle([Settlement.processed(first.token)])
    await service.retire()
    late = list(sent)
    await service.enqueue([b"3"])
    (second,) = await service.claim(1)
    await service.settle([])
    for command in late:
        with suppress(RedisRejectedError):  # the outdated claim is refused; nobody listens
            await trio.to_thread.run_sync(execute, *command)
    assert bare.queue() == [b"3"]
    assert bare.in_flight("a") == {second.token.encode(): b"2"}
    assert await service.settle([Settlement.processed(second.token)]) == [True]
    assert await surplus(service) == 0


async def test_trickling_reply_is_given_up(
    service: RedisService, proxy: Any, bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that comes in drops is cut off after a while and asked for again."""
    monkeypatch.setattr("loadtest_trio.redis_service.connection.BoundedParser.reply_timeout", 0.2)
    outages: list[Any] = []

    def mend(error: Any) -> None:
        outages.append(error)
        proxy.trickle = 0.0

    service._channel._on_outage = mend
    await service.enqueue([b"x" * 1000])
    proxy.trickle = 0.01

    with trio.fail_after(5):
        assert len(await service.claim(1)) == 1
    assert isinstance(outages[0], RedisUnavailableError)
    assert outages[-1] is None
