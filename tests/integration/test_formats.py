# SPDX-License-Identifier: Apache-2.0
"""What the outputs look like to the tools that read them, and how records find their columns."""
import csv
import io
import json

import pytest

import harness
import payloads

PARSES = {"srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "version",
          "tcp-flags", "traffic-path"}


def csv_rows(text):
    return list(csv.DictReader(io.StringIO(text), strict=True))


def column(name):
    return name.replace("-", "_")


def expected_csv(line, fields=None, columns=None):
    values = payloads.values_of(line, fields)
    return {column(n): values.get(n, "") for n in columns or fields or payloads.DEFAULT}


def expected_json(line, fields=None, columns=None):
    values = payloads.values_of(line, fields)
    return {column(n): int(values[n]) if n in PARSES else values[n]
            for n in columns or fields or payloads.DEFAULT if n in values}


LINES = payloads.records(4) + [payloads.record(srcaddr="2001:db8::1", dstaddr="2001:db8::2"),
                               payloads.record(srcaddr="-", srcport="-", packets="-"),
                               payloads.record(bytes=2**64 - 1)]


def test_csv_has_the_header_and_every_record():
    result = harness.read("-o", "csv", stdin=payloads.plain(LINES))
    assert result.lines[0] == ",".join(column(n) for n in payloads.DEFAULT)
    assert csv_rows(result.out) == [expected_csv(line) for line in LINES]


def test_json_lines_have_numbers_and_leave_out_what_is_missing():
    result = harness.read("-o", "json", stdin=payloads.plain(LINES))
    assert [json.loads(line) for line in result.lines] == [expected_json(line) for line in LINES]


def test_csv_header_of_a_server_comes_before_the_first_flow(start):
    with start("-o", "csv") as daemon:
        daemon.wait_lines(1)
        assert daemon.terminate() == [",".join(column(n) for n in payloads.DEFAULT)]


@pytest.mark.parametrize("fields", ["srcaddr,dstaddr,bytes", "bytes start srcaddr", "log-status"])
def test_fields_choose_the_columns(fields):
    chosen = fields.replace(",", " ").split()
    data = payloads.plain(LINES)
    rows = csv_rows(harness.read("-o", "csv", "--fields", fields, stdin=data).out)
    assert rows == [expected_csv(line, columns=chosen) for line in LINES]
    objects = harness.read("-o", "json", "--fields", fields, stdin=data).lines
    assert [json.loads(o) for o in objects] == [expected_json(r, columns=chosen) for r in LINES]


def test_fields_that_the_records_lack_are_empty():
    result = harness.read("-o", "csv", "--fields", "vpc-id,srcport", stdin=payloads.plain(LINES))
    assert csv_rows(result.out) == [{"vpc_id": "", "srcport": expected_csv(line)["srcport"]}
                                    for line in LINES]


def test_ftsq_and_ipfix_skip_and_count_records_without_addresses(start, tmp_path):
    table = tmp_path / "table.csv"
    with start("-o", "ftsq", "-o", f"ipfix-csv:{tmp_path}/ipfix.csv", "-o",
               f"csv:{table}") as daemon:
        assert daemon.ask("a", payloads.decoded(LINES)) == f"ACK a {len(LINES)}"
        s = daemon.stats()
        assert (s["output0_no_address"], s["output1_no_address"]) == (1, 1)
        assert s["output2_no_address"] == 0
        assert daemon.terminate() == payloads.ftsq_lines(LINES)
    assert len(csv_rows(table.read_text())) == len(LINES)
    assert len((tmp_path / "ipfix.csv").read_text().splitlines()) == len(LINES)


def test_csv_quotes_what_needs_quotes():
    strange = 'a,"b",\'c;d'
    line = payloads.record(action=strange, interface_id='"')
    result = harness.read("-o", "csv", stdin=payloads.plain([line]))
    row = csv_rows(result.out)[0]
    assert (row["action"], row["interface_id"]) == (strange, '"')
    result = harness.read("-o", "json", stdin=payloads.plain([payloads.record(action='a"\\n')]))
    assert json.loads(result.out)["action"] == 'a"\\n'


@pytest.mark.parametrize("start_ms, seconds", [
    (1432826855, 1432826855), (1432826855123, 1432826855), (2147483647, 2147483647),
    (2147483648, 2147483),
])
def test_times_are_seconds(start_ms, seconds):
    data = payloads.plain([payloads.record(start=start_ms, end=start_ms)])
    assert harness.read(stdin=data).out.split(",")[9:11] == [str(seconds)] * 2
    assert json.loads(harness.read("-o", "json", stdin=data).out)["end"] == seconds


