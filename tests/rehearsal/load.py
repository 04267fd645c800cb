"""The load of a scene: customers who keep a record, and simulated users in a process of their own."""

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from tests.rehearsal.balancer import Logged
from tests.rehearsal.customers import Customers, Record
from tests.rehearsal.outcome import Outcome, picture
from tests.rehearsal.stage import Stage
from tests.rehearsal.tasks import ROOT

SMALL: list[dict[str, object]] = [{"type": "sleep", "payload": {"ms": 50}}]
_GRACE_SECONDS = 60
_START_SECONDS = 60.0
_SERVER_ERROR = 500


class Users:
    """``python -m loadtest_trio users`` against the balancer, until it is stopped.

    Args:
        stage: Whose balancer.
        number: Of users.
    """

    def __init__(self, stage: Stage, number: int) -> None:
        self._summary = stage.folder / f"users-{time.time_ns()}.json"
        flags = [
            "-H", stage.balancer.url, "-u", str(number), "-r", str(max(1, number // 2)), "-t", "1h",
            "--stop-on", "none", "--graceful-stop", f"{_GRACE_SECONDS}s", "--headless", "--output", "none",
            "--dashboard-port", "-1", "--summary-export", str(self._summary),
        ]  # fmt: skip
        if stage.token:
            flags += ["--header", f"Authorization: Bearer {stage.token}"]
        self._lines = self._summary.with_suffix(".jsonl")
        with self._lines.open("wb") as lines:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loadtest_trio", "users", *flags],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=lines, stderr=subprocess.PIPE,
                process_group=stage.process_group,
            )  # fmt: skip

    async def started(self) -> None:
        """Wait until they load the balancer.

        Raises:
            trio.TooSlowError: They do not.
        """
        with trio.fail_after(_START_SECONDS):
            while b"users_started" not in self._lines.read_bytes():  # noqa: ASYNC110 - a file has no event
                await trio.sleep(0.1)

    async def stop(self) -> dict[str, Any]:
        """Let the users finish what they are doing; return the summary."""
        self._process.terminate()
        _, complaints = await trio.to_thread.run_sync(self._process.communicate, None, _GRACE_SECONDS + 30)
        assert self._summary.exists(), complaints.decode()
        return dict(json.loads(self._summary.read_text()))

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self._process.kill()
        self._process.wait()


@attrs.define
class Load:
    """What the load of a scene has seen; complete when the block has ended.

    Attributes:
        record: Of the customers.
        began: Unix time.
        summary: Of the users; empty without any.
        requests: That ended meanwhile, as the balancer logged them.
    """

    record: Record
    began: float
    summary: dict[str, Any] = attrs.field(factory=dict)
    requests: list[Logged] = attrs.field(factory=list)

    @property
    def ended(self) -> float:
        """Unix time of the last request's end."""
        return max((each.at for each in self.requests), default=self.began + 1.0)

    @property
    def failed(self) -> list[Logged]:
        """Requests that the balancer answered with a server's error."""
        return [each for each in self.requests if each.status >= _SERVER_ERROR]

    @property
    def users_failed(self) -> int:
        """Requests of the users that failed in their eyes."""
        return int(self.summary["http_reqs"]["failures"]) if self.summary else 0

    def tell(self, outcome: Outcome, whose: str = "") -> None:
        """Add the load's figures, and what is claimed of every scene: no job lost, none doubled.

        Args:
            outcome: Of the scene.
            whose: Which jobs, in a scene with several kinds.
        """
        record, duration = self.record, self.ended - self.began
        seconds = sorted(each.seconds for each in self.requests) or [0.0]
        outcome.figures |= {
            "requests": f"{len(self.requests):,} ({len(self.requests) / duration:.0f} a second), "
            f"{len(self.failed)} failed",
            "answered within (p50, p95, longest)": ", ".join(
                f"{1000 * seconds[min(len(seconds) - 1, int(share * len(seconds)))]:.0f} ms"
                for share in (0.5, 0.95, 1.0)
            ),
            "answered, over the time": picture(
                (each.at for each in self.requests if each.status < _SERVER_ERROR), self.began, self.ended
            ),
            "failed, over the time": picture((each.at for each in self.failed), self.began, self.ended),
            "customers' jobs": ", ".join(f"{count:,} {status}" for status, count in record.ends().items()),
        }
        ends, which = record.ends(), f" ({whose})" if whose else ""
        outcome.claim(
            f"every accepted job ended, and succeeded{which}",
            set(ends) == {"COMPLETED"} and not record.unfinished,
            f"{ends['COMPLETED']:,} of {len(record.statuses):,}",
        )
        outcome.claim(
            f"no idempotency key made two jobs{which}", not record.twice, f"{len(record.accepted):,} keys"
        )

    def no_failure(self, outcome: Outcome) -> None:
        """Add the claim that no request failed, in the eyes of anybody."""
        found = f"{len(self.failed)} at the balancer, {len(self.record.failures)} of customers, "
        found += f"{self.users_failed} of users"
        statuses = sorted({(each.status, each.method) for each in self.failed})
        failed = bool(self.failed or self.record.failures or self.users_failed)
        outcome.claim("no request failed", not failed, f"{found}{f', {statuses}' if statuses else ''}")


@asynccontextmanager
async def loaded(
    stage: Stage,
    customers: int,
    users: int,
    work: list[dict[str, object]] | None = None,
    names: list[str] | None = None,
) -> AsyncIterator[Load]:
    """Load the balancer for the length of a block; at its end everybody finishes what they have begun."""
    async with trio.open_nursery() as nursery:
        group = Customers(
            stage.balancer.url,
            work or SMALL,
            names or [f"customer-{i}" for i in range(customers)],
            stage.token,
        )
        load = Load(group.record, time.time())
        crowd = Users(stage, users) if users else None
        try:
            if crowd:
                await crowd.started()
            await nursery.start(group.run)
            yield load
            group.leave()
            if crowd:
                load.summary = await crowd.stop()
        finally:
            if crowd:
                crowd.kill()
    load.requests = stage.balancer.requests(load.began)
