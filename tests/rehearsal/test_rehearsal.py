"""The short form of the rehearsal: every claim of every scene holds.

The scene `scaled` needs more quiet than CI has; test_parts.py plays its policies in virtual time.
"""

import pytest
import trio

from benchmarks.endpoint import find_nginx
from benchmarks.process import Unavailable
from tests.rehearsal.play import SHARED_STAGE, SHORT, play
from tests.rehearsal.snapshot import load_snapshot

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module", autouse=True)
def balancer() -> None:
    """Skip without nginx."""
    try:
        find_nginx()
    except Unavailable as error:
        pytest.skip(str(error))


def broken(*scenes: str) -> list[str]:
    """Play scenes; return the claims that do not hold."""
    outcomes = trio.run(play, load_snapshot(), SHORT, scenes, lambda _: None)
    assert len(outcomes) == len(scenes)
    return [f"{each.name}: {claim.text}: {claim.found}" for each in outcomes for claim in each.broken]


def test_service_survives_kills_deployments_and_outages() -> None:
    """Tasks killed, stopped, replaced; Redis failing over, cut off; S3 away."""
    assert broken(*SHARED_STAGE) == []


def test_two_queues_share_the_clients() -> None:
    """Each client has its queue; without its Redis only that one refuses work."""
    assert broken("two-queues") == []