def test_numbers_with_leading_zeros_stay_json():
    result = harness.read("-o", "json", stdin=payloads.plain([payloads.record(srcport="00080")]))
    assert json.loads(result.out)["srcport"] == 80


def test_ipfix_csv_is_csv_with_a_header():
    lines = payloads.records(3)
    rows = csv_rows(harness.read("-o", "ipfix-csv", stdin=payloads.plain(lines)).out)
    assert [r["sourceIPv4Address"] for r in rows] == [line.split()[3] for line in lines]
    assert [r["octetDeltaCount"] for r in rows] == [line.split()[9] for line in lines]
    assert all(None not in r for r in rows)


def test_appending_gives_no_second_header(tmp_path, start):
    for form in "csv", "ipfix-csv":
        path = tmp_path / form
        for _ in range(2):
            harness.read("-o", f"{form}:{path}", stdin=payloads.plain(payloads.records(2)))
        with start("-o", f"{form}:{path}") as daemon:
            assert daemon.ask("a", payloads.decoded(payloads.records(1))) == "ACK a 1"
        lines = path.read_text().splitlines()
        assert len(lines) == 1 + 5 and lines.count(lines[0]) == 1


# ---- formats of records ----------------------------------------------------------------------------


def in_format(fields, line):
    values = payloads.values_of(line)
    return " ".join(values.get(n, "-") for n in fields)


SHORT = ["dstaddr", "srcaddr", "bytes", "vpc-id"]
SHORTER = ["srcaddr", "dstaddr"]


def test_a_header_line_sets_the_format_of_its_gzip_member():
    rows = payloads.records(6)
    data = b"".join([
        payloads.zipped(payloads.with_header([in_format(SHORT, r) for r in rows[:2]], SHORT)),
        payloads.zipped(payloads.plain(rows[2:4])),
        payloads.zipped(payloads.with_header([in_format(SHORTER, r) for r in rows[4:]], SHORTER)),
    ])
    expected = payloads.ftsq_lines([in_format(SHORT, r) for r in rows[:2]], SHORT)
    expected += payloads.ftsq_lines(rows[2:4])
    expected += payloads.ftsq_lines([in_format(SHORTER, r) for r in rows[4:]], SHORTER)
    assert harness.read(stdin=data).lines == expected
    assert harness.read_in_pieces(data, 5) == expected


def test_several_header_lines_in_one_document():
    rows = payloads.records(4)
    short = [in_format(SHORT, r) for r in rows[:2]]
    data = payloads.with_header(short, SHORT) + payloads.with_header(rows[2:])
    expected = payloads.ftsq_lines(short, SHORT) + payloads.ftsq_lines(rows[2:])
    assert harness.read(stdin=data).lines == expected
    assert harness.read(stdin=payloads.zipped(data)).lines == expected


def test_a_header_line_lasts_until_the_next_json(served):
    rows = payloads.records(3)
    short = in_format(SHORT, rows[0])
    data = payloads.with_header([short], SHORT) + payloads.decoded([rows[1]])
    data += b"\n" + payloads.plain([rows[2]])
    served.push(data)
    assert served.terminate() == payloads.ftsq_lines([short], SHORT) + payloads.ftsq_lines(rows[1:])


def test_a_header_line_lasts_to_the_end_of_one_peer_only(served):
    rows = payloads.records(2)
    short = in_format(SHORT, rows[0])
    served.push(payloads.with_header([short], SHORT))
    served.push(payloads.plain([rows[1]]))
    assert served.terminate() == payloads.ftsq_lines([short], SHORT) + payloads.ftsq_lines(rows[1:])


def test_the_header_of_a_file_gives_the_columns_of_csv():
    rows = [in_format(SHORT, r) for r in payloads.records(2)]
    result = harness.read("-o", "csv", stdin=payloads.zipped(payloads.with_header(rows, SHORT)))
    assert csv_rows(result.out) == [expected_csv(r, SHORT) for r in rows]


def test_a_header_with_a_field_twice_costs_the_records_below_it():
    rows = payloads.records(2)
    data = payloads.with_header(rows, ["srcaddr", "srcaddr"])
    result = harness.read(stdin=data, status=1)
    assert result.lines == [] and result.summary["rejected"] == 2


