"""What a run of users, or a saturation search, does and how it goes, in words. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from loadtest_trio.web.dashboard.findings import Finding, Level, duration

Line = Mapping[str, Any]

_MANY_FAILURES = 0.01  # of the requests of an interval


def users_headline(line: Line) -> str:
    """Return what the users do and how fast they are answered."""
    wanted, actual = line.get("users_wanted"), line.get("users") or 0
    of = "" if wanted in (None, actual) else f" of {wanted:,}"
    rate, p99 = float(line.get("requests_per_second") or 0.0), line.get("p99_ms")
    within = "" if p99 is None else f"; 99 of 100 answers come within {duration(p99)}"
    return f"{actual:,}{of} users make {rate:,.0f} requests a second{within}."


def users_findings(line: Line, stops: list[str]) -> Iterator[Finding]:
    """Yield what a person should know of a run of users.

    Args:
        line: The latest `users` line.
        stops: Stop conditions that were met, in words.
    """
    yield from (Finding(Level.BAD, text) for text in stops)
    failures, requests = line.get("failures") or 0, line.get("requests") or 0
    if failures:
        level = Level.BAD if failures > _MANY_FAILURES * requests else Level.BUSY
        yield Finding(level, f"{failures:,} of {requests:,} requests failed in the last interval.")
    for reason in line.get("limited") or ():
        yield Finding(Level.BUSY, f"The generator is the limit here, not the service: {reason}.")


def users_comfort(line: Line) -> str:
    """Return what can be said of users when nothing is wrong."""
    jobs = line.get("jobs") or {}
    done = jobs.get("finished_per_second")
    finished = f", and {done:,.0f} jobs a second are finished" if done else ""
    return f"Nothing is wrong: no request failed in the last interval{finished}."


def stop_condition(line: Line) -> str:
    """Return a stop condition that was met, in words."""
    return f"Stop condition {line.get('condition')} in step {line.get('step')}: {line.get('evidence')}"


def tune_headline(line: Line, found: Mapping[str, Line]) -> str | None:
    """Return what a line of a search says; None when it says nothing to a reader in a hurry.

    Args:
        line: The line.
        found: The latest line of each event of the search so far.
    """
    match line.get("event"):
        case "tune_started":
            return "Searching for the saturation point: calibrating."
        case "tune_stage":
            offered, done = (line.get(f"{name}_per_second") or 0 for name in ("offered", "goodput"))
            return (
                f"Searching for the saturation point: {line.get('kind')}, {line.get('workers')} workers, "
                f"{offered:,.0f} a second offered, {done:,.0f} done."
            )
        case "tune_saturation":
            rate = line.get("rate") or 0
            return f"Saturation point: {rate:,.0f} messages a second. Looking for what limits it."
        case "tune_verdict":
            return f"{_point(found)} Bottleneck: {line.get('bottleneck')}. Measuring what an operation costs."
        case "tune_stopped":
            bottleneck = found.get("tune_verdict", {}).get("bottleneck")
            limit = f" Bottleneck: {bottleneck}." if bottleneck else ""
            return f"The search has ended: {line.get('reason')}. {_point(found)}{limit}"
    return None


def _point(found: Mapping[str, Line]) -> str:
    rate = found.get("tune_saturation", {}).get("rate")
    return f"Saturation point: {rate:,.0f} messages a second." if rate else "No saturation point was found."
