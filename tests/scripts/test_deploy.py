# SPDX-License-Identifier: Apache-2.0
"""scripts/deploy: what it makes, changes, leaves and removes."""
import io
import json
import os
import zipfile

import pytest

NAME = "vpcflowd-forwarder"
ROLE = f"{NAME}-eu-west-1"
QUEUE = f"{NAME}-failures"
QUEUE_ARN = f"arn:aws:sqs:eu-west-1:123456789012:{QUEUE}"
HOST = ("--host", "flows.example.net")

MAKES = ["sqs:CreateQueue", "iam:CreateRole", "iam:PutRolePolicy", "lambda:CreateFunction",
         "lambda:PutFunctionEventInvokeConfig"]
PEM = "-----BEGIN {0}-----\nAAAA{1}\n-----END {0}-----\n"


def state(cloud):
    """All that there is, to compare; not how often it was looked at."""
    functions = {n: {k: v for k, v in f.items() if k not in ("busy", "zip")} for n, f in cloud.functions.items()}
    return json.dumps([cloud.roles, cloud.queues, functions], sort_keys=True).replace(cloud.url, "URL")


def policy(cloud):
    return json.loads(cloud.roles[ROLE]["policies"]["vpcflowd"])


def test_from_nothing(script, cloud):
    result = script("deploy", *HOST)
    assert cloud.names() == [
        "sts:GetCallerIdentity", "lambda:GetFunctionConfiguration", "sqs:GetQueueUrl", "sqs:CreateQueue",
        "iam:GetRole", "iam:CreateRole", "iam:GetRolePolicy", "iam:PutRolePolicy",
        "lambda:CreateFunction", "lambda:GetFunction",
        "lambda:GetFunctionEventInvokeConfig", "lambda:PutFunctionEventInvokeConfig"]
    assert "next: scripts/subscribe GROUP" in result.last

    function = cloud.functions[NAME]
    assert function["Runtime"] == "nodejs24.x" and function["Architectures"] == ["arm64"]
    assert function["Handler"] == "index.handler" and function["Timeout"] == 60
    assert function["Role"] == f"arn:aws:iam::123456789012:role/{ROLE}"
    assert function["Environment"]["Variables"] == {
        "VPCFLOWD_HOST": "flows.example.net", "VPCFLOWD_PORT": "20555",
        "VPCFLOWD_FAILURE_QUEUE": cloud.queue_url(QUEUE)}
    assert function["invoke"]["MaximumRetryAttempts"] == 2
    assert function["invoke"]["DestinationConfig"]["OnFailure"] == {"Destination": QUEUE_ARN}
    assert cloud.queues[QUEUE]["attributes"] == {
        "MaximumMessageSize": "1048576", "MessageRetentionPeriod": "1209600", "SqsManagedSseEnabled": "true"}
    assert json.loads(cloud.roles[ROLE]["trust"])["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert {s["Sid"]: s["Resource"] for s in policy(cloud)["Statement"]} == {
        "WriteLog": [f"arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/{NAME}{tail}" for tail in ("", ":*")],
        "KeepFailures": [QUEUE_ARN]}

    there = {n for n in os.listdir(os.path.join(os.path.dirname(__file__), "..", "..", "lambda")) if n.endswith(".mjs")}
    with zipfile.ZipFile(io.BytesIO(function["zip"])) as code:
        assert set(code.namelist()) == there and "index.mjs" in there
        assert all(entry.external_attr >> 16 & 0o444 == 0o444 for entry in code.infolist())


def test_second_run_changes_nothing(script, cloud):
    everything = (*HOST, "--port", 4000, "--tls", "--token-parameter", "/vpcflowd/token",
                  "--subnets", "subnet-b,subnet-a", "--security-groups", "sg-1", "--timeout", 30, "--memory", 512,
                  "--s3", "flows/vpc", "--kinesis", "flows")
    script("deploy", *everything)
    before = state(cloud)
    cloud.forget()
    result = script("deploy", *everything)
    assert cloud.changes() == [] and state(cloud) == before
    assert "nothing to change" in result.last


def operation(command):
    """As in sqs:CreateQueue, of a printed command."""
    return command[1] + ":" + "".join(word.capitalize() for word in command[2].split("-"))


def test_dry_run_prints_what_would_run(script, cloud):
    dry = script("deploy", *HOST, "--dry-run")
    assert cloud.changes() == []
    assert "5 commands would change something; none was run" in dry.last
    script("deploy", *HOST)
    assert [operation(c) for c in dry.commands] == cloud.changes() == MAKES
    assert all(c[-2:] == ["--endpoint-url", cloud.url] for c in dry.commands)
    create = dry.commands[3]
    assert json.loads(create[create.index("--environment") + 1])["Variables"]["VPCFLOWD_HOST"] == "flows.example.net"
    again = script("deploy", *HOST, "--dry-run")
    assert again.commands == [] and "nothing to change" in again.last


