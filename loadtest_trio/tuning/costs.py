"""What a message costs in CPU, by operation and by component, and what another mix would cost. Pure.

Stages of one operation each, at two file sizes, make the cost a linear model that can be solved:

    CPU seconds = idle · seconds + Σ a(operation) · messages
                  + g · bytes read + p · bytes written + c · bytes generated

with one stage of hardly any load, which shows what the service uses whatever it does (polling, log
lines): without it every slow operation would seem dear. CPU seconds are first brought to one pace, for the
core is not equally fast in all stages (`pace`). The model is solved with non-negative least squares on
relative errors. Where a message's CPU goes comes from a
sampling profile of the same stages; its shares are scaled to the modelled cost.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import attrs

from loadtest_trio.reporting.extras import need
from loadtest_trio.tuning.search import stage
from loadtest_trio.tuning.steps import Finding, Handicap, Kind, Plan, Step, measured

OPERATIONS = ("READ", "UPDATE", "CREATE", "DELETE")
SIZES = (1.0, 0.25)
_ONE_BY_ONE: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("READ only", {"READ": 1}),
    ("UPDATE only", {"UPDATE": 1}),
    ("CREATE only", {"CREATE": 1}),
)
_STAGES: tuple[tuple[float, str, Mapping[str, float] | None, float | None], ...] = (
    (1.0, "hardly any load", None, 1.0),
    *((size, *each, None) for size in SIZES for each in _ONE_BY_ONE),
    (1.0, "CREATE and DELETE", {"CREATE": 1.0, "DELETE": 1.0}, None),  # DELETE alone would find nothing
)
Mix = Mapping[str, float]


@attrs.frozen(kw_only=True)
class Work:
    """What was done in one step, and the CPU it took.

    Attributes:
        cpu_seconds: Of the whole process.
        seconds: In which it was spent.
        done: Operation -> messages.
        bytes_read: S3 bodies received.
        bytes_written: S3 bodies sent.
        pace: What a fixed unit of work cost meanwhile, in CPU microseconds; larger on a slower core.
        profile: (operation, component) -> CPU seconds, as far as samples tell; operation "" is shared.
    """

    cpu_seconds: float
    seconds: float
    done: Mapping[str, int]
    bytes_read: int
    bytes_written: int
    pace: float
    profile: Mapping[tuple[str, str], float] = attrs.field(factory=dict)

    @property
    def bytes_generated(self) -> float:
        """Bytes of new files: those written that no UPDATE had read before."""
        readers = self.done.get("READ", 0) + self.done.get("UPDATE", 0)
        updated = self.done.get("UPDATE", 0) * self.bytes_read / readers if readers else 0.0
        return max(0.0, self.bytes_written - updated)

    @property
    def mean_bytes(self) -> float:
        """Mean size of the files moved."""
        moves = sum(self.done.get(name, 0) * times for name, times in _MOVES.items())
        return (self.bytes_read + self.bytes_written) / moves if moves else 0.0


_MOVES = {"READ": 1, "UPDATE": 2, "CREATE": 1}


@attrs.frozen
class CostModel:
    """The solved model.

    Attributes:
        messages: Operation -> CPU seconds a message, whatever its size.
        read: CPU seconds a byte read.
        written: CPU seconds a byte written.
        generated: CPU seconds a byte generated.
        idle: Share of a core that is used whatever is done.
        pace: At which all of this holds; see `Work`.
    """

    messages: Mapping[str, float]
    read: float
    written: float
    generated: float
    idle: float
    pace: float

    def cost(self, operation: str, size: float) -> float:
        """Return the CPU seconds of one message on a file of `size` bytes."""
        each = {
            "READ": self.read,
            "UPDATE": self.read + self.written,
            "CREATE": self.written + self.generated,
        }
        return self.messages[operation] + each.get(operation, 0.0) * size

    def total(self, work: Work) -> float:
        """Return the CPU seconds that this work should have taken, at its own pace."""
        size = work.mean_bytes
        each = sum(count * self.cost(name, size) for name, count in work.done.items())
        return (each + self.idle * work.seconds) * work.pace / self.pace

    def predict(self, mix: Mix, size: float) -> float:
        """Return the mean CPU seconds of a message of a mix.

        Args:
            mix: Operation -> weight of the messages done, refills included.
            size: Mean file size in bytes.
        """
        total = sum(mix.values())
        return sum(weight / total * self.cost(name, size) for name, weight in mix.items())


def solve(works: Sequence[Work]) -> CostModel:
    """Solve the model.

    Args:
        works: Of stages with different mixes and sizes.
    """
    numpy, optimize = need("numpy"), need("scipy.optimize")
    works = [work for work in works if work.cpu_seconds > 0]
    pace = median(work.pace for work in works)
    rows = numpy.array(
        [
            [
                *(work.done.get(name, 0) for name in OPERATIONS),
                *(work.bytes_read, work.bytes_written, work.bytes_generated, work.seconds),
            ]
            for work in works
        ],
        dtype=float,
    )
    spent = numpy.array([work.cpu_seconds * pace / work.pace for work in works])
    relative = rows / spent[:, None]  # of each stage: so that a long one does not count for more
    scale = numpy.maximum(relative.max(axis=0), 1e-30)
    found, _ = optimize.nnls(relative / scale, numpy.ones(len(spent)))
    *messages, read, written, generated, idle = (float(value) for value in found / scale)
    return CostModel(dict(zip(OPERATIONS, messages, strict=True)), read, written, generated, idle, pace)


def components(works: Sequence[Work], model: CostModel, size: float) -> dict[str, dict[str, float]]:
    """Split the cost of each operation by component.

    Returns:
        Operation -> component -> CPU microseconds a message; they add up to the modelled cost.
    """
    split = {name: dict[str, float]() for name in OPERATIONS}
    counts: Counter[str] = Counter()
    for work in works:
        messages = sum(work.done.values())
        counts.update(work.done)
        for (operation, component), seconds in work.profile.items():
            for name, done in work.done.items():
                share = float(name == operation) if operation else done / messages
                if share:
                    split[name][component] = split[name].get(component, 0.0) + seconds * share
    result = {}
    for name, parts in split.items():
        whole = sum(parts.values())
        if whole and counts[name]:
            scale = 1e6 * model.cost(name, size) / whole
            result[name] = {part: round(seconds * scale, 1) for part, seconds in parts.items()}
    return result


def measure(
    workers: int, seconds: float, mix: Mix, known: Sequence[Work], hurry: Callable[[], bool]
) -> Plan[CostModel | None]:
    """Make the cost stages and say what they show.

    Args:
        workers: Concurrency, where the CPU is busiest.
        seconds: Of each stage.
        mix: The configured mix.
        known: What other closed loops without a handicap showed.
        hurry: Whether time is running out; too few stages give no model.
    """
    works = list(known)
    for size, change, weights, rate in _STAGES:
        if hurry():
            return None
        words = change if size == 1 else f"{change}, {size:g} of the size"
        step = Step(Kind.COST, seconds, workers, rate, Handicap(size=size), weights, change=words)
        observation = yield from measured(step)
        yield stage(step, observation)
        works.append(observation.work)
    model = solve(works)
    yield finding(works, model, mix)
    return model


def finding(works: Sequence[Work], model: CostModel, mix: Mix) -> Finding:
    """Return the line about costs."""
    size = max(work.mean_bytes for work in works)
    wanted: list[tuple[str, Mix, float]] = [("configured", mix, size)]
    wanted += [("configured", mix, size * factor) for factor in (0.1, 0.5, 2.0)]
    wanted += [(f"{name} only", {name: 1.0}, size) for name in OPERATIONS]
    return Finding(
        "tune_costs",
        {
            "mean_bytes": round(size),
            "operations": {name: {"total_us": round(1e6 * model.cost(name, size), 1)} for name in OPERATIONS},
            "model": attrs.asdict(model),
            "components": components(works, model, size),
            "predictions": [_prediction(*each, model) for each in wanted],
        },
    )


def _prediction(words: str, mix: Mix, size: float, model: CostModel) -> dict[str, Any]:
    cost = model.predict(mix, size)
    return {
        "mix": words,
        "bytes": round(size),
        "cpu_us": round(1e6 * cost, 1),
        "per_vcpu": round((1 - model.idle) / cost, 1) if cost else None,
    }
