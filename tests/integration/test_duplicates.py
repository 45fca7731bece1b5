# SPDX-License-Identifier: Apache-2.0
"""
DUP: the same payload by PUT again is acknowledged and not converted again, so that to send again is
harmless whatever became of the first time.
"""
import os
import random
import socket
import time

import pytest

import chaos
import harness
import payloads
import sessions


def flows(octets_of_lines):
    return chaos.ftsq_numbers("".join(line + "\n" for line in octets_of_lines))


# ---- who gets DUP --------------------------------------------------------------------------------


@pytest.mark.parametrize("spool", [False, True])
def test_again_on_the_same_and_on_another_connection(start, tmp_path, spool):
    """With the number of flows of the first time, under whatever id."""
    octets = payloads.decoded(payloads.records(7) + [payloads.NODATA, "2 broken"])
    with start(*(("--spool", tmp_path / "spool") if spool else ())) as daemon:
        with daemon.connect() as peer:
            assert peer.ask("a", octets) == "ACK a 7"
            assert peer.ask("a", octets) == "DUP a 7"
            assert peer.ask("b", octets + b"\n") == "ACK b 7"
        assert daemon.ask("c", octets) == "DUP c 7"
        counters = daemon.stats()
        assert (counters["acks"], counters["dups"]) == (2, 2)
        assert counters["flows"] == 14 and counters["rejected"] == 2
        assert len(daemon.terminate()) == 14


def test_a_payload_of_no_flows_is_remembered_too(served):
    control = b'{"messageType":"CONTROL_MESSAGE","logEvents":[]}'
    assert served.ask("a", control) == "ACK a 0"
    assert served.ask("a", control) == "DUP a 0"


def test_what_was_rejected_is_rejected_again(served):
    with served.connect() as peer:
        for n in range(2):
            assert peer.ask(f"a{n}", b'{"messageType":').startswith(f"REJECT a{n} ")
    assert served.stats()["rejects"] == 2


def test_unframed_payloads_are_always_converted(served):
    octets = sessions.numbered(0, 10)
    assert served.ask("a", octets) == "ACK a 10"
    for _ in range(2):
        served.push(octets)
    assert served.ask("a", octets) == "DUP a 10"
    served.push(sessions.numbered(10, 10))
    assert served.ask("b", sessions.numbered(10, 10)) == "ACK b 10"
    assert len(served.terminate()) == 50


@pytest.mark.parametrize("end", ["terminate", "crash"])
def test_after_a_restart(start, tmp_path, end):
    """With a spool, which notes what was taken; on disk before the ACK."""
    octets = sessions.numbered(0, 10)
    options = "--spool", tmp_path / "spool", "-o", f"ftsq:{tmp_path / 'flows'}"
    with start(*options) as daemon:
        assert daemon.ask("a", octets) == "ACK a 10"
        getattr(daemon, end)()
    with start(*options) as daemon:
        assert daemon.ask("b", octets) == "DUP b 10"
        daemon.terminate()
    assert len(set(flows((tmp_path / "flows").read_text().splitlines()))) == 10


@pytest.mark.parametrize("end", ["terminate", "crash"])
def test_after_a_restart_what_was_not_stored(start, tmp_path, end):
    """The spool had no room for it: it was acknowledged as the outputs had it."""
    octets = sessions.numbered(0, 12_000)
    options = ("--spool", tmp_path / "spool", "--spool-max", "1M",
               "-o", f"ftsq:{tmp_path / 'flows'}")
    with start(*options) as daemon:
        assert daemon.ask("a", octets) == "ACK a 12000"
        assert daemon.stats()["spooled"] == 0
        harness.wait_for("a note", lambda: any(
            path.stat().st_size for path in (tmp_path / "spool").glob("seen-*")))
        getattr(daemon, end)()
    with start(*options) as daemon:
        assert daemon.ask("b", octets) == "DUP b 12000"


def test_without_a_spool_a_restart_forgets(start):
    for _ in range(2):
        with start() as daemon:
            assert daemon.ask("a", sessions.numbered(0, 10)) == "ACK a 10"


