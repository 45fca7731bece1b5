# SPDX-License-Identifier: Apache-2.0
"""scripts/subscribe and scripts/unsubscribe."""
import json

import pytest

from conftest import once

NAME = "vpcflowd-forwarder"
FUNCTION_ARN = f"arn:aws:lambda:eu-west-1:123456789012:function:{NAME}"
FLOW_LOG_ROLE = f"{NAME}-flow-logs-eu-west-1"
REJECTS = '[..., action="REJECT", log_status]'

SUBSCRIBES = ["lambda:AddPermission", "logs:PutSubscriptionFilter"]
MAKES = ["logs:CreateLogGroup", "logs:PutRetentionPolicy", "iam:CreateRole", "iam:PutRolePolicy",
         "ec2:CreateFlowLogs", *SUBSCRIBES]
FLOW_LOG = ("--create-flow-log", "vpc-0a1b", "--retention", "7")
TAKES_BACK = ["ec2:DeleteFlowLogs", "iam:DeleteRolePolicy", "iam:DeleteRole", "logs:DeleteSubscriptionFilter",
              "lambda:RemovePermission"]


@pytest.fixture
def ready(deployed):
    """The forwarder and a log group."""
    deployed.groups["/vpc/a"] = {"attributes": {}, "filters": {}}
    return deployed


def test_permission_first_then_the_filter(script, ready):
    result = script("subscribe", "/vpc/a", "--filter", REJECTS)
    assert ready.names() == [
        "sts:GetCallerIdentity", "lambda:GetFunctionConfiguration", "logs:DescribeLogGroups",
        "lambda:GetPolicy", "lambda:AddPermission",
        "logs:DescribeSubscriptionFilters", "logs:PutSubscriptionFilter"]
    assert result.last == f"==> /vpc/a goes to {NAME}"
    statement, = ready.functions[NAME]["policy"]
    assert statement["Principal"] == {"Service": "logs.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"AWS:SourceAccount": "123456789012"},
        "ArnLike": {"AWS:SourceArn": "arn:aws:logs:eu-west-1:123456789012:log-group:/vpc/a:*"}}
    assert ready.groups["/vpc/a"]["filters"] == {NAME: {
        "logGroupName": "/vpc/a", "filterName": NAME, "filterPattern": REJECTS, "destinationArn": FUNCTION_ARN}}


@pytest.mark.parametrize("options", [[], ["--filter", REJECTS], ["--filter", "-NODATA"], ["--filter-name", "mine"], FLOW_LOG])
def test_second_run_changes_nothing(script, ready, options):
    group = "/vpc/new" if options == FLOW_LOG else "/vpc/a"
    script("subscribe", group, *options)
    ready.forget()
    result = script("subscribe", group, *options)
    assert ready.changes() == [] and "nothing to change" in result.last


def test_a_new_pattern_changes_the_filter_alone(script, ready):
    script("subscribe", "/vpc/a")
    assert ready.groups["/vpc/a"]["filters"][NAME]["filterPattern"] == ""
    ready.forget()
    script("subscribe", "/vpc/a", f"--filter={REJECTS}")
    assert ready.changes() == ["logs:PutSubscriptionFilter"]
    assert ready.groups["/vpc/a"]["filters"][NAME]["filterPattern"] == REJECTS


def test_dry_run(script, ready):
    dry = script("subscribe", "/vpc/new", *FLOW_LOG, "--filter", REJECTS, "--log-format", "${version} ${srcaddr}", "--dry-run")
    assert ready.changes() == []
    assert [c[1] + ":" + "".join(w.capitalize() for w in c[2].split("-")) for c in dry.commands] == MAKES
    assert f"--filter-pattern={REJECTS}" in dry.commands[-1]
    assert "${version} ${srcaddr}" in dry.commands[4]


