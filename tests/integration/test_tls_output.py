# SPDX-License-Identifier: Apache-2.0
"""
tls:// outputs: what is promised over TCP holds within TLS, and nothing is sent to a collector that is
not who it has to be.
"""
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

import collectors
import harness
import sessions
import test_stream
from test_stream import Load, collect, finish, flat, received, to, wait_break, wait_connected


@pytest.fixture
def collect_tls(collect, certificates):
    """collect_tls(name="server", client_ca=None): a Collector that speaks TLS."""

    def make(name="server", client_ca=None):
        demand = [certificates.pem(client_ca)] if client_ca else []
        return collect([*certificates.pair(name), *demand])

    return make


@pytest.fixture
def trust(certificates):
    return "--tls-ca", certificates.pem("ca")


# ---- nothing is lost -----------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [3, pytest.param(250, marks=pytest.mark.long)])
def test_kills_lose_nothing(start, collect_tls, trust, kills):
    test_stream.run_kills(start, collect_tls, kills, *trust)


@pytest.mark.parametrize("fmt", ["ipfix", pytest.param("csv", marks=pytest.mark.long)])
def test_all_of_it_arrives(start, collect_tls, trust, fmt):
    """By name and by address; the session ends with close_notify."""
    collector = collect_tls()
    host = "localhost" if harness.resolves("localhost") else "127.0.0.1"
    with start("-o", f"{fmt}:tls://{host}:{collector.port}", *trust) as daemon:
        load = Load(daemon, peers=3, records=2000, most=20)
        sent = load.wait()
        counters = daemon.stats()
        finish(daemon, collector)
    lists = received(collector, fmt)
    assert len(lists) == 1 and sorted(flat(lists)) == sorted(sent)
    assert counters["output0_sessions"] == 1 and counters["output0_flows_resent"] == 0


def test_a_real_decoder_reads_what_came_through_tls(start, collect_tls, trust):
    collector = collect_tls()
    with start(*to(collector), *trust) as daemon:
        assert daemon.ask("a", sessions.numbered(0, 500)) == "ACK a 500"
        finish(daemon, collector)
    _, records = collectors.ipfixdump(collector.sessions()[0])
    assert [int(r["values"]["octetDeltaCount"]) for r in records
            if "octetDeltaCount" in r["values"]] == list(range(500))


def test_a_collector_that_stops_reading(start, collect_tls, trust):
    """No ACK for what its kernel has not got, memory stays bounded, all comes once it reads."""
    binary, more = (harness.RELEASE, 0) if harness.RELEASE else (harness.BINARY, 512 * harness.MIB)
    collector = collect_tls()
    with start(*to(collector), *trust, binary=binary) as daemon:
        collector.pause()
        load = Load(daemon, peers=4, records=5000, ahead=200, most=20)
        test_stream.wait_stuck(daemon)
        taken = test_stream.in_kernel(collector.port)
        assert load.acked_flows() * test_stream.IPFIX_RECORD <= taken < 40 * harness.MIB
        collector.resume()
        sent = load.wait()
        peak = daemon.peak_memory()
        counters = daemon.stats()
        finish(daemon, collector)
    assert counters["output0_flows_resent"] == 0 and counters["output0_sessions"] == 1
    assert sorted(flat(received(collector))) == sorted(sent)
    assert peak < 96 * harness.MIB + more, f"{peak / harness.MIB:.0f} MiB"


def test_small_puts_are_not_held_back(start, collect_tls, trust):
    collector = collect_tls()
    with start(*to(collector), *trust) as daemon, daemon.connect() as peer:
        for n in range(20):
            assert peer.ask(f"a{n}", sessions.numbered(n, 1)) == f"ACK a{n} 1"
        finish(daemon, collector)
    assert received(collector) == [list(range(20))]


def test_read_ends_when_all_is_delivered(collect_tls, trust):
    collector = collect_tls()
    harness.read(*to(collector, "csv"), *trust, stdin=sessions.numbered(0, 20_000))
    collector.stop()
    assert received(collector, "csv") == [list(range(20_000))]


