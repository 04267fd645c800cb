"""SeaweedFS as the S3 endpoint: a real S3 server that checks signatures, and then is the bottleneck.

It is the package's embedded server. It inherits the harness's core and is filled and read over HTTP.
"""
# mypy: disable-error-code="import-not-found,import-untyped,no-any-unimported"

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from benchmarks.process import Unavailable
from loadtest_trio.backends.embedded import EmbeddedUnavailableError, S3Server


class SeaweedS3:
    """A running SeaweedFS: a context manager with the interface of `endpoint.NginxS3`, HTTP only.

    Raises:
        Unavailable: There is no binary for this machine.
    """

    tls_url = ""
    ca_file: Path | None = None

    def __enter__(self) -> Self:
        """Start the server and wait until it answers."""
        try:
            self._server = S3Server.start()
        except EmbeddedUnavailableError as error:
            raise Unavailable(str(error)) from error
        self.url = self._server.endpoint_url
        self.credentials = (self._server.access_key, self._server.secret_key)
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.credentials[0],
            aws_secret_access_key=self.credentials[1],
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and delete its data."""
        self._server.close()

    def reset(self, bucket: str, objects: Iterable[tuple[str, bytes]]) -> None:
        """Make the bucket hold exactly these objects; create it if needed."""
        if bucket not in {each["Name"] for each in self._s3.list_buckets()["Buckets"]}:
            self._s3.create_bucket(Bucket=bucket)
        with ThreadPoolExecutor(4) as pool:
            calls = [
                pool.submit(self._s3.delete_object, Bucket=bucket, Key=key) for key in self._keys(bucket)
            ]
            wait(calls)
            calls = [
                pool.submit(self._s3.put_object, Bucket=bucket, Key=key, Body=body) for key, body in objects
            ]
            for call in calls:
                call.result()

    def contents(self, bucket: str) -> Iterator[tuple[str, bytes]]:
        """Yield every key of the bucket with its body."""
        for key in list(self._keys(bucket)):
            yield key, self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def _keys(self, bucket: str) -> Iterator[str]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", ()):
                yield entry["Key"]
