# SPDX-License-Identifier: Apache-2.0
"""The wire: commands, answers and their order, and silence towards peers that only send."""
import json
import re

import pytest

import harness
import payloads


def payload(count=3, **fields):
    lines = payloads.records(count, **fields)
    return payloads.decoded(lines), payloads.ftsq_lines(lines)


# ---- ACK ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("octets, flows", [
    (payloads.decoded(payloads.records(7)), 7),
    (payloads.lambda_event(payloads.records(2) + [payloads.NODATA]), 2),
    (payloads.plain(payloads.records(1)), 1),
    (payloads.message_objects(payloads.records(4)), 4),
    (payloads.decoded([payloads.NODATA]), 0),
    (payloads.decoded([]), 0),
    (json.dumps({"messageType": "CONTROL_MESSAGE", "logEvents": []}).encode(), 0),
    (payloads.decoded(payloads.records(3) + ["1 2 3", payloads.record(srcport=65536)]), 3),
], ids=["decoded", "Lambda", "line", "objects", "NODATA", "no event", "control", "some are bad"])
def test_ack_says_how_many_flows(served, octets, flows):
    assert served.ask("a", octets) == f"ACK a {flows}"
    assert len(served.terminate()) == flows


def test_flows_are_in_the_output_when_the_ack_comes(start, tmp_path):
    path = tmp_path / "flows"
    with start("-o", f"ftsq:{path}") as daemon, daemon.connect() as peer:
        expected = []
        for n in range(100):
            octets, lines = payload()
            expected += lines
            assert peer.ask(f"n{n}", octets) == f"ACK n{n} 3"
            assert path.read_text().splitlines() == expected


def test_pipelined_puts_are_answered_in_order(served):
    count = 400
    sent = b""
    expected_replies = []
    expected = []
    for n in range(count):
        if n % 5 == 3:
            octets, why = b'{"a":', "json_cut"
            expected_replies.append(f"REJECT p{n} {why}")
        elif n % 50 == 7:
            octets = b""
            expected_replies.append(f"REJECT p{n} empty")
        else:
            octets, lines = payload(1 + n % 3)
            expected += lines
            expected_replies.append(f"ACK p{n} {len(lines)}")
        sent += harness.command(f"p{n}", octets)
    with served.connect() as peer:
        replies = harness.in_threads(2, lambda who: peer.send(sent) and None if who == 0 else
                                     [peer.reply() for _ in range(count)])[1]
    assert replies == expected_replies
    assert served.terminate() == expected


def test_known_payloads_by_the_thousand_take_no_stack(served):
    def stack():
        with open(f"/proc/{served.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmStk:\s+(\d+) kB", file.read())[1])

    one = harness.command("a", payloads.plain([payloads.NODATA]))
    with served.connect() as peer:
        peer.send(one)
        assert peer.reply() == "ACK a 0"
        before = stack()
        replies = harness.in_threads(2, lambda who: peer.send(one * 5000) and None if who == 0 else
                                     {peer.reply() for _ in range(5000)})[1]
        assert replies == {"DUP a 0"}
        assert stack() - before <= 256
    served.terminate()


def test_half_closed_client_gets_its_answers(served):
    a, lines_a = payload()
    b, lines_b = payload()
    with served.connect() as peer:
        peer.put("a", a).put("b", b).half_close()
        assert peer.rest() == b"ACK a 3\nACK b 3\n"
    assert served.terminate() == lines_a + lines_b


def test_a_put_cut_short_is_not_converted_and_not_answered(served):
    octets, lines = payload()
    with served.connect() as peer:
        peer.put("a", octets).send(harness.command("b", octets)[:-1]).half_close()
        assert peer.rest() == b"ACK a 3\n"
    assert served.terminate() == lines


# ---- REJECT ------------------------------------------------------------------------------------------

GOOD = payloads.records(2)
ZIPPED = payloads.zipped(payloads.decoded(GOOD))

