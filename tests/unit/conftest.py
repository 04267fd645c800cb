"""What the unit tests share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.log_lines import LogLines, caught_log

settings.register_profile("patient", deadline=None)  # a busy machine is no finding
settings.load_profile("patient")


@pytest.fixture
def log_lines() -> Iterator[LogLines]:
    """The JSON log at INFO, caught."""
    with caught_log() as lines:
        yield lines


@pytest.fixture
def debug_lines() -> Iterator[LogLines]:
    """The JSON log at DEBUG, caught."""
    with caught_log("DEBUG") as lines:
        yield lines
