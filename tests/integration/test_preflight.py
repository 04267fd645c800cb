"""preflight and dead, run by a user on real backends."""

import json

import pytest
import redis

from tests.support.service_process import ServiceProcess


@pytest.fixture
def backends(redis_url: str, s3_environment: dict[str, str], bucket: str) -> dict[str, str]:
    """The variables for the shared Valkey and SeaweedFS."""
    return {"REDIS_ENDPOINT": redis_url, "S3_BUCKET": bucket, **s3_environment}


def run(*arguments: str, environ: dict[str, str]) -> tuple[int, str, str]:
    with ServiceProcess(*arguments, environ=environ) as process:
        code = process.wait()
        return code, process.output, process.complaints


def test_preflight_passes_on_fit_backends_and_leaves_nothing(
    backends: dict[str, str], redis_url: str
) -> None:
    """Every check is ok, the cost is predicted, and no key or object is left behind."""
    code, output, _ = run("preflight", environ=backends)
    assert code == 0
    assert "failed" not in output
    assert "GET requests" in output
    with redis.Redis.from_url(redis_url) as client:
        assert list(client.scan_iter("*inflight*")) == []


def test_preflight_names_missing_permission(backends: dict[str, str]) -> None:
    """A wrong secret fails each S3 check with its reason, and the exit code is 1."""
    code, output, complaints = run("preflight", environ={**backends, "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert code == 1
    assert output.count("failed") >= 3
    assert backends["AWS_SECRET_ACCESS_KEY"] not in output + complaints


def test_preflight_fails_above_max_cost(backends: dict[str, str]) -> None:
    """Above MAX_COST_USD the exit code is 1 and the line has both amounts."""
    code, _, complaints = run("preflight", environ={**backends, "MAX_COST_USD": "0.5"})
    assert code == 1
    assert "MAX_COST_USD=0.5" in complaints


@pytest.mark.parametrize(
    ("arguments", "environ", "code"),
    [
        ((), {}, 0),
        ((), {"MAX_COST_USD": "1000"}, 1),
        (("--rate", "100"), {"MAX_COST_USD": "1000"}, 0),
        (("--rate", "100", "--node-type", "cache.x99"), {"MAX_COST_USD": "1000"}, 1),
    ],
    ids=["no limit", "no rate", "rate given", "no price"],
)
def test_preflight_fails_on_unknown_cost(
    backends: dict[str, str], arguments: tuple[str, ...], environ: dict[str, str], code: int
) -> None:
    """In saturate mode the rate, and so the cost, is unknown: MAX_COST_USD needs --rate and every price."""
    ended, output, complaints = run(
        "preflight", *arguments, environ={**backends, "SCHEDULER_MODE": "saturate", **environ}
    )
    assert ended == code
    assert ("unknown" in output) == (code == 1 or not arguments)
    assert ("is unknown (--rate gives" in complaints) == (code == 1)


@pytest.mark.parametrize(("tasks", "code"), [("1", 1), ("50", 0)], ids=["too few", "enough"])
def test_preflight_checks_capacity_for_the_clients(backends: dict[str, str], tasks: str, code: int) -> None:
    """With --clients it prints tasks, workers and shards, and fails if fewer tasks are configured."""
    asked = ("--clients", "20000", "--poll", "2", "--jobs", "10", "--node-type", "cache.m7g.large")
    ended, output, complaints = run("preflight", *asked, "--api-tasks", tasks, environ=backends)
    assert ended == code
    assert "API tasks of 1 vCPU" in output
    assert ("API tasks are needed" in complaints) == (code == 1)


def test_dead_letters_can_be_listed_shown_requeued_and_purged(
    backends: dict[str, str], redis_url: str
) -> None:
    """A dead letter goes through all actions of the command."""
    with redis.Redis.from_url(redis_url) as client:
        for number in (1, 2):
            client.lpush("{loadtest}:queue", json.dumps({"id": f"m{number}", "operation": "NO", "key": "k"}))
        with ServiceProcess(environ={**backends, "ROLES": "worker", "RUN_DURATION_SECONDS": "1"}) as service:
            assert service.wait() == 0
        code, output, _ = run("dead", "list", environ=backends)
        assert code == 0
        assert "2 dead letters" in output
        code, output, _ = run("dead", "show", "m1", environ=backends)
        assert json.loads(output)["error"].startswith("unknown operation 'NO': known are READ")
        assert run("dead", "show", "m9", environ=backends)[0] == 1
        assert run("dead", "requeue", "m1", environ=backends)[0] == 0
        assert client.llen("{loadtest}:queue") == 1
        assert "1 deleted" in run("dead", "purge", environ=backends)[1]
        assert client.llen("{loadtest}:dead") == 0
