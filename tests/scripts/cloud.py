# SPDX-License-Identifier: Apache-2.0
"""
As much of AWS as the scripts use, on 127.0.0.1: it keeps what is made, answers in AWS's own forms,
refuses what AWS refuses, records every request, and fails when a test says so.

    with Cloud() as cloud:
        cloud.fail("iam:CreateRole", "AccessDenied", "not you", status=403)
        ... aws --endpoint-url cloud.url ...
        assert cloud.changes() == ["sqs:CreateQueue"]

One URL serves all services: which one is meant stands in the signature of a request.
"""
import base64
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from xml.sax.saxutils import escape

ACCOUNT = "123456789012"
REGION = "eu-west-1"
READS = re.compile(r":(Get|List|Describe)")


class Refusal(Exception):
    def __init__(self, code, message, status=400):
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


class Call:
    """One request: its name as in iam:CreateRole, and what it asked for."""

    def __init__(self, name, given, region=None):
        self.name, self.given, self.region = name, given, region

    def __repr__(self):
        return f"{self.name}({self.given})"


def xml(value, item="member"):
    """Python values as query services write them: keys are elements, lists are of `item`."""
    if isinstance(value, dict):
        return "".join(f"<{k}>{xml(v, item)}</{k}>" for k, v in value.items())
    if isinstance(value, list):
        return "".join(f"<{item}>{xml(v, item)}</{item}>" for v in value)
    return escape("true" if value is True else "false" if value is False else str(value))


def listed(form, prefix):
    """The list that prefix.1, prefix.2 … make in a form, of values or of {member: value}."""
    found = []
    for number in range(1, 1000):
        key = f"{prefix}.{number}"
        if key in form:
            found.append(form[key])
            continue
        members = {k[len(key) + 1:]: v for k, v in form.items() if k.startswith(key + ".")}
        if not members:
            return found
        found.append(members)
    return found


