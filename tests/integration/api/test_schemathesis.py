"""The running service against its own OpenAPI document, judged by schemathesis."""

import subprocess
import sys
from pathlib import Path

from loadtest_trio.backends.embedded import S3Server
from tests.support.service_process import ServiceProcess

CONFIGURATION = Path(__file__).parents[2] / "clients" / "schemathesis.toml"
# A cancelled job can still be looked at, and limits that a schema cannot state refuse what it allows.
LEFT_OUT = "use_after_free,positive_data_acceptance"


def test_no_answer_contradicts_the_document(redis_url: str, s3_server: S3Server, bucket: str) -> None:
    """No 5xx, no undocumented status, body or header, whatever is sent."""
    environ = {
        "REDIS_ENDPOINT": redis_url,
        "S3_BUCKET": bucket,
        "API_PORT": "0",
        "JOB_RATE_LIMIT_PER_MINUTE": "0",
        "JOB_INLINE_RESULT_BYTES": "1048576",
        **s3_server.environment(),
    }
    with ServiceProcess("jobs", environ=environ) as service:
        url = service.wait_for("service_started")["api"]
        command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIGURATION)]
        options = ["--checks", "all", "--exclude-checks", LEFT_OUT, "--max-examples", "15", "--seed", "1"]
        judged = subprocess.run(
            [*command, "run", f"{url}/openapi.json", *options],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert judged.returncode == 0, judged.stdout[-5000:] + judged.stderr[-1000:]
        assert service.events("request_crashed") == []
