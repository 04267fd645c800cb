"""A reply that is lost after the server did the work: asked again, nothing happens twice."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio

from loadtest_trio.backends.redis import RedisService, dead_record
from loadtest_trio.errors import RedisRejectedError, RedisUnavailableError
from loadtest_trio.jobs.delivery import Settlement

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
    """The repeated claim gets the messages and tokens of the first, and takes no others."""
    await service.enqueue([b"1", b"1", b"2", b"3"])
    spoil()
    deliveries = await service.claim(3)
    assert [delivery.element for delivery in deliveries] == [b"1", b"1", b"2"]
    assert bare.in_flight("a") == {each.token.encode(): each.element for each in deliveries}
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
    """That a message was reaped before is on record still after a repeated claim, and once."""
    dead = make_service("dead")
    await dead.enqueue([b"1"])
    await dead.claim(1)
    await bare.silence("dead", alive=service)
    await service.reap()
    spoil()
    assert [delivery.element for delivery in await service.claim(1)] == [b"1"]
    assert bare.reaped() == {b"1": 1}


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


async def test_release_can_be_repeated(service: RedisService, bare: Any, spoil: Spoil) -> None:
    """What was put back stays where it is."""
    await service.enqueue([b"1", b"2"])
    deliveries = await service.claim(2)
    spoil()
    await service.release([delivery.token for delivery in deliveries])
    assert (bare.queue(), bare.in_flight("a")) == ([b"1", b"2"], {})
    assert await surplus(service) == 0


async def test_retire_can_be_repeated(service: RedisService, bare: Any, spoil: Spoil) -> None:
    """What was given back stays where it is, also when somebody else claims it in between."""
    await service.enqueue([b"1", b"2"])
    await service.claim(2)
    spoil()
    await service.retire()
    assert (bare.queue(), bare.in_flight("a")) == ([b"1", b"2"], {})
    snapshot = await service.snapshot()
    assert (snapshot.surplus, snapshot.consumers) == (0, 0)


async def test_heartbeat_can_be_repeated(service: RedisService, bare: Any, spoil: Spoil) -> None:
    """Strays go back once."""
    await service.enqueue([b"1", b"2", b"3"])
    (kept,) = await service.claim(1)
    service._held.difference_update(delivery.token for delivery in await service.claim(2))
    spoil()
    await service.heartbeat()
    assert (bare.queue(), bare.in_flight("a")) == ([b"2", b"3"], {kept.token.encode(): b"1"})
    assert await surplus(service) == 0


async def test_reap_can_be_repeated(
    service: RedisService, make_service: Any, bare: Any, spoil: Spoil
) -> None:
    """A dead consumer's messages go back once, with one more delivery each, and nobody else's do."""
    dead = make_service("dead")
    await dead.enqueue([b"1", b"2", b"3"])
    (kept,) = await service.claim(1)
    await dead.claim(2)
    await bare.silence("dead", alive=service)
    spoil()
    await service.reap()
    assert (bare.queue(), bare.in_flight("a")) == ([b"2", b"3"], {kept.token.encode(): b"1"})
    assert bare.reaped() == {b"2": 1, b"3": 1}
    assert await surplus(service) == 0


async def test_snapshot_can_be_repeated(service: RedisService, spoil: Spoil) -> None:
    """Looking changes nothing, however often."""
    await service.enqueue([b"1", b"2"])
    await service.claim(1)
    before = await service.snapshot()
    spoil()
    assert await service.snapshot() == before
    assert (before.queued, before.in_flight, before.surplus) == (1, 1, 0)


async def bury(service: RedisService, elements: list[bytes]) -> None:
    """Let messages die, all with equal records where the elements are equal."""
    await service.enqueue(elements)
    settlements = [
        Settlement.dead(each.token, dead_record(each.element, error="e", attempts=1, time=0.0))
        for each in await service.claim(len(elements))
    ]
    await service.settle(settlements)


async def test_requeue_moves_one_of_two_equals(service: RedisService, bare: Any, spoil: Spoil) -> None:
    """Repeated, it says that it moved one, and leaves the equal one where it is."""
    await bury(service, [b"1", b"1"])
    (letter, _) = await service.dead_letters.page()
    spoil()
    assert await service.dead_letters.requeue(letter.id)
    assert bare.queue() == [b"1"]
    assert await service.dead_letters.count() == 1
    spoil()
    assert await service.dead_letters.requeue_all() == 1
    assert bare.queue() == [b"1", b"1"]
    assert await surplus(service) == 0


async def test_purge_says_how_many(service: RedisService, spoil: Spoil) -> None:
    """Repeated, it answers with the number that it deleted the first time, and counts it once."""
    await bury(service, [b"1", b"2", b"3"])
    spoil()
    assert await service.dead_letters.purge() == 3
    snapshot = await service.snapshot()
    assert (snapshot.purged, snapshot.dead, snapshot.surplus) == (3, 0, 0)


@pytest.fixture
def losses(service: RedisService) -> list[int]:
    """What the service tells of lost data."""
    told: list[int] = []
    service._losses._on_data_loss = told.append
    return told


def before_repair(service: RedisService, do: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something just before a repair is sent."""
    script = service._channel.script

    async def spoiled(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "repair":
            do()
        return await script(name, *arguments, **options)

    monkeypatch.setattr(service._channel, "script", spoiled)


async def test_loss_is_told_when_the_reply_to_the_repair_is_lost(
    service: RedisService, bare: Any, spoil: Spoil, losses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repeated repair answers with the number that was booked the first time."""
    await service.enqueue([b"1", b"2", b"3"])
    bare.client.flushdb()
    before_repair(service, spoil, monkeypatch)
    await service.enqueue([b"4"])
    assert losses == [3]
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.lost, snapshot.queued, snapshot.surplus) == (4, 3, 1, 0)


async def test_loss_is_told_after_a_cancelled_repair(
    service: RedisService, proxy: Any, bare: Any, losses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repair that was done and given up, its reply unheard, is asked again under its number."""
    await service.enqueue([b"1", b"2"])
    bare.client.flushdb()
    with monkeypatch.context() as patch, trio.CancelScope() as scope:
        patch.setattr(service._channel, "_on_outage", lambda _: scope.cancel())
        before_repair(service, lambda: setattr(proxy, "lose", 1), patch)
        await service.heartbeat()
    assert scope.cancelled_caught
    assert losses == []
    await service.snapshot()
    await service.snapshot()
    assert losses == [2]


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


Sent = list[tuple[Any, ...]]


class UnsentError(Exception):
    """Raised in place of sending."""


@pytest.fixture
def record(service: RedisService, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sent]:
    """Notes what the service sends from now on; with ``hold=True`` it stays unsent."""
    execute = service._connections.execute

    def begin(*, hold: bool = False) -> Sent:
        sent: Sent = []

        def recording(*command: Any) -> Any:
            sent.append(command)
            if hold:
                raise UnsentError
            return execute(*command)

        monkeypatch.setattr(service._connections, "execute", recording)
        return sent

    return begin


async def deliver(service: RedisService, commands: Sent) -> None:
    """Let calls arrive that were given up."""
    for command in commands:
        with suppress(RedisRejectedError):  # the outdated are refused; nobody listens
            await trio.to_thread.run_sync(service._connections.execute, *command)


async def test_late_duplicates_change_nothing(
    service: RedisService, bare: Any, record: Callable[..., Sent]
) -> None:
    """A call that arrives long after it was given up and repeated is recognised and does nothing."""
    sent = record()
    await service.enqueue([b"1", b"2"])
    (first,) = await service.claim(1)
    await service.settle([Settlement.processed(first.token)])
    await service.retire()
    late = list(sent)
    await service.enqueue([b"3"])
    (second,) = await service.claim(1)
    await service.settle([])
    await deliver(service, late)
    assert bare.queue() == [b"3"]
    assert bare.in_flight("a") == {second.token.encode(): b"2"}
    assert await service.settle([Settlement.processed(second.token)]) == [True]
    assert await surplus(service) == 0


@pytest.mark.parametrize("name", ["claim", "heartbeat", "reap"])
async def test_nothing_brings_back_who_has_retired(
    service: RedisService, make_service: Any, bare: Any, record: Callable[..., Sent], name: str
) -> None:
    """A call that arrives for the first time when its consumer has left takes and registers nothing."""
    await service.enqueue([b"1", b"2"])
    await service.claim(1)
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "claim": lambda: service.claim(1),
        "heartbeat": service.heartbeat,
        "reap": service.reap,
    }
    held = record(hold=True)
    with pytest.raises(UnsentError):
        await calls[name]()
    record()
    await service.retire()
    await deliver(service, held)
    assert len(held) == 1
    assert (bare.queue(), bare.in_flight("a")) == ([b"1", b"2"], {})
    assert (await make_service("b").snapshot()).consumers == 0
    assert len(await service.claim(2)) == 2, "a new claim is a new beginning"


async def test_outdated_claim_is_no_sign_of_life(
    service: RedisService, bare: Any, record: Callable[..., Sent]
) -> None:
    """A late claim does not keep a consumer alive that has fallen silent since."""
    sent = record()
    await service.claim(1)
    late = list(sent)
    await service.claim(1)
    bare.client.zadd("{q}:consumers", {"a": 1})
    await deliver(service, late)
    assert bare.client.zscore("{q}:consumers", "a") == 1


async def test_trickling_reply_is_given_up(
    service: RedisService, proxy: Any, bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that comes in drops is cut off after a while and asked for again."""
    monkeypatch.setattr("loadtest_trio.backends.redis.connection.BoundedParser.reply_timeout", 0.2)
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
