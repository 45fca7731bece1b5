# SPDX-License-Identifier: Apache-2.0
"""The Lambda function that users have deployed since 2016 must not lose a flow."""
import os
import shutil
import subprocess

import pytest

import harness
import payloads

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lambda2016.cjs")


@pytest.mark.parametrize("size", [5, pytest.param(2000, marks=pytest.mark.long)])
def test_fifty_events_of_a_client_that_destroys_at_once(served, tmp_path, size):
    assert shutil.which("node"), "node is needed: the client is a Node.js script"
    batches = [payloads.records(size) for _ in range(50)]
    events = tmp_path / "events"
    events.write_bytes(b"\n".join(payloads.lambda_event(lines) for lines in batches))
    host, port = served.address
    done = subprocess.run(["node", SCRIPT, host, str(port), events], timeout=60, check=False,
                          capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    expected = payloads.ftsq_lines(line for lines in batches for line in lines)
    served.wait_lines(len(expected))
    assert sorted(served.terminate()) == sorted(expected)


def test_reset_right_after_a_whole_payload(served):
    """A close with unread octets or without linger is a reset; what had come by then counts."""
    lines = payloads.records(20)
    for line in lines:
        peer = served.connect()
        peer.send(payloads.lambda_event([line]))
        peer.reset()
    served.wait_stats(connections=20)
    harness.wait_for("connections to close", lambda: served.stats()["connections_open"] == 0)
    assert sorted(served.terminate()) == sorted(payloads.ftsq_lines(lines))
