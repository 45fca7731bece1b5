# SPDX-License-Identifier: Apache-2.0
"""
--aggregate, --top and --by: what comes out is what dictionaries here have of the same records, and
what nfdump makes of the single flows; in every format, from any files, whoever reads them.
"""
import csv
import io
import ipaddress
import json
import os
import random
import re
import signal
import subprocess

import pytest

import collectors
import elements
import harness
import payloads

SUMMED = ["packets", "bytes", "flows", "start", "end"]
FIVE_TUPLE = ["srcaddr", "dstaddr", "srcport", "dstport", "protocol"]
NOT_KEYS = set(SUMMED)
ORDERS = ("bytes", "packets", "flows")


def aggregate(keys, *more):
    return ["--aggregate", ",".join(keys), *map(str, more)]


# ---- records, and their sums by dictionaries -----------------------------------------------------


def pooled(rng, fields, count, pool=5):
    """Records made of a few records' values, so that many agree; seconds beside milliseconds."""
    rows = [elements.random_record(rng, fields).split() for _ in range(pool)]
    made = []
    for _ in range(count):
        v = dict(zip(fields, (rng.choice(rows)[i] for i in range(len(fields)))))
        for name in "packets", "bytes", "start", "end":
            if rng.random() < 0.9:
                v[name] = str(rng.randrange(1600000000, 1600100000) *
                              (rng.choice((1, 1000)) if name in ("start", "end") else 1))
        made.append(" ".join(v[name] for name in fields))
    return made


def key_value(name, text):
    """What a key is by value, in its order."""
    if text is None:
        return (0,)
    if name.endswith("addr"):
        address = ipaddress.ip_address(text)
        return 1, address.version, int(address)
    return (1, int(text)) if name in NUMBERS else (1, text)


NUMBERS = set("version srcport dstport protocol tcp-flags traffic-path encryption-status "
              "packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded "
              "packets-lost-ttl-expired".split())


def most(n):
    return min(n, 2**64 - 1)


def sums_of(records, keys, by="bytes", top=None):
    """records: [(fields, line)]. [{name: value}], largest first; times in milliseconds."""
    found = {}
    for fields, line in records:
        v = payloads.values_of(line, fields)
        if v.get("log-status") in ("NODATA", "SKIPDATA"):
            continue
        key = tuple(key_value(name, v.get(name)) for name in keys)
        one = found.setdefault(key, {"packets": 0, "bytes": 0, "flows": 0, "start": [], "end": [],
                                     **{name: v.get(name) for name in keys}})
        one["flows"] += 1
        for name in "packets", "bytes":
            one[name] = most(one[name] + int(v.get(name, 0)))
        for name in "start", "end":
            one[name] += [elements.milliseconds(v[name])] if name in v else []
    rows = []
    for key in sorted(found, key=lambda key: (-found[key][by], key))[:top]:
        one = found[key]
        rows.append({**one, "key": key, "start": min(one["start"], default=None),
                     "end": max(one["end"], default=None)})
    return rows


def shown(rows, keys):
    """As csv and json say it: keys by value, seconds."""
    return [(row["key"], *(row[name] for name in ("packets", "bytes", "flows")),
             *(payloads.seconds(row[name]) if row[name] is not None else None
               for name in ("start", "end"))) for row in rows]


def in_seconds(rows):
    """Milliseconds that are below 2^31 came as seconds of the year 1970."""
    return [{**row, **{name: row[name] // 1000 if row[name] is not None else None
                       for name in ("start", "end")}} for row in rows]


def expected(records, keys, **how):
    return [(row["key"], row["packets"], row["bytes"], row["flows"], row["start"], row["end"])
            for row in in_seconds(sums_of(records, keys, **how))]


def _row(keys, v):
    """v: {column name: text, or None}"""
    return (tuple(key_value(name, v.get(name.replace("-", "_"))) for name in keys),
            *(int(v[name]) if v.get(name) is not None else None for name in SUMMED))


