# SPDX-License-Identifier: Apache-2.0
"""Options and fixtures. What they hand out is in harness.py."""
import os
import resource

import pytest

import harness
import secure


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests that take long, too")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes long; only with --long")
    binary = os.environ.get("VPCFLOWD", "")
    if not os.access(binary, os.X_OK):
        raise pytest.UsageError("set VPCFLOWD to the path of the vpcflowd binary to test")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < harness.DESCRIPTORS:
        most = hard if hard != resource.RLIM_INFINITY else harness.DESCRIPTORS
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(harness.DESCRIPTORS, most), hard))


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes long, see --long"))


@pytest.fixture
def start(tmp_path):
    """start(option..., status=0, pipe=False): a listening Daemon, to be used with `with`."""

    def make(*options, **how):
        return harness.Daemon(tmp_path, *options, **how)

    return make


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """
    One daemon for all tests of a module: they look at what they add, see Daemon.added(), and may send
    the same payload again and again.
    """
    with harness.Daemon(tmp_path_factory.mktemp("shared"), "--duplicate-window", "0") as daemon:
        yield daemon


@pytest.fixture
def own_address():
    """A loopback address that no other test uses: log lines come once for a peer and reason."""
    global _addresses
    _addresses += 1
    return f"127.1.{_addresses >> 8}.{_addresses & 255}"


_addresses = 0


@pytest.fixture
def served(start):
    """A daemon without options: ftsq lines to standard output."""
    with start() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return secure.Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secured(tmp_path, certificates):
    """secured(option..., name="server", client_ca=None): as start, but speaking TLS."""

    def make(*options, **how):
        return secure.Daemon(tmp_path, certificates, *options, **how)

    return make
