"""The profiler's table of components matches the package."""

from pathlib import Path

import pytest

import loadtest_trio
from loadtest_trio.tune.plan import profiler

PACKAGE = Path(loadtest_trio.__file__).parent
OURS = sorted(
    {*dict(profiler._COMPONENTS), *profiler._OPERATIONS} - {"/httpx/", "/httpcore/", "/redis/", "/hdrh/"}
)


@pytest.mark.parametrize("fragment", OURS)
def test_every_path_of_the_table_exists(fragment: str) -> None:
    """Without this test, a renamed file would silently be counted as *rest*."""
    assert any(fragment in f"/{path.relative_to(PACKAGE.parent)}" for path in PACKAGE.rglob("*.py"))
