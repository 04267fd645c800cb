"""How many users there should be, and when: a pure function of the time since the start.

A profile is a list of segments, each a straight line from one level to another:

    users                        ┌───────  a step is one or two segments: its users arrive while it
      │                 ┌───────╱ hold     settles, then they are measured
      │        ┌───────╱ hold
      │───────╱ settling
      └──────────────────────────────► time

The level is a number of users, or, in an open profile (``--rate``), new users a second. Many generators
share one profile: `Share` says which part of a level is this one's.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from math import floor, inf

import attrs

from loadtest_trio.users.durations import bad_flag, seconds, short

MOST_USERS = 1_000_000
"""Users, or new users a second, of a profile: more are a slip of the hand, and none of them would run."""

_MOST_STEPS = 1000
# No level or share needs more digits, and longer ones overflow.
_WHOLE, _DECIMAL = re.compile(r"\d{1,9}"), re.compile(r"\d{1,9}(\.\d{1,9})?")
_SHARE = re.compile(rf"{_WHOLE.pattern}/{_WHOLE.pattern}")
_SETTLING_SHARE, _SETTLING_SECONDS = 0.1, 30.0  # of a step: how long its users take to arrive


@attrs.frozen
class Segment:
    """A straight line.

    Attributes:
        seconds: Its length; may be infinite.
        begin: The level at its beginning.
        end: The level at its end.
        step: The number of the step it belongs to, from 1.
        settling: Users arrive or leave: left out of the step's figures where there is something else.
    """

    seconds: float
    begin: float
    end: float
    step: int
    settling: bool = False

    def level(self, elapsed: float) -> float:
        """Return the level at a time since the segment's beginning."""
        if elapsed >= self.seconds or self.begin == self.end:
            return self.end
        return self.begin + (self.end - self.begin) * elapsed / self.seconds

    def area(self, elapsed: float) -> float:
        """Return level times seconds up to then: of a rate, how many have arrived."""
        return elapsed * (self.begin + self.level(elapsed)) / 2


@attrs.frozen
class Target:
    """What is wanted now.

    Attributes:
        level: Users, or new users a second.
        step: The number of the step.
        settling: See `Segment`.
    """

    level: float
    step: int
    settling: bool


@attrs.frozen
class Profile:
    """How the level changes over time.

    Attributes:
        segments: One after the other.
        open: The level is new users a second; each runs its scenario once.
        text: The profile in words, for the log and the report.
        stepped: Steps climb until the service gives in: stop conditions are on.
    """

    segments: tuple[Segment, ...]
    open: bool = False
    text: str = ""
    stepped: bool = False

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return sum(each.seconds for each in self.segments)

    @property
    def peak(self) -> float:
        """The highest level."""
        return max(max(each.begin, each.end) for each in self.segments)

    def at(self, elapsed: float) -> Target:
        """Return what is wanted at a time since the start; after the end, the last level."""
        for began, each in self._placed():
            if elapsed < began + each.seconds:
                return Target(each.level(elapsed - began), each.step, each.settling)
        last = self.segments[-1]
        return Target(last.end, last.step, last.settling)

    def arrivals(self, elapsed: float) -> float:
        """Return how many users of an open profile have been due up to a time."""
        return sum(each.area(min(each.seconds, elapsed - at)) for at, each in self._placed() if elapsed > at)

    def arrival_time(self, count: float) -> float:
        """Return when the arrival with this number (from 0) of an open profile is due; infinity for never."""
        left = count
        for began, each in self._placed():
            whole = inf if each.seconds == inf else each.area(each.seconds)
            if left < whole:
                return began + _time_of_area(each, left)
            left -= whole
        return inf

    def levels(self) -> dict[int, float]:
        """Return each step's final level."""
        return {each.step: each.end for each in self.segments}

    def _placed(self) -> Iterator[tuple[float, Segment]]:
        starts = accumulate((each.seconds for each in self.segments), initial=0.0)
        return zip(starts, self.segments, strict=False)


def _time_of_area(segment: Segment, area: float) -> float:
    """Solve ``area(t) == area`` for t: a quadratic where the level changes."""
    slope = 0.0 if segment.seconds == inf else (segment.end - segment.begin) / segment.seconds
    if not slope:
        return area / segment.begin if segment.begin else inf
    return float((max(0.0, segment.begin**2 + 2 * slope * area) ** 0.5 - segment.begin) / slope)


