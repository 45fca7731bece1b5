# SPDX-License-Identifier: Apache-2.0
"""
--workers: several pipelines side by side give what one gives. Sockets are shared by the kernel, so
what a test sends on many connections reaches every worker sooner or later, and no test says which.
"""
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

import chaos
import collectors
import harness
import payloads
import secure
import sessions
import test_endings
import test_spool
import test_systemd
import traffic

TWO = ("--workers", "2")
HEADER = ",".join(n.replace("-", "_") for n in payloads.DEFAULT)
PEERS = 8


def csv(lines):
    return [",".join(line.split()) for line in lines]


def put_many(daemon, peers=PEERS, puts=10, records=50):
    """Each peer on a connection of its own; the lines that were acknowledged, which is all."""
    def work(_):
        mine = []
        with daemon.connect() as peer:
            for n in range(puts):
                lines = payloads.records(records)
                assert peer.ask(f"p{n}", payloads.decoded(lines)) == f"ACK p{n} {records}"
                mine += lines
        return mine

    return [line for lines in harness.in_threads(peers, work) for line in lines]


def tasks(daemon):
    """{thread id: name}"""
    folder = f"/proc/{daemon.process.pid}/task"
    found = {}
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/comm", encoding="ascii") as file:
            found[int(task)] = file.read().strip()
    return found


# ---- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_flow_comes_once(start, tmp_path, workers):
    path = tmp_path / "flows.csv"
    with start("--workers", workers, "-o", "ftsq", "-o", f"csv:{path}") as daemon:
        sent = put_many(daemon)
        s = daemon.stats()
        assert s["acks"] == PEERS * 10 and s["connections"] == PEERS and s["flows"] == len(sent)
        assert sorted(daemon.terminate()) == sorted(payloads.ftsq_lines(sent))
        assert len(daemon.log_lines("INFO listen: ")) == 1
    lines = path.read_text().splitlines()
    assert lines[0] == HEADER and sorted(lines[1:]) == sorted(csv(sent))


def test_there_are_so_many_threads(start):
    with start("--workers", "4") as daemon:
        names = list(tasks(daemon).values())
        assert sorted(n for n in names if n.startswith("worker")) == ["worker 1", "worker 2", "worker 3"]
        assert names.count("writer") == 4


@pytest.mark.parametrize("pipe", [True, False])
def test_no_line_is_torn(start, pipe):
    """8 MB of lines from 8 peers; blocks are larger than what a pipe takes at once."""
    batch = 2000
    with start(*TWO, "-o", "csv", pipe=pipe) as daemon:
        if pipe:
            daemon.pipe.start_reading()

        def work(n):
            with daemon.connect() as peer:
                for i in range(6):
                    first = (n * 6 + i) * batch
                    assert peer.ask(f"p{i}", sessions.numbered(first, batch)) == f"ACK p{i} {batch}"

        harness.in_threads(PEERS, work)
        text = "\n".join(daemon.terminate()) + "\n"
    assert len(text) > 8 * harness.MIB
    assert sorted(sessions.csv_numbers(text.encode())) == list(range(PEERS * 6 * batch))


def test_a_reader_that_sleeps_slows_all_down(start):
    """And when it goes on everything comes, whole."""
    with start(*TWO, pipe=True) as daemon:
        peers = [daemon.connect() for _ in range(PEERS)]
        for n, peer in enumerate(peers):
            threading.Thread(target=peer.put, args=("a", sessions.numbered(20_000 * n, 20_000)),
                             daemon=True).start()
        assert peers[0].line() == "WAIT a"
        daemon.pipe.start_reading()
        for peer in peers:
            assert peer.reply() == "ACK a 20000"
            peer.close()
        numbers = chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")
    assert sorted(numbers) == list(range(20_000 * PEERS))


