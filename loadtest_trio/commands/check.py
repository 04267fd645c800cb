"""``check``: the container's health check."""

import argparse
import sys
from collections.abc import Mapping

import httpx

from loadtest_trio.commands.exits import FAILED, OK, complain
from loadtest_trio.settings import load

MEANING = "Ask the health endpoint of the service on this host; exit 0 when it is healthy."
_TIMEOUT_SECONDS = 3.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where one listens is not where one asks


def add_options(_: argparse.ArgumentParser) -> None:
    """There are none."""


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Ask once; backends are not needed for it, and so neither are their settings."""
    not_asked = {"REDIS_ENDPOINT": "redis://localhost", "S3_BUCKET": "not-asked"}
    settings = load({**not_asked, **environ}, options.config).settings
    url = httpx.URL(
        scheme="http",
        host=_ANY_ADDRESS.get(settings.health_host, settings.health_host),
        port=settings.health_port,
        path=settings.health_endpoint_path,
    )
    try:
        response = httpx.get(url, timeout=_TIMEOUT_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return complain(FAILED, f"no answer from {url}: {error}")
    sys.stdout.write(response.text.rstrip() + "\n")
    return OK if response.status_code == httpx.codes.OK else FAILED
