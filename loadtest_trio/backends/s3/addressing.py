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

# Start of a region's name -> DNS suffix of its AWS partition; a test compares them with botocore's data.
_SUFFIX = "amazonaws.com"
_OTHER_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}


@attrs.frozen
class BucketLocation:
    """The part of a bucket that a service works in.

    Attributes:
        bucket: Name of the bucket.
        region: AWS region; S3-compatible endpoints usually ignore it.
        endpoint_url: An S3-compatible endpoint; None for AWS.
        prefix: Keys outside this prefix are rejected.
        max_object_bytes: Larger objects are not downloaded.
    """

    bucket: str
    region: str
    endpoint_url: str | None = None
    prefix: str = ""
    max_object_bytes: int = 2**63


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

    def path(self, key: str = "") -> str:
        """Return the encoded path of an object, or of the bucket.

        Args:
            key: The decoded key; "" for the bucket.

        Raises:
            ValueError: The key cannot be encoded as UTF-8.
        """
        return f"{self.root}/{encode_path(key)}" if key else self.root or "/"


def locate(location: BucketLocation) -> Address:
    """Return the address of a bucket; the path of its endpoint, if any, is kept.

    Raises:
        ValueError: The endpoint is not an http or https URL of host, port and path only. The message does
            not quote it, because it may hold a password.
    """
    bucket, region = location.bucket, location.region
    if location.endpoint_url is not None:
        base = _endpoint(location.endpoint_url)
        root = f"{base.raw_path.decode('ascii').rstrip('/')}/{encode_path(bucket)}"
        return Address(base, base.netloc.decode("ascii"), root)
    suffix = dns_suffix(region)
    virtual = _DNS_LABEL.fullmatch(bucket) is not None
    host = f"{bucket}.s3.{region}.{suffix}" if virtual else f"s3.{region}.{suffix}"
    return Address(httpx.URL(f"https://{host}/"), host, "" if virtual else f"/{encode_path(bucket)}")


def dns_suffix(region: str) -> str:
    """Return the DNS suffix of a region's partition, such as ``amazonaws.com``."""
    return next((suffix for start, suffix in _OTHER_SUFFIXES.items() if region.startswith(start)), _SUFFIX)


def _partition(host: str) -> str | None:
    suffixes = (_SUFFIX, *_OTHER_SUFFIXES.values())
    return next((suffix for suffix in suffixes if host.endswith(f".{suffix}")), None)


def follow_redirect(address: Address, bucket: str, location: str) -> Address | None:
    """Return the address that a redirect of S3 names, such as a regional endpoint; None: do not follow it.

    A request to it is signed anew, so only an address of the same host or of the same AWS partition is
    trusted, and never one without TLS in the place of one with it.

    Args:
        address: The address that redirected.
        bucket: Name of the bucket.
        location: The header ``Location``.
    """
    try:
        target = httpx.URL(location)
        theirs = target.host  # decodes it
    except (httpx.InvalidURL, UnicodeError):
        return None
    ours = address.base.host
    aws = _partition(ours)
    trusted = theirs == ours or (aws is not None and aws == _partition(theirs))
    if not trusted or target.userinfo or target.scheme not in ("https", address.base.scheme):
        return None
    base = httpx.URL(f"{target.scheme}://{target.netloc.decode('ascii')}/")
    virtual = theirs.startswith(f"{bucket}.")
    root = "" if virtual else (address.root or f"/{encode_path(bucket)}")
    return Address(base, base.netloc.decode("ascii"), root)


def _endpoint(url: str) -> httpx.URL:
    try:
        base = httpx.URL(url)
        _ = base.host  # decodes it
    except (httpx.InvalidURL, UnicodeError):
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
