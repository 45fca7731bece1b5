# SPDX-License-Identifier: Apache-2.0
"""The scripts as they are installed, without the sources around them."""
import os
import subprocess

import pytest

import harness
import payloads
from conftest import ROOT

RELEASE = os.path.join(ROOT, "build", "release")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """PREFIX/share/vpcflowd, where nothing may be written."""
    prefix = tmp_path_factory.mktemp("installed") / "prefix"
    subprocess.run(["cmake", "--install", RELEASE, "--prefix", prefix], check=True, capture_output=True)
    before = sorted(prefix.rglob("*"))
    yield prefix / "share" / "vpcflowd"
    assert sorted(prefix.rglob("*")) == before


def test_deploy_and_subscribe(script, cloud, root):
    """The function has the same octets as from the sources."""
    options = "--host", "flows.example.net"
    script("deploy", *options, root=root)
    script("subscribe", "/vpc/a", "--create-flow-log", "vpc-1", root=root)
    assert script("deploy", *options).last.startswith("==> nothing to change")
    assert "/vpc/a" in cloud.groups
    assert "would change" in script("unsubscribe", "/vpc/a", "--dry-run", root=root).last


def test_formats_asks_the_program_that_is_installed_with_it(script, cloud, root):
    cloud.add_flow_log("vpc-1", "/vpc/a", "${version} ${srcaddr}")
    result = script("formats", root=root, env={"VPCFLOWD": None})
    assert "not checked" not in result.err and "/vpc/a" in result.out
    cloud.add_flow_log("vpc-2", "/vpc/bad", "no fields at all $")
    assert "does not accept" in script("formats", root=root, env={"VPCFLOWD": None}, status=1).last


def test_push_and_redrive_have_the_forwarders_code(script, deployed, root, start, tmp_path):
    with start() as daemon:
        (tmp_path / "flows.gz").write_bytes(payloads.zipped(payloads.decoded(payloads.records(3))))
        to = "%s:%d" % daemon.address
        done = subprocess.run([root / "scripts" / "push", "-t", to, "flows.gz"], capture_output=True, text=True,
                              check=False, cwd=tmp_path, timeout=harness.WAIT)
        assert (done.returncode, done.stdout) == (0, "flows.gz ACK 3\n"), done.stderr
        assert "about 0 events" in script("redrive", "--to", to, root=root).err