def test_openssl_s_server(start, certificates, trust, tmp_path):
    """A collector that Python had no part in."""
    port = free_port()
    with open(tmp_path / "out", "wb") as out:
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-naccept", "1",
             "-cert", certificates.pem("server"), "-key", certificates.key("server")],
            stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL)
    try:
        harness.wait_for("s_server", lambda: listens(port))
        with start("-o", f"csv:tls://127.0.0.1:{port}", *trust) as daemon:
            assert daemon.ask("a", sessions.numbered(0, 5000)) == "ACK a 5000"
            daemon.terminate()
        server.wait(harness.WAIT)
    finally:
        server.kill()
        server.wait()
    assert sessions.csv_numbers((tmp_path / "out").read_bytes()) == list(range(5000))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port):
    with open("/proc/net/tcp", encoding="ascii") as file:
        return any(line.split()[1] == f"0100007F:{port:04X}" and line.split()[3] == "0A"
                   for line in file.readlines()[1:])


# ---- who it has to be ----------------------------------------------------------------------------

REFUSED = [
    ("server", "stranger", "127.0.0.1", "certificate refused: unable to get local issuer certificate"),
    ("server", None, "127.0.0.1", "certificate refused: unable to get local issuer certificate"),
    ("elsewhere", "ca", "127.0.0.1", "certificate refused: IP address mismatch"),
    ("elsewhere", "ca", "localhost", "certificate refused: hostname mismatch"),
    ("late", "past", "localhost", "certificate refused: certificate has expired"),
]


@pytest.mark.parametrize("name, ca, host, why", REFUSED)
def test_the_first_collector_has_to_be_the_right_one(collect_tls, certificates, name, ca, host, why):
    if not harness.resolves(host):
        pytest.skip(f"no {host} here")
    collector = collect_tls(name)
    trust = ["--tls-ca", certificates.pem(ca)] if ca else []
    err = harness.run("-o", f"csv:tls://{host}:{collector.port}", *trust, "-l", "127.0.0.1:0",
                      status=1).err
    assert f"ERROR output: no TLS session: {why} output=csv:tls://{host}" in err
    assert "ERROR output: cannot connect option=" in err
    assert collector.sessions() == [b""]


