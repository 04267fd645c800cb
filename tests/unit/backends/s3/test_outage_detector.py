"""The outage detector: what concerns S3 as a whole, and what concerns one object."""

import attrs
import pytest

from loadtest_trio.backends.s3.outage_detector import Outage, OutageDetector
from loadtest_trio.errors import (
    BucketMissingError,
    ClockSkewError,
    CredentialsError,
    LoadtestError,
    ObjectMissingError,
    ObjectTooLargeError,
    S3BrokenResponseError,
    S3CredentialsError,
    S3DeniedError,
    S3RedirectedError,
    S3RejectedError,
    S3ServerError,
    S3ThrottledError,
    S3UnreachableError,
    WrongRegionError,
)

BROKEN = S3BrokenResponseError("reset")
DENIED = S3DeniedError("denied", status=403)
FAILED = S3ServerError("failed", status=500)
SLOWED = S3ThrottledError("slow down", status=503)


@attrs.define
class Watched:
    """A detector with a clock, after a first success."""

    now: float = 100.0
    outage: Outage | None = None
    detector: OutageDetector = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.detector = OutageDetector(lambda: self.now)
        assert self.see("LIST") is None

    def see(
        self, kind: str, key: str = "", error: LoadtestError | None = None, after: float = 0.0
    ) -> LoadtestError | None:
        """Note a request that ended `after` seconds later; return the outage's reason."""
        self.now += after
        self.outage = self.detector.observe(kind, key, error)
        return self.outage.error if self.outage else None


def test_no_connection_is_an_outage_at_once() -> None:
    """One failure to connect is enough, and any answer ends it."""
    error = S3UnreachableError("refused")
    watched = Watched()
    assert watched.see("GET", "a", error) is error
    assert watched.see("GET", "a", S3ServerError("x", status=500)) is None
    assert watched.see("GET", "a", error) is error
    assert watched.see("PUT", "b") is None


@pytest.mark.parametrize("error", [BROKEN, DENIED, FAILED, SLOWED], ids=repr)
def test_one_key_is_never_an_outage(error: LoadtestError) -> None:
    """However often the requests of one key fail, and for however long: S3 serves the others."""
    watched = Watched()
    for _ in range(500):
        assert watched.see("GET", "bad", error, after=1.0) is None


@pytest.mark.parametrize("error", [BROKEN, DENIED, FAILED, SLOWED], ids=repr)
def test_bad_objects_among_good_ones_are_no_outage(error: LoadtestError) -> None:
    """Failures of many keys are none either while others succeed in between."""
    watched = Watched()
    for number in range(100):
        assert watched.see("GET", f"bad-{number}", error, after=0.5) is None
        assert watched.see("GET", f"bad-{number + 1}", error, after=0.5) is None
        assert watched.see("GET", "good", after=0.01) is None


@pytest.mark.parametrize("error", [BROKEN, DENIED, FAILED, SLOWED], ids=repr)
def test_several_keys_without_a_success_are_an_outage(error: LoadtestError) -> None:
    """Three keys fail and nothing succeeds for a while; the next success ends the outage."""
    watched = Watched()
    assert watched.see("GET", "a", error, after=0.1) is None
    assert watched.see("GET", "b", error, after=0.1) is None
    assert watched.see("GET", "c", error, after=0.05) is None
    assert watched.see("GET", "a", error, after=0.3) is error
    assert watched.see("GET", "a") is None
    assert watched.see("GET", "a", error, after=5.0) is None


def test_requests_that_all_time_out_at_once_are_an_outage() -> None:
    """What counts is the time since the last success, not since the first failure."""
    watched = Watched()
    watched.now += 10.0
    assert [watched.see("GET", key, BROKEN) for key in "abc"] == [None, None, BROKEN]


@pytest.mark.parametrize("error", [DENIED, FAILED, SLOWED], ids=repr)
def test_refusals_count_for_each_kind_of_request(error: LoadtestError) -> None:
    """PUT refused to all keys is a condition of the whole, though GET works."""
    watched = Watched()
    for key in "abcd":
        watched.see("PUT", key, error, after=0.5)
        outage = watched.see("GET", key)
    assert outage is error
    assert watched.see("PUT", "e") is None


@pytest.mark.parametrize("error", [BROKEN, DENIED, FAILED, SLOWED], ids=repr)
def test_an_outage_is_dated_back_to_the_last_success(error: LoadtestError) -> None:
    """The failures that revealed it were part of it."""
    watched = Watched()
    watched.see("GET", "good", after=1.0)
    succeeded_at = watched.now
    for key in "abcd":
        watched.see("GET", key, error, after=0.2)
    assert watched.outage == Outage(error, succeeded_at)


def test_an_outage_of_connections_begins_when_one_fails() -> None:
    """It needs no other evidence, so nothing earlier belongs to it."""
    watched = Watched()
    error = S3UnreachableError("refused")
    watched.see("GET", "a", error, after=7.0)
    assert watched.outage == Outage(error, watched.now)


def test_an_unreachable_s3_that_fails_afterwards_is_still_out() -> None:
    """What a proxy answers while S3 starts again ends one outage and reveals the next."""
    watched = Watched()
    watched.see("GET", "a", S3UnreachableError("refused"), after=1.0)
    assert [watched.see("GET", key, FAILED, after=0.2) for key in "abc"] == [None, None, FAILED]


def test_denied_listing_is_an_outage() -> None:
    """A bucket operation does not depend on an object."""
    watched = Watched()
    assert watched.see("LIST", "", DENIED) is DENIED
    assert watched.see("GET", "a") is DENIED
    assert watched.see("LIST") is None


@pytest.mark.parametrize(
    "error",
    [
        S3CredentialsError("expired"),
        ClockSkewError("skewed"),
        BucketMissingError("gone"),
        WrongRegionError("moved"),
        S3RedirectedError("redirected"),
        CredentialsError("none"),
    ],
    ids=repr,
)
def test_wrong_keys_clock_bucket_or_region_concern_everything(error: LoadtestError) -> None:
    """They do not depend on an object, so one answer is enough; a success of any kind ends it."""
    watched = Watched()
    assert watched.see("GET", "a", error) is error
    assert watched.see("GET", "a", S3ServerError("x", status=503)) is error
    assert watched.see("PUT", "b", ObjectMissingError("x", status=404)) is None


def test_before_the_first_success_only_the_connection_counts() -> None:
    """At start a missing bucket may be about to be created; the start itself reports what it finds."""
    detector = OutageDetector(lambda: 0.0)
    assert detector.observe("LIST", "", BucketMissingError("x", status=404)) is None
    error = S3UnreachableError("refused")
    assert detector.observe("LIST", "", error) == Outage(error, 0.0)
    assert detector.observe("LIST", "", BucketMissingError("x", status=404)) is None


@pytest.mark.parametrize(
    "error",
    [
        S3RejectedError("x", status=400),
        ObjectTooLargeError("x"),
        ObjectMissingError("x", status=404),
    ],
    ids=repr,
)
def test_other_answers_are_no_outage(error: LoadtestError) -> None:
    """S3 answers, if badly: whatever the number of keys."""
    watched = Watched()
    for number in range(20):
        assert watched.see("GET", f"{number}", error, after=1.0) is None