CODE, SETTINGS, ROLE_MAY = "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "iam:PutRolePolicy"


@pytest.mark.parametrize("options, changes", [
    (["--port", "1"], [SETTINGS]),
    (["--tls"], [SETTINGS]),
    (["--timeout", "5"], [SETTINGS]),
    (["--token-parameter", "token"], [ROLE_MAY, SETTINGS]),
    (["--token-secret", "token", "--token-key", "arn:aws:kms:eu-west-1:1:key/k"], [ROLE_MAY, SETTINGS]),
    (["--subnets", "subnet-1", "--security-groups", "sg-1"], [ROLE_MAY, SETTINGS]),
    (["--role", "arn:aws:iam::123456789012:role/elsewhere"], [SETTINGS]),
    (["--tls", "--ca", "CA"], [CODE, SETTINGS]),
])
def test_updates_in_place_and_back(script, deployed, tmp_path, options, changes):
    if "CA" in options:
        ca = tmp_path / "ca.pem"
        ca.write_text(PEM.format("CERTIFICATE", "A"))
        options = [*options[:-1], ca]
    cloud = deployed
    before = state(cloud)
    cloud.forget()
    script("deploy", *HOST, *options)
    assert cloud.changes() == changes
    cloud.forget()
    script("deploy", *HOST)
    assert cloud.changes() == changes and state(cloud) == before


def test_repairs_what_was_changed_by_hand(script, deployed):
    cloud = deployed
    before = state(cloud)
    function = cloud.functions[NAME]
    function["Runtime"] = "nodejs18.x"
    function["invoke"]["MaximumRetryAttempts"] = 0
    cloud.roles[ROLE]["trust"] = cloud.roles[ROLE]["trust"].replace("lambda.", "ec2.")
    cloud.queues[QUEUE]["attributes"]["MaximumMessageSize"] = "262144"
    cloud.forget()
    script("deploy", *HOST)
    assert cloud.changes() == ["sqs:SetQueueAttributes", "iam:UpdateAssumeRolePolicy", SETTINGS, MAKES[-1]]
    assert state(cloud) == before


@pytest.mark.parametrize("at", MAKES)
def test_failure_in_the_middle_then_on(script, cloud, at):
    cloud.fail(at, "AccessDeniedException", "User: tester is not\nauthorized", status=403)
    result = script("deploy", *HOST, status=1)
    done = [name for name in MAKES if MAKES.index(name) < MAKES.index(at)]
    assert cloud.changes() == [*done, at]
    assert result.last.startswith("deploy: cannot ") and "AccessDeniedException: User: tester is not authorized" in result.last
    assert ("the same command goes on from there" in result.last) == bool(done)
    cloud.forget()
    script("deploy", *HOST)
    assert cloud.changes() == MAKES[MAKES.index(at):]


def test_failure_while_updating_then_on(script, deployed):
    cloud = deployed
    cloud.functions[NAME]["CodeSha256"] = "old"
    cloud.fail(SETTINGS, "ServiceException", "internal", status=400)
    cloud.forget()
    script("deploy", *HOST, "--tls", status=1)
    assert cloud.changes() == [CODE, SETTINGS]
    cloud.forget()
    script("deploy", *HOST, "--tls")
    assert cloud.changes() == [SETTINGS]


def test_waits_for_a_function_that_is_busy(script, deployed):
    cloud = deployed
    cloud.busy = 1
    function = cloud.functions[NAME]
    function.update(CodeSha256="old", LastUpdateStatus="InProgress", busy=1)
    cloud.forget()
    script("deploy", *HOST, "--tls")
    assert cloud.changes() == [CODE, SETTINGS]
    assert cloud.names().count("lambda:GetFunction") >= 4


def test_waits_until_lambda_knows_the_role(script, cloud):
    cloud.fail("lambda:CreateFunction", "InvalidParameterValueException",
               "The role defined for the function cannot be assumed by Lambda.", times=2)
    cloud.fail("lambda:PutFunctionEventInvokeConfig", "InvalidParameterValueException",
               "The function's execution role does not have permissions to call SendMessage on arn:…", times=1)
    result = script("deploy", *HOST)
    assert cloud.names().count("lambda:CreateFunction") == 3
    assert "AWS is not ready for it" in result.err


