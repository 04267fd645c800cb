"""Why a test on Trio was skipped: pytest-trio raises the skip again without its reason."""

import pytest


def reason_of(skipped: BaseException) -> str:
    """Return the reason of the skip in the group that pytest-trio was handling; "" where there is none."""
    group = skipped.__context__
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return str(group) if isinstance(group, pytest.skip.Exception) else ""
