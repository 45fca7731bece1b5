# SPDX-License-Identifier: Apache-2.0
"""
tcp:// outputs: collectors that die, stall, come back or never were there. What is acknowledged to
a peer a collector has got or will get; what it may get twice is counted.
"""
import contextlib
import os
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

import collectors
import harness
import sessions
import traffic

KEPT_SECONDS, KEPT_OCTETS = 2, 4 * harness.MIB  # acknowledged, and yet sent again
KERNEL_OCTETS = 5 * harness.MIB                 # not acknowledged: send buffer and what is queued
IPFIX_RECORD = 60                               # at least so many octets


class Collector(collectors.TcpCollector):
    """Is stopped only when it has accepted what connected: its process may be slow to begin."""

    def start(self):
        self.before = self.accepted()
        super().start()

    def stop(self):
        harness.wait_for("accept", lambda: self.accepted() > self.before)
        super().stop()

    def accepted(self):
        """Sessions up to now."""
        return sum(name.startswith("session-") for name in os.listdir(self.folder))


@pytest.fixture
def collect(tmp_path):
    """collect(tls=()): a Collector, which lives as long as the test."""
    with contextlib.ExitStack() as stack:
        made = []

        def make(tls=()):
            made.append(Collector(tmp_path / f"collector-{len(made)}", tls=tls))
            return stack.enter_context(made[-1])

        yield make


def to(collector, fmt="ipfix"):
    scheme = "tls" if collector.tls else "tcp"
    return "-o", f"{fmt}:{scheme}://127.0.0.1:{collector.port}"


def received(collector, fmt="ipfix"):
    """Per session the numbers of its flows; only sessions that broke may end within a record."""
    octets = collector.sessions()
    numbers = sessions.NUMBERS[fmt]
    return [numbers(o, torn=n < len(octets) - 1) for n, o in enumerate(octets)]


def in_order(lists):
    """Whether no session has the numbers of any peer of Load's out of order, or twice."""
    return all(traffic.in_order(numbers) for numbers in lists)


def flat(lists):
    return [n for numbers in lists for n in numbers]


def finish(daemon, *ends):
    """Ends daemon and collectors in good order."""
    daemon.terminate()
    for collector in ends:
        collector.stop()


def wait_break(daemon, count=1):
    daemon.wait_log("connection lost", count)


def wait_connected(daemon, count):
    """Sessions, the first one counted, too."""
    daemon.wait_log("INFO output: connected", count)


def in_kernel(port):
    """Octets that wait in sessions to 127.0.0.1:port to be read by the collector."""
    octets = 0
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            if fields[1] == f"0100007F:{port:04X}" and fields[3] == "01":
                octets += int(fields[4].split(":")[1], 16)
    return octets


def wait_stuck(daemon, output=0):
    """Back when nothing moves any more, with flows that are not delivered; the counters."""
    def still():
        before = daemon.stats()
        time.sleep(0.3)
        after = daemon.stats()
        names = "flows", f"output{output}_bytes_written"
        waits = after[f"output{output}_bytes"] > after[f"output{output}_bytes_written"]
        return after if waits and all(before[n] == after[n] for n in names) else None

    return harness.wait_for("outputs that are stuck", still)


class Load(traffic.Peers):
    """Peers that PUT records, some PUTs before their answers, each over one connection."""

    def __init__(self, daemon, peers=4, records=250, ahead=4, pause=0.0, most=10**9):
        self.records, self.ahead, self.pause, self.most = records, ahead, pause, most
        self.daemon = daemon
        super().__init__(peers)

    def _run(self, n):
        first = n * self.PEER
        flying = []
        with self.daemon.connect(timeout=90) as peer:
            for _ in range(self.most):
                if self.ending.is_set():
                    break
                mine = range(first, first + self.records)
                first = mine.stop
                self.sent.append(mine)
                flying.append(mine)
                peer.put(f"p{mine.start}", sessions.numbered(mine.start, len(mine)))
                if len(flying) > self.ahead:
                    self._answer(peer, flying.pop(0))
                time.sleep(self.pause)
            for mine in flying:
                self._answer(peer, mine)

    def _answer(self, peer, mine):
        reply = peer.reply()
        assert reply == f"ACK p{mine.start} {len(mine)}", reply
        self.acked.append(mine)


