"""Writes log lines in a thread, so that a slow or full destination never stops the service.

    event() in any thread ──► write() ──► [ buffer, 8 MiB ] ──► the writer's thread ──► file descriptor

Invariants:
- `write` never waits for the destination and never raises.
- Lines are written whole and in order. While the destination takes none (a full disk, a pipe whose reader
  stands still), they wait; when the buffer is full the oldest are dropped and counted.
- Only EPIPE means that nobody reads any more. Every other error may pass: it is tried again.

The thread is a plain daemon thread and not one of Trio's: the log begins before Trio and ends after it, and
a thread that is stuck in ``write(2)`` can neither be cancelled nor waited for. Making the destination
non-blocking instead would change it for every other process that shares it, such as the shell's terminal.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

CAPACITY_BYTES = 8 * 2**20
_BATCH_BYTES = 2**16  # of one write: what a pipe holds
_RETRY_SECONDS = 1.0
DRAIN_SECONDS = 2.0  # without progress: a reader that stands still must not hold up the end for longer
_LOOK_SECONDS = 0.02


class LogWriter:
    """Owns one thread that writes to a file descriptor, from construction until `close`.

    Args:
        descriptor: Where to write; blocking or not. It is not closed here.
        on_no_reader: Called once, in the writer's thread, when the destination has no reader any more.
        capacity_bytes: How much waits at most.
    """

    def __init__(
        self,
        descriptor: int,
        on_no_reader: Callable[[], object],
        capacity_bytes: int = CAPACITY_BYTES,
    ) -> None:
        self._descriptor = descriptor
        self._on_no_reader = on_no_reader
        self._capacity = capacity_bytes
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._in_hand = b""
        self._dropped = 0
        self._trouble: OSError | None = None
        self._has_reader = True
        self._ending = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Put one or more whole lines into the buffer."""
        data = text.encode(errors="replace")
        with self._changed:
            if not self._has_reader:
                return
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            while self._waiting_bytes > self._capacity:
                oldest = self._waiting.popleft()
                self._waiting_bytes -= len(oldest)
                self._dropped += oldest.count(b"\n")
            self._changed.notify()

    def collect_dropped(self) -> int:
        """Return how many lines were dropped since the last call; 0 while the buffer is still half full."""
        with self._changed:
            if 2 * self._waiting_bytes > self._capacity or not self._has_reader:
                return 0
            dropped, self._dropped = self._dropped, 0
            return dropped

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Wait until everything is written, or until nothing was for some time.

        This blocks the calling thread; call it where no event loop runs.

        Args:
            seconds: How long to wait without progress.

        Returns:
            Whether everything is written.
        """
        self._ending.set()
        left, still = self._unwritten(), 0.0
        while left[0] and still < seconds:
            time.sleep(_LOOK_SECONDS)
            now = self._unwritten()
            left, still = now, (still + _LOOK_SECONDS if now == left else 0.0)
        return not left[0]

    def close(self, seconds: float = DRAIN_SECONDS) -> str:
        """Write what waits and end the thread, unless the destination takes nothing for some time.

        This blocks the calling thread; call it where no event loop runs.

        Args:
            seconds: As for `drain`.

        Returns:
            What could not be written and why, for people; empty when everything was written or nobody reads.
        """
        drained = self.drain(seconds)
        with self._changed:
            self._closed = True
            self._changed.notify()
        if drained:
            self._thread.join(seconds)
        lines = self._unwritten()[0] + self._dropped
        if not lines or not self._has_reader:
            return ""
        return f"{lines} log lines could not be written: {self._trouble or 'the reader stands still'}"

    def _unwritten(self) -> tuple[int, int]:
        """Return the lines and bytes that are not written; those dropped are not among them."""
        with self._changed:
            lines = sum(each.count(b"\n") for each in (self._in_hand, *self._waiting))
            return lines, len(self._in_hand) + self._waiting_bytes

    def _run(self) -> None:
        while self._take_batch():
            while self._in_hand:
                self._write_some()

    def _take_batch(self) -> bool:
        """Wait for lines and take some in hand; returns False when there are none and never will be."""
        with self._changed:
            while not (self._waiting or self._closed):
                self._changed.wait()
            batch: list[bytes] = []
            size = 0
            while self._waiting and (size + len(self._waiting[0]) <= _BATCH_BYTES or not batch):
                batch.append(self._waiting.popleft())
                size += len(batch[-1])
            self._waiting_bytes -= size
            self._in_hand = b"".join(batch)
            return bool(batch)

    def _write_some(self) -> None:
        try:
            written = os.write(self._descriptor, self._in_hand)
        except BlockingIOError:
            self._wait_for_room()
        except BrokenPipeError:
            self._stop_writing()
        except OSError as error:
            self._trouble = error
            if self._ending.wait(_RETRY_SECONDS):
                time.sleep(_LOOK_SECONDS)  # `drain` decides when to give up
        else:
            self._trouble = None
            with self._changed:
                self._in_hand = self._in_hand[written:]

    def _wait_for_room(self) -> None:
        """Wait until a non-blocking destination takes something, or for a while."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll(1000 * _RETRY_SECONDS)

    def _stop_writing(self) -> None:
        with self._changed:
            self._has_reader = False
            self._in_hand = b""
            self._waiting.clear()
            self._waiting_bytes = 0
        self._on_no_reader()
