"""The service and its commands in a locale that knows only ASCII, with keys that hold more than that."""

import json
import os
import signal
import subprocess
import sys

import redis

from loadtest_trio.backends.embedded import S3Server
from tests.support.service_process import ROOT, ServiceProcess

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
KEY = "elsewhere/😀.txt"


def command(environ: dict[str, str], *arguments: str) -> str:
    """Run a command and return what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtest_trio", *arguments],
        capture_output=True,
        check=False,
        timeout=60,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


def test_odd_key_is_logged_listed_and_shown(redis_url: str, s3_server: S3Server) -> None:
    """A message for a key outside the prefix, with an emoji, ends dead; nothing crashes on its name."""
    environ = {
        **ASCII,
        "REDIS_ENDPOINT": redis_url,
        "S3_BUCKET": "ascii-locale",
        "S3_CREATE_BUCKET": "true",
        "S3_ENDPOINT_URL": s3_server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "ROLES": "worker",
    }
    with redis.Redis.from_url(redis_url) as client:
        client.lpush("{loadtest}:queue", json.dumps({"id": "odd", "operation": "READ", "key": KEY}))
    with ServiceProcess(environ={**environ, "LOG_INTERVAL_SECONDS": "0.5"}) as service:
        service.wait_for("metrics", lambda line: line["dead"] == 1)
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
        assert service.events("operation_failed")[0]["key"] == KEY
    assert KEY in command(environ, "dead", "list")
    assert json.loads(command(environ, "dead", "show", "odd"))["key"] == KEY
    assert "1 put back" in command(environ, "dead", "requeue", "odd")
