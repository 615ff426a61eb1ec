"""An S3 store (moto) and web servers on the loopback, in other processes.

`make test-io` makes an environment with tensorflow-io where all of these run;
most need the extras `url` and `io-test` alone.
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

from tests.training.conftest import (
    small_evaluation,  # noqa: F401
    tiny,  # noqa: F401
)
from training.io import tensorflow_plugins
from training.io.user_error import UserError

ROOT = pathlib.Path(__file__).parent.parent.parent
SECONDS_TO_START = 30


@pytest.fixture(scope="session")
def tensorflow_io():
    """Skip where tensorflow-io does not load, which `make test-io` checks."""
    try:
        tensorflow_plugins.require("s3://bucket/shard")
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory):
    """The URL of an S3 store; configures this process to use it."""
    pytest.importorskip("moto", reason="needs the extra io-test")
    pytest.importorskip("s3fs", reason="needs the extra url")
    log = tmp_path_factory.mktemp("moto") / "log"
    command = ["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    patch = pytest.MonkeyPatch()
    with _running(command, log, r"Running on (http://\S+)") as endpoint:
        for name, value in environment(endpoint).items():
            patch.setenv(name, value)
        yield endpoint
    patch.undo()


@pytest.fixture(scope="session")
def s3(s3_endpoint):
    """A client of the store, other than that of the commands."""
    import boto3

    return boto3.client("s3", endpoint_url=s3_endpoint)


@pytest.fixture
def bucket(s3, request):
    """The name of an empty bucket of the test's own."""
    return make_bucket(s3, request.node.name)


@pytest.fixture
def served(tmp_path):
    """A folder and the URL at which a web server serves it."""
    pytest.importorskip("aiohttp", reason="needs the extra url")
    folder = tmp_path / "web"
    folder.mkdir()
    with web_server(folder, tmp_path / "log") as address:
        yield folder, address


def environment(endpoint):
    """Return the variables with which a process uses a store."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "S3_ENDPOINT": endpoint,  # of tensorflow-io
        "S3_USE_HTTPS": "0",
        "S3_VERIFY_SSL": "0",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "of-a-test",
        "AWS_SECRET_ACCESS_KEY": "of-a-test",
    }


def make_bucket(s3, name):
    name = re.sub(r"[^a-z0-9]+", "-", name.lower())[:63].strip("-")
    s3.create_bucket(Bucket=name)
    return name


def keys(s3, bucket, prefix=""):
    """List the keys of a bucket with the store's own client."""
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix
    )
    return [o["Key"] for page in pages for o in page.get("Contents", [])]


def web_server(what, log):
    """Context of a web server's address; see web_server.py for `what`."""
    command = ["-m", "tests.io.web_server", str(what)]
    return _running(command, log, r"^(\d+)$", "http://127.0.0.1:{}")


def command(module, *arguments, **variables):
    """Run a training command in a process of its own."""
    quick = {"train": "tests.training.quick_train"}
    name = quick.get(module, f"training.{module}")
    return subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


@contextlib.contextmanager
def _running(arguments, log, pattern, form="{}"):
    """Run a Python server process; yield the address that it prints."""
    with open(log, "w") as out:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not (match := re.search(pattern, log.read_text(), re.MULTILINE)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"No server: {log.read_text()}")
            time.sleep(0.05)
        yield form.format(match[1])
    finally:
        process.terminate()
        process.wait()
