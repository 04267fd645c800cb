"""The service against an S3 that answers oddly: the others' work goes on, and everything says why.

The queue is in memory; client, transport, worker and scheduler are the real ones, in real time.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import attrs
import pytest
import trio

from loadtest_trio.backends.opening import Clients
from loadtest_trio.backends.redis import DeadLetter
from loadtest_trio.build import Service, build_service
from loadtest_trio.surroundings import Surroundings
from tests.support.in_memory import in_memory, settings
from tests.support.log_lines import LogLines, caught_log
from tests.support.memory_bucket import MemoryBucket
from tests.support.memory_redis import MemoryRedis
from tests.support.odd_s3 import Oddity, OddS3, answer, refusal

RATE = 50
BODY = b"0123456789abcdef" * 4
BAD = "loadtest/bad"


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[LogLines]:
    """Catch the log."""
    with caught_log() as lines:
        yield lines


@attrs.define
class Running:
    """A running service."""

    service: Service
    redis: MemoryRedis

    @property
    def processed(self) -> int:
        """Messages done so far."""
        return self.redis.counters["processed"]

    @property
    def letters(self) -> list[DeadLetter]:
        """The dead list."""
        return [DeadLetter.parse(record) for record in self.redis.dead]

    @property
    def degraded(self) -> dict[str, str]:
        """What `/health` says is degraded."""
        return self.service.health_state.read().degraded

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait for a condition."""
        with trio.fail_after(seconds):
            while not condition():  # noqa: ASYNC110 - what is waited for is on the other side of a socket
                await trio.sleep(0.02)

    async def rate(self, seconds: float = 2.0) -> float:
        """Return the messages processed a second over some seconds."""
        before, began = self.processed, trio.current_time()
        await trio.sleep(seconds)
        return (self.processed - before) / (trio.current_time() - began)


@asynccontextmanager
async def running(
    s3: OddS3, environ: dict[str, str] | None = None, **variables: Any
) -> AsyncIterator[Running]:
    """Run the load on a server for the length of the block."""
    configuration = {
        "S3_ENDPOINT_URL": s3.url,
        "STEADY_STATE_DISTRIBUTION": "READ:100",
        "SCHEDULER_MESSAGES_PER_SECOND": RATE,
        "SCHEDULER_INTERVAL_SECONDS": 0.1,
        "PRECONDITION_MIN_OBJECTS": 1,
        "MAX_RETRIES": 0,
        **variables,
    }
    redis = MemoryRedis()
    inside = in_memory(redis, MemoryBucket())
    clients = attrs.evolve(Clients(), redis=inside.clients.redis)
    surroundings: Surroundings = attrs.evolve(inside, clients=clients, environ=environ or inside.environ)
    async with AsyncExitStack() as closing, trio.open_nursery() as nursery:
        service = await build_service(settings(**configuration), surroundings, closing)
        await service.s3.check_bucket()
        for task in (service.s3.run, service.worker.run, service.scheduler.run):
            await nursery.start(task)
        yield Running(service, redis)
        nursery.cancel_scope.cancel()


def a_hundred(bad: bytes = BODY) -> dict[str, bytes]:
    """Return 99 good objects, and one whose answers will be odd."""
    return {f"loadtest/{number}": BODY for number in range(99)} | {BAD: bad}


def only_bad(kind: str, key: str) -> bool:
    """Affect the bad object's requests."""
    return key == BAD


