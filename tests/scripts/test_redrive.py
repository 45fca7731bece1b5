# SPDX-License-Identifier: Apache-2.0
"""scripts/redrive, with the code that was deployed and a real listener at the other end."""
import base64
import gzip
import io
import json
import os
import subprocess
import zipfile

import pytest

import harness
import payloads
import secure

NAME = "vpcflowd-forwarder"
QUEUE = f"{NAME}-failures"
# As Lambda's runtime does it, without the network around it.
RUNTIME = """
import { pathToFileURL } from "node:url";
let text = "";
for await (const octets of process.stdin) text += octets;
console.log = (line) => console.error(`2026-11-01T00:00:00.000Z\\tinvoked\\tINFO\\t${line}`);
let reply;
try {
	const { handler } = await import(pathToFileURL("index.mjs"));
	reply = { value: await handler(JSON.parse(text), { awsRequestId: "invoked", getRemainingTimeInMillis: () => 4000 }) };
} catch (error) {
	reply = { error: { errorType: error.name, errorMessage: error.message, trace: [] } };
}
process.stdout.write(JSON.stringify(reply), () => process.exit(0));
"""


def event(lines, wrapped=True):
    data = base64.b64encode(gzip.compress(payloads.decoded(lines))).decode()
    bare = {"awslogs": {"data": data}}
    return json.dumps({"version": "1.0", "requestContext": {"condition": "RetriesExhausted"},
                       "requestPayload": bare} if wrapped else bare)


BAD = json.dumps({"requestPayload": {"awslogs": {"data": base64.b64encode(gzip.compress(b"{nonsense")).decode()}}})


def some(count, kind):
    """Records that differ from those of another kind."""
    return payloads.records(count, srcport=str(2000 + kind))


class Place:
    """What is deployed, and what a test put into the failure queue."""

    def __init__(self, cloud, folder):
        self.cloud, self.folder, self.invocations = cloud, folder, []
        cloud.invoke = self.invoke

    def invoke(self, function, given):
        """Runs the code that Lambda got, in the environment that it was given."""
        self.invocations.append(given)
        with zipfile.ZipFile(io.BytesIO(function["zip"])) as code:
            code.extractall(self.folder)
        env = {"PATH": os.environ["PATH"], **function["Environment"]["Variables"]}
        done = subprocess.run(["node", "--input-type=module", "-e", RUNTIME], input=json.dumps(given).encode(),
                              env=env, cwd=self.folder, capture_output=True, timeout=30, check=True)
        reply = json.loads(done.stdout)
        return (reply["error"], "Unhandled", done.stderr) if "error" in reply else (reply["value"], None, done.stderr)

    def fill(self, *bodies):
        return [self.cloud.send(QUEUE, body) for body in bodies]

    def left(self):
        """What is in the queue: all of it can be had at once."""
        messages = self.cloud.queues[QUEUE]["messages"]
        assert not any(message["hidden"] for message in messages.values())
        return list(messages)


@pytest.fixture
def place(deployed, tmp_path):
    folder = tmp_path / "task"
    folder.mkdir()
    return Place(deployed, folder)


@pytest.fixture
def deploy(place):
    """deploy(address): the forwarder pushes there."""
    def to(address):
        function = place.cloud.functions[NAME]
        function["Timeout"] = 6
        function["Environment"]["Variables"].update(VPCFLOWD_HOST=address[0], VPCFLOWD_PORT=str(address[1]))
    return to


def lines_of(*parts):
    return sorted(line for part in parts for line in payloads.ftsq_lines(part))


def test_through_the_forwarder(script, place, deploy, start):
    parts = [some(n + 1, n) for n in range(12)]
    with start() as daemon:
        deploy(daemon.address)
        place.fill(*(event(part, wrapped=n % 2) for n, part in enumerate(parts)))
        result = script("redrive")
        assert result.last == "==> 12 events delivered and deleted, 0 stay in the queue"
        assert place.left() == [] and len(place.invocations) == 2
        assert sorted(daemon.terminate()) == lines_of(*parts)
    changes = place.cloud.changes()
    assert changes == [*["sqs:ReceiveMessage", "lambda:Invoke", "sqs:DeleteMessageBatch"] * 2, "sqs:ReceiveMessage"]


