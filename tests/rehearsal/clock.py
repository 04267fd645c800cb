"""The time of AWS, which a rehearsal may compress: health checks, cooldowns and CloudWatch's minutes."""

import attrs
import trio


@attrs.define
class AwsClock:
    """Turns seconds of AWS into seconds of this machine.

    The processes live in real time: their timeouts, drains and retries are never compressed.

    Attributes:
        speed: Seconds of AWS in one second; a scene may change it.
    """

    speed: float = 1.0

    def real(self, seconds: float) -> float:
        """Return how long so many seconds of AWS take here."""
        return seconds / self.speed

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds of AWS."""
        await trio.sleep(seconds / self.speed)

    def now(self) -> float:
        """Return the seconds of AWS since some moment."""
        return trio.current_time() * self.speed
