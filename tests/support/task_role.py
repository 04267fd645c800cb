"""The task role's policy in an AWS that checks permissions, and what the service asked for with it."""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUCKET = "loadtest-trio-123456789012-us-east-1"

# "Actions, resources, and condition keys for Amazon S3", Service Authorization Reference.
_ACTIONS = {
    ("GET", "object"): "s3:GetObject",
    ("PUT", "object"): "s3:PutObject",
    ("DELETE", "object"): "s3:DeleteObject",
    ("GET", "bucket"): "s3:ListBucket",
}


def _render(document: dict[str, Any]) -> str:
    """Return a policy document that Terraform applied against mocks as IAM takes it."""
    rows = [
        {
            "Sid": row["sid"],
            "Effect": "Allow",
            "Action": row["actions"],
            "Resource": row["resources"],
            "Condition": {c["test"]: {c["variable"]: c["values"]} for c in row["condition"]},
        }
        for row in document["statement"]
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": rows})


def _set_authentication(endpoint: str, *, on: bool) -> None:
    """Switch moto's checks of keys, signatures and permissions."""
    count = b"0" if on else b"1e9"  # so many requests are let through unchecked
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", count, headers, method="POST")
    urllib.request.urlopen(request, timeout=10).close()


@contextmanager
def assumed_role(
    name: str, document: dict[str, Any], endpoint: str, make_client: Callable[..., Any]
) -> Iterator[dict[str, str]]:
    """Create the role in an AWS with a bucket and check permissions while the block runs.

    Args:
        name: The role's name.
        document: The policy document that Terraform applied against mocks.
        endpoint: The AWS.
        make_client: Makes its clients.

    Yields:
        The keys of the assumed role, as botocore's clients take them.
    """
    iam = make_client("iam")
    make_client("s3").create_bucket(Bucket=BUCKET)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=_render(document))
    keys = make_client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    _set_authentication(endpoint, on=True)
    try:
        yield {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        }
    finally:
        _set_authentication(endpoint, on=False)


def actions_made(log: Path, begin: int) -> set[tuple[str, str]]:
    """Return (action, ARN) of every request for the bucket in the server's log after a position."""
    text = log.read_bytes()[begin:].decode()
    colours = r"(?:\x1b\[\d+m)*"  # of every status but 200
    requests = re.findall(rf'"{colours}([A-Z]+) /{BUCKET}(/[^ ?]+)?(?:\?\S*)? HTTP', text)
    return {
        (_ACTIONS[verb, "object" if key else "bucket"], f"arn:aws:s3:::{BUCKET}{key}")
        for verb, key in requests
    }
