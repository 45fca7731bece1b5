# SPDX-License-Identifier: Apache-2.0
"""scripts/formats: from describe-flow-logs to a configuration that vpcflowd takes."""
import json
import subprocess

import harness
import payloads

SHORT = "${dstaddr} ${srcaddr} ${account-id}"


def test_sources_of_all_pages(script, cloud):
    cloud.page = 2
    cloud.add_flow_log("vpc-1", "/vpc/prod", SHORT)
    cloud.add_flow_log("vpc-2", "/vpc/prod", SHORT)
    cloud.add_flow_log("vpc-3", "/vpc/dev")
    cloud.add_flow_log("vpc-4", None, "${version}", logDestinationType="s3", logDestination="arn:aws:s3:::b")
    cloud.add_flow_log("vpc-5", "/vpc/last", "${version} ${vpc-id} ${srcaddr} ${dstaddr}")
    result = script("formats")
    assert cloud.changes() == [] and cloud.names().count("ec2:DescribeFlowLogs") == 3
    assert json.loads(result.out) == {"sources": [
        {"log-group": "/vpc/dev", "flow-format": cloud.DEFAULT},
        {"log-group": "/vpc/last", "flow-format": "${version} ${vpc-id} ${srcaddr} ${dstaddr}"},
        {"log-group": "/vpc/prod", "flow-format": SHORT}]}


def test_vpcflowd_reads_with_it(script, cloud, tmp_path):
    cloud.add_flow_log("vpc-1", "/vpc/prod", SHORT)
    script("formats", "--output", "vpcflowd.json")
    data = payloads.decoded(["10.0.0.2 10.0.0.1 123456789012"], group="/vpc/prod")
    lines = harness.read("-c", tmp_path / "vpcflowd.json", "-o", "csv", "--fields", "srcaddr,dstaddr", stdin=data).lines
    assert lines == ["srcaddr,dstaddr", "10.0.0.1,10.0.0.2"]


def test_output_is_written_once(script, cloud, tmp_path):
    cloud.add_flow_log("vpc-1", "/vpc/prod", SHORT)
    path = tmp_path / "vpcflowd.json"
    script("formats", "--output", path, "--dry-run")
    assert not path.exists()
    assert script("formats", "--output", path).last == f"==> wrote {path}"
    before = path.stat().st_ino
    assert script("formats", "--output", path).last == "==> nothing to change"
    assert path.stat().st_ino == before and list(tmp_path.glob("*.new")) == []


def test_into_a_configuration(script, cloud, tmp_path):
    cloud.add_flow_log("vpc-1", "/vpc/prod", SHORT)
    cloud.add_flow_log("vpc-2", "/vpc/dev", SHORT)
    path = tmp_path / "vpcflowd.json"
    path.write_text(json.dumps({"output": ["ftsq"], "sources": [
        {"log-group": "/vpc/prod", "flow-format": "${version}", "exporter": "10.0.0.1"},
        {"account": "123456789012", "exporter": "10.0.0.2"}]}))
    script("formats", "--config", path, "--output", path)
    wanted = {"output": ["ftsq"], "sources": [
        {"log-group": "/vpc/dev", "flow-format": SHORT},
        {"log-group": "/vpc/prod", "flow-format": SHORT, "exporter": "10.0.0.1"},
        {"account": "123456789012", "exporter": "10.0.0.2"}]}
    assert json.loads(path.read_text()) == wanted
    subprocess.run([harness.BINARY, "--check-config", "--config", path], check=True, capture_output=True)
    script("formats", "--config", path, "--output", path)
    assert json.loads(path.read_text()) == wanted


def test_groups_of_two_formats_are_left_out(script, cloud):
    cloud.add_flow_log("vpc-1", "/vpc/mixed", SHORT)
    cloud.add_flow_log("vpc-2", "/vpc/mixed")
    cloud.add_flow_log("vpc-3", "/vpc/good", SHORT)
    result = script("formats", status=1)
    assert [s["log-group"] for s in json.loads(result.out)["sources"]] == ["/vpc/good"]
    assert "left out /vpc/mixed: flow logs of different formats write to it" in result.err


def test_nothing_there(script):
    result = script("formats")
    assert json.loads(result.out) == {"sources": []} and "0 log groups" in result.err


def test_what_vpcflowd_does_not_take_is_not_written(script, cloud, tmp_path):
    cloud.add_flow_log("vpc-1", "/vpc/bad", "no fields at all $")
    result = script("formats", "--output", "out.json", status=1)
    assert "vpcflowd does not accept this" in result.last and not (tmp_path / "out.json").exists()
    (tmp_path / "bad.json").write_text("[]")
    result = script("formats", "--config", "bad.json", status=1)
    assert result.last.endswith("is no configuration file of vpcflowd")


def test_denied(script, cloud):
    cloud.fail("ec2:DescribeFlowLogs", "UnauthorizedOperation", "You are not authorized to perform this operation.", 403)
    result = script("formats", status=1)
    assert result.out == ""
    assert result.last == ("formats: cannot look up the flow logs: UnauthorizedOperation: "
                           "You are not authorized to perform this operation.")
