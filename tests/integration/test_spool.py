# SPDX-License-Identifier: Apache-2.0
"""
--spool: what is acknowledged is on disk, whatever becomes of the outputs, of the disk and of the
process. What random moments do is in test_chaos.py.
"""
import contextlib
import fcntl
import os
import signal
import socket
import threading

import pytest

import chaos
import collectors
import harness
import payloads
import sessions
import traffic


@pytest.fixture
def folder(tmp_path):
    """For --spool; made by the daemon."""
    return str(tmp_path / "spool")


def nobody():
    """A port of 127.0.0.1 at which nobody listens, and a collector may later."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def to(port, fmt="ipfix"):
    return "-o", f"{fmt}:tcp://127.0.0.1:{port}", "--reconnect-max", "1"


def ask(peer, first, count):
    """PUTs numbered records, which have to be acknowledged."""
    assert peer.ask(f"p{first}", sessions.numbered(first, count)) == f"ACK p{first} {count}"


def wait_delivered(daemon, flows, seconds=120):
    """Back once so many flows were converted, and the outputs have delivered them; the counters."""
    def delivered():
        s = daemon.stats()
        outputs = range(daemon.outputs)
        done = all(s[f"output{n}_bytes"] == s[f"output{n}_bytes_written"] for n in outputs)
        return s if s["flows"] >= flows and done else None

    return harness.wait_for(f"{flows} flows delivered", delivered, seconds)


def numbers_of(path):
    with open(path, encoding="ascii") as file:
        return chaos.ftsq_numbers(file.read())


def csv_of(path):
    with open(path, "rb") as file:
        return sessions.csv_numbers(file.read())


# ---- the plain way -------------------------------------------------------------------------------


def test_what_is_delivered_leaves_nothing_behind(start, folder):
    with start("--spool", folder) as daemon, daemon.connect() as peer:
        ask(peer, 0, 100)
        ask(peer, 100, 50)
        assert daemon.stats()["spooled"] == 2
        assert chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n") == list(range(150))
    assert chaos.segments(folder) == [] and chaos.segments(folder, ".kept") == []


def test_an_unframed_payload_is_converted_as_without(start, folder):
    with start("--spool", folder) as daemon:
        for _ in range(2):
            daemon.push(sessions.numbered(0, 10))
        assert daemon.stats()["spooled"] == 0
        assert len(daemon.terminate()) == 20


def test_rejected_payloads_are_not_stored(start, folder):
    with start("--spool", folder) as daemon:
        assert daemon.ask("a", b'{"messageType":').startswith("REJECT a ")
        assert daemon.ask("b", b"").startswith("REJECT b ")
        assert daemon.stats()["spooled"] == 0


def test_the_segments_are_what_peers_send(start, folder, tmp_path):
    """PUT frames, which another listener takes as they are."""
    port = nobody()
    with start(*to(port), "--spool", folder) as daemon, daemon.connect() as peer:
        for n in range(5):
            ask(peer, 100 * n, 100)
        daemon.terminate()
    octets = b""
    for path in chaos.segments(folder):
        with open(path, "rb") as file:
            octets += file.read()
    names = [chaos.hashlib.sha256(f.payload).hexdigest() for f in chaos.frames(folder)]
    assert len(names) == 5
    with start() as other:
        with other.connect() as peer:
            peer.send(octets).half_close()
            assert peer.rest().decode().splitlines() == [f"ACK {name} 100" for name in names]
        assert chaos.ftsq_numbers("\n".join(other.terminate()) + "\n") == list(range(500))


# ---- outputs that are down, or slow --------------------------------------------------------------


def spool_much(start, folder, collector, octets, first=0):
    """
    The collector is not there: all that peers PUT is acknowledged, and comes once it is, in order.
    The most memory that this took.
    """
    with start(*to(collector.port), "--spool", folder,
               binary=harness.RELEASE or harness.BINARY) as daemon:
        most = octets // len(sessions.numbered(0, 2000)) // 2 + 1
        sent = chaos.Resenders(daemon, peers=2, records=2000, ahead=8, most=most,
                                first=first).wait()
        assert daemon.log_lines("WARN output: not there yet")
        counters = daemon.stats()
        assert counters["spool_bytes"] >= octets and counters["flows"] < len(sent)
        collector.start()
        wait_delivered(daemon, len(sent))
        peak = daemon.peak_memory()
        daemon.terminate()
        collector.stop()
    assert chaos.segments(folder) == []
    numbers = sessions.ipfix_numbers(b"".join(collector.sessions()))
    assert len(numbers) == len(sent) and set(numbers) == sent
    assert traffic.in_order(numbers)
    return peak


@pytest.fixture
def absent(tmp_path):
    """absent(): a collector that nobody has started yet."""
    with contextlib.ExitStack() as stack:
        made = []

        def make():
            made.append(collectors.TcpCollector(tmp_path / f"collector-{len(made)}", nobody()))
            stack.callback(lambda collector: collector.process and collector.kill(), made[-1])
            return made[-1]

        yield make


def test_memory_does_not_grow_with_what_is_spooled(start, folder, absent):
    """Past what outputs hold in memory at most, that is."""
    little = spool_much(start, folder, absent(), 12 * harness.MIB)
    much = spool_much(start, folder, absent(), 60 * harness.MIB, 10**7)
    with start("--spool", folder, binary=harness.RELEASE or harness.BINARY) as idle:
        least = idle.peak_memory()
    print(f"peak memory: idle {least >> 10} KiB, 12 MiB spooled {little >> 10} KiB, "
          f"60 MiB spooled {much >> 10} KiB")
    assert much - little < 8 * harness.MIB or not harness.RELEASE
    assert much - least < 40 * harness.MIB or not harness.RELEASE


def test_a_reader_that_sleeps_holds_up_nobody(start, folder):
    """Standard output is a pipe that is not read: ACKs all the same, and everything in order later."""
    with start("--spool", folder, pipe=True) as daemon:
        sent = chaos.Resenders(daemon, peers=3, records=1000, ahead=8, most=70).wait()
        counters = daemon.stats()
        assert counters["acks"] == 210 and counters["flows"] < len(sent)
        daemon.pipe.start_reading()
        wait_delivered(daemon, len(sent))
        numbers = chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")
    assert len(numbers) == len(sent) and set(numbers) == sent and traffic.in_order(numbers)


def test_a_payload_that_stops_in_the_middle_comes_once(start, folder):
    """Larger than what outputs hold: its first part goes straight, the rest from the spool."""
    with start("--spool", folder, pipe=True) as daemon, daemon.connect() as peer:
        ask(peer, 0, 60_000)
        ask(peer, 60_000, 10)
        assert 0 < daemon.stats()["flows"] < 60_000
        daemon.pipe.start_reading()
        wait_delivered(daemon, 60_010)
        numbers = chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")
    assert numbers == list(range(60_010))


def test_two_outputs_of_which_one_is_down(start, folder, absent, tmp_path):
    """Each gets everything once; the one that is up does not get it again with the other."""
    collector, path = absent(), tmp_path / "flows"
    with start("-o", f"ftsq:{path}", *to(collector.port), "--spool", folder) as daemon:
        sent = chaos.Resenders(daemon, peers=2, records=500, most=20).wait()
        collector.start()
        wait_delivered(daemon, len(sent))
        daemon.terminate()
        collector.stop()
    for numbers in numbers_of(path), sessions.ipfix_numbers(b"".join(collector.sessions())):
        assert len(numbers) == len(sent) and set(numbers) == sent and traffic.in_order(numbers)


# ---- a text file that a crash left torn ----------------------------------------------------------


LINES = "".join(chaos.FTSQ_LINE % n + "\n" for n in range(3))
CSV = sessions.COLUMNS + "\n" + "".join(sessions.CSV_LINE % n + "\n" for n in range(3))


def wrote(start, path, fmt, *options):
    """What is in the file after two records more, and the warnings."""
    with start("-o", f"{fmt}:{path}", *options) as daemon:
        assert daemon.ask("a", sessions.numbered(7, 2)) == "ACK a 2"
        daemon.terminate()
        return path.read_text(), daemon.log_lines("WARN|ERROR")


def two_lines(fmt):
    line = sessions.CSV_LINE if fmt == "csv" else chaos.FTSQ_LINE
    return line % 7 + "\n" + line % 8 + "\n"


@pytest.mark.parametrize("fmt, before, kept", [
    ("ftsq", LINES + chaos.FTSQ_LINE[:40], LINES),
    ("ftsq", LINES + "x" * 100_000, LINES),
    ("csv", CSV + "2,01234", CSV),
    ("csv", CSV[:-1], CSV[:CSV[:-1].rfind("\n") + 1]),
], ids=range(4))
def test_a_torn_line_is_cut_at_the_start(start, folder, tmp_path, fmt, before, kept):
    path = tmp_path / "flows"
    path.write_text(before)
    text, told = wrote(start, path, fmt, "--spool", folder)
    assert text == kept + two_lines(fmt)
    assert len(told) == 1 and "the file ends within a line, which is removed" in told[0]


@pytest.mark.parametrize("fmt, before", [
    ("ftsq", LINES[:-10]), ("ftsq", LINES[:30]), ("ftsq", "x"), ("ftsq", "x" * 1_000_000),
    ("csv", CSV[:-1]), ("csv", CSV + "2,01234"),
], ids=range(6))
def test_without_a_spool_a_torn_line_is_ended(start, tmp_path, fmt, before):
    """Its rest would come from nowhere; but what is acknowledged does not become part of it."""
    path = tmp_path / "flows"
    path.write_text(before)
    text, told = wrote(start, path, fmt)
    assert text == before + "\n" + two_lines(fmt)
    assert len(told) == 1 and "the file ends within a line, which stays" in told[0]
    assert wrote(start, path, fmt) == (text + two_lines(fmt), [])


@pytest.mark.parametrize("fmt", ["ftsq", "json"])
@pytest.mark.parametrize("before", [LINES[:30], "secret", "x" * 1_000_000, "line\n" + "x" * 1_000_000],
                         ids=range(4))
def test_a_file_that_may_be_somebody_elses_is_not_cut(start, folder, tmp_path, fmt, before):
    path = tmp_path / "flows"
    path.write_text(before)
    text, told = wrote(start, path, fmt, "--spool", folder)
    assert text.startswith(before + "\n") and len(text.splitlines()) == before.count("\n") + 3
    assert len(told) == 1 and "the file ends within a line, which stays" in told[0]


@pytest.mark.parametrize("spool", [False, True])
@pytest.mark.parametrize("octets", [1, 20, len(sessions.COLUMNS), len(sessions.COLUMNS) + 1])
def test_a_torn_header_is_completed(start, folder, tmp_path, spool, octets):
    path = tmp_path / "flows"
    header = sessions.COLUMNS + "\n"
    path.write_text(header[:octets])
    options = ["--spool", folder] if spool else []
    assert wrote(start, path, "csv", *options) == (header + two_lines("csv"), [])


@pytest.mark.parametrize("before", ["x" * 10_000, sessions.COLUMNS[:20] + "x", "x"], ids=range(3))
def test_something_else_than_the_header_is_refused_as_it_is(folder, tmp_path, before):
    path = tmp_path / "flows"
    path.write_text(before)
    result = harness.run("-l", "127.0.0.1:0", "-o", f"csv:{path}", "--spool", folder, status=1)
    assert "begins with another header" in result.err
    assert path.read_text() == before


def test_a_torn_file_that_hup_finds_is_ended_too(start, tmp_path):
    path = tmp_path / "flows"
    with start("-o", f"csv:{path}") as daemon:
        daemon.ask("a", sessions.numbered(0, 3))
        path.write_text(CSV[:-5])
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reopened")
        assert daemon.ask("b", sessions.numbered(7, 2)) == "ACK b 2"
        assert path.read_text() == CSV[:-5] + "\n" + two_lines("csv")
        assert len(daemon.log_lines("ends within a line")) == 1


# ---- ends and starts -----------------------------------------------------------------------------


def test_a_backlog_is_kept_over_an_end(start, folder, absent):
    """The collector is down: it ends well, and at once, for what was acknowledged is safe."""
    collector = absent()
    options = *to(collector.port), "--spool", folder, "--drain-timeout", "300"
    with start(*options) as daemon:
        sent = chaos.Resenders(daemon, peers=2, records=1000, most=50).wait()
        daemon.begin_drain()
        daemon.wait_end(30)
    assert chaos.segments(folder)
    collector.start()
    with start(*options) as daemon:
        assert daemon.log_lines("INFO spool: going on with what an earlier run left")
        wait_delivered(daemon, len(sent))
        daemon.terminate()
    collector.stop()
    numbers = sessions.ipfix_numbers(b"".join(collector.sessions()))
    assert len(numbers) == len(sent) and set(numbers) == sent and traffic.in_order(numbers)
    assert chaos.segments(folder) == []


def test_a_backlog_over_three_ends_keeps_its_order(start, folder, absent):
    """New payloads get in line behind those of earlier runs."""
    collector = absent()
    options = *to(collector.port), "--spool", folder
    for run in range(3):
        with start(*options) as daemon:
            chaos.Resenders(daemon, peers=2, records=100, most=20, first=2000 * run).wait()
    collector.start()
    with start(*options) as daemon:
        chaos.Resenders(daemon, peers=2, records=100, most=20, first=6000).wait()
        wait_delivered(daemon, 4 * 2 * 2000)
    collector.stop()
    numbers = sessions.ipfix_numbers(b"".join(collector.sessions()))
    assert len(numbers) == 16_000 and traffic.in_order(numbers)


def test_unframed_flows_are_waited_for_at_the_end(start, folder):
    """They are in memory only: given up after --drain-timeout, and said so."""
    collector = nobody()
    with start(*to(collector), "--spool", folder, "--drain-timeout", "1", status=1) as daemon:
        daemon.push(sessions.numbered(0, 10))
        daemon.wait_stats(flows=10)
        daemon.begin_drain()
        daemon.wait_end(30)
        assert daemon.log_lines("ERROR .*--drain-timeout")


def test_unframed_flows_are_delivered_at_the_end(start, folder, absent):
    """When the collector comes within --drain-timeout."""
    collector = absent()
    with start(*to(collector.port), "--spool", folder, "--drain-timeout", "300") as daemon:
        daemon.push(sessions.numbered(0, 10))
        daemon.wait_stats(flows=10)
        daemon.begin_drain()
        collector.start()
        daemon.wait_end(60)
    collector.stop()
    assert sessions.ipfix_numbers(b"".join(collector.sessions())) == list(range(10))


def test_without_a_spool_a_collector_that_is_down_is_an_error():
    result = harness.run("--listen", "127.0.0.1:0", *to(nobody()), status=1)
    assert "ERROR output:" in result.err


# ---- what it refuses -----------------------------------------------------------------------------


def refused(folder):
    result = harness.run("--listen", "127.0.0.1:0", "--spool", folder, status=2)
    assert f'option="--spool {folder}"' in result.err, result.err
    assert len(result.err.splitlines()) == 1, result.err
    return result.err


def test_a_spool_in_use(start, folder):
    with start("--spool", folder) as daemon, daemon.connect() as peer:
        ask(peer, 0, 10)
        assert "another process uses it" in refused(folder)
        ask(peer, 10, 10)


def test_a_spool_that_is_in_use_for_a_moment_yet(start, folder):
    """As a start finds it whose predecessor was killed just now."""
    os.mkdir(folder)
    with open(os.path.join(folder, "lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        release = threading.Timer(0.5, fcntl.flock, (lock, fcntl.LOCK_UN))
        release.start()
        with start("--spool", folder) as daemon, daemon.connect() as peer:
            ask(peer, 0, 10)
        release.join()


def test_a_spool_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    assert "not a directory" in refused(path)
    assert path.read_text() == "x"


def test_a_spool_in_a_folder_that_is_not_there(tmp_path):
    assert "no such file or directory" in refused(tmp_path / "no" / "spool")


def test_hup_with_another_spool(start, folder, tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"spool": "%s"}' % folder)
    with start("-c", path) as daemon:
        path.write_text('{"spool": "%s"}' % (folder + "-other"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("WARN main: .*spool take effect at a restart")
        assert daemon.ask("a", sessions.numbered(0, 10)) == "ACK a 10"
        daemon.terminate()
    assert not os.path.exists(folder + "-other")


# ---- a spool that changed in the meantime --------------------------------------------------------


def stored(start, folder, payload_list, *options):
    """A spool with these payloads, none of which was delivered."""
    with start(*to(nobody()), "--spool", folder, *options) as daemon, daemon.connect() as peer:
        for n, octets in enumerate(payload_list):
            assert peer.ask(f"p{n}", octets).startswith(f"ACK p{n} ")


def test_payloads_that_cannot_be_converted_any_more(start, folder):
    """The flow format is another one: said for each, and their segment is kept."""
    stored(start, folder, [sessions.numbered(0, 10), sessions.numbered(10, 10)])
    segment, = chaos.segments(folder)
    with open(segment, "rb") as file:
        octets = file.read()
    with start("--spool", folder, "-f", "${version} ${srcaddr} ${dstaddr}") as daemon:
        daemon.wait_stats(spool_unconverted=2)
        assert len(daemon.log_lines("ERROR spool: an acknowledged payload can no longer be")) == 2
        assert daemon.ask("a", b"2 10.0.0.1 10.0.0.2\n") == "ACK a 1"
        assert len(daemon.terminate()) == 1
    assert chaos.segments(folder) == []
    kept, = chaos.segments(folder, ".kept")
    with open(kept, "rb") as file:
        assert file.read() == octets


def test_a_payload_of_which_part_cannot_be_converted_any_more(start, folder, tmp_path):
    """The format of one of its log groups is another one: the rest is delivered, the segment kept."""
    octets = b"".join(
        payloads.decoded(sessions.numbered(10 * n, 10).decode().splitlines(), group=group)
        for n, group in enumerate(["/a", "/b"]))
    stored(start, folder, [octets])
    segment, = chaos.segments(folder)
    with open(segment, "rb") as file:
        whole = file.read()
    path = tmp_path / "config.json"
    path.write_text('{"sources": [{"log-group": "/b", "flow-format": "${version} ${srcaddr}"}]}')
    with start("--spool", folder, "-c", path) as daemon:
        daemon.wait_stats(spool_unconverted=1)
        assert daemon.log_lines("ERROR spool: an acknowledged payload has fewer flows now.*"
                                "flows=10 before=20")
        assert chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n") == list(range(10))
    assert chaos.segments(folder) == []
    kept, = chaos.segments(folder, ".kept")
    with open(kept, "rb") as file:
        assert file.read() == whole


@pytest.mark.parametrize("place", ["header", "digest", "payload", "next header"])
def test_damage_within_a_segment(start, folder, place):
    """All that is intact is delivered; what is not is said, and its segment kept."""
    stored(start, folder, [sessions.numbered(10 * n, 10) for n in range(5)])
    segment, = chaos.segments(folder)
    third, fourth = chaos.frames(folder)[2:4]
    at = {"header": third.offset + 1, "digest": third.offset + 20,
          "payload": fourth.offset - 50, "next header": fourth.offset}[place]
    with open(segment, "r+b") as file:
        file.seek(at)
        octet = file.read(1)
        file.seek(at)
        file.write(bytes([octet[0] ^ 4]))
    lost = set(range(30, 40)) if place == "next header" else set(range(20, 30))
    with start("--spool", folder) as daemon:
        daemon.wait_stats(spool_replayed=4)
        assert daemon.stats()["spool_damaged"] == 1
        assert daemon.log_lines("ERROR spool: damaged, what is intact goes on")
        numbers = chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")
    assert numbers == [n for n in range(50) if n not in lost]
    assert chaos.segments(folder) == [] and len(chaos.segments(folder, ".kept")) == 1


def test_a_torn_tail_is_cut(start, folder):
    """As a crash of the machine leaves it: nothing that was acknowledged, and no damage."""
    stored(start, folder, [sessions.numbered(10 * n, 10) for n in range(3)])
    segment, = chaos.segments(folder)
    os.truncate(segment, os.path.getsize(segment) - 5)
    with start("--spool", folder) as daemon:
        daemon.wait_stats(spool_replayed=2)
        daemon.wait_log("WARN spool: a payload that was not acknowledged is cut off")
        assert daemon.stats()["spool_damaged"] == 0
        assert daemon.ask("again", sessions.numbered(20, 10)).endswith(" again 10")
        numbers = chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")
    assert numbers[:20] == list(range(20))
    assert chaos.segments(folder) == [] and chaos.segments(folder, ".kept") == []


@pytest.mark.parametrize("text", [b"", b"\0" * 38, b"ffffffffffffffff 00000000000000000000\n",
                                  b"0000000000000001 99999999999999999999\n", b"junk\n"])
def test_a_position_that_tells_nothing(start, folder, text):
    """Better twice than never."""
    stored(start, folder, [sessions.numbered(10 * n, 10) for n in range(3)])
    with open(os.path.join(folder, "position"), "wb") as file:
        file.write(text)
    with start("--spool", folder) as daemon:
        daemon.wait_stats(spool_replayed=3)
        assert chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n") == list(range(30))


# ---- a spool that is full ------------------------------------------------------------------------


def fill(peer, first=0, count=2000):
    """PUTs until one gets RETRY; the numbers of those acknowledged, and the first that was not."""
    while True:
        reply = peer.ask(f"p{first}", sessions.numbered(first, count))
        if reply.startswith("RETRY"):
            assert reply.endswith(" spool full"), reply
            return first
        assert reply == f"ACK p{first} {count}"
        first += count


def test_spool_max(start, folder):
    """At it RETRY, until the outputs have taken what is there."""
    with start("--spool", folder, "--spool-max", "16M", "--spool-segment", "1M",
               pipe=True) as daemon, daemon.connect() as peer:
        first = fill(peer)
        assert daemon.stats()["spool_bytes"] <= 16 * harness.MIB
        assert fill(peer, first) == first
        daemon.pipe.start_reading()
        harness.wait_for("room", lambda: peer.ask(
            "again", sessions.numbered(first, 2000)).startswith("ACK "))
        assert fill_no_more(peer, first + 2000)
        wait_delivered(daemon, first + 2000 + 4000)
        assert daemon.stats()["retries"] >= 2
        numbers = chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")
    assert numbers == list(range(first + 6000))


def fill_no_more(peer, first):
    for n in range(2):
        ask(peer, first + 2000 * n, 2000)
    return True


@pytest.mark.parametrize("records", [2000, 60_000])
def test_retry_for_want_of_room_leaves_no_flows(start, folder, records):
    """
    What got RETRY will come again: none of its flows may be out, not even of one that was begun
    before the outputs were full.
    """
    batches = [sessions.numbered(n * records, records) for n in range(120_000 // records)]
    with start("--spool", folder, "--spool-max", "1M", pipe=True) as daemon, \
            daemon.connect() as peer:
        sender = threading.Thread(daemon=True, target=lambda: [
            peer.put(f"p{n}", octets) for n, octets in enumerate(batches)])
        sender.start()
        daemon.wait_stats(retries=1)
        daemon.pipe.start_reading()
        answers = [peer.reply() for _ in batches]
        for n, octets in enumerate(batches):
            if answers[n].startswith("RETRY"):
                assert answers[n].endswith(" spool full")
                harness.wait_for("an ACK", lambda: peer.ask("p", octets) == f"ACK p {records}")
            else:
                assert answers[n] == f"ACK p{n} {records}"
        wait_delivered(daemon, 120_000)
        numbers = chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n")
    assert len(numbers) == len(set(numbers)) == 120_000


def test_outputs_that_keep_up_need_no_spool(start, folder):
    """A full spool refuses nothing that is delivered at once."""
    octets = sessions.numbered(0, 20_000)  # of 2 MB
    with start("--spool", folder, "--spool-max", "1M") as daemon:
        assert daemon.ask("a", octets) == "ACK a 20000"
        assert daemon.ask("b", octets) == "DUP b 20000"
        assert daemon.stats()["spooled"] == 0
        assert len(daemon.terminate()) == 20_000


def test_what_is_delivered_takes_no_room(start, folder):
    """Far more than --spool-max goes through a spool with segments that are larger; all is stored."""
    with start("--spool", folder, "--spool-max", "1M") as daemon, daemon.connect() as peer:
        for n in range(30):
            ask(peer, 1000 * n, 1000)
            harness.wait_for("delivery", lambda: not chaos.undelivered(folder))
        assert daemon.stats()["spooled"] == 30
        harness.wait_for("nothing in it", lambda: daemon.stats()["spool_bytes"] == 0)
        assert len(daemon.terminate()) == 30_000


def test_a_payload_that_fits_is_taken_by_an_empty_spool(start, folder):
    """Though the segment has what is delivered, and there is no room for both."""
    with start("--spool", folder, "--spool-max", "1M", pipe=True) as daemon, \
            daemon.connect() as peer:
        daemon.pipe.start_reading()
        ask(peer, 0, 200)
        harness.wait_for("delivery", lambda: not chaos.undelivered(folder))
        large = len(sessions.numbered(200, 9500))
        assert harness.MIB - daemon.stats()["spool_bytes"] < large < harness.MIB - 100
        ask(peer, 200, 9500)
        assert daemon.stats()["spooled"] == 2
        wait_delivered(daemon, 9700)
