"""A linear model of the CPU cost of messages, which predicts the cost of other mixes and sizes. Pure.

Windows with different mixes of operations, at two file sizes, make the cost a linear model:

    CPU seconds = idle · seconds + Σ a(operation) · messages
                  + g · bytes read + p · bytes written + c · bytes generated

One more stage runs with hardly any load and shows the CPU that the service uses regardless of messages
(polling, log lines); without it every slow operation would look expensive. The core is not equally fast in
all stages, so CPU seconds are first scaled to one core speed (`core_speed`). The model is solved with
non-negative least squares on relative errors. The residuals show how far it can be trusted: stages resampled
with errors of that size give further models, and intervals are quantiles over those.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from random import Random
from statistics import median

import attrs

from loadtest_trio.report.extras import need

OPERATIONS = ("READ", "UPDATE", "CREATE", "DELETE")
_RESAMPLES = 200
_MIN_ERROR = 0.01  # assumed error of a stage, however well the model fits
Weights = Mapping[str, float]


@attrs.frozen(kw_only=True)
class Work:
    """The work done in one step, and the CPU time it took.

    Attributes:
        cpu_seconds: CPU time of the whole process.
        seconds: Duration.
        done: Operation -> messages.
        bytes_read: Bytes of S3 bodies received.
        bytes_written: Bytes of S3 bodies sent.
        unit_us: CPU microseconds of a fixed unit of work meanwhile (`core_speed`); larger on a slower core.
        profile: (operation, component) -> CPU seconds, estimated by sampling; operation "" is shared.
        size: Factor on the configured file size.
    """

    cpu_seconds: float
    seconds: float
    done: Mapping[str, int]
    bytes_read: int
    bytes_written: int
    unit_us: float
    profile: Mapping[tuple[str, str], float] = attrs.field(factory=dict)
    size: float = 1.0

    def __add__(self, other: "Work") -> "Work":
        """Return the work of both; `unit_us` is the mean weighted by CPU seconds."""
        spent = (self.cpu_seconds + other.cpu_seconds) or 1.0
        weighted = self.unit_us * self.cpu_seconds + other.unit_us * other.cpu_seconds
        names = {**self.done, **other.done}
        places = {**self.profile, **other.profile}
        return attrs.evolve(
            self,
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            seconds=self.seconds + other.seconds,
            done={name: self.done.get(name, 0) + other.done.get(name, 0) for name in names},
            bytes_read=self.bytes_read + other.bytes_read,
            bytes_written=self.bytes_written + other.bytes_written,
            unit_us=weighted / spent or self.unit_us,
            profile={each: self.profile.get(each, 0.0) + other.profile.get(each, 0.0) for each in places},
        )

    @property
    def moves(self) -> int:
        """Number of files transferred."""
        return sum(self.done.get(name, 0) * times for name, times in _MOVES.items())

    @property
    def bytes_generated(self) -> float:
        """Bytes of newly generated files: all bytes written except those an UPDATE had read."""
        readers = self.done.get("READ", 0) + self.done.get("UPDATE", 0)
        updated = self.done.get("UPDATE", 0) * self.bytes_read / readers if readers else 0.0
        return max(0.0, self.bytes_written - updated)

    @property
    def mean_bytes(self) -> float:
        """Mean size in bytes of the files transferred."""
        return (self.bytes_read + self.bytes_written) / self.moves if self.moves else 0.0


_MOVES = {"READ": 1, "UPDATE": 2, "CREATE": 1}


@attrs.frozen
class CostModel:
    """The solved model.

    Attributes:
        messages: Operation -> CPU seconds per message, independent of its size.
        read: CPU seconds per byte read.
        written: CPU seconds per byte written.
        generated: CPU seconds per byte generated.
        idle: Share of a core used without any message.
        unit_us: The core speed to which the values apply; see `Work`.
    """

    messages: Mapping[str, float]
    read: float
    written: float
    generated: float
    idle: float
    unit_us: float

    def cost(self, operation: str, size: float) -> float:
        """Return the CPU seconds of one message on a file of `size` bytes."""
        each = {
            "READ": self.read,
            "UPDATE": self.read + self.written,
            "CREATE": self.written + self.generated,
        }
        return self.messages[operation] + each.get(operation, 0.0) * size

    def total(self, work: Work) -> float:
        """Return the predicted CPU seconds of this work, at the core speed of its time."""
        size = work.mean_bytes
        each = sum(count * self.cost(name, size) for name, count in work.done.items())
        return (each + self.idle * work.seconds) * work.unit_us / self.unit_us

    def predict(self, mix: Weights, size: float) -> float:
        """Return the mean CPU seconds per message of a mix.

        Args:
            mix: Operation -> weight of the messages done, including refills.
            size: Mean file size in bytes.
        """
        total = sum(mix.values())
        return sum(weight / total * self.cost(name, size) for name, weight in mix.items())


def solve(works: Sequence[Work]) -> CostModel:
    """Solve the model.

    Args:
        works: The work of stages with different mixes and sizes.
    """
    numpy, optimize = need("numpy"), need("scipy.optimize")
    works = [work for work in works if work.cpu_seconds > 0]
    unit_us = median(work.unit_us for work in works)
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
    spent = numpy.array([work.cpu_seconds * unit_us / work.unit_us for work in works])
    relative = rows / spent[:, None]  # errors relative to each stage, so that long stages do not dominate
    scale = numpy.maximum(relative.max(axis=0), 1e-30)
    found, _ = optimize.nnls(relative / scale, numpy.ones(len(spent)))
    *messages, read, written, generated, idle = (float(value) for value in found / scale)
    return CostModel(dict(zip(OPERATIONS, messages, strict=True)), read, written, generated, idle, unit_us)


def resample_models(works: Sequence[Work], model: CostModel) -> list[CostModel]:
    """Return models solved from resampled stages, with errors as large as the residuals.

    Args:
        works: The stages that `model` was solved from.
        model: The solution.
    """
    works = [work for work in works if work.cpu_seconds > 0]
    parameters = (*model.messages.values(), model.read, model.written, model.generated, model.idle)
    left = max(1, len(works) - sum(each > 0 for each in parameters))
    misses = sum((model.total(work) / work.cpu_seconds - 1) ** 2 for work in works)
    error, rng = max(_MIN_ERROR, sqrt(misses / left)), Random(len(works))

    def disturbed(work: Work) -> Work:
        return attrs.evolve(work, cpu_seconds=model.total(work) * max(0.1, rng.gauss(1, error)))

    return [solve([disturbed(work) for work in works]) for _ in range(_RESAMPLES)]
