"""What a run does, how fast, and whether anything is wrong: in a sentence, from its log lines. Pure.

The browser and the terminal show the same words because both ask here. Every rule reads the latest metrics
line, and some the one before it; an outage is known at once from the event that begins it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from loadtest_trio.web.dashboard.findings import Finding, Level, Situation, duration
from loadtest_trio.web.dashboard.searches import (
    stop_condition,
    tune_headline,
    users_comfort,
    users_findings,
    users_headline,
)

Line = Mapping[str, Any]

_LATE_SECONDS = 5.0  # the queue's figures are then older than any line waits for them
_GROWING_LINES = 3  # in a row, before a longer queue is called growing
_GROWN_SECONDS = 2.0  # of work: what a queue gains in passing is less
_FULL_CPU = 95.0  # percent of the CPU it may use
_FULL_MEMORY = 0.9  # of the memory it may use
_SLOW_LOOP_MS = 1000.0
_MANY_ERRORS = 0.01  # of the messages of an interval


class Watch:
    """Reads log lines in order and says what they mean together."""

    def __init__(self) -> None:
        self._settings: Line = {}
        self._outages: dict[str, str] = {}
        self._crashes: list[str] = []
        self._line: Line = {}
        self._before: Line = {}
        self._grown = 0
        self._ended = ""
        self._users: Line = {}
        self._stops: list[str] = []
        self._search = ""
        self._tuned: dict[str, Line] = {}
        self.situation = Situation(Level.STARTING, "Starting: waiting for Redis and S3.")

    def see(self, line: Line) -> Situation:
        """Take one line in, and return how things are with it."""
        match line.get("event"):
            case "service_started":
                self._settings = line.get("settings") or {}
            case "backend_unavailable":
                self._outages[str(line.get("backend"))] = str(line.get("error"))
            case "backend_recovered":
                self._outages.pop(str(line.get("backend")), None)
            case "task_crashed":
                self._crashes.append(f"The {line.get('task')} crashed: {line.get('error')}.")
            case "service_stopping":
                self._ended = f"Stopping: {line.get('reason')}."
            case "service_stopped":
                self._ended = f"Stopped: {line.get('reason')}. {_books(line)}"
            case "metrics":
                self._measure(line)
            case "users":
                self._users = line
            case "users_stop_condition":
                self._stops.append(stop_condition(line))
            case "users_verdict":
                self._ended = " ".join(line.get("sentences") or ["The users have left."])
            case str() as event if event.startswith("tune_"):
                self._tuned[event] = line
                self._search = tune_headline(line, self._tuned) or self._search
            case _:
                return self.situation
        self.situation = self._judge()
        return self.situation

    def _measure(self, line: Line) -> None:
        self._before, self._line = self._line, line
        if line.get("degraded") is not None:  # the line knows it for sure; events of a flood are held back
            self._outages = {str(name): str(reason) for name, reason in line["degraded"].items()}
        grown = _count(line, "queue_length") > _count(self._before, "queue_length")
        self._grown = self._grown + 1 if self._before and grown else 0

    def _judge(self) -> Situation:
        if self._search:
            return Situation(Level.GOOD, self._search)
        if self._users:
            return self._judge_users()
        found = sorted(self._findings(), key=lambda finding: finding.level is not Level.BAD)
        worst = found[0].level if found else Level.GOOD
        reasons = tuple(finding.text for finding in found)
        if self._ended:
            return Situation(Level.BAD if worst is Level.BAD else Level.ENDED, self._ended, reasons)
        if not self._line:
            started = "The first figures come with the first metrics line."
            headline = started if self._settings else "Starting: waiting for Redis and S3."
            return Situation(Level.BAD if worst is Level.BAD else Level.STARTING, headline, reasons)
        return Situation(worst, headline_of(self._line, self._settings), reasons, comfort_of(self._line))

    def _judge_users(self) -> Situation:
        found = sorted(
            users_findings(self._users, self._stops), key=lambda finding: finding.level is not Level.BAD
        )
        worst = found[0].level if found else Level.GOOD
        reasons = tuple(finding.text for finding in found)
        if self._ended:
            return Situation(Level.ENDED, self._ended, reasons)
        return Situation(worst, users_headline(self._users), reasons, users_comfort(self._users))

    def _findings(self) -> Iterator[Finding]:
        for text in self._crashes:
            yield Finding(Level.BAD, text)
        for name, reason in self._outages.items():
            title = {"redis": "Redis", "s3": "S3"}.get(name, name)
            yield Finding(Level.BAD, f"{title} does not answer: {reason}")
        if self._line:
            yield from _losses(self._line)
            yield from _standstill(self._line)
            yield from _failures(self._line, self._before)
            yield from self._saturation()
            yield from _limits(self._line, self._settings)

    def _saturation(self) -> Iterator[Finding]:
        line, rate = self._line, float(self._line.get("rate_per_second") or 0.0)
        if saturates(line, self._settings):
            return  # a full queue is what was asked for
        withheld = _gained(line, self._before, "messages_withheld")
        if withheld > 0:
            yield Finding(
                Level.BAD,
                f"{withheld:,} due messages were withheld: the queue is full, or no object is known.",
            )
        if self._grown >= _GROWING_LINES and _count(line, "queue_length") > _GROWN_SECONDS * max(rate, 1.0):
            yield Finding(
                Level.BAD,
                f"Saturated: the queue grows ({_count(line, 'queue_length'):,} waiting); "
                f"more is offered than the {rate:,.0f} a second that are done.",
            )


def saturates(line: Line, settings: Line) -> bool:
    """Whether the queue is kept filled on purpose."""
    return str(line.get("scheduler_mode") or settings.get("SCHEDULER_MODE")) == "saturate"


def headline_of(line: Line, settings: Line) -> str:
    """Return what the run does and how fast, in one sentence."""
    rate, p99 = float(line.get("rate_per_second") or 0.0), line.get("end_to_end_p99_ms")
    speed = f"{rate:,.0f} messages a second"
    within = "" if p99 is None else f"; 99 of 100 are done within {duration(p99)} of being due"
    if line.get("phase") == "precondition":
        least = settings.get("PRECONDITION_MIN_OBJECTS")
        wanted = f" of {least}" if least else ""
        return f"Filling the bucket: {line.get('objects') or 0:,}{wanted} objects, {speed}."
    if line.get("phase") == "paused":
        return f"The scheduler is paused; {speed} are still worked off."
    if line.get("jobs") is not None:
        waiting = _count(line, "queue_length")
        return f"Serving jobs: {rate:,.0f} done a second, {waiting:,} waiting{within}."
    verb = "Saturating: " if saturates(line, settings) else "Steady: "
    return f"{verb}{speed}{within}."


def comfort_of(line: Line) -> str:
    """Return what can be said when nothing is wrong."""
    created = (line.get("ledger") or {}).get("created")
    if not created:
        return "Nothing is wrong."
    failed = line.get("errors") or 0
    before = f" Earlier {failed:,} attempts failed; none does now." if failed else ""
    what = "jobs" if line.get("jobs") is not None else "messages"
    return f"Nothing is wrong: all {created:,} {what} are accounted for.{before}"


def _losses(line: Line) -> Iterator[Finding]:
    ledger = line.get("ledger") or {}
    if ledger.get("lost"):
        yield Finding(Level.BAD, f"Redis lost {ledger['lost']:,} messages: it forgot what it had accepted.")
    difference = ledger.get("difference") or 0
    if difference > 0:
        yield Finding(Level.BAD, f"The ledger misses {difference:,} messages.")
    elif difference < 0:
        yield Finding(Level.BUSY, f"{-difference:,} messages were put on the queue by somebody else.")


def _standstill(line: Line) -> Iterator[Finding]:
    age = float(line.get("snapshot_age_seconds") or 0.0)
    if age > _LATE_SECONDS:
        yield Finding(Level.BAD, f"The queue's figures are {age:.0f} s old: Redis does not answer.")
    for task, seconds in (line.get("stuck") or {}).items():
        yield Finding(Level.BAD, f"The {task} has made no progress for {seconds:.0f} s.")


def _failures(line: Line, before: Line) -> Iterator[Finding]:
    errors, done = (_gained(line, before, name) for name in ("errors", "messages_processed"))
    if errors > 0:
        level = Level.BAD if errors > _MANY_ERRORS * max(done, 1) else Level.BUSY
        yield Finding(level, f"{errors:,} attempts failed since the line before.")
    dead = _count(line, "dead")
    if dead:
        given_up = "1 message was" if dead == 1 else f"{dead:,} messages were"
        yield Finding(Level.BUSY, f"{given_up} given up: see the dead letters.")


def _limits(line: Line, settings: Line) -> Iterator[Finding]:
    cpu, cores = line.get("cpu_percent"), float(line.get("cpu_limit") or 1.0)
    if cpu is not None and cpu >= _FULL_CPU * cores:
        yield Finding(Level.BUSY, f"The CPU is full: {cpu:.0f} % of {100 * cores:.0f} %.")
    memory, most = line.get("memory_mb"), line.get("memory_limit_mb")
    if memory and most and memory >= _FULL_MEMORY * most:
        yield Finding(Level.BAD, f"Memory is nearly full: {memory:,.0f} of {most:,.0f} MB.")
    lag = float(line.get("loop_lag_ms") or 0.0)
    if lag >= _SLOW_LOOP_MS:
        yield Finding(Level.BUSY, f"The event loop was late by {duration(lag)}: latencies include that.")
    behind = float(line.get("schedule_lag_ms") or 0.0)
    if behind >= 2 * _SLOW_LOOP_MS and not saturates(line, settings):
        yield Finding(Level.BAD, f"The scheduler was late by {duration(behind)}.")


def _books(line: Line) -> str:
    ledger = line.get("ledger") or {}
    lost = ledger.get("lost") or 0
    return f"{ledger.get('created') or 0:,} messages created, {lost if lost else 'none'} lost."


def _count(line: Line, name: str) -> int:
    return int(line.get(name) or 0)


def _gained(line: Line, before: Line, name: str) -> int:
    return _count(line, name) - _count(before, name) if before else 0
