"""Scenes of tasks: two of three are killed or stopped, and new images are rolled out."""

import time

import attrs
import trio

from tests.rehearsal.applied import TaskDefinition
from tests.rehearsal.balancer import PROPAGATION_SECONDS
from tests.rehearsal.cluster import NOTICE_SECONDS
from tests.rehearsal.load import Load, loaded
from tests.rehearsal.outcome import Outcome
from tests.rehearsal.scene import Scene, Size, repeated, scaled_to
from tests.rehearsal.stage import Stage


async def killed(stage: Stage, size: Size) -> Outcome:
    """Two of three tasks are killed under load."""
    outcome, api = Outcome("killed", "Two of three tasks killed (SIGKILL)"), stage.queue.api
    await scaled_to(api, 3)
    async with loaded(stage, size.customers, size.users) as load:
        await trio.sleep(size.calm)
        victims, at, began = api.ready[:2], time.time(), trio.current_time()
        for task in victims:
            task.kill()
        while len([each for each in api.ready if each.running]) < 3:  # noqa: ASYNC110 - no event
            await trio.sleep(0.05)
        back = trio.current_time() - began
        await trio.sleep(size.calm)
    await stage.queue.drained()
    started = [each.at - began for each in api.events if each.what == "started" and each.at >= began]
    ports = {task.port for task in victims}
    inflight = [each for each in load.failed if each.at - each.seconds <= at]
    late = [each for each in load.failed if each.at > at + NOTICE_SECONDS + PROPAGATION_SECONDS + 1.0]
    outcome.claim(
        "only requests that had been routed to a killed task failed",
        all(each.port in ports for each in load.failed) and not late,
        f"{len(inflight)} in flight, {len(load.failed) - len(inflight)} sent before the balancer knew",
    )
    repeated(outcome, load)
    outcome.claim("replaced within 30 s", max(started) < 30, f"started after {max(started):.1f} s")
    outcome.figures["three tasks serve again after"] = f"{back:.1f} s"
    load.tell(outcome)
    return outcome


async def terminated(stage: Stage, size: Size) -> Outcome:
    """Two of three tasks get SIGTERM under load, while the balancer still sends them requests."""
    outcome, api = Outcome("terminated", "Two of three tasks stopped (SIGTERM)"), stage.queue.api
    await scaled_to(api, 3)
    async with loaded(stage, size.customers, size.users) as load:
        await trio.sleep(size.calm)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for task in api.ready[:2]:
                nursery.start_soon(api.interrupt, task)
        await api.settled()
        back = trio.current_time() - began
        await trio.sleep(size.calm)
    await stage.queue.drained()
    load.no_failure(outcome)
    outcome.claim("both ended by themselves, in order", api.codes[-2:] == [0, 0], api.codes[-2:])
    outcome.figures["ended after SIGTERM"] = ", ".join(f"{each:.1f} s" for each in api.stop_seconds[-2:])
    outcome.figures["three tasks serve again after"] = f"{back:.1f} s"
    load.tell(outcome)
    return outcome


async def rolled_out(stage: Stage, size: Size) -> Outcome:
    """A new image is rolled out under load."""
    outcome, api = Outcome("rolled-out", "Rolling deployment of another image"), stage.queue.api
    await scaled_to(api, 2)
    old = api.definition.task
    new = attrs.evolve(
        old,
        revision=old.revision + 1,
        image=f"{old.image}-next",
        environment={**old.environment, "WORKER_CONCURRENCY": "16"},
    )
    seconds, fewest, load = await _deployed(stage, size, new)
    load.no_failure(outcome)
    current = {task.definition.revision for task in api.active}
    outcome.claim("all tasks run the new image", current == {new.revision}, f"revisions {current}")
    outcome.claim("two tasks served all the time", fewest >= 2, f"{fewest} at least")
    outcome.claim("the old ones ended in order", set(api.codes[-2:]) == {0}, api.codes[-2:])
    outcome.figures["took"] = f"{seconds:.1f} s"
    load.tell(outcome)
    return outcome


async def rolled_back(stage: Stage, size: Size) -> Outcome:
    """An image that does not start is rolled out under load."""
    outcome, api = Outcome("rolled-back", "Deployment of an image that does not start"), stage.queue.api
    await scaled_to(api, 2)
    good = api.active[0].definition
    bad = attrs.evolve(good, revision=good.revision + 1, command=("jobs", "--no-such-flag"))
    seconds, fewest, load = await _deployed(stage, size, bad)
    load.no_failure(outcome)
    current = {task.definition.revision for task in api.active}
    outcome.claim("the circuit breaker rolled back", current == {good.revision}, f"revisions {current}")
    outcome.claim("two tasks served all the time", fewest >= 2, f"{fewest} at least")
    outcome.figures["took"] = f"{seconds:.1f} s"
    load.tell(outcome)
    return outcome


async def _deployed(stage: Stage, size: Size, task: TaskDefinition) -> tuple[float, int, Load]:
    """Roll out under load; return how long it took, the fewest tasks that served meanwhile, and the load."""
    api, fewest = stage.queue.api, 99
    async with loaded(stage, size.customers, size.users) as load:
        await trio.sleep(size.calm)
        api.roll_out(task)
        began = trio.current_time()
        await trio.sleep(0.3)
        with trio.fail_after(600):
            while not api.steady:
                fewest = min(fewest, len(api.ready))
                await trio.sleep(0.1)
        seconds = trio.current_time() - began
        await trio.sleep(size.calm)
    await stage.queue.drained()
    return seconds, fewest, load


TASK_SCENES: dict[str, Scene] = {
    "killed": killed,
    "terminated": terminated,
    "rolled-out": rolled_out,
    "rolled-back": rolled_back,
}
"""In their order."""
