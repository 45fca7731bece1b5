# SPDX-License-Identifier: Apache-2.0
"""A slow reader of standard output slows the peers down and does nothing else."""
import os
import subprocess
import threading
import time

import pytest

import harness
import payloads


@pytest.fixture(scope="module")
def many():
    """Records whose flows are more than the daemon holds back; their gzip'd message."""
    lines = payloads.records(80_000)
    return payloads.ftsq_lines(lines), payloads.zipped(payloads.decoded(lines), 1)


def test_wait_then_everything_once_and_every_ack(start, many):
    expected, octets = many
    others = [payloads.records(2) for _ in range(5)]
    with start(pipe=True) as daemon, daemon.connect() as first:
        first.put("big", octets)
        assert first.line() == "WAIT big"
        peers = [daemon.connect() for _ in others]
        for n, peer in enumerate(peers):
            peer.put(f"o{n}", payloads.decoded(others[n]))
        for n, peer in enumerate(peers):
            assert peer.line() == f"WAIT o{n}"
        with daemon.connect() as bad:
            assert bad.put("bad", b"").reply() == "REJECT bad empty"
        s = daemon.stats()
        assert s["acks"] == 0 and s["waits"] >= 6 and s["flows"] < len(expected)
        daemon.pipe.start_reading()
        assert first.reply() == f"ACK big {len(expected)}"
        for n, peer in enumerate(peers):
            assert peer.reply() == f"ACK o{n} 2"
            peer.close()
        small = [line for lines in others for line in payloads.ftsq_lines(lines)]
        assert sorted(daemon.terminate()) == sorted(expected + small)


def test_memory_is_bounded_while_a_sender_pushes(start):
    binary, more = (harness.RELEASE, 0) if harness.RELEASE else (harness.BINARY, 512 * harness.MIB)
    lines = payloads.records(2000)
    batch = payloads.plain(lines)
    batches = 40 * harness.MIB // len(batch)
    with start(pipe=True, binary=binary) as daemon, daemon.connect(timeout=120) as peer:

        def push():
            for _ in range(batches):
                peer.send(batch)
            peer.half_close()

        def held_up():
            flows = daemon.stats()["flows"]
            time.sleep(0.2)
            return flows == daemon.stats()["flows"]

        sender = threading.Thread(target=push, daemon=True)
        sender.start()
        daemon.wait_stats(flows=20_000)
        harness.wait_for("the sender to be held up", held_up)
        assert daemon.stats()["flows"] < batches * 2000 and sender.is_alive()
        daemon.pipe.start_reading()
        assert peer.rest() == b""
        sender.join(harness.WAIT)
        peak = daemon.peak_memory()
        out = daemon.terminate()
        assert len(out) == batches * 2000
        assert out[:2000] == out[-2000:] == payloads.ftsq_lines(lines)
        assert peak < 64 * harness.MIB + more, f"{peak / harness.MIB:.0f} MiB"


def test_what_follows_a_message_waits_while_it_is_converted(start):
    """It came in one read with the message's end; until it is used nothing more is read."""
    lines, more = payloads.records(80_000), payloads.records(500)
    first, second = payloads.decoded(lines), payloads.decoded(more)
    with start("--max-payload", "64M", pipe=True) as daemon, daemon.connect() as peer:
        peer.send(first[:-1000])
        daemon.wait_stats(bytes_received=len(first) - 1000)
        peer.send(first[-1000:] + second[:1000])
        daemon.wait_stats(flows=20_000)
        peer.send(second[1000:]).half_close()
        for _ in range(3):
            assert daemon.stats()["bytes_received"] == len(first) + 1000
        daemon.pipe.start_reading()
        assert peer.rest() == b""
        assert daemon.terminate() == payloads.ftsq_lines(lines + more)


def test_the_reader_of_standard_output_goes(start, many):
    _, octets = many
    with start(pipe=True, status=1) as daemon, daemon.connect() as peer:
        peer.put("big", octets)
        daemon.wait_stats(flows=20_000)
        daemon.pipe.close_read_end()
        daemon.wait_exit()
        assert b"ACK" not in peer.rest()
        assert len(daemon.log_lines("ERROR output: ")) == 1
        daemon.check_end()


def test_read_with_a_reader_that_goes():
    read_end, write_end = os.pipe()
    process = subprocess.Popen([harness.BINARY, "--read", "-"], stdin=subprocess.PIPE,
                               stdout=write_end, stderr=subprocess.PIPE, env=harness.environment())
    os.close(write_end)
    os.close(read_end)
    _, err = process.communicate(payloads.plain(payloads.records(10)), timeout=60)
    harness.check_log(err)
    assert process.returncode == 1 and b"ERROR output: " in err