def test_gives_up_when_it_never_does(script, cloud):
    cloud.fail("lambda:CreateFunction", "InvalidParameterValueException",
               "The role defined for the function cannot be assumed by Lambda.", times=None)
    result = script("deploy", *HOST, status=1)
    assert cloud.names().count("lambda:CreateFunction") == 15
    assert "cannot create the function vpcflowd-forwarder: InvalidParameterValueException" in result.last


def test_conflict_with_another_run(script, cloud):
    cloud.fail("lambda:CreateFunction", "ResourceConflictException", "Function already exist", status=409)
    result = script("deploy", *HOST, status=1)
    assert "ResourceConflictException: Function already exist" in result.last
    script("deploy", *HOST)


@pytest.mark.parametrize("name, code, status", [
    ("iam:GetRole", "Throttling", 400), ("iam:CreateRole", "Throttling", 400),
    ("lambda:CreateFunction", "TooManyRequestsException", 429), ("sqs:CreateQueue", "RequestThrottled", 403)])
def test_throttling(script, cloud, name, code, status):
    cloud.fail(name, code, "Rate exceeded", status=status, times=1)
    script("deploy", *HOST)
    assert cloud.names().count(name) == 2


def test_another_function_of_that_name_is_left_alone(script, cloud):
    cloud.functions[NAME] = {"FunctionName": NAME, "busy": 0, "Environment": {"Variables": {"A": "b"}}}
    result = script("deploy", *HOST, status=1)
    assert "choose another --name" in result.last
    result = script("deploy", "--remove", status=1)
    assert cloud.changes() == []


def test_variables_of_others_stay(script, deployed):
    cloud = deployed
    variables = cloud.functions[NAME]["Environment"]["Variables"]
    variables.update(VPCFLOWD_TOKEN="s3cret", NODE_OPTIONS="--max-old-space-size=200")
    cloud.forget()
    result = script("deploy", *HOST)
    assert cloud.changes() == []
    result = script("deploy", *HOST, "--tls", "--dry-run")
    assert "s3cret" not in result.out + result.err and "NODE_OPTIONS" in result.out
    script("deploy", *HOST, "--tls")
    variables = cloud.functions[NAME]["Environment"]["Variables"]
    assert variables["VPCFLOWD_TOKEN"] == "s3cret" and "NODE_OPTIONS" in variables
    # Two tokens would be refused by the forwarder.
    script("deploy", *HOST, "--token-parameter", "token")
    variables = cloud.functions[NAME]["Environment"]["Variables"]
    assert "VPCFLOWD_TOKEN" not in variables and variables["VPCFLOWD_TOKEN_PARAMETER"] == "token"


def test_no_secret_on_a_command_line(script, cloud, spied, tmp_path):
    for name, kind in ("ca", "CERTIFICATE"), ("cert", "CERTIFICATE"), ("key", "PRIVATE KEY"):
        (tmp_path / name).write_text(PEM.format(kind, f"octets-of-{name}"))
    folder, arguments = spied
    tls = (*HOST, "--tls", "--ca", "ca", "--cert", "cert", "--key", "key")
    result = script("deploy", *tls, path=folder)
    dry = script("deploy", *tls, "--port", "1", "--dry-run", path=folder)
    said = result.out + result.err + dry.out + dry.err + arguments.read_text()
    assert "octets-of-key" not in said and "(hidden)" in dry.out
    variables = cloud.functions[NAME]["Environment"]["Variables"]
    assert variables["VPCFLOWD_KEY"] == (tmp_path / "key").read_text()
    with zipfile.ZipFile(io.BytesIO(cloud.functions[NAME]["zip"])) as code:
        for name in "ca", "cert":
            assert variables[f"VPCFLOWD_{name.upper()}"] == f"/var/task/{name}.pem"
            assert code.read(f"{name}.pem").decode() == (tmp_path / name).read_text()
        assert "key.pem" not in code.namelist()


