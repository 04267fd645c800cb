"""Servers that refuse, freeze, die, come back with everything, with less, or with nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import redis
import trio
import trustme

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.backends.embedded.ports import free_ports
from loadtest_trio.backends.redis import RedisService
from loadtest_trio.errors import RedisRejectedError, RedisUnavailableError
from loadtest_trio.jobs.delivery import Settlement

DEBIAN_REDIS = Path("/usr/bin/redis-server")
needs_debian = pytest.mark.skipif(not DEBIAN_REDIS.exists(), reason="apt-get install redis-server")


@pytest.fixture(params=[None, pytest.param(DEBIAN_REDIS, marks=needs_debian)], ids=["valkey", "redis7.0"])
def own_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own that keeps every write it has acknowledged, to be mistreated.

    With fsync every second it would not quite: while the disk is slow Redis holds back even the write
    to the file for up to two seconds, and SIGKILL takes those (redis.io, "Redis persistence").
    """
    always = {"appendfsync": "always"}
    with RedisServer.start(tmp_path, binary=request.param, directives=always) as server:
        yield server


@pytest.fixture(params=[None, pytest.param(DEBIAN_REDIS, marks=needs_debian)], ids=["valkey", "redis7.0"])
def forgetful_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A server that keeps nothing over a restart."""
    with RedisServer.start(tmp_path, binary=request.param, appendonly=False) as server:
        yield server


class Told(list[Any]):
    """What on_outage was told; `hear` waits for the first error."""

    def __init__(self) -> None:
        super().__init__()
        self.first = trio.Event()

    def __call__(self, error: Any) -> None:
        """Be told."""
        self.append(error)
        self.first.set()


async def in_thread(call: Any, *arguments: Any) -> None:
    await trio.to_thread.run_sync(call, *arguments)


async def test_refused_connection_is_unavailable(service_of: Any) -> None:
    """Nobody listens: `connect` says where, once, and does not repeat."""
    (port,) = free_ports(1)
    with pytest.raises(RedisUnavailableError, match=f"127.0.0.1:{port}"):
        await service_of(url=f"redis://:secret@127.0.0.1:{port}").connect()


async def test_unknown_host_is_unavailable(service_of: Any) -> None:
    """A name that does not resolve is a matter of the network, not a crash."""
    with pytest.raises(RedisUnavailableError, match=r"no-such-host\.invalid"):
        await service_of(url="redis://no-such-host.invalid").connect()


@pytest.mark.parametrize("credentials", [":wr0ng-secret", "nobody:wr0ng-secret", ""])
async def test_wrong_password_is_rejected(redis_url: str, service_of: Any, credentials: str) -> None:
    """A refused login names the setting and shows neither the wrong nor the right password."""
    right = redis_url.partition("//:")[2].partition("@")[0]
    url = redis_url.replace(f":{right}@", f"{credentials}@" if credentials else "")
    with pytest.raises(RedisRejectedError, match="password in REDIS_ENDPOINT") as caught:
        await service_of(url=url).connect()
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert right not in shown
    assert "wr0ng-secret" not in shown


async def test_wrong_database_is_rejected(redis_url: str, service_of: Any) -> None:
    """A database number that the server does not have is the user's to correct."""
    with pytest.raises(RedisRejectedError, match="check the database number"):
        await service_of(url=redis_url.removesuffix("/0") + "/4711").connect()


async def test_databases_are_separate(redis_url: str, service_of: Any) -> None:
    """The database number in the URL is used."""
    one, two = service_of(url=redis_url), service_of(url=redis_url.removesuffix("/0") + "/1")
    await one.enqueue([b"1"])
    assert await two.length() == 0
    assert await one.length() == 1


async def test_user_with_too_few_permissions_is_rejected(redis_url: str, service_of: Any) -> None:
    """An ACL that forbids our commands is told at connect."""
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "weak", "on", ">pw", "~*", "+ping", "+select")
        with pytest.raises(RedisRejectedError, match="needs more permissions"):
            await service_of(
                url=redis_url.replace("//:", "//weak:").partition("weak:")[0]
                + "weak:pw@"
                + redis_url.partition("@")[2]
            ).connect()
        client.execute_command("ACL", "DELUSER", "weak")