@pytest.mark.parametrize("spool", [False, True])
def test_not_after_the_window(start, tmp_path, spool):
    """DUP for as long as the window is, and then ACK; a DUP does not begin it anew."""
    octets = sessions.numbered(0, 10)
    options = ("--spool", tmp_path / "spool") if spool else ()
    with start("--duplicate-window", "2", *options) as daemon, daemon.connect() as peer:
        begin = time.monotonic()
        assert peer.ask("a", octets) == "ACK a 10"
        answers = []

        def taken_again():
            answers.append((time.monotonic() - begin, peer.ask("b", octets)))
            return answers[-1][1] == "ACK b 10"

        harness.wait_for("an ACK", taken_again)
        assert answers[-1][0] >= 1, "before the window was over"
        assert all(answer == "DUP b 10" for _, answer in answers[:-1])
        assert len(daemon.terminate()) == 20


def test_no_window(start):
    octets = sessions.numbered(0, 10)
    with start("--duplicate-window", "0") as daemon, daemon.connect() as peer:
        for _ in range(3):
            assert peer.ask("a", octets) == "ACK a 10"
        assert len(daemon.terminate()) == 30


def test_no_memory_for_them(start):
    octets = sessions.numbered(0, 10)
    with start("--duplicate-memory", "0") as daemon, daemon.connect() as peer:
        for _ in range(3):
            assert peer.ask("a", octets) == "ACK a 10"


@pytest.mark.parametrize("spool", [False, True])
def test_the_oldest_is_forgotten(start, tmp_path, spool):
    batch = [sessions.numbered(10 * n, 10) for n in range(30)]
    options = ("--spool", tmp_path / "spool") if spool else ()
    options += "--duplicate-memory", "20"
    with start(*options) as daemon, daemon.connect() as peer:
        for n, octets in enumerate(batch):
            assert peer.ask(f"p{n}", octets) == f"ACK p{n} 10"
        for n, octets in enumerate(batch[10:]):
            assert peer.ask(f"p{n}", octets) == f"DUP p{n} 10"
        assert peer.ask("old", batch[9]) == "ACK old 10"
    if spool:
        with start(*options) as daemon, daemon.connect() as peer:
            for octets in batch[11:]:
                assert peer.ask("p", octets) == "DUP p 10"
            assert peer.ask("p", batch[0]) == "ACK p 10"


# ---- two at the same time ------------------------------------------------------------------------


def whole_but_one(daemon, count, octets):
    """Connections that have sent all but the last octet of the same payload, and its rest."""
    before = daemon.stats()
    peers = [daemon.connect() for _ in range(count)]
    whole = harness.command("same", octets)
    for peer in peers:
        peer.send(whole[:-1])
    daemon.wait_stats(puts=before["puts"] + count,
                      bytes_received=before["bytes_received"] + count * (len(whole) - 1))
    return peers, whole[-1:]


@pytest.mark.parametrize("spool", [False, True])
def test_the_same_at_the_same_time(start, tmp_path, spool):
    """One is taken, the others are told so."""
    options = ("--spool", tmp_path / "spool") if spool else ()
    with start(*options) as daemon:
        peers, rest = whole_but_one(daemon, 8, sessions.numbered(0, 3000))
        for peer in peers:
            peer.send(rest)
        answers = sorted(peer.reply() for peer in peers)
        assert answers == ["ACK same 3000"] + 7 * ["DUP same 3000"]
        assert flows(daemon.terminate()) == list(range(3000))


def test_the_same_rejected_at_the_same_time(start):
    with start() as daemon:
        octets = payloads.zipped(sessions.numbered(0, 3000))[:-3]
        peers, rest = whole_but_one(daemon, 4, octets)
        for peer in peers:
            peer.send(rest)
        answers = {peer.reply() for peer in peers}
        assert len(answers) == 1 and answers.pop().startswith("REJECT same ")
        assert daemon.terminate() == []


def test_the_same_while_outputs_are_full(start):
    """The second waits for the first; one that goes away takes nothing with it."""
    octets = sessions.numbered(0, 60_000)
    with start(pipe=True) as daemon, daemon.connect() as second:
        with daemon.connect() as first:
            first.put("a", octets)
            daemon.wait_stats(flows=20_000)
            second.put("b", octets)
            daemon.wait_stats(puts=2)
        daemon.pipe.start_reading()
        assert second.reply() == "DUP b 60000"
        assert flows(daemon.terminate()) == list(range(60_000))


