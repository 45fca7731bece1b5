# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: what was begun is finished, what was answered is written, and it ends."""
import signal
import threading

import pytest

import harness
import payloads


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_with_nothing_to_do(start, number):
    with start() as daemon:
        daemon.signal(number)
        daemon.wait_end(15)


def put_until_drained(daemon, go, halted):
    """PUT, answer, PUT, answer … on one connection; what was sent and what was answered."""
    sent = {}
    answers = {}
    with daemon.connect() as peer:
        for n in range(100_000):
            lines = payloads.records(20)
            sent[n] = payloads.ftsq_lines(lines)
            try:
                peer.put(f"p{n}", payloads.decoded(lines))
                reply = peer.reply()
            except OSError:
                break
            if reply is None:
                break
            answers[n] = reply
            go.set()
            if halted.is_set() and reply.startswith("RETRY"):
                break
    return sent, answers


def test_under_load_every_acked_flow_is_in_the_output(start):
    """Whatever has no ACK is not there: not taken means not written."""
    go, halted = threading.Event(), threading.Event()
    with start() as daemon:
        def work(n):
            if n == 0:
                assert go.wait(harness.WAIT)
                halted.set()
                daemon.begin_drain()
                return None
            return put_until_drained(daemon, go, halted)

        results = harness.in_threads(7, work)[1:]
        out = daemon.wait_end()
    acked, refused = [], []
    for sent, answers in results:
        for n, lines in sent.items():
            (acked if answers.get(n, "").startswith("ACK") else refused).extend(lines)
            if n in answers:
                assert answers[n].split()[0] in ("ACK", "RETRY"), answers[n]
    assert len(out) == len(set(out)), "flows twice"
    assert set(acked) <= set(out), "acknowledged flows are lost"
    assert not set(refused) & set(out), "flows that were never acknowledged"


def test_pipelined_puts_all_get_an_answer(start):
    """All of them are with the listener's kernel when the signal comes."""
    count = 150
    batches = [payloads.records(30) for _ in range(count)]
    flood = b"".join(harness.command(f"p{n}", payloads.decoded(b)) for n, b in enumerate(batches))
    big = payloads.zipped(payloads.decoded(payloads.records(80_000)), 1)
    with start(pipe=True) as daemon, daemon.connect() as first, daemon.connect() as peer:
        first.put("big", big)
        daemon.wait_stats(flows=20_000)
        sender = threading.Thread(target=lambda: peer.send(flood), daemon=True)
        sender.start()
        sender.join(2)
        assert not sender.is_alive(), "the kernel should have room for that much"
        daemon.begin_drain()
        daemon.pipe.start_reading()
        replies = [peer.reply() for _ in range(count)]
        assert first.reply() == "ACK big 80000"
        out = set(daemon.wait_end())
    for n, reply in enumerate(replies):
        assert reply is not None, f"no answer to PUT {n} of {count}"
        word, ident = reply.split()[:2]
        assert ident == f"p{n}" and word in ("ACK", "RETRY")
        assert set(payloads.ftsq_lines(batches[n])) <= out or word == "RETRY"


def test_a_put_in_the_middle_gets_retry(start):
    octets = payloads.decoded(payloads.records(50))
    whole = harness.command("half", octets)
    with start() as daemon, daemon.connect() as peer:
        peer.send(whole[:300])
        daemon.wait_stats(puts=1)
        daemon.begin_drain()
        assert peer.reply().startswith("RETRY half ")
        try:
            peer.send(whole[300:])
        except OSError:
            pass
        assert daemon.wait_end() == []


def test_an_unframed_payload_in_the_middle_is_finished(start):
    lines = payloads.records(50)
    octets = payloads.lambda_event(lines)
    with start() as daemon, daemon.connect() as peer:
        peer.send(octets[:300])
        daemon.wait_stats(bytes_received=300)
        daemon.begin_drain()
        harness.wait_for("the listener to close", lambda: refuses_peers(daemon))
        peer.send(octets[300:])
        assert peer.half_close().rest() == b""
        assert daemon.wait_end() == payloads.ftsq_lines(lines)


def refuses_peers(daemon):
    try:
        daemon.connect(timeout=1).close()
        return False
    except OSError:
        return True


def test_idle_peers_do_not_hold_it_up(start):
    lines = payloads.records(2)
    with start() as daemon, daemon.connect(), daemon.connect() as framed, \
            daemon.connect() as unframed:
        assert framed.ask("a", payloads.decoded(lines)) == "ACK a 2"
        unframed.send(payloads.decoded(lines))
        daemon.wait_lines(4)
        daemon.begin_drain()
        daemon.wait_end(15)


def test_a_second_signal_stops_at_once(start):
    with start("--drain-timeout", "300", status=1) as daemon, daemon.connect() as peer:
        peer.send(b'{"messageType":')
        daemon.wait_stats(bytes_received=15)
        daemon.begin_drain()
        daemon.signal(signal.SIGTERM)
        daemon.wait_end(15)


def test_a_stuck_output_is_given_up_after_the_drain_timeout(start):
    octets = payloads.zipped(payloads.decoded(payloads.records(80_000)), 1)
    with start("--drain-timeout", "1", pipe=True, status=1) as daemon:
        with daemon.connect() as peer:
            peer.put("big", octets)
            daemon.wait_stats(flows=20_000)
            daemon.begin_drain()
            daemon.wait_exit(20)
            assert b"ACK" not in peer.rest()
        daemon.check_end()
        assert daemon.log_lines("ERROR .*--drain-timeout")


def test_a_peer_that_never_ends_is_given_up_after_the_drain_timeout(start):
    with start("--drain-timeout", "1", status=1) as daemon, daemon.connect() as peer:
        peer.send(b'{"messageType":')
        daemon.wait_stats(bytes_received=15)
        daemon.begin_drain()
        daemon.wait_end(20)
