"""Addresses of buckets and objects; pure.

Two styles ("Virtual hosting of buckets", Amazon S3 User Guide): virtual-hosted, `https://BUCKET.s3.REGION.…/KEY`,
and path-style, `https://s3.REGION.…/BUCKET/KEY`, for custom endpoints and for bucket names that are not a DNS
label (a dot does not match the wildcard of the TLS certificate).

The encoded path is both signed and sent. It bypasses `httpx.URL`, which resolves dot segments (S3 would then
receive another path than the signed one) and takes 50 µs to parse a path; it is passed as httpx's documented
request extension ``target``.
"""

import re

import attrs
import httpx

from loadtest_trio.backends.s3.sigv4 import encode_path

_DNS_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@attrs.frozen
class BucketLocation:
    """The part of a bucket that a service works in.

    Attributes:
        bucket: Name of the bucket.
        region: AWS region; S3-compatible endpoints usually ignore it.
        endpoint_url: An S3-compatible endpoint; None for AWS.
        prefix: Keys outside this prefix are rejected.
    """

    bucket: str
    region: str
    endpoint_url: str | None = None
    prefix: str = ""


@attrs.frozen
class Address:
    """The network address of a bucket.

    Attributes:
        base: Scheme, host and port.
        host: The value of the ``Host`` header, with the port unless it is the scheme's default.
        root: The encoded path before the key: "" or ``/bucket``.
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
            ValueError: The key cannot be encoded as UTF-8.
        """
        return f"{self.root}/{encode_path(key)}"


def locate(bucket: str, region: str, endpoint_url: str | None = None) -> Address:
    """Return the address of a bucket.

    Args:
        bucket: Name of the bucket.
        region: The AWS region.
        endpoint_url: An S3-compatible endpoint, whose path is kept; None for AWS.

    Raises:
        ValueError: The endpoint is not an http or https URL of host, port and path only. The message does
            not quote it, because it may hold a password.
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
        # The message of httpx quotes a part of the URL, which may be a password.
        raise ValueError("the S3 endpoint is not a URL") from None
    if base.scheme not in ("http", "https") or not base.host:
        raise ValueError("the S3 endpoint must start with http:// or https:// and name a host")
    if base.userinfo or base.query or base.fragment:
        raise ValueError("the S3 endpoint must not hold a user, a query or a fragment")
    return base


def is_inside(key: str, prefix: str) -> bool:
    """Return whether a key lies under a prefix, even on servers that resolve ``..`` like a file system.

    Args:
        key: The decoded key.
        prefix: The prefix.
    """
    return bool(key) and key.startswith(prefix) and not (".." in key and ".." in key.split("/"))
