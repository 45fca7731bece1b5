# SPDX-License-Identifier: Apache-2.0
"""What is lost when something is bad: that, nothing else, and never in silence."""
import base64
import json
import re
import zlib

import pytest

import harness
import payloads

# The same in every run, as where damage shows depends on the octets.
GOOD = [payloads.record(interface_id=f"eni-{n:017x}", srcaddr=f"10.0.0.{n}", srcport=1024 + n, packets=n,
                        bytes=40 + n, start=1600000000 + n, end=1600000060 + n) for n in (1, 2, 3)]
MESSAGE = payloads.decoded(GOOD)
ZIPPED = payloads.zipped(MESSAGE)


def flipped(octets, at):
    at %= len(octets)
    return octets[:at] + bytes([octets[at] ^ 0x55]) + octets[at + 1:]


def bomb(mib, octet=b" "):
    c = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([c.compress(octet * harness.MIB) for _ in range(mib)]) + c.flush()


def event(inner):
    return b'{"awslogs":{"data":"%s"}}' % inner


# Damage inside of gzip is seen by whoever stumbles over it first.
INSIDE = {"gzip", "gzip_cut", "json", "json_cut", "json_shape"}

# Name to (payload, the reasons that are right, whether an unframed connection cannot go on).
PAYLOADS = {
    **{f"gzip cut at {at}": (ZIPPED[:at], {"gzip_cut"}, True)
       for at in (1, 2, 5, 10, 11, len(ZIPPED) // 2, len(ZIPPED) - 9, len(ZIPPED) - 8,
                  len(ZIPPED) - 1)},
    **{f"gzip corrupt at {at}": (flipped(ZIPPED, at), {"gzip", "gzip_cut"}, True)
       for at in (1, 2, 3, -8, -5, -4, -1)},
    **{f"gzip corrupt at {at}": (flipped(ZIPPED, at), INSIDE, True)
       for at in (12, len(ZIPPED) // 3, len(ZIPPED) // 2)},
    "gzip bomb": (bomb(100), {"ratio", "inflated"}, True),
    "gzip bomb of JSON": (payloads.zipped(b'{"a":"' + b"x" * 90_000_000 + b'"}', 1),
                          {"ratio", "inflated"}, True),
    "gzip bomb in an event": (event(base64.b64encode(bomb(100))), {"ratio", "inflated"}, False),
    "base64 alphabet": (event(b"H4sI*AAA"), {"base64"}, False),
    "base64 padding": (event(b"H4sIAA="), {"base64"}, False),
    "base64 padding inside": (event(b"H4==AAAA"), {"base64"}, False),
    "gzip cut in an event": (event(base64.b64encode(ZIPPED[:-5])), {"gzip_cut"}, False),
    "gzip corrupt in an event": (event(base64.b64encode(flipped(ZIPPED, -5))), {"gzip"}, False),
    "JSON without colon": (b'{"a" 1}', {"json"}, True),
    "JSON with a comma too many": (b'{"a":1,}', {"json"}, True),
    "JSON with NaN": (b'{"a":NaN}', {"json"}, True),
    "JSON with a leading zero": (b'{"a":01}', {"json"}, True),
    "JSON with single quotes": (b"{'a':1}", {"json"}, True),
    "JSON with a raw line end in a string": (b'{"a":"\n"}', {"json"}, True),
    "JSON with a raw NUL in a string": (b'{"a":"\x00"}', {"json"}, True),
    "JSON with a bad escape": (b'{"a":"\\x41"}', {"json"}, True),
    "JSON with wrong brackets": (b'{"a":[1}]', {"json"}, True),
    "JSON cut": (MESSAGE[:-1], {"json_cut"}, True),
    "JSON nested deep": (b'{"a":' + b"[" * 100_000, {"json_depth"}, True),
    "JSON of no known kind": (b'{"a":{"b":"c"}}', {"json_shape"}, False),
    "JSON with another messageType": (b'{"messageType":"X","logEvents":[]}', {"json_shape"}, False),
    "JSON with logEvents no list": (b'{"messageType":"DATA_MESSAGE","logEvents":{}}',
                                    {"json_shape"}, False),
    "JSON with awslogs null": (b'{"awslogs":null}', {"json_shape"}, False),
    "JSON with data a number": (b'{"awslogs":{"data":5}}', {"json_shape"}, False),
    "JSON with a record without data": (b'{"records":[{"x":1}]}', {"json_shape"}, False),
    "test event of S3": (b'{"Service":"Amazon S3","Event":"s3:TestEvent"}', {"json_shape"}, False),
    "second record of a batch": (payloads.firehose_event(GOOD[:1], GOOD[1:])
                                 .replace(b"\"}]}", b"#\"}]}"), {"base64"}, False),
}


def reasons_counted(s):
    return {name.removeprefix("payloads_rejected_") for name in s
            if name.startswith("payloads_rejected_")}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_bad_payload_costs_itself(shared, own_address, name):
    octets, reasons, _ = PAYLOADS[name]
    before, beside, after = payloads.records(2), payloads.records(300), payloads.records(2)
    expected = payloads.ftsq_lines(before + after + beside)
    at, counters = len(shared.lines()), shared.stats()
    with shared.connect() as neighbour, shared.connect(source=own_address) as peer:
        whole = payloads.decoded(beside)
        neighbour.send(whole[:5000])
        peer.put("a", payloads.decoded(before)).put("bad", octets)
        peer.put("z", payloads.decoded(after))
        replies = [peer.reply() for _ in range(3)]
        assert replies[::2] == ["ACK a 2", "ACK z 2"]
        answer = re.fullmatch(r"REJECT bad ([a-z0-9_]+)", replies[1] or "nothing")
        assert answer and answer.group(1) in reasons, replies[1]
        neighbour.send(whole[5000:]).half_close()
        assert neighbour.rest() == b""
    for _ in range(2):
        shared.push(octets, source=own_address)
    s = shared.added(counters)
    assert s["payloads_rejected"] == 3 and reasons_counted(s) <= reasons
    told = shared.log_lines(f"payload rejected.*peer={re.escape(own_address)} ")
    assert len(told) == len(reasons_counted(s))
    assert sorted(shared.wait_lines(at + len(expected))[at:]) == sorted(expected)
    harness.read(stdin=octets, status=1)


def test_each_peer_is_told_of(shared, own_address):
    for source in own_address, "127.2.0.1", own_address:
        shared.push(b"{]", source=source)
    told = shared.log_lines("payload rejected")
    assert sum(f"peer={own_address} " in line for line in told) == 1
    assert sum("peer=127.2.0.1 " in line for line in told) == 1


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_was_whole_before_the_damage_stands(shared, name):
    """Unframed: the good document before it is converted, and the one after it when the boundary
    between them is known."""
    octets, _, ends = PAYLOADS[name]
    before, after = payloads.records(3), payloads.records(2)
    at = len(shared.lines())
    data = payloads.decoded(before) + octets
    expected = payloads.ftsq_lines(before)
    if not ends:
        data += payloads.decoded(after)
        expected += payloads.ftsq_lines(after)
    shared.push(data)
    assert shared.wait_lines(at + 3) and shared.stats()
    assert shared.wait_lines(at + len(expected))[at:] == expected
    assert harness.read(stdin=data, status=1).lines == expected


def test_read_converts_the_other_files(tmp_path):
    good = payloads.records(2)
    for n, octets in enumerate([payloads.plain(good[:1]), ZIPPED[:-3], payloads.plain(good[1:])]):
        (tmp_path / f"f{n}").write_bytes(octets)
    result = harness.read(files=["f0", "missing", "f1", "f2"], status=1, cwd=tmp_path)
    assert result.lines == payloads.ftsq_lines(good)
    assert "missing" in result.err and "f1" in result.err


def test_lines_before_the_damage_of_a_stream_stand():
    lines = payloads.noisy_records(5000)
    octets = payloads.zipped(payloads.plain(lines))
    result = harness.read(stdin=octets[:len(octets) * 3 // 4], status=1)
    expected = payloads.ftsq_lines(lines)
    assert len(result.lines) > 1000 and result.lines == expected[:len(result.lines)]


# ---- records ---------------------------------------------------------------------------------------

LONG = "9" * 1_000_000
RECORDS = {
    "too few columns": ("2 1 eni-1 10.0.0.1", "columns"),
    "too many columns": (payloads.record() + " more", "columns"),
    "another format": ("10.0.0.1 10.0.0.2 443", "columns"),
    "empty": ("", "columns"),
    "no number": (payloads.record(srcport="http"), "number"),
    "negative": (payloads.record(packets="-5"), "number"),
    "hexadecimal": (payloads.record(bytes="0x10"), "number"),
    "fraction": (payloads.record(start="1.5"), "number"),
    "port 65536": (payloads.record(dstport=65536), "range"),
    "protocol 256": (payloads.record(protocol=256), "range"),
    "bytes of 65 bits": (payloads.record(bytes=2**64), "range"),
    "number of 30,000 digits": (payloads.record(bytes="9" * 30_000), "range"),
    "number of a million digits": (payloads.record(bytes=LONG), "line_length"),
    "address 256": (payloads.record(srcaddr="10.0.0.256"), "address"),
    "address with leading zero": (payloads.record(srcaddr="10.0.0.01"), "address"),
    "address cut": (payloads.record(dstaddr="10.0.0"), "address"),
    "address with zone": (payloads.record(dstaddr="fe80::1%eth0"), "address"),
    "host name": (payloads.record(dstaddr="example.com"), "address"),
    "formula =": (payloads.record(action="=1+1"), "text"),
    "formula +": (payloads.record(action="+1"), "text"),
    "formula @": (payloads.record(action="@x"), "text"),
    "NUL": (payloads.record(action="a\0b"), "text"),
    "escape sequence": (payloads.record(action="\x1b[31mred"), "text"),
    "tab": (payloads.record(action="a\tb"), "text"),
    "not ASCII": (payloads.record(action="\u00e4"), "text"),
    "line end inside": (payloads.record(action="a\nb"), "text"),
    "over-long": ("x" * 40_000, "line_length"),
    "message of JSON, no record": ('{"a":1}', "message_json"),
    "message of JSON, damaged": ('{"srcAddr":', "message_json"),
    "message of JSON, port": ('{"srcAddr":"10.0.0.1","srcPort":65536}', "range"),
    "message of JSON, address": ('{"srcAddr":"10.0.0"}', "address"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_bad_record_costs_itself(shared, own_address, name):
    bad, reason = RECORDS[name]
    good = payloads.records(4)
    data = payloads.decoded([good[0], bad, good[1]])
    before, at = shared.stats(), len(shared.lines())
    with shared.connect(source=own_address) as peer:
        assert peer.ask("a", data) == "ACK a 2"
        assert peer.ask("b", payloads.decoded([bad])) == "REJECT b nothing_converted"
    shared.push(payloads.decoded([good[2], bad, good[3], bad]), source=own_address)
    s = shared.added(before)
    assert (s["events"], s["flows"], s["rejected"]) == (8, 4, 4)
    assert s[f"rejected_{reason}"] == 4, s
    told = shared.log_lines(f"WARN flow: .*peer={re.escape(own_address)} ")
    assert len(told) == 1, told
    if reason == "columns":
        assert 'log-group="vpc-flow-logs"' in told[0]
        assert "--flow-format" in told[0] and "sources" in told[0]
    assert shared.wait_lines(at + 4)[at:] == payloads.ftsq_lines(good)


def test_bad_lines_of_a_stream_cost_themselves():
    good = payloads.records(3)
    data = payloads.plain([good[0], "a b c", good[1], "x" * 100_000, good[2]])
    result = harness.read(stdin=data, status=1)
    assert result.lines == payloads.ftsq_lines(good)
    assert (result.summary["rejected"], result.summary["flows"]) == (2, 3)
    assert harness.read_in_pieces(data, 4096, status=1) == payloads.ftsq_lines(good)


def test_events_without_a_message_cost_themselves(served):
    message = payloads.message(GOOD)
    for strange in {}, {"message": 5}, {"message": None}, "text", 7, []:
        message["logEvents"].insert(1, strange)
    assert served.ask("a", json.dumps(message).encode()) == f"ACK a {len(GOOD)}"
    s = served.stats()
    assert s["rejected"] == s["rejected_event"] == 6
    assert served.terminate() == payloads.ftsq_lines(GOOD)


def test_a_number_of_a_million_digits_outside_records_is_ignored(served):
    data = b'{"x":' + LONG.encode() + b"," + MESSAGE[1:]
    assert served.ask("a", data) == "ACK a 3"


def test_missing_addresses_are_no_fault(served):
    assert served.ask("a", payloads.decoded([payloads.record(srcaddr="-")])) == "ACK a 1"
    s = served.stats()
    assert (s["rejected"], s["output0_no_address"]) == (0, 1)
    assert served.terminate() == []


# ---- memory ----------------------------------------------------------------------------------------


def measured_binary():
    """The binary to measure, and how many octets more than it needs the other build may take."""
    return (harness.RELEASE, 0) if harness.RELEASE else (harness.BINARY, 1024 * harness.MIB)


HUNGRY = {
    "bomb": lambda: bomb(300),
    "bomb in an event": lambda: event(base64.b64encode(bomb(100))),
    "endless JSON string": lambda: b'{"a":"' + b"x" * 40_000_000,
    "endless JSON list": lambda: b'{"a":[' + b"1," * 20_000_000,
    "endless line": lambda: b"x" * 40_000_000,
    "many empty objects": lambda: b'{"message":""}' * 1_000_000,
}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] if name.startswith("many") else []) for name in HUNGRY])
def test_memory_stays_bounded(start, name):
    binary, more = measured_binary()
    octets = HUNGRY[name]()
    with start(binary=binary) as daemon:
        for _ in range(2):
            daemon.push(octets)
        reply = daemon.ask("a", octets[:16 * harness.MIB])
        assert reply.startswith("REJECT a ")
        peak = daemon.peak_memory()
        assert peak < 200 * harness.MIB + more, f"{peak / harness.MIB:.0f} MiB"
        assert daemon.ask("z", MESSAGE) == "ACK z 3"
