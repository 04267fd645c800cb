"""Stand-ins for what ECS offers a container: the credential endpoint and the task metadata endpoint v4.

Sources: "IAM roles for tasks" and "Amazon ECS task metadata endpoint version 4 for tasks on Fargate" in
the Amazon ECS Developer Guide; the shapes are those of their examples, cut to what a reader could need.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Keys = dict[str, str]


class EcsEndpoints:
    """Both endpoints on one loopback port; a context manager.

    Args:
        make_keys: Returns a set of keys, ``AccessKeyId`` and so on; asked at every fetch, as AWS would.
        lifetime: Seconds for which a set is said to be valid.
        memory_mib: The task's memory limit that the metadata tells.

    Attributes:
        fetches: When credentials were handed out, in Unix seconds.
        refusals: How often somebody came without the authorization token.
    """

    def __init__(self, make_keys: Callable[[], Keys], *, lifetime: float, memory_mib: int = 2048) -> None:
        self.fetches: list[float] = []
        self.refusals = 0
        self._token = secrets.token_hex(16)
        self._make_keys = make_keys
        self._lifetime = lifetime
        self._memory = memory_mib
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that ECS would set (the full URI, since 169.254.170.2 is not here)."""
        address = f"http://127.0.0.1:{self._server.server_port}"
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{address}/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self._token,
            "ECS_CONTAINER_METADATA_URI_V4": f"{address}/v4/loadtest",
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str, authorization: str | None) -> tuple[int, Any]:
        if path == "/credentials":
            return self._credentials(authorization)
        limits = {"CPU": 1, "Memory": self._memory}
        if path == "/v4/loadtest/task":
            return 200, {"Cluster": "loadtest-trio", "LaunchType": "FARGATE", "Limits": limits}
        if path == "/v4/loadtest":
            return 200, {"Name": "loadtest", "Limits": {"CPU": 1024, "Memory": self._memory}}
        return 404, {}

    def _credentials(self, authorization: str | None) -> tuple[int, Any]:
        if authorization != self._token:
            self.refusals += 1
            return 401, {"message": "no or wrong authorization token"}
        self.fetches.append(time.time())
        expires = datetime.fromtimestamp(time.time() + self._lifetime, UTC)
        return 200, self._make_keys() | {"Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoints = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, answer = endpoints._answer(self.path, self.headers.get("Authorization"))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as inherited
                """Say nothing."""

        return Handler