async def test_permissions_withdrawn_in_mid_run_are_an_outage(redis_url: str, service_of: Any) -> None:
    """The calls wait, the reason is told, and with the permission back they go on; nothing is lost."""
    told = Told()
    with redis.Redis.from_url(redis_url) as client:
        for withdrawn in (["-@write"], ["resetkeys", "~other:*"], ["off"]):
            client.execute_command("ACL", "SETUSER", "bob", "reset", "on", ">pw", "~*", "+@all")
            service = service_of(
                url=f"redis://bob:pw@{redis_url.partition('@')[2]}", on_outage=told, backoff=lambda _: 0.05
            )
            await service.connect()
            await service.enqueue([b"1"])
            client.execute_command("ACL", "SETUSER", "bob", *withdrawn)
            if withdrawn == ["off"]:
                client.execute_command("CLIENT", "KILL", "USER", "bob")
            told.first = trio.Event()
            told.clear()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.enqueue, [b"2"])
                with trio.fail_after(10):
                    await told.first.wait()
                client.execute_command("ACL", "SETUSER", "bob", "reset", "on", ">pw", "~*", "+@all")
            assert isinstance(told[0], RedisUnavailableError)
            assert told[-1] is None
            assert [each.element for each in await service.claim(9)] == [b"1", b"2"]
            await service.erase()
        client.execute_command("ACL", "DELUSER", "bob")


async def test_user_and_password(redis_url: str, service_of: Any) -> None:
    """A named user with a password full of reserved characters gets in."""
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "ann", "on", ">p@ss:/%?#", "~{q}:*", "+@all")
        await service_of(url=f"redis://ann:p%40ss%3A%2F%25%3F%23@{redis_url.partition('@')[2]}").connect()
        client.execute_command("ACL", "DELUSER", "ann")


async def test_flushed_scripts_are_loaded_again(make_service: Any, bare: Any) -> None:
    """SCRIPT FLUSH is not noticed by anybody."""
    told = Told()
    service = make_service(on_outage=told)
    await service.enqueue([b"1"])
    bare.client.script_flush()
    (delivery,) = await service.claim(1)
    bare.client.script_flush()
    assert await service.settle([Settlement.processed(delivery.token)]) == [True]
    assert told == []


async def test_killed_connections_are_replaced(make_service: Any, bare: Any) -> None:
    """After the server has closed all connections, one attempt fails and the work goes on."""
    told = Told()
    service = make_service(on_outage=told)
    await service.enqueue([b"1"])
    bare.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert len(await service.claim(1)) == 1
    assert len(told) == 2
    assert told[-1] is None


async def test_idle_connection_that_the_server_closed_is_no_outage(make_service: Any, bare: Any) -> None:
    """Servers and load balancers close idle connections; nobody hears of it."""
    told = Told()
    service = make_service(on_outage=told)
    await service.length()
    await trio.sleep(1.1)
    bare.client.client_kill_filter(_type="normal", skipme=True)
    await service.length()
    assert told == []


async def test_full_redis_can_be_worked_off(make_service: Any, bare: Any) -> None:
    """At maxmemory nothing new is accepted (unavailable, repeated), while claims and settlements go on."""
    told = Told()
    service = make_service(on_outage=told)
    await service.enqueue([b"1", b"2"])
    bare.client.config_set("maxmemory", 1)
    try:
        with trio.move_on_after(0.3) as scope:
            await service.enqueue([b"3"])
        assert scope.cancelled_caught
        assert "OOM" in str(told[0])
        one, two = await service.claim(2)
        await service.heartbeat()
        assert await service.settle([Settlement.processed(one.token), Settlement.retry(two.token, b"2", 0.0)])
    finally:
        bare.client.config_set("maxmemory", 0)
    await service.enqueue([b"4"])
    assert told[-1] is None
    assert (await service.snapshot()).surplus == 0


async def test_killed_server_comes_back_with_everything(
    own_redis: RedisServer, service_of: Any, nursery: trio.Nursery
) -> None:
    """SIGKILL and restart with an append-only file: calls wait, then go on; nothing lost, ledger closed."""
    told, losses = Told(), list[int]()
    service: RedisService = service_of(url=own_redis.url, on_outage=told, on_data_loss=losses.append)
    await service.connect()
    await service.enqueue([b"%d" % n for n in range(100)])
    deliveries = await service.claim(50)
    own_redis.kill()

    async def revive() -> None:
        await told.first.wait()
        await in_thread(own_redis.restart)

    nursery.start_soon(revive)
    with trio.fail_after(20):
        assert await service.settle([Settlement.processed(each.token) for each in deliveries]) == [True] * 50
        await service.heartbeat()
        snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.processed, snapshot.queued, snapshot.lost) == (100, 50, 50, 0)
    assert snapshot.surplus == 0
    assert isinstance(told[0], RedisUnavailableError)
    assert told[-1] is None
    assert losses == []


