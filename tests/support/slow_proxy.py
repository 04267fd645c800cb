"""A slow way to a backend, a process of its own: ``python tests/support/slow_proxy.py PORT --delay-ms 30``.

Every part of a reply arrives later by the delay, without holding up the parts behind it; and all
connections together get no more than the bandwidth, in both directions. It prints its port.
"""

import argparse
import asyncio
import time

_PART = 16384


class Pipe:
    """What all connections share: the bandwidth.

    Args:
        bandwidth: Bytes a second; 0: any number.
    """

    def __init__(self, bandwidth: float) -> None:
        self._bandwidth = bandwidth
        self._free_at = time.monotonic()

    async def take(self, size: int) -> None:
        """Wait until so many bytes have gone through."""
        if self._bandwidth:
            self._free_at = max(self._free_at, time.monotonic()) + size / self._bandwidth
            await asyncio.sleep(self._free_at - time.monotonic())


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pipe: Pipe, delay: float) -> None:
    """Pass one direction on until it ends."""
    parts: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)

    async def receive() -> None:
        while data := await reader.read(_PART):
            await parts.put((time.monotonic() + delay, data))
        await parts.put((0.0, b""))

    receiving = asyncio.create_task(receive())
    try:
        while True:
            due, data = await parts.get()
            if not data:
                return
            await asyncio.sleep(max(0.0, due - time.monotonic()) if delay else 0)
            await pipe.take(len(data))
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        receiving.cancel()
        writer.close()


async def main(upstream: int, delay: float, bandwidth: float) -> None:
    """Serve until killed."""
    pipe = Pipe(bandwidth)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", upstream)
        await asyncio.gather(copy(reader, forth, pipe, 0.0), copy(back, writer, pipe, delay))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream", type=int)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--bandwidth", type=float, default=0.0)
    options = parser.parse_args()
    asyncio.run(main(options.upstream, options.delay_ms / 1000, options.bandwidth))
