# SPDX-License-Identifier: Apache-2.0
"""
Things break at random moments under load: the process, the collector, the network. What was
acknowledged is in the outputs, whatever happened; what came twice is counted, and has its bound.
"""
import os
import random
import signal
import threading
import time

import pytest

import chaos
import collectors
import harness
import sessions
import traffic


def report(**figures):
    """Seen with -s."""
    print("; ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()))


def file_numbers(path, fmt):
    if fmt == "ipfix":
        found = collectors.ipfixdump(path, sessions=1000)[1]
        return [int(r["values"]["octetDeltaCount"]) for r in found
                if "octetDeltaCount" in r["values"]]
    with open(path, "rb") as file:
        octets = file.read()
    return sessions.csv_numbers(octets) if fmt == "csv" else chaos.ftsq_numbers(octets.decode())


def session_numbers(octets):
    """Of all sessions, each decoded by itself; only the last one has to have a proper end."""
    return [n for i, one in enumerate(octets)
            for n in sessions.ipfix_numbers(one, torn=i < len(octets) - 1)]


def wait_replayed(daemon, folder):
    """Back once nothing of the spool is undelivered."""
    harness.wait_for("everything delivered", lambda: not chaos.undelivered(folder), 120)
    daemon.stats()


# ---- a reader of fits and starts -----------------------------------------------------------------


def run_fits(tmp_path, seed, most, ahead, spool_max):
    """
    Standard output is read in bursts, payloads are of all sizes: flows go straight, from disk, in
    part by both ways, and with no room on disk either. Each comes once, in its peer's order.
    """
    rng = random.Random(seed)
    options = "--spool", tmp_path / "spool", "--spool-max", spool_max, "--spool-segment", "64K"
    with harness.Daemon(tmp_path, *options, pipe=True) as daemon:
        got = []

        def read():
            while octets := os.read(daemon.pipe.read_end, rng.choice((4096, 65536, 65536))):
                got.append(octets)
                if rng.random() < 0.02:
                    time.sleep(rng.random() * 0.3)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        peers = chaos.Resenders(daemon, peers=3, records=(1, 3000, 40, 20_000, 500), ahead=ahead,
                                most=most)
        sent = peers.wait()
        harness.wait_for("flows", lambda: daemon.stats()["flows"] >= len(sent), 90)
        counters = daemon.stats()
        daemon.signal(signal.SIGTERM)
        daemon.wait_exit()
        reader.join(harness.WAIT)
        os.close(daemon.pipe.read_end)
        daemon.pipe.read_end = -1
        daemon.check_end()
    numbers = chaos.ftsq_numbers(b"".join(got).decode())
    report(flows=len(sent), stored=counters["spooled"], from_disk=counters["spool_replayed"],
           retries=peers.retries)
    assert len(numbers) == len(sent) and set(numbers) == sent
    assert traffic.in_order(numbers)


@pytest.mark.parametrize("ahead, spool_max", [(8, "1G"), (0, "1M")])
def test_a_reader_of_fits_and_starts(tmp_path, ahead, spool_max):
    """With a spool that may be full peers wait for each answer: RETRY is sent again before more."""
    run_fits(tmp_path, 1, 10, ahead, spool_max)


@pytest.mark.long
@pytest.mark.parametrize("ahead, spool_max", [(8, "1G"), (0, "1M")])
@pytest.mark.parametrize("seed", range(5))
def test_a_reader_of_fits_and_starts_for_long(tmp_path, seed, ahead, spool_max):
    run_fits(tmp_path, seed, 150, ahead, spool_max)


# ---- kill -9 -------------------------------------------------------------------------------------


def run_kills(tmp_path, kills, flows, output, numbers, window, before_end=lambda: None):
    """
    So many kills under load, with so many flows acknowledged in all; peers send again what had no
    answer. At the end all that was sent is acknowledged, and has to be there.

    Twice may come, for each kill: what the daemon took and did not say so in time, and what it had
    stored and not noted as delivered. Both are counted when it is dead: the first is what peers have
    no answer for, the second is behind the spool's position. window(): the most that one kill may
    leave, so that the bound does not grow with what is taken.
    """
    rng = random.Random(9)
    folder = str(tmp_path / "spool")
    unnoted, least = [], flows // kills
    with chaos.Restarting(tmp_path, *output, "--spool", folder, "--spool-segment", "1M") as place:
        peers = chaos.Resenders(place, peers=4, records=100, ahead=6, pause=0.001)
        for _ in range(kills):
            peers.wait_acked(rng.randrange(least // 2, least * 3 // 2 + 1))
            time.sleep(rng.random() * 0.01)
            place.crash(lambda: unnoted.append(len(chaos.undelivered(folder))))
        while peers.acked_flows() < flows:
            peers.wait_acked(1000)
        sent = peers.end()
        wait_replayed(place.daemon, folder)
        before_end()
    assert chaos.segments(folder) == []
    found = numbers()
    unique = set(found)
    missing, strange = len(sent - unique), len(unique - sent)
    twice = len(found) - len(unique)
    unanswered = sum(peers.losses)
    report(kills=kills, flows=len(sent), missing=missing, twice=twice, unanswered=unanswered,
           stored_and_not_noted=sum(unnoted), most_at_one_kill=max(unnoted), dups=peers.dups)
    assert not missing and not strange
    assert twice <= unanswered + sum(unnoted)
    assert max(unnoted) <= window and unanswered <= kills * 4 * 7 * 100


def run_file_kills(tmp_path, kills, flows, fmt):
    path = tmp_path / "flows"
    run_kills(tmp_path, kills, flows, ("-o", f"{fmt}:{path}"), lambda: file_numbers(path, fmt),
              window=WINDOW)


# Flows that outputs and replay have at hand at most, of 60 octets and more: see HIGH_MARK.
WINDOW = 6 * harness.MIB // 60


@pytest.mark.parametrize("fmt", [pytest.param("ftsq", marks=pytest.mark.long), "csv", "ipfix"])
def test_kills_lose_nothing_in_a_file(tmp_path, fmt):
    run_file_kills(tmp_path, 3, 9_000, fmt)


@pytest.mark.long
@pytest.mark.parametrize("fmt", ["ftsq", "csv"])
def test_two_hundred_kills_lose_nothing_in_a_file(tmp_path, fmt):
    run_file_kills(tmp_path, 200, 1_000_000, fmt)


def run_collector_kills(tmp_path, kills, flows):
    """A session for each life of the daemon, and each is decodable by libfixbuf, too."""
    with collectors.TcpCollector(tmp_path / "collector") as collector:
        output = "-o", f"ipfix:tcp://127.0.0.1:{collector.port}", "--reconnect-max", "1"
        run_kills(tmp_path, kills, flows, output,
                  lambda: collector.stop() or session_numbers(collector.sessions()), WINDOW)
        octets = collector.sessions()
        for one in octets[:3] + octets[-1:]:
            whole = one[:sessions.whole(one)]
            if whole:
                found = [int(r["values"]["octetDeltaCount"]) for r in collectors.ipfixdump(whole)[1]
                         if "octetDeltaCount" in r["values"]]
                assert found == sessions.ipfix_numbers(whole)


def test_kills_lose_nothing_at_a_collector(tmp_path):
    run_collector_kills(tmp_path, 3, 9_000)


@pytest.mark.long
def test_two_hundred_kills_lose_nothing_at_a_collector(tmp_path):
    run_collector_kills(tmp_path, 200, 1_000_000)


# ---- collectors that are down, paused, reset ------------------------------------------------------


def starts(collector):
    """Not while a connect of somebody's has the port."""
    try:
        collector.start()
    except OSError:
        return False
    return True


def run_collector_chaos(tmp_path, cycles):
    """
    In each cycle the collector is paused, killed and started anew, or ends well and is away for a
    while, under load that never stops: with a spool none of it is the peers' concern.
    """
    rng = random.Random(4739)
    folder = str(tmp_path / "spool")
    with collectors.TcpCollector(tmp_path / "collector") as collector:
        with harness.Daemon(tmp_path, "-o", f"ipfix:tcp://127.0.0.1:{collector.port}",
                            "--reconnect-max", "1", "--spool", folder,
                            "--spool-segment", "1M") as daemon:
            peers = chaos.Resenders(daemon, peers=4, records=250, ahead=6, pause=0.002)
            for cycle in range(cycles):
                way = ("pause", "kill", "paused and killed", "away")[cycle % 4]
                if "pause" in way:
                    collector.pause()
                    peers.wait_acked(rng.randrange(1000, 20_000))
                if way == "pause":
                    collector.resume()
                else:
                    collector.kill()
                    if way == "away":
                        peers.wait_acked(rng.randrange(1000, 20_000))
                    harness.wait_for("the port", lambda: starts(collector))
                connected = cycle - (cycle + 3) // 4 + 2 if way != "pause" else 0
                daemon.wait_log("INFO output: connected", connected)
                peers.wait_acked(2000)
            sent = peers.end()
            wait_replayed(daemon, folder)
            counters = daemon.stats()
            assert counters["waits"] == 0 and counters["retries"] == 0
            daemon.terminate()
            collector.stop()
        assert chaos.segments(folder) == []
        octets = collector.sessions()
        numbers = session_numbers(octets)
    unique = set(numbers)
    report(cycles=cycles, flows=len(sent), missing=len(sent - unique), sessions=len(octets),
           twice=len(numbers) - len(unique), resent=counters["output0_flows_resent"])
    assert unique == sent
    assert len(numbers) - len(unique) <= counters["output0_flows_resent"]


def test_a_collector_that_comes_and_goes(tmp_path):
    run_collector_chaos(tmp_path, 4)


@pytest.mark.long
def test_fifty_cycles_of_a_collector(tmp_path):
    run_collector_chaos(tmp_path, 50)


# ---- networks -------------------------------------------------------------------------------------


def options_for(tmp_path, spool):
    return ("--spool", tmp_path / "spool") if spool else ()


def run_network(tmp_path, spool, most, seed):
    """
    Between peers and the listener all that networks do happens at random octets. Each flow is in
    the output once, and each payload is acknowledged in the end.
    """
    with harness.Daemon(tmp_path, *options_for(tmp_path, spool)) as daemon:
        with chaos.Proxy(lambda: daemon.address, chaos.random_faults(seed)) as proxy:
            peers = chaos.Resenders(proxy, peers=4, records=50, ahead=6, most=most)
            sent = peers.wait()
            report(connections=proxy.connections, faults=proxy.faulty, flows=len(sent),
                   dups=peers.dups)
            assert proxy.faulty > 5
        harness.wait_for("peers gone", lambda: daemon.stats()["connections_open"] == 0)
        numbers = chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")
    assert len(numbers) == len(sent) and set(numbers) == sent


@pytest.mark.parametrize("spool", [False, True])
def test_a_bad_network_to_the_listener(tmp_path, spool):
    run_network(tmp_path, spool, 40, 7)


@pytest.mark.long
@pytest.mark.parametrize("spool", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_bad_network_to_the_listener_for_long(tmp_path, spool, seed):
    run_network(tmp_path, spool, 500, seed)


@pytest.mark.parametrize("end", ["reset", "cut", "half", "stall"])
def test_each_end_at_each_octet_of_a_small_put(tmp_path, end):
    """At every octet of the PUT; then it is sent again, and comes once."""
    octets = sessions.numbered(0, 1)
    whole = harness.command("p", octets)
    cuts = range(0, len(whole) + 1, 1 if end != "stall" else 40)
    at = iter(cuts)
    with harness.Daemon(tmp_path) as daemon:
        with chaos.Proxy(lambda: daemon.address,
                         lambda n: (chaos.Fault(at=next(at), end=end), chaos.NO_FAULT)) as proxy:
            for n, cut in enumerate(cuts):
                mine = sessions.numbered(n, 1)
                with harness.Peer(proxy.address) as peer:
                    try:
                        peer.put("p", mine)
                        answer = peer.reply()
                    except OSError:
                        answer = None
                assert answer in ("ACK p 1", None), f"{answer} when cut at {cut}"
                assert daemon.ask("p", mine) in ("ACK p 1", "DUP p 1")
        numbers = chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")
    assert sorted(numbers) == list(range(len(cuts)))


def test_unframed_peers_octet_by_octet(tmp_path):
    """Through a network that makes a segment of each octet."""
    with harness.Daemon(tmp_path) as daemon:
        slow = chaos.Fault(piece=1)
        with chaos.Proxy(lambda: daemon.address, lambda n: (slow, slow)) as proxy:
            def push(n):
                with harness.Peer(proxy.address) as peer:
                    peer.send(sessions.numbered(10 * n, 10)).half_close()
                    assert peer.rest() == b""

            harness.in_threads(4, push)
        assert sorted(chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")) == list(range(40))


def run_network_to_collector(tmp_path, spool, most, seed):
    """
    The same between the listener and its collector: what was acknowledged is in sessions that
    decode alone, and twice is only what was counted to be sent again.
    """
    faults = chaos.random_faults(seed, 200_000, ("reset", "cut", "reset", "stall"),
                                  False, most // 5)
    with collectors.TcpCollector(tmp_path / "collector") as collector:
        with chaos.Proxy(lambda: ("127.0.0.1", collector.port), faults) as proxy:
            with harness.Daemon(tmp_path, "-o", f"ipfix:tcp://127.0.0.1:{proxy.port}",
                                "--reconnect-max", "1", *options_for(tmp_path, spool)) as daemon:
                peers = chaos.Resenders(daemon, peers=4, records=250, ahead=6, most=most,
                                        pause=0.002)
                sent = peers.wait()
                harness.wait_for("everything",
                                 lambda: set(session_numbers_now(collector)) >= sent, 120)
                counters = daemon.stats()
                daemon.terminate()
            numbers = session_numbers_now(collector)
            report(sessions=proxy.connections, faults=proxy.faulty, flows=len(sent),
                   twice=len(numbers) - len(set(numbers)),
                   resent=counters["output0_flows_resent"])
    assert set(numbers) == sent
    assert len(numbers) - len(sent) <= counters["output0_flows_resent"]


def session_numbers_now(collector):
    return [n for one in collector.sessions() for n in sessions.ipfix_numbers(one, torn=True)]


@pytest.mark.parametrize("spool", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_bad_network_to_the_collector(tmp_path, spool):
    run_network_to_collector(tmp_path, spool, 25, 2)


@pytest.mark.long
@pytest.mark.parametrize("spool", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_bad_network_to_the_collector_for_long(tmp_path, spool, seed):
    run_network_to_collector(tmp_path, spool, 400, seed)
