"""``check``: the container's health check.

It runs repeatedly on the CPU that is being measured, so it imports as little as possible: no settings, no
Trio, no HTTP library. tests/unit/cli/test_main.py checks this, and that the defaults agree.
"""

import argparse
import http.client
import sys
from collections.abc import Mapping
from pathlib import Path

from loadtest_trio.cli.exits import BAD_CONFIGURATION, FAILED, OK, complain
from loadtest_trio.http.address import authority

MEANING = "Ask the health endpoint of the service on this host; exit 0 if it is healthy."
DEFAULTS = {"HEALTH_HOST": "127.0.0.1", "HEALTH_PORT": "8080", "HEALTH_ENDPOINT_PATH": "/health"}
_TIMEOUT_SECONDS = 3.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here


def add_options(_: argparse.ArgumentParser) -> None:
    """Add no options."""


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Send one request; the backends' settings are not needed."""
    try:
        table: Mapping[str, object] = {} if options.config is None else _read(options.config)
        host, port, path = (_setting(name, environ, table) for name in DEFAULTS)
        connection = http.client.HTTPConnection(
            _ANY_ADDRESS.get(host, host), int(port), timeout=_TIMEOUT_SECONDS
        )
    except (OSError, ValueError) as error:
        return complain(BAD_CONFIGURATION, f"cannot tell where to ask: {error}")
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        url = f"http://{authority(connection.host, connection.port)}{path}"
        return complain(FAILED, f"no answer from {url}: {error}")
    finally:
        connection.close()
    sys.stdout.write(text.rstrip() + "\n")
    return OK if response.status == http.client.OK else FAILED


def _read(file: Path) -> Mapping[str, object]:
    import tomllib  # a fifth of the cost of a check, and rarely needed

    return tomllib.loads(file.read_text(encoding="utf-8"))


def _setting(name: str, environ: Mapping[str, str], table: Mapping[str, object]) -> str:
    """Return a setting as `settings.load` finds it: environment, file, default; empty counts as unset."""
    return environ.get(name, "").strip() or str(table.get(name.lower(), DEFAULTS[name])).strip()