def test_straight_into_a_listener(script, place, deploy, start):
    parts = [payloads.records(3), some(2, 50)]
    with start() as daemon:
        deploy(daemon.address)
        place.fill(*map(event, parts))
        result = script("redrive", "--to", "%s:%d" % daemon.address)
        assert "2 events delivered" in result.last and place.left() == [] and place.invocations == []
        assert sorted(daemon.terminate()) == lines_of(*parts)


def test_over_tls(script, place, start, tmp_path):
    made = secure.Certificates(tmp_path / "certificates")
    part = payloads.records(3)
    ca, shown = ("--tls", "--ca", made.pem("ca")), ("--cert", made.pem("client"), "--key", made.key("client"))
    with start(*made.listener(client_ca="ca")) as daemon:
        idents = place.fill(event(part))
        to = "--to", "%s:%d" % daemon.address, "--timeout", "3"
        for options, why in ((), "does it want TLS?"), (ca, "certificate required"):
            result = script("redrive", *to, *options, status=1)
            assert why in result.last and place.left() == idents
        script("redrive", *to, *ca, *shown)
        assert place.left() == [] and sorted(daemon.terminate()) == lines_of(part)


@pytest.mark.parametrize("straight", [False, True])
def test_only_what_was_taken_is_deleted(script, place, deploy, start, straight):
    good = payloads.records(4)
    with start() as daemon:
        deploy(daemon.address)
        _, bad, nonsense = place.fill(event(good), BAD, "not JSON at all")
        to = ["--to", "%s:%d" % daemon.address] if straight else []
        for delivered in 1, 0:  # the second finds what the first has left, at once
            result = script("redrive", *to, status=1)
            assert result.last == f"==> {delivered} events delivered and deleted, 2 stay in the queue"
            assert place.left() == [bad, nonsense]
            assert f"event {bad} stays: rejected by the listener: json\n" in result.err
            assert f"event {nonsense} stays: a body that is not JSON\n" in result.err
        assert sorted(daemon.terminate()) == lines_of(good)
    assert "sqs:SendMessage" not in place.cloud.names()


def test_what_failed_comes_again_among_others(script, place, deploy, start):
    """A long run: what failed is in view again before it ends. The others are tried, and it only once."""
    parts = [some(1, n) for n in range(11)]
    with start() as daemon:
        deploy(daemon.address)
        bad, *_ = place.fill(BAD, *map(event, parts))

        def invoke(function, given):
            answer = place.invoke(function, given)
            place.cloud.queues[QUEUE]["messages"][bad]["hidden"] = False
            return answer

        place.cloud.invoke = invoke
        result = script("redrive", status=1)
        assert "stopped: nothing comes out of the queue but what has failed in this run" in result.err
        assert result.last == "==> 11 events delivered and deleted, 1 stay in the queue"
        assert place.left() == [bad]
        tried = [record["messageId"] for given in place.invocations for record in given["Records"]]
        assert len(tried) == 12 and tried.count(bad) == 1
        assert sorted(daemon.terminate()) == lines_of(*parts)


def test_what_was_not_tried_is_given_back(script, place, deploy):
    """Large events go one by one, and the second meets a listener that is away."""
    deploy(("127.0.0.1", 1))
    answers = [({"batchItemFailures": []}, None), ({"errorType": "Unavailable", "errorMessage": "away"}, "Unhandled")]
    place.cloud.invoke = lambda *_: answers.pop(0)
    idents = place.fill(*(json.dumps({"requestPayload": {"awslogs": {"data": "A" * 900000}}}) for _ in range(5)))
    result = script("redrive", status=1)
    assert "1 events delivered and deleted, 4 stay in the queue" in result.err
    assert result.last == "redrive: stopped, nothing is taken now: away"
    assert place.left() == idents[1:]


