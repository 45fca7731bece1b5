# SPDX-License-Identifier: Apache-2.0
"""
--filter: what it keeps, judged by an evaluator of Python's own modules on random expressions and
records; and that what it leaves out is taken all the same: counted, acknowledged, never asked for
again. Grammar and mistakes row by row are the unit tests'.
"""
import datetime
import fnmatch
import ipaddress
import json
import os
import random
import re
import signal

import pytest

import chaos
import harness
import payloads
import sessions

SAMPLE = os.path.join(harness.DATA, "data-v2.lambda-event.json")

# ---- random expressions ------------------------------------------------------------------------------

FIELDS = ("version interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
          "log-status vpc-id tcp-flags flow-direction").split()
NETS = ["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/24", "2001:db8::/32", "2001:db8:0:1::/64", "::/0",
        "0.0.0.0/1", "10.1.2.3", "2001:db8::1"]
ADDRESSES = ["10.1.2.3", "10.200.0.1", "192.168.0.77", "192.168.1.1", "200.1.2.3", "2001:db8::1",
             "2001:db8:0:1::9", "fe80::1", "-"]
PORTS = {"ssh": 22, "dns": 53, "https": 443, "rdp": 3389}
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1}
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "ack": 16}
WORDS = {"action": ["ACCEPT", "REJECT"], "flow-direction": ["ingress", "egress", "-"],
         "vpc-id": ["vpc-0a1b", "vpc-0a1c", "vpc-ffff", "-"],
         "interface-id": [f"eni-{n:04x}" for n in range(8)]}
PATTERNS = {"action": ["accept", "REJECT", "rej*", "*T"], "flow-direction": ["INGRESS", "*gress"],
            "vpc-id": ["vpc-0a1b", "vpc-0a*", "*f", "VPC-0A1B"],
            "interface-id": ["eni-0001", "eni-000[4]", "*3", "eni-*", "eni-0005"]}
NUMBERS = {"srcport": PORTS, "dstport": PORTS, "protocol": PROTOCOLS, "packets": {},
           "bytes": {"1K": 1024, "2K": 2048}, "version": {}}
DAY = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
FIRST = int(DAY.timestamp())


def random_record(rng):
    port = lambda: rng.choice([22, 53, 443, 3389, 8080, 50000])
    start = FIRST + rng.randrange(-3, 4 * 24) * 3600 + rng.randrange(3)
    milliseconds = rng.random() < 0.3
    values = {"version": rng.choice([2, 5]), "srcaddr": rng.choice(ADDRESSES), "srcport": port(),
              "dstaddr": rng.choice(ADDRESSES), "dstport": port(),
              "protocol": rng.choice([1, 6, 17, "-"]), "packets": rng.randrange(10),
              "bytes": rng.choice([0, 1023, 1024, 1500, 2048, 2049, 2**64 - 1]),
              "start": start * 1000 + rng.randrange(1000) if milliseconds else start,
              "end": start + 60, "log-status": "OK",
              "tcp-flags": rng.choice([0, 2, 18, 19, 4, "-"])}
    values.update({name: rng.choice(words) for name, words in WORDS.items()})
    return {name: str(values[name]) for name in FIELDS}


def span(text):
    """The first and the last millisecond of a time as written."""
    if text.isdigit():
        return int(text) * 1000, int(text) * 1000 + 999
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    at = at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)
    first = int(at.timestamp()) * 1000
    length = {10: 86400_000, 16: 60_000}.get(len(text), 1000)
    return first, first + length - 1


