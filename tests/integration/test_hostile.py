# SPDX-License-Identifier: Apache-2.0
"""Peers that do what no good peer does: they cost themselves, and nobody else waits for them."""
import ipaddress
import resource
import time

import pytest

import harness
import payloads


def good_put_works(daemon, ident="good"):
    lines = payloads.records(3)
    assert daemon.ask(ident, payloads.decoded(lines)) == f"ACK {ident} 3"
    return payloads.ftsq_lines(lines)


def trickle(peer, octets, seconds):
    """An octet now and then, until the listener has had enough. How long that took."""
    begin = time.monotonic()
    for octet in octets * 100:
        try:
            peer.socket.sendall(bytes([octet]))
        except OSError:
            break
        if time.monotonic() - begin > seconds:
            break
        time.sleep(0.1)
    return time.monotonic() - begin


@pytest.mark.parametrize("octets", [
    b'{"messageType":"DATA_MESSAGE"',
    pytest.param(b"2 123456789012 eni-1 10.0.0.1", marks=pytest.mark.long),
    b"PUT a 100000\n",
    pytest.param(b"PUT a" + b"1" * 50, marks=pytest.mark.long),
    pytest.param(payloads.zipped(payloads.decoded(payloads.noisy_records(20)))[:-20],
                 marks=pytest.mark.long),
], ids=["JSON", "line", "PUT", "command", "gzip"])
def test_a_payload_octet_by_octet_is_given_up(start, octets):
    with start("--payload-timeout", "1") as daemon, daemon.connect() as peer:
        assert trickle(peer, octets, 15) < 15, "it may go on for ever"
        expected = good_put_works(daemon)
        assert daemon.wait_stats(closed_slow=1)["connections_open"] <= 1
        assert daemon.terminate() == expected


def test_a_peer_that_never_sends(start):
    with start("--first-byte-timeout", "1") as daemon, daemon.connect() as peer:
        expected = good_put_works(daemon)
        assert peer.rest() == b""
        assert daemon.stats()["closed_first_byte"] == 1
        assert daemon.terminate() == expected


@pytest.mark.parametrize("framed", [True, False])
def test_an_idle_peer(start, framed):
    lines = payloads.records(2)
    octets = payloads.decoded(lines)
    with start("--idle-timeout", "1") as daemon, daemon.connect() as peer:
        if framed:
            assert peer.ask("a", octets) == "ACK a 2"
        else:
            peer.send(octets)
        assert peer.rest() == b""
        assert daemon.stats()["closed_idle"] == 1
        assert daemon.terminate() == payloads.ftsq_lines(lines)


def test_a_peer_slower_than_idle_but_busy_is_kept(start):
    lines = payloads.records(8)
    with start("--idle-timeout", "2", "--payload-timeout", "2") as daemon:
        with daemon.connect() as peer:
            for n, line in enumerate(lines):
                assert peer.ask(f"a{n}", payloads.decoded([line])) == f"ACK a{n} 1"
                time.sleep(0.4)
        assert daemon.terminate() == payloads.ftsq_lines(lines)


def test_a_peer_that_never_reads_its_replies(start):
    """Thousands of commands, each with a reply: memory and other peers do not suffer."""
    with start("--payload-timeout", "1") as daemon:
        with daemon.connect(receive_buffer=2048, timeout=5) as peer:
            for _ in range(2000):
                try:
                    peer.send(b"PUT a 0\n" * 1000)
                except OSError:
                    break
            expected = good_put_works(daemon)
            daemon.wait_stats(closed_deaf=1)
        assert daemon.peak_memory() < 1024 * harness.MIB
        assert daemon.terminate() == expected


@pytest.mark.parametrize("octets", [
    b"", b"P", b"PUT a 10", b"PUT a 10\n", b"PUT a 10\nhello", b"PUT a 5\nhello", b"PUT a 5\nhello" * 50,
    b'{"messageType":', b"\x1f\x8b\x08\x00", b"2 1 eni-1 10.0.0.1", b"PUT a/ 1\n",
])
def test_resets_at_any_point(start, octets):
    with start() as daemon:
        for _ in range(20):
            peer = daemon.connect()
            peer.send(octets)
            peer.reset()
        expected = good_put_works(daemon)
        harness.wait_for("connections to close", lambda: daemon.stats()["connections_open"] == 0)
        assert daemon.terminate() == expected


