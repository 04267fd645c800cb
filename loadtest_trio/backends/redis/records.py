"""What RedisService answers besides deliveries: plain data."""

import re

import attrs


@attrs.frozen
class ReapResult:
    """What one call of the reaper found.

    Attributes:
        consumers: Consumers removed because their heartbeat had stopped.
        requeued: Messages of theirs that went back to the queue.
        dead: Messages of theirs that had been delivered too often and went to the dead list.
        dead_jobs: Ids of the jobs among them; one whose consumer came back at that moment is here, too.
    """

    consumers: int
    requeued: int
    dead: int
    dead_jobs: tuple[str, ...] = ()


@attrs.frozen
class ServerInfo:
    """What the server says about itself (redis.io, "INFO").

    Attributes:
        server: ``redis`` or ``valkey``.
        version: Of that server.
        mode: ``standalone``, ``cluster`` or ``sentinel``.
        role: ``master`` or ``slave``.
        append_only: Whether writes go to an append-only file.
        maxmemory: The limit in bytes; 0 means none.
        maxmemory_policy: What happens at the limit; anything but ``noeviction`` may lose messages.
    """

    server: str
    version: str
    mode: str
    role: str
    append_only: bool
    maxmemory: int
    maxmemory_policy: str

    @property
    def may_evict(self) -> bool:
        """Whether Redis deletes keys at its memory limit; False where it does not tell its policy."""
        return self.maxmemory > 0 and self.maxmemory_policy not in ("", "noeviction")

    def is_older_than(self, major: int) -> bool:
        """Return whether a Redis says that it is older; what does not tell a version may be new enough."""
        number = re.match(r"v?([0-9]{1,9})\.", self.version)
        # Valkey's own version numbers begin where Redis 7.2 was left.
        return self.server == "redis" and number is not None and int(number[1]) < major

    @classmethod
    def parse(cls, info: bytes) -> "ServerInfo":
        """Read the reply to ``INFO``."""
        lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
        fields = {name: value for name, _, value in lines}
        server = fields.get("server_name", "redis")
        maxmemory = fields.get("maxmemory", "")
        return cls(
            server=server,
            version=fields.get(f"{server}_version", fields.get("redis_version", "")),
            mode=fields.get("redis_mode") or fields.get("server_mode", ""),
            role=fields.get("role", ""),
            append_only=fields.get("aof_enabled") == "1",
            maxmemory=int(maxmemory) if re.fullmatch("[0-9]{1,20}", maxmemory) else 0,
            maxmemory_policy=fields.get("maxmemory_policy", ""),
        )