def random_value(rng, field):
    """(text, does it hold of a record's value)."""
    if field in PATTERNS:
        text = rng.choice([p for p in PATTERNS[field] if "[" not in p])
        fold = str.lower if field in ("action", "flow-direction") else str
        return rng.choice([text, f'"{text}"']), lambda v: fnmatch.fnmatchcase(fold(v), fold(text))
    if field.endswith("addr"):
        net = ipaddress.ip_network(rng.choice(NETS))
        if rng.random() < 0.2 and net.version == 4:
            first, last = net[0], net[-1]
            return f"{first}-{last}", lambda v: ":" not in v and first <= ipaddress.ip_address(v) <= last
        text = str(net[0]) if net.num_addresses == 1 else str(net)
        return text, lambda v: ipaddress.ip_address(v) in net
    if field in ("start", "end"):
        texts = [str(FIRST + 3601), "2026-11-02", "2026-11-01T02:00", "2026-11-03T00:00:00Z",
                 "2026-11-01T05:00:01+02:00"]
        (one, first), (two, last) = sorted(((t, span(t)) for t in rng.choices(texts, k=2)),
                                           key=lambda pair: pair[1])
        if rng.random() < 0.5:
            return one, lambda v: first[0] <= milliseconds_of(v) <= first[1]
        return f"{one}..{two}", lambda v: first[0] <= milliseconds_of(v) <= max(first[1], last[1])
    names = {str(n): n for n in (0, 5, 22, 443, 2048) if field != "protocol" or n < 256}
    names.update({} if field == "tcp-flags" else NUMBERS[field])
    names.update(FLAGS if field == "tcp-flags" else {})
    (one, first), (two, last) = sorted((rng.choice(list(names.items())) for _ in range(2)),
                                       key=lambda pair: pair[1])
    if rng.random() < 0.3:
        return f"{one}..{two}", lambda v: first <= int(v) <= last
    return one, lambda v: int(v) == first


def milliseconds_of(text):
    return int(text) if int(text) > 2**31 - 1 else int(text) * 1000


def random_order(rng, field):
    text, n = str(number := rng.choice([0, 22, 443, 1024])), number
    low = high = n
    if field in ("start", "end"):
        text = rng.choice(["2026-11-02", str(FIRST + 7200), "2026-11-01T02:00:00Z"])
        low, high = span(text)
    of = milliseconds_of if field in ("start", "end") else int
    holds = {"<": lambda v: of(v) < low, "<=": lambda v: of(v) <= high, ">": lambda v: of(v) > high,
             ">=": lambda v: of(v) >= low}
    sign = rng.choice(list(holds))
    return f"{sign} {text}", holds[sign], all


def random_test(rng, field):
    """What is behind a field; of a value that is there, whether it holds; for two fields any or all."""
    kind = rng.random()
    if kind < 0.1:
        return "= -", None, any
    if kind < 0.2 and field == "tcp-flags":
        names = rng.sample(list(FLAGS), 2)
        mask = sum(FLAGS[name] for name in names)
        return f"has {','.join(names)}", lambda v: int(v) & mask == mask, any
    if kind < 0.4 and field in ("srcport", "bytes", "packets", "start", "end"):
        order, holds, _ = random_order(rng, field)
        return order, holds, any
    values = [random_value(rng, field) for _ in range(rng.choice([1, 1, 2, 5]))]
    one = len(values) == 1 and rng.random() < 0.5
    negated = rng.random() < 0.4
    listed = ",".join(text for text, _ in values)
    word = ("!=" if negated else rng.choice(["=", "=="])) if one else "not in" if negated else "in"
    bracket = rng.choice(["{}", "({})", "[{}]"]) if not one else "{}"
    holds = lambda v: any(hold(v) for _, hold in values) != negated
    return f"{word} {bracket.format(listed)}", holds, all if negated else any


def random_expression(rng, depth=3):
    """(text, evaluator)."""
    kind = rng.randrange(4) if depth else 0
    if kind == 0:
        name = rng.choice(FIELDS[1:] + ["addr", "port"])
        name = "packets" if name == "log-status" else name
        ends = {"addr": ["srcaddr", "dstaddr"], "port": ["srcport", "dstport"]}.get(name, [name])
        test, holds, both = random_test(rng, ends[0])
        one = (lambda r, f: r[f] == "-") if holds is None else (lambda r, f: r[f] != "-" and holds(r[f]))
        text = name.replace("-", rng.choice("-_"))
        return f"{text} {test}", lambda r: both(one(r, end) for end in ends)
    left, judge_left = random_expression(rng, depth - 1)
    if kind == 1:
        return f"{rng.choice(['not ', '!'])}({left})", lambda r: not judge_left(r)
    right, judge_right = random_expression(rng, depth - 1)
    if kind == 2:
        return f"({left}) {rng.choice(['and', '&&'])} ({right})", \
            lambda r: judge_left(r) and judge_right(r)
    return f"{left if ' and ' in left else '(' + left + ')'} {rng.choice(['or', '||'])} ({right})", \
        lambda r: judge_left(r) or judge_right(r)


