# SPDX-License-Identifier: Apache-2.0
"""What other tests take for granted of their own tools."""
import errno
import socket

import pytest

import harness


def test_a_peer_does_not_take_itself_for_the_listener():
    with socket.socket() as itself:
        itself.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError) as refused:
            harness.connect(itself, itself.getsockname())
        assert refused.value.errno == errno.ECONNREFUSED
        assert itself.fileno() < 0
