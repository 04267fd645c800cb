"""Where a bucket is and how its URLs look; pure.

Two styles ("Virtual hosting of buckets", Amazon S3 User Guide): `https://BUCKET.s3.REGION.…/KEY`, and
`https://s3.REGION.…/BUCKET/KEY` where the bucket's name cannot be a DNS label (dots break the TLS
wildcard) or the endpoint is somebody else's.

What is encoded here is both signed and sent. It does not pass through `httpx.URL`, which resolves dot
segments, so that S3 would see another path than the signed one, and takes 50 µs to parse a path; it
travels as httpx's documented request extension ``target``.
"""

import re

import attrs
import httpx

from loadtest_trio.backends.s3.sigv4 import encode_path

_DNS_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@attrs.frozen
class Address:
    """A bucket's place.

    Attributes:
        base: Scheme, host and port.
        host: The value of the ``Host`` header, with the port unless it is the scheme's own.
        root: The encoded path that object paths start with: "" or ``/bucket``.
    """

    base: httpx.URL
    host: str
    root: str

    @property
    def bucket_path(self) -> str:
        """The encoded path of bucket operations."""
        return self.root or "/"

    def object_path(self, key: str) -> str:
        """Return the encoded path of an object.

        Args:
            key: The decoded key.

        Raises:
            ValueError: The key cannot be written in UTF-8.
        """
        return f"{self.root}/{encode_path(key)}"


def locate(bucket: str, region: str, endpoint_url: str | None = None) -> Address:
    """Find a bucket's address.

    Args:
        bucket: Its name.
        region: The AWS region.
        endpoint_url: The S3 endpoint to use instead of AWS's own; its path, if any, is kept.

    Raises:
        ValueError: The endpoint is not an http or https URL of only host, port and path; its text is
            not repeated, for it may hold a password.
    """
    if endpoint_url is not None:
        base = _endpoint(endpoint_url)
        root = f"{base.raw_path.decode('ascii').rstrip('/')}/{encode_path(bucket)}"
        return Address(base, base.netloc.decode("ascii"), root)
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    virtual = _DNS_LABEL.fullmatch(bucket) is not None
    host = f"{bucket}.s3.{region}.{suffix}" if virtual else f"s3.{region}.{suffix}"
    return Address(httpx.URL(f"https://{host}/"), host, "" if virtual else f"/{encode_path(bucket)}")


def _endpoint(url: str) -> httpx.URL:
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL:
        # Its message quotes the part it stumbled over, which may be a password.
        raise ValueError("the S3 endpoint is not a URL") from None
    if base.scheme not in ("http", "https") or not base.host:
        raise ValueError("the S3 endpoint must start with http:// or https:// and name a host")
    if base.userinfo or base.query or base.fragment:
        raise ValueError("the S3 endpoint must not hold a user, a query or a fragment")
    return base


def is_inside(key: str, prefix: str) -> bool:
    """Tell whether a key lies under a prefix, also for servers that resolve ``..`` as a file system does.

    Args:
        key: The decoded key.
        prefix: What it has to start with.
    """
    return bool(key) and key.startswith(prefix) and not (".." in key and ".." in key.split("/"))