@pytest.mark.parametrize("options, words", [
    ([], "--host is missing"),
    (["--host"], "--host needs a value"),
    ([*HOST, "--port", "0"], "--port: a number from 1 to 65535"),
    ([*HOST, "--port", "1x"], "--port: a number"),
    ([*HOST, "--timeout", "901"], "--timeout: a number from 1 to 900"),
    ([*HOST, "--memory", "64"], "--memory: a number from 128"),
    ([*HOST, "--token-parameter", "a", "--token-secret", "b"], "not both"),
    ([*HOST, "--token-key", "a"], "of which parameter"),
    ([*HOST, "--subnets", "a"], "--subnets needs --security-groups"),
    ([*HOST, "--security-groups", "a"], "--security-groups needs --subnets"),
    ([*HOST, "--s3", "s3://flows"], "--s3: BUCKET or BUCKET/PREFIX"),
    ([*HOST, "--kinesis", "arn:aws:kinesis:x:1:stream/a"], "--kinesis: the name of a stream"),
    ([*HOST, "--role", "arn:x", "--s3", "flows"], "not with --role"),
    ([*HOST, "--tls", "--cert", "/dev/null"], "--cert and --key go together"),
    ([*HOST, "--ca", "/dev/null"], "need --tls"),
    ([*HOST, "--frobnicate"], "unknown option: --frobnicate"),
    ([*HOST, "more"], "unknown option: more"),
    ([*HOST, "--name", "a/b"], "--name: letters"),
    ([*HOST, "--name", "a" * 50], "characters, or the role's name gets too long"),
])
def test_mistakes(script, cloud, options, words):
    # With a value missing at the end the test's own --endpoint-url would be it.
    if options == ["--host"]:
        options = ["--dry-run", "--host="]
        words = "--host is missing"
    result = script("deploy", *options, status=2)
    assert words in result.last and result.last.startswith("deploy: ") and cloud.changes() == []


def test_unreadable_file(script, cloud):
    result = script("deploy", *HOST, "--tls", "--ca", "nowhere.pem", status=1)
    assert "cannot read" in result.last and cloud.names() == []


def test_help_needs_nothing(script, cloud):
    for name in "deploy", "subscribe", "unsubscribe", "redrive", "formats":
        result = script(name, "--help")
        assert result.out.startswith(f"Usage: scripts/{name}") and "--dry-run" in result.out
        assert all(len(line) <= 105 for line in result.out.splitlines())
    assert cloud.names() == []


def test_version_1_of_the_cli_is_refused(script, cloud, tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "aws").write_text("#!/bin/sh\necho aws-cli/1.45.11 Python/3\n")
    (folder / "aws").chmod(0o755)
    result = script("deploy", *HOST, path=folder, status=1)
    assert result.last == "deploy: needs AWS CLI version 2; 'aws' here is aws-cli/1.45.11"