def check_random(seed, expressions, records=150):
    rng = random.Random(seed)
    rows = [random_record(rng) for _ in range(records)]
    octets = payloads.with_header([" ".join(row.values()) for row in rows], FIELDS)
    numbered = [",".join(v if v != "-" else "" for v in row.values()) for row in rows]
    kept = 0
    for _ in range(expressions):
        text, judge = random_expression(rng)
        result = harness.read("-o", "csv", "--filter", text, stdin=octets,
                              binary=harness.RELEASE or harness.BINARY)
        wanted = [as_csv(line, row) for line, row in zip(numbered, rows) if judge(row)]
        assert result.lines[1:] == wanted, f"seed {seed}: {text}"
        assert result.summary["filtered"] == records - len(wanted)
        kept += len(wanted)
    assert expressions * records * 0.2 < kept < expressions * records * 0.8


def as_csv(line, row):
    """Times are seconds there."""
    seconds = {row[name]: str(payloads.seconds(row[name])) for name in ("start", "end")}
    return ",".join(seconds.get(v, v) for v in line.split(","))


def test_random_expressions():
    check_random(20261101, 120)


@pytest.mark.long
def test_many_random_expressions():
    for seed in range(6):
        check_random(seed, 250)


# ---- what comes out ------------------------------------------------------------------------------


def mixed(count=40):
    """Records of which every second is wanted: (all, wanted)."""
    lines = [payloads.record(action="REJECT" if n % 2 else "ACCEPT") for n in range(count)]
    return lines, lines[1::2]


REJECTS = "--filter", "action = reject"


@pytest.mark.parametrize("form", ["ftsq", "csv", "json", "ipfix-csv"])
def test_every_format_has_what_is_wanted(form):
    lines, wanted = mixed()
    result = harness.read("-o", form, *REJECTS, stdin=payloads.plain(lines))
    assert result.lines == harness.read("-o", form, stdin=payloads.plain(wanted)).lines
    assert (result.summary["flows"], result.summary["filtered"]) == (20, 20)


def test_ipfix_has_what_is_wanted(tmp_path):
    lines = sessions.numbered(0, 100)
    harness.read("-o", f"ipfix:{tmp_path}/flows", "--filter", "bytes in 10-19,90..200", stdin=lines)
    session = sessions.Session((tmp_path / "flows").read_bytes())
    assert session.numbers == [*range(10, 20), *range(90, 100)]


@pytest.mark.parametrize("make", [payloads.lambda_event, payloads.with_header, payloads.message_objects,
                                  lambda r: payloads.decoded([payloads.transformed(x) for x in r])])
def test_every_kind_of_record_is_asked(make):
    lines, wanted = mixed()
    assert harness.read(*REJECTS, stdin=make(lines)).lines == payloads.ftsq_lines(wanted)


def test_several_workers_ask_the_same(tmp_path):
    files = []
    every = []
    for n in range(6):
        lines, wanted = mixed(200)
        (tmp_path / f"in-{n}").write_bytes(payloads.zipped(payloads.plain(lines)))
        files.append(tmp_path / f"in-{n}")
        every += wanted
    result = harness.read("--workers", "2", *REJECTS, files=files)
    assert sorted(result.lines) == sorted(payloads.ftsq_lines(every))
    assert result.summary["filtered"] == 600


def test_transit_gateway_fields():
    values = {name: "-" for name in payloads.TGW}
    values.update({"version": "6", "srcaddr": "10.0.0.1", "dstaddr": "10.0.0.2", "log-status": "OK"})
    lines = [" ".join({**values, "tgw-id": f"tgw-{n}", "packets-lost-no-route": str(n)}.values())
             for n in range(4)]
    result = harness.read("-f", "tgw", "-o", "csv", "--fields", "tgw-id", "--filter",
                          "tgw-id in tgw-1,tgw-2,tgw-3 and packets-lost-no-route < 3",
                          stdin=payloads.decoded(lines))
    assert result.lines == ["tgw_id", "tgw-1", "tgw-2"]