# ---- nothing is lost -----------------------------------------------------------------------------


def check_kills(daemon_stats, output, collector, fmt, sent, kills, unseen):
    """Nothing missing, nothing strange; what came twice was counted and has its bound."""
    lists = received(collector, fmt)
    numbers = flat(lists)
    unique = set(numbers)
    assert unique == sent, f"{len(sent - unique)} missing, {len(unique - sent)} strange"
    resent = daemon_stats[f"output{output}_flows_resent"]
    twice = len(numbers) - len(unique)
    assert in_order(lists)
    assert twice <= resent <= kills * (KEPT_OCTETS + KERNEL_OCTETS) // IPFIX_RECORD
    assert daemon_stats[f"output{output}_sessions"] == kills + 1 == len(lists) + unseen
    return twice


def run_kills(start, collect, kills, *options):
    """
    An IPFIX and a csv collector are each killed so often, and started anew, under load and at any
    moment: within a session, before it was accepted, with octets that their kernels have and they
    have not. What is ACKed is in what they got.
    """
    rng = random.Random(4739)
    ipfix, text = collect(), collect()
    unseen = {ipfix: 0, text: 0}
    with start(*to(ipfix), *to(text, "csv"), "--reconnect-max", "1", *options) as daemon:
        load = Load(daemon, records=1000, ahead=8, pause=0.02)
        for kill in range(kills):
            wait_connected(daemon, 2 * kill + 2)
            for collector in rng.sample((ipfix, text), 2):
                expected = kill + 1 - unseen[collector]
                if kill % 7 != 6:
                    harness.wait_for("accept", lambda: collector.accepted() >= expected)
                    time.sleep(rng.choice((0, 0.01, 0.05, 0.2)) * rng.random())
                if kill % 3 == 2:
                    collector.pause()
                    time.sleep(0.2 * rng.random())
                unseen[collector] += expected - min(collector.accepted(), expected)
                collector.restart()
            wait_break(daemon, 2 * kill + 2)
        sent = load.end()
        counters = daemon.stats()
        finish(daemon, ipfix, text)
    for output, (collector, fmt) in enumerate(((ipfix, "ipfix"), (text, "csv"))):
        check_kills(counters, output, collector, fmt, sent, kills, unseen[collector])


def test_kills_lose_nothing(start, collect):
    run_kills(start, collect, 12)


@pytest.mark.long
def test_a_thousand_kills_lose_nothing(start, collect):
    run_kills(start, collect, 500)


@pytest.mark.parametrize("fmt", ["ipfix", pytest.param("csv", marks=pytest.mark.long)])
def test_stalled_then_killed_loses_nothing(start, collect, fmt):
    """
    The collector takes in all it can, stops reading, and dies when its kernel and ours are full,
    later than octets would be kept for their age: those it had not read come again.
    """
    collector = collect()
    with start(*to(collector, fmt), "--reconnect-max", "1") as daemon:
        load = Load(daemon, peers=2, records=3000, ahead=20)
        harness.wait_for("flows", lambda: load.acked_flows() >= 100_000)
        collector.pause()
        wait_stuck(daemon)
        time.sleep(KEPT_SECONDS + 0.5)
        unread = in_kernel(collector.port)
        assert unread > 0
        collector.restart()
        wait_connected(daemon, 2)
        sent = load.end()
        assert daemon.stats()["output0_flows_resent"] > 0
        finish(daemon, collector)
    lists = received(collector, fmt)
    assert set(flat(lists)) == sent and in_order(lists)


