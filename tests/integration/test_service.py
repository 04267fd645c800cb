"""The whole service, started like a user starts it."""

import json
import signal
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest
import redis

from tests.support.service_process import ServiceProcess

NOMINAL = {"READ": 50, "UPDATE": 25, "CREATE": 10, "DELETE": 15}


def assert_ledger_closed(line: Mapping[str, Any]) -> None:
    ledger = line["ledger"]
    places = (
        "processed",
        "missed",
        "dead",
        "purged",
        "cancelled",
        "lost",
        "queued",
        "waiting",
        "delayed",
        "in_flight",
    )
    assert ledger["difference"] == 0
    assert ledger["created"] == sum(ledger[place] for place in places)


@pytest.fixture
def backends(redis_url: str, s3_environment: dict[str, str], bucket: str) -> dict[str, str]:
    """The variables for the shared Valkey and SeaweedFS (signatures checked)."""
    return {"REDIS_ENDPOINT": redis_url, "S3_BUCKET": bucket, **s3_environment}


def test_embedded_run_fills_bucket_mixes_and_stops_in_order() -> None:
    """One command gives a steady load; SIGTERM ends it in time with every message accounted for."""
    # A token of the user's own belongs to the user's own keys.
    environ = {"LOG_INTERVAL_SECONDS": "1", "SHUTDOWN_GRACE_SECONDS": "10", "AWS_SESSION_TOKEN": "stale"}
    with ServiceProcess("run", "--embedded", environ=environ) as service:
        health = service.wait_for("service_started")["health"]
        met = service.wait_for("precondition_met")
        assert met["objects"] >= 100
        with urllib.request.urlopen(health) as answer:
            assert (answer.status, json.load(answer)) == (200, {"status": "OK"})
        # In so many messages, the mix that is exact within 5 messages is so within a hundredth.
        last = service.wait_for("metrics", lambda line: line["messages_processed"] > 700, seconds=60)
        service.signal(signal.SIGTERM)
        assert service.wait(15) == 0
        assert service.complaints.count("embedded") == 2
        metrics, stopped = service.events("metrics"), service.events("service_stopped")[0]
    for line in [*metrics, stopped]:
        assert_ledger_closed(line)
        assert line["errors"] == 0
    assert stopped["ledger"]["in_flight"] == 0
    for operation, share in NOMINAL.items():
        assert abs(last["by_operation"][operation]["share_actual"] - share) < 1


@pytest.mark.parametrize("transport", ["lean", "httpx"])
def test_run_ends_after_its_duration(backends: dict[str, str], transport: str) -> None:
    """RUN_DURATION_SECONDS ends the run with exit code 0, over either transport, signatures checked."""
    environ = {
        **backends,
        "RUN_DURATION_SECONDS": "3",
        "LOG_INTERVAL_SECONDS": "1",
        "S3_TRANSPORT": transport,
    }
    with ServiceProcess(environ=environ) as service:
        assert service.wait() == 0
        stopped = service.events("service_stopped")[0]
    assert stopped["reason"] == "the run's duration is over"
    assert_ledger_closed(stopped)
    assert stopped["messages_processed"] >= 20
    assert stopped["errors"] == 0


def test_saturate_mode_keeps_queue_at_target(backends: dict[str, str]) -> None:
    """Saturate mode fills the queue to its target; only refills exceed it."""
    environ = {
        **backends,
        "SCHEDULER_MODE": "saturate",
        "SCHEDULER_TARGET_QUEUE_LENGTH": "300",
        "PRECONDITION_MIN_OBJECTS": "100",
        "WORKER_CONCURRENCY": "2",
        "LOG_INTERVAL_SECONDS": "0.5",
    }
    with ServiceProcess(environ=environ) as service:
        full = service.wait_for(
            "metrics", lambda line: line["phase"] == "steady" and line["queue_length"] > 200
        )
        assert full["queue_length"] <= 300 + 100
        service.signal(signal.SIGINT)
        assert service.wait() == 0


def test_malformed_element_goes_to_the_dead_list(backends: dict[str, str], redis_url: str) -> None:
    """A malformed element never stops a worker: it ends on the dead list with the reason."""
    with redis.Redis.from_url(redis_url) as client:
        client.lpush("{loadtest}:queue", b"\xff\x00 no message", b'{"id": "x"}')
        with ServiceProcess(environ={**backends, "LOG_INTERVAL_SECONDS": "0.5"}) as service:
            service.wait_for(
                "metrics", lambda line: line["ledger"]["dead"] == 2 and line["messages_processed"] >= 20
            )
            service.signal(signal.SIGTERM)
            assert service.wait() == 0
            stopped = service.events("service_stopped")[0]
        dead = [json.loads(record) for record in client.lrange("{loadtest}:dead", 0, -1)]
    assert stopped["ledger"]["dead"] == 2
    assert stopped["ledger"]["difference"] == -2
    assert stopped["messages_processed"] >= 20
    assert sorted("operation" in record["error"] for record in dead) == [False, True]