async def test_frozen_server(own_redis: RedisServer, service_of: Any, nursery: trio.Nursery) -> None:
    """SIGSTOP: calls time out and are repeated; the server thaws, finds both and does the work once."""
    told = Told()
    service: RedisService = service_of(url=own_redis.url, on_outage=told, timeout=0.3)
    await service.connect()
    await service.enqueue([b"1", b"2", b"3"])
    own_redis.pause()

    async def thaw() -> None:
        await told.first.wait()
        await trio.sleep(0.5)
        own_redis.resume()

    nursery.start_soon(thaw)
    with trio.fail_after(20):
        async with trio.open_nursery() as calls:
            calls.start_soon(service.enqueue, [b"4"])
            deliveries = await service.claim(2)
    assert [delivery.element for delivery in deliveries] == [b"1", b"2"]
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.in_flight, snapshot.queued, snapshot.surplus) == (4, 2, 2, 0)


async def test_empty_restart_is_told_once_with_the_number_lost(
    forgetful_redis: RedisServer, service_of: Any
) -> None:
    """Two processes remember; both are told, one with the number, and the books add up over both lives."""
    losses: list[tuple[str, int]] = []
    one, two = (
        service_of(
            name, url=forgetful_redis.url, on_data_loss=lambda lost, name=name: losses.append((name, lost))
        )
        for name in ("one", "two")
    )
    await one.connect()
    await one.enqueue([b"%d" % n for n in range(10)])
    deliveries = await one.claim(4)
    await one.settle([Settlement.processed(deliveries[0].token), Settlement.missed(deliveries[1].token)])
    await two.heartbeat()
    await in_thread(forgetful_redis.restart)

    await one.heartbeat()
    await two.heartbeat()
    await two.enqueue([b"new"])
    assert losses == [("one", 8), ("two", 0)]
    assert await one.settle([Settlement.processed(deliveries[2].token)]) == [False]
    snapshot = await two.snapshot()
    assert (snapshot.created, snapshot.processed, snapshot.missed, snapshot.lost) == (11, 1, 1, 8)
    assert (snapshot.queued, snapshot.surplus) == (1, 0)
    await one.heartbeat()
    assert len(losses) == 2


async def test_later_memory_corrects_an_earlier_one(forgetful_redis: RedisServer, service_of: Any) -> None:
    """The first to come knew less than the second: the books end as if the second had come first."""
    losses: list[int] = []
    one, two = (
        service_of(name, url=forgetful_redis.url, on_data_loss=losses.append) for name in ("one", "two")
    )
    await one.enqueue([b"1", b"2", b"3"])
    await two.enqueue([b"4", b"5"])
    (delivery,) = await two.claim(1)
    await two.settle([Settlement.processed(delivery.token)])
    await in_thread(forgetful_redis.restart)
    await one.heartbeat()
    assert losses == [3]
    await two.heartbeat()
    snapshot = await one.snapshot()
    assert (snapshot.created, snapshot.processed, snapshot.lost, snapshot.surplus) == (5, 1, 4, 0)
    assert sum(losses) == snapshot.lost


async def test_empty_restart_with_nothing_to_lose_is_told(
    forgetful_redis: RedisServer, service_of: Any
) -> None:
    """That Redis lost its memory is worth saying even when everything had been processed."""
    losses: list[int] = []
    service = service_of(url=forgetful_redis.url, on_data_loss=losses.append)
    await service.enqueue([b"1"])
    (delivery,) = await service.claim(1)
    await service.settle([Settlement.processed(delivery.token)])
    await in_thread(forgetful_redis.restart)
    snapshot = await service.snapshot()
    assert losses == [0]
    assert (snapshot.created, snapshot.processed, snapshot.lost, snapshot.surplus) == (1, 1, 0, 0)