@attrs.frozen
class Share:
    """This generator's part of the users: number `part` of `parts`, from 1."""

    part: int = 1
    parts: int = 1

    def of(self, count: float) -> int:
        """Return how many of so many users are this generator's; the parts add up to all."""
        return floor((floor(count + 1e-9) + self.parts - self.part) / self.parts)

    def number(self, own: int) -> int:
        """Return the number among all users of this generator's own number (both from 0)."""
        return own * self.parts + self.part - 1

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Read ``2/4``.

        Raises:
            ConfigurationError: It is no share.
        """
        part, _, parts = text.partition("/")
        if not (_SHARE.fullmatch(text) and 1 <= int(part) <= int(parts)):
            raise bad_flag("--share", text, "a part of all users such as 2/4, from 1/4 to 4/4")
        return cls(int(part), int(parts))


def constant(users: float, spawn_rate: float, run_time: float) -> Profile:
    """Return Locust's profile: `users` arrive at `spawn_rate` a second and stay until `run_time` is over."""
    ramp = min(users / spawn_rate, run_time)
    segments = [
        Segment(ramp, 0.0, min(users, ramp * spawn_rate), 1, settling=True),
        Segment(run_time - ramp, users, users, 1),
    ]
    until = "" if run_time == inf else f" for {short(run_time)}"
    text = f"{users:g} users, {spawn_rate:g} a second{until}"
    return Profile(tuple(each for each in segments if each.seconds > 0), text=text)


def arriving(rate: float, run_time: float) -> Profile:
    """Return an open profile: `rate` new users a second, however the service does."""
    until = "" if run_time == inf else f" for {short(run_time)}"
    return Profile((Segment(run_time, rate, rate, 1),), open=True, text=f"{rate:g} new users a second{until}")


def stages(texts: Iterable[str], *, rates: bool = False) -> Profile:
    """Return k6's profile: each ``30s:100`` changes the level in a straight line to 100 within 30 s.

    A stage of no seconds jumps, so a spike is ``0s:200`` and then ``1m:200``. Every other stage is a step.

    Args:
        texts: The stages, in order.
        rates: The levels are new users a second: an open profile.

    Raises:
        ConfigurationError: A stage cannot be read.
    """
    flag, what = ("--rate-stage", "new users a second") if rates else ("--stage", "users")
    segments: list[Segment] = []
    level, step, given = 0.0, 0, list(texts)
    for text in given:
        duration, found, count = text.partition(":")
        if not found or not (_DECIMAL if rates else _WHOLE).fullmatch(count):
            raise bad_flag(flag, text, f"a duration and a number of {what} such as 30s:100")
        length, target = seconds(duration, flag), float(count)
        if target > MOST_USERS:
            raise bad_flag(flag, text, f"{MOST_USERS:,} {what} at most")
        if length > 0:
            step += 1
            segments.append(Segment(length, level, target, step))
        level = target
    if not segments:
        raise bad_flag(flag, " ".join(given), "at least one stage that lasts, such as 30s:100")
    text = f"stages {' '.join(given)}{' new users a second' if rates else ''}"
    return Profile(tuple(segments), open=rates, text=text)


def steps(text: str, most: float, spawn_rate: float | None = None) -> Profile:
    """Return a step profile: ``40/10m`` adds 40 users every ten minutes.

    Args:
        text: Users a step and its length.
        most: The last step has this many users; infinity: only a stop condition ends the run.
        spawn_rate: Users a second that arrive; None: within a tenth of the step, 30 s at most.

    Raises:
        ConfigurationError: It cannot be read.
    """
    count, found, duration = text.partition("/")
    if not found or not _WHOLE.fullmatch(count) or int(count) < 1:
        raise bad_flag("--step", text, "users and a duration such as 40/10m")
    more, length = float(count), seconds(duration, "--step")
    if length <= 0:
        raise bad_flag("--step", text, "a step that lasts, such as 40/10m")
    number = _MOST_STEPS if most == inf else -int(-most // more)
    if number > _MOST_STEPS:
        raise bad_flag("--step", text, f"{_MOST_STEPS:,} steps at most, up to the number of users")
    levels = [min(more * place, most) for place in range(number + 1)]
    segments: list[Segment] = []
    for place, (before, level) in enumerate(pairwise(levels), 1):
        settling = min(length * _SETTLING_SHARE, _SETTLING_SECONDS)
        if spawn_rate:
            settling = min((level - before) / spawn_rate, length)
        segments += [Segment(settling, before, level, place, settling=True)]
        segments += [Segment(length - settling, level, level, place)]
    return Profile(
        tuple(each for each in segments if each.seconds > 0),
        text=f"{more:g} more users every {short(length)}",
        stepped=True,
    )


def held(level: float, length: float, step: int, *, was: float, settling: float = 0.0) -> Profile:
    """Return one level that is held, as the recovery after a stop and each step of a search need.

    Args:
        level: Users.
        length: Seconds, the settling included.
        step: Its number.
        was: The level before.
        settling: Seconds over which the level changes.
    """
    segments = (
        Segment(settling, was, level, step, settling=True),
        Segment(length - settling, level, level, step),
    )
    return Profile(tuple(each for each in segments if each.seconds > 0), text=f"{level:g} users held")
