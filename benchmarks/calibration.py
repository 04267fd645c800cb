"""The calibration workload of the guard: a fixed piece of work that resembles a message. Never change it.

A ratio is independent of the machine only if the same things slow down both sides. So this workload makes
the transfers of the mix on plain sockets (three GETs to one PUT of 200 KB), and does as much ordinary
interpreted work per message as the service: calls, attributes, dictionaries, formatting, JSON, an HMAC.
It uses only the standard library and imports nothing from the package.
"""

import hmac
import json
import socket
import time

SIZE = 5_500 * 37
"""Bytes in a medium-sized file of the brief, about 200 KB."""


class Item:
    """An object with attributes and a method."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.tags: dict[str, int] = {}

    def note(self, name: str) -> None:
        """Count one name."""
        self.tags[name] = self.tags.get(name, 0) + 1


def interpreted_work(number: int) -> int:
    """Do typical interpreted work, for about as long as a message takes."""
    items = [Item(number + n) for n in range(40)]
    for item in items:
        for name in ("claimed", "sent", "received", "settled"):
            item.note(f"{name}-{item.number % 7}")
    ordered = sorted(items, key=lambda item: -item.number)
    text = json.dumps([{"id": f"{item.number:032x}", "tags": item.tags} for item in ordered])
    back = json.loads(text)
    digest = hmac.digest(b"key", text.encode(), "sha256").hex()
    return sum(len(entry["tags"]) for entry in back) + len(digest)


def transfer(connection: socket.socket, number: int, buffer: memoryview) -> None:
    """Make one GET, or every fourth time one PUT, of a medium-sized file."""
    if number % 4:
        connection.sendall(b"GET /bench/loadtest/one HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    else:
        head = f"PUT /bench/loadtest/one HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {SIZE}\r\n\r\n"
        connection.sendall(head.encode())
        connection.sendall(buffer[:SIZE])
    got = connection.recv_into(buffer)
    head_end = bytes(buffer[:4096]).find(b"\r\n\r\n") + 4
    missing = (SIZE if number % 4 else 0) - (got - head_end)
    while missing > 0:
        missing -= connection.recv_into(buffer[:missing])


def cpu_us(port: int, messages: int) -> float:
    """Return this process's CPU µs per calibration message."""
    buffer = memoryview(bytearray(SIZE + 4096))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        started = time.process_time()
        for number in range(messages):
            transfer(connection, number, buffer)
            interpreted_work(number)
        return (time.process_time() - started) / messages * 1e6
