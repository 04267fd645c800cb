"""The client-only ceiling: real handlers and a real S3Service without a network."""

import pytest

from loadtest_trio.settings import load
from loadtest_trio.tune.rig import ceiling

SETTINGS = load(
    {
        "REDIS_ENDPOINT": "redis://nowhere:1",
        "S3_BUCKET": "bucket",
        "MIN_FILE_UUIDS": "5",
        "MAX_FILE_UUIDS": "9",
    }
).settings


async def test_ceiling_runs_configured_mix_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configured mix, including updates and creates, runs without any connection."""
    monkeypatch.setattr(ceiling, "_SECONDS", 0.05)
    assert await ceiling.client_ceiling(SETTINGS) > 10