def test_stalled_with_a_large_receive_buffer(start):
    """What a kernel takes for a process that reads none of it is as much as it was told to."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * harness.MIB)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(harness.WAIT)
        port = listener.getsockname()[1]
        with start("-o", f"csv:tcp://127.0.0.1:{port}", "--reconnect-max", "1") as daemon:
            first, _ = listener.accept()
            load = Load(daemon, peers=2, records=1000, ahead=100, most=80)
            wait_stuck(daemon)
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            first.close()
            second, _ = listener.accept()
            parts = []
            reader = threading.Thread(target=lambda: parts.append(rest(second)), daemon=True)
            reader.start()
            sent = load.wait()
            daemon.terminate()
        reader.join(harness.WAIT)
        second.close()
    missing = sent - set(sessions.csv_numbers(parts[0]))
    assert not missing, f"{len(missing)} of {len(sent)} ACKed flows"


def test_killed_before_it_accepts(start, collect):
    """A session that only the kernel knew of: what was ACKed in it comes again."""
    collector = collect()
    with start(*to(collector), "--reconnect-max", "1") as daemon:
        collector.pause()
        collector.restart()
        collector.pause()
        wait_connected(daemon, 2)
        assert daemon.ask("a", sessions.numbered(0, 100)) == "ACK a 100"
        before = collector.accepted()
        collector.restart()
        assert collector.accepted() == before, "the collector was to be too late"
        wait_connected(daemon, 3)
        assert daemon.ask("b", sessions.numbered(100, 100)) == "ACK b 100"
        assert daemon.stats()["output0_flows_resent"] == 100
        finish(daemon, collector)
    assert received(collector)[-1] == list(range(200))


# ---- a collector that does not read --------------------------------------------------------------


def test_a_collector_that_stops_reading(start, collect):
    """
    Peers push far more than is held: memory stays bounded, peers are told to wait, nothing is ACKed
    that the collector's kernel has not got, and others are answered. Once it reads again everything
    comes once.
    """
    binary, more = (harness.RELEASE, 0) if harness.RELEASE else (harness.BINARY, 512 * harness.MIB)
    collector = collect()
    with start(*to(collector), binary=binary) as daemon, daemon.connect() as witness:
        collector.pause()
        load = Load(daemon, peers=4, records=5000, ahead=200, most=40)
        wait_stuck(daemon)
        witness.put("w", sessions.numbered(10**9, 1))
        assert witness.line() == "WAIT w"
        with daemon.connect() as bad:
            assert bad.ask("bad", b"") == "REJECT bad empty"
        taken = in_kernel(collector.port)
        assert load.acked_flows() * IPFIX_RECORD <= taken < 40 * harness.MIB
        assert daemon.stats()["acks"] == len(load.acked)
        assert daemon.stats()["flows"] < 4 * 40 * 5000
        collector.resume()
        sent = load.wait() | {10**9}
        assert witness.reply() == "ACK w 1"
        peak = daemon.peak_memory()
        counters = daemon.stats()
        finish(daemon, collector)
    assert counters["output0_flows_resent"] == 0 and counters["output0_sessions"] == 1
    numbers = flat(received(collector))
    assert len(numbers) == len(sent) and set(numbers) == sent
    assert peak < 96 * harness.MIB + more, f"{peak / harness.MIB:.0f} MiB"


def test_many_tiny_puts_while_it_does_not_read(start, collect):
    """A block for each flow must not cost what a full one does."""
    binary, more = (harness.RELEASE, 0) if harness.RELEASE else (harness.BINARY, 512 * harness.MIB)
    collector = collect()
    with start(*to(collector), binary=binary) as daemon:
        collector.pause()
        load = Load(daemon, peers=20, records=1, ahead=1000, most=1000)
        wait_stuck(daemon)
        collector.resume()
        sent = load.wait()
        peak = daemon.peak_memory()
        finish(daemon, collector)
    numbers = flat(received(collector))
    assert len(numbers) == len(sent) == 20_000 and set(numbers) == sent
    assert peak < 64 * harness.MIB + more, f"{peak / harness.MIB:.0f} MiB"


# ---- changes of state ----------------------------------------------------------------------------


@pytest.mark.parametrize("end, tries", [("kill", 3), ("stop", 1)])
def test_log_and_counters_follow_the_sessions(start, collect, end, tries):
    """
    RST or FIN, it reconnects, and says so once for each change of state, but not for each of the
    tries between. (That there were some, DEBUG lines tell here.)
    """
    collector = collect()
    with start(*to(collector), "--reconnect-max", "1", "-v") as daemon:
        assert daemon.ask("a", sessions.numbered(0, 10)) == "ACK a 10"
        collector.wait_sessions(1, 10 * IPFIX_RECORD)
        getattr(collector, end)()
        wait_break(daemon)
        assert daemon.stats()["output0_up"] == 0
        daemon.wait_log("DEBUG output: no connection yet", tries)
        with daemon.connect() as peer:
            peer.put("b", sessions.numbered(10, 10))
            daemon.wait_stats(puts=2)
            collector.start()
            assert peer.reply() == "ACK b 10"
        counters = daemon.stats()
        assert counters["output0_up"] == 1 and counters["output0_sessions"] == 2
        finish(daemon, collector)
        told = daemon.log_lines("^(INFO|WARN|ERROR) output: ")
        assert [line.split(" output=")[0] for line in told] == [
            "INFO output: connected", "WARN output: connection lost, trying again",
            "INFO output: connected"], told
        assert ("closed by the collector" in told[1]) == (end == "stop")
    first, second = received(collector)
    assert first == list(range(10)) and second[-10:] == list(range(10, 20))
    assert counters["output0_flows_resent"] == len(second) - 10


def test_after_a_quiet_time_nothing_is_sent_again(start, collect):
    """
    What was delivered some time ago does not hold up an end without the collector; and when it is
    back it gets what is new, without a delay.
    """
    collector = collect()
    options = *to(collector), "--drain-timeout", "300"
    with start(*options) as ending, start(*options) as daemon:
        assert ending.ask("a", sessions.numbered(0, 100)) == "ACK a 100"
        assert daemon.ask("a", sessions.numbered(0, 100)) == "ACK a 100"
        time.sleep(KEPT_SECONDS + 1)
        collector.kill()
        wait_break(ending)
        ending.begin_drain()
        ending.wait_end(15)
        collector.start()
        wait_connected(daemon, 2)
        assert daemon.ask("b", sessions.numbered(100, 100)) == "ACK b 100"
        assert daemon.stats()["output0_flows_resent"] == 0
        finish(daemon, collector)
    assert received(collector) == [list(range(100))] * 2 + [list(range(100, 200))]


@pytest.mark.parametrize("fmt", ["ipfix", "csv"])
def test_small_puts_are_not_held_back(start, collect, fmt):
    """One by one, each is ACKed when it was delivered, and not after some timer's time."""
    collector = collect()
    took = []
    with start(*to(collector, fmt)) as daemon, daemon.connect() as peer:
        for n in range(60):
            before = time.monotonic()
            assert peer.ask(f"a{n}", sessions.numbered(n, 1)) == f"ACK a{n} 1"
            took.append(time.monotonic() - before)
        finish(daemon, collector)
    assert received(collector, fmt) == [list(range(60))]
    assert sorted(took)[30] < 0.5, sorted(took)