def test_another_queue_keeps_what_is_not_taken(script, place, deploy, start):
    """Nothing moves to the function's own failure queue, though the function could."""
    sdk = place.folder / "node_modules" / "@aws-sdk" / "client-sqs"
    sdk.mkdir(parents=True)
    (sdk / "package.json").write_text('{"type": "module", "exports": "./index.js"}')
    (sdk / "index.js").write_text("export class SQSClient { async send() { return {}; } }\n"
                                  "export class SendMessageCommand {}\n")
    good = payloads.records(2)
    place.cloud.queues["other"] = {"attributes": {}, "messages": {}}
    with start() as daemon:
        deploy(daemon.address)
        bad = place.cloud.send("other", BAD)
        place.cloud.send("other", event(good))
        result = script("redrive", "--queue", place.cloud.queue_url("other"), status=1)
        assert result.last == "==> 1 events delivered and deleted, 1 stay in the queue"
        assert list(place.cloud.queues["other"]["messages"]) == [bad] and place.left() == []
        assert sorted(daemon.terminate()) == lines_of(good)


@pytest.mark.parametrize("straight", [False, True])
def test_nobody_listens(script, place, deploy, straight):
    deploy(("127.0.0.1", 1))
    idents = place.fill(*(event(some(1, n)) for n in range(12)))
    to = ["--to", "127.0.0.1:1", "--timeout", "3"] if straight else []
    result = script("redrive", *to, status=1)
    assert "stopped, nothing is taken now: " in result.last and "0 events delivered" in result.err
    assert place.left() == idents and "sqs:DeleteMessageBatch" not in place.cloud.changes()


def test_token(script, place, deploy, start, spied, tmp_path):
    folder, arguments = spied
    tokens = tmp_path / "tokens"
    tokens.write_text("# ours\n  let-me-in \n")
    part = payloads.records(2)
    with start("--token-file", tokens) as daemon:
        deploy(daemon.address)
        idents = place.fill(event(part))
        to = ("--to", "%s:%d" % daemon.address, "--timeout", "4")
        result = script("redrive", *to, status=1)
        assert place.left() == idents and "stopped" in result.last
        # Not one token that the words would make together.
        (tmp_path / "words").write_text("let-me -in\n")
        result = script("redrive", *to, "--token-file", "words", status=1)
        assert "VPCFLOWD_TOKEN holds no token of printable ASCII without spaces" in result.last and place.left() == idents
        result = script("redrive", *to, "--token-file", "tokens", path=folder)
        assert place.left() == [] and "let-me-in" not in arguments.read_text() + result.err
        assert sorted(daemon.terminate()) == lines_of(part)


def test_what_could_not_be_deleted_comes_again(script, place, deploy, start):
    part = payloads.records(3)
    with start() as daemon:
        deploy(daemon.address)
        idents = place.fill(event(part))
        place.cloud.fail("sqs:DeleteMessageBatch", "AccessDenied", "no", status=403)
        result = script("redrive", status=1)
        assert "delivered, and will be again: cannot delete" in result.last
        assert list(place.cloud.queues[QUEUE]["messages"]) == idents
        place.cloud.queues[QUEUE]["messages"][idents[0]]["hidden"] = False
        script("redrive")
        assert place.left() == []
        assert sorted(daemon.terminate()) == lines_of(part)