def test_no_region_and_no_credentials(script, cloud):
    result = script("deploy", *HOST, env={"AWS_REGION": None}, status=1)
    assert "no region" in result.last
    result = script("deploy", *HOST, env={"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, status=1)
    assert "cannot tell whose account this is: Unable to locate credentials" in result.last
    cloud.fail("sts:GetCallerIdentity", "ExpiredToken", "The security token included in the request is expired", 403)
    result = script("deploy", *HOST, status=1)
    assert "ExpiredToken: The security token included in the request is expired" in result.last


def test_region_and_profile_are_respected(script, cloud, tmp_path):
    folder = tmp_path / "home" / ".aws"
    folder.mkdir()
    (folder / "config").write_text("[profile other]\nregion = ap-southeast-2\noutput = text\n")
    (folder / "credentials").write_text("[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = x\n")
    nobody = {"AWS_REGION": None, "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    script("deploy", *HOST, "--profile", "other", env=nobody)
    assert {call.region for call in cloud.calls if not call.name.startswith("iam")} == {"ap-southeast-2"}
    assert list(cloud.roles) == [f"{NAME}-ap-southeast-2"]
    cloud.forget()
    script("deploy", *HOST, "--region=eu-north-1", "--dry-run")
    assert {call.region for call in cloud.calls if not call.name.startswith("iam")} == {"eu-north-1"}


def test_zip_alone(script, cloud, tmp_path):
    script("deploy", "--zip", "forwarder.zip")
    assert cloud.names() == []
    with zipfile.ZipFile(tmp_path / "forwarder.zip") as code:
        assert "index.mjs" in code.namelist()
    first = (tmp_path / "forwarder.zip").read_bytes()
    script("deploy", "--zip", "forwarder.zip")
    assert (tmp_path / "forwarder.zip").read_bytes() == first


@pytest.mark.parametrize("option, place", [("--token-parameter", "parameters"), ("--token-secret", "secrets")])
def test_a_token_that_is_not_there(script, cloud, option, place):
    tokens = getattr(cloud, place)
    tokens.clear()
    result = script("deploy", *HOST, option, "token", status=1)
    assert result.last.startswith(f"deploy: there is no {option[8:]} token in eu-west-1; make it first: aws ")
    assert cloud.changes() == []
    # What is going to be made may be planned with.
    dry = script("deploy", *HOST, option, "token", "--dry-run")
    assert len(dry.commands) == len(MAKES)


@pytest.mark.parametrize("option, call", [("--token-parameter", "ssm:DescribeParameters"),
                                          ("--token-secret", "secretsmanager:DescribeSecret")])
def test_a_token_that_may_not_be_looked_up(script, cloud, option, call):
    cloud.fail(call, "AccessDeniedException", "not authorized")
    cloud.fail("sqs:CreateQueue", "AccessDenied", "so far", status=403)
    result = script("deploy", *HOST, option, "token", status=1)
    assert f"cannot look up the {option[8:]} token: AccessDeniedException" in result.err
    assert "cannot create the queue" in result.last


def test_rights_to_read(script, cloud):
    script("deploy", *HOST, "--s3", "flows/AWSLogs/", "--kinesis", "stream.1")
    may = {s["Sid"]: s["Resource"] for s in policy(cloud)["Statement"]}
    assert may["ReadObjects"] == ["arn:aws:s3:::flows/AWSLogs/*"] and may["ListObjects"] == ["arn:aws:s3:::flows"]
    assert may["ReadStream"] == ["arn:aws:kinesis:eu-west-1:123456789012:stream/stream.1"]
    script("deploy", *HOST, "--s3", "flows")
    may = {s["Sid"]: s["Resource"] for s in policy(cloud)["Statement"]}
    # Not those of a bucket whose name begins alike.
    assert may["ReadObjects"] == ["arn:aws:s3:::flows/*"] and "ReadStream" not in may


REMOVES = ["lambda:DeleteFunction", "sqs:DeleteQueue", "iam:DeleteRolePolicy", "iam:DeleteRole"]


@pytest.mark.parametrize("at", [None, *REMOVES])
def test_remove(script, deployed, at):
    cloud = deployed
    cloud.forget()
    if at:
        cloud.fail(at, "AccessDenied", "no", status=403)
        result = script("deploy", "--remove", status=1)
        assert result.last.startswith("deploy: cannot delete" if "Policy" not in at else "deploy: cannot take")
        cloud.forget()
    else:
        script("deploy", "--remove", "--dry-run")
        assert cloud.changes() == []
    script("deploy", "--remove")
    assert cloud.changes() == REMOVES[REMOVES.index(at) if at else 0:]
    assert not cloud.functions and not cloud.queues and not cloud.roles
    if not at:
        assert "nothing to change" in script("deploy", "--remove").last


def test_remove_keeps_what_is_needed(script, deployed):
    cloud = deployed
    cloud.groups["/vpc/a"] = {"attributes": {}, "filters": {}}
    script("subscribe", "/vpc/a")
    result = script("deploy", "--remove", status=1)
    assert result.last == "deploy: still subscribed: /vpc/a; run scripts/unsubscribe for each first"
    script("unsubscribe", "/vpc/a")
    cloud.send(QUEUE, "{}")
    result = script("deploy", "--remove", status=1)
    assert "has 1 events; run scripts/redrive first" in result.last
    assert cloud.functions
    script("deploy", "--remove", "--discard-failed")
    assert not cloud.functions and not cloud.queues


def test_remove_waits_for_what_lambda_tries_again(script, deployed):
    cloud = deployed
    cloud.ages = [1200.0, 185000.0]
    result = script("deploy", "--remove", status=1)
    assert "Lambda tries events again that are up to 185 s old" in result.last and "--discard-failed" in result.last
    cloud.fail("monitoring:GetMetricStatistics", "Throttling", "Rate exceeded")
    script("deploy", "--remove", "--dry-run", status=1)
    assert cloud.functions and cloud.changes() == []
    cloud.ages = [1200.0]
    result = script("deploy", "--remove", "--dry-run")
    assert "within 15 minutes Lambda tried no event again" in result.err
    cloud.fail("monitoring:GetMetricStatistics", "AccessDenied", "no", status=403)
    result = script("deploy", "--remove")
    assert "events that Lambda still tries, for up to 6 hours, go with the function" in result.err
    assert not cloud.functions


def test_remove_keeps_what_reads_a_stream(script, deployed):
    cloud = deployed
    cloud.mappings = [{"UUID": "u-1", "EventSourceArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/flows"}]
    result = script("deploy", "--remove", "--discard-failed", status=1)
    assert "still reads arn:aws:kinesis:eu-west-1:123456789012:stream/flows (u-1); run aws lambda delete-event-source" in result.last
    assert cloud.functions
    cloud.mappings = []
    cloud.ages = [185000.0]
    script("deploy", "--remove", "--discard-failed")
    assert not cloud.functions
