"""AWS credentials: the standard provider chain, and sources that renew temporary keys.

`provider_chain.py` picks the source: the environment, the profile files (`profile_files.py`) or the ECS / EKS
container endpoint (`container_endpoint.py`). `keys.py` defines a set of keys and the interface of a source;
`renewing.py` is the source that fetches new keys before the old ones expire.
"""

from loadtest_trio.backends.s3.credentials.keys import Credentials, CredentialsSource, StaticCredentials
from loadtest_trio.backends.s3.credentials.provider_chain import find_credentials
from loadtest_trio.backends.s3.credentials.renewing import RenewingCredentials

__all__ = [
    "Credentials",
    "CredentialsSource",
    "RenewingCredentials",
    "StaticCredentials",
    "find_credentials",
]
