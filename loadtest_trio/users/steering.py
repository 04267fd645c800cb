"""Another number of users, or another spawn rate, while a run is under way: a person asks."""

from collections.abc import Callable

import attrs

from loadtest_trio.users.profile import Profile, Segment

_MOST_USERS, _FASTEST = 1_000_000, 100_000.0


def steered(profile: Profile, elapsed: float, users: float, spawn_rate: float) -> Profile:
    """Return the profile that goes on from here: so many users, in a step of its own, for the time left.

    Args:
        profile: The one that is followed, not an open one.
        elapsed: Seconds since it began.
        users: How many there should be.
        spawn_rate: How many arrive, or leave, a second.
    """
    now, left = profile.at(elapsed), max(0.0, profile.seconds - elapsed)
    ramp = min(abs(users - now.level) / spawn_rate, left)
    segments = (
        Segment(ramp, now.level, users, now.step + 1, settling=True),
        Segment(left - ramp, users, users, now.step + 1),
    )
    kept = tuple(each for each in segments if each.seconds > 0) or segments[-1:]
    return attrs.evolve(profile, segments=kept, text=f"{profile.text}, then {users:g} users by hand")


@attrs.define
class Steering:
    """What a person asks for; the session that runs listens.

    Attributes:
        users: Users wanted.
        spawn_rate: Users that arrive or leave a second.
        follow: Set by the session; follows the two from now on, or raises `ValueError` saying why it cannot.
        stop: Set by the session; ends the run.
    """

    users: float
    spawn_rate: float
    follow: Callable[[float, float], None] | None = None
    stop: Callable[[str], None] | None = None

    def set_users(self, text: str) -> None:
        """Ask for a number of users."""
        self._set(_within(text, 1, _MOST_USERS), self.spawn_rate)

    def set_spawn_rate(self, text: str) -> None:
        """Ask for users to arrive so fast; those that are on their way count too."""
        self._set(self.users, _within(text, 0.001, _FASTEST))

    def end(self, _: str = "") -> None:
        """Ask for the end; users finish what they are doing."""
        if self.stop is not None:
            self.stop("asked for on the dashboard")

    def _set(self, users: float, spawn_rate: float) -> None:
        if self.follow is None:
            raise ValueError("changed while users run: they have not begun")
        self.follow(users, spawn_rate)
        self.users, self.spawn_rate = users, spawn_rate


def _within(text: str, least: float, most: float) -> float:
    allowed = f"a number from {least:g} to {most:,.0f}"
    try:
        number = float(text)
    except ValueError:
        raise ValueError(allowed) from None
    if not least <= number <= most:
        raise ValueError(allowed)
    return number
