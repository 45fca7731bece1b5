# SPDX-License-Identifier: Apache-2.0
"""Fixtures. What they hand out is in standins.py; the daemon is that of the integration tests."""
import os
import shlex
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

import harness  # noqa: E402  (it is in the folder above)
import standins  # noqa: E402


def pytest_configure(config):
    if not os.access(harness.BINARY, os.X_OK):
        raise pytest.UsageError("set VPCFLOWD to the path of the vpcflowd binary to test")
    if not os.path.isdir(os.path.join(HERE, "node_modules", "s3rver")):
        raise pytest.UsageError("run npm ci in tests/backfill")


@pytest.fixture(scope="session", autouse=True)
def quick_version(tmp_path_factory):
    """Every run asks aws for its version, which takes it as long as a call: it is asked once."""
    aws, folder = shutil.which("aws"), tmp_path_factory.mktemp("bin")
    version = subprocess.run([aws, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    (folder / "aws").write_text(f"#!/bin/sh\n[ \"$*\" != --version ] || exec echo {shlex.quote(version)}\n"
                                f"exec {shlex.quote(aws)} \"$@\"\n")
    (folder / "aws").chmod(0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


@pytest.fixture
def start(tmp_path):
    """start(option...): a listening Daemon, to be used with `with`."""

    def make(*options, **how):
        return harness.Daemon(tmp_path, *options, **how)

    return make


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """One S3 for all tests; each has a folder of its own in the bucket."""
    with standins.S3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def folder(request, s3):
    return s3.folder(request.node.name.replace("test_", "", 1))


@pytest.fixture
def logs():
    with standins.Logs() as server:
        yield server


@pytest.fixture
def backfill(tmp_path):
    """backfill(source, option..., status=0, to=address, state="state"): a finished run."""

    def run(source, *options, status=0, **how):
        with standins.Backfill(tmp_path, source, *options, **how) as process:
            return process.wait(status)

    return run


@pytest.fixture
def begin(tmp_path):
    """The same, but as a running process, to be used with `with`."""

    def make(source, *options, **how):
        return standins.Backfill(tmp_path, source, *options, **how)

    return make
