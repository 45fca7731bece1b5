# SPDX-License-Identifier: Apache-2.0
"""
Runs the real binary and holds every run to what must always be true: its exit status, no report
of a sanitizer, nothing raw of a peer's on standard error, and the conservation law of its counters.

    with Daemon(folder, "--allow", "127.0.0.0/8") as daemon:
        with daemon.connect() as peer:
            assert peer.ask("a1", payload) == "ACK a1 7"
        assert daemon.terminate() == lines        # what standard output got

Nothing here waits without a bound, and nothing waits for time to pass when it can wait for a fact.
"""
import errno
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

BINARY = os.environ.get("VPCFLOWD", "")
RELEASE = os.environ.get("VPCFLOWD_RELEASE", "")
DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")

# Seconds until something that should happen counts as never happening.
WAIT = float(os.environ.get("VPCFLOWD_TEST_WAIT", "30"))
DESCRIPTORS = 4096
MIB = 1024 * 1024

LOG_LINE = re.compile(r"(ERROR|WARN|INFO|DEBUG) [a-z]+: [ -~]+")
COUNTER = re.compile(r"[a-z0-9_]+=\d+")
SANITIZER = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehavior")


def environment():
    env = dict(os.environ)
    env["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=0:" + env.get("ASAN_OPTIONS", "")
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:" + env.get("UBSAN_OPTIONS", "")
    return env


def resolves(name):
    """Whether this machine knows the name: the barest have no /etc/hosts."""
    try:
        return bool(socket.getaddrinfo(name, 9))
    except OSError:
        return False


def wait_for(what, condition, seconds=WAIT):
    """The first true value of condition(); fails when there is none in time."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.01)


def check_log(text):
    """text: bytes of standard error. No sanitizer report; log lines and counters and no more."""
    decoded = text.decode("latin-1")
    for word in SANITIZER:
        assert word not in decoded, f"sanitizer report:\n{decoded[-8000:]}"
    for line in decoded.split("\n"):
        ok = not line or LOG_LINE.fullmatch(line) or COUNTER.fullmatch(line)
        assert ok, f"neither a log line nor a counter: {line!r}"


def check_law(s):
    """s: counters, by name."""
    kept = s["flows"] + s["nodata"] + s["skipdata"] + s["rejected"] + s["filtered"]
    assert s["events"] == kept, f"events are not flows + nodata + skipdata + rejected + filtered: {s}"


def check_counters(s, outputs):
    check_law(s)
    for total in "rejected", "payloads_rejected":
        reasons = sum(n for name, n in s.items()
                      if re.fullmatch(total + r"_[a-z0-9_]+", name))
        assert s[total] == reasons, f"{total} is not the sum of its reasons: {s}"
    for i in range(outputs):
        got = s[f"output{i}_flows"] + s[f"output{i}_no_address"]
        assert s["flows"] == got, f"output {i} has not seen every flow: {s}"
    answers = s["acks"] + s["dups"] + s["retries"]
    assert answers <= s["puts"], f"more answers than PUTs: {s}"


class Result:
    def __init__(self, status, out, err):
        self.status = status
        self.out = out.decode("latin-1")
        self.err = err.decode("latin-1")
        self.lines = self.out.splitlines()


def run(*options, status=0, stdin=b"", seconds=60, binary=None, stdout=subprocess.PIPE, cwd=None):
    """Runs to its end. For --read the law is checked on the summary that it logs."""
    args = [binary or BINARY, *map(str, options)]
    done = subprocess.run(args, input=stdin, stdout=stdout, stderr=subprocess.PIPE,
                          timeout=seconds, env=environment(), check=False, cwd=cwd)
    check_log(done.stderr)
    result = Result(done.returncode, done.stdout or b"", done.stderr)
    assert result.status == status, f"exit status {result.status}, not {status}:\n{result.err}"
    summary = re.search(r"INFO read: done (.*)", result.err)
    if summary:
        result.summary = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", summary.group(1))}
        check_law(result.summary)
    return result


def read(*options, **how):
    """Runs with --read; without files of its own it reads how["stdin"]."""
    files = how.pop("files", ["-"])
    return run(*options, "--read", *files, **how)


def read_in_pieces(data, piece, *options, status=0):
    """--read of standard input, a pipe into which data is written piece by piece."""
    process = subprocess.Popen([BINARY, *options, "--read", "-"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                               env=environment())
    try:
        for at in range(0, len(data), piece):
            process.stdin.write(data[at:at + piece])
    except BrokenPipeError:
        pass  # it gave up on the payload
    out, err = process.communicate(timeout=60)
    check_log(err)
    assert process.returncode == status, err.decode("latin-1")
    return out.decode("latin-1").splitlines()


def connect(connecting, address):
    """
    Connects a socket, but not to itself: a connect to a local port that nobody listens on any more may
    be given that very port as its own (RFC 9293 section 3.5, simultaneous open), and would hear its own
    words as answers. Nobody is there then.
    """
    connecting.connect(address)
    if connecting.getsockname() == connecting.getpeername():
        connecting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connecting.close()
        raise ConnectionRefusedError(errno.ECONNREFUSED, "it met itself")


class Peer:
    """One connection. Works with bytes on the way out and with lines of text on the way in."""

    def __init__(self, address, source="127.0.0.1", timeout=WAIT, receive_buffer=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.bind((source, 0))
        connect(self.socket, address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def send(self, data, piece=0):
        for at in range(0, len(data), piece or len(data) or 1):
            self.socket.sendall(data[at:at + piece] if piece else data)
        return self

    def put(self, ident, payload):
        return self.send(command(ident, payload))

    def _more(self):
        """Adds what comes next to what was received; False at the end of it."""
        try:
            octets = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.received += octets
        return bool(octets)

    def line(self):
        """The next line; None when the connection ended before one."""
        while b"\n" not in self.received:
            if not self._more():
                return None
        line, self.received = self.received.split(b"\n", 1)
        return line.decode("ascii")

    def reply(self, waits=None):
        """The next answer. WAIT lines are passed over, and kept when there is a list for them."""
        while True:
            line = self.line()
            if line is None or not line.startswith("WAIT "):
                return line
            if waits is not None:
                waits.append(line)

    def ask(self, ident, payload):
        return self.put(ident, payload).reply()

    def rest(self):
        """Everything until the connection ends."""
        while self._more():
            pass
        rest, self.received = self.received, b""
        return rest

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


def command(ident, payload):
    return b"PUT %s %d\n" % (ident.encode(), len(payload)) + payload


class Pipe:
    """A pipe for standard output that is read only when the test says so."""

    def __init__(self):
        self.read_end, self.write_end = os.pipe()
        self.octets = b""
        self.thread = None

    def start_reading(self):
        assert self.thread is None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        parts = []
        while True:
            octets = os.read(self.read_end, MIB)
            if not octets:
                break
            parts.append(octets)
        self.octets = b"".join(parts)

    def finish(self):
        """Once the daemon is gone: all that it wrote."""
        if self.thread is None:
            self.start_reading()
        self.thread.join(WAIT)
        assert not self.thread.is_alive(), "standard output did not end"
        return self.octets

    def close_read_end(self):
        os.close(self.read_end)
        self.read_end = -1

    def close(self):
        for fd in self.read_end, self.write_end:
            if fd >= 0:
                os.close(fd)
        self.read_end = self.write_end = -1


class Daemon:
    """
    A listening vpcflowd on a free port of 127.0.0.1. Leaving `with` terminates it, unless the test
    did, and checks the run. pipe: standard output is self.pipe, read when the test wants it; else
    it is a file. launcher: a command that becomes it; env: variables beside the usual ones.
    """

    def __init__(self, folder, *options, status=0, pipe=False, binary=None, listen=True,
                 launcher=(), env=()):
        self.folder = folder
        self.status = status
        self.options = [str(o) for o in options]
        self.binary = binary or BINARY
        self.outputs = max(1, sum(o in ("-o", "--output") for o in self.options))
        names = sum(name.startswith("stderr-") for name in os.listdir(folder))
        self.ready_path = os.path.join(folder, f"ready-{names}")
        self.out_path = os.path.join(folder, f"stdout-{names}")
        self.err_path = os.path.join(folder, f"stderr-{names}")
        self.pipe = Pipe() if pipe else None
        self.listen = ["--listen", "127.0.0.1:0"] if listen else []
        self.launcher = list(launcher)
        self.env = dict(env)
        self.process = None
        self.address = None
        self.checked = False

    # ---- beginning and end ----

    def __enter__(self):
        args = [*self.launcher, self.binary, *self.listen, "--ready-file", self.ready_path, *self.options]
        with open(self.err_path, "wb") as err, open(self.out_path, "wb") as out:
            self.process = subprocess.Popen(
                args, stdin=subprocess.DEVNULL, stderr=err, env={**environment(), **self.env},
                stdout=self.pipe.write_end if self.pipe else out)
        if self.pipe:
            os.close(self.pipe.write_end)
            self.pipe.write_end = -1
        try:
            wait_for("ready file", lambda: os.path.exists(self.ready_path) or self.gone())
            assert not self.gone(), f"it did not start:\n{self.log()}"
            with open(self.ready_path, encoding="ascii") as file:
                host, port = file.read().split()[0].rsplit(":", 1)
            self.address = (host, int(port))
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, exception, trace):
        try:
            if kind is None and not self.checked:
                if self.gone():
                    self.check_end()
                else:
                    self.terminate()
        finally:
            if not self.gone():
                self.kill()
            if self.pipe:
                self.pipe.close()
        if exception is not None and hasattr(exception, "add_note"):
            exception.add_note(f"standard error of vpcflowd:\n{self.log()[-4000:]}")

    def gone(self):
        return self.process.poll() is not None

    def kill(self):
        self.process.kill()
        self.process.wait(WAIT)

    def crash(self):
        """SIGKILL on purpose; what it said up to then is held to the same rules."""
        self.kill()
        self.checked = True
        with open(self.err_path, "rb") as file:
            said = file.read()
        check_log(said[:said.rfind(b"\n") + 1])

    def signal(self, number):
        self.process.send_signal(number)

    def begin_drain(self):
        """SIGTERM, and back once it was taken."""
        self.signal(signal.SIGTERM)
        self.wait_log("draining signal=TERM")

    def terminate(self):
        """Counters, SIGTERM, end, checks; what standard output got, as lines."""
        if not self.gone():
            self.stats()
            self.signal(signal.SIGTERM)
        return self.wait_end()

    def wait_end(self, seconds=60):
        """Waits for it to end by itself; checks; standard output as lines."""
        if self.pipe and self.pipe.thread is None and self.pipe.read_end >= 0:
            self.pipe.start_reading()
        self.wait_exit(seconds)
        self.check_end()
        return self.lines()

    def wait_exit(self, seconds=60):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {seconds} s:\n{self.log()}") from None

    def check_end(self):
        self.checked = True
        with open(self.err_path, "rb") as file:
            check_log(file.read())
        status = self.process.returncode
        assert status == self.status, f"exit status {status}, not {self.status}:\n{self.log()}"

    # ---- what it says and writes ----

    def log(self):
        with open(self.err_path, encoding="latin-1") as file:
            return file.read()

    def log_lines(self, pattern):
        """Log lines that the regular expression is found in."""
        return [line for line in self.log().split("\n") if re.search(pattern, line)]

    def wait_log(self, pattern, count=1):
        return wait_for(f"log line {pattern!r}", lambda: len(self.log_lines(pattern)) >= count)

    def output(self):
        """Standard output up to now; with a pipe only after the end."""
        if self.pipe:
            return self.pipe.finish().decode("latin-1")
        with open(self.out_path, encoding="latin-1") as file:
            return file.read()

    def lines(self):
        if self.pipe and self.pipe.read_end < 0:
            return []
        return self.output().splitlines()

    def wait_lines(self, count):
        """Standard output once it has that many lines."""
        wait_for(f"{count} lines on standard output", lambda: self.output().count("\n") >= count)
        return self.lines()

    def stats(self):
        """The counters now, checked against the law."""
        before = len(self.log())
        last = f"output{self.outputs - 1}_bytes_written="
        self.signal(signal.SIGUSR1)

        def printed():
            new = self.log()[before:]
            return new if re.search(rf"^{last}\d+\n", new, re.M) else None

        new = wait_for("counters after USR1", printed)
        counters = {}
        for line in new.split("\n"):
            if COUNTER.fullmatch(line):
                name, value = line.split("=")
                counters[name] = int(value)
        check_counters(counters, self.outputs)
        return counters

    def added(self, before):
        """By how much the counters have grown since `before`; only those that have."""
        return {name: value - before.get(name, 0) for name, value in self.stats().items()
                if value != before.get(name, 0)}

    def wait_stats(self, **wanted):
        """The counters once those named have reached their values."""

        def reached():
            s = self.stats()
            return s if all(s.get(k, 0) >= v for k, v in wanted.items()) else None

        return wait_for(f"counters {wanted}", reached)

    def peak_memory(self):
        """The most memory it ever had, in octets."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)) * 1024

    # ---- peers ----

    def connect(self, **how):
        return Peer(self.address, **how)

    def ask(self, ident, payload, **how):
        """PUTs on a connection of its own."""
        with self.connect(**how) as peer:
            return peer.ask(ident, payload)

    def push(self, payload, piece=0, **how):
        """Sends unframed, as the 2016 Lambda does, but waits for the listener to close."""
        with self.connect(**how) as peer:
            try:
                peer.send(payload, piece).half_close()
            except OSError:
                pass  # it gave up on the payload
            answer = peer.rest()
            assert answer == b"", f"octets to a peer that only sends: {answer!r}"


def in_threads(count, work):
    """Runs work(0) … work(count - 1) side by side; their results in order, or the first failure."""
    results = [None] * count
    failures = []

    def one(n):
        try:
            results[n] = work(n)
        except BaseException as e:  # told below, in the test's own thread
            failures.append(e)

    threads = [threading.Thread(target=one, args=(n,), daemon=True) for n in range(count)]
    for t in threads:
        t.start()
    until = time.monotonic() + 90
    for t in threads:
        t.join(max(0, until - time.monotonic()))
    assert not any(t.is_alive() for t in threads), "a thread is stuck"
    if failures:
        raise failures[0]
    return results