def test_a_collector_without_tls_at_the_start(collect, trust):
    """It is given a ClientHello and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(harness.WAIT)

        def work(n):
            if n == 0:
                return harness.run("-o", f"csv:tls://127.0.0.1:{listener.getsockname()[1]}", *trust,
                                   "-l", "127.0.0.1:0", status=1).err
            with listener.accept()[0] as session:
                got = session.recv(65536)
                session.sendall(b"220 welcome\r\n")
                while octets := session.recv(65536):
                    got += octets
                return got

        err, got = harness.in_threads(2, work)
    assert "no TLS session: not TLS: the other side does not speak it" in err
    assert got[:1] == b"\x16" and b"srcaddr" not in got


def test_another_one_later_gets_nothing_and_is_told_once(start, collect_tls, certificates, trust):
    """Tried again as one that refuses connections is, until the right one is back."""
    collector = collect_tls()
    with start(*to(collector), *trust, "--reconnect-max", "1", "-v") as daemon:
        assert daemon.ask("a", sessions.numbered(0, 10)) == "ACK a 10"
        collector.wait_sessions(1, 10 * test_stream.IPFIX_RECORD)
        right, collector.tls = collector.tls, list(certificates.pair("intruder"))
        collector.restart()
        wait_break(daemon)
        daemon.wait_log("output: no TLS session: ", 2)
        with daemon.connect() as peer:
            peer.put("b", sessions.numbered(10, 10))
            daemon.wait_log("output: no TLS session: ", 3)
            assert daemon.stats()["acks"] == 1
            collector.tls = right
            collector.restart()
            assert peer.reply() == "ACK b 10"
        told = daemon.log_lines("(WARN|ERROR) output: no TLS session: certificate refused: ")
        assert len(told) == 1 and told[0].startswith("WARN"), told
        finish(daemon, collector)
    lists = received(collector)
    assert lists[0] == list(range(10)) and set(lists[-1]) >= set(range(10, 20))
    assert not flat(lists[1:-1])


def showing(certificates, name):
    return ["--tls-output-cert", certificates.pem(name), "--tls-output-key",
            certificates.key(name)] if name else []


REFUSED_AS = {None: "tlsv13 alert certificate required", "intruder": "tlsv1 alert unknown ca"}


def test_a_collector_that_demands_a_certificate(start, collect_tls, certificates, trust):
    collector = collect_tls(client_ca="ca")
    with start(*to(collector), *trust, *showing(certificates, "client")) as daemon:
        assert daemon.ask("a", sessions.numbered(0, 10)) == "ACK a 10"
        finish(daemon, collector)
    assert received(collector) == [list(range(10))]


def test_a_collector_that_demands_one_and_says_nothing(start, certificates, trust):
    """Without tickets it has no word of consent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates.pair("server"))
    context.load_verify_locations(certificates.pem("ca"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    got = []

    def work(n):
        if n == 0:
            session, _ = listener.accept()
            with context.wrap_socket(session, server_side=True) as secured:
                while octets := secured.recv(65536):
                    got.append(octets)
            return
        port = listener.getsockname()[1]
        harness.read("-o", f"csv:tls://127.0.0.1:{port}", *trust, *showing(certificates, "client"),
                     stdin=sessions.numbered(0, 10))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(harness.WAIT)
        harness.in_threads(2, work)
    assert sessions.csv_numbers(b"".join(got)) == list(range(10))


@pytest.mark.parametrize("shows", REFUSED_AS)
def test_a_certificate_that_is_refused_at_the_start(collect_tls, certificates, trust, shows):
    """In TLS 1.3 it is, too, though the handshake is over by then: nothing counts as delivered."""
    collector = collect_tls(client_ca="ca")
    err = harness.read(*to(collector, "csv"), *trust, *showing(certificates, shows),
                       stdin=sessions.numbered(0, 10), status=1).err
    assert f"no TLS session: refused by the other side: {REFUSED_AS[shows]}" in err
    assert "cannot connect" in err


def test_a_certificate_that_is_refused_later(start, collect_tls, certificates, trust):
    collector = collect_tls()
    with start(*to(collector), *trust, "--reconnect-max", "1") as daemon:
        plain, collector.tls = collector.tls, [*collector.tls, certificates.pem("ca")]
        collector.restart()
        daemon.wait_log("WARN output: no TLS session: refused by the other side: ")
        with daemon.connect() as peer:
            peer.put("a", sessions.numbered(0, 10))
            daemon.wait_stats(flows=10)
            collector.tls = plain
            collector.restart()
            assert peer.reply() == "ACK a 10"
        assert daemon.stats()["output0_flows_resent"] == 0
        finish(daemon, collector)
    assert received(collector)[-1] == list(range(10))


@pytest.mark.long
def test_a_handshake_that_does_not_come(trust):
    """Connected, and silent: given up as a connect would be."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = harness.run("-o", f"csv:tls://127.0.0.1:{listener.getsockname()[1]}", *trust,
                             "-l", "127.0.0.1:0", status=1)
    assert "cannot connect" in result.err and "timed out" in result.err


# ---- configuration -------------------------------------------------------------------------------


def test_hup_changes_the_next_session(start, collect_tls, certificates, tmp_path):
    """Trust and certificate are those of the configuration in force; a session lives on with its own."""
    for name in "ca.pem", "own.pem", "own.key":
        source = {"ca.pem": certificates.pem("ca"), "own.pem": certificates.pem("client"),
                  "own.key": certificates.key("client")}[name]
        shutil.copy(source, tmp_path / name)
    collector = collect_tls(client_ca="ca")
    with start(*to(collector), "--tls-ca", tmp_path / "ca.pem", "--tls-output-cert",
               tmp_path / "own.pem", "--tls-output-key", tmp_path / "own.key", "--reconnect-max",
               "1") as daemon:
        assert daemon.ask("a", sessions.numbered(0, 10)) == "ACK a 10"
        shutil.copy(certificates.pem("stranger"), tmp_path / "ca.pem")
        shutil.copy(certificates.pem("intruder"), tmp_path / "own.pem")
        shutil.copy(certificates.key("intruder"), tmp_path / "own.key")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration read again")
        assert daemon.ask("b", sessions.numbered(10, 10)) == "ACK b 10"
        assert daemon.stats()["output0_sessions"] == 1
        collector.wait_sessions(1, 20 * test_stream.IPFIX_RECORD)
        collector.tls = [*certificates.pair("intruder"), certificates.pem("stranger")]
        collector.restart()
        daemon.wait_log("no TLS session: certificate refused: IP address mismatch")
        finish(daemon, collector)
    assert received(collector)[0] == list(range(20))


def test_options_without_such_an_output_are_told(certificates):
    err = harness.read("--tls-ca", certificates.pem("ca")).err
    assert "WARN config: --tls-ca is for tls:// outputs" in err
