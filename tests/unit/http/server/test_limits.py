"""The limits stand in the docs as they stand in the code."""

import re
from pathlib import Path

import attrs

from loadtest_trio.http.server import ServerLimits

PAGE = Path(__file__).parents[4] / "docs" / "http-server.md"


def test_every_limit_is_documented_with_its_default() -> None:
    """The table of the page names each limit and no other."""
    documented = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    defaults = {field.name: field.default for field in attrs.fields(ServerLimits)}
    assert {name: float(value) for name, value in documented} == defaults
