# SPDX-License-Identifier: Apache-2.0
"""The sources of a configuration file: which log group has which format and exporter."""
import json

import pytest

import harness
import payloads

SHORT = ["dstaddr", "srcaddr", "vpc-id", "account-id"]
SHORT_FORMAT = " ".join("${%s}" % n for n in SHORT)


def config(tmp_path, **members):
    path = tmp_path / "vpcflowd.json"
    path.write_text(json.dumps(members))
    return path


def short(vpc="vpc-1", account="111111111111"):
    return f"10.0.0.2 10.0.0.1 {vpc} {account}"


def test_log_group_glob_gives_format_and_exporter(tmp_path):
    path = config(tmp_path, sources=[
        {"log-group": "/vpc/prod*", "flow-format": SHORT_FORMAT, "exporter": "10.9.9.1"}])
    lines = [short(), short()]
    plain = payloads.records(2)
    data = payloads.decoded(lines, group="/vpc/prod-a") + payloads.decoded(plain, group="/vpc/dev")
    expected = payloads.ftsq_lines(lines, SHORT, "10.9.9.1") + payloads.ftsq_lines(plain)
    assert harness.read("-c", path, stdin=data).lines == expected


@pytest.mark.parametrize("pattern, group, matches", [
    ("*", "anything", True), ("/vpc/*", "/vpc/", True), ("/vpc/*", "/vp", False),
    ("*prod*", "/vpc/prod/1", True), ("*a*b", "xaxbxb", True), ("*a*b", "xaxbxc", False),
    ("/vpc", "/vpc/a", False), ("/vpc", "/VPC", False), ("/v?c", "/vpc", False),
])
def test_globs(tmp_path, pattern, group, matches):
    path = config(tmp_path, sources=[{"log-group": pattern, "exporter": "10.9.9.1"}])
    line = payloads.record()
    result = harness.read("-c", path, stdin=payloads.decoded([line], group=group))
    assert result.lines == payloads.ftsq_lines(
        [line], exporter="10.9.9.1" if matches else "127.0.0.1")


def test_account_of_message_and_record(tmp_path):
    path = config(tmp_path, sources=[{"account": "1111*", "exporter": "10.9.9.1"}])
    mine, other = payloads.record(account_id="111122223333"), payloads.record()
    result = harness.read("-c", path, stdin=payloads.plain([mine, other]))
    assert result.lines == payloads.ftsq_lines([mine], exporter="10.9.9.1") + \
        payloads.ftsq_lines([other])
    nobody = "10.0.0.2 10.0.0.1 - -"
    result = harness.read("-c", path, "-f", SHORT_FORMAT,
                          stdin=payloads.decoded([nobody], owner="111122223333"))
    assert result.lines == payloads.ftsq_lines([nobody], SHORT, "10.9.9.1")


def test_account_of_message_chooses_the_format(tmp_path):
    path = config(tmp_path, sources=[{"account": "222*", "flow-format": SHORT_FORMAT}])
    result = harness.read("-c", path, stdin=payloads.decoded([short()], owner="222233334444"))
    assert result.lines == payloads.ftsq_lines([short()], SHORT)


def test_vpc_and_interface_of_record(tmp_path):
    path = config(tmp_path, sources=[{"vpc": "vpc-a*", "exporter": "10.9.9.1"},
                                     {"interface": "eni-b*", "exporter": "10.9.9.2"}])
    a, b = short(vpc="vpc-abc"), short(vpc="vpc-xyz")
    result = harness.read("-c", path, "-f", SHORT_FORMAT, stdin=payloads.plain([a, b]))
    assert result.lines == payloads.ftsq_lines([a], SHORT, "10.9.9.1") + \
        payloads.ftsq_lines([b], SHORT)
    line = payloads.record(interface_id="eni-bcd")
    result = harness.read("-c", path, stdin=payloads.plain([line]))
    assert result.lines == payloads.ftsq_lines([line], exporter="10.9.9.2")


def test_first_match_wins(tmp_path):
    path = config(tmp_path, sources=[{"log-group": "/vpc/prod", "exporter": "10.9.9.1"},
                                     {"log-group": "/vpc/*", "exporter": "10.9.9.2"},
                                     {"log-group": "*", "exporter": "10.9.9.3"}])
    line = payloads.record()
    for group, exporter in ("/vpc/prod", "10.9.9.1"), ("/vpc/x", "10.9.9.2"), ("x", "10.9.9.3"):
        result = harness.read("-c", path, stdin=payloads.decoded([line], group=group))
        assert result.lines == payloads.ftsq_lines([line], exporter=exporter)


def test_escapes_in_the_log_group_are_undone_before_matching(tmp_path):
    path = config(tmp_path, sources=[{"log-group": "/vpc/prod", "exporter": "10.9.9.1"}])
    line = payloads.record()
    data = payloads.decoded([line], group="/vpc/prod").replace(b"/vpc/prod", b"\\/vpc\\/pr\\u006fd")
    assert harness.read("-c", path, stdin=data).lines == \
        payloads.ftsq_lines([line], exporter="10.9.9.1")


def test_columns_of_csv_are_those_of_all_sources(tmp_path, start):
    path = config(tmp_path, sources=[{"log-group": "s", "flow-format": SHORT_FORMAT}])
    with start("-c", path, "-o", "csv") as daemon:
        assert daemon.ask("a", payloads.decoded([short()], group="s")) == "ACK a 1"
        assert daemon.ask("b", payloads.decoded([payloads.record()])) == "ACK b 1"
        lines = daemon.terminate()
    names = lines[0].split(",")
    assert set(names) >= {n.replace("-", "_") for n in SHORT + payloads.DEFAULT}
    assert dict(zip(names, lines[1].split(",")))["vpc_id"] == "vpc-1"


def test_options_in_the_file_and_the_command_line_over_it(tmp_path):
    path = config(tmp_path, exporter="10.9.9.1", output=[f"csv:{tmp_path}/c", "ftsq"])
    line = payloads.record()
    result = harness.read("-c", path, stdin=payloads.plain([line]))
    assert result.lines == payloads.ftsq_lines([line], exporter="10.9.9.1")
    assert (tmp_path / "c").exists()
    result = harness.read("-c", path, "-x", "10.9.9.2", "-o", "ftsq", stdin=payloads.plain([line]))
    assert result.lines == payloads.ftsq_lines([line], exporter="10.9.9.2")
    assert len((tmp_path / "c").read_text().splitlines()) == 2
