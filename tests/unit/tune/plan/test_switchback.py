"""Switchback experiments: order, carry-over, intervals that cover, and what a restless host does to them."""

from itertools import pairwise
from math import log
from random import Random
from typing import Any

import attrs
import pytest

from benchmarks.coverage import SCENARIOS, TRUTH, Coverage, Machine, Noise, simulate, table
from loadtest_trio.tune.plan.contrasts import BASELINE, Window, contrasts, usable
from loadtest_trio.tune.plan.elasticity import elasticity
from loadtest_trio.tune.plan.host import Probe, changed
from loadtest_trio.tune.plan.observations import Observation, Slice, join, join_all
from loadtest_trio.tune.plan.switchback import TARGET, Design, Trials

QUIET = Noise("quiet", 0.01)
CALM = Probe(speed=1.0, cpu_ms=15.0, wall_ms=15.0)


def _trials(noise: Noise, seed: int = 0, seconds: float = 137.0) -> tuple[Trials, Machine]:
    machine, trials = Machine(noise, Random(seed)), Trials(10, Design(seed=seed))
    machine.run(trials.run(lambda: machine.clock > seconds))
    return trials, machine


@pytest.mark.parametrize("seed", range(5))
def test_every_window_of_an_experiment_lies_between_baselines(seed: int) -> None:
    """No two experiments meet, and two windows of one experiment share no baseline."""
    names = [each.name for each in _trials(SCENARIOS[1], seed)[0].windows]
    assert names[0] == names[-1] == BASELINE
    assert all(BASELINE in (one, other) for one, other in pairwise(names))
    assert all(one != other or one == BASELINE for one, other in zip(names, names[2:], strict=False))


def test_blocks_are_balanced_and_in_random_order() -> None:
    """Every experiment appears once in each block; orders differ from block to block."""
    made = [each.name for each in _trials(QUIET)[0].windows if each.name != BASELINE]
    blocks = [made[start : start + 6] for start in range(0, len(made), 6)]
    assert all(set(block) == set(TRUTH) for block in blocks)
    assert len({tuple(block) for block in blocks}) > 1


def test_both_parities_are_used() -> None:
    """Experiments do not always fall on the same phase of a disturbance with the windows' period."""
    names = [each.name for each in _trials(SCENARIOS[1])[0].windows]
    assert {place % 2 for place, name in enumerate(names) if name != BASELINE} == {0, 1}


def test_decided_experiments_are_not_measured_again() -> None:
    """On a quiet machine all experiments end after the first stage; on a noisy one the time goes on."""
    quiet, machine = _trials(QUIET)
    assert {len(contrasts(quiet.windows, name)) for name in TRUTH} == {Design().first}
    assert machine.clock < 120
    noisy = [len(contrasts(_trials(SCENARIOS[1])[0].windows, name)) for name in TRUTH]
    assert max(noisy) > min(noisy) >= Design().first


@pytest.mark.parametrize("noise", SCENARIOS[:3], ids=lambda noise: noise.name)
def test_intervals_cover_the_truth(noise: Noise) -> None:
    """Of 360 intervals 95 % hold, give or take chance; `scripts/bench coverage` makes thousands."""
    found = simulate(noise, 60)
    assert 0.92 <= found.share <= 0.98
    assert found.narrow >= 0.75


def test_drift_cancels() -> None:
    """A steady drift of 5 % per window does not reach the contrasts."""
    rates = (1000, 1050, 1102.5, 1157.6, 1215.5)
    names = (BASELINE, "cpu", BASELINE, "s3", BASELINE)
    windows = [Window(name, _seen(rate)) for name, rate in zip(names, rates, strict=True)]
    assert contrasts(windows, "cpu")[0].value == pytest.approx(0, abs=0.002)


def _seen(rate: float, *probes: Probe) -> Observation:
    return Observation(slices=(Slice(10.0, 0, round(10 * rate), 0),), probes=probes)


def test_contrast_across_a_change_of_the_host_is_measured_again() -> None:
    """When the host slows down by a fifth in a window, its contrasts do not count."""
    slow = attrs.evolve(CALM, speed=0.8)
    quiet = [_seen(1000, CALM, CALM), _seen(500, CALM, CALM), _seen(1000, CALM, CALM)]
    slower = [_seen(400, CALM, slow), _seen(800, slow, slow)]
    names = (BASELINE, "cpu", BASELINE, "cpu", BASELINE)
    windows = [Window(name, seen) for name, seen in zip(names, [*quiet, *slower], strict=True)]
    made = contrasts(windows, "cpu")
    assert [each.disturbed for each in made] == [False, True]
    assert [each.value for each in usable(made, 1)] == [pytest.approx(log(0.5))]
    assert usable(made, 2) == made


def test_repeated_windows_follow_a_jump() -> None:
    """Where the host's mood jumps, every experiment still gets its undisturbed contrasts."""
    trials, _ = _trials(attrs.evolve(QUIET, jump=0.4))
    made = {name: contrasts(trials.windows, name) for name in TRUTH}
    assert any(each.disturbed for pairs in made.values() for each in pairs)
    assert all(len(usable(pairs, 3)) >= Design().first for pairs in made.values())
    assert all(trials.found[name].half_width <= TARGET for name in TRUTH)


def test_elasticity_of_one_contrast_has_no_bounds() -> None:
    """One contrast shows no spread."""
    found = elasticity([-0.1], 0.5, 5)
    assert found.low == -found.high == -float("inf")


def test_stopping_at_a_small_spread_does_not_narrow_the_interval() -> None:
    """The spread of the first stage counts, even if later contrasts happen to agree."""
    first = [0.1, -0.1, 0.2, -0.2, 0.0]
    early, late = elasticity(first, 0.5, 5), elasticity([*first, *[0.0] * 4], 0.5, 5)
    assert late.half_width == pytest.approx(early.half_width * (5 / 9) ** 0.5)
    wild = elasticity([0.0, 0.01, 0.0, 0.01, 0.0, 1.0, -1.0], 0.5, 5)
    assert wild.half_width > 0.5


def test_probe_changes() -> None:
    """Readings within 15 % are the same host."""
    assert not changed([])
    assert not changed([CALM, attrs.evolve(CALM, speed=1.1)])
    assert changed([CALM, attrs.evolve(CALM, speed=1.2)])


def test_joining_all_equals_joining_one_by_one() -> None:
    """Joined by halves or in turn, the result is the same."""
    parts = [_seen(rate, CALM) for rate in (100, 200, 400)]
    assert join_all(parts) == join(join(parts[0], parts[1]), parts[2])


def test_table_shows_each_scenario() -> None:
    """The table names coverage, half-width and seconds."""
    text = table([Coverage(QUIET, [True] * 19 + [False], [0.1, 0.3], [100.0])], 10)
    assert "| quiet | 20 | 95.0 | 0.200 | 50 | 100 |" in text


def test_windows_are_longer_for_a_slow_service(simulated: Any) -> None:
    """At 65 messages a second a window lasts over 2 s, so that enough messages fall into it."""
    simulation = simulated.Modelled(Random(1), s3_ms=160.0).simulation()
    simulation.run(Trials(10).run(lambda: True))
    assert simulation.steps[0].seconds == 1.2
    assert all(2.0 < step.seconds < 2.6 for step in simulation.steps[1:])
