# SPDX-License-Identifier: Apache-2.0
"""
Each memory allocation and system call of a set of runs fails, once, in turn (faults.c). Whatever
fails, the program does not crash, hang or leak; it ends with one of its exit statuses and a line
that says why, or lives on and takes what comes later; and what it acknowledged is in every output.

Every run is made once without a failure, which tells the sites at which something may fail. Then
once for each of a sample of them, and with --long for every call at every site. A failure is named
by its run, call, site and number: `FAULT="spool openat 0123456789abcdef 1 28"` in the environment
makes just that one (the last is the errno).
"""
import collections
import concurrent.futures
import errno
import hashlib
import http.client
import itertools
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import zlib

import pytest

import collectors
import harness
import payloads
import secure
import sessions

SHIM = os.path.join(os.path.dirname(harness.BINARY), "faults.so")
SEED = int(os.environ.get("VPCFLOWD_TEST_SEED", "1"))
ONLY = os.environ.get("FAULT", "").split()
SAMPLE = 24   # of a run, without --long
TRIES = 8     # of a peer that is asked to come again
SIDE_BY_SIDE = 3

pytestmark = pytest.mark.skipif(not os.path.exists(SHIM), reason="not a build with tests")

Site = collections.namedtuple("Site", "call caller site")
Fault = collections.namedtuple("Fault", "call caller site nth number")

# What each call may fail with; 0: it does half of what it was asked to.
FILE_ERRORS = [errno.EIO, errno.ENOSPC]
ERRORS = {
    "malloc": [errno.ENOMEM], "calloc": [errno.ENOMEM], "realloc": [errno.ENOMEM],
    "strdup": [errno.ENOMEM], "strndup": [errno.ENOMEM],
    "open": [errno.EMFILE, errno.EACCES, errno.ENOSPC],
    "openat": [errno.EMFILE, errno.EACCES, errno.ENOSPC],
    "fopen": [errno.EMFILE, errno.ENOMEM], "fdopen": [errno.ENOMEM], "fdopendir": [errno.ENOMEM],
    "readdir": [errno.EIO], "fclose": FILE_ERRORS, "rename": FILE_ERRORS,
    "read": [errno.EINTR, errno.EIO, 0], "pread": [errno.EIO, 0],
    "write": [errno.EINTR, errno.ENOSPC, errno.EIO, 0],
    "writev": [errno.EINTR, errno.ENOSPC, errno.EIO, 0],
    "pwrite": FILE_ERRORS + [0], "fsync": FILE_ERRORS, "fdatasync": FILE_ERRORS,
    "ftruncate": [errno.EIO], "mkdir": [errno.EACCES, errno.ENOSPC],
    "unlinkat": [errno.EIO], "linkat": FILE_ERRORS, "flock": [errno.EWOULDBLOCK, errno.ENOLCK],
    "socket": [errno.EMFILE, errno.ENOBUFS, errno.EAFNOSUPPORT],
    "bind": [errno.EADDRINUSE, errno.EACCES],
    "listen": [errno.EADDRINUSE], "accept4": [errno.EMFILE, errno.ECONNABORTED, errno.EINTR],
    "connect": [errno.ECONNREFUSED, errno.ENETUNREACH, errno.EINTR],
    "sendmsg": [errno.ECONNREFUSED, errno.ENOBUFS, errno.EPERM],
    "recvmsg": [errno.ECONNREFUSED, errno.EINTR], "shutdown": [errno.ENOTCONN],
    "getaddrinfo": [0], "pthread_create": [errno.EAGAIN], "epoll_pwait": [errno.EINTR],
}
SOCKET_ERRORS = {"read": [errno.ECONNRESET, errno.EINTR], "write": [errno.ECONNRESET, errno.EPIPE],
                 "writev": [errno.ECONNRESET, errno.EPIPE]}


def errors_of(site):
    if site.caller == "libuv" and site.call in SOCKET_ERRORS:
        return SOCKET_ERRORS[site.call]
    return ERRORS.get(site.call, [errno.EINVAL])


