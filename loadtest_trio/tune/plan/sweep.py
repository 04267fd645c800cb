"""The sweep: a closed loop with more and more workers. Pure."""

from collections.abc import Callable

from loadtest_trio.tune.plan.scaling import FEWEST, Point
from loadtest_trio.tune.plan.stage import stage
from loadtest_trio.tune.plan.steps import Kind, Plan, Step, measured

MOST_WORKERS = 256
_WORTHWHILE = 1.05  # a doubling that brings less than 5 % brings nothing


def sweep(
    seconds: float, hurry: Callable[[], bool], points: list[Point], most: int = MOST_WORKERS
) -> Plan[None]:
    """Double the workers of a closed loop until two doublings in a row bring nothing.

    Args:
        seconds: Of each step.
        hurry: Whether time is running out; as many steps as a fit needs are made all the same.
        points: Where each point goes.
        most: More workers are not tried.
    """
    workers, vain, best, made = 1, 0, 0.0, 0
    while workers <= most and (vain < 2 or made < FEWEST) and not (hurry() and made >= FEWEST):
        step = Step(Kind.SWEEP, seconds, workers)
        point = Point(workers, (yield from measured(step)))
        yield stage(step, point.observation)
        points.append(point)
        vain = 0 if point.rate > _WORTHWHILE * best else vain + 1
        best, made, workers = max(best, point.rate), made + 1, workers * 2