def test_hup_keeps_the_session(start, collect):
    collector, text = collect(), collect()
    with start(*to(collector), *to(text, "csv")) as daemon:
        load = Load(daemon, peers=2, records=100, pause=0.01)
        for n in range(5):
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("configuration read again", n + 1)
        sent = load.end()
        counters = daemon.stats()
        finish(daemon, collector, text)
    assert counters["output0_sessions"] == counters["output1_sessions"] == 1
    for numbers in received(collector), received(text, "csv"):
        assert len(numbers) == 1 and sorted(numbers[0]) == sorted(sent)


def test_what_a_collector_says_is_passed_over(start):
    """And a FIN of its own, though it would read on, is the end of the session."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(harness.WAIT)
        port = listener.getsockname()[1]
        with start("-o", f"csv:tcp://127.0.0.1:{port}", "--reconnect-max", "1") as daemon:
            first, _ = listener.accept()
            with first:
                first.sendall(b"hello\n" * 10_000)
                assert daemon.ask("a", sessions.numbered(0, 10)) == "ACK a 10"
                assert daemon.stats()["output0_sessions"] == 1
                first.shutdown(socket.SHUT_WR)
                second, _ = listener.accept()
                assert sessions.csv_numbers(rest(first)) == list(range(10))
            with second:
                assert daemon.ask("b", sessions.numbered(10, 10)) == "ACK b 10"
                daemon.terminate()
                assert sessions.csv_numbers(rest(second))[-10:] == list(range(10, 20))


def rest(connection):
    """What comes until its end."""
    connection.settimeout(harness.WAIT)
    parts = []
    while octets := connection.recv(harness.MIB):
        parts.append(octets)
    return b"".join(parts)


# ---- several outputs -----------------------------------------------------------------------------


def test_ack_when_the_last_output_has_the_flows(start, collect):
    """Standard output and one collector have them; the other is away, then it stalls."""
    ipfix, text = collect(), collect()
    with start("-o", "ftsq", *to(ipfix), *to(text, "csv"), "--reconnect-max", "1") as daemon, \
            daemon.connect() as peer:
        assert peer.ask("a", sessions.numbered(0, 10)) == "ACK a 10"
        for collector in ipfix, text:
            collector.wait_sessions(1, 10 * IPFIX_RECORD)
        text.kill()
        wait_break(daemon)
        peer.put("b", sessions.numbered(10, 10))
        daemon.wait_lines(20)
        harness.wait_for("IPFIX", lambda: len(received(ipfix)[0]) == 20)
        assert daemon.stats()["acks"] == 1
        text.start()
        assert peer.reply() == "ACK b 10"
        text.pause()
        peer.put("c", sessions.numbered(20, 100_000))
        wait_stuck(daemon, output=2)
        assert daemon.stats()["acks"] == 2
        text.resume()
        assert peer.reply() == "ACK c 100000"
        counters = daemon.stats()
        finish(daemon, ipfix, text)
        lines = daemon.lines()
    expected = list(range(100_020))
    assert counters["output1_sessions"] == 1 and counters["output2_sessions"] == 2
    assert [int(line.split(",")[6]) for line in lines] == expected
    assert received(ipfix) == [expected]
    first, second = received(text, "csv")
    assert first == expected[:10] and sorted(set(first + second)) == expected


# ---- the end -------------------------------------------------------------------------------------


@contextlib.contextmanager
def away(start, collect, *options, **how):
    """A daemon whose collector has gone, with a PUT that waits: (daemon, collector, peer)."""
    collector = collect()
    with start(*to(collector), "--reconnect-max", "1", *options, **how) as daemon, \
            daemon.connect() as peer:
        collector.kill()
        wait_break(daemon)
        peer.put("a", sessions.numbered(0, 500))
        daemon.wait_stats(flows=500)
        yield daemon, collector, peer


def test_an_end_without_the_collector_is_given_up(start, collect):
    with away(start, collect, "--drain-timeout", "2", status=1) as (daemon, _, peer):
        began = time.monotonic()
        daemon.begin_drain()
        daemon.wait_exit(30)
        assert time.monotonic() - began > 1.5
        assert daemon.log_lines("ERROR main: .*--drain-timeout")
        assert b"ACK" not in peer.rest()


def test_an_end_waits_for_the_collector(start, collect):
    """It comes back within the time: everything is delivered and answered, and all is well."""
    with away(start, collect) as (daemon, collector, peer):
        daemon.begin_drain()
        collector.start()
        assert peer.reply() == "ACK a 500"
        daemon.wait_end()
        collector.stop()
        assert received(collector)[-1] == list(range(500))


def test_an_end_at_once(start, collect):
    with away(start, collect, "--drain-timeout", "300", status=1) as (daemon, _, peer):
        daemon.begin_drain()
        daemon.signal(signal.SIGTERM)
        daemon.wait_exit(15)
        assert b"ACK" not in peer.rest()


def test_an_end_delivers_what_nobody_waits_for(start, collect):
    """Unframed payloads, which get no answers: a good end says that the collector has them."""
    collector = collect()
    with start(*to(collector)) as daemon:
        collector.pause()
        with daemon.connect() as peer:
            peer.send(sessions.numbered(0, 60_000)).half_close()
            daemon.begin_drain()
            collector.resume()
            daemon.wait_end()
    collector.stop()
    assert received(collector) == [list(range(60_000))]


# ---- the beginning -------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1:{refused}", "name.invalid:4739", "224.0.0.1:4739",
                                     "localhost:{refused}"])
def test_no_start_without_the_collector(tmp_path, address):
    """Refused, unresolvable, unreachable: exit status 1, one line, which names the option."""
    ready = tmp_path / "ready"
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        output = "ipfix:tcp://" + address.format(refused=bound.getsockname()[1])
        done = harness.run("--listen", "127.0.0.1:0", "--ready-file", ready, "-o", output, status=1)
    assert re.fullmatch(rf'ERROR output: cannot connect option="--output {output}" error=".+"\n',
                        done.err), done.err
    assert not ready.exists()


class FullListener:
    """Listens, and its queue is full: the next connect is left waiting, until there is room()."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self.socket.getsockname()[1]
        self.fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self.fillers.append(filler)
        return self

    def __exit__(self, *exception):
        for filler in self.fillers:
            filler.close()
        self.socket.close()

    def wait_caller(self):
        """Back when somebody else waits to be connected."""
        mine = {filler.getsockname()[1] for filler in self.fillers}

        def calling():
            with open("/proc/net/tcp", encoding="ascii") as file:
                rows = [line.split() for line in file.readlines()[1:]]
            return any(row[2] == f"0100007F:{self.port:04X}" and row[3] == "02" and
                       int(row[1].split(":")[1], 16) not in mine for row in rows)

        harness.wait_for("a connect", calling)

    def room(self):
        """The session that is not one of those that filled the queue."""
        mine = {filler.getsockname() for filler in self.fillers}
        self.socket.settimeout(harness.WAIT)
        while True:
            connection, caller = self.socket.accept()
            if caller not in mine:
                return connection
            connection.close()