def test_what_is_no_flow_is_counted_as_ever():
    octets = payloads.plain([payloads.NODATA, payloads.SKIPDATA, "bad", payloads.record()])
    result = harness.read("--filter", "bytes = 0", stdin=octets, status=1)
    assert result.lines == []
    s = result.summary
    assert [s[name] for name in ("events", "nodata", "skipdata", "rejected", "filtered")] == \
        [4, 1, 1, 1, 1]


# ---- mistakes ------------------------------------------------------------------------------------


def test_a_mistake_is_shown_with_a_caret():
    result = harness.run("--filter", "action = REJECT and dstprt in 22,3389", status=2)
    assert result.err.split("\n") == [
        "ERROR config: bad value: no such field; do you mean dstport? "
        'option="--filter action = REJECT and dstprt in 22,3389"',
        "ERROR config:   action = REJECT and dstprt in 22,3389",
        "ERROR config:                       ^^^^^^", ""]
    assert result.out == ""


def test_a_mistake_in_the_configuration_is_shown_too(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"filter": "srcaddr in 10.1.2.3/8"}))
    said = harness.run("-c", path, status=2).err.split("\n")
    assert said[0].endswith(f'do you mean 10.0.0.0/8? file={path} key="filter"')
    assert said[1:] == ["ERROR config:   srcaddr in 10.1.2.3/8",
                        "ERROR config:              ^^^^^^^^^^", ""]


@pytest.mark.parametrize("text", ["no-such = 1", "dstport", "dstport = x", "(dstport = 1", "srcaddr in /8",
                                  "dstport = 1)", "dstport = 65536", "\x01\xe9", "action = \"", "x" * 70000])
def test_mistakes_exit_with_2(text):
    result = harness.run("--filter", text, status=2)
    assert result.out == "" and result.err.count("\n") == 3
    assert re.search(r"\nERROR config: +\^+\n", result.err)


def test_check_config_shows_it_on_one_line(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"filter": "dstport = 22\nor\tport = 53"}))
    assert "filter dstport = 22 or port = 53" in harness.run("-c", path, "--check-config").lines
    assert "filter bytes > 1" in harness.run("-c", path, "--filter", "bytes > 1", "--check-config").lines
    assert "filter" not in harness.run("--check-config").out


def test_a_field_that_no_format_has_is_told():
    told = "WARN config: --filter asks for a field that no flow format has"
    where = ["--check-config", "--filter", "vpc-id = vpc-1 and dstport = 22"]
    assert [line[-12:] for line in harness.run(*where).err.splitlines() if told in line] == \
        ["field=vpc-id"]
    assert told not in harness.run(*where, "-f", "vpc-id srcaddr dstport").err
    assert told not in harness.read(*where[1:], stdin=b"").err, "a header line may name it"


def test_help_teaches():
    help_text = harness.run("--help").out
    for word in "--filter EXPR", "not in", "addr", "10.0.0.0/8,fd00::/8", "has syn", ">= 2026-11-01", "!= -":
        assert word in help_text


# ---- what peers see --------------------------------------------------------------------------------


def test_what_is_left_out_is_acknowledged(start):
    lines, wanted = mixed()
    with start(*REJECTS) as daemon:
        assert daemon.ask("a", payloads.decoded(lines)) == "ACK a 40"
        assert daemon.ask("a", payloads.decoded(lines)) == "DUP a 40"
        assert daemon.ask("b", payloads.decoded(payloads.records(3))) == "ACK b 3"
        assert daemon.ask("c", payloads.plain(payloads.records(3) + ["bad"])) == "ACK c 3"
        assert daemon.ask("d", payloads.plain(["bad"])).startswith("REJECT d nothing_converted")
        daemon.push(payloads.plain(payloads.records(5)))
        s = daemon.stats()
        assert (s["flows"], s["filtered"], s["output0_flows"], s["rejected"]) == (20, 31, 20, 2)
        assert daemon.terminate() == payloads.ftsq_lines(wanted)


def hup(daemon, said="configuration read again"):
    before = len(daemon.log_lines(said))
    daemon.signal(signal.SIGHUP)
    daemon.wait_log(said, before + 1)


