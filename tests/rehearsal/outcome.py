"""What a scene has shown: figures to read and claims that hold or do not."""

from collections import Counter
from collections.abc import Iterable

import attrs


@attrs.frozen
class Claim:
    """One statement about the service.

    Attributes:
        text: What is claimed.
        holds: Whether it was so.
        found: What was found, in figures.
    """

    text: str
    holds: bool
    found: str


@attrs.define
class Outcome:
    """What came of one scene.

    Attributes:
        name: Of the scene.
        title: For tables.
        figures: What was measured, by name.
        claims: What was claimed.
        seconds: That the scene took.
    """

    name: str
    title: str
    figures: dict[str, str] = attrs.field(factory=dict)
    claims: list[Claim] = attrs.field(factory=list)
    seconds: float = 0.0

    def claim(self, text: str, holds: bool, found: object = "") -> None:
        """Add a claim."""
        self.claims.append(Claim(text, bool(holds), str(found)))

    @property
    def broken(self) -> list[Claim]:
        """Claims that do not hold."""
        return [each for each in self.claims if not each.holds]


_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = 60


def picture(moments: Iterable[float], begin: float, end: float) -> str:
    """Return how many of some moments lie in each sixtieth of a time, as bars; a dot is none."""
    width = max(end - begin, 1e-9) / _COLUMNS
    counts = Counter(min(_COLUMNS - 1, max(0, int((moment - begin) / width))) for moment in moments)
    most = max(counts.values(), default=1)
    return "".join(
        _BARS[(len(_BARS) * counts[column] - 1) // most] if counts[column] else "·"
        for column in range(_COLUMNS)
    )


def markdown(outcomes: Iterable[Outcome], heading: str, conditions: Iterable[str]) -> str:
    """Return a page with a summary, and a table for each scene."""
    every = list(outcomes)
    lines = [
        f"# {heading}",
        "",
        *conditions,
        "",
        "| scene | claims that hold | seconds |",
        "| --- | --- | ---: |",
    ]
    for each in every:
        held = len(each.claims) - len(each.broken)
        lines.append(f"| {each.title} | {held} of {len(each.claims)} | {each.seconds:.0f} |")
    for each in every:
        lines += ["", f"## {each.title}", "", "| claim | holds | found |", "| --- | --- | --- |"]
        lines += [f"| {one.text} | {'yes' if one.holds else '**no**'} | {one.found} |" for one in each.claims]
        lines += ["", "| figure | |", "| --- | --- |"]
        lines += [f"| {name} | {value} |" for name, value in each.figures.items()]
    return "\n".join(lines) + "\n"