def test_several_groups_have_a_statement_each(script, ready):
    ready.groups["/vpc/a.b#c_d"] = {"attributes": {}, "filters": {}}
    script("subscribe", "/vpc/a")
    script("subscribe", "/vpc/a.b#c_d")
    assert len(ready.functions[NAME]["policy"]) == 2
    script("unsubscribe", "/vpc/a")
    assert [s["Condition"]["ArnLike"]["AWS:SourceArn"].split(":")[6] for s in ready.functions[NAME]["policy"]] == ["/vpc/a.b#c_d"]


def test_a_permission_that_is_not_as_it_should_be(script, ready):
    script("subscribe", "/vpc/a")
    ready.functions[NAME]["policy"][0]["Condition"]["StringEquals"]["AWS:SourceAccount"] = "1"
    ready.forget()
    script("subscribe", "/vpc/a")
    assert ready.changes() == ["lambda:RemovePermission", "lambda:AddPermission"]


def test_pages(script, ready):
    ready.page = 2
    for n in range(5):
        ready.groups[f"/vpc/a{n}"] = {"attributes": {}, "filters": {}}
    filters = ready.groups["/vpc/a4"]["filters"]
    for n in range(4):
        filters[f"other{n}"] = {"filterName": f"other{n}", "filterPattern": "", "destinationArn": "arn:x"}
        ready.add_flow_log("vpc-other", "/vpc/a4")
    script("subscribe", "/vpc/a4", "--create-flow-log", "vpc-1")
    assert ready.names().count("logs:DescribeSubscriptionFilters") == 2
    ready.forget()
    ready.page = 1
    result = script("subscribe", "/vpc/a4", "--create-flow-log", "vpc-1")
    assert ready.changes() == [] and ready.names().count("logs:DescribeSubscriptionFilters") == 5
    assert "nothing to change" in result.last


def test_too_many_filters(script, ready):
    ready.groups["/vpc/a"]["filters"] = {
        str(n): {"filterName": str(n), "filterPattern": "", "destinationArn": "arn:x"} for n in range(5)}
    # The CLI takes this for throttling.
    result = script("subscribe", "/vpc/a", status=1, env={"AWS_MAX_ATTEMPTS": "1"})
    assert "cannot set the subscription filter" in result.last and "LimitExceededException" in result.last


def test_a_filter_of_somebody_else_is_left_alone(script, ready):
    theirs = {"filterName": NAME, "filterPattern": "", "destinationArn": "arn:theirs"}
    ready.groups["/vpc/a"]["filters"][NAME] = dict(theirs)
    result = script("subscribe", "/vpc/a", status=1)
    assert "choose another --filter-name" in result.last
    script("unsubscribe", "/vpc/a")
    assert ready.groups["/vpc/a"]["filters"] == {NAME: theirs}


def test_waits_until_logs_knows_the_permission(script, ready):
    ready.fail("logs:PutSubscriptionFilter", "InvalidParameterException",
                  "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission", times=2)
    script("subscribe", "/vpc/a")
    assert ready.names().count("logs:PutSubscriptionFilter") == 3


@pytest.mark.parametrize("name, code, status", [
    ("logs:DescribeLogGroups", "ThrottlingException", 400), ("ec2:CreateFlowLogs", "RequestLimitExceeded", 503)])
def test_throttling(script, ready, name, code, status):
    ready.fail(name, code, "Rate exceeded", status=status)
    script("subscribe", "/vpc/new", *FLOW_LOG)
    assert ready.names().count(name) == 2


def test_with_a_flow_log(script, ready):
    result = script("subscribe", "/vpc/new", *FLOW_LOG, "--log-format", "${version} ${srcaddr}")
    assert ready.changes() == MAKES and "first flows come" in result.last
    assert ready.groups["/vpc/new"]["attributes"] == {"retentionInDays": 7}
    given = ready.given("ec2:CreateFlowLogs")
    given.pop("ClientToken", None)
    assert given == {
        "ResourceType": "VPC", "ResourceId.1": "vpc-0a1b", "LogDestinationType": "cloud-watch-logs",
        "LogGroupName": "/vpc/new", "DeliverLogsPermissionArn": f"arn:aws:iam::123456789012:role/{FLOW_LOG_ROLE}",
        "MaxAggregationInterval": "60", "TrafficType": "ALL", "LogFormat": "${version} ${srcaddr}"}
    trust = json.loads(ready.roles[FLOW_LOG_ROLE]["trust"])["Statement"][0]
    assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}


