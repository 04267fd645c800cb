"""The fast S3 endpoint of the benchmarks: nginx with DAV on tmpfs, so that the client is the bottleneck.

It supports GET, PUT, HEAD and DELETE of objects (path style), HEAD of a bucket and ListObjectsV2, over HTTP
and HTTPS (TLS 1.3, with a certificate made for the run). It does **not** check signatures, has no multipart
uploads and no versions, and refuses aws-chunked bodies. See nginx.conf and bucket.lua.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Self

from benchmarks.process import SERVER_CORE, Child, Unavailable, free_ports, wait_for_port

HERE = Path(__file__).parent
INSTALL = "apt-get install nginx-light libnginx-mod-http-lua (or nginx with its DAV and Lua modules)"
LUA_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")


class NginxS3:
    """A running endpoint: a context manager around one pinned nginx process.

    Args:
        core: The core that it is pinned to.
        delay: Seconds that every request for an object waits, to simulate a distant server.

    Attributes:
        url: The endpoint over HTTP.
        tls_url: The endpoint over HTTPS.
        ca_file: The certificate authority to trust for `tls_url`.

    Raises:
        Unavailable: nginx or its Lua module is not installed.
    """

    ca_file: Path | None
    credentials = ("AKIDBENCH", "unchecked-by-this-endpoint")

    def __init__(self, core: int = SERVER_CORE, delay: float = 0.0) -> None:
        self._core = core
        self._wait = f"access_by_lua_block {{ ngx.sleep({delay}) }}" if delay else ""
        self._binary, self._modules = find_nginx()

    def __enter__(self) -> Self:
        """Start nginx in a private folder and wait until it listens."""
        self._dir = Path(tempfile.mkdtemp(prefix="bench-s3-", dir=_tmpfs()))
        for folder in ("data", "temp"):
            (self._dir / folder).mkdir()
        self.ca_file = make_certificate(self._dir)
        port, tls_port = free_ports(2)
        self.url, self.tls_url = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
        config = self._dir / "nginx.conf"
        template = Template((HERE / "nginx.conf").read_text())
        loads = "\n".join(f"load_module {path};" for path in self._modules)
        config.write_text(
            template.substitute(
                dir=self._dir, here=HERE, port=port, tls_port=tls_port, load_modules=loads, wait=self._wait
            )
        )
        command = [self._binary, "-p", f"{self._dir}/", "-e", f"{self._dir}/error.log", "-c", str(config)]
        self.child = Child(command, core=self._core, log=self._dir / "stderr.log")
        wait_for_port(port, self.child)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop nginx and remove its folder."""
        self.child.stop()
        shutil.rmtree(self._dir, ignore_errors=True)

    def reset(self, bucket: str, objects: Iterable[tuple[str, bytes]]) -> None:
        """Make the bucket hold exactly these objects, without going through HTTP; create it if needed.

        Equal bodies share one file through hard links: a PUT replaces the file of one name only.
        """
        folder = self._dir / "data" / bucket
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        written: dict[bytes, Path] = {}
        for key, body in objects:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            if body in written:
                path.hardlink_to(written[body])
            else:
                path.write_bytes(body)
                written[body] = path

    def contents(self, bucket: str) -> Iterator[tuple[str, bytes]]:
        """Yield every key of the bucket with its body."""
        folder = self._dir / "data" / bucket
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(folder)), path.read_bytes()


def find_nginx() -> tuple[str, list[Path]]:
    """Return nginx and the dynamic modules it needs for Lua.

    Raises:
        Unavailable: One of them is missing; the message says how to install it.
    """
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if not binary:
        raise Unavailable(f"nginx is not installed: {INSTALL}")
    built = subprocess.run([binary, "-V"], capture_output=True, text=True, check=True).stderr
    if "lua-nginx-module" in built or "ngx_lua" in built:  # compiled in, as in OpenResty
        return binary, []
    folder = re.search(r"--modules-path=(\S+)", built)
    modules = [Path(folder[1]) / name for name in LUA_MODULES] if folder else []
    if not modules or not all(path.exists() for path in modules):
        raise Unavailable(f"nginx has no Lua module: {INSTALL}")
    return binary, modules


def make_certificate(folder: Path) -> Path:
    """Write server.pem and server.key for 127.0.0.1 into `folder`; return the authority's certificate."""
    import trustme  # only HTTPS needs it, and its import is slow

    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    server.private_key_pem.write_to_path(folder / "server.key")
    for index, blob in enumerate(server.cert_chain_pems):
        blob.write_to_path(folder / "server.pem", append=index > 0)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "ca.pem"


def _tmpfs() -> Path | None:
    """Return a folder in memory if there is one, else None for the system's temporary folder."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() else None
