"""Servers that misbehave on request, plain and under TLS, and the shortest way to fetch from them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

ROOT = Path(__file__).parents[2]


@contextmanager
def _server(*options: str) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.support.odd_server", *options]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture(scope="session")
def odd_port() -> Iterator[int]:
    """The port of a plain server on 127.0.0.1."""
    with _server() as port:
        yield port


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who signs the TLS server's certificate."""
    return trustme.CA()


@pytest.fixture(scope="session")
def tls_port(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a TLS server on 127.0.0.1, whose certificate says "localhost"."""
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(file))
    with _server("--certificate", str(file)) as port:
        yield port
