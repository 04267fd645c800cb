"""Addresses: the style of URL for each bucket and endpoint, and what counts as inside the prefix."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import botocore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.backends.s3.addressing import (
    BucketLocation,
    dns_suffix,
    follow_redirect,
    is_inside,
    locate,
)


@pytest.mark.parametrize(
    ("bucket", "region", "endpoint", "url", "host", "path"),
    [
        ("my-bucket", "eu-west-1", None, "https://my-bucket.s3.eu-west-1.amazonaws.com/", None, "/k"),
        ("my.bucket", "eu-west-1", None, "https://s3.eu-west-1.amazonaws.com/", None, "/my.bucket/k"),
        ("Old_Bucket", "us-east-1", None, "https://s3.us-east-1.amazonaws.com/", None, "/Old_Bucket/k"),
        ("b-1", "cn-north-1", None, "https://b-1.s3.cn-north-1.amazonaws.com.cn/", None, "/k"),
        ("b-1", "x", "http://127.0.0.1:8333", "http://127.0.0.1:8333", "127.0.0.1:8333", "/b-1/k"),
        ("b-1", "x", "http://h:80/", "http://h/", "h", "/b-1/k"),
        ("b-1", "x", "https://[::1]:9/sub/", "https://[::1]:9/sub/", "[::1]:9", "/sub/b-1/k"),
    ],
)
def test_address_style_follows_bucket_name_and_endpoint(
    bucket: str, region: str, endpoint: str | None, url: str, host: str | None, path: str
) -> None:
    """AWS gets virtual hosts where the name allows it; an endpoint, dots and odd names get paths."""
    address = locate(BucketLocation(bucket, region, endpoint))
    assert str(address.base) == url
    assert address.host == (host or address.base.host)
    assert address.path("k") == path
    assert address.path() == (path.removesuffix("/k") or "/")


@pytest.mark.parametrize(
    "endpoint",
    ["", "s3.example", "ftp://h", "http://", "http://u:hunter2@h", "http://h?a=hunter2", "http://h:hunter2/"],
)
def test_unusable_endpoint_is_rejected_without_its_password(endpoint: str) -> None:
    """An endpoint that is no plain http(s) address is refused, without repeating a password in it."""
    with pytest.raises(ValueError, match="endpoint") as caught:
        locate(BucketLocation("b-1", "us-east-1", endpoint))
    assert "hunter2" not in str(caught.value)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_object_paths_are_reversible_and_clean(key: str) -> None:
    """Any key can be read back from its path, which is plain ASCII and in S3's canonical form."""
    path = locate(BucketLocation("b-1", "us-east-1", "http://h")).path(key)
    assert unquote(path, errors="strict") == f"/b-1/{key}"
    assert re.fullmatch(r"(?:[A-Za-z0-9/._~-]|%[0-9A-F]{2})*", path)


PARTITIONS = json.loads(
    (Path(botocore.__file__).parent / "data" / "partitions.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("partition", PARTITIONS["partitions"], ids=lambda partition: str(partition["id"]))
@given(st.data())
def test_endpoint_of_every_partition_is_botocores(partition: dict[str, Any], data: st.DataObject) -> None:
    """The DNS suffix of each region, known or of a name like the known ones, is that of botocore's data."""
    suffix = partition["outputs"]["dnsSuffix"]
    known = [name for name in partition["regions"] if not name.endswith("-global")]
    alike = st.from_regex(re.compile(partition["regionRegex"], re.ASCII), fullmatch=True)
    region = data.draw(st.sampled_from(known) | alike)
    assert dns_suffix(region) == suffix
    assert locate(BucketLocation("b-1", region)).host == f"b-1.s3.{region}.{suffix}"


@pytest.mark.parametrize(
    ("bucket", "endpoint", "location", "followed"),
    [
        ("bkt", None, "https://bkt.s3-us-west-2.amazonaws.com/k?x", ("bkt.s3-us-west-2.amazonaws.com", "/k")),
        ("bkt", None, "https://s3-us-west-2.amazonaws.com/bkt/k", ("s3-us-west-2.amazonaws.com", "/bkt/k")),
        ("bkt", "http://h:1/sub", "http://h:2/x", ("h:2", "/sub/bkt/k")),
        ("bkt", "http://h:1", "https://h/x", ("h", "/bkt/k")),
        ("bkt", None, "http://bkt.s3-us-west-2.amazonaws.com/k", None),
        ("bkt", None, "https://bkt.s3.example.com/k", None),
        ("bkt", None, "https://amazonaws.com.evil.example/k", None),
        ("bkt", None, "https://evilamazonaws.com/k", None),
        ("bkt", None, "https://user:password@bkt.s3-us-west-2.amazonaws.com/k", None),
        ("bkt", None, "https://bkt.s3.cn-north-1.amazonaws.com.cn/k", None),
        ("bkt", "https://h:1", "http://h:1/x", None),
        ("bkt", "http://h:1", "http://elsewhere:1/x", None),
        ("bkt", "http://h:1", "/relative", None),
        ("bkt", "http://h:1", "", None),
        ("bkt", "http://h:1", "http://[", None),
        ("bkt", "http://h:1", "http://xn--zz/", None),
    ],
)
def test_redirects_stay_with_whom_we_trust(
    bucket: str, endpoint: str | None, location: str, followed: tuple[str, str] | None
) -> None:
    """Only the same host or the same AWS partition is followed, and never from HTTPS to HTTP."""
    address = follow_redirect(locate(BucketLocation(bucket, "us-east-1", endpoint)), bucket, location)
    assert (address and (address.host, address.path("k"))) == followed


@pytest.mark.parametrize("key", ["p/a", "p/.hidden", "p/...", "p/a..b", "p//x", "p/", "p/./x"])
def test_keys_under_the_prefix_are_inside(key: str) -> None:
    """What starts with the prefix is inside, dots in names included."""
    assert is_inside(key, "p/")


@pytest.mark.parametrize("key", ["", "p", "q/a", "P/a", "/p/a", "p/../q/a", "p/..", "p/a/../../q"])
def test_other_keys_are_outside(key: str) -> None:
    """Other keys are outside, and so are those that a server which resolves dots would lead outside."""
    assert not is_inside(key, "p/")


def test_without_a_prefix_only_the_empty_key_is_outside() -> None:
    """The empty prefix holds every key that names an object."""
    assert is_inside("anything", "")
    assert not is_inside("", "")
