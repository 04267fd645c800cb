"""S3, one of the two outside worlds: signed requests over a swappable httpx transport.

`service.py` is the way in: it builds calls, which `client.py` signs, sends and judges; `sigv4.py`,
`addressing.py`, `listing.py`, `faults.py` and `safe_xml.py` are pure. `chain.py` finds the credentials,
`container.py` fetches them and `credentials.py` renews them. `transport.py` moves the bytes.
"""

from loadtest_trio.backends.s3.chain import find_credentials
from loadtest_trio.backends.s3.credentials import (
    Credentials,
    CredentialsSource,
    RenewingCredentials,
    StaticCredentials,
)
from loadtest_trio.backends.s3.listing import ListedObject
from loadtest_trio.backends.s3.service import S3Service

__all__ = [
    "Credentials",
    "CredentialsSource",
    "ListedObject",
    "RenewingCredentials",
    "S3Service",
    "StaticCredentials",
    "find_credentials",
]
