"""Application Auto Scaling: target tracking, as AWS describes it. Pure, in seconds of AWS.

CloudWatch evaluates a metric once a minute. Target tracking scales out when three minutes in a row were above
the target, to as many tasks as would bring the metric to it; and in when fifteen minutes in a row were below
90 % of it, to no fewer than that keeps it under the target. A scale-out waits for the end of the scale-out
cooldown unless it asks for more than the last one did; a scale-in waits for the end of the scale-in cooldown,
which every activity begins.
(https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html)
"""

import math
from collections import deque

from tests.rehearsal.applied import ScalingPolicy

MINUTE = 60.0
OUT_MINUTES, IN_MINUTES = 3, 15
_IN_SHARE = 0.9


class TargetTracking:
    """One policy.

    Args:
        policy: Its target and cooldowns.
        least: Fewest tasks.
        most: Most tasks.
    """

    def __init__(self, policy: ScalingPolicy, least: int, most: int) -> None:
        self.policy = policy
        self._least, self._most = least, most
        self._values: deque[float] = deque(maxlen=IN_MINUTES)
        self._out_at = self._any_at = -math.inf

    def observe(self, now: float, value: float, tasks: int) -> int:
        """Take in the metric of one minute; return how many tasks are wanted.

        Args:
            now: Seconds.
            value: The metric: percent of CPU, or messages a task.
            tasks: How many are wanted at present.
        """
        self._values.append(value)
        target = self.policy.target
        latest = list(self._values)
        if len(latest) >= OUT_MINUTES and min(latest[-OUT_MINUTES:]) > target:
            wanted = min(self._most, math.ceil(tasks * value / target))
            if wanted > tasks and now - self._out_at >= self.policy.out_cooldown:
                self._out_at = self._any_at = now
                self._values.clear()
                return wanted
        if len(latest) == IN_MINUTES and max(latest) < _IN_SHARE * target:
            wanted = max(self._least, math.ceil(tasks * max(latest) / target))
            if wanted < tasks and now - self._any_at >= self.policy.in_cooldown:
                self._any_at = now
                self._values.clear()
                return wanted
        return tasks
