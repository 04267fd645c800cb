"""The words in which a run is judged. Pure."""

from enum import StrEnum

import attrs


class Level(StrEnum):
    """How a run is, from best to worst; `ENDED` is over."""

    STARTING = "starting"
    GOOD = "good"
    BUSY = "busy"
    BAD = "bad"
    ENDED = "ended"


@attrs.frozen
class Finding:
    """Something that a person should know.

    Attributes:
        level: `BUSY` when it works at a limit, `BAD` when something is wrong.
        text: One sentence.
    """

    level: Level
    text: str


@attrs.frozen
class Situation:
    """How a run is now.

    Attributes:
        level: The worst of the findings.
        headline: What it does and how fast.
        reasons: What is wrong, worst first.
        comfort: What is said when nothing is.
    """

    level: Level
    headline: str
    reasons: tuple[str, ...] = ()
    comfort: str = ""


def duration(milliseconds: float) -> str:
    """Return a duration as people say it."""
    if milliseconds >= 60_000:
        return f"{milliseconds / 60_000:,.1f} min"
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:,.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