@pytest.mark.parametrize("resource, kind, more", [
    ("subnet-1", "Subnet", {"TrafficType": "REJECT", "MaxAggregationInterval": "600"}),
    ("eni-1", "NetworkInterface", {"TrafficType": "REJECT", "MaxAggregationInterval": "600"}),
    ("tgw-1", "TransitGateway", {"MaxAggregationInterval": "60"}),
    ("tgw-attach-1", "TransitGatewayAttachment", {"MaxAggregationInterval": "60"})])
def test_kinds_of_resources(script, ready, resource, kind, more):
    script("subscribe", "/vpc/a", "--create-flow-log", resource, "--traffic-type", "REJECT", "--aggregation", 600)
    given = ready.given("ec2:CreateFlowLogs")
    assert given["ResourceType"] == kind
    assert {k: v for k, v in given.items() if k in ("TrafficType", "MaxAggregationInterval")} == more


@pytest.mark.parametrize("at", MAKES)
def test_failure_in_the_middle_then_on(script, ready, at):
    code = "AccessDenied" if at.startswith("iam") else "UnauthorizedOperation" if at.startswith("ec2") else "AccessDeniedException"
    ready.fail(at, code, "assumed-role/x is not authorized", status=403)
    result = script("subscribe", "/vpc/new", *FLOW_LOG, status=1)
    assert ready.changes() == MAKES[:MAKES.index(at) + 1]
    assert result.last.startswith("subscribe: cannot ") and f"{code}: assumed-role/x is not authorized" in result.last
    ready.forget()
    script("subscribe", "/vpc/new", *FLOW_LOG)
    assert ready.changes() == MAKES[MAKES.index(at):]


def test_a_yes_that_means_no(script, ready, monkeypatch):
    """EC2 answers 200 and lists what it did not do."""
    kept = type(ready).ec2_CreateFlowLogs
    refusals = [("InvalidParameter", "Unable to assume given IAM role"), ("FlowLogAlreadyExists", "There is an existing one")]

    def refuse(self, given):
        if not refusals:
            return kept(self, given)
        code, message = refusals.pop(0)
        return {"flowLogIdSet": [], "unsuccessful": [{"error": {"code": code, "message": message}, "resourceId": "vpc-0a1b"}]}

    monkeypatch.setattr(type(ready), "ec2_CreateFlowLogs", refuse)
    result = script("subscribe", "/vpc/a", "--create-flow-log", "vpc-0a1b", status=1)
    # The first is taken for a role that is not known yet, and tried again.
    assert "cannot create the flow log of vpc-0a1b: FlowLogAlreadyExists: There is an existing one" in result.last
    assert ready.names().count("ec2:CreateFlowLogs") == 2
    script("subscribe", "/vpc/a", "--create-flow-log", "vpc-0a1b")


def test_flow_logs_cannot_be_changed(script, ready):
    script("subscribe", "/vpc/a", "--create-flow-log", "vpc-0a1b")
    result = script("subscribe", "/vpc/a", "--create-flow-log", "vpc-0a1b", "--log-format", "${srcaddr}", status=1)
    assert "already has the flow log fl-0001" in result.last and "--delete-flow-log vpc-0a1b" in result.last


def test_trouble_of_a_flow_log_is_told(script, ready):
    script("subscribe", "/vpc/a", "--create-flow-log", "vpc-0a1b")
    ready.flow_logs["fl-0001"]["deliverLogsErrorMessage"] = "Access error"
    result = script("subscribe", "/vpc/a", "--create-flow-log", "vpc-0a1b")
    assert "AWS says of it: Access error" in result.err


