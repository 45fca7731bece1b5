# SPDX-License-Identifier: Apache-2.0
"""The units, what is told to systemd, and sockets that come from it; no systemd runs here."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

import harness
import payloads
import sandbox

ROOT = os.path.dirname(os.path.dirname(harness.DATA))
SERVICE = os.path.join(ROOT, "scripts", "vpcflowd.service")


def octets(count=1):
    return payloads.decoded(payloads.records(count))


# ---- the units ---------------------------------------------------------------------------------------


def install(prefix, destdir=""):
    """What the release is, below any prefix."""
    subprocess.run(["cmake", "--install", os.path.dirname(harness.RELEASE), "--prefix", prefix], check=True,
                   capture_output=True, env={**os.environ, "DESTDIR": str(destdir)})


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Everything below a prefix of its own."""
    folder = tmp_path_factory.mktemp("install")
    install(folder / "prefix")
    return folder / "prefix"


def test_exposure_is_at_most_1(installed):
    unit = installed / "lib/systemd/system/vpcflowd.service"
    program = sandbox.settings(unit)["ExecStart"][0].split()[0]
    assert os.access(program, os.X_OK)
    for path in unit, SERVICE:
        judged = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=10",
                                 "--no-pager", path], capture_output=True, text=True, check=False)
        assert judged.returncode == 0, judged.stdout + judged.stderr


def test_systemd_understands_the_units(installed):
    folder = installed / "lib/systemd/system"
    judged = subprocess.run(["systemd-analyze", "verify", "--man=no", folder / "vpcflowd.service",
                             folder / "vpcflowd.socket"], capture_output=True, text=True, check=False)
    complaints = [line for line in judged.stderr.split("\n") if "vpcflowd" in line]
    assert judged.returncode == 0 and not complaints, judged.stderr


def test_an_installed_configuration_stays_as_it_is(installed, tmp_path):
    config = installed / "etc/vpcflowd.json"
    says = harness.run("--config", config, "--check-config").out
    assert "listen [::]:20555" in says and "allow 2 address blocks" in says
    assert "output csv /var/lib/vpcflowd/flows.csv" in says
    assert "spool /var/lib/vpcflowd/spool" in says
    first = config.read_text()
    config.write_text('{"quiet": true}')
    install(installed)
    assert config.read_text() == '{"quiet": true}'
    config.write_text(first)


def test_what_is_installed_runs_as_the_unit_starts_it(installed, tmp_path):
    """ExecStart= under the unit's filters, with the state folder and the port moved."""
    unit = installed / "lib/systemd/system/vpcflowd.service"
    program, *options = sandbox.settings(unit)["ExecStart"][0].split()
    (name,) = sandbox.settings(unit)["StateDirectory"]
    config = tmp_path / "vpcflowd.json"
    at = options.index("--config") + 1
    with open(options[at], encoding="utf-8") as file:
        config.write_text(file.read().replace(f"/var/lib/{name}/", f"{tmp_path}/"))
    options[at] = config
    assert "/var/" not in config.read_text()
    under = [sys.executable, sandbox.__file__, unit]
    lines = payloads.records(3)
    for _ in range(2):
        with harness.Daemon(tmp_path, *options, binary=program, launcher=under) as daemon:
            daemon.ask("a", payloads.decoded(lines))
            assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
            assert daemon.ask("a", payloads.decoded(lines)) == "DUP a 3"
            daemon.terminate()
            assert not daemon.log_lines("WARN|ERROR")
    assert len((tmp_path / "flows.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize("prefix, config, units", [
    ("/usr", "/etc/vpcflowd.json", r"(/usr)?/lib/systemd/system"),
    ("/usr/local", "/etc/vpcflowd.json", "/usr/local/lib/systemd/system"),
    ("/opt/flows", "/etc/opt/flows/vpcflowd.json", "/opt/flows/lib/systemd/system"),
])
def test_units_name_what_is_installed(tmp_path, prefix, config, units):
    install(prefix, tmp_path / "root")
    found = [path for path in tmp_path.glob("root/**/vpcflowd.service")]
    assert len(found) == 1 and (found[0].parent / "vpcflowd.socket").exists()
    assert re.fullmatch(units, "/" + str(found[0].parent.relative_to(tmp_path / "root")))
    unit = sandbox.settings(found[0])
    assert unit["ExecStart"] == [f"{prefix}/sbin/vpcflowd --config {config}"]
    assert (tmp_path / "root" / config[1:]).exists()
    with open(SERVICE, encoding="utf-8") as file:
        changed = set(found[0].read_text().split("\n")) ^ set(file.read().split("\n"))
    assert all(line.startswith("ExecStart=") for line in changed)


