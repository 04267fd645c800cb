"""Foreign exceptions become ours."""

import ssl
from typing import Any

import pytest
import redis
from redis import exceptions as theirs
from redis.connection import DefaultParser

from loadtest_trio.backends.redis.translate import translate
from loadtest_trio.errors import RedisRejectedError, RedisUnavailableError


def reply(text: str) -> Exception:
    """Return what redis-py makes of an error reply."""
    parser: Any = DefaultParser
    error = parser.parse_error(text)
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize(
    "text",
    [
        "LOADING Redis is loading the dataset in memory",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "NOREPLICAS Not enough good replicas to write.",
        "BUSY Redis is busy running a script.",
        "ERR max number of clients reached",
        "upstream failure",
        "no upstream host",
        "ERR Connection timed out",
        "Connection refused",
        "ERR Error running script (call to f_d5e8): @user_script:1: -OOM command not allowed when",
        "ERR Error running script (call to f_d5e8): @user_script:1: -READONLY You can't write against a",
    ],
)
def test_replies_that_say_later(text: str) -> None:
    """What passes by itself is unavailable, and keeps the server's words."""
    error = translate(reply(text), "h:1", None)
    assert isinstance(error, RedisUnavailableError)
    assert text.removeprefix("ERR ")[:20] in str(error)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "WRONGPASS invalid username-password pair or user is disabled.",
            "user and password in REDIS_ENDPOINT",
        ),
        ("NOAUTH Authentication required.", "password in REDIS_ENDPOINT"),
        ("NOPERM User u has no permissions to run the 'evalsha' command", "more permissions"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "QUEUE_NAME"),
        ("MOVED 3999 127.0.0.1:6381", "cluster mode is not supported"),
        ("ASK 3999 127.0.0.1:6381", "cluster mode is not supported"),
        ("CROSSSLOT Keys in request don't hash to the same slot", "cluster mode is not supported"),
        ("ERR ACL failure in script: No permissions to access a key", "more permissions"),
        ("ERR DB index is out of range", "database number"),
        ("ERR unknown command 'EVALSHA'", "7.0"),
        ("ERR something new", ""),
    ],
)
def test_replies_that_say_no(text: str, hint: str) -> None:
    """What will not change by asking again is rejected, with what to change."""
    error = translate(reply(text), "h:1", None)
    assert isinstance(error, RedisRejectedError)
    assert hint in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "TOO_MANY_REQUESTS slow down",
        "ERR max requests limit exceeded. Limit: 10000, Usage: 10000",
        "ERR unknown error",
        "ERR unknown command 'EVALSHA'",
        "MOVED 3999 127.0.0.1:6381",
    ],
)
def test_unknown_reply_to_what_has_worked_says_later(text: str) -> None:
    """A provider's limit in words of its own passes; a server that never answered otherwise is rejected."""
    assert isinstance(translate(reply(text), "h:1", None, has_worked=True), RedisUnavailableError)
    assert isinstance(translate(reply(text), "h:1", None), RedisRejectedError)


@pytest.mark.parametrize(
    "text",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR value is not an integer or out of range",
        "ERR outdated call script: 0e5c, on @user_script:71.",
        "ERR Error running script (call to f_d5e8): @user_script:1: attempt to index a nil value",
    ],
)
def test_reply_about_the_call_itself_says_no(text: str) -> None:
    """The same call would get it again, whatever has worked."""
    assert isinstance(translate(reply(text), "h:1", None, has_worked=True), RedisRejectedError)


@pytest.mark.parametrize(
    "error",
    [
        theirs.ConnectionError("Connection refused"),
        theirs.TimeoutError("Timeout reading from socket"),
        theirs.InvalidResponse("Protocol error"),
        ConnectionResetError(104, "reset"),
        OSError(24, "Too many open files"),
    ],
)
def test_transport_faults_are_unavailable(error: Exception) -> None:
    """No answer, half an answer and a garbled answer can all be asked for again."""
    assert isinstance(translate(error, "h:1", None), RedisUnavailableError)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Error 111 connecting to 10.0.0.7:6379. Connection refused.", "Connection refused"),
        ("Error -3 connecting to h.example:1. Name or service not known.", "Name or service not known"),
        ("Error 111 connecting to 10.0.0.7:6379.", "Error 111 connecting to 10.0.0.7:6379."),
    ],
)
def test_failure_to_connect_names_the_address_once(text: str, reason: str) -> None:
    """redis-py's message repeats the address that ours begins with."""
    assert str(translate(theirs.ConnectionError(text), "h:1", None)) == f"Redis at h:1: {reason}"


def test_untrusted_certificate_is_rejected() -> None:
    """redis-py wraps ssl's error in its own ConnectionError: the cause decides."""
    error = redis.ConnectionError("certificate verify failed")
    error.__context__ = ssl.SSLCertVerificationError("self-signed")
    assert isinstance(translate(error, "h:1", None), RedisRejectedError)


def test_certificate_that_expired_in_mid_run_is_an_outage() -> None:
    """It is renewed while the service waits."""
    error = redis.ConnectionError("certificate verify failed")
    error.__context__ = ssl.SSLCertVerificationError("certificate has expired")
    assert isinstance(translate(error, "h:1", None, has_connected=True), RedisUnavailableError)


def test_password_is_masked() -> None:
    """Should a server repeat the password, we do not."""
    error = translate(redis.ConnectionError("AUTH hunter2 refused"), "h:1", "hunter2")
    assert "hunter2" not in str(error)
    assert "AUTH *** refused" in str(error)
