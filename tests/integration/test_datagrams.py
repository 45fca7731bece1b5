# SPDX-License-Identifier: Apache-2.0
"""
udp:// outputs. What is sent is ACKed, as datagrams have no acknowledgement; what is known to be
lost is counted and told, and never stops anything.
"""
import collections
import json
import re
import socket
import time

import pytest

import collectors
import harness
import payloads
import sessions


def to(port, host="127.0.0.1"):
    return "-o", f"ipfix:udp://{host}:{port}"


def decoded(datagrams, late=False):
    """The session that datagrams are; each is one message. late: who took them began late."""
    session = sessions.Session(late=late)
    for datagram in datagrams:
        message, = collectors.messages(datagram)
        session.take(message)
    return session


def times_told(session, before=10**9):
    """How often each template was told, in the messages before one."""
    return collections.Counter((domain, ident) for at, domain, ident in session.templates
                               if at < before)


def first_flow(session):
    return next(n for n, flows in enumerate(session.flows) if flows)


@pytest.fixture
def sink():
    with collectors.UdpSink() as made:
        yield made


# ---- what is sent --------------------------------------------------------------------------------


@pytest.mark.parametrize("mtu", [576, 1400, 9000])
def test_every_flow_in_datagrams_of_at_most_the_mtu(start, sink, mtu):
    with start(*to(sink.port), "--mtu", mtu) as daemon:
        assert daemon.ask("a", sessions.numbered(0, 5000)) == "ACK a 5000"
        counters = daemon.stats()
    sink.stop()
    session = decoded(sink.datagrams)
    sizes = [len(d) for d, flows in zip(sink.datagrams, session.flows) if flows]
    assert max(map(len, sink.datagrams)) <= mtu
    assert sorted(sizes)[len(sizes) // 2] > mtu * 0.85, "datagrams that could hold more"
    assert session.numbers == list(range(5000))
    assert counters["output0_flows_lost"] == counters["output0_flows_resent"] == 0


def test_templates_twice_before_the_first_flow(start, sink):
    """A datagram is easily lost."""
    with start(*to(sink.port)) as daemon:
        assert daemon.ask("a", sessions.numbered(0, 1)) == "ACK a 1"
    sink.stop()
    session = decoded(sink.datagrams)
    assert session.numbers == [0]
    before = times_told(session, first_flow(session))
    assert before == times_told(session) and set(before.values()) == {2}, before


@pytest.mark.parametrize("messages", [1, 2, 3, 20])
def test_templates_again_after_so_many_messages(start, sink, messages):
    """--template-messages, down to the fewest."""
    with start(*to(sink.port), "--mtu", "576", "--template-messages", messages) as daemon:
        assert daemon.ask("a", sessions.numbered(0, 2000)) == "ACK a 2000"
    sink.stop()
    session = decoded(sink.datagrams)
    assert session.numbers == list(range(2000))
    told = sorted({at for at, _, _ in session.templates})
    gaps = [b - a for a, b in zip(told, told[1:])]
    carriers = sum(flows > 0 for flows in session.flows)
    assert max(gaps) <= messages + 2
    assert min(times_told(session).values()) >= max(3, carriers // (messages + 3))


def test_templates_again_after_some_time(start, sink):
    """--template-refresh, without any flow; what options tell comes, too."""
    with start(*to(sink.port), "--template-refresh", "1") as daemon:
        assert daemon.ask("a", sessions.numbered(0, 1)) == "ACK a 1"
        count = len(sink.datagrams)
        harness.wait_for("a refresh", lambda: len(sink.datagrams) > count and
                         min(times_told(decoded(list(sink.datagrams))).values()) >= 3)
    sink.stop()
    session = decoded(sink.datagrams)
    sampling = [record for record in session.options if 34 in record]
    assert session.numbers == [0] and len(sampling) >= 2


def test_two_domains_in_one_session(start, sink, tmp_path):
    """Each has its own templates and its own sequence numbers, which decoded() looks at."""
    config = tmp_path / "vpcflowd.json"
    config.write_text(json.dumps({"sources": [
        {"log-group": "/vpc/a", "domain": 7}, {"log-group": "/vpc/b", "domain": 4294967295}]}))
    with start(*to(sink.port), "-c", config) as daemon:
        for n, group in enumerate(["/vpc/a", "/vpc/b", "/vpc/a", "/vpc/b", "elsewhere"]):
            lines = sessions.numbered(100 * n, 100).decode().splitlines()
            assert daemon.ask(f"a{n}", payloads.decoded(lines, group=group)) == f"ACK a{n} 100"
    sink.stop()
    session = decoded(sink.datagrams)
    assert sorted(session.numbers) == list(range(500))
    domains = {7, 4294967295, 1}
    assert {collectors.header(d).domain for d in sink.datagrams} == domains
    assert {domain for _, domain, _ in session.templates} == domains
    assert set(times_told(session).values()) == {2}


# ---- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("output, reason", [
    ("csv:udp://127.0.0.1:4739", "udp:// takes ipfix only"),
    ("json:udp://127.0.0.1:4739", "udp:// takes ipfix only"),
    ("ftsq:udp://127.0.0.1:4739", "udp:// takes ipfix only"),
    ("ipfix-csv:udp://127.0.0.1:4739", "udp:// takes ipfix only"),
    ("ipfix:udp://127.0.0.1:0", "not HOST:PORT"),
    ("ipfix:udp://127.0.0.1:70000", "not HOST:PORT"),
    ("ipfix:udp://127.0.0.1:", "not HOST:PORT"),
    ("ipfix:udp://127.0.0.1", "not HOST:PORT"),
    ("ipfix:udp://:4739", "not HOST:PORT"),
    ("ipfix:udp://", "not HOST:PORT"),
    ("ipfix:udp://::1:4739", "not HOST:PORT"),
    ("ipfix:sctp://127.0.0.1:4739", "no such destination"),
])
def test_a_mistake_is_told(output, reason):
    done = harness.run("-o", output, status=2)
    assert re.fullmatch(rf"ERROR config: bad value: .*{reason}.* option=\"--output {output}\"\n",
                        done.err), done.err