def test_the_unit_waits_for_the_drain():
    unit = sandbox.settings(SERVICE)
    drain = int(re.search(r"drain-timeout (\d+)", harness.run("--check-config").out).group(1))
    assert int(unit["TimeoutStopSec"][0]) > drain
    assert unit["StateDirectory"] == ["vpcflowd"] and unit["Type"] == ["notify"]


def test_the_units_never_give_up():
    """A collector that is late at boot ends each start with status 1, at once."""
    unit = sandbox.settings(SERVICE)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        harness.run("-l", "127.0.0.1:0", "-o", f"ipfix:tcp://127.0.0.1:{port}", status=1)
    assert unit["Restart"] == ["on-failure"] and "1" not in unit["RestartPreventExitStatus"]
    assert int(unit["RestartSec"][0]) >= 1
    for path in SERVICE, SERVICE.replace(".service", ".socket"):
        assert sandbox.settings(path)["StartLimitIntervalSec"] == ["0"]


def test_all_that_it_does_is_allowed_by_the_unit(start, tmp_path):
    """Under the unit's filters, with every kind of output, and all the signals."""
    config = tmp_path / "config.json"
    with contextlib.ExitStack() as stack:
        collector = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", 0))
        manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(str(tmp_path / "notify"))
        config.write_text(json.dumps({"output": [
            "ftsq", f"csv:{tmp_path}/flows.csv", f"json:tcp://localhost:{collector.getsockname()[1]}",
            f"ipfix:udp://127.0.0.1:{datagrams.getsockname()[1]}"]}))
        daemon = stack.enter_context(start(
            "--config", config, binary=harness.RELEASE, env={"NOTIFY_SOCKET": str(tmp_path / "notify")},
            launcher=[sys.executable, sandbox.__file__, SERVICE]))
        daemon.outputs = 4
        connection = stack.enter_context(collector.accept()[0])
        with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
            assert re.search(r"^Seccomp:\t2$", file.read(), re.M), "nothing is filtered"
        with daemon.connect() as peer:
            assert peer.ask("a", payloads.zipped(octets(100))) == "ACK a 100"
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration read again")
        assert daemon.stats()["flows"] == 100
        assert len(daemon.terminate()) == 100
        assert not daemon.log_lines("WARN|ERROR")
        assert connection.recv(1 << 20).startswith(b"{")
        assert datagrams.recv(65536)[:2] == b"\x00\x0a"
        assert manager.recv(1024).startswith(b"READY=1")


@pytest.mark.parametrize("what", [
    "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "mmap.mmap(-1, 4096, prot=7)",
    "os.setpriority(os.PRIO_PROCESS, 0, 0)", "os.sched_setaffinity(0, os.sched_getaffinity(0))",
])
def test_what_the_unit_does_not_allow_fails(what):
    """Else the test above would prove nothing."""
    program = [sys.executable, "-c", f"import mmap, os, socket\n{what}"]
    under = [sys.executable, sandbox.__file__, SERVICE]
    assert subprocess.run(program, check=False).returncode == 0
    refused = subprocess.run(under + program, capture_output=True, text=True, check=False)
    assert re.search("PermissionError|Address family not supported", refused.stderr)


# ---- what is told ------------------------------------------------------------------------------------