@attrs.define
class Forgetful:
    """A server that falls back to the snapshot that was asked for last, and the services on it.

    Attributes:
        server: The server.
        losses: What each service was told, by its name.
    """

    server: RedisServer
    make: Any
    losses: dict[str, list[int]] = attrs.field(factory=dict)

    def service(self, name: str) -> RedisService:
        """Make a service that notes what it is told."""
        told = self.losses.setdefault(name, [])
        service: RedisService = self.make(name, url=self.server.url, on_data_loss=told.append)
        return service

    def save(self) -> None:
        """Keep what is there now."""
        with redis.Redis.from_url(self.server.url) as client:
            client.save()

    async def fall_back(self) -> None:
        """Die, and come back with what was kept."""
        await in_thread(self.server.kill)
        await in_thread(self.server.restart)


@pytest.fixture(params=[None, pytest.param(DEBIAN_REDIS, marks=needs_debian)], ids=["valkey", "redis7.0"])
def forgetful(request: pytest.FixtureRequest, tmp_path: Path, service_of: Any) -> Iterator[Forgetful]:
    """A server without an append-only file."""
    with RedisServer.start(tmp_path, binary=request.param, appendonly=False) as server:
        yield Forgetful(server, service_of)


def some(number: int) -> list[bytes]:
    return [b"%d" % n for n in range(number)]


async def test_restart_with_an_older_past(forgetful: Forgetful) -> None:
    """Redis comes back from an earlier snapshot: what was created since is lost, what was settled returns."""
    service = forgetful.service("a")
    await service.enqueue([b"1", b"2", b"3"])
    (first,) = await service.claim(1)
    forgetful.save()
    await service.settle([Settlement.processed(first.token)])
    (second,) = await service.claim(1)
    await service.enqueue([b"4", b"5"])
    await forgetful.fall_back()

    await service.heartbeat()
    assert forgetful.losses == {"a": [2]}
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.lost, snapshot.queued, snapshot.surplus) == (5, 2, 2, 0)
    assert await service.settle([Settlement.processed(second.token)]) == [False]
    await service.heartbeat()
    elements = [delivery.element for delivery in await service.claim(9)]
    assert elements == [b"1", b"2", b"3"]


@pytest.mark.parametrize("first_call", ["enqueue", "length", "heartbeat", "snapshot"])
async def test_later_messages_do_not_hide_a_loss(forgetful: Forgetful, first_call: str) -> None:
    """More messages than were lost come in at once; the loss is counted to the message, and told at once."""
    service = forgetful.service("a")
    await service.enqueue(some(50))
    forgetful.save()
    await service.enqueue(some(100))
    await forgetful.fall_back()
    if first_call != "enqueue":
        await getattr(service, first_call)()
        assert forgetful.losses == {"a": [100]}
    await service.enqueue(some(120))
    assert forgetful.losses == {"a": [100]}
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.queued, snapshot.lost, snapshot.surplus) == (270, 170, 100, 0)


async def test_work_upon_an_older_past_does_not_hide_a_loss(forgetful: Forgetful) -> None:
    """A worker claims and settles before anybody has looked at the books of the server's new life."""
    service = forgetful.service("a")
    await service.enqueue(some(50))
    forgetful.save()
    await service.enqueue(some(10))
    await forgetful.fall_back()
    deliveries = await service.claim(50)
    assert len(await service.settle([Settlement.processed(each.token) for each in deliveries])) == 50
    await service.heartbeat()
    assert forgetful.losses == {"a": [10]}
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.processed, snapshot.lost, snapshot.surplus) == (60, 50, 10, 0)


async def test_peer_enqueues_before_the_loss_is_noticed(forgetful: Forgetful) -> None:
    """What others enqueue after the fall makes the number of lost messages neither smaller nor larger."""
    one, idle, peer = (forgetful.service(name) for name in ("one", "idle", "peer"))
    await one.enqueue(some(50))
    await idle.heartbeat()
    forgetful.save()
    await one.enqueue(some(60))
    late = forgetful.service("late")
    await late.connect()
    await one.enqueue(some(40))
    await forgetful.fall_back()
    await peer.enqueue(some(30))
    await late.heartbeat()
    await one.heartbeat()
    await idle.heartbeat()
    snapshot = await peer.snapshot()
    assert (snapshot.created, snapshot.queued, snapshot.lost, snapshot.surplus) == (180, 80, 100, 0)
    # `late` saw 110 messages and books what it knows of; `one` knows of 40 more; the others miss nothing.
    assert forgetful.losses == {"late": [60], "one": [40], "idle": [], "peer": []}


