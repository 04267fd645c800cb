"""What a message costs in CPU, and what another mix would cost: the model. Pure.

Stages of one operation each, at two file sizes, make the cost a linear model that can be solved:

    CPU seconds = idle · seconds + Σ a(operation) · messages
                  + g · bytes read + p · bytes written + c · bytes generated

with one stage of hardly any load, which shows what the service uses whatever it does (polling, log
lines): without it every slow operation would seem dear. CPU seconds are first brought to one pace, for the
core is not equally fast in all stages (`pace`). The model is solved with non-negative least squares on
relative errors. How far it can be trusted shows in what it leaves unexplained: stages drawn anew with errors
of that size give other models, and an interval is what most of those say.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from random import Random
from statistics import median

import attrs

from loadtest_trio.report.extras import need

OPERATIONS = ("READ", "UPDATE", "CREATE", "DELETE")
_RESAMPLES = 200
_LEAST_ERROR = 0.01  # no stage is known better than that, however well the model fits
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
        size: Factor on the configured size of files.
    """

    cpu_seconds: float
    seconds: float
    done: Mapping[str, int]
    bytes_read: int
    bytes_written: int
    pace: float
    profile: Mapping[tuple[str, str], float] = attrs.field(factory=dict)
    size: float = 1.0

    def __add__(self, other: "Work") -> "Work":
        """Return the work of both; the pace is the mean over their CPU seconds."""
        spent = (self.cpu_seconds + other.cpu_seconds) or 1.0
        names = {**self.done, **other.done}
        places = {**self.profile, **other.profile}
        return attrs.evolve(
            self,
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            seconds=self.seconds + other.seconds,
            done={name: self.done.get(name, 0) + other.done.get(name, 0) for name in names},
            bytes_read=self.bytes_read + other.bytes_read,
            bytes_written=self.bytes_written + other.bytes_written,
            pace=(self.pace * self.cpu_seconds + other.pace * other.cpu_seconds) / spent or self.pace,
            profile={each: self.profile.get(each, 0.0) + other.profile.get(each, 0.0) for each in places},
        )

    @property
    def moves(self) -> int:
        """How many files were moved."""
        return sum(self.done.get(name, 0) * times for name, times in _MOVES.items())

    @property
    def bytes_generated(self) -> float:
        """Bytes of new files: those written that no UPDATE had read before."""
        readers = self.done.get("READ", 0) + self.done.get("UPDATE", 0)
        updated = self.done.get("UPDATE", 0) * self.bytes_read / readers if readers else 0.0
        return max(0.0, self.bytes_written - updated)

    @property
    def mean_bytes(self) -> float:
        """Mean size of the files moved."""
        return (self.bytes_read + self.bytes_written) / self.moves if self.moves else 0.0


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


def resolved(works: Sequence[Work], model: CostModel) -> list[CostModel]:
    """Return models as they might have come out: of stages with errors like those that are unexplained.

    Args:
        works: What `model` was solved from.
        model: The solution.
    """
    works = [work for work in works if work.cpu_seconds > 0]
    parameters = (*model.messages.values(), model.read, model.written, model.generated, model.idle)
    left = max(1, len(works) - sum(each > 0 for each in parameters))
    misses = sum((model.total(work) / work.cpu_seconds - 1) ** 2 for work in works)
    error, rng = max(_LEAST_ERROR, sqrt(misses / left)), Random(len(works))

    def disturbed(work: Work) -> Work:
        return attrs.evolve(work, cpu_seconds=model.total(work) * max(0.1, rng.gauss(1, error)))

    return [solve([disturbed(work) for work in works]) for _ in range(_RESAMPLES)]