def test_a_reset_while_its_put_waits_for_the_output(start):
    """The flows are on their way; who would get the ACK is gone."""
    lines = payloads.records(60_000)
    octets = payloads.zipped(payloads.decoded(lines), 1)
    with start(pipe=True) as daemon:
        peers = [daemon.connect() for _ in range(3)]
        for n, peer in enumerate(peers):
            peer.put(f"a{n}", octets)
        daemon.wait_stats(flows=20_000)
        for peer in peers:
            peer.reset()
        daemon.pipe.start_reading()
        harness.wait_for("connections to close", lambda: daemon.stats()["connections_open"] == 0)
        good = good_put_works(daemon)
        assert set(good) < set(daemon.terminate()) <= set(good + payloads.ftsq_lines(lines))


def test_a_thousand_peers_at_once(start):
    with start("--max-connections-per-address", "1000") as daemon:
        a_thousand_peers(daemon)


def a_thousand_peers(served):
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(1000, limit // 2 - 50)
    lines = payloads.records(count)
    peers = [served.connect() for _ in range(count)]
    try:
        for n, peer in enumerate(peers):
            whole = harness.command(f"p{n}", payloads.decoded([lines[n]]))
            peer.send(whole[:40])
            peers[n].tail = whole[40:]
        assert served.wait_stats(connections_open=count)["connections"] == count
        for peer in peers:
            peer.send(peer.tail)
        for n, peer in enumerate(peers):
            assert peer.reply() == f"ACK p{n} 1"
    finally:
        for peer in peers:
            peer.close()
    assert sorted(served.terminate()) == sorted(payloads.ftsq_lines(lines))


def test_at_the_limit_of_connections_others_wait_and_none_is_lost(start):
    lines = payloads.records(12)
    with start("--max-connections", "2") as daemon:
        holders = [daemon.connect() for _ in range(2)]
        for n, peer in enumerate(holders):
            assert peer.ask(f"h{n}", payloads.decoded([lines[n]])) == f"ACK h{n} 1"
        waiting = [daemon.connect() for _ in range(10)]
        for n, peer in enumerate(waiting):
            peer.put(f"w{n}", payloads.decoded([lines[n + 2]])).half_close()
        assert daemon.stats()["connections_open"] == 2
        daemon.wait_log("limit of connections")
        for peer in holders:
            peer.close()
        for n, peer in enumerate(waiting):
            assert peer.rest() == b"ACK w%d 1\n" % n
            peer.close()
        assert sorted(daemon.terminate()) == sorted(payloads.ftsq_lines(lines))


@pytest.mark.parametrize("blocks, source, allowed", [
    (["127.0.0.1/32"], "127.0.0.1", True), (["127.0.0.1/32"], "127.0.0.2", False),
    (["127.0.0.0/8"], "127.9.9.9", True), (["10.0.0.0/8", "127.0.0.2"], "127.0.0.2", True),
    (["127.0.0.0/30"], "127.0.0.4", False), (["::/0"], "127.0.0.1", False),
    (["0.0.0.0/0"], "127.0.0.1", True),
])
def test_allow(start, blocks, source, allowed):
    lines = payloads.records(1)
    if "/" not in blocks[-1]:
        blocks = blocks[:-1] + [str(ipaddress.ip_network(blocks[-1]))]
    options = [word for block in blocks for word in ("--allow", block)]
    with start(*options) as daemon:
        with daemon.connect(source=source) as peer:
            try:
                answer = peer.put("a", payloads.decoded(lines)).rest() if not allowed else \
                    peer.ask("b", payloads.decoded(lines))
            except (BrokenPipeError, ConnectionResetError):
                answer = b""
        assert answer == ("ACK b 1" if allowed else b"")
        assert daemon.stats()["connections_refused"] == (0 if allowed else 1)
        assert len(daemon.log_lines(f"refused.*peer={source}")) == (0 if allowed else 1)
        assert daemon.terminate() == (payloads.ftsq_lines(lines) if allowed else [])


def test_refused_peers_do_not_use_up_the_connections(start):
    with start("--allow", "127.0.0.1/32", "--max-connections", "2") as daemon:
        for _ in range(20):
            with daemon.connect(source="127.0.0.2") as peer:
                assert peer.rest() == b""
        good_put_works(daemon)
        assert len(daemon.log_lines("refused")) == 1
