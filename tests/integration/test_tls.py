# SPDX-License-Identifier: Apache-2.0
"""The listener's side of TLS: the same as without it, for those who may, and a reason for the rest."""
import os
import shutil
import signal
import ssl
import time

import pytest

import harness
import payloads
import secure
import sessions

KINDS = payloads.in_every_kind()
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def payload(count=3):
    lines = payloads.records(count)
    return payloads.decoded(lines), payloads.ftsq_lines(lines)


@pytest.fixture(scope="module")
def shared_tls(tmp_path_factory, certificates):
    """One daemon for tests that look at what they add, and send the same in several ways."""
    with secure.Daemon(tmp_path_factory.mktemp("tls"), certificates,
                       "--duplicate-window", "0") as daemon:
        yield daemon


def closed(daemon, reason, count=1):
    return daemon.wait_stats(**{f"closed_{reason}": count})


# ---- the same as without -----------------------------------------------------------------------------


@pytest.mark.parametrize("newest", [OLD, NEW], ids=["1.2", "1.3"])
@pytest.mark.parametrize("cut", [1, 7, 1000, 0])
def test_ciphertext_in_pieces(shared_tls, certificates, newest, cut):
    context = certificates.client(newest=newest)
    before = len(shared_tls.lines())
    everything = []
    for kind in list(KINDS)[::3]:
        octets, expected = KINDS[kind]
        with shared_tls.connect(context=context, cut=cut) as peer:
            assert peer.ask("a", octets) == f"ACK a {len(expected)}"
        shared_tls.push(octets, context=context, cut=cut)
        everything += expected * 2
    assert shared_tls.wait_lines(before + len(everything))[before:] == everything


@pytest.mark.parametrize("piece", [1, 3, 64])
def test_plaintext_in_small_records(shared_tls, piece):
    octets, lines = payload()
    before = len(shared_tls.lines())
    with shared_tls.connect() as peer:
        assert peer.send(harness.command("a", octets), piece).reply() == "ACK a 3"
    shared_tls.push(octets, piece)
    assert shared_tls.wait_lines(before + 6)[before:] == lines * 2


@pytest.mark.parametrize("framed", [True, False])
def test_a_payload_of_5_mb(secured, framed):
    octets = sessions.numbered(0, 50_000)
    assert len(octets) > 5_000_000
    with secured("-o", "csv") as daemon:
        if framed:
            assert daemon.ask("a", octets) == "ACK a 50000"
        else:
            daemon.push(octets)
        daemon.terminate()
        assert sessions.csv_numbers(daemon.output().encode()) == list(range(50_000))


def test_pipelined_puts_are_answered_in_order(secured):
    sent, expected = b"", []
    for n in range(300):
        octets, lines = (b"", None) if n % 50 == 7 else payload(1 + n % 3)
        sent += harness.command(f"p{n}", octets)
        expected.append(f"ACK p{n} {len(lines)}" if lines else f"REJECT p{n} empty")
    with secured() as daemon, daemon.connect() as peer:
        peer.send(sent)
        assert [peer.reply() for _ in expected] == expected


def test_a_client_that_has_ended_gets_its_answers(secured):
    """In TLS's words, or with a FIN alone: lengths tell that the PUTs were whole."""
    expected = []
    with secured() as daemon:
        for end in secure.Peer.half_close, secure.Peer.cut_off:
            a, lines_a = payload()
            b, lines_b = payload()
            expected += lines_a + lines_b
            with daemon.connect() as peer:
                end(peer.put("a", a).put("b", b))
                assert peer.rest() == b"ACK a 3\nACK b 3\n"
                assert peer.notified
        assert daemon.stats()["closed_done"] == 2
        assert daemon.terminate() == expected


@pytest.mark.parametrize("token, reply", [("first", "ACK a 3"), ("other", "REJECT - auth")])
def test_tokens(secured, tmp_path, token, reply):
    path = tmp_path / "tokens"
    path.write_text("first\n")
    with secured("--token-file", path) as daemon, daemon.connect() as peer:
        assert peer.send(f"AUTH {token}\n".encode()).ask("a", payload()[0]) == reply


def test_a_drain_ends_sessions_in_order(secured):
    octets, lines = payload()
    with secured() as daemon, daemon.connect() as idle, daemon.connect() as silent:
        assert idle.ask("a", octets) == "ACK a 3"
        daemon.begin_drain()
        assert idle.rest() == silent.rest() == b""
        assert idle.notified and silent.notified
        assert daemon.wait_end() == lines


