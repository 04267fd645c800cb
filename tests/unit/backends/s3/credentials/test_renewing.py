"""Credentials: what they hide, and when temporary ones are renewed (virtual time)."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.backends.s3.credentials import Credentials, RenewingCredentials, StaticCredentials
from loadtest_trio.backends.s3.credentials.renewing import ADVISORY_SECONDS, log_failure
from loadtest_trio.errors import CredentialsError

HOUR = 3600.0


class Endpoint:
    """Hands out keys that live `lifetime` seconds, after `delay` seconds, or fails."""

    def __init__(self, lifetime: float = HOUR, delay: float = 0.5) -> None:
        self.lifetime = lifetime
        self.delay = delay
        self.broken = False
        self.fetched = 0

    async def fetch(self) -> Credentials:
        self.fetched += 1
        await trio.sleep(self.delay)
        if self.broken:
            raise CredentialsError("endpoint is down")
        return Credentials(f"AK{self.fetched}", "secret", "token", trio.current_time() + self.lifetime)


def renewing(
    endpoint: Endpoint, note: Callable[[CredentialsError], None] = log_failure
) -> RenewingCredentials:
    """Make the source under test, its wall clock being Trio's virtual one."""
    return RenewingCredentials(endpoint.fetch, unix_clock=trio.current_time, on_failure=note)


def test_repr_hides_the_secrets() -> None:
    """Neither the secret nor the token is in a repr, nor in that of a source that holds them."""
    keys = Credentials("AKVISIBLE", "hidden1", "hidden2", 5.0)
    for shown in (repr(keys), str(keys), repr(StaticCredentials(keys))):
        assert "AKVISIBLE" in shown
        assert "hidden" not in shown


@pytest.mark.parametrize("bad", ["", "hidden\n", "hid den", "hiddén", "hidden\r\nX-Injected: 1"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_unsendable_keys_are_rejected(bad: str, position: int) -> None:
    """A key that would break or extend a header is refused, without being shown."""
    values = ["AK", "secret", "token"]
    values[position] = bad
    with pytest.raises(CredentialsError, match="the AWS") as caught:
        Credentials(values[0], values[1], values[2])
    assert "hid" not in str(caught.value)


async def test_static_keys_never_change() -> None:
    """A source without newer keys hands back the same ones, so that the caller knows."""
    keys = Credentials("AK", "secret")
    assert await StaticCredentials(keys).current() is keys
    assert await StaticCredentials(keys).renewed(keys) is keys


async def test_many_requests_fetch_once(autojump_clock: MockClock) -> None:
    """However many requests come before there are keys, they are fetched once."""
    endpoint = Endpoint()
    source = renewing(endpoint)
    async with trio.open_nursery() as nursery:
        for _ in range(64):
            nursery.start_soon(source.current)
    assert endpoint.fetched == 1


async def test_renewed_before_the_end_while_others_go_on(autojump_clock: MockClock) -> None:
    """Near the end one request renews the keys; the others get the old ones without waiting."""
    endpoint = Endpoint(delay=5.0)
    source = renewing(endpoint)
    old = await source.current()
    await trio.sleep(HOUR - ADVISORY_SECONDS + 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.current)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        assert [await source.current() for _ in range(10)] == [old] * 10
        assert trio.current_time() == began
    assert (await source.current()).access_key == "AK2"
    assert endpoint.fetched == 2


async def test_keys_stay_valid_for_24_hours(autojump_clock: MockClock) -> None:
    """A day of requests ten seconds apart never sees expired keys, and asks no oftener than needed."""
    endpoint = Endpoint()
    source = renewing(endpoint)
    for _ in range(24 * 360):
        keys = await source.current()
        assert keys.expires_at is not None
        assert keys.expires_at > trio.current_time()
        await trio.sleep(10)
    assert endpoint.fetched == pytest.approx(24 * HOUR / (HOUR - ADVISORY_SECONDS), abs=1)


async def test_failed_renewal_is_noted_and_tried_again(autojump_clock: MockClock) -> None:
    """While the old keys are valid a failure is only noted, and tried again every half minute."""
    endpoint, notes = Endpoint(delay=0.0), list[CredentialsError]()
    source = renewing(endpoint, notes.append)
    old = await source.current()
    await trio.sleep(HOUR - ADVISORY_SECONDS + 1)
    endpoint.broken = True
    for _ in range(300):
        assert await source.current() is old
        await trio.sleep(1)
    assert endpoint.fetched - 1 == len(notes) == pytest.approx(300 / 30, abs=1)
    assert str(notes[0]) == "endpoint is down"
    endpoint.broken = False
    await trio.sleep(30)
    assert (await source.current()) is not old


async def test_expired_keys_that_cannot_be_renewed_are_an_error(autojump_clock: MockClock) -> None:
    """Once expired, requests fail with the reason, share one attempt a second, and recover."""
    endpoint = Endpoint(delay=0.0)
    source = renewing(endpoint)
    await source.current()
    endpoint.broken = True
    await trio.sleep(HOUR + 1)

    async def request() -> None:
        with pytest.raises(CredentialsError, match="endpoint is down"):
            await source.current()

    async with trio.open_nursery() as nursery:
        for _ in range(64):
            nursery.start_soon(request)
    assert endpoint.fetched == 2
    endpoint.broken = False
    await trio.sleep(1.5)
    assert (await source.current()).access_key == "AK3"


async def test_short_lived_keys_are_not_fetched_for_every_request(autojump_clock: MockClock) -> None:
    """Keys that live shorter than the renewal window are still used, and renewed in time."""
    endpoint = Endpoint(lifetime=120.0, delay=0.0)
    source = renewing(endpoint)
    for _ in range(600):
        await source.current()
        await trio.sleep(1)
    assert endpoint.fetched <= 600 / 30 + 1


async def test_refused_keys_are_renewed_once_for_all(autojump_clock: MockClock) -> None:
    """When S3 refuses the keys of many requests, one renewal serves them all."""
    endpoint = Endpoint()
    source = renewing(endpoint)
    refused = await source.current()
    await trio.sleep(60)
    got = list[Credentials]()

    async def request() -> None:
        got.append(await source.renewed(refused))

    async with trio.open_nursery() as nursery:
        for _ in range(64):
            nursery.start_soon(request)
    assert {keys.access_key for keys in got} == {"AK2"}
    assert endpoint.fetched == 2


async def test_refused_keys_that_cannot_be_renewed(autojump_clock: MockClock) -> None:
    """If the renewal of refused keys fails, they are handed back, which tells the caller."""
    endpoint = Endpoint()
    source = renewing(endpoint)
    refused = await source.current()
    await trio.sleep(60)
    endpoint.broken = True
    assert await source.renewed(refused) is refused


async def test_cancelled_renewal_leaves_the_next_one_free(autojump_clock: MockClock) -> None:
    """A request that is cancelled while it renews does not hold the others up."""
    endpoint = Endpoint(delay=5.0)
    source = renewing(endpoint)
    with trio.move_on_after(1):
        await source.current()
    assert (await source.current()).access_key == "AK2"


async def test_clock_set_back_does_not_stop_renewals(autojump_clock: MockClock) -> None:
    """A wall clock set back by a day does not keep a failing source from being asked again."""
    endpoint, offset = Endpoint(delay=0.0), 0.0
    endpoint.broken = True
    source = RenewingCredentials(endpoint.fetch, unix_clock=lambda: trio.current_time() + offset)
    with pytest.raises(CredentialsError):
        await source.current()
    endpoint.broken, offset = False, -24 * HOUR
    assert (await source.current()).access_key == "AK2"