def test_no_start_without_an_address(tmp_path):
    ready = tmp_path / "ready"
    done = harness.run("--listen", "127.0.0.1:0", "--ready-file", ready, *to(4739, "name.invalid"),
                       status=1)
    assert re.fullmatch('ERROR output: cannot connect option="--output ipfix:udp://name.invalid:'
                        '4739" error=".+"\n', done.err), done.err
    assert not ready.exists()


# ---- datagrams that go nowhere -------------------------------------------------------------------


class LateSink:
    """A sink on a port on which nobody has listened up to now."""

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.socket.settimeout(0.02)
        self.datagrams = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()

    def read(self):
        """All that has come up to now."""
        try:
            while True:
                self.datagrams.append(self.socket.recv(65536))
        except TimeoutError:
            return list(self.datagrams)


def test_refused_datagrams_are_counted_and_told(start):
    """
    Nobody listens: it goes on, ACKs, counts, and warns once. Then a collector begins there: it gets
    templates before flows, and the number of flows that it has not got.
    """
    port = collectors.free_udp_port()
    with start(*to(port)) as daemon:
        for n in range(5):
            assert daemon.ask(f"a{n}", sessions.numbered(10 * n, 10)) == f"ACK a{n} 10"
            daemon.wait_stats(output0_flows_lost=10 * (n + 1))
        assert len(daemon.log_lines("WARN output: ")) == 1
        with LateSink(port) as sink:
            assert daemon.ask("b", sessions.numbered(100, 10)) == "ACK b 10"
            assert daemon.ask("c", sessions.numbered(110, 10)) == "ACK c 10"
            assert daemon.stats()["output0_flows_lost"] == 50
            daemon.terminate()
            session = decoded(sink.read(), late=True)
        assert len(daemon.log_lines("WARN output: ")) == 1
    assert session.numbers == list(range(100, 120))
    assert session.lost() == 50


