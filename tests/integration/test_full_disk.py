# SPDX-License-Identifier: Apache-2.0
"""
A spool whose disk is full, or cannot be written. Each case runs this file once more in a mount
namespace of its own (unshare(1)) with a small tmpfs; where that is not allowed it is skipped.
"""
import os
import subprocess
import sys
import time

import pytest

import chaos
import harness
import sessions

FULL = "RETRY again 1 spool full"


def shell(command):
    subprocess.run(command, shell=True, check=True)


def small_disk(folder, size="4m"):
    disk = os.path.join(folder, "disk")
    os.mkdir(disk)
    shell(f"mount -t tmpfs -o size={size} tmpfs {disk}")
    return disk


def fill_up(path):
    """A file that takes all space that is left."""
    with open(path, "wb", buffering=0) as file:
        for piece in b"x" * 65536, b"x" * 4096, b"x":
            try:
                while file.write(piece) == len(piece):
                    pass
            except OSError:
                pass


def numbers(daemon):
    return chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")


def clog(daemon, peer):
    """The outputs are full from here on: standard output is not read."""
    assert peer.ask("clog", sessions.numbered(10**6, 60_000)) == "ACK clog 60000"


def resumes_when_there_is_space(folder):
    """RETRY while the disk is full, ACK as soon as it is not, and nothing acknowledged is lost."""
    disk = small_disk(folder, "32m")
    ballast = os.path.join(disk, "ballast")
    with harness.Daemon(folder, "--spool", os.path.join(disk, "spool"), pipe=True) as daemon, \
            daemon.connect() as peer:
        clog(daemon, peer)
        for n in range(5):
            assert peer.ask("p", sessions.numbered(100 * n, 100)) == "ACK p 100"
        fill_up(ballast)
        octets = sessions.numbered(500, 2000)
        for _ in range(20):
            assert peer.ask("again", octets) == FULL
        os.unlink(ballast)
        begin = time.monotonic()
        assert peer.ask("again", octets) == "ACK again 2000"
        print(f"resumed {1000 * (time.monotonic() - begin):.0f} ms after there was space")
        daemon.pipe.start_reading()
        daemon.wait_stats(flows=62_500)
        assert daemon.stats()["retries"] == 20
        found = numbers(daemon)
    assert sorted(found) == list(range(2500)) + list(range(10**6, 10**6 + 60_000))
    assert found[-2500:] == list(range(2500))
    assert not chaos.segments(os.path.join(disk, "spool"))


def goes_on_when_delivery_makes_space(folder):
    """Nobody clears the disk but the daemon, whose segments go when they are delivered."""
    disk = small_disk(folder, "24m")
    with harness.Daemon(folder, "--spool", os.path.join(disk, "spool"), "--spool-segment", "1M",
                        pipe=True) as daemon:
        peers = chaos.Resenders(daemon, peers=3, records=1000, ahead=4, most=150)
        harness.wait_for("RETRY", lambda: peers.retries > 10)
        daemon.pipe.start_reading()
        sent = peers.wait()
        harness.wait_for("flows", lambda: daemon.stats()["flows"] >= len(sent), 90)
        found = numbers(daemon)
    assert len(found) == len(sent) and set(found) == sent


def outputs_that_keep_up_need_no_disk(folder):
    """What is delivered at once is acknowledged for that, and DUP when it comes again."""
    disk = small_disk(folder)
    with harness.Daemon(folder, "--spool", os.path.join(disk, "spool")) as daemon, \
            daemon.connect() as peer:
        fill_up(os.path.join(disk, "ballast"))
        for n in range(20):
            octets = sessions.numbered(500 * n, 500)
            assert peer.ask("a", octets) == "ACK a 500"
            assert peer.ask("b", octets) == "DUP b 500"
        assert daemon.stats()["spooled"] == 0
        assert numbers(daemon) == list(range(10_000))


def killed_while_full(folder):
    """kill -9 while the disk is full, a start on the full disk: what was acknowledged is there."""
    disk = small_disk(folder, "24m")
    spool = os.path.join(disk, "spool")
    with harness.Daemon(folder, "--spool", spool, pipe=True) as daemon, daemon.connect() as peer:
        clog(daemon, peer)
        fill_up(os.path.join(disk, "ballast"))
        acked = []
        for n in range(50):
            octets = sessions.numbered(100 * n, 100)
            if peer.ask("p", octets).startswith("ACK"):
                acked += range(100 * n, 100 * n + 100)
        daemon.crash()
    with harness.Daemon(folder, "--spool", spool) as daemon:
        daemon.wait_stats(flows=60_000 + len(acked))
        assert daemon.ask("new", sessions.numbered(9000, 10)) == "ACK new 10"
        found = numbers(daemon)
    expected = acked + list(range(9000, 9010)) + list(range(10**6, 10**6 + 60_000))
    assert sorted(found) == sorted(expected)


def full_at_the_start(folder):
    """No room for the files it needs: it says so, and may be started again."""
    disk = small_disk(folder)
    shell(f"mount -o remount,nr_inodes=1 {disk} 2>/dev/null || mount -t tmpfs -o nr_inodes=1 "
          f"tmpfs {disk}")
    result = harness.run("--listen", "127.0.0.1:0", "--spool", os.path.join(disk, "spool"),
                         status=1)
    assert "ERROR spool: cannot use it option=" in result.err, result.err
    assert "no space left on device" in result.err


def read_only(folder):
    """A spool that was written before, and cannot be any more."""
    disk = small_disk(folder)
    spool = os.path.join(disk, "spool")
    with harness.Daemon(folder, "--spool", spool) as daemon:
        assert daemon.ask("a", sessions.numbered(0, 10)) == "ACK a 10"
        daemon.terminate()
    shell(f"mount -o remount,ro {disk}")
    for path in spool, os.path.join(disk, "other"):
        result = harness.run("--listen", "127.0.0.1:0", "--spool", path, status=2)
        assert f'option="--spool {path}" error="read-only file system"' in result.err, result.err


CASES = {case.__name__: case for case in (
    resumes_when_there_is_space, goes_on_when_delivery_makes_space,
    outputs_that_keep_up_need_no_disk, killed_while_full, full_at_the_start, read_only)}
UNSHARE = ["unshare", "-r", "-m"]


def may_mount(folder):
    done = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", str(folder)], check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


@pytest.mark.parametrize("case", CASES)
def test_on_a_small_disk(case, tmp_path):
    if not may_mount(tmp_path):
        pytest.skip("no namespaces here to mount a small disk in")
    done = subprocess.run([*UNSHARE, sys.executable, os.path.abspath(__file__), case,
                           str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=180, check=False)
    print(done.stdout.decode("utf-8", "replace"))
    assert done.returncode == 0


if __name__ == "__main__":
    CASES[sys.argv[1]](sys.argv[2])