REJECTED = {
    "nothing": (b"", "empty"),
    "white space": (b" \n\t ", "empty"),
    "gzip of nothing": (payloads.zipped(b""), "empty"),
    "empty data": (b'{"awslogs":{"data":""}}', "empty"),
    "too large": (b" " * 20000 + b"x", "too_large"),
    "JSON": (b'{"a" 1}', "json"),
    "JSON after good JSON": (payloads.decoded(GOOD) + b'{"a" 1}', "json"),
    "JSON cut": (payloads.decoded(GOOD)[:-1], "json_cut"),
    "JSON shape": (b'{"a":1}', "json_shape"),
    "deep JSON": (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "json_depth"),
    "gzip cut": (ZIPPED[:-4], "gzip_cut"),
    "gzip damaged": (ZIPPED[:-8] + bytes([ZIPPED[-8] ^ 1]) + ZIPPED[-7:], "gzip"),
    "base64": (b'{"awslogs":{"data":"####"}}', "base64"),
    "base64 length": (b'{"awslogs":{"data":"QUJ"}}', "base64"),
    "nested too deep": (payloads.zipped(payloads.zipped(payloads.zipped(ZIPPED))), "nesting"),
    "no good record": (payloads.plain(["a b c", "1 2"]), "nothing_converted"),
    "no record of this format": (payloads.decoded(["10.0.0.1 10.0.0.2 5"]), "nothing_converted"),
    "ratio": (payloads.zipped(b" " * 10_000_000), "ratio"),
    "inflated": (payloads.zipped(payloads.plain(payloads.records(1) * 1500)), "inflated"),
}


@pytest.mark.parametrize("kind", REJECTED)
def test_a_bad_put_costs_itself_only(start, tmp_path, kind):
    octets, why = REJECTED[kind]
    before, lines_before = payload()
    after, lines_after = payload()
    limits = ["--max-payload", "20000", "--max-inflated", "65536" if kind == "inflated" else "64M"]
    with start("-o", "ftsq", "-o", f"json:{tmp_path}/j", *limits) as daemon:
        with daemon.connect() as peer:
            peer.put("a", before).put("bad", octets).put("z", after)
            replies = [peer.reply() for _ in range(3)]
            assert replies == ["ACK a 3", f"REJECT bad {why}", "ACK z 3"]
        s = daemon.stats()
        assert s[f"payloads_rejected_{why}"] == 1 and s["rejects"] == 1
        assert len(daemon.log_lines(r"payload rejected.*peer=127\.0\.0\.1")) == 1
        assert daemon.terminate() == lines_before + lines_after
    assert len((tmp_path / "j").read_text().splitlines()) == 6


# ---- commands ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [
    "PUT \n", "PUT a\n", "PUT a \n", "PUT  a 5\n", "PUT a  5\n", "PUT a 5 \n", "PUT a 5\r\n",
    "PUT a -5\n", "PUT a +5\n", "PUT a 0x5\n", "PUT a 5.0\n", "PUT a 5 5\n", "PUT a " + "9" * 40 + "\n",
    "PUT .a 5\n", "PUT -a 5\n", "PUT _a 5\n", "PUT a/b 5\n", "PUT a\x00b 5\n", "PUT \xe4 5\n",
    "PUT " + "a" * 65 + " 5\n", "PUT a\x1b[31m 5\n", "put a 5\n", "GET / HTTP/1.1\n", "PUTa 5\n",
    "QUIT\n", "\n", "AUTH\n", "PUT " + "a" * 600 + "\n", "AUTH " + "a" * 600 + "\n",
    "PUT " + "a" * 600, "x" * 600,
])
def test_a_malformed_line_gets_reject_and_the_end(shared, line):
    octets, lines = payload()
    good_after = harness.command("z", octets)
    before, at = shared.stats(), len(shared.lines())
    with shared.connect() as peer:
        assert peer.ask("a", octets) == "ACK a 3"
        peer.send(line.encode("latin-1") + good_after)
        assert re.fullmatch(r"REJECT - [ -~]+", peer.reply() or "nothing")
        assert peer.rest() == b""
    harness.wait_for("the connection to close", lambda: "closed_command" in shared.added(before))
    assert shared.added(before)["flows"] == 3
    assert shared.wait_lines(at + 3)[at:] == lines


