"""The exception tree: every class tells whose fault it is and whether to retry."""

import inspect

import pytest

from loadtest_trio import errors
from loadtest_trio.errors import (
    ConfigurationError,
    Fault,
    LoadtestError,
    S3Error,
    S3UnreachableError,
    SettingFault,
    cause_of,
    describe,
)

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, LoadtestError) and each.__module__ == errors.__name__
]
RETRYABLE = {
    "RedisUnavailableError",
    "CredentialsError",
    "S3UnreachableError",
    "S3BrokenResponseError",
    "S3AccessError",
    "S3DeniedError",
    "S3CredentialsError",
    "ClockSkewError",
    "BucketMissingError",
    "WrongRegionError",
    "S3RedirectedError",
    "S3ThrottledError",
    "S3ServerError",
    "WorkerProcessError",
    "FetchUnreachableError",
}


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_is_classified(error: type[LoadtestError]) -> None:
    """Each class names a fault; exactly the transient ones are retryable."""
    assert isinstance(error.fault, Fault)
    assert error.retryable is (error.__name__ in RETRYABLE)


def test_configuration_error_lists_every_fault() -> None:
    """One exception carries all bad settings, each with variable, value, source and allowed values."""
    faults = [
        SettingFault("A", "1", "a letter", "environment"),
        SettingFault("B", "", "set to a number", "not set"),
    ]
    error = ConfigurationError(faults)
    assert error.faults == faults
    assert str(error) == ("A='1' (environment): must be a letter; B='' (not set): must be set to a number")


def test_s3_error_shows_known_details() -> None:
    """Code, status, key and request id follow the text; unknown ones are left out."""
    full = S3Error("it failed", code="SlowDown", key="a/b", status=503, request_id="R")
    assert str(full) == "it failed [code=SlowDown status=503 key=a/b request_id=R]"
    assert str(S3UnreachableError("no answer")) == "no answer"


def test_cause_is_found_inside_groups() -> None:
    """At any depth: the single error inside, or the first of several of ours, or the group itself."""
    ours, other = LoadtestError("a"), ValueError("b")
    assert cause_of(ours) is ours
    assert cause_of(ExceptionGroup("x", [ExceptionGroup("y", [ours])])) is ours
    assert cause_of(ExceptionGroup("x", [ours, LoadtestError("c")])) is ours
    mixed = ExceptionGroup("x", [ours, other])
    assert cause_of(ExceptionGroup("outer", [mixed])) is mixed


def test_group_is_described_by_its_errors() -> None:
    """Never as "1 sub-exception"; the same error of several tasks appears once."""
    inner = ExceptionGroup("Exceptions from Trio nursery", [OSError("no"), OSError("no"), KeyError("k")])
    assert describe(ExceptionGroup("Exceptions from Trio nursery", [inner])) == "OSError: no; KeyError: 'k'"
    assert describe(OSError("no")) == "OSError: no"
