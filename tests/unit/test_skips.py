"""The reason of a skip is told, also of a test on Trio."""

import pytest
import trio

from tests.support.skips import reason_of


def test_reason_in_a_group_is_found() -> None:
    """So does pytest-trio end such a test."""

    async def test() -> None:
        async with trio.open_nursery(), trio.open_nursery():
            pytest.skip("no such program")

    def ended() -> None:
        try:
            trio.run(test)
        except BaseExceptionGroup:
            pytest.skip()

    with pytest.raises(pytest.skip.Exception) as raised:
        ended()
    assert reason_of(raised.value) == "no such program"


def test_other_skips_keep_theirs() -> None:
    """Where there is no group, pytest knows the reason."""
    with pytest.raises(pytest.skip.Exception) as raised:
        pytest.skip("why")
    assert reason_of(raised.value) == ""