def of_csv(text, keys):
    rows = list(csv.reader(io.StringIO(text), strict=True))
    assert rows[0] == [name.replace("-", "_") for name in keys] + SUMMED
    return [_row(keys, dict(zip(rows[0], (cell or None for cell in row)))) for row in rows[1:]]


def of_json(text, keys):
    def names_in(one):
        assert set(one) <= {name.replace("-", "_") for name in keys} | NOT_KEYS
        assert all(isinstance(one[n], int) for n in one if n.replace("_", "-") in NUMBERS | NOT_KEYS)
        return one

    return [_row(keys, names_in(json.loads(line))) for line in text.splitlines()]


# ---- files ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Of every format, plain and packed, with headers: (records, paths)."""
    folder = tmp_path_factory.mktemp("files")
    rng = random.Random(7)
    records, paths = [], []
    for n, (name, fields) in enumerate(list(elements.FORMATS.items()) * 2):
        lines = pooled(rng, fields, 400)
        records += [(fields, line) for line in lines]
        octets = payloads.with_header(lines, fields)
        paths.append(folder / f"{n}-{name}")
        paths[-1].write_bytes(payloads.zipped(octets) if n % 2 else octets)
    return records, paths


ALL_KEYS = [name for name in dict.fromkeys(sum(elements.FORMATS.values(), []))
            if name not in NOT_KEYS]
RANDOM_KEYS = [random.Random(n).sample(ALL_KEYS, n + 1) for n in range(6)]
KEYS = [FIVE_TUPLE, ["srcaddr"], ["dstaddr", "srcaddr"], ["action"], ["protocol"], ["vpc-id"],
        ["pkt-srcaddr", "traffic-path"], ["tgw-id", "packets-lost-no-route"], ALL_KEYS, *RANDOM_KEYS]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("n", range(len(KEYS)))
def test_dictionaries_say_the_same(files, n, workers):
    """In csv and json, whatever the keys, and whether the records have them."""
    keys, (records, paths) = KEYS[n], files
    order = ORDERS[n % 3]
    top = (None, 1, 7, 10**6)[n % 4]
    options = ["--by", order, "--workers", workers] + (["--top", top] if top else [])
    done = harness.read(*aggregate(keys, *options, "-o", ("csv", "json")[n % 2]), files=paths)
    of = (of_csv, of_json)[n % 2]
    want = expected(records, keys, by=order, top=top)
    assert of(done.out, keys) == want
    alive = [r for r in records if payloads.values_of(r[1], r[0]).get("log-status")
             not in ("NODATA", "SKIPDATA")]
    assert done.summary["flows"] == len(alive) > 2000
    assert f"written={len(want)}\n" in done.err


def test_one_and_two_workers_write_the_same_octets(files):
    _, paths = files
    outs = [harness.read(*aggregate(FIVE_TUPLE, "-w", workers), files=paths).out
            for workers in (1, 2, 3, 8)]
    assert len(set(outs)) == 1 and outs[0].count("\n") > 100


def test_a_file_may_come_in_any_order_and_in_pieces(files):
    records, paths = files
    outs = {harness.read(*aggregate(["srcaddr"]), files=order).out
            for order in (paths, paths[::-1], paths[3:] + paths[:3])}
    assert len(outs) == 1
    data = payloads.with_header([line for fields, line in records if fields == elements.V5],
                                elements.V5)
    whole = harness.read(*aggregate(["dstaddr", "action"]), stdin=data).lines
    assert harness.read_in_pieces(data, 997, *aggregate(["dstaddr", "action"])) == whole


# ---- formats of output ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flows():
    """Of both families, a few without an address: (fields, lines)."""
    rng = random.Random(11)
    lines = [line for version in (1, 2, 3) for line in pooled(rng, elements.V5, 200, pool=4)]
    return elements.V5, lines


def with_addresses(rows):
    """Those that have both, of one family."""
    kept = []
    for row in rows:
        if row["srcaddr"] is not None and row["dstaddr"] is not None and len(
                {ipaddress.ip_address(row[n]).version for n in ("srcaddr", "dstaddr")}) == 1:
            kept.append(row)
    return kept