def test_what_is_missing(script, ready):
    result = script("subscribe", "/vpc/nowhere", status=1)
    assert result.last == "subscribe: there is no log group /vpc/nowhere in eu-west-1; --create-flow-log makes one"
    result = script("subscribe", "/vpc", status=1)  # a prefix of one that is there
    result = script("subscribe", "/vpc/a", "--name", "other", status=1)
    assert result.last == "subscribe: there is no function other in eu-west-1; run scripts/deploy first"
    assert ready.changes() == []


@pytest.mark.parametrize("options, words", [
    ([], "which log group?"),
    (["/vpc/a", "/vpc/b"], "one log group at a time"),
    (["/vpc/a b"], "not the name of a log group"),
    ([f"/aws/lambda/{NAME}"], "call itself for ever"),
    (["/vpc/a", "--create-flow-log", "i-1"], "an id that begins with vpc-"),
    (["/vpc/a", "--log-format", "${version}"], "go with --create-flow-log"),
    (["/vpc/a", "--create-flow-log", "vpc-1", "--log-format", "srcaddr"], "in single quotes"),
    (["/vpc/a", "--create-flow-log", "vpc-1", "--traffic-type", "all"], "ALL, ACCEPT or REJECT"),
    (["/vpc/a", "--create-flow-log", "vpc-1", "--aggregation", "61"], "60 or 600"),
    (["/vpc/a", "--create-flow-log", "vpc-1", "--retention", "week"], "a number of days"),
    (["/vpc/a", "--verbose"], "unknown option"),
])
def test_mistakes(script, ready, options, words):
    result = script("subscribe", *options, status=2)
    assert words in result.last and ready.changes() == []


# ---- and back ----

@pytest.mark.parametrize("at", [None, *TAKES_BACK])
def test_unsubscribe(script, ready, at):
    once("subscribed", ready, lambda: script("subscribe", "/vpc/new", *FLOW_LOG))
    back = ("/vpc/new", "--delete-flow-log", "vpc-0a1b")
    ready.forget()
    if at is None:
        dry = script("unsubscribe", *back, "--dry-run")
        assert len(dry.commands) == 5 and ready.changes() == []
    else:
        ready.fail(at, "AccessDenied", "no", status=403)
        result = script("unsubscribe", *back, status=1)
        assert result.last.startswith("unsubscribe: cannot ") and "AccessDenied: no" in result.last
        ready.forget()
    result = script("unsubscribe", *back)
    assert ready.changes() == TAKES_BACK[TAKES_BACK.index(at) if at else 0:]
    assert "aws logs delete-log-group --log-group-name /vpc/new" in result.last
    assert not ready.flow_logs and FLOW_LOG_ROLE not in ready.roles and not ready.functions[NAME]["policy"]
    assert ready.groups["/vpc/new"]["filters"] == {}
    if at is None:
        assert "nothing to change" in script("unsubscribe", *back).last


def test_the_role_stays_while_it_is_used(script, ready):
    script("subscribe", "/vpc/a", "--create-flow-log", "vpc-1")
    script("subscribe", "/vpc/b", "--create-flow-log", "vpc-2")
    result = script("unsubscribe", "/vpc/a", "--delete-flow-log", "vpc-1")
    assert FLOW_LOG_ROLE in ready.roles and "other flow logs use it" in result.err
    script("unsubscribe", "/vpc/b", "--delete-flow-log", "vpc-2")
    assert FLOW_LOG_ROLE not in ready.roles


def test_unsubscribe_where_all_is_gone(script, cloud):
    result = script("unsubscribe", "/vpc/gone")
    assert cloud.changes() == [] and "nothing to change" in result.last


def test_the_cli_as_it_is_installed(script, ready):
    """The other tests have the CLI loaded beforehand; it must make no difference."""
    script("subscribe", "/vpc/a", "--filter", REJECTS)
    names, filters = ready.names(), ready.groups["/vpc/a"]["filters"]
    once("deployed", ready, None)
    ready.groups["/vpc/a"] = {"attributes": {}, "filters": {}}
    ready.forget()
    script("subscribe", "/vpc/a", "--filter", REJECTS, path="/usr/bin")
    assert ready.names() == names and ready.groups["/vpc/a"]["filters"] == filters