class Manager:
    """The socket that sd_notify(3) sends to."""

    def __init__(self, folder, kind):
        name = f"{folder}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name if kind == "abstract" else name)
        self.socket.settimeout(harness.WAIT)
        self.variable = "@" + name if kind == "abstract" else name

    def next(self, wanted=""):
        """The next message with that variable, as a dictionary; WATCHDOG=1 is passed over."""
        until = time.monotonic() + harness.WAIT
        while time.monotonic() < until:
            message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))
            if wanted in message or (not wanted and "WATCHDOG" not in message):
                return message
        raise AssertionError(f"no message with {wanted or 'anything'}")

    def nothing_more(self):
        """Whatever has come until now is a watchdog's."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                assert self.socket.recv(4096) == b"WATCHDOG=1"
        self.socket.settimeout(harness.WAIT)


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    m = Manager(tmp_path, request.param)
    yield m
    m.socket.close()


def test_a_life_as_told_to_the_manager(start, tmp_path, manager):
    config = tmp_path / "config"
    config.write_text("{}")
    with start("--config", config, "--drain-timeout", "77",
               env={"NOTIFY_SOCKET": manager.variable}) as daemon:
        listening = "listening on {}:{}".format(*daemon.address)
        assert manager.next() == {"READY": "1", "STATUS": listening}
        daemon.signal(signal.SIGHUP)
        reloading = manager.next()
        assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
        assert manager.next() == {"READY": "1", "STATUS": listening}
        config.write_text("nonsense")
        daemon.signal(signal.SIGHUP)
        assert "RELOADING" in manager.next()
        assert manager.next()["STATUS"].endswith("the old one is used")
        manager.nothing_more()
        daemon.terminate()
        stopping = manager.next()
        assert stopping["STOPPING"] == "1" and int(stopping["EXTEND_TIMEOUT_USEC"]) > 77_000_000


def test_ready_is_said_when_the_outputs_are_up_and_not_before(tmp_path):
    """The loop turns, as the watchdog is told, but the collector's queue of connections is full."""
    env = {**harness.environment(), "NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": "100000"}
    with contextlib.ExitStack() as stack:
        manager = Manager(tmp_path, "path")
        stack.enter_context(manager.socket)
        collector = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        fillers = [stack.enter_context(socket.socket()) for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(collector.getsockname())
        out = f"ftsq:tcp://127.0.0.1:{collector.getsockname()[1]}"
        process = stack.enter_context(subprocess.Popen(
            [harness.BINARY, "-o", out, "-l", "127.0.0.1:0"], stderr=subprocess.PIPE, env=env))
        stack.callback(process.kill)
        for _ in range(4):
            assert manager.socket.recv(4096) == b"WATCHDOG=1"
        for filler in fillers:
            filler.close()
        collector.accept()[0].close()
        assert manager.next()["READY"] == "1"


def test_the_watchdog_is_told_by_a_loop_that_turns(start, manager):
    env = {"NOTIFY_SOCKET": manager.variable, "WATCHDOG_USEC": "200000"}
    with start(env=env) as daemon:
        for _ in range(3):
            manager.next("WATCHDOG")
        daemon.signal(signal.SIGSTOP)
        with open(f"/proc/{daemon.process.pid}/stat", encoding="ascii") as state:
            harness.wait_for("it to stop", lambda: state.seek(0) or " T " in state.read())
        manager.nothing_more()
        manager.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            manager.next("WATCHDOG")
        manager.socket.settimeout(harness.WAIT)
        daemon.signal(signal.SIGCONT)
        manager.next("WATCHDOG")


@pytest.mark.parametrize("env", [
    {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {},
    {"WATCHDOG_USEC": "1s"}, {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "x"},
])
def test_no_watchdog_where_none_is_meant(start, manager, env):
    with start(env={"NOTIFY_SOCKET": manager.variable, **env}) as daemon:
        assert manager.socket.recv(4096).startswith(b"READY=1")
        assert daemon.ask("a", octets()) == "ACK a 1"
        assert bool(daemon.log_lines("WARN notify: ")) == (env.get("WATCHDOG_USEC") in ("1s", "0") or
                                                          env.get("WATCHDOG_PID") == "x")
        daemon.terminate()
        assert manager.socket.recv(4096).startswith(b"STOPPING=1")


@pytest.mark.parametrize("name, line", [
    ("relative", "neither a path"), ("@", "neither a path"), ("/" + "x" * 200, "neither a path"),
    ("/nonexistent/socket", "was not told"), ("", None),
])
def test_a_manager_that_is_not_there_stops_nothing(start, name, line):
    with start(env={"NOTIFY_SOCKET": name}) as daemon:
        assert daemon.ask("a", octets()) == "ACK a 1"
        assert len(daemon.log_lines(f"WARN notify: .*{line}")) == (0 if line is None else 1)


def test_a_manager_that_does_not_read_stops_nothing(start, tmp_path):
    with Manager(tmp_path, "path").socket as full:
        with start(env={"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": "2000"}) as daemon:
            daemon.wait_log("was not told error=\"Resource temporarily unavailable\"")
            assert daemon.ask("a", octets()) == "ACK a 1"
        full.close()


# ---- sockets that were handed over -------------------------------------------------------------------

LAUNCHER = """
import os, socket, sys
count = int(sys.argv[2])
made = []
for what in sys.argv[1].split():
    if what == "udp":
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elif what == "unix":
        s = socket.socket(socket.AF_UNIX)
        s.bind("\\0vpcflowd-test-%d" % os.getpid())
        s.listen()
    elif what == "file":
        s = open("/dev/null")
    elif what == "silent":
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
    else:
        s = socket.socket(socket.AF_INET6 if ":" in what else socket.AF_INET)
        s.bind((what, 0))
        s.listen()
    made.append(s)
high = [os.dup2(s.fileno(), 100 + n) for n, s in enumerate(made)]
os.closerange(3, 100)
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n)
os.closerange(100, 200)
os.environ["LISTEN_PID"] = sys.argv[3] or str(os.getpid())
os.environ["LISTEN_FDS"] = sys.argv[4] or str(count)
os.environ["LISTEN_FDNAMES"] = "a:b"
os.execv(sys.argv[5], sys.argv[5:])
"""


def handing_over(*what, pid="", number=""):
    return [sys.executable, "-c", LAUNCHER, " ".join(what), str(len(what)), pid, number]


def addresses(daemon):
    with open(daemon.ready_path, encoding="ascii") as file:
        return [line.rsplit(":", 1)[0] for line in file.read().split()]


@pytest.mark.parametrize("options, what, listening", [
    ([], ["127.0.0.1"], ["127.0.0.1"]),
    ([], ["127.0.0.1", "::1", "127.0.0.2"], ["127.0.0.1", "[::1]", "127.0.0.2"]),
    (["--listen", "127.0.0.3:0"], ["127.0.0.1"], ["127.0.0.1", "127.0.0.3"]),
    ([], ["127.0.0.1"] * 16, ["127.0.0.1"] * 16),
])
def test_sockets_of_the_manager_stand_for_the_standard_address(start, options, what, listening):
    with start(*options, listen=False, launcher=handing_over(*what)) as daemon:
        assert addresses(daemon) == listening
        assert daemon.ask("a", octets()) == "ACK a 1"
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration read again")
        assert daemon.ask("b", octets()) == "ACK b 1"
        assert not daemon.log_lines("restart")
        if listening[-1] == "127.0.0.3":
            with open(daemon.ready_path, encoding="ascii") as file:
                port = int(file.read().split()[1].rsplit(":", 1)[1])
            with harness.Peer(("127.0.0.3", port)) as peer:
                assert peer.ask("c", octets()) == "ACK c 1"


def test_sockets_for_another_process_are_left_alone(start):
    with start(launcher=handing_over("127.0.0.1", pid="1")) as daemon:
        assert len(addresses(daemon)) == 1
        assert daemon.ask("a", octets()) == "ACK a 1"


@pytest.mark.parametrize("how, says", [
    ({"what": ["udp"]}, "no listening TCP socket descriptor=3"),
    ({"what": ["unix"]}, "no listening TCP socket descriptor=3"),
    ({"what": ["file"]}, "no listening TCP socket descriptor=3"),
    ({"what": ["silent"]}, "no listening TCP socket descriptor=3"),
    ({"what": ["127.0.0.1", "udp"]}, "no listening TCP socket descriptor=4"),
    ({"what": ["127.0.0.1"], "number": "2"}, "no listening TCP socket descriptor=4"),
    ({"what": ["127.0.0.1"], "number": "17"}, "more sockets handed over"),
    ({"what": ["127.0.0.1"], "number": "1x"}, "LISTEN_PID or LISTEN_FDS is no number"),
    ({"what": ["127.0.0.1"], "pid": "self"}, "LISTEN_PID or LISTEN_FDS is no number"),
])
def test_what_is_handed_over_must_be_listening_sockets(how, says):
    launcher = handing_over(*how.pop("what"), **how)
    done = subprocess.run([*launcher, harness.BINARY], capture_output=True, check=False, timeout=60,
                          env=harness.environment())
    harness.check_log(done.stderr)
    assert done.returncode == 1
    assert re.fullmatch(f"ERROR listen: [^\n]*{says}[^\n]*\n", done.stderr.decode())


def test_read_does_not_care_for_sockets(tmp_path):
    (tmp_path / "lines").write_bytes(payloads.plain(payloads.records(2)))
    done = subprocess.run([*handing_over("udp"), harness.BINARY, "--read", tmp_path / "lines"],
                          capture_output=True, check=True, timeout=60, env=harness.environment())
    assert done.stdout.count(b"\n") == 2


def connected(address):
    with contextlib.suppress(ConnectionRefusedError):
        return harness.Peer(address)
    return None


def test_started_by_the_first_connection(tmp_path, own_address):
    """By systemd's own tool for that, which takes no port 0: one that is free on an address of our own."""
    ready = tmp_path / "ready"
    with socket.create_server((own_address, 0)) as free:
        address = free.getsockname()
    at = "{}:{}".format(*address)
    command = ["systemd-socket-activate", "-l", at, harness.BINARY, "--ready-file", ready]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=harness.environment()) as process:
        with harness.wait_for("it to listen", lambda: connected(address)) as peer:
            assert peer.ask("a", octets()) == "ACK a 1"
        assert ready.read_text() == at + "\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(harness.WAIT) == 0