def test_an_idle_peer_is_told_that_it_ends(secured):
    with secured("--idle-timeout", "1") as daemon, daemon.connect() as peer:
        assert peer.ask("a", payload()[0]) == "ACK a 3"
        assert peer.rest() == b"" and peer.notified
        closed(daemon, "idle")


# ---- an end that may be none -------------------------------------------------------------------------


def test_an_unframed_stream_that_was_cut(secured):
    """Without close_notify anybody on the way may have cut it: as when the connection breaks."""
    octets, lines = payload()
    with secured() as daemon:
        with daemon.connect() as peer:
            peer.send(octets + b"2 123456789012 eni-1 10.0.0.1").cut_off()
            assert peer.rest() == b""
        counters = closed(daemon, "tls")
        assert counters["events"] == 3
        assert daemon.log_lines("WARN peer: .*close_notify.* reason=tls")
        with daemon.connect() as peer:
            peer.send(octets).half_close()
            assert peer.rest() == b""
        assert closed(daemon, "done")["closed_tls"] == 1
        assert daemon.terminate() == lines * 2


def test_a_damaged_record(secured):
    """What came before it stands, and nothing of it."""
    octets, lines = payload()
    with secured() as daemon:
        for framed in True, False:
            with daemon.connect() as peer:
                if framed:
                    assert peer.ask("a", octets) == "ACK a 3"
                else:
                    peer.send(octets)
                peer.tls.write(octets)
                record = bytearray(peer.outgoing.read())
                record[100] ^= 1
                peer.socket.sendall(record)
                with pytest.raises(ssl.SSLError):
                    peer.rest()
        closed(daemon, "tls", 2)
        assert daemon.log_lines("WARN peer: .*damaged TLS: .* reason=tls")
        assert daemon.terminate() == lines * 2


# ---- who may not -------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest", [OLD, NEW], ids=["1.2", "1.3"])
@pytest.mark.parametrize("shows, why", [
    ("client", None), (None, "no client certificate"),
    ("intruder", "certificate refused: unable to get local issuer certificate"),
])
def test_client_certificates(secured, certificates, own_address, newest, shows, why):
    octets, lines = payload()
    context = certificates.client(shows, newest=newest)
    with secured(client_ca="ca") as daemon:
        if why:
            for _ in range(2):
                with pytest.raises(ssl.SSLError, match="alert"):
                    with daemon.connect(context=context, source=own_address) as peer:
                        peer.ask("a", octets)
            closed(daemon, "tls", 2)
            told = daemon.log_lines("WARN peer: connection closed: ")
            assert told == [f"WARN peer: connection closed: {why} peer={own_address} reason=tls"]
        else:
            assert daemon.ask("a", octets, context=context) == "ACK a 3"
        assert daemon.terminate() == ([] if why else lines)


def test_a_client_that_does_not_trust_us(secured, certificates):
    with secured() as daemon:
        with pytest.raises(ssl.SSLCertVerificationError):
            daemon.connect(context=certificates.client(trusts="stranger"))
        closed(daemon, "tls")
        assert daemon.log_lines("WARN peer: .*refused by the other side: .*unknown ca.* reason=tls")


@pytest.mark.parametrize("octets", [
    b"PUT a 5\nhello", b"AUTH x\n", payloads.zipped(b"{}"), b'{"awslogs":', b"2 123456789012 eni-1",
    b"GET / HTTP/1.1\r\n\r\n", b"\x00",
], ids=lambda o: repr(o[:8]))
def test_a_client_without_tls_on_a_tls_port(shared_tls, own_address, octets):
    for _ in range(2):
        with shared_tls.plain(source=own_address) as peer:
            assert peer.send(octets).rest() == b""
    told = harness.wait_for("a log line", lambda: shared_tls.log_lines(f"peer={own_address}"))
    assert told == [f"WARN peer: connection closed: not TLS: a client without TLS on a TLS port "
                    f"peer={own_address} reason=tls"]


@pytest.mark.parametrize("cut", [0, 1])
def test_tls_on_a_port_without_it(shared, certificates, own_address, cut):
    before = shared.stats()
    for _ in range(2):
        with pytest.raises((ssl.SSLError, OSError)):
            secure.Peer(shared.address, certificates.client(), cut=cut, source=own_address)
    harness.wait_for("the end", lambda: shared.added(before).get("closed_tls") == 2)
    assert shared.log_lines(f"peer={own_address}") == [
        f"WARN peer: connection closed: TLS on a port without --tls-cert peer={own_address} reason=tls"]
    assert "payloads_rejected" not in shared.added(before)


