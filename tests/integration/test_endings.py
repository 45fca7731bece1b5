# SPDX-License-Identifier: Apache-2.0
"""Wakeups and endings: what was once left waiting for ever, or cut short."""
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

import harness
import payloads

LINE = b"2 1 eni-0a1b2c3d 10.0.0.1 10.0.0.2 1 2 6 1 40 1 2 ACCEPT OK\n"


def test_more_puts_at_once_than_may_wait_are_all_answered(served):
    """Answers make room for PUTs that were read with them."""
    with served.connect() as peer:
        peer.send(b"".join(b"PUT n%d 0\n" % n for n in range(200)))
        for n in range(200):
            assert peer.reply() == f"REJECT n{n} empty"
        assert peer.ask("last", LINE) == "ACK last 1"


def test_a_put_that_completes_while_another_ends_has_its_turn(served):
    """The last of them fits into the queue only when the first is answered."""
    large = payloads.zipped(b"".join(LINE.replace(b" 1 2 6 ", b" %d 2 6 " % n) for n in range(20_000)))
    with served.connect() as peer:
        peer.send(harness.command("first", LINE) + b"".join(b"PUT n%d 0\n" % n for n in range(62)) +
                  harness.command("large", large) + harness.command("last", LINE * 2))
        replies = [peer.reply() for _ in range(65)]
    assert replies[0] == "ACK first 1" and replies[-2:] == ["ACK large 20000", "ACK last 2"]


def test_a_line_cut_by_a_reset_is_no_record(served):
    with served.connect() as peer:
        peer.send(LINE + LINE[:-2])
        served.wait_stats(flows=1)
        peer.reset()
    harness.wait_for("the connection to close", lambda: served.stats()["connections_open"] == 0)
    assert served.stats()["events"] == 1


def test_hup_leaves_a_file_that_needs_no_header(start, tmp_path):
    flows = tmp_path / "flows"
    flows.write_text("of before\n")
    with start("-o", f"ftsq:{flows}") as daemon:
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reopened")
        assert daemon.ask("a", LINE) == "ACK a 1"
        daemon.terminate()
    assert flows.read_text().count("\n") == 2


def test_hup_keeps_the_old_file_when_the_new_one_has_another_header(start, tmp_path):
    flows, old = tmp_path / "flows", tmp_path / "old"
    with start("-o", f"csv:{flows}", "--fields", "srcaddr") as daemon:
        assert daemon.ask("a", LINE) == "ACK a 1"
        flows.rename(old)
        flows.write_text("something,else\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("another header")
        assert daemon.ask("b", LINE.replace(b"10.0.0.1", b"10.0.0.9")) == "ACK b 1"
        daemon.terminate()
    assert old.read_text() == "srcaddr\n10.0.0.1\n10.0.0.9\n"
    assert flows.read_text() == "something,else\n"


def test_a_header_that_cannot_be_written_does_not_keep_term(start):
    with start("-o", "csv:/dev/full", "--drain-timeout", "1", status=1) as daemon:
        daemon.wait_log("disk is full")
        daemon.terminate()


def test_a_slow_reader_gets_all_that_was_read(tmp_path):
    """--drain-timeout is for the end after a signal, not for the end of the files."""
    lines = tmp_path / "lines"
    lines.write_bytes(LINE * 20_000)
    slow = "import sys, time; time.sleep(2.5); print(sum(1 for _ in sys.stdin))"
    with subprocess.Popen([harness.BINARY, "-q", "--drain-timeout", "1", "--read", str(lines)],
                          stdout=subprocess.PIPE, env=harness.environment()) as program:
        count = subprocess.run([sys.executable, "-c", slow], stdin=program.stdout,
                               capture_output=True, timeout=60, check=True).stdout
        program.stdout.close()
        assert program.wait(60) == 0
    assert int(count) == 20_000


def test_a_token_never_comes_into_the_log(start, tmp_path):
    (tmp_path / "tokens").write_text("secret\n")
    with start("--token-file", str(tmp_path / "tokens")) as daemon:
        with daemon.connect() as peer:
            assert peer.send(b"AUTH secret" + b"x" * 600 + b"\n").rest().startswith(b"REJECT - ")
        daemon.wait_log("malformed command")
        assert "secret" not in daemon.log()
        daemon.terminate()


def test_help_needs_no_configuration():
    assert harness.run("--config", "/missing", "--help").out.startswith("Usage: ")


def test_an_empty_file_has_a_header_where_the_columns_are_known():
    assert harness.run("-o", "csv", "--fields", "srcaddr,bytes", "--read", "/dev/null").out == "srcaddr,bytes\n"
    assert harness.run("-o", "ipfix-csv", "--read", "/dev/null").out.startswith("sourceIPv4Address,")


# ---- a FIFO that nobody reads ------------------------------------------------------------------------


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.mark.parametrize("fmt", ["ftsq", "csv", "ipfix"])
@pytest.mark.parametrize("more", [[], ["--read", "/dev/null"]])
def test_a_signal_ends_the_wait_for_a_reader(fifo, fmt, more):
    listen = [] if more else ["-l", "127.0.0.1:0"]
    with subprocess.Popen([harness.BINARY, *listen, "-o", f"{fmt}:{fifo}", *more],
                          stderr=subprocess.PIPE, env=harness.environment()) as process:
        assert process.stderr.readline() == b"INFO output: waiting for a reader file=%s\n" % bytes(fifo)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        harness.check_log(said)
        assert process.wait(harness.WAIT) == 1 and b"before the outputs were up" in said


def slurp(path):
    """A reader, in a thread of its own; the octets, once there are no more."""
    octets = []

    def read():
        with open(path, "rb") as file:
            octets.append(file.read())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()

    def result():
        thread.join(harness.WAIT)
        return octets[0]

    return result


def test_a_reader_that_comes_late_gets_all(fifo):
    with subprocess.Popen([harness.BINARY, "-o", f"csv:{fifo}", "--read", "-"], stdin=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=harness.environment()) as process:
        assert b"waiting for a reader" in process.stderr.readline()
        text = slurp(fifo)
        process.stdin.write(LINE * 50_000)
        process.stdin.close()
        harness.check_log(process.stderr.read())
        assert process.wait(harness.WAIT) == 0
    assert text().count(b"\n") == 50_001


def test_with_a_spool_nobody_waits_for_a_reader(start, fifo, tmp_path):
    options = "-o", f"csv:{fifo}", "--spool", tmp_path / "spool"
    with start(*options) as daemon:
        assert daemon.ask("a", LINE) == "ACK a 1"
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration read again")
        daemon.terminate()
    with start(*options) as daemon:
        assert daemon.ask("b", LINE * 2) == "ACK b 2"
        text = slurp(fifo)
        daemon.wait_stats(flows=3)
        daemon.terminate()
    assert text().count(b"\n") == 4


def test_a_reader_that_is_there(start, fifo):
    text = slurp(fifo)
    with start("-o", f"ftsq:{fifo}") as daemon:
        assert daemon.ask("a", LINE) == "ACK a 1"
        daemon.terminate()
        assert not daemon.log_lines("waiting for a reader")
    assert text().count(b"\n") == 1


def test_a_socket_is_no_fifo(tmp_path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "socket"))
        result = harness.run("-l", "127.0.0.1:0", "-o", f"csv:{tmp_path}/socket", status=1)
    assert "ERROR output: cannot open" in result.err
