"""The exception tree: every class says whose fault it is and whether to retry."""

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
def test_every_error_takes_a_stand(error: type[LoadtestError]) -> None:
    """Each class names a fault; exactly the transient ones are worth another attempt."""
    assert isinstance(error.fault, Fault)
    assert error.retryable is (error.__name__ in RETRYABLE)


def test_configuration_error_lists_every_fault() -> None:
    """One exception carries all bad settings, each naming variable, value, source and what is allowed."""
    faults = [
        SettingFault("A", "1", "a letter", "environment"),
        SettingFault("B", "", "set to a number", "not set"),
    ]
    error = ConfigurationError(faults)
    assert error.faults == faults
    assert str(error) == ("A='1' (environment): must be a letter; B='' (not set): must be set to a number")


def test_s3_error_shows_what_is_known() -> None:
    """Code, status, key and request id stand behind the text; what is unknown is left out."""
    full = S3Error("it failed", code="SlowDown", key="a/b", status=503, request_id="R")
    assert str(full) == "it failed [code=SlowDown status=503 key=a/b request_id=R]"
    assert str(S3UnreachableError("no answer")) == "no answer"


def test_the_cause_is_what_nurseries_wrap() -> None:
    """However deep: the one error inside; the first of several of ours; else the group itself."""
    ours, other = LoadtestError("a"), ValueError("b")
    assert cause_of(ours) is ours
    assert cause_of(ExceptionGroup("x", [ExceptionGroup("y", [ours])])) is ours
    assert cause_of(ExceptionGroup("x", [ours, LoadtestError("c")])) is ours
    mixed = ExceptionGroup("x", [ours, other])
    assert cause_of(ExceptionGroup("outer", [mixed])) is mixed


def test_a_group_is_described_by_what_is_in_it() -> None:
    """Never by its own words, "1 sub-exception"; the same error of many tasks is said once."""
    inner = ExceptionGroup("Exceptions from Trio nursery", [OSError("no"), OSError("no"), KeyError("k")])
    assert describe(ExceptionGroup("Exceptions from Trio nursery", [inner])) == "OSError: no; KeyError: 'k'"
    assert describe(OSError("no")) == "OSError: no"
