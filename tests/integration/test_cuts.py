# SPDX-License-Identifier: Apache-2.0
"""The same octets give the same output however they are cut into reads."""
import pytest

import harness
import payloads

KINDS = payloads.in_every_kind()
PIECES = [1, 2, 3, 7, 64, 1000]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One daemon for all, to which the same may come any number of times."""
    with harness.Daemon(tmp_path_factory.mktemp("shared"), "--duplicate-window", "0") as daemon:
        yield daemon


@pytest.mark.parametrize("kind", KINDS)
def test_tcp_in_pieces(shared, kind):
    octets, expected = KINDS[kind]
    before = len(shared.lines())
    for piece in [*PIECES, 0]:
        shared.push(octets, piece)
    with shared.connect() as peer:
        peer.send(harness.command("whole", octets), 3)
        assert peer.reply() == f"ACK whole {len(expected)}"
    everything = expected * (len(PIECES) + 2)
    assert shared.wait_lines(before + len(everything))[before:] == everything


@pytest.mark.parametrize("kind", KINDS)
def test_pipe_in_pieces(kind):
    octets, expected = KINDS[kind]
    for piece in 1, 7, 1000:
        assert harness.read_in_pieces(octets, piece) == expected, f"pieces of {piece}"


@pytest.mark.parametrize("piece", PIECES)
def test_one_connection_carries_every_kind(served, piece):
    kinds = [KINDS[name] for name in KINDS if name not in payloads.NESTED]
    octets = b"\n".join(data for data, _ in kinds)
    expected = [line for _, lines in kinds for line in lines]
    served.push(octets, piece)
    assert served.terminate() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_cut_in_two_at_every_octet(shared, kind):
    octets, expected = KINDS[kind]
    whole = harness.command("cut", octets)
    step = max(1, len(whole) // 200)
    before = len(shared.lines())
    acks = 0
    with shared.connect() as peer:
        for at in range(1, len(whole), step):
            peer.send(whole[:at]).send(whole[at:])
            reply = peer.reply()
            assert reply == f"ACK cut {len(expected)}", f"cut at {at}"
            acks += reply.startswith("ACK")
    assert shared.wait_lines(before + acks * len(expected))[before:] == expected * acks