def hello(certificates):
    """The first octets of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        certificates.client().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def test_resets_at_any_point(secured, certificates):
    octets = hello(certificates)
    with secured() as daemon:
        for n in range(0, len(octets) + 1, 40):
            peer = daemon.plain()
            peer.send(octets[:n])
            peer.reset()
            with daemon.plain() as peer:
                peer.send(octets[:n]).half_close().rest()
        with daemon.connect() as peer:
            peer.put("a", payload()[0])
            peer.reset()
        assert daemon.ask("b", payload()[0]) == "ACK b 3"
        harness.wait_for("the ends", lambda: daemon.stats()["connections_open"] == 0)
        assert daemon.log_lines("WARN peer: .*left during the handshake")


def test_a_connect_and_no_more_is_no_reason_to_warn(secured):
    """As a load balancer's health check."""
    with secured() as daemon:
        with daemon.plain() as peer:
            assert peer.half_close().rest() == b""
        closed(daemon, "done")
        assert not daemon.log_lines("WARN")


# ---- time and room -----------------------------------------------------------------------------------


def test_a_handshake_has_its_time(secured, certificates):
    first = hello(certificates)
    with secured("--handshake-timeout", "1") as daemon:
        peers = [daemon.plain().send(first[:octets]) for octets in (0, 1, 100)]
        assert daemon.ask("a", payload()[0]) == "ACK a 3"
        for peer in peers:
            assert peer.rest() == b""
            peer.close()
        closed(daemon, "handshake", 3)
        assert len(daemon.log_lines("WARN peer: .*--handshake-timeout.* reason=handshake")) == 1


def test_the_first_byte_has_its_time_after_it(secured):
    with secured("--handshake-timeout", "60", "--first-byte-timeout", "1") as daemon:
        with daemon.connect() as peer:
            assert peer.rest() == b"" and peer.notified
        closed(daemon, "first_byte")


def test_a_payload_octet_by_octet_is_given_up(secured):
    with secured("--payload-timeout", "1") as daemon, daemon.connect() as peer:
        octets = harness.command("a", payload()[0])
        peer.send(octets[:20]).tls.write(octets[20:])
        begin = time.monotonic()
        for octet in peer.outgoing.read():
            try:
                peer.socket.sendall(bytes([octet]))
            except OSError:
                break
            assert time.monotonic() - begin < 15, "it may go on for ever"
            time.sleep(0.1)
        assert daemon.wait_stats(closed_slow=1)["flows"] == 0


def held_up(daemon):
    flows = daemon.stats()["flows"]
    time.sleep(0.2)
    return flows == daemon.stats()["flows"]


@pytest.mark.parametrize("framed", [True, False])
def test_memory_is_bounded_while_nobody_reads_standard_output(secured, framed):
    """And all of it comes out, in order, once somebody does."""
    binary, more = (harness.RELEASE, 0) if harness.RELEASE else (harness.BINARY, 512 * harness.MIB)
    batch, count = 2000, 150
    options = "-o", "csv", "--max-payload", "1M"
    with secured(*options, pipe=True, binary=binary) as daemon, daemon.connect(timeout=90) as peer:

        def push(who):
            for n in range(0 if who else count):
                octets = sessions.numbered(n * batch, batch)
                peer.send(harness.command(f"n{n}", octets) if framed else octets)
            if not who:
                peer.half_close()
            else:
                daemon.wait_stats(flows=20_000)
                harness.wait_for("the sender to be held up", lambda: held_up(daemon))
                assert daemon.stats()["flows"] < count * batch
                # What is read of another peer is where that of the first one was.
                with daemon.connect() as other:
                    assert other.ask("bad", bytes(harness.MIB + 1)) == "REJECT bad too_large"
                daemon.pipe.start_reading()

        harness.in_threads(2, push)
        acks = b"".join(b"ACK n%d %d\n" % (n, batch) for n in range(count)) if framed else b""
        rest = b"".join(line for line in peer.rest().splitlines(True) if not line.startswith(b"WAIT"))
        assert rest == acks
        peak = daemon.peak_memory()
        daemon.terminate()
        assert sessions.csv_numbers(daemon.output().encode()) == list(range(count * batch))
    assert peak < 96 * harness.MIB + more, f"{peak / harness.MIB:.0f} MiB"