@pytest.mark.parametrize(
    ("change", "code", "naming"),
    [
        (
            {"WORKER_CONCURRENCY": "many", "LOG_LEVEL": "loud"},
            2,
            ["WORKER_CONCURRENCY='many'", "LOG_LEVEL='loud'"],
        ),
        ({"S3_BUCKET": "no-such-bucket-here"}, 3, ["no-such-bucket-here", "S3_BUCKET"]),
        ({"AWS_SECRET_ACCESS_KEY": "wrong-wrong-wrong"}, 3, ["SignatureDoesNotMatch", "credentials"]),
        ({"AWS_ACCESS_KEY_ID": ""}, 2, ["AWS_ACCESS_KEY_ID"]),
        ({"REDIS_ENDPOINT": "redis://127.0.0.1:1"}, 3, ["Redis at redis://127.0.0.1:1", "REDIS_ENDPOINT"]),
        ({"S3_ENDPOINT_URL": "http://127.0.0.1:1"}, 3, ["http://127.0.0.1:1", "S3_ENDPOINT_URL"]),
    ],
    ids=["settings", "bucket", "secret", "no-credentials", "redis", "s3"],
)
def test_user_error_is_one_clear_line(
    backends: dict[str, str], change: dict[str, str], code: int, naming: list[str]
) -> None:
    """A bad setting or an unusable backend: the right exit code, what to change, no traceback."""
    environ = {**backends, "STARTUP_TIMEOUT_SECONDS": "0.5", "HOME": "/nonexistent", **change}
    with ServiceProcess(environ=environ) as service:
        assert service.wait() == code
        lines = service.complaints.splitlines()
    for name in naming:
        assert any(name in line for line in lines), lines
    assert all(line.startswith("loadtest_trio: ") for line in lines)
    assert environ["AWS_SECRET_ACCESS_KEY"] not in "".join(lines)


def test_wrong_redis_password_is_reported_masked(backends: dict[str, str]) -> None:
    """Exit code 3 and a line that names REDIS_ENDPOINT, with the password masked."""
    wrong = backends["REDIS_ENDPOINT"].replace("@", "-tampered@")
    with ServiceProcess(environ={**backends, "REDIS_ENDPOINT": wrong}) as service:
        assert service.wait() == 3
        assert "REDIS_ENDPOINT" in service.complaints
        assert "tampered" not in service.complaints


def test_taken_health_port_is_bad_configuration(backends: dict[str, str]) -> None:
    """A taken port gives exit code 2 and a line that names HEALTH_PORT."""
    with ServiceProcess(environ=backends) as first:
        port = first.wait_for("service_started")["health"].split(":")[2].split("/")[0]
        with ServiceProcess(environ={**backends, "HEALTH_PORT": port}) as second:
            assert second.wait() == 2
            assert "HEALTH_PORT" in second.complaints
        with ServiceProcess("check", environ={"HEALTH_PORT": port}) as check:
            assert check.wait() == 0
    with ServiceProcess("check", environ={"HEALTH_PORT": port}) as check:
        assert check.wait() == 1


def test_signal_ends_wait_for_backend(backends: dict[str, str]) -> None:
    """A signal while the service waits for a backend ends it at once, with exit code 0."""
    environ = {**backends, "REDIS_ENDPOINT": "redis://127.0.0.1:1", "LOG_LEVEL": "DEBUG"}
    with ServiceProcess(environ=environ) as service:
        service.wait_for("service_starting")
        service.signal(signal.SIGTERM)
        assert service.wait(10) == 0


def test_embedded_starts_only_missing_backends(s3_environment: dict[str, str], bucket: str) -> None:
    """With an S3 endpoint in the environment, only Redis is embedded."""
    environ = {**s3_environment, "S3_BUCKET": bucket, "RUN_DURATION_SECONDS": "2"}
    with ServiceProcess("run", "--embedded", environ=environ) as service:
        assert service.wait() == 0
        started = service.events("service_started")[0]
    assert started["settings"]["REDIS_ENDPOINT"].startswith("redis://***@127.0.0.1:")
    assert started["settings"]["S3_ENDPOINT_URL"] == s3_environment["S3_ENDPOINT_URL"]