def test_flow_format_option():
    rows = [in_format(SHORT, r) for r in payloads.records(3)]
    written = " ".join("${%s}" % n for n in SHORT)
    result = harness.read("-f", written, "-o", "csv", stdin=payloads.plain(rows))
    assert csv_rows(result.out) == [expected_csv(r, SHORT) for r in rows]


def test_transit_gateway_format():
    values = {n: "x-" + n for n in payloads.TGW}
    values.update({"version": "6", "srcaddr": "10.0.0.1", "dstaddr": "10.0.1.2", "srcport": "1",
                   "dstport": "22", "protocol": "6", "packets": "3", "bytes": "400",
                   "start": "1600000000", "end": "1600000060", "log-status": "OK",
                   "tcp-flags": "18", "type": "IPv4"})
    values.update({n: "0" for n in payloads.TGW if n.startswith("packets-lost")})
    line = " ".join(values[n] for n in payloads.TGW)
    data = payloads.decoded([line])
    assert harness.read("-f", "tgw", stdin=data).lines == payloads.ftsq_lines([line], payloads.TGW)
    row = csv_rows(harness.read("-f", "tgw", "-o", "csv", stdin=data).out)[0]
    assert row == expected_csv(line, payloads.TGW)


def test_unknown_fields_are_text_columns_and_warned_of():
    fields = ["srcaddr", "dstaddr", "brand-new"]
    data = payloads.plain(["10.0.0.1 10.0.0.2 a=b"])
    written = " ".join("${%s}" % n for n in fields)
    result = harness.read("-f", written, "-o", "json", stdin=data)
    assert json.loads(result.out)["brand_new"] == "a=b"
    assert "WARN" in result.err and "brand-new" in result.err
    result = harness.read("-o", "csv", stdin=payloads.plain([" ".join(fields)]) + data)
    assert csv_rows(result.out)[0]["brand_new"] == "a=b"
    assert "WARN" in result.err and "brand-new" in result.err


def test_unknown_values_are_data():
    line = payloads.record(action="POSTPONE", log_status="FINE", protocol=255)
    result = harness.read("-o", "csv", stdin=payloads.plain([line]))
    assert csv_rows(result.out) == [expected_csv(line)]


@pytest.mark.parametrize("numbers", [True, False])
def test_transformed_messages_give_the_same_columns(numbers):
    lines = payloads.records(3)
    data = payloads.decoded([payloads.transformed(line, numbers) for line in lines])
    result = harness.read("-f", "default", "-o", "csv", stdin=data)
    assert csv_rows(result.out) == [expected_csv(line) for line in lines]


def test_transformed_messages_may_be_nodata():
    message = json.dumps({"version": 2, "interfaceId": "eni-1", "logStatus": "NODATA"})
    result = harness.read(stdin=payloads.decoded([message]))
    assert result.lines == [] and result.summary["nodata"] == 1


def test_skipdata_is_reported_and_counted(served):
    assert served.ask("a", payloads.decoded([payloads.SKIPDATA, payloads.NODATA])) == "ACK a 0"
    s = served.stats()
    assert (s["skipdata"], s["nodata"], s["flows"]) == (1, 1, 0)
    assert len(served.log_lines("SKIPDATA")) == 1
    assert "vpc-flow-logs" in served.log_lines("SKIPDATA")[0]


def test_several_outputs_at_once(start, tmp_path):
    lines = payloads.records(200)
    with start("-o", "ftsq", "-o", f"csv:{tmp_path}/c", "-o", f"json:{tmp_path}/j", "-o",
               f"ipfix-csv:{tmp_path}/i") as daemon:
        daemon.push(payloads.lambda_event(lines[:100]))
        assert daemon.ask("a", payloads.zipped(payloads.decoded(lines[100:]))) == "ACK a 100"
        assert daemon.terminate() == payloads.ftsq_lines(lines)
    assert csv_rows((tmp_path / "c").read_text()) == [expected_csv(line) for line in lines]
    objects = (tmp_path / "j").read_text().splitlines()
    assert [json.loads(o) for o in objects] == [expected_json(line) for line in lines]
    assert len(csv_rows((tmp_path / "i").read_text())) == 200


def test_exporter_option():
    lines = payloads.records(2)
    for exporter in "192.0.2.7", "2001:db8::7":
        result = harness.read("-x", exporter, stdin=payloads.plain(lines))
        assert result.lines == payloads.ftsq_lines(lines, exporter=exporter)
