"""Failovers: the name leads to another server while the old one keeps its clients; logins change."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import trio

from loadtest_trio.backends.redis import RedisService
from loadtest_trio.errors import RedisError, RedisRejectedError
from loadtest_trio.jobs.delivery import Settlement
from tests.support.redis_pair import PASSWORD, Pair, open_pair
from tests.support.service_process import ServiceProcess

DEBIAN_REDIS = Path("/usr/bin/redis-server")
needs_debian = pytest.mark.skipif(not DEBIAN_REDIS.exists(), reason="apt-get install redis-server")


@pytest.fixture(params=[None, pytest.param(DEBIAN_REDIS, marks=needs_debian)], ids=["valkey", "redis7.0"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """Two servers of the test's own."""
    with open_pair(tmp_path, request.param) as pair:
        yield pair


async def occupy_connections(service: RedisService, count: int) -> None:
    """Leave so many idle connections behind, as a busy service has them."""
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(service.revoked)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    with trio.fail_after(5):
        while not holds():  # noqa: ASYNC110 - told by another thread's call
            await trio.sleep(0.01)


async def test_work_goes_on_after_a_failover(pair: Pair, service_of: Any) -> None:
    """READONLY from the old primary: a moment's outage, then the same calls succeed on the new one."""
    told: list[RedisError | None] = []
    service: RedisService = service_of(url=pair.url, on_outage=told.append)
    await service.connect()
    await service.enqueue([b"1", b"2", b"3"])
    (first,) = await service.claim(1)
    await occupy_connections(service, 5)
    pair.wait_for_replication()
    pair.fail_over()
    with trio.fail_after(5):
        assert await service.settle([Settlement.processed(first.token)]) == [True]
        assert len(await service.claim(5)) == 2
    assert told[-1] is None
    assert 1 <= len(told) - 1 <= 3, "one attempt for each connection would be an outage of many attempts"
    assert all("READONLY" in str(error) for error in told[:-1])
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.processed, snapshot.in_flight) == (3, 1, 2)


async def test_reads_do_not_keep_a_connection_to_the_old_primary(pair: Pair, service_of: Any) -> None:
    """A replica answers reads: a connection that was busy with one during the switch is not used again."""
    service: RedisService = service_of(url=pair.url)
    await service.enqueue([b"1"])
    old = service._connections._idle.pop()  # as a thread holds it while it waits for an answer
    pair.wait_for_replication()
    pair.fail_over()
    await service.enqueue([b"2"])
    service._connections._idle.append(old)
    with trio.fail_after(5):
        await service.enqueue([b"3"])
    connections = service._connections
    assert [generation for generation, *_ in connections._idle] == [connections._generation]


async def test_a_replica_that_lost_its_primary_is_an_outage(pair: Pair, service_of: Any) -> None:
    """MASTERDOWN passes: the name leads to the replica before that has been promoted."""
    told: list[RedisError | None] = []
    service: RedisService = service_of(url=pair.url, on_outage=told.append)
    await service.enqueue([b"1"])
    pair.wait_for_replication()
    with redis.Redis.from_url(pair.b.url) as client:
        client.config_set("replica-serve-stale-data", "no")
        client.replicaof("127.0.0.1", "1")
        pair.name.upstream = pair.b.port
        service.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.revoked)
            await trio.sleep(0.3)
            assert told
            assert "MASTERDOWN" in str(told[0])
            client.replicaof("NO", "ONE")
            await until(lambda: told[-1] is None)
    assert await service.length() == 1


async def test_a_changed_password_is_an_outage_once_the_login_has_worked(pair: Pair, service_of: Any) -> None:
    """Rotated and rotated back: the calls wait, and the outage says what to check."""
    told: list[RedisError | None] = []
    service: RedisService = service_of(url=pair.url, on_outage=told.append)
    await service.enqueue([b"1"])
    with redis.Redis.from_url(pair.a.url) as client:
        client.config_set("requirepass", "another-one")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.enqueue, [b"2"])
            await until(lambda: any("user and password in REDIS_ENDPOINT" in str(error) for error in told))
            client.config_set("requirepass", PASSWORD)
            await until(lambda: told[-1] is None)
    assert await service.length() == 2


