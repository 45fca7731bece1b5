# SPDX-License-Identifier: Apache-2.0
"""
--http: what is answered and what is not, and that who asks does not slow the flows. What
Prometheus makes of the metrics is test_metrics.py's.
"""
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import collectors
import harness
import payloads
import sandbox
import sessions
import watching

SERVICE = os.path.join(os.path.dirname(os.path.dirname(harness.DATA)), "scripts", "vpcflowd.service")
EVERY_ANSWER = {
    "Cache-Control": "no-store", "Connection": "close", "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.fixture
def watch(tmp_path):
    """watch(option..., at="0"): a listening watching.Daemon, to be used with `with`."""

    def make(*options, **how):
        return watching.Daemon(tmp_path, *options, **how)

    return make


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """One for all tests that only ask."""
    with watching.Daemon(tmp_path_factory.mktemp("watched")) as daemon:
        daemon.wait_health(200, "ok")
        yield daemon


def raw(daemon, octets):
    """What comes back until the connection ends."""
    with harness.Peer(daemon.http) as peer:
        return peer.send(octets).rest()


# ---- what is answered --------------------------------------------------------------------------------


def test_every_answer_is_for_who_asked_alone(watched):
    for method, path, status in (("GET", "/healthz", 200), ("GET", "/metrics", 200),
                                 ("GET", "/nothing", 404), ("POST", "/healthz", 405)):
        got, headers, body = watched.request(path, method=method)
        assert got == status
        assert {name: headers[name] for name in EVERY_ANSWER} == EVERY_ANSWER
        assert int(headers["Content-Length"]) == len(body)
        assert headers["Content-Type"].startswith("text/plain")
        assert not [name for name in headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/healthz", "/healthz?", "/healthz?a=b&c"])
def test_what_follows_a_question_mark_is_ignored(watched, path):
    assert watched.get(path)[::2] == (200, "ok\n")


@pytest.mark.parametrize("path", ["/metrics/", "//healthz", "/healthz%00", "/HEALTHZ", "/../etc/passwd",
                                  "/%2e%2e/healthz", "/favicon.ico", "/" + "a" * 4000])
def test_any_other_path_is_not_found(watched, path):
    assert watched.get(path)[::2] == (404, "not found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FLOWS"])
def test_other_methods_are_told_which_there_are(watched, method):
    for body in None, b"x" * 1000:
        status, headers, text = watched.request("/metrics", method=method, body=body)
        assert (status, headers["Allow"], text) == (405, "GET, HEAD", "GET and HEAD only\n")


def test_head_is_get_without_the_body(watched):
    for path in "/metrics", "/nothing":
        status, headers, body = watched.request(path, method="HEAD")
        assert body == "" and int(headers["Content-Length"]) > 0
        assert status == watched.get(path)[0]


@pytest.mark.parametrize("host, status", [
    ("127.0.0.1", 200), ("127.0.0.1:9555", 200), ("localhost", 200), ("LocalHost:9555", 200),
    ("[::1]:9555", 200), ("10.1.2.3:80", 200),
    ("evil.example", 421), ("evil.example:9555", 421), ("localhost.evil.example", 421), ("localhos", 421),
    ("[evil.example]", 421), ("127.0.0.1.evil.example", 421), ("", 421),
])
def test_a_name_that_leads_here_is_not_answered(watched, host, status):
    """DNS rebinding: the page of evil.example asks its own name, which is 127.0.0.1 by now."""
    got, _, body = watched.get("/metrics", headers={"Host": host})
    assert got == status
    assert ("vpcflowd_" in body) == (status == 200)


def test_elsewhere_than_on_loopback_any_name_will_do(watch):
    with watch(at="0.0.0.0:0") as daemon:
        assert daemon.http[0] == "0.0.0.0"
        assert daemon.get("/healthz", headers={"Host": "flows.example:9555"})[0] == 200


def test_requests_that_are_too_large(watched):
    """In the line, in one header, in many, and in a body that nobody reads."""
    assert b" 414 " in raw(watched, b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    line = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    assert b" 431 " in raw(watched, line + b"A: " + b"a" * 40_000 + b"\r\n\r\n")
    assert b" 431 " in raw(watched, line + b"A: a\r\n" * 8000 + b"\r\n")
    with harness.Peer(watched.http) as peer:
        peer.send(b"POST /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n")
        assert peer.line().startswith("HTTP/1.1 405 ")
    assert watched.get("/healthz")[0] == 200


def test_one_request_a_connection(watched):
    line = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n"
    assert raw(watched, line * 3).count(b"HTTP/1.1 200 ") == 1


# ---- who is slow, and who is many --------------------------------------------------------------------


NO_REQUESTS = (
    b"", b"GET", b"GET /healthz HTTP/1.1\r\nHo", b"\r\n\r\n", b"GET\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/9.9\r\n\r\n", b"PUT a 5\nhello",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"x" * 160, b"\0" * 500,
    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n",
)


def test_who_does_not_ask_is_sent_away_and_in_nobody_elses_way(watched):
    """Silence, half a request, or something else; some go on listening, others have ended."""
    silent = [harness.Peer(watched.http, source="127.0.0.2") for _ in range(32)]
    with harness.Peer(watched.http, source="127.0.0.2") as one_more:
        assert one_more.rest() == b"", "one address may have 32 of all places"
    others = [harness.Peer(watched.http, source="127.0.0.3") for _ in range(2 * len(NO_REQUESTS))]
    for n, peer in enumerate(others):
        peer.send(NO_REQUESTS[n // 2])
        if n % 2:
            peer.half_close()
    assert watched.get("/healthz")[0] == 200
    for peer in silent + others:
        answer = peer.rest()
        assert b" 200 " not in answer and b"ok\n" not in answer
        peer.close()

    def has_a_place_again():
        """The library takes note of ends one by one, and a moment later."""
        try:
            return watched.get("/healthz", source="127.0.0.2")[0] == 200
        except ConnectionError:
            return False
    harness.wait_for("a place for that address", has_a_place_again)


@pytest.mark.long
def test_who_trickles_is_sent_away(watched):
    """An octet now and then is not silence; a connection ends all the same."""
    with harness.Peer(watched.http) as peer:
        peer.send(b"GET /healthz HTTP/1.1\r\nA: ")
        ended = threading.Event()

        def trickle():
            while not ended.wait(0.5):
                try:
                    peer.send(b"a")
                except OSError:
                    return

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        assert b" 200 " not in peer.rest()
        ended.set()
        thread.join(harness.WAIT)


class Crowd:
    """So many who ask for /metrics at once, from addresses of their own, and again, as one process."""

    def __init__(self, count, address):
        self.process = subprocess.Popen([sys.executable, __file__, str(count), *map(str, address)],
                                        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "asked\n"

    def end(self):
        """How many asked, and how many were answered whole."""
        out, _ = self.process.communicate("end\n", timeout=60)
        assert self.process.returncode == 0
        asked, answered = out.split()
        return int(asked), int(answered)


def ask_for_metrics(source, address):
    s = socket.socket()
    s.bind((source, 0))
    s.connect(address)
    s.send(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    s.setblocking(False)
    return s


def is_whole(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return b" 200 OK" in head and len(body) == int(length.group(1)) and b"flows_total" in body


def be_a_crowd(count, address):
    """Who has been answered asks again, until somebody writes to standard input."""
    waiting = selectors.DefaultSelector()
    asked = answered = 0

    def ask(source):
        waiting.register(ask_for_metrics(source, address), selectors.EVENT_READ, (source, []))

    for n in range(count):
        ask(f"127.2.{n >> 8}.{n & 255}")
        asked += 1
    print("asked", flush=True)
    waiting.register(sys.stdin, selectors.EVENT_READ)
    while waiting.get_map():
        for key, _ in waiting.select(30):
            if key.fileobj is sys.stdin:
                waiting.unregister(sys.stdin)
                count = 0
                continue
            source, octets = key.data
            octets.append(key.fileobj.recv(65536))
            if octets[-1]:
                continue
            answered += is_whole(b"".join(octets))
            waiting.unregister(key.fileobj)
            key.fileobj.close()
            if count:
                ask(source)
                asked += 1
    print(asked, answered)


def test_a_thousand_who_ask_at_once_do_not_slow_the_flows(watch):
    """All are answered, and the flows that come meanwhile take their usual time, by and large."""
    count = 100

    def push(peer, ident):
        """The time that so many PUTs take, one after another."""
        octets = [payloads.decoded(payloads.records(100)) for _ in range(count)]
        begin = time.monotonic()
        for n in range(count):
            assert peer.ask(f"{ident}{n}", octets[n]) == f"ACK {ident}{n} 100"
        return time.monotonic() - begin

    with watch("--workers", "2") as daemon, daemon.connect() as peer:
        alone = push(peer, "a")
        crowd = Crowd(1000, daemon.http)
        crowded = push(peer, "b")
        asked, answered = crowd.end()
        print(f"{count} payloads: {alone:.3f} s, while {asked} asked: {crowded:.3f} s")
        assert answered == asked >= 1000
        assert crowded < 10 * alone + 1
        daemon.wait_metric("vpcflowd_flows_total", 2 * count * 100)


# ---- health --------------------------------------------------------------------------------------------


def test_health_follows_a_collector(watch, tmp_path):
    collector = collectors.TcpCollector(tmp_path / "collector", watching.free_port())
    to = f"ipfix:tcp://127.0.0.1:{collector.port}"
    up = 'vpcflowd_output_up{destination="%s",format="ipfix",output="0"}' % to.removeprefix("ipfix:")
    with watch("-o", to, "--reconnect-max", "1", "--spool", tmp_path / "spool", "-w", "2") as daemon:
        daemon.wait_health(503, f"output 0 is not connected: {to}")
        collector.start()
        daemon.wait_health(200, "ok")
        assert daemon.metrics()[up] == 1
        collector.stop()
        daemon.wait_health(503, f"output 0 is not connected: {to}")
        assert daemon.metrics()[up] == 0


def test_health_follows_a_slow_reader_and_a_full_spool(watch, tmp_path):
    with watch("--spool", tmp_path / "spool", "--spool-max", "8M", "--spool-segment", "64K",
               pipe=True) as daemon, daemon.connect() as peer:
        daemon.wait_health(200, "ok")
        assert peer.ask("clog", sessions.numbered(10**6, 60_000)) == "ACK clog 60000"
        daemon.wait_health(503, "output 0 takes no flows: ftsq")
        sent = 0
        while (answer := peer.ask(f"p{sent}", sessions.numbered(2000 * sent, 2000))).startswith("ACK"):
            sent += 1
            assert sent < 100
        assert answer.endswith(" spool full")
        daemon.wait_health(503, "output 0 takes no flows: ftsq", f"the spool is full: {tmp_path}")
        assert daemon.metrics()["vpcflowd_spool_full"] == 1
        daemon.pipe.start_reading()
        daemon.wait_health(200, "ok")
        metrics = daemon.metrics()
        assert metrics["vpcflowd_spool_full"] == 0
        assert metrics["vpcflowd_spool_refused_payloads_total"] == 1
        daemon.wait_stats(flows=60_000 + 2000 * sent)


def test_while_it_drains_it_is_not_well(watch):
    with watch(pipe=True) as daemon, daemon.connect() as peer:
        daemon.wait_health(200, "ok")
        peer.put("a", sessions.numbered(0, 60_000))
        daemon.wait_stats(flows=20_000)
        daemon.begin_drain()
        harness.wait_for("what it says", lambda: daemon.health()[1][0] == "stopping")
        assert daemon.health()[0] == 503
        daemon.pipe.start_reading()
        assert peer.reply() == "ACK a 60000"
        daemon.wait_end()
        with pytest.raises(OSError):
            daemon.get("/healthz")


# ---- on and off ----------------------------------------------------------------------------------------


def tasks(daemon):
    """Number, name and blocked signals of each thread."""
    folder = f"/proc/{daemon.process.pid}/task"
    found = []
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/status", encoding="ascii") as file:
            text = file.read()
        found.append((int(task), re.search(r"Name:\t(.*)", text).group(1),
                      int(re.search(r"SigBlk:\t(.*)", text).group(1), 16)))
    return found


def niceness(daemon, task):
    with open(f"/proc/{daemon.process.pid}/task/{task}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[16])


def descriptors(daemon):
    folder = f"/proc/{daemon.process.pid}/fd"
    return sorted(re.sub(r"\d+", "N", os.readlink(f"{folder}/{n}")) for n in os.listdir(folder))


def test_without_it_there_is_no_thread_and_no_socket(start, watch):
    with start() as daemon:
        plain, without = tasks(daemon), descriptors(daemon)
    with watch() as daemon:
        daemon.wait_health(200, "ok")
        harness.wait_for("one socket more, once that was answered", lambda: descriptors(daemon).count(
            "socket:[N]") == without.count("socket:[N]") + 1)
        watched = tasks(daemon)
        nice = {task[1]: niceness(daemon, task[0]) for task in watched}
    assert len(watched) == len(plain) + 1
    own = [task for task in watched if task[1].startswith("MHD")]
    assert len(own) == 1
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1:
        assert own[0][2] & 1 << number - 1, "signals are the main loop's"
    assert nice.pop(own[0][1]) > max(nice.values()), "flows come first"


@pytest.mark.parametrize("value, at", [
    ("9555", "127.0.0.1:9555"), (":9555", "127.0.0.1:9555"), ("[::]:9555", "[::]:9555"),
    ("[::1]:0", "[::1]:0"), ("10.0.0.1:65535", "10.0.0.1:65535"),
])
def test_addresses(value, at):
    assert f"\nhttp {at}\n" in harness.run("--http", value, "--check-config").out
    assert "http" not in harness.run("--http", value, "--check-config", "--read", "-").out


@pytest.mark.parametrize("value", ["", "x", ":", "65536", "::1:80", "localhost:80", "127.0.0.1",
                                   "127.0.0.1:", "1.2.3.4:x", "-1", "99999999999999999999"])
def test_what_is_no_address(value):
    result = harness.run("--http", value, status=2)
    assert "ERROR config: bad value: not ADDR:PORT or PORT" in result.err


def test_an_address_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = "127.0.0.1:%d" % taken.getsockname()[1]
        result = harness.run("--http", at, "--listen", "127.0.0.1:0", status=1)
    assert f'ERROR http: cannot listen option="--http {at}" error="address already in use"' in result.err


def test_over_ipv6(watch):
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with watch(at="[::1]:0") as daemon:
        assert daemon.http[0] == "::1"
        assert daemon.get("/metrics")[0] == 200
        assert daemon.get("/metrics", headers={"Host": "evil.example"})[0] == 421


def test_hup_says_that_it_takes_a_restart(tmp_path):
    path = tmp_path / "vpcflowd.json"
    path.write_text('{"http": "0"}')
    with harness.Daemon(tmp_path, "-c", path) as daemon:
        for n, (http, told) in enumerate([("127.0.0.1:0", 0), ("[::1]:0", 1), (":1", 2), ("0", 2)]):
            path.write_text('{"http": "%s"}' % http)
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("configuration read again", n + 1)
            assert len(daemon.log_lines("take effect at a restart")) == told


def test_as_the_unit_starts_it(watch):
    """Under the unit's filters of system calls."""
    with watch("--workers", "2", binary=harness.RELEASE or harness.BINARY,
               launcher=[sys.executable, sandbox.__file__, SERVICE]) as daemon:
        daemon.ask("a", payloads.decoded(payloads.records(3)))
        daemon.wait_metric("vpcflowd_flows_total", 3)
        daemon.wait_health(200, "ok")
        assert daemon.metrics()["process_resident_memory_bytes"] > 0
        daemon.terminate()
        assert not daemon.log_lines("WARN|ERROR")


if __name__ == "__main__":
    be_a_crowd(int(sys.argv[1]), (sys.argv[2], int(sys.argv[3])))
