# SPDX-License-Identifier: Apache-2.0
"""
lambda/template.yaml: CloudFormation would take it, and it makes what scripts/deploy and scripts/subscribe
make. The first against the resource types that CloudFormation publishes; the second by carrying
out the template's functions and comparing with what the scripts asked AWS for.
"""
import json
import os
import re
import subprocess

import pytest
import yaml

from conftest import HERE, ROOT

ACCOUNT, REGION, NAME = "123456789012", "eu-west-1", "vpcflowd-forwarder"
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT}
NOTHING = object()


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: !Sub x is {"Fn::Sub": x}."""

    @staticmethod
    def short(loader, tag, node):
        build = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence,
                 yaml.MappingNode: loader.construct_mapping}[type(node)]
        value = build(node) if isinstance(node, yaml.ScalarNode) else build(node, deep=True)
        if tag == "GetAtt":
            value = value.split(".", 1)
        return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


Loader.add_multi_constructor("!", Loader.short)

with open(os.path.join(ROOT, "lambda", "template.yaml"), encoding="utf-8") as _file:
    TEMPLATE = yaml.load(_file, Loader)
RESOURCES, PARAMETERS = TEMPLATE["Resources"], TEMPLATE["Parameters"]


@pytest.fixture(scope="module")
def types():
    assert os.path.isdir(os.path.join(HERE, "node_modules")), "run: npm ci --prefix tests/scripts"
    names = sorted({r["Type"] for r in RESOURCES.values()})
    done = subprocess.run(["node", "resource_types.mjs", *names], cwd=HERE, capture_output=True, check=True)
    return json.loads(done.stdout)


def walk(value, path=()):
    yield path, value
    if isinstance(value, dict):
        for key, each in value.items():
            yield from walk(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from walk(each, (*path, number))


class Stack:
    """The template's values for some parameters. Arns and names are those that AWS would give."""

    def __init__(self, **given):
        assert set(given) <= set(PARAMETERS), given
        self.values = {k: str(given.get(k, p.get("Default", ""))) for k, p in PARAMETERS.items()}
        self.conditions = {k: self.resolve(c) for k, c in TEMPLATE["Conditions"].items()}
        self.resources = {k: self.resolve(r["Properties"]) for k, r in RESOURCES.items()
                          if self.conditions.get(r.get("Condition"), True)}

    def ref(self, name):
        if name == "AWS::NoValue":
            return NOTHING
        if name in self.values:
            value = self.values[name]
            return value.split(",") if PARAMETERS[name]["Type"] == "CommaDelimitedList" else value
        if name in PSEUDO:
            return PSEUDO[name]
        properties = RESOURCES[name]["Properties"]
        names = {"AWS::Lambda::Function": "FunctionName", "AWS::Logs::LogGroup": "LogGroupName", "AWS::SQS::Queue": "QueueName"}
        found = self.resolve(properties[names[RESOURCES[name]["Type"]]])
        return f"https://queue/{ACCOUNT}/{found}" if RESOURCES[name]["Type"] == "AWS::SQS::Queue" else found

    def arn(self, name):
        kind, properties = RESOURCES[name]["Type"], RESOURCES[name]["Properties"]
        if kind == "AWS::IAM::Role":
            return f"arn:aws:iam::{ACCOUNT}:role/{self.resolve(properties['RoleName'])}"
        if kind == "AWS::SQS::Queue":
            return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.resolve(properties['QueueName'])}"
        assert kind == "AWS::Lambda::Function"
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.resolve(properties['FunctionName'])}"

    def resolve(self, value):
        if isinstance(value, list):
            return [each for each in map(self.resolve, value) if each is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, given), = value.items()
            if function == "Ref":
                return self.ref(given)
            if function == "Fn::GetAtt":
                assert given[1] == "Arn"
                return self.arn(given[0])
            if function == "Fn::If":
                condition, yes, no = given
                return self.resolve(yes if self.conditions[condition] else no)
            if function.startswith("Fn::"):
                return self.call(function[4:], self.resolve(given))
        return {k: r for k, r in ((k, self.resolve(v)) for k, v in value.items()) if r is not NOTHING}

    def call(self, function, given):
        match function:
            case "Sub":
                return re.sub(r"\$\{([^!}][^}]*)\}", lambda m: self.ref(m[1]), given)
            case "Equals":
                return str(given[0]) == str(given[1])
            case "Not":
                return not given[0]
            case "Or":
                return any(given)
            case "Join":
                return given[0].join(given[1])
            case "Split":
                return given[1].split(given[0])
            case "Select":
                return given[1][int(given[0])]
        raise AssertionError(f"unknown function {function}")