async def test_everybody_who_misses_something_is_told(forgetful: Forgetful) -> None:
    """One books the loss; the other hears of it with 0, to forget its plans, and once."""
    one, two = forgetful.service("one"), forgetful.service("two")
    await one.enqueue(some(5))
    forgetful.save()
    await one.enqueue(some(3))
    await two.heartbeat()
    await forgetful.fall_back()
    for _ in range(2):
        await one.snapshot()
        await two.snapshot()
    assert forgetful.losses == {"one": [3], "two": [0]}
    assert (await two.snapshot()).lost == 3


async def test_two_falls_add_up(forgetful: Forgetful) -> None:
    """Losses of several lives add up, also for who slept through one of them and when the repair is lost."""
    one, sleeper = forgetful.service("one"), forgetful.service("sleeper")
    await one.enqueue(some(50))
    forgetful.save()
    await one.enqueue(some(10))
    await sleeper.enqueue(some(20))  # `one` never hears of these
    await forgetful.fall_back()
    await one.enqueue(some(1))
    forgetful.save()
    await one.enqueue(some(2))
    await forgetful.fall_back()
    await one.heartbeat()
    await sleeper.heartbeat()
    snapshot = await one.snapshot()
    assert (snapshot.created, snapshot.queued, snapshot.lost, snapshot.surplus) == (83, 51, 32, 0)
    assert forgetful.losses == {"one": [10, 2], "sleeper": [20]}


async def test_fall_behind_the_last_fall(forgetful: Forgetful) -> None:
    """The same snapshot comes back twice, without the repair of the first time: nothing is counted twice."""
    service = forgetful.service("a")
    await service.enqueue(some(50))
    forgetful.save()
    await service.enqueue(some(100))
    await forgetful.fall_back()
    await service.enqueue(some(30))
    await forgetful.fall_back()
    await service.heartbeat()
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.queued, snapshot.lost, snapshot.surplus) == (180, 50, 130, 0)


async def test_restart_with_everything_tells_nobody(own_redis: RedisServer, service_of: Any) -> None:
    """A new epoch alone is no loss."""
    losses: list[int] = []
    one, two = (service_of(name, url=own_redis.url, on_data_loss=losses.append) for name in ("one", "two"))
    await one.enqueue(some(5))
    epoch = (await two.snapshot()).epoch
    await in_thread(own_redis.kill)
    await in_thread(own_redis.restart)
    await two.enqueue(some(5))
    await one.heartbeat()
    snapshot = await one.snapshot()
    assert (snapshot.created, snapshot.queued, snapshot.lost, snapshot.surplus) == (10, 10, 0, 0)
    assert snapshot.epoch != epoch
    assert losses == []


async def test_replies_out_of_order_raise_no_false_alarm(make_service: Any) -> None:
    """A suspicion is checked against the books of the moment before anything is said or changed."""
    losses: list[int] = []
    service = make_service(on_data_loss=losses.append)
    await service.enqueue([b"1"])
    before = await service.snapshot()
    service._losses._seen.saw([b"another epoch", b"0", None, None, None, None])
    assert service._losses._seen.suspicious
    assert await service.snapshot() == before
    assert not service._losses._seen.suspicious
    assert losses == []


@needs_debian
async def test_tls(tmp_path: Path, service_of: Any) -> None:
    """``rediss://`` works with a certificate of the given authority, and only with that."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for n, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(tmp_path / "cert.pem", append=n > 0)
    (port,) = free_ports(1)
    directives = {
        "tls-port": str(port),
        "tls-cert-file": str(tmp_path / "cert.pem"),
        "tls-key-file": str(tmp_path / "key.pem"),
        "tls-ca-cert-file": str(tmp_path / "ca.pem"),
        "tls-auth-clients": "no",
    }
    with RedisServer.start(tmp_path, binary=DEBIAN_REDIS, directives=directives) as server:
        login = f"rediss://:{server.password}@"
        trusted = service_of(url=f"{login}localhost:{port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}")
        await trusted.connect()
        await trusted.enqueue([b"1"])
        assert len(await trusted.claim(1)) == 1
        for url in (
            f"{login}localhost:{port}",
            f"{login}127.0.0.1:{port}?ssl_ca_certs={tmp_path / 'ca.pem'}",
        ):
            with pytest.raises(RedisRejectedError, match="certificate cannot be trusted"):
                await service_of(url=url).connect()
        with pytest.raises(RedisUnavailableError):
            await service_of(url=f"{login}localhost:{server.port}", timeout=0.5).connect()
