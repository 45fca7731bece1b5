# SPDX-License-Identifier: Apache-2.0
"""
Peers under way while a test does something else: those that PUT numbered records, and those that
write to a file that is rotated meanwhile. What fails in their threads is told in the test's own.
"""
import os
import signal
import threading
import time

import harness
import payloads
import sessions


class Peers:
    """
    Threads that PUT records, each with a number that no other has, until they are told to end. A
    subclass says what each of them does in _run(n).

        sent, acked  numbers, in ranges, one for each payload
    """

    PEER = 10**8  # numbers that one has

    def __init__(self, peers):
        self.sent, self.acked, self.failures = [], [], []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._guarded, args=(n,), daemon=True)
                        for n in range(peers)]
        for thread in self.threads:
            thread.start()

    def _guarded(self, n):
        try:
            self._run(n)
        except BaseException as e:  # told in the test's own thread
            self.failures.append(e)

    def acked_flows(self):
        return sum(map(len, self.acked))

    def wait_acked(self, flows):
        """Back once so many more flows than now are acknowledged."""
        wanted = self.acked_flows() + flows
        harness.wait_for(f"{flows} flows more acknowledged",
                         lambda: self.failures or self.acked_flows() >= wanted, 90)
        assert not self.failures, self.failures

    def end(self, seconds=120):
        """Nothing new any more; the numbers of all records, once all are acknowledged."""
        self.ending.set()
        return self.wait(seconds)

    def wait(self, seconds=120):
        until = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0, until - time.monotonic()))
        assert not self.failures, self.failures
        assert not any(t.is_alive() for t in self.threads), "payloads without an answer"
        assert sorted(r.start for r in self.acked) == sorted(r.start for r in self.sent)
        return {number for mine in self.sent for number in mine}


def in_order(numbers):
    """Whether each number of a peer is larger than those before."""
    last = {}
    for n in numbers:
        if last.get(n // Peers.PEER, -1) >= n:
            return False
        last[n // Peers.PEER] = n
    return True


def rotate(daemon, path, rotations, peers, flows):
    """
    Peers that send to a csv output while its file is renamed and HUP comes, each time after so many
    flows more. Each file must have one header; the daemon has ended then. Returns the records sent,
    and the lines of all files.
    """
    done = threading.Event()

    def rotated(n):
        return path.with_name(f"old-{n}")

    def rename():
        try:
            for n in range(rotations):
                daemon.wait_stats(flows=flows * (n + 1))
                os.rename(path, rotated(n))
                daemon.signal(signal.SIGHUP)
                daemon.wait_log("reopened", n + 1)
        finally:
            done.set()
        return []

    def send():
        mine = []
        with daemon.connect() as peer:
            while not done.is_set() or not mine:
                lines = payloads.records(10)
                ident = f"a{len(mine)}"
                assert peer.ask(ident, payloads.decoded(lines)) == f"ACK {ident} 10"
                mine += lines
        return mine

    results = harness.in_threads(peers + 1, lambda n: send() if n else rename())
    daemon.terminate()
    assert len(daemon.log_lines("reopened")) == rotations
    got = []
    for file in [rotated(n) for n in range(rotations)] + [path]:
        header, *lines = file.read_text().splitlines()
        assert header == sessions.COLUMNS and header not in lines, file
        got += lines
    return [line for lines in results for line in lines], got