def test_hup_reads_it_again(start, tmp_path):
    path = tmp_path / "config.json"

    def use(daemon=None, **members):
        path.write_text(json.dumps(members))
        if daemon:
            hup(daemon)

    use(filter="action = reject")
    parts = [mixed(4) for _ in range(4)]
    with start("-c", path) as daemon:
        for n, change in enumerate([None, {"filter": "action = accept"}, {}, {"filter": "bytes = 0"}]):
            if change is not None:
                use(daemon, **change)
            assert daemon.ask(f"p{n}", payloads.plain(parts[n][0])) == f"ACK p{n} 4"
        path.write_text('{"filter": "bytes ="}')
        hup(daemon, "old one stays")
        assert daemon.log_lines(r"ERROR config:   +\^")
        assert daemon.ask("p5", payloads.plain(payloads.records(2))) == "ACK p5 2"
        assert daemon.stats()["filtered"] == 2 + 2 + 0 + 4 + 2
        every = parts[0][1] + parts[1][0][::2] + parts[2][0]
        assert daemon.terminate() == payloads.ftsq_lines(every)


def test_a_connection_keeps_the_one_it_began_with(start, tmp_path):
    """An unframed stream is one; a PUT is converted under the one in force."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"filter": "action = reject"}))
    first, second = mixed(4), mixed(4)
    with start("-c", path) as daemon, daemon.connect() as stream:
        stream.send(payloads.plain(first[0]))
        daemon.wait_stats(flows=2)
        path.write_text(json.dumps({"filter": "action = accept"}))
        hup(daemon)
        stream.send(payloads.plain(second[0])).half_close()
        assert stream.rest() == b""
        assert daemon.ask("a", payloads.plain(second[0])) == "ACK a 4"
        assert daemon.terminate() == payloads.ftsq_lines(first[1] + second[1] + second[0][::2])


# ---- the spool -----------------------------------------------------------------------------------


def nobody_there():
    return "-o", "csv:tcp://127.0.0.1:9", "--reconnect-max", "1"


def test_what_a_spool_holds_is_asked_when_it_is_converted(start, tmp_path):
    """With another filter after a restart flows are more or fewer, and nothing is amiss."""
    folder = str(tmp_path / "spool")
    lines, _ = mixed()
    with start(*nobody_there(), "--spool", folder, *REJECTS) as daemon:
        assert daemon.ask("a", payloads.plain(lines)) == "ACK a 40"
        assert daemon.ask("b", payloads.plain(payloads.records(3))) == "ACK b 3"
        assert daemon.stats()["spooled"] == 2
    with start("--spool", folder, "--filter", "action = accept and bytes > 0") as daemon:
        s = daemon.wait_stats(spool_replayed=2)
        assert (s["events"], s["flows"], s["filtered"]) == (43, 23, 20)
        assert s["spool_unconverted"] == 0 and not daemon.log_lines("ERROR")
        assert daemon.ask("a", payloads.plain(lines)) == "DUP a 40"
        assert daemon.terminate()[:20] == payloads.ftsq_lines(lines[::2])
    assert chaos.segments(folder) == [] and chaos.segments(folder, ".kept") == []


def test_a_payload_of_which_nothing_is_wanted_leaves_the_spool(start, tmp_path):
    folder = str(tmp_path / "spool")
    with start("--spool", folder, "--filter", "bytes = 0") as daemon:
        for n in range(3):
            assert daemon.ask(f"p{n}", payloads.plain(payloads.records(50))) == f"ACK p{n} 50"
        daemon.wait_stats(filtered=150)
        assert daemon.terminate() == []
    assert chaos.segments(folder) == []


def test_a_killed_spool_counts_each_record_once(start, tmp_path):
    folder = str(tmp_path / "spool")
    with start(*nobody_there(), "--spool", folder) as daemon:
        assert daemon.ask("a", sessions.numbered(0, 3000)) == "ACK a 3000"
        daemon.crash()
    with start("--spool", folder, "--filter", "bytes >= 1500") as daemon:
        s = daemon.wait_stats(spool_replayed=1)
        assert (s["events"], s["flows"], s["filtered"]) == (3000, 1500, 1500)
        assert chaos.ftsq_numbers("\n".join(daemon.terminate()) + "\n") == list(range(1500, 3000))