LEAST = {"CodeBucket": "b", "CodeKey": "forwarder.zip", "Host": "flows.example.net", "LogGroupName": "/vpc/a"}
ALL = {**LEAST, "Tls": "true", "Ca": "/var/task/ca.pem", "Cert": "/var/task/cert.pem", "Key": "KEY",
       "TokenParameter": "/vpcflowd/token", "TokenKey": "arn:aws:kms:x:1:key/k", "SubnetIds": "subnet-1,subnet-2",
       "S3Bucket": "flows", "S3Prefix": "vpc/", "KinesisStream": "stream",
       "SecurityGroupIds": "sg-1", "FlowLogResource": "vpc-1", "LogFormat": "${version}", "Retention": 7}
CASES = {"least": LEAST, "all": ALL, "secret": {**LEAST, "TokenSecret": "token", "S3Bucket": "flows"},
         "transit gateway": {**LEAST, "FlowLogResource": "tgw-1", "FlowLogResourceType": "TransitGateway"}}


# ---- CloudFormation would take it ----

def fits(value, kind, path):
    def fail(what):
        raise AssertionError(f"{'.'.join(map(str, path))}: {what}: {value!r}")

    match kind["type"]:
        case "record":
            members(value, kind["properties"], path)
        case "array":
            isinstance(value, list) or fail("not a list")
            for number, each in enumerate(value):
                fits(each, kind["element"], (*path, number))
        case "map":
            isinstance(value, dict) or fail("not a map")
            for key, each in value.items():
                fits(each, kind["element"], (*path, key))
        case "json":
            isinstance(value, (dict, list)) or fail("not JSON")
        case "string":
            isinstance(value, str) or fail("not a string")
        case "integer" | "number":
            re.fullmatch(r"-?\d+", str(value)) or fail("not a number")
        case "boolean":
            value in (True, False, "true", "false") or fail("not a boolean")
        case "union":
            for each in kind["types"]:
                try:
                    return fits(value, each, path)
                except AssertionError:
                    pass
            fail("none of several types")
        case other:
            fail(f"a type that this test does not know: {other}")


def members(value, properties, path):
    assert isinstance(value, dict), f"{path}: not an object"
    for name, each in value.items():
        assert name in properties, f"{'.'.join(map(str, path))} has no property {name}"
        fits(each, properties[name]["type"], (*path, name))
    for name, known in properties.items():
        assert not known["required"] or name in value, f"{'.'.join(map(str, path))} lacks {name}"


@pytest.mark.parametrize("case", CASES)
def test_every_property_exists_with_its_type(types, case):
    for name, properties in Stack(**CASES[case]).resources.items():
        kind = RESOURCES[name]["Type"]
        assert types[kind] is not None, f"there is no resource type {kind}"
        members(properties, types[kind]["properties"], (name,))


