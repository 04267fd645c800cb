"""Signatures: AWS's published examples, and botocore's own signer over generated requests."""

import datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.utils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.backends.s3.addressing import BucketLocation, locate
from loadtest_trio.backends.s3.credentials import Credentials
from loadtest_trio.backends.s3.sigv4 import (
    UNSIGNED_PAYLOAD,
    Signer,
    canonical_headers,
    encode_path,
    encode_query,
    payload_hash,
    signing_key,
)

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EXAMPLE_TIME = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC).timestamp()
EXAMPLE_HOST = ("host", "examplebucket.s3.amazonaws.com")
EXAMPLES = {
    "GET object": (
        ("GET", "/test.txt", [], [("range", "bytes=0-9")], b""),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "PUT object": (
        (
            "PUT",
            "/test$file.text",
            [],
            [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            b"Welcome to Amazon S3.",
        ),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "GET bucket lifecycle": (
        ("GET", "/", [("lifecycle", "")], [], b""),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "GET bucket list": (
        ("GET", "/", [("prefix", "J"), ("max-keys", "2")], [], b""),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.mark.parametrize(("request_parts", "signature"), EXAMPLES.values(), ids=EXAMPLES)
def test_published_examples(request_parts: Any, signature: str) -> None:
    """The examples of "Transferring Payload in a Single Chunk" come out as AWS printed them."""
    method, path, query, headers, body = request_parts
    signed = Signer("us-east-1").sign(
        method,
        encode_path(path),
        encode_query(query),
        [EXAMPLE_HOST, *headers],
        payload_hash(body),
        EXAMPLE,
        EXAMPLE_TIME,
    )
    assert dict(signed)["authorization"].endswith(f"Signature={signature}")


def test_published_signing_key() -> None:
    """The key derivation gives the key that the AWS General Reference prints."""
    key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
header_names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,15}", fullmatch=True).filter(
    lambda name: (
        name.lower() not in {"host", "date", "expect", "user-agent", "transfer-encoding", "authorization"}
        and not name.lower().startswith("x-amz")
    )
)
credentials = st.builds(Credentials, printable, printable, st.none() | printable)
moments = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2099, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=datetime.UTC)
)
endpoints = st.sampled_from(
    [
        None,
        "http://127.0.0.1:8333",
        "http://s3.example:80",
        "https://s3.example:443",
        "https://s3.example:9443",
    ]
)


@given(
    method=st.sampled_from(["GET", "PUT", "DELETE", "HEAD"]),
    key=keys,
    query=st.lists(st.tuples(keys, keys), max_size=4),
    headers=st.dictionaries(header_names, header_values, max_size=3),
    body=st.binary(max_size=100),
    sign_payload=st.booleans(),
    keys_to_sign_with=credentials,
    moment=moments,
    region=st.sampled_from(["us-east-1", "eu-west-1"]),
    endpoint=endpoints,
)
def test_same_as_botocore(
    method: str,
    key: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    sign_payload: bool,
    keys_to_sign_with: Credentials,
    moment: datetime.datetime,
    region: str,
    endpoint: str | None,
) -> None:
    """Whatever the request, every header we add is the one that botocore's signer adds."""
    headers = {name.lower(): value for name, value in headers.items()}
    address = locate(BucketLocation("bucket", region, endpoint))
    ours = dict(
        Signer(region).sign(
            method,
            address.path(key),
            encode_query(query),
            [("host", address.host), *headers.items()],
            payload_hash(body) if sign_payload else UNSIGNED_PAYLOAD,
            keys_to_sign_with,
            moment.timestamp(),
        )
    )
    base = endpoint or f"https://bucket.s3.{region}.amazonaws.com"
    path = ("/bucket/" if endpoint else "/") + key
    theirs = botocore.awsrequest.AWSRequest(
        method, base + botocore.utils.percent_encode(path, safe="/~"), dict(headers), body, query
    )
    theirs.context["client_config"] = SimpleNamespace(s3={"payload_signing_enabled": sign_payload})
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment):
        botocore.auth.S3SigV4Auth(
            botocore.credentials.Credentials(
                keys_to_sign_with.access_key, keys_to_sign_with.secret_key, keys_to_sign_with.session_token
            ),
            "s3",
            region,
        ).add_auth(theirs)
    added = {name.lower(): value for name, value in theirs.headers.items() if name not in headers}
    assert {name: ours[name] for name in added} == added
    assert ours.keys() - added.keys() == {"host", *headers}


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 3 * 86_400)), max_size=20))
def test_cached_signing_key_is_never_the_wrong_one(steps: list[tuple[int, float]]) -> None:
    """A signer that has signed for other keys, seconds and days signs like a new one."""
    pool = [Credentials("A", "one"), Credentials("A", "two"), Credentials("A", "one", "token")]
    used = Signer("us-east-1")
    for index, now in steps:
        arguments = ("GET", "/k", "", [EXAMPLE_HOST], UNSIGNED_PAYLOAD, pool[index], now)
        assert used.sign(*arguments) == Signer("us-east-1").sign(*arguments)


def test_repeated_headers_are_joined() -> None:
    """A header that occurs twice is signed once, with both values in their order."""
    assert canonical_headers([("X-B", "2"), ("x-a", " 1  1 "), ("x-b", "1")]) == (
        "x-a:1 1\nx-b:2,1\n",
        "x-a;x-b",
    )


def test_unencodable_key_is_a_value_error() -> None:
    """A lone surrogate has no UTF-8 form and is refused as a bad value."""
    with pytest.raises(ValueError):
        encode_path("/\ud800")