@pytest.mark.parametrize("form", ["PUT", "unframed", "mixed", "pipelined"])
def test_more_in_flight_than_allowed_is_slow_but_not_stuck(start, form):
    """Every payload is larger than what all together may hold."""
    def work(n):
        lines = payloads.records(1500)
        octets = payloads.decoded(lines)
        assert len(octets) > 64 * 1024
        if form == "unframed" or (form == "mixed" and n % 2):
            daemon.push(octets, 4000)
        elif form == "pipelined":
            with daemon.connect() as peer:
                parts = [payloads.decoded(lines[at:at + 500]) for at in (0, 500, 1000)]
                peer.send(b"".join(harness.command(f"t{i}", p) for i, p in enumerate(parts)))
                for i in range(3):
                    assert peer.reply() == f"ACK t{i} 500"
        else:
            with daemon.connect() as peer:
                peer.send(harness.command("t", octets), 4000)
                assert peer.reply() == "ACK t 1500"
        return payloads.ftsq_lines(lines)

    with start("--max-in-flight", "64K") as daemon:
        expected = [line for lines in harness.in_threads(16, work) for line in lines]
        assert daemon.stats()["bytes_in_flight"] == 0
        assert sorted(daemon.terminate()) == sorted(expected)


def test_peers_that_stop_in_the_middle_do_not_hold_the_budget_for_ever(start):
    lines = payloads.records(1500)
    octets = payloads.decoded(lines)
    with start("--max-in-flight", "64K", "--payload-timeout", "2") as daemon:
        stuck = [daemon.connect() for _ in range(4)]
        for n, peer in enumerate(stuck):
            peer.send(harness.command("s", octets)[:100_000] if n % 2 else octets[:100_000])
        with daemon.connect() as peer:
            assert peer.ask("a", octets) == "ACK a 1500"
        for peer in stuck:
            peer.close()
        assert daemon.terminate() == payloads.ftsq_lines(lines)


def test_a_stream_that_was_begun_leaves_others_their_turns(start):
    """Even where a turn may take more memory than there is: it did not, and one at a time may."""
    lines = payloads.records(10)
    first = payloads.plain(lines[:1])
    with start("--max-in-flight", "1M") as daemon, daemon.connect() as begun:
        begun.send(first[:20])
        daemon.wait_stats(bytes_received=20)
        for n in range(1, 4):
            with daemon.connect() as peer:
                peer.send(payloads.plain(lines))
                daemon.wait_stats(flows=n * len(lines))
        begun.send(first[20:])
        daemon.wait_stats(flows=3 * len(lines) + 1)


def test_a_payload_has_room_for_some_times_what_came_of_it(start):
    """And not for all that its peer says will come."""
    octets = payloads.decoded(payloads.records(20_000))
    command = harness.command("a", octets)
    begin = len(command) - len(octets)
    assert len(octets) > 4 * harness.MIB
    with start() as daemon, daemon.connect() as peer:
        at = 0
        for came, room in ((1000, 64 * 1024), (70_000, 512 * 1024), (530_000, 4 * harness.MIB)):
            peer.send(command[at:begin + came])
            at = begin + came
            assert daemon.wait_stats(bytes_in_flight=room)["bytes_in_flight"] == room
        peer.send(command[at:])
        assert peer.reply() == "ACK a 20000"
        assert daemon.stats()["bytes_in_flight"] == 0


def test_while_much_is_held_a_peer_has_one_payload_here_and_the_rest_waits_with_it(start, many):
    """What is sent ahead has no use yet; who has nothing here is read from as ever."""
    expected, octets = many
    ahead = [payloads.records(1500) for _ in range(20)]
    other = payloads.records(2)
    with start("--max-in-flight", "4M", pipe=True) as daemon, daemon.connect() as first:
        first.put("big", octets)
        daemon.wait_stats(output0_full=1)
        with daemon.connect(timeout=120) as eager, daemon.connect() as peer:
            whole = b"".join(harness.command(f"e{n}", payloads.decoded(lines))
                             for n, lines in enumerate(ahead))
            assert len(whole) > 6 * harness.MIB
            sender = threading.Thread(target=eager.send, args=(whole,), daemon=True)
            sender.start()
            daemon.wait_stats(puts=2)
            peer.put("o", payloads.decoded(other))
            assert eager.line() == "WAIT e0"
            assert peer.line() == "WAIT o"
            # A quarter of what may be held is much already.
            assert harness.MIB < len(octets) < 3 * harness.MIB
            assert daemon.stats()["bytes_in_flight"] < len(octets) + len(whole) / 10
            assert sender.is_alive()
            daemon.pipe.start_reading()
            for n, lines in enumerate(ahead):
                assert eager.reply() == f"ACK e{n} {len(lines)}"
            assert first.reply() == f"ACK big {len(expected)}" and peer.reply() == "ACK o 2"
            sender.join(harness.WAIT)
        for lines in [*ahead, other]:
            expected = expected + payloads.ftsq_lines(lines)
        assert sorted(daemon.terminate()) == sorted(expected)