def memory(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@pytest.mark.parametrize("client_ca", [None, "ca"], ids=["", "mutual"])
@pytest.mark.parametrize("count", [500, pytest.param(5000, marks=pytest.mark.long)])
def test_an_idle_peer_costs_32_kib_at_most(secured, certificates, client_ca, count):
    if not harness.RELEASE:
        pytest.skip("needs VPCFLOWD_RELEASE")
    context = certificates.client("client" if client_ca else None)
    options = "--max-connections", "6000", "--max-connections-per-address", "6000"

    def work(_):
        peer = daemon.connect(context=context)
        assert peer.ask("a", payload()[0]) == "ACK a 3"
        return peer

    with secured(*options, client_ca=client_ca, binary=harness.RELEASE) as daemon:
        peers = [work(n) for n in range(20)]
        before = memory(daemon)
        peers += [work(n) for n in range(count)]
        each = (memory(daemon) - before) / count
        assert daemon.stats()["connections_open"] == count + 20
        for peer in peers[::50]:
            assert peer.ask("b", payload()[0]) == "ACK b 3"
        for peer in peers:
            peer.close()
    assert each < 32 * 1024, f"{each / 1024:.1f} KiB"
    print(f"{each / 1024:.1f} KiB")


# ---- files -------------------------------------------------------------------------------------------


@pytest.fixture
def replaceable(certificates, tmp_path):
    """Certificate and key of a listener, which the test may replace by those of another name."""

    class Pair:
        options = ["--tls-cert", tmp_path / "own.pem", "--tls-key", tmp_path / "own.key"]

        def put(self, cert, key=None):
            for source, to in (certificates.pem(cert), "own.pem"), \
                    (certificates.key(key or cert), "own.key"):
                shutil.copy(source, tmp_path / "new")
                os.rename(tmp_path / "new", tmp_path / to)

    pair = Pair()
    pair.put("server")
    return pair


def test_hup_reads_certificates_again(start, certificates, replaceable):
    context = certificates.client()
    with start(*replaceable.options) as daemon:
        with secure.Peer(daemon.address, context) as old:
            assert old.ask("a", payload()[0]) == "ACK a 3"
            begun = harness.command("b", payload()[0])
            old.send(begun[:30])
            replaceable.put("elsewhere")
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("configuration read again")
            with secure.Peer(daemon.address, context, name="elsewhere.example.org") as new:
                assert new.ask("c", payload()[0]) == "ACK c 3"
            with pytest.raises(ssl.SSLCertVerificationError):
                secure.Peer(daemon.address, context)
            assert old.send(begun[30:]).reply() == "ACK b 3"
            assert old.ask("d", payload()[0]) == "ACK d 3"


@pytest.mark.parametrize("cert, key, why", [
    ("expired", None, "has expired"), ("client", "server", "not the key"),
])
def test_a_bad_file_at_hup_leaves_the_old_ones_in_force(start, certificates, replaceable, cert, key,
                                                        why):
    octets, _ = payload()
    with start(*replaceable.options) as daemon:
        replaceable.put(cert, key)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("old one stays in force")
        assert daemon.log_lines(f"ERROR config: .*{why}.*option=\"--tls-(cert|key) ")
        with secure.Peer(daemon.address, certificates.client()) as peer:
            assert peer.ask("a", octets) == "ACK a 3"


@pytest.mark.parametrize("given, option, why", [
    (["--tls-cert", "server.pem"], "--tls-cert", "of no use without --tls-key"),
    (["--tls-client-ca", "ca.pem"], "--tls-client-ca", "of no use without --tls-cert"),
    (["--tls-cert", "server.pem", "--tls-key", "none"], "--tls-key none", "No such file"),
    (["--tls-cert", "server.pem", "--tls-key", "client.key"], "--tls-key", "not the key"),
    (["--tls-cert", "expired.pem", "--tls-key", "expired.key"], "--tls-cert", "has expired"),
    (["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "ca.key"],
     "--tls-client-ca", "no certificate"),
    (["-o", "csv:tls://h:1", "--tls-ca", "none"], "--tls-ca", "No such file"),
    (["-o", "csv:tls://h:1", "--tls-output-cert", "client.pem"], "--tls-output-cert",
     "of no use without --tls-output-key"),
    (["-o", "csv:tls://h:1", "--tls-output-cert", "expired.pem", "--tls-output-key", "expired.key"],
     "--tls-output-cert", "has expired"),
])
def test_files_that_are_of_no_use(certificates, given, option, why):
    err = harness.run(*given, status=2, cwd=certificates.folder).err
    assert len(err.splitlines()) == 1 and why in err and f'option="{option}' in err, err
