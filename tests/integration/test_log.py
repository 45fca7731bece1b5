# SPDX-License-Identifier: Apache-2.0
"""Foreign octets in log lines are escaped and cut. harness.check_log holds every run to that; here
are the payloads that try."""
import json

import pytest

import harness
import payloads

NASTY = 'x\x1b[2J\x1b[31m\nERROR main: forged\r\x00\x07\x7f"\\\u009b\u2028 end'


@pytest.mark.parametrize("octets", [
    payloads.decoded([NASTY]),
    payloads.decoded(["1 2 3"], group=NASTY),
    payloads.decoded([payloads.SKIPDATA], group=NASTY),
    payloads.decoded([payloads.record(action=NASTY.replace(" ", "").replace("\n", ""))]),
    json.dumps({"awslogs": {"data": NASTY}}).encode(),
    json.dumps({NASTY: NASTY}).encode(),
    NASTY.encode(), b"\xff\xfe\x1b[31m" * 100,
    b"\x1f\x8b" + NASTY.encode(), b"{" + NASTY.encode(), b"PUT " + NASTY.encode(),
    b"PUT a 5\n" + NASTY.encode(), b"AUTH " + NASTY.encode() + b"\nPUT",
    payloads.plain(["srcaddr dstaddr bytes packets evil-field"]) + NASTY.encode(),
    payloads.decoded([json.dumps({"srcAddr": NASTY, NASTY: 1})]),
    b"2 " + b"A" * 31_000,
], ids=range(16))
def test_payloads_cannot_write_the_log(start, octets):
    with start("-v") as daemon:
        with daemon.connect() as peer:
            peer.put("a", octets)
            reply = peer.reply()
            assert reply.isprintable()
        with daemon.connect() as peer:
            peer.send(octets).half_close().rest()
        daemon.stats()
        assert not daemon.log_lines("^ERROR main: forged")
        assert all(len(line) < 2048 for line in daemon.log_lines("."))
    harness.read(stdin=octets, status=0 if reply.startswith("ACK") else 1)


@pytest.mark.parametrize("octets", [b"1 2 3\n", b'{"a":1}', payloads.plain([payloads.SKIPDATA]),
                                    payloads.plain(["srcaddr dstaddr strange", "10.0.0.1 10.0.0.2 x"]),
                                    payloads.plain([payloads.record(srcport="x")])],
                         ids=["columns", "payload", "SKIPDATA", "unknown field", "number"])
def test_file_names_cannot_write_the_log(tmp_path, octets):
    """Names of S3 objects are anybody's choice."""
    name = "a\x1b[31m\nERROR main: forged"
    (tmp_path / name).write_bytes(octets)
    status = 0 if b"SKIPDATA" in octets or b"strange" in octets else 1
    harness.read(files=[name], cwd=tmp_path, status=status)


def test_names_of_missing_files_cannot_write_the_log(tmp_path):
    harness.read(files=["no\x1b[31m\nsuch"], cwd=tmp_path, status=1)


def test_each_reason_is_told_once_for_a_peer(served):
    for _ in range(20):
        assert served.ask("a", b"{]").startswith("REJECT")
        assert served.ask("b", payloads.decoded(["bad"])).startswith("REJECT")
        with served.connect() as peer:
            assert peer.send(b"PUT \n").rest().startswith(b"REJECT - ")
    assert len(served.log_lines("WARN")) <= 4
    s = served.stats()
    assert (s["payloads_rejected"], s["rejected"], s["closed_command"]) == (40, 20, 20)


def test_a_browser_at_the_wrong_port_is_told_apart(start):
    with start() as daemon:
        with daemon.connect() as peer:
            peer.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").half_close()
            assert peer.rest() == b""
        assert daemon.log_lines("WARN flow: an HTTP request, which is no flow log; --http has a port of its own "
                                'peer=127.0.0.1 record="GET /metrics HTTP/1.1"')