@contextlib.contextmanager
def connecting(tmp_path, *options):
    """A vpcflowd whose connect is left waiting: (process, listener, ready file)."""
    ready = tmp_path / "ready"
    with FullListener() as listener:
        process = subprocess.Popen(
            [harness.BINARY, "--ready-file", ready, "-o", f"csv:tcp://127.0.0.1:{listener.port}",
             *options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=harness.environment())
        try:
            listener.wait_caller()
            assert not ready.exists()
            yield process, listener, ready
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("options", [("--listen", "127.0.0.1:0"), ("--read", "/dev/null")])
def test_a_signal_ends_a_start(tmp_path, options):
    with connecting(tmp_path, *options) as (process, _, ready):
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=9)  # a connect has 10
        harness.check_log(err)
        assert process.returncode == 1 and b"WARN main: stopped before the outputs were up" in err
        assert not ready.exists()


def test_ready_once_connected(tmp_path):
    with connecting(tmp_path, "--listen", "127.0.0.1:0") as (process, listener, ready):
        with listener.room():
            harness.wait_for("ready file", ready.exists)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=harness.WAIT)
        harness.check_log(err)
        assert process.returncode == 0, err


@pytest.mark.long
def test_a_start_does_not_wait_for_ever(tmp_path):
    with connecting(tmp_path, "--listen", "127.0.0.1:0") as (process, _, _):
        _, err = process.communicate(timeout=30)
        harness.check_log(err)
        assert process.returncode == 1 and b"ERROR output: cannot connect " in err


