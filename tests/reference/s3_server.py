"""A real S3 server (moto's) on this machine, for the slow tests of the remote store; a test is skipped where it is not installed."""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from reference.servers import free_port, served

BUCKET = "igsm-bucket"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "notasecret", "AWS_REGION": "us-east-1"}


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Start a server with an empty bucket; yields the environment that a user sets for it."""
    program = shutil.which("moto_server")
    if program is None:
        pytest.skip("there is no S3 server: pip install 'moto[server]'")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    make_bucket = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
    with TemporaryDirectory() as folder, served([program, "-H", "127.0.0.1", "-p", str(port)], make_bucket, Path(folder) / "log"):
        yield {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint, "IGSM_REMOTE": f"s3://{BUCKET}/shared/igsm"}
