"""An AWS on loopback: moto with its gaps mended (tests/deploy/moto_aws.py), and clients for it."""

import socket
from pathlib import Path
from typing import Any

import botocore.config
import botocore.session

from loadtest_trio.backends.embedded.ports import LOOPBACK, free_ports
from loadtest_trio.backends.embedded.server_process import ServerProcess

_PROGRAM = Path(__file__).parents[1] / "deploy/moto_aws.py"


class Aws(ServerProcess):
    """The server, in a process of its own."""

    name = "aws"
    ready_seconds = 60.0  # it imports much, and a machine that runs tests is busy

    def _choose_ports(self, port: int | None) -> list[int]:
        return [port] if port else free_ports(1)

    def _configure(self) -> None:
        """Nothing to write."""

    def _arguments(self) -> list[str]:
        return [str(_PROGRAM), "-H", LOOPBACK, "-p", str(self.port)]

    def _answers(self) -> bool:
        with socket.create_connection((LOOPBACK, self.port), timeout=1):
            return True

    def _secrets(self) -> list[str]:
        return []


def client(endpoint: str, service: str, **keys: str) -> Any:  # botocore makes its classes at run time
    """Make a botocore client that tries once; with other keys than the root's when given."""
    chosen = keys or {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return botocore.session.Session().create_client(
        service, endpoint_url=endpoint, region_name="us-east-1", config=config, **chosen
    )