@pytest.mark.parametrize("host", ["[::1]", "localhost"])
def test_hosts(start, host):
    """An IPv6 literal; a name, of whose addresses one will do."""
    if not harness.resolves(host.strip("[]")):
        pytest.skip(f"no {host} here")
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    try:
        listener = socket.create_server(("::1" if host == "[::1]" else "127.0.0.1", 0),
                                        family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        listener.settimeout(harness.WAIT)
        port = listener.getsockname()[1]
        with start("-o", f"csv:tcp://{host}:{port}") as daemon:
            connection, _ = listener.accept()
            with connection:
                assert daemon.ask("a", sessions.numbered(0, 10)) == "ACK a 10"
                daemon.terminate()
                assert sessions.csv_numbers(rest(connection)) == list(range(10))


def test_check_config_opens_nothing(tmp_path):
    ready = tmp_path / "ready"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = harness.run("--check-config", "--ready-file", ready,
                           "-o", f"csv:tcp://127.0.0.1:{port}",
                           "-o", "ipfix:tcp://[2001:db8::1]:4739",
                           "-o", "json:tcp://name.invalid:1", "-o", "ipfix:udp://name.invalid:1")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    lines = done.out.splitlines()
    assert [line for line in lines if line.startswith("output ")] == [
        f"output csv tcp://127.0.0.1:{port}", "output ipfix tcp://[2001:db8::1]:4739",
        "output json tcp://name.invalid:1", "output ipfix udp://name.invalid:1"]
    assert not ready.exists()


# ---- --read --------------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(tmp_path, collector, count, *options, fmt="ipfix"):
    """A vpcflowd that reads a file of so many records; its process."""
    path = tmp_path / "flows.log"
    path.write_bytes(sessions.numbered(0, count))
    process = subprocess.Popen(
        [harness.BINARY, *to(collector, fmt), "--reconnect-max", "1", *options, "--read", path],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=harness.environment())
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def check_end(process, status=0):
    """What it logged, once it has ended."""
    _, err = process.communicate(timeout=90)
    harness.check_log(err)
    assert process.returncode == status, err
    return err.decode()


def wait_full(collector):
    """Back when the kernel of a collector that does not read takes nothing more."""
    def full():
        before = in_kernel(collector.port)
        time.sleep(0.5)
        return before > 0 and in_kernel(collector.port) == before

    harness.wait_for("a full kernel", full)


@pytest.mark.parametrize("count", [20_000, 150_000])
def test_read_ends_when_all_is_delivered(tmp_path, collect, count):
    """Be it with our kernel or still with us."""
    collector = collect()
    collector.pause()
    with reading(tmp_path, collector, count) as process:
        wait_full(collector)
        assert process.poll() is None
        collector.resume()
        check_end(process)
    collector.stop()
    assert received(collector) == [list(range(count))]


@pytest.mark.parametrize("fmt", ["csv", pytest.param("ipfix", marks=pytest.mark.long)])
def test_the_collector_dies_while_a_file_is_read(tmp_path, collect, fmt):
    collector = collect()
    collector.pause()
    with reading(tmp_path, collector, 150_000, fmt=fmt) as process:
        wait_full(collector)
        for _ in range(2):
            collector.restart()
            harness.wait_for("a session", lambda: in_kernel(collector.port) > 0 or
                             process.poll() is not None)
            if process.poll() is not None:
                break
        check_end(process)
    collector.stop()
    lists = received(collector, fmt)
    assert set(flat(lists)) == set(range(150_000)) and in_order(lists)


def test_read_is_given_up_when_told(tmp_path, collect):
    """The collector has gone for good: a signal and --drain-timeout end it, and it has failed."""
    collector = collect()
    collector.pause()
    with reading(tmp_path, collector, 150_000, "--drain-timeout", "1") as process:
        wait_full(collector)
        collector.kill()
        process.send_signal(signal.SIGTERM)
        assert "--drain-timeout" in check_end(process, status=1)
