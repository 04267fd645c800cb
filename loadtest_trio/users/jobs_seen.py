"""A job as its user sees it: submitted, polled, ended. Every service has its own words for the states."""

from loadtest_trio.users.tally import Recorder

QUEUED, RUNNING, RETRYING, SUCCEEDED, FAILED, CANCELLED = (
    "queued",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "cancelled",
)
ENDED = frozenset((SUCCEEDED, FAILED, CANCELLED))
_WORDS = {
    "pending": QUEUED,
    "queued": QUEUED,
    "waiting": QUEUED,
    "scheduled": QUEUED,
    "created": QUEUED,
    "running": RUNNING,
    "in_progress": RUNNING,
    "processing": RUNNING,
    "started": RUNNING,
    "retrying": RETRYING,
    "succeeded": SUCCEEDED,
    "success": SUCCEEDED,
    "completed": SUCCEEDED,
    "complete": SUCCEEDED,
    "finished": SUCCEEDED,
    "done": SUCCEEDED,
    "failed": FAILED,
    "failure": FAILED,
    "error": FAILED,
    "dead": FAILED,
    "dead_letter": FAILED,
    "cancelled": CANCELLED,
    "canceled": CANCELLED,
}


def state(word: str) -> str:
    """Return the state that a service's word means; a word that nobody knows is *running*."""
    return _WORDS.get(word.lower(), RUNNING)


class Job:
    """One job of one user.

    Args:
        recorder: Where it is counted.
        name: Its id.
        due: When its submission was due, in Trio's clock.

    Attributes:
        id: Its id.
        due: When its submission was due.
        state: As last seen.
    """

    __slots__ = ("_recorder", "due", "id", "state")

    def __init__(self, recorder: Recorder, name: str, due: float) -> None:
        self.id, self.due, self.state = name, due, QUEUED
        self._recorder = recorder
        recorder.jobs.submitted += 1
        recorder.statuses[QUEUED] += 1

    @property
    def ended(self) -> bool:
        """Whether it was seen to have ended."""
        return self.state in ENDED

    def saw(self, word: str, now: float, queued: float | None = None) -> bool:
        """Take note of a state.

        Args:
            word: As the service says it.
            now: In Trio's clock.
            queued: Seconds that it was queued, by the service's own word; None: until it was seen to run.

        Returns:
            Whether the job has ended.
        """
        seen, before = state(word), self.state
        if seen == before or before in ENDED:
            return before in ENDED
        self.state = seen
        recorder = self._recorder
        self._leave(before)
        if before == QUEUED:
            recorder.queued.record(now - self.due if queued is None else queued)
        if seen not in ENDED:
            recorder.statuses[seen] += 1
            return False
        recorder.duration.record(now - self.due)
        recorder.jobs.finished += 1
        recorder.jobs.failed += seen != SUCCEEDED
        return True

    def abandon(self) -> None:
        """Give it up: its user leaves, or has waited too long."""
        if not self.ended:
            self._leave(self.state)
            self.state = CANCELLED
            self._recorder.jobs.abandoned += 1

    def _leave(self, before: str) -> None:
        statuses = self._recorder.statuses
        statuses[before] -= 1
        if not statuses[before]:
            del statuses[before]