def test_references_resolve(types):
    known = {"Type", "Properties", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy"}
    used = set()
    for name, resource in RESOURCES.items():
        assert set(resource) <= known, name
        assert resource.get("Condition", "HasTls") in TEMPLATE["Conditions"]
        assert resource.get("DependsOn", name) in RESOURCES
    for path, value in walk(TEMPLATE):
        if not isinstance(value, dict) or len(value) != 1:
            continue
        (function, given), = value.items()
        if function == "Ref":
            assert given in PARAMETERS or given in RESOURCES or given in PSEUDO or given == "AWS::NoValue", path
            used.add(given)
        elif function == "Fn::GetAtt":
            assert given[1] in types[RESOURCES[given[0]]["Type"]]["attributes"], path
        elif function == "Fn::Sub":
            names = set(re.findall(r"\$\{([^!}][^}]*)\}", given))
            assert names <= set(PARAMETERS) | set(PSEUDO) | set(RESOURCES), path
            used |= names
        elif function == "Fn::If":
            assert given[0] in TEMPLATE["Conditions"] and len(given) == 3, path
    assert set(PARAMETERS) <= used, "parameters that nothing uses"
    # Nothing that always exists refers to what may not, unless the same condition guards it.
    conditional = {n for n, r in RESOURCES.items() if "Condition" in r}
    for name in set(RESOURCES) - conditional:
        for path, value in walk(RESOURCES[name]):
            if isinstance(value, dict) and (value.get("Ref") in conditional or value.get("Fn::GetAtt", [""])[0] in conditional):
                assert "Fn::If" in path, path


def test_parameters_are_well_formed():
    for name, parameter in PARAMETERS.items():
        assert parameter["Type"] in ("String", "Number", "CommaDelimitedList")
        assert "Default" not in parameter or str(parameter["Default"]) in map(str, parameter.get("AllowedValues", [parameter["Default"]]))
    assert PARAMETERS["Key"]["NoEcho"] is True


# ---- the same effect ----

def policy(role):
    inline, = role["Policies"]
    return inline["PolicyName"], inline["PolicyDocument"]


def same_role(cloud, made):
    role = cloud.roles[made["RoleName"]]
    assert json.loads(role["trust"]) == made["AssumeRolePolicyDocument"]
    name, document = policy(made)
    assert list(role["policies"]) == [name] and json.loads(role["policies"][name]) == document


@pytest.mark.parametrize("case, deploy, subscribe", [
    ("least", [], []),
    ("secret", ["--token-secret", "token", "--s3", "flows"], []),
    ("all", ["--tls", "--ca", "PEM", "--cert", "PEM", "--key", "PEM", "--token-parameter", "/vpcflowd/token",
             "--token-key", "arn:aws:kms:x:1:key/k", "--s3", "flows/vpc/", "--kinesis", "stream", "--subnets", "subnet-1,subnet-2", "--security-groups", "sg-1"],
     ["--create-flow-log", "vpc-1", "--log-format", "${version}", "--retention", "7"]),
    ("transit gateway", [], ["--create-flow-log", "tgw-1"]),
])
def test_same_as_the_scripts(script, cloud, tmp_path, case, deploy, subscribe):
    (tmp_path / "PEM").write_text("KEY")
    if not subscribe:
        cloud.groups["/vpc/a"] = {"attributes": {}, "filters": {}}
    script("deploy", "--host", "flows.example.net", *deploy)
    script("subscribe", "/vpc/a", *subscribe)
    stack = Stack(**CASES[case]).resources

    queue = dict(stack["FailureQueue"])
    assert queue.pop("QueueName") in cloud.queues
    attributes = cloud.queues[f"{NAME}-failures"]["attributes"]
    assert attributes == {k: json.dumps(v) for k, v in queue.items()}
    same_role(cloud, stack["Role"])

    function, made = dict(cloud.functions[NAME]), dict(stack["Function"])
    variables, wanted = function["Environment"]["Variables"], made.pop("Environment")["Variables"]
    assert variables.pop("VPCFLOWD_FAILURE_QUEUE").split("/")[-1] == wanted.pop("VPCFLOWD_FAILURE_QUEUE").split("/")[-1]
    assert variables == wanted
    attached = {k: v for k, v in function.pop("VpcConfig").items() if v and k != "VpcId"}
    assert attached == made.pop("VpcConfig", {})
    made.pop("Code")
    assert {k: str(function[k]) for k in made} == {k: str(v) for k, v in made.items()}

    config = dict(stack["InvokeConfig"])
    assert (config.pop("FunctionName"), config.pop("Qualifier")) == (NAME, "$LATEST")
    config["DestinationConfig"]["OnSuccess"] = {}
    assert {k: function["invoke"][k] for k in config} == config

    permission, = function["policy"]
    made = stack["Permission"]
    assert permission["Principal"]["Service"] == made["Principal"] and permission["Action"] == made["Action"]
    assert permission["Condition"] == {"StringEquals": {"AWS:SourceAccount": made["SourceAccount"]},
                                       "ArnLike": {"AWS:SourceArn": made["SourceArn"]}}
    subscription, = cloud.groups["/vpc/a"]["filters"].values()
    assert {k[0].upper() + k[1:]: v for k, v in subscription.items()} == stack["Subscription"]
    assert RESOURCES["Subscription"]["DependsOn"] == "Permission"

    assert len(cloud.roles) == sum(RESOURCES[n]["Type"] == "AWS::IAM::Role" for n in stack)
    if subscribe:
        same_role(cloud, stack["FlowLogRole"])
        group = dict(stack["FlowLogGroup"])
        assert group.pop("LogGroupName") == "/vpc/a"
        assert {k[0].upper() + k[1:]: str(v) for k, v in cloud.groups["/vpc/a"]["attributes"].items()} == group
        given = {k: v for k, v in cloud.given("ec2:CreateFlowLogs").items() if k != "ClientToken"}
        given["ResourceId"] = given.pop("ResourceId.1")
        assert given == {k: str(v) for k, v in stack["FlowLog"].items()}