class Run:
    """One run of the program, which may end at any time, and a peer that does not mind."""

    def __init__(self, folder, fault=None):
        self.folder = folder
        self.fault = fault
        self.acked = []   # numbers of records that are promised
        self.offered = []
        self.process = None
        self.context = None  # of a peer that speaks TLS
        self.runs = 0
        self._numbers = itertools.count(1000)
        self._idents = itertools.count(1)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, octets):
        with open(self.path(name), "wb") as file:
            file.write(octets)
        return self.path(name)

    def lines(self, count=3):
        """Records that were not offered before: (numbers, lines)."""
        numbers = [next(self._numbers) for _ in range(count)]
        return numbers, [sessions.LINE % n for n in numbers]

    # ---- the program ----

    def _environment(self):
        env = harness.environment()
        env["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
        # OpenSSL loses some of its own memory when its start fails half-way.
        if self.fault and self.fault.caller == "openssl":
            env["ASAN_OPTIONS"] += ":detect_leaks=0"
        env["LD_PRELOAD"] = SHIM
        env["FAULTS_LOG"] = self.path("calls")
        if self.fault:
            env.update(FAULTS_SITE=self.fault.site, FAULTS_NTH=str(self.fault.nth),
                       FAULTS_ERRNO=str(self.fault.number))
        return env

    def start(self, *options, faulty=True, stdin=subprocess.DEVNULL):
        self.runs += 1
        self.ready = self.path(f"ready-{self.runs}")
        self.err = self.path(f"stderr-{self.runs}")
        with open(self.err, "wb") as err, open(self.path("stdout"), "ab") as out:
            self.process = subprocess.Popen(
                [harness.BINARY, *map(str, options)], stdin=stdin, stdout=out, stderr=err,
                env=self._environment() if faulty else harness.environment())

    def listen(self, *options, **how):
        """Starts; whether it listens now."""
        self.start("--listen", "127.0.0.1:0", "--ready-file", self.path(f"ready-{self.runs + 1}"),
                   *options, **how)
        harness.wait_for(f"a start or an end {self}",
                         lambda: os.path.exists(self.ready) or self.gone())
        if not os.path.exists(self.ready):
            return False
        with open(self.ready, encoding="ascii") as file:
            host, port = file.read().split()[0].rsplit(":", 1)
        self.address = host, int(port)
        return True

    def gone(self):
        return self.process.poll() is not None

    def log(self):
        with open(self.err, encoding="latin-1") as file:
            return file.read()

    def wait_log(self, pattern, count=1):
        """Until it is there, or the process is not."""
        harness.wait_for(f"{pattern!r} {self}", lambda: self.gone() or
                         len(re.findall(pattern, self.log())) >= count)

    def signal(self, number):
        if not self.gone():
            self.process.send_signal(number)

    def end(self, stop=True):
        """Ends it, with SIGTERM or by itself, and looks at how it ended."""
        if stop:
            self.signal(signal.SIGTERM)
        try:
            self.process.wait(harness.WAIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it hangs: {self}") from None
        log = self.log()
        harness.check_log(log.encode("latin-1"))
        status = self.process.returncode
        if status == -signal.SIGTERM and stop and self.fault and "\nERROR " in "\n" + log:
            status = 1  # it was at its end already, where signals are nobody's any more
        assert status in (0, 1, 2), f"exit status {status}: {self}"
        said = [line for line in log.split("\n") if line.startswith("ERROR ")]
        assert status == 0 or said, f"exit status {status} without a word: {self}"
        if self.fault is None:
            assert status == 0, f"it fails by itself: {self}"
        return status

    def __str__(self):
        name = "nothing failed" if self.fault is None else " ".join(map(str, self.fault))
        return f"[{name}]\n{self.log()[-6000:]}"

    def happened(self):
        """Whether what was to fail has failed."""
        with open(self.path("calls"), encoding="ascii") as file:
            return any(line.startswith("failed ") for line in file)

    def sites(self):
        """Every site, and how many calls there were."""
        count = collections.Counter()
        with open(self.path("calls"), encoding="ascii") as file:
            for line in file:
                count[Site(*line.split()[1:])] += 1
        return count

    # ---- the peer ----

    def connect(self):
        if self.context:
            return secure.Peer(self.address, self.context, timeout=harness.WAIT)
        return harness.Peer(self.address, timeout=harness.WAIT)

    def _try_put(self, payload, token):
        try:
            with self.connect() as peer:
                if token:
                    peer.send(f"AUTH {token}\n".encode())
                peer.put(f"f{next(self._idents)}", payload)
                for _ in range(int(harness.WAIT / 3) + 1):
                    line = peer.line()
                    if not line or not line.startswith("WAIT "):
                        return line
                raise TimeoutError("WAIT for ever")
        except OSError as e:
            assert not isinstance(e, TimeoutError), f"no answer: {self}"
            return None

    def put(self, payload, numbers, token=""):
        """Until it is taken. The program may not be there any more, but must not be deaf."""
        self.offered += numbers
        for n in range(TRIES):
            answer = self._try_put(payload, token)
            if answer and answer.split()[0] in ("ACK", "DUP"):
                assert answer.split()[2] == str(len(numbers)), f"{answer}: {self}"
                self.acked += numbers
                return
            assert not answer or answer.startswith("RETRY "), f"{answer}: {self}"
            if self.gone():
                return
            time.sleep(0.02 * 2**n)
        # A session's end and the process's are a moment apart.
        harness.wait_for(f"it takes nothing any more {self}", self.gone)

    def push(self, payload, numbers):
        """Unframed: nothing is promised."""
        self.offered += numbers
        try:
            with self.connect() as peer:
                peer.send(payload).half_close()
                peer.rest()
        except OSError as e:
            assert not isinstance(e, TimeoutError), f"it does not close: {self}"

    def stats(self):
        """The counters now, held to the law."""
        before = len(self.log())
        self.signal(signal.SIGUSR1)
        self.wait_log(r"output\d_bytes_written=\d+\n(?!output)")
        if not self.gone():
            counters = {name: int(n) for name, n in
                        re.findall(r"^(\w+)=(\d+)$", self.log()[before:], re.M)}
            outputs = len({name[:7] for name in counters if re.match(r"output\d_", name)})
            harness.check_counters(counters, outputs)

    # ---- what must be true ----

    def check(self, found, what):
        """found: the numbers of an output."""
        lost = set(self.acked) - set(found)
        assert not lost, f"{what}: acknowledged, and not there: {sorted(lost)} {self}"
        strange = set(found) - set(self.offered)
        assert not strange, f"{what}: nobody sent these: {sorted(strange)} {self}"
        if self.fault is None:
            assert sorted(found) == sorted(self.offered), f"{what}: not each once: {self}"

    def check_csv(self, name):
        with open(self.path(name), "rb") as file:
            self.check(sessions.csv_numbers(file.read()), name)

    def check_ipfix(self, name):
        with open(self.path(name), "rb") as file:
            self.check(ipfix_numbers(file.read()), name)


def ipfix_numbers(octets):
    """Of a file of sessions, one behind the other: HUP begins one."""
    numbers = []
    session = b""
    last = 0
    for message in collectors.messages(octets):
        sequence = collectors.header(message).sequence
        if sequence < last:
            numbers += sessions.Session(session).numbers
            session = b""
        session += message
        last = sequence
    return numbers + sessions.Session(session).numbers


# ---- the runs ----------------------------------------------------------------------------------


def every_kind(run):
    """The kinds of payload, whose making takes different ways: (octets, numbers)."""
    def escaped(lines):
        return payloads.decoded(lines, group="a/b", owner="0123").replace(
            b"ACCEPT", b"\\u0041CCEPT").replace(b'"a/b"', b'"a\\/b"').replace(b'"0123"', b'"0\\u003123"')

    def transformed(lines):
        return payloads.decoded([payloads.transformed(line) for line in lines]).replace(
            b"ACCEPT", b"\\\\u0041CCEPT")

    makers = [payloads.plain, payloads.lambda_event, escaped, transformed, payloads.with_header,
              lambda lines: payloads.zipped(payloads.zipped(payloads.plain(lines))),
              lambda lines: payloads.kinesis_event(lines[:1], lines[1:]).replace(
                  b'"data": "H4sI', b'"data": "\\u00484sI')]
    for make in makers:
        numbers, lines = run.lines()
        yield make(lines), numbers


def play_read(run):
    """--read of every kind to every format."""
    files = []
    for n, (payload, numbers) in enumerate(every_kind(run)):
        files.append(run.write(f"in-{n}", payload))
        run.offered += numbers
    outputs = [arg for form in ("csv", "ftsq", "json", "ipfix-csv", "ipfix")
               for arg in ("-o", f"{form}:{run.path(form)}")]
    run.start(*outputs, "--read", *files)
    if run.end(stop=False) == 0:
        run.acked = run.offered
    run.check_csv("csv") if run.acked else None
    if run.acked:
        run.check_ipfix("ipfix")
        with open(run.path("json"), encoding="ascii") as file:
            run.check([json.loads(line)["bytes"] for line in file], "json")
        for name in "ftsq", "ipfix-csv":
            with open(run.path(name), encoding="ascii") as file:
                lines = file.read().splitlines()
            assert len(lines) == len(run.acked) + (name == "ipfix-csv"), f"{name}: {run}"


def play_stdin(run):
    """--read of a pipe to standard output, with a file of bad records before it."""
    numbers, lines = run.lines(2)
    run.offered += numbers
    bad = run.write("bad", payloads.plain(["2 no flow log record"]))
    read_end, write_end = os.pipe()
    run.start("-v", "-o", "csv", "--read", "-", bad, stdin=read_end)
    os.close(read_end)
    with os.fdopen(write_end, "wb", buffering=0) as pipe:
        try:
            for piece in payloads.plain(lines[:1]), payloads.zipped(payloads.plain(lines[1:])):
                pipe.write(piece)
        except BrokenPipeError:
            pass
    run.process.wait(harness.WAIT)
    fault, run.fault = run.fault, run.fault or "a bad record"
    status = run.end(stop=False) if run.process.returncode != 1 or "ERROR" in run.log() else 1
    run.fault = fault
    assert status != 0 and run.log(), str(run)


def play_sums(run):
    """--aggregate of two files by two workers: all sums, or a word and a status that is not 0."""
    files = []
    for n in range(2):
        numbers, lines = run.lines(700)
        files.append(run.write(f"in-{n}", payloads.plain(lines)))
        run.offered += numbers
    run.start("--aggregate", "srcaddr,dstaddr,srcport,dstport,protocol,interface-id", "-w", "2",
              "-o", f"csv:{run.path('csv')}", "-o", f"json:{run.path('json')}", "--read", *files)
    if run.end(stop=False) == 0:
        run.acked = run.offered
        with open(run.path("csv"), encoding="ascii") as file:
            rows = [line.split(",") for line in file.read().splitlines()]
        column = rows[0].index("bytes")
        # Records that agree in all keys are one sum.
        total = sum(int(row[column]) for row in rows[1:])
        assert total == sum(run.offered), f"the sums are not of all: {run}"
        with open(run.path("json"), encoding="ascii") as file:
            assert len(file.readlines()) == len(rows) - 1, str(run)


def play_listen(run):
    """A listener without a spool: framed and unframed peers, HUP, counters."""
    outputs = ["-o", f"csv:{run.path('csv')}", "-o", f"ipfix:{run.path('ipfix')}"]
    if run.listen("-v", *outputs, "--filter", "bytes >= 0"):
        for payload, numbers in every_kind(run):
            run.put(payload, numbers)
        numbers, lines = run.lines()
        run.push(payloads.zipped(payloads.plain(lines)), numbers)
        large, lines = run.lines(800)
        run.push(payloads.decoded(lines), large)
        run.signal(signal.SIGHUP)
        run.wait_log("configuration read again|is not used")
        numbers, lines = run.lines(600)
        run.put(payloads.decoded(lines), numbers)
        run.stats()
    if run.end() == 0 or run.acked:
        run.check_csv("csv")
        run.check_ipfix("ipfix")


def look(run):
    """All that there is over HTTP: an answer, a word that there is none, or a connection's end."""
    with open(run.ready, encoding="ascii") as file:
        host, port = file.read().split()[-1].rsplit(":", 1)
    for path in "/", "/metrics", "/healthz", "/api/summary", "/api/series", "/api/top/start", "/none":
        try:
            peer = http.client.HTTPConnection(host, int(port), timeout=harness.WAIT)
            peer.request("GET", path)
            status = peer.getresponse().status
            assert status in ((404,) if path == "/none" else (200, 500, 503)), f"{path}: {status} {run}"
        except (OSError, http.client.HTTPException) as e:
            assert not isinstance(e, TimeoutError), f"no answer: {run}"
        finally:
            peer.close()


def play_watch(run):
    """--http: whatever fails for who looks, flows go on."""
    if run.listen("--http", "0", "-o", f"csv:{run.path('csv')}"):
        look(run)
        for _ in range(2):
            numbers, lines = run.lines(200)
            run.put(payloads.decoded(lines), numbers)
            look(run)
    if run.end() == 0 or run.acked:
        run.check_csv("csv")


def play_replies(run):
    """PUTs in a row, some refused, and a peer that goes."""
    if run.listen("-v", "--max-payload", "64K", "-o", f"csv:{run.path('csv')}"):
        for wrong in (b"PUT a1 0\nPUT a2 70000\n" + b"x" * 70000, b"PUT a3 9\n{\"no\": 1}",
                      b"PUT a b c\n", b"PUT a4 10\nabc", b"PUT a5 3\n2 3"):
            try:
                with run.connect() as peer:
                    peer.send(wrong).half_close()
                    peer.rest()
            except OSError as e:
                assert not isinstance(e, TimeoutError), f"it does not close: {run}"
        numbers, lines = run.lines(60)
        run.put(payloads.zipped(payloads.plain(lines)), numbers)
        run.put(payloads.zipped(payloads.plain(lines)), [*numbers])
        run.offered = run.offered[:len(numbers)]
        run.stats()
    if run.end() == 0 or run.acked:
        run.check_csv("csv")


def frame(payload):
    return b"PUT %s %d\n" % (hashlib.sha256(payload).hexdigest().encode(), len(payload)) + payload


def play_spool(run):
    """What an earlier run left, a part of a frame at its end; new payloads; another start."""
    os.mkdir(run.path("spool"))
    left, lines = run.lines(40)
    more, others = run.lines(40)
    late, rest = run.lines(2)
    for name, octets in (("0000000000000001.put", frame(payloads.plain(lines)) + b"damage" +
                          frame(payloads.zipped(payloads.plain(others))) + b"PUT 0123"),
                         ("0000000000000002.put", frame(payloads.plain(rest))),
                         ("seen-1", b"")):
        run.write(os.path.join("spool", name), octets)
    run.offered += left + more + late
    run.acked += left + more + late
    options = ["--spool", run.path("spool"), "-o", f"csv:{run.path('csv')}"]
    if run.listen("-v", *options, "--spool-segment", "64K"):
        for payload, numbers in every_kind(run):
            run.put(payload, numbers)
        large, lines = run.lines(900)
        run.put(payloads.plain(lines), large)
        run.put(*reversed(large_again(run)))
        run.stats()
    run.end()
    assert run.listen(*options, faulty=False), f"it does not start again: {run}"
    numbers, lines = run.lines()
    run.put(payloads.plain(lines), numbers)
    fault, run.fault = run.fault, None
    run.end()
    run.fault = fault
    run.check_csv("csv")


def large_again(run):
    numbers, lines = run.lines(900)
    return numbers, payloads.plain(lines)


class Collector:
    """Takes sessions of TCP, or of TLS; each ends when it is told to."""

    def __init__(self, context=None):
        self.context = context
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.sessions = []
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        try:
            while True:
                peer, _ = self.socket.accept()
                octets = bytearray()
                self.sessions.append(octets)
                self.open.append(peer)
                threading.Thread(target=self._read, args=(peer, octets), daemon=True).start()
        except OSError:
            pass

    def _read(self, peer, octets):
        try:
            if self.context:
                peer = self.context.wrap_socket(peer, server_side=True)
                self.open.append(peer)
            while True:
                got = peer.recv(65536)
                if not got:
                    break
                octets += got
        except OSError:
            pass

    def end_session(self):
        for peer in self.open:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open = []

    def close(self):
        self.end_session()
        self.socket.close()

    def numbers(self):
        return [n for octets in self.sessions for n in sessions.ipfix_numbers(bytes(octets), True)]


def play_tcp(run, *options):
    """A collector that ends a session, and takes another."""
    collector = Collector()
    try:
        if run.listen("-v", "-o", f"ipfix:tcp://127.0.0.1:{collector.port}", *options):
            numbers, lines = run.lines()
            run.put(payloads.plain(lines), numbers)
            # Its kernel has said ACK; the thread that accepts may not have had its turn.
            harness.wait_for("a session", lambda: collector.open or run.gone())
            collector.end_session()
            run.wait_log("connection lost")
            numbers, lines = run.lines(1500)
            run.put(payloads.plain(lines), numbers)
            run.stats()
        run.end()
        harness.wait_for(f"what was acknowledged {run}",
                         lambda: set(run.acked) <= set(collector.numbers()))
        strange = set(collector.numbers()) - set(run.offered)
        assert not strange, str(run)
    finally:
        collector.close()


def play_tls(run):
    """TLS on both sides, and certificates that are read again."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*CERTIFICATES.pair("server"))
    collector = Collector(context)
    run.context = CERTIFICATES.client(shows="client")
    try:
        if run.listen("-v", *CERTIFICATES.listener(client_ca="ca"),
                      "--tls-ca", CERTIFICATES.pem("ca"), "-o", f"csv:{run.path('csv')}",
                      "-o", f"ipfix:tls://localhost:{collector.port}"):
            for count in 3, 300:
                numbers, lines = run.lines(count)
                run.put(payloads.plain(lines), numbers)
            run.signal(signal.SIGHUP)
            run.wait_log("configuration read again|is not used")
            numbers, lines = run.lines()
            run.push(payloads.plain(lines), numbers)
            run.stats()
        if run.end() == 0 or run.acked:
            run.check_csv("csv")
        harness.wait_for(f"what was acknowledged {run}",
                         lambda: set(run.acked) <= set(collector.numbers()))
    finally:
        collector.close()


def play_tcp_spool(run):
    """A collector that is not there at first, and a spool."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    listening = run.listen("-v", "-o", f"csv:tcp://127.0.0.1:{port}", "--spool", run.path("spool"))
    if listening:
        numbers, lines = run.lines()
        run.put(payloads.plain(lines), numbers)
        run.wait_log("not there yet")
        run.signal(signal.SIGUSR1)
    run.end()


def play_udp(run):
    """Datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, harness.MIB)
        sink.bind(("127.0.0.1", 0))
        if run.listen("-v", "--udp-rate", "5000", "-o",
                      f"ipfix:udp://127.0.0.1:{sink.getsockname()[1]}"):
            for count in 3, 60:
                numbers, lines = run.lines(count)
                run.put(payloads.plain(lines), numbers)
            run.stats()
        run.end()
        sink.setblocking(False)
        found = collections.defaultdict(bytes)
        try:
            while True:
                octets, sender = sink.recvfrom(65536)
                found[sender] += octets
        except BlockingIOError:
            pass
        run.check([n for octets in found.values() for n in sessions.Session(octets).numbers],
                  "datagrams")


CONFIG = {
    "token-file": "tokens", "exporter": "10.0.0.1", "allow": ["127.0.0.0/8", "::1/128"],
    "max-connections": 20, "aws-elements": "32473",
    "sources": [{"log-group": "/vpc/*", "exporter": "10.0.0.2", "domain": 7},
                {"account": "123456789012", "domain": 8, "vpc": "vpc-*", "interface": "eni-*"},
                {"log-group": "/other", "flow-format": "version srcaddr dstaddr new-field"}],
}


def play_config(run):
    """A configuration file with sources and tokens, read again at HUP."""
    config = dict(CONFIG, **{"token-file": run.write("tokens", b"# mine\nsecret\n other \n")})
    path = run.write("config", json.dumps(config).encode())
    if run.listen("-v", "--config", path, "-o", f"csv:{run.path('csv')}", "-o",
                  f"ipfix:{run.path('ipfix')}", "--fields", " ".join(payloads.DEFAULT)):
        numbers, lines = run.lines()
        run.put(payloads.decoded(lines, group="/vpc/\u00e9\""), numbers, token="secret")
        run.write("tokens", b"another\nsecret\n")
        run.signal(signal.SIGHUP)
        run.wait_log("configuration read again|is not used")
        numbers, lines = run.lines()
        run.put(payloads.lambda_event(lines), numbers, token="secret")
        run.push(b"2", [])
        run.stats()
    if run.end() == 0 or run.acked:
        run.check_csv("csv")


def play_check(run):
    """--check-config."""
    config = dict(CONFIG, **{"token-file": run.write("tokens", b"secret\n")})
    path = run.write("config", json.dumps(config).encode())
    run.start("--config", path, "-o", "json", "--check-config")
    run.end(stop=False)


CERTIFICATES = None
RUNS = {name[5:]: play for name, play in list(globals().items()) if name.startswith("play_")}


# ---- one after another ---------------------------------------------------------------------------


def faults(name, sites, every):
    """The failures of a run: one a site, our own calls first; or every call at every site."""
    rng = random.Random(SEED ^ zlib.crc32(name.encode()))
    order = sorted(sites)
    if every:
        # OpenSSL's own are thousands, and the same in every run: each once, where they are used.
        if name not in ("replies", "tls"):
            order = [site for site in order if site.caller != "openssl"]
        return [Fault(*site, nth, number) for site in order
                for nth in range(1, (1 if site.caller == "openssl" else sites[site]) + 1)
                for number in errors_of(site)]
    rng.shuffle(order)
    order.sort(key=lambda site: site.caller != "program")
    return [Fault(*site, 1, rng.choice(errors_of(site))) for site in order[:SAMPLE]]


def play_one(name, folder, fault):
    os.mkdir(folder)
    run = Run(folder, fault)
    try:
        RUNS[name](run)
    finally:
        if run.process and not run.gone():
            run.process.kill()
            run.process.wait()
    return run


def play_all(name, folder, chosen):
    """Returns how many of them came to happen."""
    def one(n):
        try:
            return play_one(name, os.path.join(folder, str(n)), chosen[n])
        except Exception as e:
            raise AssertionError(f"{name} {' '.join(map(str, chosen[n]))}: {e}") from e

    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        played = [pool.submit(one, n) for n in range(len(chosen))]
        failures = [p.exception() for p in played if p.exception()]
    if failures:
        raise AssertionError(f"{len(failures)} of {len(chosen)}:\n" +
                             "\n\n".join(str(e)[:3000] for e in failures[:5]))
    return sum(p.result().happened() for p in played)


@pytest.mark.parametrize("name", RUNS)
def test_one_failure(name, tmp_path, request, certificates):
    global CERTIFICATES
    CERTIFICATES = certificates
    every = request.config.getoption("--long")
    if ONLY:
        if name == ONLY[0]:
            play_one(name, tmp_path / "0", Fault(ONLY[1], "", *ONLY[2:]))
        return
    sites = play_one(name, tmp_path / "none", None).sites()
    chosen = faults(name, sites, every)
    happened = play_all(name, tmp_path, chosen)
    print(f"{name}: {len(sites)} sites, {sum(sites.values())} calls; "
          f"{len(chosen)} failures, {happened} came to happen")
    assert happened >= len(chosen) / 2, f"{happened} of {len(chosen)} came to happen"


@pytest.fixture(scope="module")
def making_the_spool(tmp_path_factory):
    """Where the spool's folder is made."""
    run = Run(tmp_path_factory.mktemp("sites"))
    assert run.listen("--spool", run.path("spool"))
    run.end()
    return next(site for site in run.sites() if site.call == "mkdir" and site.caller == "program")


@pytest.mark.parametrize("number, status", [
    (errno.ENOMEM, 1), (errno.EMFILE, 1), (errno.ENFILE, 1), (errno.EIO, 1), (errno.ENOSPC, 1),
    (errno.EACCES, 2), (errno.EROFS, 2), (errno.EPERM, 2)])
def test_what_may_pass_is_no_mistake(tmp_path, making_the_spool, number, status):
    """After status 2 systemd does not start it again."""
    run = Run(tmp_path, Fault(*making_the_spool, 1, number))
    assert not run.listen("--spool", run.path("spool"))
    assert run.end(stop=False) == status and run.happened()
    assert "cannot use it option=" in run.log()