@pytest.mark.parametrize(
    ("oddity", "reason"),
    [
        (Oddity(answer(200, b"x" * 500, length=1000), closes=True), "end of the body"),
        (Oddity(answer(200, b"", length=10_000_001)), "MAX_OBJECT_BYTES"),
        (Oddity(answer(200, b"x" * 1001)), "MAX_OBJECT_BYTES"),
        (Oddity(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", closes=True), "HTTP"),
        (Oddity(b"", closes=True), "without sending a response"),
        (Oddity(refusal(403, "AccessDenied")), "AccessDenied"),
        (Oddity(refusal(403, "InvalidObjectState")), "archived"),
        (Oddity(refusal(500, "InternalError")), "InternalError"),
        (Oddity(answer(206, BODY)), "a response that S3 does not send"),
    ],
    ids=[
        "cut short",
        "far too large",
        "too large",
        "bad chunk",
        "closed",
        "denied",
        "archived",
        "broken",
        "partial",
    ],
)
async def test_one_bad_object_does_not_stop_the_others(oddity: Oddity, reason: str) -> None:
    """The others go on at the offered rate; the bad one's message ends dead with the reason; no outage."""
    oddity.affects = only_bad
    s3 = OddS3(a_hundred(), [oddity])
    async with s3.serving(), running(s3, MAX_OBJECT_BYTES=1000) as load:
        load.redis.push(b'{"id":"mine","operation":"READ","key":"loadtest/bad"}')
        load.redis.counters["created"] += 1
        await load.until(lambda: bool(load.letters))
        seen = set[str]()
        with trio.move_on_after(1.5):
            while True:
                seen |= load.degraded.keys()
                await trio.sleep(0.01)
        assert await load.rate(1.0) > 0.7 * RATE
        assert not seen
        assert {letter.key for letter in load.letters} == {BAD}
        assert all(reason in letter.error for letter in load.letters)


@pytest.mark.parametrize("label", ["gzip", "deflate", "gzip,aws-chunked", "br"])
@pytest.mark.parametrize("transport", ["lean", "httpx"])
async def test_labelled_objects_are_read(label: str, transport: str) -> None:
    """An object whose Content-Encoding does not fit its bytes is an object like any other."""
    s3 = OddS3(a_hundred(), [Oddity(answer(200, BODY, f"Content-Encoding: {label}"), only_bad)])
    async with s3.serving(), running(s3, S3_TRANSPORT=transport) as load:
        assert await load.service.s3.get(BAD) == BODY
        await load.until(lambda: load.processed > 20)
        assert load.letters == []


async def test_a_slow_object_does_not_stop_the_others() -> None:
    """Requests for one object take longer than anybody waits, and its backlog grows: the others go on."""
    s3 = OddS3(a_hundred(), [Oddity(b"", only_bad, closes=True, delay=60.0)])
    async with s3.serving(), running(s3) as load:
        for number in range(200):
            load.redis.push(b'{"id":"%d","operation":"READ","key":"loadtest/bad"}' % number)
            load.redis.counters["created"] += 1
        await trio.sleep(3)
        assert await load.rate() > 0.8 * RATE
        assert load.degraded == {}


async def test_objects_that_cannot_be_worked_on_are_left_alone(log_lines: LogLines) -> None:
    """Folder markers, empty, archived and too large objects are neither chosen nor deleted."""
    good = {f"loadtest/{number}": BODY for number in range(5)}
    odd = {
        "loadtest/": b"",
        "loadtest/folder/": b"",
        "loadtest/empty": b"",
        "loadtest/frozen": BODY,
        "loadtest/deep": BODY,
        "loadtest/large": BODY * 100,
    }
    s3 = OddS3(good | odd)
    s3.listed = {
        "loadtest/frozen": "<StorageClass>GLACIER</StorageClass>",
        "loadtest/deep": "<StorageClass>DEEP_ARCHIVE</StorageClass>",
        "loadtest/1": "<StorageClass>GLACIER_IR</StorageClass>",
    }
    async with s3.serving():
        mix = "READ:40,UPDATE:40,DELETE:20"
        async with running(
            s3,
            STEADY_STATE_DISTRIBUTION=mix,
            MAX_OBJECT_BYTES=1000,
            PRECONDITION_MIN_OBJECTS=5,
            MAX_FILE_UUIDS=20,
            MIN_FILE_UUIDS=10,
            INVENTORY_RECONCILE_SECONDS=1,
        ) as load:
            await load.until(lambda: load.processed > 100)
            await trio.sleep(2.5)
            assert load.letters == []
            assert load.service.metrics.totals["objects_skipped"] == len(odd)
    assert s3.objects.keys() >= odd.keys()
    events = log_lines.of("objects_skipped")
    assert len(events) == 1
    expected = {"folder_marker": 2, "empty": 1, "archived": 2, "larger_than_max_object_bytes": 1}
    assert {name: events[0][name] for name in expected} == expected


async def test_object_whose_message_died_is_not_chosen_again() -> None:
    """One dead letter for each kind of misfortune, not one for each time that chance would have it."""
    s3 = OddS3({f"loadtest/{number}": BODY for number in range(3)} | {BAD: b"xyz!"})
    async with (
        s3.serving(),
        running(s3, STEADY_STATE_DISTRIBUTION="UPDATE:100", INVENTORY_RECONCILE_SECONDS=1) as load,
    ):
        await load.until(lambda: bool(load.letters))
        await trio.sleep(2.5)
        assert {letter.key for letter in load.letters} == {BAD}
        already = len(load.letters)
        await load.until(lambda: load.processed > 150)
        assert len(load.letters) == already
        assert load.service.metrics.totals["objects_skipped"] == 1


@pytest.mark.parametrize(
    "response",
    [
        refusal(403, "AccessDenied"),
        refusal(400, "ExpiredToken"),
        refusal(403, "InvalidAccessKeyId"),
        refusal(403, "RequestTimeTooSkewed"),
        refusal(404, "NoSuchBucket"),
        answer(302, b"", "Location: https://login.example/?token=secret"),
    ],
    ids=["AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "RequestTimeTooSkewed", "NoSuchBucket", "302"],
)
async def test_condition_of_the_whole_service_makes_messages_wait(
    response: bytes, log_lines: LogLines
) -> None:
    """For a while nothing works: no message dies, health and log say why, and then all are done."""
    s3 = OddS3(a_hundred())
    async with s3.serving(), running(s3, MAX_RETRIES=1) as load:
        await load.until(lambda: load.processed > 20)
        s3.oddities = [Oddity(response, lambda kind, key: bool(key))]
        await load.until(lambda: "s3" in load.degraded, 2.0)
        reason = load.degraded["s3"]
        await trio.sleep(1.5)
        s3.oddities = []
        done = load.processed
        await load.until(lambda: not load.degraded and load.processed > done + 2 * RATE)
        assert load.letters == []
        assert "secret" not in reason
    lines = [line["error"] for line in log_lines.of("backend_unavailable")]
    assert lines
    assert all(line in reason or reason.split("[")[0] in line for line in lines)


@pytest.mark.parametrize(
    "oddity",
    [
        Oddity(answer(200, b"x" * 500, length=1000), closes=True),
        Oddity(b"\x00\xff garbage\r\n\r\n", closes=True),
        Oddity(b"", closes=True),
        Oddity(refusal(500, "InternalError")),
        Oddity(refusal(503, "SlowDown")),
        Oddity(answer(502, b"<html>Bad Gateway</html>")),
        Oddity(refusal(403, "AccessDenied")),
    ],
    ids=["truncated", "garbage", "closed", "500", "SlowDown", "502", "AccessDenied"],
)
async def test_outage_that_many_keys_share_costs_no_message(oddity: Oddity) -> None:
    """S3 is connected and serves nobody: without a single retry to spend, no message dies."""
    s3 = OddS3(a_hundred())
    oddity = attrs.evolve(oddity, affects=lambda kind, key: bool(key))
    async with s3.serving(), running(s3) as load:
        await load.until(lambda: load.processed > 20)
        s3.oddities = [oddity]
        await load.until(lambda: "s3" in load.degraded, 3.0)
        await trio.sleep(2.0)
        s3.oddities = []
        done = load.processed
        await load.until(lambda: not load.degraded and load.processed > done + 2 * RATE)
        assert load.letters == []


@pytest.mark.parametrize("status", [500, 503])
async def test_key_that_makes_s3_fail_ends_dead_while_others_are_served(status: int) -> None:
    """A 500 or 503 to one key alone is its own affair."""
    code = "InternalError" if status == 500 else "SlowDown"
    s3 = OddS3(a_hundred(), [Oddity(refusal(status, code), only_bad)])
    async with s3.serving(), running(s3) as load:
        load.redis.push(b'{"id":"mine","operation":"READ","key":"loadtest/bad"}')
        load.redis.counters["created"] += 1
        await load.until(lambda: bool(load.letters))
        assert {letter.key for letter in load.letters} == {BAD}
        assert load.degraded == {}


async def test_single_denied_keys_end_dead_while_others_are_served() -> None:
    """Four keys of twenty are denied: they end on the dead list, and nothing is degraded for long."""
    denied = [f"loadtest/{number}" for number in range(4)]
    s3 = OddS3({f"loadtest/{number}": BODY for number in range(20)})
    s3.oddities = [Oddity(refusal(403, "AccessDenied"), lambda kind, key: key in denied)]
    async with s3.serving(), running(s3) as load:
        await load.until(lambda: len({letter.key for letter in load.letters}) == len(denied))
        assert {letter.key for letter in load.letters} == set(denied)
        assert await load.rate(1.0) > 0.7 * RATE
        assert load.degraded == {}


async def test_changed_profile_file_is_read_again(tmp_path: Path) -> None:
    """Keys that expired in the file are replaced there: the service goes on without a restart."""
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = s\n", encoding="utf-8")
    environ = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_CONFIG_FILE": str(tmp_path / "none")}
    s3 = OddS3(a_hundred())
    async with s3.serving(), running(s3, environ, MAX_RETRIES=1) as load:
        await load.until(lambda: load.processed > 20)
        s3.accepted_key = "NEW"
        await load.until(lambda: "s3" in load.degraded)
        file.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = s\n", encoding="utf-8")
        done = load.processed
        await load.until(lambda: not load.degraded and load.processed > done + RATE)
        assert load.letters == []


async def test_clock_that_is_off_is_corrected(log_lines: LogLines) -> None:
    """S3 refuses a machine two hours slow once; then it signs with S3's time."""
    s3 = OddS3(a_hundred())
    later = formatdate(time() + 7200, usegmt=True)
    s3.oddities = [
        Oddity(refusal(403, "RequestTimeTooSkewed", f"Date: {later}"), lambda kind, key: bool(key), 1)
    ]
    async with s3.serving(), running(s3) as load:
        await load.until(lambda: load.processed > 20)
        assert load.degraded == {}
    assert abs(log_lines.of("clock_corrected")[0]["seconds"]) > 7000


async def test_every_fifth_answer_is_an_error_with_status_200() -> None:
    """It counts as the error it names and is tried again: nothing is lost, and nothing counts as done."""
    s3 = OddS3(a_hundred())
    calls = 0

    def every_fifth(kind: str, key: str) -> bool:
        nonlocal calls
        calls += bool(key)
        return bool(key) and calls % 5 == 0

    s3.oddities = [Oddity(refusal(200, "InternalError"), every_fifth)]
    async with s3.serving(), running(s3) as load:
        await load.until(lambda: load.processed > 100)
        errors = load.service.metrics.s3["GET"].errors
        assert errors == pytest.approx(s3.requests["GET"] / 5, abs=3)
        assert load.letters == []


async def test_retry_after_is_heeded() -> None:
    """After SlowDown with Retry-After the same object is left alone for as long."""
    s3 = OddS3({BAD: BODY}, [Oddity(refusal(503, "SlowDown", "Retry-After: 2"), only_bad, times=1)])
    async with s3.serving(), running(s3, SCHEDULER_MESSAGES_PER_SECOND=1) as load:
        await load.until(lambda: s3.requests["GET"] >= 1)
        asked = trio.current_time()
        await load.until(lambda: s3.requests["GET"] >= 2)
        assert trio.current_time() - asked >= 1.9


async def test_redirect_to_another_port_of_the_endpoint_is_followed() -> None:
    """S3's 307 is followed for one hop, body and all."""
    home, away = OddS3(), OddS3()
    async with home.serving(), away.serving():
        home.oddities = [
            Oddity(answer(307, b"", f"Location: {away.url}/bucket/loadtest/x"), lambda kind, key: bool(key))
        ]
        async with running(home, PRECONDITION_MIN_OBJECTS=3) as load:
            await load.until(lambda: load.processed > 5)
            assert len(away.objects) >= 3
            assert home.objects == {}
