"""What a server grants a client."""

import attrs


@attrs.frozen
class ServerLimits:
    """Bounds in bytes, seconds and connections; each server keeps all that it can.

    Attributes:
        head_bytes: Longest request head, with the request line; longer is answered 431.
        headers: Most header lines; more are answered 431.
        body_bytes: Longest request body; longer is answered 413.
        head_seconds: From the first byte of a head to its end; slower is answered 408.
        body_seconds: From the first time the application waits for a body to the body's end; slower is
            answered 408.
        write_seconds: For the client to take any byte of an answer; slower is cut off.
        idle_seconds: Between two requests of a connection; then it is closed.
        connections: Most at once; further clients wait in the listening socket's backlog.
        backlog: Length of that queue, which the kernel may cut (``net.core.somaxconn``).
    """

    head_bytes: int = 16 * 1024
    headers: int = 100
    body_bytes: int = 1024 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    write_seconds: float = 30.0
    idle_seconds: float = 75.0
    connections: int = 10_000
    backlog: int = 1024