IPFIX_KEYS = [FIVE_TUPLE, ["srcaddr", "dstaddr"], ["dstaddr", "action", "srcaddr", "vpc-id"],
              ["srcaddr", "dstaddr", "flow-direction", "tcp-flags"],
              ["interface-id", "srcaddr", "dstaddr"]]


def as_elements(row, keys):
    """What IPFIX has of a sum: nothing that is not a key, as if it were 0."""
    line = " ".join(str(row[name]) if row[name] is not None else "-"
                    for name in [*keys, "packets", "bytes"])
    one = elements.flow(line, [*keys, "packets", "bytes"])
    without = {"srcport": ["sourceTransportPort"], "dstport": ["destinationTransportPort"],
               "protocol": ["protocolIdentifier"], "tcp-flags": ["tcpControlBits"],
               "action": ["forwardingStatus", "firewallEvent"],
               "interface-id": ["ingressInterface", "egressInterface"]}
    for name in set(without) - set(keys):
        for element in without[name]:
            del one[element]
    # A missing time is 0 there.
    one.update(flowStartMilliseconds=row["start"] or 0, flowEndMilliseconds=row["end"] or 0,
               deltaFlowCount=row["flows"])
    return one


@pytest.mark.parametrize("keys", IPFIX_KEYS, ids=",".join)
def test_ipfix_has_flows_counted_and_no_more_than_the_keys(tmp_path, flows, keys):
    fields, lines = flows
    rows = with_addresses(sums_of([(fields, line) for line in lines], keys))
    paths = {form: tmp_path / form for form in ("ipfix", "ipfix-csv")}
    outputs = [word for form, path in paths.items() for word in ("-o", f"{form}:{path}")]
    done = harness.read(*aggregate(keys, *outputs), stdin=payloads.with_header(lines, fields))
    want = [as_elements(row, keys) for row in rows]
    assert len(want) > 10
    assert elements.of_csv(paths["ipfix-csv"]) == want
    assert elements.of_decode(collectors.decode(paths["ipfix"])) == want
    templates, _ = collectors.ipfixdump(paths["ipfix"])
    names = [{field[4] for field in t["fields"]} for t in templates if t["scope"] == 0]
    assert names and all("deltaFlowCount" in n for n in names)
    left_out = len(sums_of([(fields, line) for line in lines], keys)) - len(rows)
    assert (f"records={left_out}" in done.err) == (left_out > 0)


def test_single_flows_have_no_count_of_flows(tmp_path):
    path = tmp_path / "ipfix"
    harness.read("-o", f"ipfix:{path}", "-o", "ipfix-csv", stdin=payloads.plain(payloads.records(3)))
    templates, records = collectors.ipfixdump(path)
    assert all("deltaFlowCount" not in r["values"] for r in records)
    assert all("deltaFlowCount" not in {f[4] for f in t["fields"]} for t in templates)
    header = harness.read("-o", "ipfix-csv", stdin=payloads.plain(payloads.records(3))).lines[0]
    assert "Flow" not in header.split("flowStart")[0]


