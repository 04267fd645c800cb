"""Job services of known behaviour, as models of a second each: fast enough for a hundred seeds.

A closed crowd: each user submits a job, polls it once a second until it is done, and starts over. The
model yields the `users` lines that a generator would write, and a real `Course` decides what comes next.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import attrs

from loadtest_trio.users.course import Course, Phase, Rules
from loadtest_trio.users.profile import Profile
from loadtest_trio.users.tally import Counts


@attrs.define
class Model:
    """A service.

    Attributes:
        capacity: Jobs a second that its workers do, given the jobs that are open and the second.
        latency_ms: p95 of its answers, given the users.
        failing: Share of requests that fail, given the users.
        cpu: % of a core, given the jobs done in a second.
        leak: Descriptors lost a job.
    """

    capacity: Callable[["State"], float]
    latency_ms: Callable[[int], float] = lambda _: 6.0
    failing: Callable[[int], float] = lambda _: 0.0
    cpu: Callable[[float], float] = lambda _: 30.0
    leak: float = 0.0


@attrs.define
class State:
    """What a model remembers.

    Attributes:
        open: Jobs that wait or run.
        users: Who use it.
        second: Since the run began.
        jammed: For models that stop.
        done: Jobs done so far.
        fds: Descriptors lost so far.
    """

    open: int = 0
    users: int = 0
    second: int = 0
    jammed: bool = False
    done: int = 0
    fds: float = 0.0


def poisson(rng: Random, mean: float) -> int:
    """Draw a Poisson number; a normal one where the mean is large."""
    if mean <= 0:
        return 0
    if mean > 50:
        return max(0, round(rng.gauss(mean, mean**0.5)))
    count, at = 0, rng.expovariate(1.0)
    while at < mean:
        count, at = count + 1, at + rng.expovariate(1.0)
    return count


def play(model: Model, profile: Profile, rules: Rules, seed: int, interval: int = 5) -> Course:
    """Let a crowd use a model until its course ends."""
    rng, state, course = Random(seed), State(), Course(profile, rules)
    elapsed = 0.0
    while course.phase is not Phase.END:
        seconds = int(min(interval, max(1, round(course.next_boundary(elapsed) - elapsed))))
        wanted = course.profile.at(elapsed - course.profile_began + seconds / 2)
        line = _interval(model, state, rng, round(wanted.level), seconds)
        elapsed += seconds
        line |= {
            "uptime_seconds": elapsed,
            "step": wanted.step,
            "wanted_level": wanted.level,
            "settling": wanted.settling,
        }
        moment = course.steps.add([line])
        course.decide(moment, elapsed, Counts())
    return course


def _interval(model: Model, state: State, rng: Random, users: int, seconds: int) -> dict[str, Any]:
    submitted = finished = requests = failures = 0
    state.users = users
    for _ in range(seconds):
        state.second += 1
        fresh = max(0, users - state.open)
        state.open += fresh
        done = min(state.open, poisson(rng, model.capacity(state)))
        state.open -= done
        state.done += done
        state.fds += model.leak * done
        submitted, finished = submitted + fresh, finished + done
        asked = fresh + users
        requests += asked
        failures += poisson(rng, model.failing(users) * asked)
    return {
        "seconds": float(seconds),
        "users": users,
        "requests": requests,
        "failures": min(failures, requests),
        "p50_ms": 3.0,
        "p95_ms": model.latency_ms(users) * rng.lognormvariate(0, 0.08),
        "jobs": {"submitted": submitted, "finished": finished, "open": state.open},
        "target": {
            "cpu_percent": min(100.0, model.cpu(finished / seconds) * rng.lognormvariate(0, 0.03)),
            "open_fds": round(20 + users + state.fds + rng.uniform(-2, 2)),
            "memory_mb": 100 + rng.uniform(-1, 1),
        },
        "generator": {"cpu_percent": 20.0, "lag_p95_ms": 1.0},
    }


def limited(rate: float) -> Model:
    """A service whose workers do `rate` jobs a second and no more."""
    return Model(capacity=lambda state: min(rate, state.open), cpu=lambda done: 100 * done / rate)


def silent_stop(load: int) -> Model:
    """Brief 003's: with more than `load` jobs open the queue jams, latency stays perfect.

    It works off what waits, slowly, when the users are fewer than that again.
    """

    def capacity(state: State) -> float:
        state.jammed = state.open > load or (state.jammed and state.open > 0.7 * load)
        slow = 0.0 if state.users > load else 15.0
        return slow if state.jammed else state.open

    return Model(capacity=capacity, cpu=lambda done: 10 + 0.2 * done)


def never_recovers(load: int) -> Model:
    """The same, but once jammed it does nothing any more."""

    def capacity(state: State) -> float:
        state.jammed = state.jammed or state.open > load
        return 0.0 if state.jammed else state.open

    return Model(capacity=capacity)


def slows_down(users: int) -> Model:
    """Answers take longer and longer from so many users on; nothing fails."""
    return Model(capacity=lambda state: state.open, latency_ms=lambda now: 6.0 * max(1.0, (now / users) ** 3))


def refuses(users: int) -> Model:
    """Five of a hundred requests fail from so many users on."""
    return Model(capacity=lambda state: state.open, failing=lambda now: 0.05 if now >= users else 0.0)