@pytest.mark.parametrize("straight", [False, True])
def test_what_was_taken_in_the_meantime(script, place, deploy, start, tmp_path, straight):
    """By another try of AWS, or from another queue: the listener knows it, and the queue lets it go."""
    parts = [some(2, 1), some(3, 2)]
    with start("--spool", tmp_path / "spool") as daemon:
        deploy(daemon.address)
        place.fill(*map(event, parts))
        known = json.loads(event(parts[0]))["requestPayload"]["awslogs"]["data"]
        assert daemon.ask("a", base64.b64decode(known)) == "ACK a 2"
        script("redrive", *(["--to", "%s:%d" % daemon.address] if straight else []))
        assert place.left() == [] and daemon.stats()["dups"] == 1
        assert sorted(daemon.terminate()) == lines_of(*parts)


def test_one_that_cannot_be_deleted(script, place, deploy, start):
    with start() as daemon:
        deploy(daemon.address)
        stuck, *_ = place.fill(event(some(1, 1)), event(some(1, 2)))
        place.cloud.stuck.add(stuck)
        result = script("redrive", status=1)
        assert f"an event was delivered, and will be again: cannot delete it from the queue: {stuck}: Stuck no" in result.err
        assert result.last == "==> 1 events delivered and deleted, 1 stay in the queue"


def test_limit_and_dry_run(script, place, deploy, start):
    with start() as daemon:
        deploy(daemon.address)
        idents = place.fill(*(event(some(1, n)) for n in range(5)))
        dry = script("redrive", "--dry-run")
        assert [c[2] for c in dry.commands] == ["receive-message", "invoke", "delete-message-batch"]
        assert place.cloud.changes() == [] and "about 5 events" in dry.err
        script("redrive", "--limit", 3)
        assert place.left() == idents[3:]


def test_large_events_go_one_by_one(script, place, deploy, start):
    with start() as daemon:
        deploy(daemon.address)
        place.cloud.invoke = lambda _, given: (place.invocations.append(given) or {"batchItemFailures": []}, None)
        place.fill(*(json.dumps({"requestPayload": {"awslogs": {"data": "A" * 900000}}}) for _ in range(5)))
        script("redrive")
        assert [len(given["Records"]) for given in place.invocations] == [1] * 5 and place.left() == []


def test_what_a_reply_does_not_say_was_not_taken(script, place, deploy):
    deploy(("127.0.0.1", 1))
    idents = place.fill("{}", "{}")
    for reply in {}, {"batchItemFailures": [{"itemIdentifier": i} for i in idents]}:
        place.cloud.invoke = lambda *_: (reply, None, b'cut off"}]}\nREPORT {} {"problems":7}\n')
        result = script("redrive", status=1)
        assert f"event {idents[0]} stays: see the forwarder's log\n" in result.err
        assert place.left() == idents
    place.cloud.invoke = lambda *_: ({"errorMessage": "Task timed out after 6.00 seconds"}, "Unhandled")
    result = script("redrive", status=1)
    assert "stopped, nothing is taken now: Task timed out" in result.last and place.left() == idents


def test_empty_and_missing(script, deployed):
    cloud = deployed
    result = script("redrive", "--name", "other", status=1)
    assert result.last == "redrive: there is no queue other-failures in eu-west-1; give --name, or --queue"
    assert script("redrive").last == "==> 0 events delivered and deleted, 0 stay in the queue"
    cloud.fail("sqs:ReceiveMessage", "AccessDenied", "no", status=403)
    assert "cannot receive from the queue: AccessDenied: no" in script("redrive", status=1).last


def test_an_old_node_is_refused(script, tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "node").write_text("#!/bin/sh\necho v18.19.0\n")
    (folder / "node").chmod(0o755)
    result = script("redrive", "--to", "127.0.0.1:1", path=folder, status=1)
    assert result.last == "redrive: needs Node.js 20 or later; 'node' here is v18.19.0"


@pytest.mark.parametrize("options, words", [
    (["--to", "here"], "--to: HOST:PORT"), (["--limit", "0"], "--limit: a number"),
    (["--tls"], "go with --to"), (["--token-file", "x"], "go with --to")])
def test_mistakes(script, cloud, options, words):
    result = script("redrive", *options, status=2)
    assert words in result.last and cloud.names() == []
