"""S3: signed requests to one bucket over any httpx transport.

`service.py` is the entry point: it builds calls, which `client.py` signs, sends and checks. `sigv4.py`,
`addressing.py`, `answers.py`, `errors.py`, `listing.py`, `outage_detector.py` and `safe_xml.py` are pure.
`credentials/` finds and renews the keys. The bytes are moved by `loadtest_trio.http.client`.
"""

from loadtest_trio.backends.s3.addressing import BucketLocation
from loadtest_trio.backends.s3.client import Signing
from loadtest_trio.backends.s3.credentials import (
    Credentials,
    CredentialsSource,
    RenewingCredentials,
    StaticCredentials,
    find_credentials,
)
from loadtest_trio.backends.s3.listing import ListedObject
from loadtest_trio.backends.s3.service import Page, S3Service

__all__ = [
    "BucketLocation",
    "Credentials",
    "CredentialsSource",
    "ListedObject",
    "Page",
    "RenewingCredentials",
    "S3Service",
    "Signing",
    "StaticCredentials",
    "find_credentials",
]