def test_retry_for_one_is_no_answer_for_the_other(start, tmp_path):
    """A twin of what the spool has no room for tries itself, and gets its own answer."""
    with start("--spool", tmp_path / "spool", "--spool-max", "1M", pipe=True) as daemon, \
            daemon.connect() as filler:
        filler.put("fill", sessions.numbered(0, 60_000))  # outputs are full, and spool as well
        daemon.wait_stats(flows=20_000)
        octets = sessions.numbered(10**6, 20_000)
        peers, rest = whole_but_one(daemon, 3, octets)
        for peer in peers:
            peer.send(rest)
        assert {peer.reply() for peer in peers} == {"RETRY same 1 spool full"}
        daemon.pipe.start_reading()
        assert filler.reply() == "ACK fill 60000"
        answers = sorted(peer.ask("again", octets).split()[0] for peer in peers)
        assert answers == ["ACK", "DUP", "DUP"]
        numbers = flows(daemon.terminate())
    assert len(numbers) == len(set(numbers)) == 80_000


# ---- answers that never arrive -------------------------------------------------------------------


def drop_answers(folder, drops, restarts, spool=True):
    """
    Peers go away at any moment of a PUT: in the middle of it, while it is converted, before its
    answer is read, or after; and send it again, over restarts in good order. Each flow comes once.
    """
    rng = random.Random(2016)
    path = os.path.join(folder, "flows")
    options = ["-o", f"ftsq:{path}"]
    if spool:
        options += ["--spool", os.path.join(folder, "spool")]
    count, dups, first = 0, 0, 0
    with chaos.Restarting(folder, *options) as place:
        for drop in range(drops):
            records = rng.choice((1, 50, 400, 3000))
            octets = sessions.numbered(first, records)
            whole = harness.command(f"p{first}", octets)
            for _ in range(rng.choice((1, 1, 2))):
                drop_one(place.daemon, whole, rng)
            if restarts and drop % (drops // restarts) == 0:
                place.restart()
            reply = place.daemon.ask("again", octets, timeout=60)
            assert reply in (f"ACK again {records}", f"DUP again {records}")
            dups += reply.startswith("DUP")
            first += records
            count += 1
    with open(path, encoding="ascii") as file:
        numbers = chaos.ftsq_numbers(file.read())
    assert len(numbers) == len(set(numbers)) == first
    print(f"{drops} answers dropped, {place.starts} starts, {first} flows, each once; "
          f"{dups} had been taken before")
    assert 0 < dups < count


def drop_one(daemon, whole, rng):
    peer = daemon.connect()
    way = rng.randrange(5)
    if way == 0:
        peer.send(whole[:rng.randrange(len(whole))])
    else:
        peer.send(whole)
    if way == 1:
        peer.half_close()
    elif way == 2:
        peer.socket.recv(1)
    elif way == 3:
        peer.socket.recv(1, socket.MSG_PEEK)
    if rng.random() < 0.5:
        peer.reset()
    else:
        peer.close()


@pytest.mark.parametrize("spool", [True, False])
def test_sixty_dropped_answers(tmp_path, spool):
    drop_answers(str(tmp_path), 60, 4 if spool else 0, spool)


@pytest.mark.long
def test_a_thousand_dropped_answers(tmp_path):
    drop_answers(str(tmp_path), 1000, 100)


def test_a_peer_that_goes_while_its_payload_waits(start):
    """Converted in part, outputs full, no spool: it is taken to its end, and then DUP."""
    octets = sessions.numbered(0, 60_000)
    with start(pipe=True) as daemon:
        with daemon.connect() as peer:
            peer.put("a", octets)
            daemon.wait_stats(flows=20_000)
            peer.reset()
        with daemon.connect() as peer:
            peer.put("b", octets)
            assert peer.line() == "WAIT b"
            daemon.pipe.start_reading()
            assert peer.reply() == "DUP b 60000"
        assert flows(daemon.terminate()) == list(range(60_000))