class Cloud:
    def __init__(self, page=50):
        self.page = page            # how many things a list answers with at once
        self.calls = []
        self.faults = []            # [name, code, message, status, how many times more]
        self.lock = threading.Lock()
        self.region = None
        self.roles, self.functions, self.queues = {}, {}, {}
        self.groups, self.flow_logs = {}, {}
        self.parameters, self.secrets = {"token", "/vpcflowd/token"}, {"token"}
        self.mappings = []          # event source mappings
        self.ages = []              # AsyncEventAge, milliseconds
        self.stuck = set()          # messages that cannot be deleted
        self.busy = 0               # for so many looks at it a changed function is not ready
        self.invoke = None          # what an invocation does: (function, event) -> (reply, error[, log])
        self.numbers = 0
        self.server = None

    # ---- what tests say and ask ----

    def __enter__(self):
        cloud = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                cloud.handle(self, self.rfile.read(size))

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01},
                         daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def fail(self, name, code, message="no", status=400, times=1):
        """The next requests of that name are refused; times=None for all of them."""
        self.faults.append([name, code, message, status, times])

    def heal(self):
        self.faults.clear()

    def names(self):
        return [call.name for call in self.calls]

    def changes(self):
        return [name for name in self.names() if not READS.search(name)]

    def given(self, name):
        """What the last call of that name asked for."""
        return [call.given for call in self.calls if call.name == name][-1]

    def forget(self):
        """Forgets the calls, not what they made."""
        self.calls.clear()

    # ---- requests ----

    def handle(self, request, body):
        with self.lock:
            scope = request.headers.get("Authorization", "").partition("Credential=")[2].split("/")
            service = scope[3] if len(scope) > 3 else "unsigned"
            self.region = scope[2] if len(scope) > 3 else None
            forms = {"lambda": self.rest, **dict.fromkeys(("logs", "ssm", "secretsmanager"), self.json_target)}
            form = forms.get(service, self.query)
        form(request, service, body)

    def perform(self, name, given):
        """Faults first, then the method of the operation's name."""
        with self.lock:
            self.calls.append(Call(name, given, self.region))
            for fault in self.faults:
                if fault[0] == name and fault[4] != 0:
                    if fault[4] is not None:
                        fault[4] -= 1
                    raise Refusal(fault[1], fault[2], fault[3])
            service, operation = name.split(":")
            method = getattr(self, f"{service}_{operation}", None)
            assert method, f"the stand-in has no {name}"
            if operation != "Invoke":
                return method(given)
        return method(given)

    @staticmethod
    def reply(request, status, kind, text, headers=()):
        octets = text if isinstance(text, bytes) else text.encode()
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(octets)))
        for key, value in headers:
            request.send_header(key, value)
        request.end_headers()
        request.wfile.write(octets)

    def query(self, request, service, body):
        form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        operation = form.pop("Action", "")
        form.pop("Version", None)
        try:
            result = self.perform(f"{service}:{operation}", form)
        except Refusal as no:
            error = xml({"Code": no.code, "Message": no.message})
            text = (f"<Response><Errors><Error>{error}</Error></Errors><RequestID>1</RequestID></Response>"
                    if service == "ec2" else
                    f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>1</RequestId></ErrorResponse>")
            return self.reply(request, no.status, "text/xml", text)
        if service == "ec2":
            inner = xml(result, "item") + "<requestId>1</requestId>"
        else:
            inner = f"<{operation}Result>{result if isinstance(result, str) else xml(result)}</{operation}Result>" \
                    "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
        self.reply(request, 200, "text/xml", f"<{operation}Response>{inner}</{operation}Response>")

    def json_target(self, request, service, body):
        operation = request.headers["X-Amz-Target"].split(".")[-1]
        kind = "application/x-amz-json-1.1"
        try:
            result = self.perform(f"{service}:{operation}", json.loads(body or b"{}"))
        except Refusal as no:
            text = json.dumps({"__type": no.code, "message": no.message})
            return self.reply(request, no.status, kind, text)
        self.reply(request, 200, kind, json.dumps(result) if result is not None else "")

    REST = [
        ("GET", r"/2015-03-31/functions/([^/]+)/configuration", "GetFunctionConfiguration"),
        ("GET", r"/2015-03-31/functions/([^/]+)", "GetFunction"),
        ("POST", r"/2015-03-31/functions/?", "CreateFunction"),
        ("PUT", r"/2015-03-31/functions/([^/]+)/code", "UpdateFunctionCode"),
        ("PUT", r"/2015-03-31/functions/([^/]+)/configuration", "UpdateFunctionConfiguration"),
        ("DELETE", r"/2015-03-31/functions/([^/]+)", "DeleteFunction"),
        ("GET", r"/2015-03-31/functions/([^/]+)/policy", "GetPolicy"),
        ("POST", r"/2015-03-31/functions/([^/]+)/policy", "AddPermission"),
        ("DELETE", r"/2015-03-31/functions/([^/]+)/policy/([^/]+)", "RemovePermission"),
        ("GET", r"/2019-09-25/functions/([^/]+)/event-invoke-config", "GetFunctionEventInvokeConfig"),
        ("PUT", r"/2019-09-25/functions/([^/]+)/event-invoke-config", "PutFunctionEventInvokeConfig"),
        ("POST", r"/2015-03-31/functions/([^/]+)/invocations", "Invoke"),
        ("GET", r"/2015-03-31/event-source-mappings/?", "ListEventSourceMappings"),
    ]

    def rest(self, request, service, body):
        path = urllib.parse.urlsplit(request.path).path
        for method, pattern, operation in self.REST:
            match = re.fullmatch(pattern, path)
            if match and method == request.command:
                break
        else:
            raise AssertionError(f"the stand-in has no {request.command} {path}")
        given = json.loads(body or b"{}")
        given = {"Payload": given} if operation == "Invoke" else given
        if match.groups():
            given["FunctionName"] = match.group(1)
        if operation == "RemovePermission":
            given["StatementId"] = match.group(2)
        kind = "application/json"
        try:
            result = self.perform(f"{service}:{operation}", given)
        except Refusal as no:
            text = json.dumps({"Type": "User", "Message": no.message, "message": no.message})
            return self.reply(request, no.status, kind, text, [("x-amzn-ErrorType", no.code)])
        if operation == "Invoke":
            reply, error, *log = result
            headers = [("X-Amz-Function-Error", error)] if error else []
            if log and request.headers.get("X-Amz-Log-Type") == "Tail":
                headers.append(("X-Amz-Log-Result", base64.b64encode(log[0][-4096:]).decode()))
            return self.reply(request, 200, kind, json.dumps(reply), headers)
        status = {"DELETE": 204}.get(request.command, 201 if operation in ("CreateFunction", "AddPermission") else 200)
        self.reply(request, status, kind, "" if status == 204 else json.dumps(result))

    # ---- who and roles ----

    def sts_GetCallerIdentity(self, _):
        return {"Arn": f"arn:aws:iam::{ACCOUNT}:user/tester", "UserId": "AIDA1", "Account": ACCOUNT}

    def role(self, given):
        if given["RoleName"] not in self.roles:
            raise Refusal("NoSuchEntity", f"The role with name {given['RoleName']} cannot be found.", 404)
        return self.roles[given["RoleName"]]

    @staticmethod
    def role_xml(name, role):
        return {"Role": {"Path": "/", "RoleName": name, "RoleId": "AROA1", "Arn": f"arn:aws:iam::{ACCOUNT}:role/{name}",
                         "CreateDate": "2026-11-01T00:00:00Z",
                         "AssumeRolePolicyDocument": urllib.parse.quote(role["trust"])}}

    def iam_GetRole(self, given):
        return self.role_xml(given["RoleName"], self.role(given))

    def iam_CreateRole(self, given):
        if given["RoleName"] in self.roles:
            raise Refusal("EntityAlreadyExists", "exists", 409)
        json.loads(given["AssumeRolePolicyDocument"])
        self.roles[given["RoleName"]] = {"trust": given["AssumeRolePolicyDocument"], "policies": {}}
        return self.iam_GetRole(given)

    def iam_UpdateAssumeRolePolicy(self, given):
        self.role(given)["trust"] = given["PolicyDocument"]
        return {}

    def iam_GetRolePolicy(self, given):
        policies = self.role(given)["policies"]
        if given["PolicyName"] not in policies:
            raise Refusal("NoSuchEntity", "The role policy cannot be found.", 404)
        return {"RoleName": given["RoleName"], "PolicyName": given["PolicyName"],
                "PolicyDocument": urllib.parse.quote(policies[given["PolicyName"]])}

    def iam_PutRolePolicy(self, given):
        json.loads(given["PolicyDocument"])
        self.role(given)["policies"][given["PolicyName"]] = given["PolicyDocument"]
        return {}

    def iam_DeleteRolePolicy(self, given):
        self.role(given)["policies"].pop(given["PolicyName"])
        return {}

    def iam_DeleteRole(self, given):
        if self.role(given)["policies"]:
            raise Refusal("DeleteConflict", "must delete policies first", 409)
        del self.roles[given["RoleName"]]
        return {}

    # ---- queues ----

    def queue(self, given):
        name = given.get("QueueName") or given["QueueUrl"].split("/")[-1]
        if name not in self.queues:
            raise Refusal("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
        return self.queues[name]

    def queue_url(self, name):
        return f"{self.url}/{ACCOUNT}/{name}"

    def sqs_GetQueueUrl(self, given):
        self.queue(given)
        return {"QueueUrl": self.queue_url(given["QueueName"])}

    def sqs_CreateQueue(self, given):
        attributes = {a["Name"]: a["Value"] for a in listed(given, "Attribute")}
        self.queues[given["QueueName"]] = {"attributes": attributes, "messages": {}}
        return {"QueueUrl": self.queue_url(given["QueueName"])}

    def sqs_GetQueueAttributes(self, given):
        queue = self.queue(given)
        name = given["QueueUrl"].split("/")[-1]
        hidden = sum(m["hidden"] for m in queue["messages"].values())
        all_of_them = {"QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
                       "ApproximateNumberOfMessages": len(queue["messages"]) - hidden,
                       "ApproximateNumberOfMessagesNotVisible": hidden, **queue["attributes"]}
        return "".join(f"<Attribute>{xml({'Name': n, 'Value': all_of_them[n]})}</Attribute>"
                       for n in listed(given, "AttributeName") if n in all_of_them)

    def sqs_SetQueueAttributes(self, given):
        self.queue(given)["attributes"].update({a["Name"]: a["Value"] for a in listed(given, "Attribute")})
        return {}

    def sqs_DeleteQueue(self, given):
        self.queue(given)
        del self.queues[given["QueueUrl"].split("/")[-1]]
        return {}

    def send(self, queue, body):
        """Puts a message into a queue, as Lambda or the forwarder does."""
        self.numbers += 1
        ident = f"m{self.numbers:04}"
        self.queues[queue]["messages"][ident] = {"body": body, "hidden": False, "received": 0}
        return ident

    def bodies(self, queue):
        return [m["body"] for m in self.queues[queue]["messages"].values()]

    def sqs_ReceiveMessage(self, given):
        parts = []
        assert int(given["VisibilityTimeout"]) <= 43200
        for ident, message in self.queue(given)["messages"].items():
            if not message["hidden"] and len(parts) < int(given["MaxNumberOfMessages"]):
                message["hidden"] = True
                message["received"] += 1
                parts.append("<Message>" + xml({
                    "MessageId": ident, "ReceiptHandle": f"receipt+/= {message['received']} {ident}", "Body": message["body"],
                    "MD5OfBody": hashlib.md5(message["body"].encode()).hexdigest()}) + "</Message>")
        return "".join(parts)

    def batch(self, given, operation, act):
        queue, result = self.queue(given), ""
        for entry in listed(given, f"{operation}BatchRequestEntry"):
            _, received, ident = entry["ReceiptHandle"].split()
            if ident in self.stuck:
                result += "<BatchResultErrorEntry>" + xml({"Id": entry["Id"], "SenderFault": True, "Code": "Stuck",
                                                           "Message": "no"}) + "</BatchResultErrorEntry>"
                continue
            # The handle of the last time it was received is the one that counts.
            assert int(received) == queue["messages"][ident]["received"], entry
            act(queue, ident, entry)
            result += f"<{operation}BatchResultEntry><Id>{entry['Id']}</Id></{operation}BatchResultEntry>"
        return result

    def sqs_DeleteMessageBatch(self, given):
        return self.batch(given, "DeleteMessage", lambda queue, ident, _: queue["messages"].pop(ident))

    def sqs_ChangeMessageVisibilityBatch(self, given):
        def act(queue, ident, entry):
            assert entry["VisibilityTimeout"] == "0"
            queue["messages"][ident]["hidden"] = False
        return self.batch(given, "ChangeMessageVisibility", act)

    # ---- functions ----

    def function(self, given):
        if given["FunctionName"] not in self.functions:
            raise Refusal("ResourceNotFoundException", f"Function not found: {given['FunctionName']}", 404)
        return self.functions[given["FunctionName"]]

    def configuration(self, function):
        hidden = ("policy", "zip", "busy", "invoke")
        return {k: v for k, v in function.items() if k not in hidden}

    def look(self, given):
        """A changed function gets ready when it has been looked at often enough."""
        function = self.function(given)
        if function["busy"] > 0:
            function["busy"] -= 1
        else:
            function.update(State="Active", LastUpdateStatus="Successful")
        return self.configuration(function)

    def lambda_GetFunctionConfiguration(self, given):
        return self.look(given)

    def lambda_GetFunction(self, given):
        return {"Configuration": self.look(given), "Code": {"RepositoryType": "S3"}}

    def set_code(self, function, given):
        octets = base64.b64decode(given["ZipFile"])
        function.update(zip=octets, CodeSha256=base64.b64encode(hashlib.sha256(octets).digest()).decode(),
                        CodeSize=len(octets), Architectures=given.get("Architectures", ["x86_64"]))

    def set_configuration(self, function, given):
        for key in "Runtime", "Handler", "Role", "Timeout", "MemorySize", "Description":
            if key in given:
                function[key] = given[key]
        if "Environment" in given:
            variables = given["Environment"]["Variables"]
            if len(json.dumps(variables)) > 4096:
                raise Refusal("InvalidParameterValueException", "environment variables exceeded the 4KB limit")
            function["Environment"] = {"Variables": variables}
        if "VpcConfig" in given:
            vpc = given["VpcConfig"]
            function["VpcConfig"] = {**vpc, "VpcId": "vpc-1" if vpc["SubnetIds"] else ""}
        role = function["Role"].split("/")[-1]
        if role not in self.roles and "elsewhere" not in role:
            raise Refusal("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.")

    def lambda_CreateFunction(self, given):
        name = given["FunctionName"]
        if name in self.functions:
            raise Refusal("ResourceConflictException", f"Function already exist: {name}", 409)
        function = {"FunctionName": name, "FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}",
                    "State": "Pending", "LastUpdateStatus": "Successful", "policy": [], "invoke": None,
                    "busy": self.busy}
        self.set_configuration(function, given)
        self.set_code(function, {**given["Code"], "Architectures": given.get("Architectures", ["x86_64"])})
        self.functions[name] = function
        return self.configuration(function)

    def update(self, given, setter):
        function = self.function(given)
        if function["LastUpdateStatus"] == "InProgress" or function["State"] == "Pending":
            raise Refusal("ResourceConflictException", "The operation cannot be performed at this time. "
                          f"An update is in progress for resource: {function['FunctionArn']}", 409)
        setter(function, given)
        function.update(LastUpdateStatus="InProgress", busy=self.busy)
        return self.configuration(function)

    def lambda_UpdateFunctionCode(self, given):
        return self.update(given, self.set_code)

    def lambda_UpdateFunctionConfiguration(self, given):
        return self.update(given, self.set_configuration)

    def lambda_DeleteFunction(self, given):
        self.function(given)
        del self.functions[given["FunctionName"]]

    def lambda_GetPolicy(self, given):
        function = self.function(given)
        if not function["policy"]:
            raise Refusal("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return {"Policy": json.dumps({"Version": "2012-10-17", "Id": "default", "Statement": function["policy"]})}

    def lambda_AddPermission(self, given):
        function = self.function(given)
        if any(s["Sid"] == given["StatementId"] for s in function["policy"]):
            raise Refusal("ResourceConflictException", "The statement id provided already exists.", 409)
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,100}", given["StatementId"])
        statement = {
            "Sid": given["StatementId"], "Effect": "Allow", "Principal": {"Service": given["Principal"]},
            "Action": given["Action"], "Resource": function["FunctionArn"],
            "Condition": {"StringEquals": {"AWS:SourceAccount": given["SourceAccount"]},
                          "ArnLike": {"AWS:SourceArn": given["SourceArn"]}}}
        function["policy"].append(statement)
        return {"Statement": json.dumps(statement)}

    def lambda_RemovePermission(self, given):
        function = self.function(given)
        kept = [s for s in function["policy"] if s["Sid"] != given["StatementId"]]
        assert len(kept) < len(function["policy"])
        function["policy"] = kept

    def lambda_GetFunctionEventInvokeConfig(self, given):
        function = self.function(given)
        if function["invoke"] is None:
            raise Refusal("ResourceNotFoundException", "The function doesn't have an EventInvokeConfig", 404)
        return function["invoke"]

    def lambda_PutFunctionEventInvokeConfig(self, given):
        function = self.function(given)
        function["invoke"] = {"LastModified": 1.0, "FunctionArn": function["FunctionArn"] + ":$LATEST",
                              "MaximumRetryAttempts": given["MaximumRetryAttempts"],
                              "MaximumEventAgeInSeconds": given["MaximumEventAgeInSeconds"],
                              "DestinationConfig": {"OnSuccess": {}, **given["DestinationConfig"]}}
        return function["invoke"]

    def lambda_Invoke(self, given):
        return self.invoke(self.function(given), given["Payload"])

    def lambda_ListEventSourceMappings(self, _):
        return {"EventSourceMappings": self.mappings}

    def monitoring_GetMetricStatistics(self, given):
        assert given["Namespace"] == "AWS/Lambda" and given["MetricName"] == "AsyncEventAge"
        assert given["StartTime"] < given["EndTime"] and listed(given, "Dimensions.member")[0]["Name"] == "FunctionName"
        return {"Label": "AsyncEventAge", "Datapoints": [
            {"Timestamp": given["StartTime"], "Maximum": age, "Unit": "Milliseconds"} for age in self.ages]}

    # ---- tokens ----

    def ssm_DescribeParameters(self, given):
        (wanted,), = [f["Values"] for f in given["ParameterFilters"]]
        return {"Parameters": [{"Name": wanted, "Type": "SecureString"}] if wanted in self.parameters else []}

    def secretsmanager_DescribeSecret(self, given):
        if given["SecretId"] not in self.secrets:
            raise Refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return {"Name": given["SecretId"]}

    # ---- log groups ----

    def group(self, given):
        if given["logGroupName"] not in self.groups:
            raise Refusal("ResourceNotFoundException", "The specified log group does not exist.")
        return self.groups[given["logGroupName"]]

    def paged(self, given, key, rows, token="nextToken"):
        at = int(given.get(token, "0"))
        answer = {key: rows[at:at + self.page]}
        if at + self.page < len(rows):
            answer[token] = str(at + self.page)
        return answer

    def logs_DescribeLogGroups(self, given):
        rows = [{"logGroupName": n, "arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{n}:*", **g["attributes"]}
                for n, g in sorted(self.groups.items()) if n.startswith(given.get("logGroupNamePrefix", ""))]
        return self.paged(given, "logGroups", rows)

    def logs_CreateLogGroup(self, given):
        if given["logGroupName"] in self.groups:
            raise Refusal("ResourceAlreadyExistsException", "exists")
        self.groups[given["logGroupName"]] = {"attributes": {}, "filters": {}}

    def logs_PutRetentionPolicy(self, given):
        self.group(given)["attributes"]["retentionInDays"] = given["retentionInDays"]

    def logs_DescribeSubscriptionFilters(self, given):
        return self.paged(given, "subscriptionFilters", list(self.group(given)["filters"].values()))

    def logs_PutSubscriptionFilter(self, given):
        filters = self.group(given)["filters"]
        if given["filterName"] not in filters and len(filters) >= 5:
            raise Refusal("LimitExceededException", "Resource limit exceeded.")
        name = given["destinationArn"].split(":")[-1]
        source = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{given['logGroupName']}:*"
        if not any(s["Condition"]["ArnLike"]["AWS:SourceArn"] == source
                   for s in self.functions[name]["policy"]):
            raise Refusal("InvalidParameterException", "Could not execute the lambda function. Make sure you "
                          "have given CloudWatch Logs permission to execute your function.")
        filters[given["filterName"]] = given

    def logs_DeleteSubscriptionFilter(self, given):
        del self.group(given)["filters"][given["filterName"]]

    # ---- flow logs ----

    DEFAULT = ("${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} "
               "${packets} ${bytes} ${start} ${end} ${action} ${log-status}")

    def ec2_DescribeFlowLogs(self, given):
        rows = list(self.flow_logs.values())
        for row in listed(given, "Filter"):
            member = {"resource-id": "resourceId", "log-group-name": "logGroupName"}[row["Name"]]
            rows = [r for r in rows if r.get(member) in listed(row, "Value")]
        return self.paged({"nextToken": given.get("NextToken", "0")}, "flowLogSet", rows)

    def add_flow_log(self, resource, group, log_format=DEFAULT, **more):
        self.numbers += 1
        ident = f"fl-{self.numbers:04}"
        self.flow_logs[ident] = {"flowLogId": ident, "resourceId": resource, "flowLogStatus": "ACTIVE",
                                 "logDestinationType": "cloud-watch-logs", "logFormat": log_format,
                                 **({"logGroupName": group} if group else {}), **more}
        return ident

    def ec2_CreateFlowLogs(self, given):
        resource = given["ResourceId.1"]
        if given["DeliverLogsPermissionArn"].split("/")[-1] not in self.roles:
            raise Refusal("InvalidParameter", "Unable to assume given IAM role")
        ident = self.add_flow_log(resource, given["LogGroupName"], given.get("LogFormat", self.DEFAULT),
                                  trafficType=given.get("TrafficType", "ALL"),
                                  deliverLogsPermissionArn=given["DeliverLogsPermissionArn"],
                                  maxAggregationInterval=given["MaxAggregationInterval"])
        return {"flowLogIdSet": [ident], "clientToken": "t"}

    def ec2_DeleteFlowLogs(self, given):
        for ident in listed(given, "FlowLogId"):
            del self.flow_logs[ident]
        return {"unsuccessful": []}