async def test_a_wrong_password_is_refused_at_start(pair: Pair, service_of: Any) -> None:
    """A login that has never worked is the user's to correct, at once."""
    with pytest.raises(RedisRejectedError, match="user and password"):
        await service_of(url=pair.url.replace(PASSWORD, "wrong")).connect()


async def test_a_dead_primary_is_replaced_by_its_replica(pair: Pair, service_of: Any) -> None:
    """The name leads to a host that refuses for a while, then to another one: every attempt looks it up."""
    told: list[RedisError | None] = []
    service: RedisService = service_of(url=pair.url, on_outage=told.append)
    await service.enqueue([b"1"])
    pair.wait_for_replication()
    pair.a.kill()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.enqueue, [b"2"])
        await until(lambda: len(told) >= 2)
        with redis.Redis.from_url(pair.b.url) as client:
            client.replicaof("NO", "ONE")
        pair.name.upstream = pair.b.port
        await until(lambda: told[-1] is None)
    assert await service.length() == 2


async def test_a_foreign_clock_does_not_make_a_consumer_dead(
    pair: Pair, service_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who lives is judged by the server's clock alone: a host that is a day off keeps its work."""
    wrong: RedisService = service_of("wrong", url=pair.url, heartbeat_ttl=5.0, clock=lambda: 1.0)
    monkeypatch.setattr("time.time", lambda: 1.0)
    monkeypatch.setattr("time.time_ns", lambda: 10**9)
    await wrong.enqueue([b"1"])
    (delivery,) = await wrong.claim(1)
    await wrong.heartbeat()
    monkeypatch.undo()
    right: RedisService = service_of("right", url=pair.url, heartbeat_ttl=5.0)
    await right.heartbeat()
    assert (await right.reap()).consumers == 0
    assert await wrong.settle([Settlement.processed(delivery.token)]) == [True]


class LoadingServer:
    """Answers every command with LOADING, as Redis does while it reads its file."""

    def __enter__(self) -> int:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self._listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.recv(4096)
                client.sendall(b"-LOADING Redis is loading the dataset in memory\r\n")
                client.close()


def test_a_server_that_is_loading_at_start_is_waited_for(
    pair: Pair, s3_environment: dict[str, str], bucket: str
) -> None:
    """The service starts as soon as Redis has read its file, within STARTUP_TIMEOUT_SECONDS."""
    environ = {
        "REDIS_ENDPOINT": pair.url,
        "S3_BUCKET": bucket,
        **s3_environment,
        "STARTUP_TIMEOUT_SECONDS": "20",
        "PRECONDITION_MIN_OBJECTS": "1",
        "RUN_DURATION_SECONDS": "1",
    }
    with LoadingServer() as pair.name.upstream, ServiceProcess(environ=environ) as service:
        service.wait_for("service_starting")
        time.sleep(1)
        assert service.process.poll() is None
        pair.name.upstream = pair.a.port
        service.wait_for("service_started")
        assert service.wait(30) == 0


def test_the_service_works_on_after_a_failover(
    pair: Pair, s3_environment: dict[str, str], bucket: str
) -> None:
    """The whole daemon: seconds of outage, then the load as before on the new primary, books balanced."""
    environ = {
        "REDIS_ENDPOINT": pair.url,
        "S3_BUCKET": bucket,
        **s3_environment,
        "LOG_INTERVAL_SECONDS": "0.5",
        "PRECONDITION_MIN_OBJECTS": "20",
        "MAX_FILE_UUIDS": "10",
        "MIN_FILE_UUIDS": "5",
    }
    with ServiceProcess(environ=environ) as service:
        service.wait_for("metrics", lambda line: line["messages_processed"] > 50)
        pair.fail_over()
        lost = service.wait_for("backend_unavailable", seconds=10)
        assert "READONLY" in lost["error"]
        service.wait_for("backend_recovered", seconds=10)
        before = service.events("metrics")[-1]["messages_processed"]
        service.wait_for("metrics", lambda line: line["messages_processed"] > before + 100, seconds=20)
        service.signal(signal.SIGTERM)
        assert service.wait(30) == 0
        stopped = service.events("service_stopped")[0]
    assert stopped["ledger"]["difference"] == 0
    with redis.Redis.from_url(pair.b.url) as client:
        assert int(client.hget("{loadtest}:ledger", "processed")) == stopped["messages_processed"]
