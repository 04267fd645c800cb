"""What /health says, all the time."""

import json
import threading
import time
import urllib.error
import urllib.request


class HealthWatch:
    """Asks /health four times a second, in a thread, and remembers what it said."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.answers: list[tuple[float, int, frozenset[str]]] = []

    def since(self, start: float) -> list[tuple[float, int, frozenset[str]]]:
        """Return time, status and degraded backends of each answer after a time (monotonic)."""
        return [answer for answer in self.answers if answer[0] >= start]

    def __enter__(self) -> "HealthWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            self.answers.append((time.monotonic(), *self._ask()))

    def _ask(self) -> tuple[int, frozenset[str]]:
        try:
            with urllib.request.urlopen(self._url, timeout=10) as answer:
                return answer.status, frozenset(json.load(answer).get("degraded", ()))
        except urllib.error.HTTPError as error:
            return error.code, frozenset()
        except OSError:
            return 0, frozenset()
