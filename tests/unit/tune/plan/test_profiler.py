"""The profiler's table of components follows the package."""

from pathlib import Path

import pytest

import loadtest_trio
from loadtest_trio.tune.plan import profiler

PACKAGE = Path(loadtest_trio.__file__).parent
OURS = sorted(
    {*dict(profiler._COMPONENTS), *profiler._OPERATIONS} - {"/httpx/", "/httpcore/", "/redis/", "/hdrh/"}
)


@pytest.mark.parametrize("fragment", OURS)
def test_every_part_of_ours_is_there(fragment: str) -> None:
    """A file that was renamed would be counted as *rest*, and nobody would notice."""
    assert any(fragment in f"/{path.relative_to(PACKAGE.parent)}" for path in PACKAGE.rglob("*.py"))
