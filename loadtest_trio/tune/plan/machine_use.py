"""Whose processes use the CPUs of this machine: the service's, the backends' servers', or others'. Pure.

On a machine that service and backends share (the embedded mode), all of them slow down when its CPUs are
busy. Experiments cannot tell them apart then: CPU burnt beside the service is also missing to S3's server.
The CPU time of each process can.
"""

import attrs

from loadtest_trio.tune.plan.observations import Usage

_UNKNOWN = "The CPU of {} is not known: its processes are not on this machine, or cannot be read."


@attrs.frozen
class MachineUse:
    """Shares of the time of all CPUs, from 0 to 1.

    Attributes:
        service: Of this process.
        redis: Of Redis's server.
        s3: Of S3's server.
        others: Of all other programs, the kernel, and what a hypervisor takes.
        busy: Of all together.
    """

    service: float
    redis: float
    s3: float
    others: float
    busy: float

    @classmethod
    def of(cls, usage: Usage) -> "MachineUse | None":
        """Return the shares; None unless all of them are known."""
        if not usage.machine_cpu or not usage.machine_cpus or usage.redis_cpu is None or usage.s3_cpu is None:
            return None
        service, redis, s3 = (
            each / usage.machine_cpus for each in (usage.cpu, usage.redis_cpu, usage.s3_cpu)
        )
        others = max(0.0, usage.machine_cpu - service - redis - s3)
        return cls(service, redis, s3, others, service + redis + s3 + others)


def users_of_machine(usage: Usage) -> tuple[str, ...]:
    """Return in sentences who uses the CPUs of this machine, as far as is known."""
    use = MachineUse.of(usage)
    if use:
        shares = {
            "the service": use.service,
            "Redis's server": use.redis,
            "S3's server": use.s3,
            "other programs": use.others,
        }
        said = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
        return (f"This machine's {usage.machine_cpus:.0f} CPUs were {100 * use.busy:.0f} % busy: {said}.",)
    if usage.machine_cpu is None:
        return ()
    servers = (("Redis's server", usage.redis_cpu), ("S3's server", usage.s3_cpu))
    return tuple(_UNKNOWN.format(name) for name, cpu in servers if cpu is None)