def test_ftsq(flows):
    fields, lines = flows
    done = harness.read(*aggregate(FIVE_TUPLE, "-o", "ftsq"),
                        stdin=payloads.with_header(lines, fields))
    want = []
    for row in with_addresses(sums_of([(fields, line) for line in lines], FIVE_TUPLE)):
        for name in "srcaddr", "dstaddr":
            row[name] = ipaddress.ip_address(row[name])
        times = ["0" if row[n] is None else str(row[n] // 1000) for n in ("start", "end")]
        want.append(",".join([
            str(row["srcaddr"]), str(int(row["srcport"] or 0)), str(row["dstaddr"]),
            str(int(row["dstport"] or 0)), str(int(row["protocol"] or 0)), str(row["packets"]),
            str(row["bytes"]), "0", "0", *times, "127.0.0.1", '"unknown"']))
    assert [line.replace("::ffff:c000:201", "::ffff:192.0.2.1") for line in done.lines] == [
        line.replace("::ffff:c000:201", "::ffff:192.0.2.1") for line in want]


def test_aws_elements_of_the_keys(tmp_path, flows):
    fields, lines = flows
    path = tmp_path / "ipfix"
    keys = ["srcaddr", "dstaddr", "vpc-id", "az-id"]
    harness.read(*aggregate(keys, "-o", f"ipfix:{path}", "--aws-elements", "6871"),
                 stdin=payloads.with_header(lines, fields))
    rows = with_addresses(sums_of([(fields, line) for line in lines], keys))
    _, records = collectors.ipfixdump(path)
    found = [{name: r["values"][name] for name in r["values"] if name.startswith("aws")}
             for r in records if "octetDeltaCount" in r["values"]]
    assert found == [{"awsVpcId": row["vpc-id"] or "", "awsAzId": row["az-id"] or ""}
                     for row in rows]


def test_columns_may_be_chosen(files):
    records, paths = files
    done = harness.read(*aggregate(["srcaddr", "action"], "--fields", "bytes,action,flows"),
                        files=paths)
    assert done.lines[0] == "bytes,action,flows" and "WARN config" not in done.err
    assert [line.split(",") for line in done.lines[1:]] == [
        [str(row["bytes"]), row["action"] or "", str(row["flows"])]
        for row in sums_of(records, ["srcaddr", "action"])]


def test_columns_may_be_chosen_as_json(files):
    records, paths = files
    done = harness.read("--aggregate", "action", "-o", "json:-", "--fields", "bytes,action,flows",
                        files=paths)
    found = [json.loads(line) for line in done.lines]
    assert [(row["bytes"], row.get("action"), row["flows"]) for row in found] == [
        (row["bytes"], row["action"], row["flows"]) for row in sums_of(records, ["action"])]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_collector_gets_all_in_one_session(tmp_path, flows, workers):
    """Of the worker that read last; the others have nothing to say."""
    fields, lines = flows
    parts = [tmp_path / f"{n}" for n in range(4)]
    for n, part in enumerate(parts):
        part.write_bytes(payloads.with_header(lines[n::4], fields))
    with collectors.TcpCollector(tmp_path / "collector") as collector:
        harness.read(*aggregate(FIVE_TUPLE, "-w", workers, "-o",
                                f"ipfix:tcp://127.0.0.1:{collector.port}"), files=parts)
        # It may not have begun yet to read what its kernel has.
        collector.wait_sessions(workers)
        harness.wait_for("octets", lambda: any(collector.sessions()))
        collector.stop()
        found = [octets for octets in collector.sessions() if octets]
    rows = with_addresses(sums_of([(fields, line) for line in lines], FIVE_TUPLE))
    assert len(found) == 1
    assert elements.of_decode(collectors.decode(found[0])) == [
        as_elements(row, FIVE_TUPLE) for row in rows]


def test_files_are_opened_anew_while_it_sums(tmp_path):
    """HUP, before there is a header and counters, which have no flow in an output yet."""
    fifo, path = tmp_path / "fifo", tmp_path / "csv"
    os.mkfifo(fifo)
    with subprocess.Popen([harness.BINARY, *aggregate(["dstaddr"], "-o", f"csv:{path}"), "--read",
                           fifo], stderr=subprocess.PIPE, env=harness.environment()) as process:
        with open(fifo, "wb", buffering=0) as end:
            end.write(payloads.plain(payloads.records(10, dstaddr="10.9.9.9")))
            os.rename(path, tmp_path / "old")
            process.send_signal(signal.SIGHUP)
            harness.wait_for("a new file", path.exists)
            end.write(payloads.plain(payloads.records(5, dstaddr="10.9.9.9")))
        err = process.stderr.read()
    harness.check_log(err)
    assert process.returncode == 0 and (tmp_path / "old").read_text() == ""
    assert path.read_text().splitlines()[1].split(",")[3] == "15"


def test_several_outputs_and_nothing_to_sum(tmp_path):
    path = tmp_path / "json"
    done = harness.read(*aggregate(["action"], "-o", "csv", "-o", f"json:{path}"),
                        stdin=payloads.plain([payloads.NODATA]))
    assert done.lines == ["action,packets,bytes,flows,start,end"]
    assert path.read_text() == "" and "keys=0 written=0" in done.err


# ---- nfdump --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """The same flows one by one, and as sums of the 5-tuple: two nfcapd."""
    rng = random.Random(3)
    lines = [payloads.record(
        srcaddr=f"10.0.0.{rng.randrange(6)}", dstaddr=f"172.31.0.{rng.randrange(6)}",
        srcport=rng.randrange(1024, 1028), dstport=rng.choice((22, 443)),
        protocol=rng.choice((6, 17)), packets=rng.randrange(1, 100),
        bytes=rng.randrange(40, 10**6), start=(start := 1600000000 + rng.randrange(1000)),
        end=start + rng.randrange(60)) for _ in range(3000)]
    folder = tmp_path_factory.mktemp("collected")
    found = []
    for name, options in ("flows", []), ("sums", ["--aggregate", "5-tuple"]):
        with collectors.Nfcapd(folder / name) as nfcapd:
            harness.read(*options, "-o", f"ipfix:udp://127.0.0.1:{nfcapd.port}",
                         "--udp-rate", "50000", stdin=payloads.plain(lines))
            nfcapd.stop()
            found.append(nfcapd)
    return lines, *found


def nfdump(nfcapd, *options):
    [path] = nfcapd.files()
    return subprocess.run(["nfdump", "-q", "-N", "-r", path, *options], capture_output=True,
                          text=True, timeout=60, check=True, env=dict(os.environ, TZ="UTC")).stdout


NFDUMP_KEYS = [("srcip", ["srcaddr"], "%sa"), ("srcip,dstip", ["srcaddr", "dstaddr"], "%sa|%da"),
               ("dstip,dstport,proto", ["dstaddr", "dstport", "protocol"], "%da|%dp|%pr"),
               ("srcip,dstip,srcport,dstport,proto", FIVE_TUPLE, "%sa|%da|%sp|%dp|%pr")]


@pytest.mark.parametrize("theirs, ours, columns", NFDUMP_KEYS, ids=[n[0] for n in NFDUMP_KEYS])
def test_nfdump_sums_the_same(collected, theirs, ours, columns):
    lines, singles, _ = collected
    text = nfdump(singles, "-A", theirs, "-o", f"fmt:{columns}|%pkt|%byt|%fl|%ts|%te")
    found = []
    for line in text.splitlines():
        *cells, start, end = (cell.strip() for cell in line.split("|"))
        found.append((*cells, *(elements.milliseconds(str(
            elements._value("xMilliseconds", t))) // 1000 for t in (start, end))))
    done = harness.read(*aggregate(ours), stdin=payloads.plain(lines))
    mine = [tuple(line.split(",")) for line in done.lines[1:]]
    mine = [(*row[:-2], int(row[-2]), int(row[-1])) for row in mine]
    assert sorted(found) == sorted(mine) and len(mine) >= 6


@pytest.mark.parametrize("by", ORDERS)
def test_nfdump_has_the_same_at_the_top(collected, by):
    lines, singles, _ = collected
    text = nfdump(singles, "-s", f"srcip/{by}", "-n", "3", "-o", "csv")
    table = list(csv.DictReader(io.StringIO(text.strip())))
    # With a count of flows it names packets and octets in another way.
    found = [(row["val"], row.get("pkt") or row["ipkt"], row.get("byt") or row["ibyt"], row["fl"])
             for row in table]
    done = harness.read(*aggregate(["srcaddr"], "--top", 3, "--by", by),
                        stdin=payloads.plain(lines))
    assert [tuple(line.split(",")[:4]) for line in done.lines[1:]] == found
    assert len(found) == 3


def test_nfcapd_takes_sums_for_as_many_flows(collected):
    lines, singles, sums = collected
    as_table = "fmt:%sa|%da|%sp|%dp|%pr|%pkt|%byt|%fl|%ts|%te"
    of_sums = sorted(nfdump(sums, "-o", as_table).splitlines())
    theirs = nfdump(singles, "-A", "srcip,dstip,srcport,dstport,proto", "-o", as_table)
    assert of_sums == sorted(theirs.splitlines()) and len(of_sums) < len(lines)
    assert sums.totals()[1:] == singles.totals()[1:]
    assert sums.exporters() == [(1, 0, len(of_sums))]


# ---- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_more_than_memory_allows_writes_nothing(tmp_path, workers):
    path = tmp_path / "csv"
    lines = [payloads.record() for _ in range(50000)]
    parts = [tmp_path / f"{n}" for n in range(4)]
    for n, part in enumerate(parts):
        part.write_bytes(payloads.plain(lines[n::4]))
    how = aggregate(FIVE_TUPLE, "-w", workers, "-o", f"csv:{path}", "--aggregate-memory")
    done = harness.read(*how, "4M", files=parts, status=1)
    errors = [line for line in done.err.split("\n") if line.startswith("ERROR")]
    assert len(errors) <= workers and all("--aggregate-memory 4194304" in e for e in errors)
    assert int(re.search(r"sums=(\d+)", errors[0])[1]) > 10000
    assert path.read_text() == ""
    assert "done keys=50000" in harness.read(*how, "64M", files=parts).err
    assert path.read_text().count("\n") == 50001


def peak_of(flows, keys, path):
    """MiB, when all is summed and nobody has read what comes of it."""
    path.write_bytes(b"".join(
        b"2 1 eni-1 10.%d.%d.%d 10.0.0.1 1 2 6 1 1 1 1 ACCEPT OK\n" % (
            n % keys >> 16 & 255, n % keys >> 8 & 255, n % keys & 255) for n in range(flows)))
    with subprocess.Popen([harness.RELEASE, "-q", "--aggregate", "5-tuple", "--read", path],
                          stdout=subprocess.PIPE, bufsize=0) as process:
        octets = process.stdout.read(1)
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) / 1024
        while more := process.stdout.read(harness.MIB):
            octets += more
    assert process.returncode == 0 and octets.count(b"\n") == keys + 1
    return peak


@pytest.mark.skipif(not harness.RELEASE, reason="set VPCFLOWD_RELEASE to a build without sanitizers")
def test_memory_is_that_of_the_keys(tmp_path):
    """A hundred octets each, as is written, and not of the flows."""
    few = peak_of(200_000, 1000, tmp_path / "few")
    assert peak_of(400_000, 200_000, tmp_path / "many") - few < 200_000 * 110 / harness.MIB


# ---- mistakes, and what goes wrong ---------------------------------------------------------------


@pytest.mark.parametrize("options, says", [
    (["--aggregate", "srcadr", "--read", "-"], 'no field of AWS\'s: "srcadr"'),
    (["--aggregate", "srcaddr,bytes", "--read", "-"], 'summed, and no key: "bytes"'),
    (["--aggregate", "flows", "--read", "-"], 'no field of AWS\'s: "flows"'),
    (["--aggregate", "", "--read", "-"], "no field in it"),
    (["--aggregate", "srcaddr srcaddr", "--read", "-"], "twice"),
    (["--aggregate", "tgw", "--read", "-"], "no field of AWS's"),
    (["--aggregate", "srcaddr"], "is for --read"),
    (["--aggregate", "srcaddr", "-l", "127.0.0.1:0"], "never comes to an end"),
    (["--top", "3", "--read", "-"], "without --aggregate"),
    (["--by", "flows", "--read", "-"], "without --aggregate"),
    (["--aggregate", "srcaddr", "--top", "0", "--read", "-"], "--top 0"),
    (["--aggregate", "srcaddr", "--top", "-1", "--read", "-"], "--top -1"),
    (["--aggregate", "srcaddr", "--by", "octets", "--read", "-"], "neither bytes nor packets"),
    (["--aggregate", "srcaddr", "-o", "ftsq", "--read", "-"], "add srcaddr and dstaddr"),
    (["--aggregate", "srcaddr", "-o", "csv", "-o", "ipfix:f", "--read", "-"], "--output ipfix:f"),
    (["--aggregate", "dstaddr", "-o", "ipfix-csv", "--read", "-"], "--output ipfix-csv"),
    (["--aggregate", "srcaddr", "--fields", "dstaddr", "--read", "-"], "--fields dstaddr"),
    (["--aggregate", "srcaddr", "--aggregate-memory", "1M", "--read", "-"], "--aggregate-memory 1M"),
])
def test_mistakes_exit_with_2(tmp_path, options, says):
    result = harness.run(*options, status=2, cwd=tmp_path)
    assert result.err.startswith("ERROR config: ") and says in result.err, result.err
    assert result.err.count("\n") == 1 and result.out == "" and not os.listdir(tmp_path)


def test_they_are_for_the_command_line(tmp_path):
    path = tmp_path / "config"
    for key, value in ("aggregate", "srcaddr"), ("top", 3), ("by", "flows"):
        path.write_text(json.dumps({key: value}))
        assert f'"{key}"' in harness.run("-c", path, "--read", "-", status=2).err


def test_check_config_says_what_would_be_summed():
    said = harness.run(*aggregate(["vpc_id", "srcaddr"], "--top", "5", "--by", "flows",
                                  "--check-config", "--read", "x")).lines
    assert {"aggregate vpc_id,srcaddr,packets,bytes,flows,start,end", "by flows", "top 5",
            "output csv -"} <= set(said)
    assert not any(line.startswith("aggregate ") for line in harness.run("--check-config").lines)


def test_a_column_that_only_sums_have_is_told():
    assert "only --aggregate" in harness.read("-o", "csv", "--fields", "srcaddr,flows").err
    # AWS may call a field so: it is text, and no sum.
    done = harness.read("-o", "csv", stdin=b"srcaddr flows\n10.0.0.1 x\n")
    assert done.lines == ["srcaddr,flows", "10.0.0.1,x"]


def test_what_is_rejected_is_told_and_the_rest_summed(tmp_path):
    lines = payloads.records(3, dstaddr="10.9.9.9")
    (tmp_path / "good").write_bytes(payloads.plain(lines + ["2 bad"]))
    done = harness.read(*aggregate(["dstaddr"]), files=["good", "missing"], cwd=tmp_path, status=1)
    assert done.lines[1].startswith("10.9.9.9,") and done.lines[1].split(",")[3] == "3"
    assert "rejected=1" in done.err and "missing" in done.err


def test_an_interrupted_read_writes_no_sums(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for workers in "1", "2":
        process = subprocess.Popen(
            [harness.BINARY, *aggregate(["srcaddr"], "-w", workers), "--read", fifo, "/dev/null"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.environment())
        with open(fifo, "wb", buffering=0) as end:
            end.write(payloads.plain(payloads.records(100)))
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        harness.check_log(err)
        assert process.returncode == 1 and out == b"" and b"sums are not written" in err


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reader_that_goes_or_a_full_disk_is_1(tmp_path, workers):
    """Also with more sums than fit into what is kept for an output."""
    path = tmp_path / "in"
    path.write_bytes(payloads.plain(payloads.records(3000)))
    how = aggregate(ALL_KEYS[:14], "-w", workers)
    with open("/dev/full", "wb") as full:
        done = harness.read(*how, files=[path, path], status=1, stdout=full)
    assert re.search("ERROR output: .*no space", done.err)
    reader = subprocess.Popen(["head", "-c", "100"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL)
    with reader.stdin:
        done = harness.read(*how, files=[path] * 2, stdout=reader.stdin, status=1)
    reader.wait(60)


def test_sums_that_are_too_large_are_told():
    lines = payloads.records(2, srcaddr="10.0.0.1", bytes=2**64 - 1, packets=1)
    done = harness.read(*aggregate(["srcaddr"]), stdin=payloads.plain(lines))
    assert done.lines[1].split(",")[1:4] == ["2", str(2**64 - 1), "2"]
    assert re.search("WARN sum: .*2\\^64.* sums=1", done.err)
