"""Finds the process of this machine that listens on an address. Blocking: it may scan all of ``/proc``."""

import ipaddress
from contextlib import suppress
from pathlib import Path

import psutil

_ANY = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def is_local(host: str) -> bool:
    """Return whether a host is this machine: ``localhost`` or an address of its own. Asks no name server."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    own = (each.address for found in psutil.net_if_addrs().values() for each in found)
    return address.is_loopback or host in own


def find_listener(host: str, port: int) -> psutil.Process | None:
    """Return the process that listens on an address of this machine.

    Of a server whose parent opened the socket for its workers (nginx), that is the parent.

    Args:
        host: ``localhost`` or an address.
        port: The TCP port.

    Returns:
        The process. None if nobody listens, or if it belongs to another user and this process is not root.
    """
    try:
        sockets = psutil.net_connections("tcp")
        for each in sockets:
            if each.status != psutil.CONN_LISTEN or each.laddr.port != port or not each.pid:
                continue
            if host == "localhost" or each.laddr.ip in (host, *_ANY):
                return _opener(psutil.Process(each.pid), each.fd)
    except (OSError, psutil.Error):
        pass
    return None


def family(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and its descendants; empty when it has ended."""
    try:
        return [process, *process.children(recursive=True)]
    except (OSError, psutil.Error):
        return []


def _opener(process: psutil.Process, descriptor: int) -> psutil.Process:
    """Return the highest ancestor that holds the same socket (Linux, proc_pid_fd(5))."""
    with suppress(OSError, psutil.Error):
        socket = Path(f"/proc/{process.pid}/fd/{descriptor}").readlink()
        while (parent := process.parent()) and socket in _descriptors(parent.pid):
            process = parent
    return process


def _descriptors(pid: int) -> set[Path]:
    found = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found.add(each.readlink())
    return found