@pytest.mark.parametrize("ident", ["a", "0", "A-z_0.9", "a" * 64, "9" * 64, "a.", "a--"])
def test_ids(shared, ident):
    octets, _ = payload()
    assert shared.ask(ident, octets) == f"ACK {ident} 3"


@pytest.mark.parametrize("octets_in_line, good", [(100, True), (512, True), (514, False)])
def test_lines_have_at_most_512_octets(shared, octets_in_line, good):
    octets, _ = payload()
    line = b"AUTH " + b"t" * (octets_in_line - len("AUTH \n")) + b"\n"
    with shared.connect() as peer:
        reply = peer.send(line).put("a", octets).reply()
        assert reply == "ACK a 3" if good else reply.startswith("REJECT - ")


def test_first_words_are_recognised_octet_by_octet(served):
    for auth in b"", b"AUTH x\n":
        octets, _ = payload()
        with served.connect() as peer:
            peer.send(auth + harness.command("a", octets), 1)
            assert peer.reply() == "ACK a 3"


# ---- AUTH --------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(start, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("# who may\nfirst-token\n\n  second/token=  \n")
    with start("--token-file", tokens) as daemon:
        yield daemon


@pytest.mark.parametrize("token", ["first-token", "second/token="])
def test_a_good_token_lets_in(guarded, token):
    octets, lines = payload()
    with guarded.connect() as peer:
        assert peer.send(f"AUTH {token}\n".encode()).ask("a", octets) == "ACK a 3"
        assert peer.ask("b", payload()[0]) == "ACK b 3"


@pytest.mark.parametrize("line", [
    "AUTH first-toke\n", "AUTH first-token2\n", "AUTH FIRST-TOKEN\n", "AUTH \n", "AUTH #\n",
    "AUTH # who may\n", "AUTH first-token \n", "AUTH first-token\x00\n", "",
])
def test_without_a_good_token_nothing_is_taken(guarded, line):
    octets, _ = payload()
    with guarded.connect() as peer:
        peer.send(line.encode()).put("a", octets)
        assert peer.rest() == b"REJECT - auth\n"
    s = guarded.stats()
    assert (s["auth_failures"], s["events"]) == (1, 0)
    assert guarded.terminate() == []


def test_with_tokens_unframed_peers_are_refused_in_silence(guarded):
    guarded.push(payload()[0])
    guarded.push(payloads.zipped(payload()[0]))
    s = guarded.stats()
    assert (s["auth_failures"], s["events"]) == (2, 0)
    assert guarded.terminate() == []


def test_without_token_file_auth_is_taken_and_ignored(served):
    octets, lines = payload()
    with served.connect() as peer:
        assert peer.send(b"AUTH whatever\nAUTH again\n").ask("a", octets) == "ACK a 3"
    assert served.terminate() == lines


# ---- unframed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("octets", [
    b"\x00\x01\x02", b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"PUTX a 5\n", b"PUT", b"AUTH", b"P", b"\n",
    b"put a 5\nhello", b"{]", b'{"a":', b"\x1f\x8b", b"\x1f\x8b\x08\x00garbage", b"{}" * 1000,
    b"x" * 100_000, b"\xff" * 1000, payloads.decoded(GOOD), payloads.zipped(ZIPPED[:-3]),
    b'{"awslogs":{"data":"####"}}', b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /\r\n\r\n",
], ids=lambda o: repr(o[:20]))
@pytest.mark.parametrize("piece", [0, 1])
def test_never_a_byte_to_an_unframed_peer(shared, octets, piece):
    shared.push(octets[:5000] if piece else octets, piece)  # asserts that nothing came back


def test_framed_and_unframed_peers_side_by_side(served):
    def work(n):
        octets, lines = payload(20)
        if n % 2:
            served.push(octets, 200)
        else:
            assert served.ask(f"t{n}", octets) == f"ACK t{n} 20"
        return lines

    expected = [line for lines in harness.in_threads(16, work) for line in lines]
    assert sorted(served.terminate()) == sorted(expected)