def test_templates_come_again_however_fast_it_was_refused(start):
    """
    Several PUTs in a row are refused, the templates before them, too, and the next one is not: a
    collector that began in between can decode it.
    """
    for _ in range(5):
        port = collectors.free_udp_port()
        with start(*to(port)) as daemon:
            with daemon.connect() as peer:
                for n in range(6):
                    assert peer.ask(f"a{n}", sessions.numbered(n, 1)) == f"ACK a{n} 1"
                sink = LateSink(port)
                assert peer.ask("b", sessions.numbered(100, 1)) == "ACK b 1"
            with sink:
                daemon.terminate()
                assert decoded(sink.read(), late=True).numbers[-1:] == [100]


def test_a_collector_that_comes_and_goes(start):
    """Each change of state is told once, whatever number of datagrams it concerns."""
    port = collectors.free_udp_port()
    with start(*to(port)) as daemon, daemon.connect() as peer:
        for n in range(2):
            lost = daemon.stats()["output0_flows_lost"]
            for m in range(3):
                assert peer.ask(f"a{n}.{m}", sessions.numbered(10 * n + m, 10)) == \
                    f"ACK a{n}.{m} 10"
            daemon.wait_stats(output0_flows_lost=lost + 30)
            with LateSink(port) as sink:
                for m in range(3):
                    assert peer.ask(f"b{n}.{m}", sessions.numbered(100 * n + m, 1)) == \
                        f"ACK b{n}.{m} 1"
                daemon.wait_log("sending again", n + 1)
                got = decoded(sink.read(), late=True).numbers
                assert got == [100 * n, 100 * n + 1, 100 * n + 2]
        told = daemon.log_lines("nobody listens|sending again")
        assert [line.split()[0] for line in told] == ["WARN", "INFO"] * 2, told
        assert daemon.stats()["output0_sessions"] == 1


def test_a_collector_that_does_not_read_blocks_nothing(start):
    """Its kernel drops what is too much for the smallest of buffers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.bind(("127.0.0.1", 0))
        with start(*to(deaf.getsockname()[1])) as daemon:
            assert daemon.ask("a", sessions.numbered(0, 50_000)) == "ACK a 50000"
            assert daemon.ask("b", sessions.numbered(50_000, 1)) == "ACK b 1"
            assert daemon.stats()["output0_flows_lost"] == 0


# ---- --udp-rate ----------------------------------------------------------------------------------


def test_a_rate_is_kept(start, sink):
    """Records a second, whatever is saved up for a burst; without it the same is sent at once."""
    took = {}
    for rate in 2000, 0:
        with start(*to(sink.port), "--udp-rate", rate) as daemon:
            began = time.monotonic()
            first = len(sink.datagrams)
            assert daemon.ask("a", sessions.numbered(0, 3000)) == "ACK a 3000"
            took[rate] = time.monotonic() - began
            daemon.terminate()
        harness.wait_for("all flows", lambda: len(decoded(sink.datagrams[first:]).numbers) == 3000)
        assert decoded(sink.datagrams[first:]).numbers == list(range(3000))
    assert took[2000] >= (3000 - 200) / 2000 > took[0], took


def test_the_end_waits_for_the_rate(start, sink):
    """SIGTERM while flows wait for their time: all of them are sent."""
    with start(*to(sink.port), "--udp-rate", "2000") as daemon, daemon.connect() as peer:
        peer.send(sessions.numbered(0, 2500)).half_close()
        daemon.wait_stats(flows=2500)
        daemon.begin_drain()
        daemon.wait_end()
    sink.stop()
    assert decoded(sink.datagrams).numbers == list(range(2500))


def test_read_into_datagrams(tmp_path, sink):
    path = tmp_path / "flows.log"
    path.write_bytes(sessions.numbered(0, 3000))
    host = "localhost" if harness.resolves("localhost") else "127.0.0.1"
    harness.run(*to(sink.port, host), "--read", path)
    sink.stop()
    assert decoded(sink.datagrams).numbers == list(range(3000))
