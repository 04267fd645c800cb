"""What the server saw of its clients: requests, failures, and the time between the polls of each job."""

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Self

import attrs

LATE_MS = 100  # a poll that comes so much after it was due is late


@attrs.frozen
class Observed:
    """Counts up to one moment, or between two.

    Attributes:
        requests: Requests received.
        failures: Of these, answered with anything but 2xx.
        gaps_ms: Milliseconds since the poll of the same job before, or since its submission -> polls.
    """

    requests: int
    failures: int
    gaps_ms: Mapping[int, int]

    @classmethod
    def parse(cls, report: Mapping[str, Any]) -> Self:
        """Return what the server's JSON says."""
        gaps = {int(gap): int(count) for gap, count in report["gaps_ms"].items()}
        return cls(int(report["requests"]), int(report["failures"]), gaps)

    def since(self, before: "Observed") -> "Observed":
        """Return what was added since an earlier moment."""
        gaps = {gap: count - before.gaps_ms.get(gap, 0) for gap, count in self.gaps_ms.items()}
        return Observed(
            self.requests - before.requests,
            self.failures - before.failures,
            {gap: count for gap, count in gaps.items() if count},
        )

    def late_share(self, poll_seconds: float) -> float:
        """Return the share of polls that came `LATE_MS` or more after they were due; 0 without polls."""
        polls = sum(self.gaps_ms.values())
        limit = 1000 * poll_seconds + LATE_MS
        late = sum(count for gap, count in self.gaps_ms.items() if gap >= limit)
        return late / polls if polls else 0.0

    def gap_ms(self, share: float) -> int:
        """Return the gap that this share of the polls does not exceed; 0 without polls."""
        left = share * sum(self.gaps_ms.values())
        for gap in sorted(self.gaps_ms):
            left -= self.gaps_ms[gap]
            if left <= 0:
                return gap
        return 0


def ask(url: str) -> Observed:
    """Return what the server at this address has counted so far."""
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=30.0)) as connection:
        connection.request("GET", "/observed")
        return Observed.parse(json.load(connection.getresponse()))
