# SPDX-License-Identifier: Apache-2.0
"""Payloads under way while something else happens: to their peers, their configuration, their memory."""
import json
import os
import signal

import harness
import payloads
import secure


def read_until(daemon, reached):
    """Reads standard output until the counters say enough."""
    out = b""
    os.set_blocking(daemon.pipe.read_end, False)

    def enough():
        nonlocal out
        try:
            out += os.read(daemon.pipe.read_end, 65536)
        except BlockingIOError:
            pass
        return reached(daemon.stats())

    harness.wait_for("standard output to go on", enough)
    os.set_blocking(daemon.pipe.read_end, True)
    return out


def test_configurations_that_come_and_go(start, tmp_path):
    """A payload is converted under the one in force then, whichever was in force when it came."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"sources": [{"log-group": "/a*", "exporter": "10.0.0.1"}]}))
    a, b = payloads.records(60_000), payloads.records(60_000)
    with start("-c", path, pipe=True) as daemon, daemon.connect(timeout=60) as first, \
            daemon.connect(timeout=60) as second:
        first.put("a", payloads.plain(a))
        daemon.wait_stats(flows=20_000)
        second.put("b", payloads.plain(b))
        daemon.wait_stats(puts=2)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration read again")
        out = read_until(daemon, lambda s: s["flows"] > len(a))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration read again", count=2)
        daemon.pipe.start_reading()
        assert first.reply() == "ACK a 60000" and second.reply() == "ACK b 60000"
        lines = out.decode().splitlines(keepends=True)
        rest = daemon.terminate()
        assert len(lines) + len(rest) in (len(a) + len(b), len(a) + len(b) + 1)


def test_who_hangs_up_still_holds_memory(start):
    """As long as the payload is there, whoever sent it."""
    octets = payloads.plain(payloads.records(60_000))
    with start(pipe=True) as daemon:
        with daemon.connect() as peer:
            peer.put("a", octets)
            daemon.wait_stats(flows=20_000)
            peer.reset()
        harness.wait_for("the end of the connection",
                         lambda: daemon.stats()["connections_open"] == 0)
        assert daemon.stats()["bytes_in_flight"] >= len(octets)
        daemon.pipe.start_reading()
        harness.wait_for("the end of the payload", lambda: daemon.stats()["bytes_in_flight"] == 0)
        assert len(daemon.terminate()) == 60_000


def test_what_waits_for_the_outputs_keeps_its_place(start, tmp_path):
    """A large payload that a full spool refuses in the middle, and a small one behind it that fits."""
    big, small = payloads.records(60_000), payloads.records(50)
    with start("--spool", tmp_path / "spool", "--spool-max", "1M", pipe=True) as daemon, \
            daemon.connect(timeout=60) as peer:
        peer.put("big", payloads.plain(big)).put("small", payloads.plain(small))
        daemon.wait_stats(flows=10_000)
        daemon.pipe.start_reading()
        assert peer.reply() == "ACK big 60000" and peer.reply() == "ACK small 50"
        harness.wait_for("the small one", lambda: daemon.stats()["flows"] == 60_050)
        assert daemon.terminate() == payloads.ftsq_lines(big + small)


def test_known_payloads_and_a_broken_session(tmp_path, certificates):
    """
    All at once: a payload that is known, one that there is no room for, and damage behind them that
    ends the connection when room comes.
    """
    known = payloads.plain(payloads.records(40))
    large = payloads.plain(payloads.records(400))
    assert len(known) + len(large) < 64 * 1024
    with secure.Daemon(tmp_path, certificates, "--max-in-flight", "64K") as daemon:
        assert daemon.ask("known", known) == "ACK known 40"
        with daemon.connect() as holder, daemon.connect() as peer:
            held = 64 * 1024 - len(known) - 100
            holder.send(b"PUT held %d\n" % held + b"2")
            daemon.wait_stats(puts=2)
            peer.tls.write(harness.command("again", known) + harness.command("large", large)[:-1000])
            peer.socket.sendall(peer.outgoing.read() + b"\x17\x03\x03\x00\x40" + b"Z" * 64)
            daemon.wait_stats(closed_tls=1)
        harness.wait_for("the connections' ends", lambda: daemon.stats()["connections_open"] == 0)
        assert daemon.ask("last", payloads.plain(payloads.records(1))) == "ACK last 1"