@pytest.mark.parametrize("number", [1, 2])
def test_a_second_signal_ends_all_while_output_is_blocked(start, number):
    with start(*TWO, "--drain-timeout", "2", pipe=True, status=1) as daemon:
        peers = [daemon.connect() for _ in range(PEERS)]
        for n, peer in enumerate(peers):
            threading.Thread(target=lambda p, n: p.put("a", sessions.numbered(20_000 * n, 20_000)),
                             args=(peer, n), daemon=True).start()
        assert peers[0].line() == "WAIT a"
        daemon.begin_drain()
        if number == 2:
            daemon.signal(signal.SIGTERM)
        daemon.wait_exit(20)
        daemon.check_end()
        for peer in peers:
            peer.close()


def test_a_signal_ends_the_wait_of_all_for_a_reader(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen([harness.BINARY, "--workers", "4", "-l", "127.0.0.1:0", "-o", f"csv:{tmp_path}/fifo"],
                          stderr=subprocess.PIPE, env=harness.environment()) as process:
        assert b"waiting for a reader" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        harness.check_log(said)
        assert process.wait(harness.WAIT) == 1 and b"before the outputs were up" in said


def test_a_reader_that_comes_late_gets_all_of_all(start, tmp_path):
    """With a spool nobody waits: what comes before there is a reader comes out once there is one."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with start(*TWO, "-o", f"csv:{fifo}", "--spool", tmp_path / "spool") as daemon:
        sent = put_many(daemon)
        text = test_endings.slurp(fifo)
        daemon.wait_stats(flows=len(sent))
        daemon.terminate()
    lines = text().decode().splitlines()
    assert lines[0] == HEADER and sorted(lines[1:]) == sorted(csv(sent))


@pytest.mark.parametrize("fmt", ["csv", "json"])
def test_a_line_that_was_torn_is_ended_once(start, tmp_path, fmt):
    path = tmp_path / "flows"
    begin = HEADER + "\ntor" if fmt == "csv" else '{"tor'
    path.write_text(begin)
    with start(*TWO, "-o", f"{fmt}:{path}") as daemon:
        sent = put_many(daemon)
        daemon.terminate()
        assert len(daemon.log_lines("the file ends within a line")) == 1
    text = path.read_text()
    assert text.startswith(begin + "\n")
    assert len(text.splitlines()) == len(begin.splitlines()) + len(sent)


def test_a_reader_that_goes_ends_all(start):
    with start(*TWO, pipe=True, status=1) as daemon:
        daemon.pipe.close_read_end()
        with daemon.connect() as peer:
            peer.put("a", sessions.numbered(0, 1000))
            daemon.wait_exit()
        assert daemon.log_lines("its reader is gone")


# ---- signals -------------------------------------------------------------------------------------


def test_rotation_under_load(start, tmp_path):
    path = tmp_path / "flows.csv"
    with start(*TWO, "-o", f"csv:{path}") as daemon:
        sent, got = traffic.rotate(daemon, path, rotations=5, peers=5, flows=200)
    assert sorted(got) == sorted(csv(sent))


def test_a_reload_reaches_every_worker(start, tmp_path):
    path = tmp_path / "vpcflowd.json"
    path.write_text('{"workers": 3, "exporter": "10.9.9.1"}')
    with start("-c", path) as daemon:
        before = put_many(daemon, puts=2)
        path.write_text('{"workers": 3, "exporter": "10.9.9.2"}')
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration read again")
        after = put_many(daemon, puts=2)
        path.write_text('{"workers": 2, "exporter": "10.9.9.2"}')
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration read again", 2)
        assert len(daemon.log_lines("WARN main: .*workers.*restart")) == 1
        assert sorted(daemon.terminate()) == sorted(
            payloads.ftsq_lines(before, exporter="10.9.9.1") +
            payloads.ftsq_lines(after, exporter="10.9.9.2"))


def test_counters_hold_under_load(start):
    """The law of every sum is checked by stats()."""
    with start(*TWO) as daemon:
        done = threading.Event()

        def work(n):
            if n > 0:
                while not done.is_set():
                    put_many(daemon, peers=1, puts=5)
                return
            try:
                for _ in range(20):
                    daemon.stats()
            finally:
                done.set()

        harness.in_threads(5, work)


def test_drained_under_load_every_acked_flow_is_there(start):
    with start(*TWO) as daemon:
        def work(n):
            if n == 0:
                daemon.wait_stats(acks=20)
                daemon.begin_drain()
                return [], []
            acked, others = [], []
            with daemon.connect() as peer:
                while True:
                    lines = payloads.ftsq_lines(payload := payloads.records(20))
                    try:
                        reply = peer.ask("a", payloads.decoded(payload))
                    except OSError:
                        reply = None
                    (acked if (reply or "").startswith("ACK") else others).extend(lines)
                    if not reply or reply.startswith("RETRY"):
                        return acked, others

        results = harness.in_threads(7, work)
        out = daemon.wait_end()
    acked = [line for a, _ in results for line in a]
    assert len(out) == len(set(out)) and set(acked) <= set(out)
    assert not {line for _, o in results for line in o} & set(out)


def ptrace(request, task):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(request, task, None, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def test_the_watchdog_notices_any_worker_that_hangs(start, tmp_path):
    attach, detach, wall = 16, 17, 0x40000000
    manager = test_systemd.Manager(tmp_path, "path")
    env = {"NOTIFY_SOCKET": manager.variable, "WATCHDOG_USEC": "200000"}
    with manager.socket, start("--workers", "3", env=env) as daemon:
        manager.next("READY")
        for task in [t for t, name in tasks(daemon).items() if name.startswith("worker")]:
            manager.next("WATCHDOG")
            try:
                ptrace(attach, task)
            except PermissionError:
                pytest.skip("nobody may be traced here")
            os.waitpid(task, wall)
            time.sleep(0.2)  # what was on its way
            manager.nothing_more()
            manager.socket.settimeout(0.5)
            with pytest.raises(TimeoutError):
                manager.socket.recv(4096)
            manager.socket.settimeout(harness.WAIT)
            ptrace(detach, task)
        manager.next("WATCHDOG")


# ---- duplicates ----------------------------------------------------------------------------------


def test_the_same_payload_to_all_workers_is_taken_once(start):
    rounds = 40
    batches = [payloads.records(200) for _ in range(rounds)]
    barrier = threading.Barrier(PEERS)
    with start("--workers", "4") as daemon:
        def work(_):
            answers = []
            with daemon.connect() as peer:
                for n, lines in enumerate(batches):
                    barrier.wait(harness.WAIT)
                    answers.append(peer.ask(f"p{n}", payloads.decoded(lines)))
            return answers

        for n, answers in enumerate(zip(*harness.in_threads(PEERS, work))):
            assert sorted(answers) == [f"ACK p{n} 200"] + [f"DUP p{n} 200"] * (PEERS - 1)
        assert daemon.stats()["dups"] == rounds * (PEERS - 1)
        assert sorted(daemon.terminate()) == sorted(
            payloads.ftsq_lines([line for lines in batches for line in lines]))


def test_who_waits_for_another_worker_takes_over_what_that_refused(start):
    """Nobody has taken a bad payload: each is told so."""
    bad = b"2 not a flow log\n" * 1000
    with start(*TWO) as daemon:
        answers = harness.in_threads(PEERS, lambda _: daemon.ask("a", bad))
        assert len(set(answers)) == 1 and answers[0].startswith("REJECT a ")


# ---- listening -----------------------------------------------------------------------------------


def test_one_port_for_all(start, own_address):
    with start("--workers", "3", "-l", f"{own_address}:0") as daemon:
        with open(daemon.ready_path, encoding="ascii") as file:
            lines = file.read().splitlines()
        assert len(lines) == 2 and lines[1].startswith(own_address)
        host, port = lines[1].rsplit(":", 1)
        for _ in range(PEERS):
            with harness.Peer((host, int(port))) as peer:
                assert peer.ask("a", sessions.numbered(0, 1)).split()[0] in ("ACK", "DUP")
        again = harness.run("--workers", "2", "-l", lines[1], status=1)
        assert "address already in use" in again.err


def test_sockets_of_the_manager_are_everybodys(start):
    with start("--workers", "3", listen=False,
               launcher=test_systemd.handing_over("127.0.0.1", "127.0.0.2")) as daemon:
        assert test_systemd.addresses(daemon) == ["127.0.0.1", "127.0.0.2"]
        sent = put_many(daemon)
        assert sorted(daemon.terminate()) == sorted(payloads.ftsq_lines(sent))


def test_limits_are_shared_out(start):
    """A worker that has its share of connections lets more wait."""
    with start(*TWO, "--max-connections", "8", "--max-in-flight", "128K") as daemon:
        sent = put_many(daemon, peers=24, puts=3, records=500)
        assert daemon.stats()["flows"] == len(sent)


def test_tls(tmp_path, certificates):
    with secure.Daemon(tmp_path, certificates, *TWO) as daemon:
        sent = put_many(daemon, puts=3)
        assert sorted(daemon.terminate()) == sorted(payloads.ftsq_lines(sent))


@pytest.mark.parametrize("options, says", [
    (["--workers", "0"], "not a number from 1 to 64"),
    (["--workers", "65"], "not a number from 1 to 64"),
    (["--workers", "x"], "not a number from 1 to 64"),
    (["--workers", "2", "-o", "ipfix:/tmp/flows.ipfix"], "leave --workers at 1"),
    (["-w2", "-o", "csv:/dev/null", "-o", "ipfix"], 'option="--output ipfix"'),
    (["--workers", "3", "--max-connections", "2"], "fewer than --workers"),
    (["--workers", "2", "--read", "-", "-"], "standard input more than once"),
])
def test_what_cannot_be(options, says):
    assert says in harness.run(*options, status=2).err


def test_what_would_run():
    assert "workers 1\n" in harness.run("--check-config").out
    assert "workers 7\n" in harness.run("--workers", "7", "--check-config").out


# ---- collectors ----------------------------------------------------------------------------------


def wait_delivered(daemon, flows):
    return test_spool.wait_delivered(daemon, flows)


def test_a_session_each_over_tcp(start, tmp_path):
    with collectors.TcpCollector(tmp_path / "collector") as collector:
        with start(*TWO, "-o", f"ipfix:tcp://127.0.0.1:{collector.port}") as daemon:
            peers = chaos.Resenders(daemon, peers=PEERS, most=20)
            sent = peers.wait()
            assert wait_delivered(daemon, len(sent))["output0_up"] == 2
            daemon.terminate()
        collector.stop()
        octets = collector.sessions()
    assert len(octets) == 2
    numbers = [sessions.ipfix_numbers(session) for session in octets]
    assert all(numbers), "a worker had nothing to do"
    assert sorted(numbers[0] + numbers[1]) == sorted(sent)
    for n, session in enumerate(octets):
        path = tmp_path / f"{n}.ipfix"
        path.write_bytes(session)
        assert len(collectors.decode(str(path))) >= len(numbers[n])


def test_a_session_each_over_udp(start):
    """Told apart by their ports: RFC 7011 section 2."""
    taken = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * harness.MIB)
        sink.bind(("127.0.0.1", 0))
        with start(*TWO, "-o", f"ipfix:udp://127.0.0.1:{sink.getsockname()[1]}") as daemon:
            sent = chaos.Resenders(daemon, peers=PEERS, most=5).wait()
            daemon.terminate()
        sink.setblocking(False)
        while True:
            try:
                octets, sender = sink.recvfrom(65536)
            except BlockingIOError:
                break
            taken.setdefault(sender, sessions.Session()).take(octets)
    assert len(taken) == 2 and all(session.numbers for session in taken.values())
    assert sorted(n for session in taken.values() for n in session.numbers) == sorted(sent)


def test_nfcapd_has_all_flows(start, tmp_path):
    """It takes the workers' sessions for one, and the sequence for broken; the flows are there."""
    with collectors.Nfcapd(tmp_path / "nfcapd") as nfcapd:
        with start(*TWO, "-o", f"ipfix:udp://127.0.0.1:{nfcapd.port}", "--udp-rate", "20000") as daemon:
            sent = chaos.Resenders(daemon, peers=PEERS, most=5).wait()
            daemon.terminate()
        assert len(nfcapd.flows()) == len(sent)


def test_a_collector_that_comes_back(start, tmp_path):
    with collectors.TcpCollector(tmp_path / "collector") as collector:
        with start(*TWO, "-o", f"csv:tcp://127.0.0.1:{collector.port}", "--reconnect-max", "1") as daemon:
            peers = chaos.Resenders(daemon, peers=PEERS)
            for _ in range(2):
                peers.wait_acked(2000)
                collector.restart()
            peers.wait_acked(2000)
            sent = peers.end()
            daemon.terminate()
        collector.stop()
        got = {n for session in collector.sessions() for n in sessions.csv_numbers(session, torn=True)}
    assert got == sent


def test_a_collector_that_is_not_there_ends_the_start():
    port = test_spool.nobody()
    err = harness.run(*TWO, "-l", "127.0.0.1:0", "-o", f"csv:tcp://127.0.0.1:{port}", status=1).err
    assert "cannot connect" in err


# ---- the spool -----------------------------------------------------------------------------------


def test_killed_with_more_and_with_fewer_workers(start, tmp_path):
    """What was acknowledged comes, whichever worker had it, and what comes again is known."""
    path = tmp_path / "flows"
    spool = tmp_path / "spool"
    options = ["--spool", spool, "-o", f"ftsq:{path}"]
    place = chaos.Restarting(tmp_path, *options, *TWO)
    with place:
        peers = chaos.Resenders(place, peers=PEERS, records=(100, 1000))
        for workers in "4", "1", "3", "2", "1":
            peers.wait_acked(3000)
            place.options = (*options, "--workers", workers)
            place.crash()
        peers.wait_acked(3000)
        sent = peers.end()
        wait_delivered(place.daemon, 0)
        place.daemon.terminate()
    numbers = chaos.ftsq_numbers(path.read_text())
    assert set(numbers) == sent
    assert chaos.segments(spool) == []
    assert all(not chaos.segments(spool / n) for n in os.listdir(spool) if n.isdigit())


def test_left_to_fewer_workers_it_goes_to_the_collector(start, tmp_path):
    """All of it waits on disk, of four workers; one replays it."""
    spool = tmp_path / "spool"
    collector = collectors.TcpCollector(tmp_path / "collector", test_spool.nobody())
    to = test_spool.to(collector.port)
    with start(*to, "--spool", spool, "--workers", "4") as daemon:
        sent = chaos.Resenders(daemon, peers=16, most=3).wait()
        assert daemon.stats()["spooled"] == 48
        daemon.terminate()
    assert sorted(n for n in os.listdir(spool) if n.isdigit()) == ["1", "2", "3"]
    with collector, start(*to, "--spool", spool) as daemon:
        wait_delivered(daemon, len(sent))
        assert daemon.ask("p0", sessions.numbered(0, 100)) == "DUP p0 100"
        assert daemon.stats()["spool_replayed"] == 48
        daemon.terminate()
        collector.stop()
        numbers = sessions.ipfix_numbers(b"".join(collector.sessions()))
    assert len(numbers) == len(sent) and set(numbers) == sent
    # What was taken is remembered there for a day; without that the folders go, as that of a worker to
    # whom the kernel gave no peer has gone already.
    left = [n for n in os.listdir(spool) if n.isdigit()]
    assert left and set(left) <= {"1", "2", "3"}
    for n in left:
        assert chaos.segments(spool / n) == []
        for name in os.listdir(spool / n):
            assert name.startswith("seen-")
            os.remove(spool / n / name)
    with start("--spool", spool):
        pass
    assert not [n for n in os.listdir(spool) if n.isdigit()]


def test_a_folder_in_use_is_refused(start, tmp_path):
    with start("--spool", tmp_path / "spool", *TWO):
        for folder in tmp_path / "spool", tmp_path / "spool" / "1":
            err = harness.run("--spool", folder, "-l", "127.0.0.1:0", status=2).err
            assert "another process uses it" in err


# ---- --read --------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """Eight of them, and their lines."""
    lines, paths = [], []
    for n in range(8):
        mine = payloads.records(500 * (n + 1))
        lines += mine
        paths.append(tmp_path / f"{n}.gz")
        paths[-1].write_bytes(payloads.zipped(payloads.plain(mine)))
    return lines, paths


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
def test_files_are_shared_out(files, workers):
    lines, paths = files
    done = harness.read("--workers", workers, "-o", "csv", files=paths)
    assert done.lines[0] == HEADER and sorted(done.lines[1:]) == sorted(csv(lines))
    assert done.summary["files"] == done.summary["of"] == 8
    assert done.summary["flows"] == len(lines)


def test_the_status_is_that_of_all(files, tmp_path):
    lines, paths = files
    broken = tmp_path / "broken.gz"
    broken.write_bytes(paths[0].read_bytes()[:-20])
    done = harness.read(*TWO, files=[*paths[:3], broken, "/nonexistent", *paths[3:]], status=1)
    assert set(payloads.ftsq_lines(lines)) <= set(done.lines)
    assert done.summary["files"] == 8 and done.summary["of"] == 10


def test_one_header_for_files_of_several_formats(tmp_path):
    """The columns are those of whichever record came first; every line has as many."""
    paths = []
    for n in range(8):
        names = payloads.DEFAULT if n % 2 else ["version", "srcaddr", "dstaddr", "bytes"]
        lines = [" ".join(names)]
        for record in payloads.records(300):
            values = dict(zip(payloads.DEFAULT, record.split()))
            lines.append(" ".join(values[name] for name in names))
        paths.append(tmp_path / str(n))
        paths[-1].write_text("\n".join(lines) + "\n")
    done = harness.read(*TWO, "-o", "csv", files=paths)
    columns = done.lines[0].split(",")
    assert len(done.lines) == 1 + 8 * 300 and done.lines.count(done.lines[0]) == 1
    source = columns.index("srcaddr")
    for line in done.lines[1:]:
        fields = line.split(",")
        assert len(fields) == len(columns) and fields[source].startswith("10."), line


def test_standard_input_among_files(files):
    lines, paths = files
    more = payloads.records(100)
    done = harness.read(*TWO, "-o", "json", files=["-", *paths], stdin=payloads.plain(more))
    assert sorted(json.loads(line)["bytes"] for line in done.lines) == sorted(
        int(line.split()[9]) for line in lines + more)


def test_an_interrupted_read_ends_all(tmp_path):
    fifos = []
    for n in range(2):
        fifos.append(tmp_path / f"fifo-{n}")
        os.mkfifo(fifos[-1])
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(
            [harness.BINARY, *TWO, "--read", *map(str, fifos)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=harness.environment()))
        stack.callback(process.kill)
        for n, path in enumerate(fifos):
            end = stack.enter_context(open(path, "wb", buffering=0))
            end.write(sessions.numbered(100 * n, 100))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        harness.check_log(err)
        assert process.returncode == 1 and b"interrupted" in err
        assert set(chaos.ftsq_numbers(out.decode())) <= set(range(200))
