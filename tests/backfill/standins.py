# SPDX-License-Identifier: Apache-2.0
"""
The world around a backfill: an S3 (s3rver), a CloudWatch Logs of our own, a gate in front of the
real listener that answers as a test wants it, and the running script itself.
"""
import collections
import http.client
import http.server
import json
import os
import re
import signal
import socketserver
import subprocess
import threading
import time
import urllib.parse

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts", "backfill")
PARTS = SCRIPT + ".d"
BUCKET = "flows"
ACCOUNT = "123456789012"

# Seconds since 1970 of 2026-11-01 00:00:00 UTC.
NOVEMBER = 1793491200


def environment(**more):
    """For children that call aws: credentials that s3rver takes, and no look at this machine's own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "VPCFLOWD_"))}
    return {**env, "AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER",
            "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, **more}


# ---- the script ----------------------------------------------------------------------------------


class Backfill:
    """A run of the script. endpoint: of AWS; to: (host, port) of the listener."""

    def __init__(self, folder, source, *options, endpoint=None, to=None, state="state", env=None,
                 script=SCRIPT):
        self.folder = folder
        self.state_path = os.path.join(folder, state)
        args = [script, source, "--state", self.state_path, *map(str, options)]
        if endpoint:
            args += ["--endpoint-url", endpoint]
        if to:
            args += ["--to", f"{to[0]}:{to[1]}"]
        names = sum(name.startswith("backfill-") for name in os.listdir(folder))
        self.out_path = os.path.join(folder, f"backfill-{names}.out")
        self.err_path = os.path.join(folder, f"backfill-{names}.err")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            env=environment(**(env or {})), cwd=folder)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(harness.WAIT)

    @property
    def out(self):
        with open(self.out_path, encoding="utf-8") as file:
            return file.read()

    @property
    def err(self):
        with open(self.err_path, encoding="utf-8") as file:
            return file.read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(harness.WAIT)

    def wait(self, status=0):
        try:
            self.process.wait(90)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end:\n{self.err}") from None
        assert self.process.returncode == status, \
            f"exit status {self.process.returncode}, not {status}:\n{self.err}"
        return self

    def wait_says(self, pattern):
        harness.wait_for(f"{pattern!r} on standard error", lambda: re.search(pattern, self.err))
        return self

    def total(self, what):
        """A number of the last line: 12 of `12 flows`."""
        found = re.search(rf"done: .*?([\d,]+)(?: of [\d,]+)? {what}", self.err)
        assert found, f"no {what} in:\n{self.err}"
        return int(found.group(1).replace(",", ""))

    def state(self):
        """The rows of the state file."""
        if not os.path.exists(self.state_path):
            return []
        with open(self.state_path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]


# ---- S3 ------------------------------------------------------------------------------------------


class S3:
    def __init__(self, folder):
        self.store = os.path.join(folder, "store")
        self.log_path = os.path.join(folder, "requests")
        self.process = None
        self.endpoint = None

    def __enter__(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(["node", "s3.cjs", self.store, BUCKET], cwd=HERE,
                                            stdin=subprocess.DEVNULL, stdout=log)
        harness.wait_for("port of s3rver", lambda: self._lines() or self.process.poll() is not None)
        self.endpoint = f"http://127.0.0.1:{self._lines()[0]}"
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait(harness.WAIT)

    def _lines(self):
        with open(self.log_path, encoding="ascii") as file:
            return file.read().split("\n")[:-1]

    def folder(self, name):
        return Folder(self, name)

    def requests(self, name):
        """Requests about a folder so far."""
        lines = (urllib.parse.unquote(line) for line in self._lines())
        return [line for line in lines if f"{name}/" in line]


class Folder:
    """A folder of the bucket, laid out as AWS does it."""

    def __init__(self, s3, name):
        self.s3 = s3
        self.name = name
        self.endpoint = s3.endpoint
        self.source = f"s3://{BUCKET}/{name}"
        # Where add() puts things when it is not told otherwise: pointing there spares two calls.
        self.region = f"{self.source}/AWSLogs/{ACCOUNT}/vpcflowlogs/eu-west-1"
        self.files = {}

    def add(self, made, octets, account=ACCOUNT, region="eu-west-1", hive=False, hourly=False,
            ending="log.gz"):
        """A file made then (seconds since 1970), to be stored by store(). Its key."""
        year, month, day, hour, minute = time.strftime("%Y %m %d %H %M", time.gmtime(made)).split()
        if hive:
            path = [f"aws-account-id={account}", "aws-service=vpcflowlogs", f"aws-region={region}",
                    f"year={year}", f"month={month}", f"day={day}", f"hour={hour}"]
        else:
            path = [account, "vpcflowlogs", region, year, month, day, hour]
        name = (f"{account}_vpcflowlogs_{region}_fl-0a1b2c3d_{year}{month}{day}T{hour}{minute}Z_"
                f"{len(self.files):08x}.{ending}")
        return self.add_key("/".join(["AWSLogs", *path[:7 if hourly else 6], name]), octets)

    def add_key(self, key, octets):
        self.files[key] = octets
        return f"{self.source}/{key}"

    def store(self):
        connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"), timeout=30)
        for key, octets in self.files.items():
            connection.request("PUT", f"/{BUCKET}/{self.name}/{urllib.parse.quote(key)}", octets)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
        connection.close()
        return self

    def listed(self):
        """Requests that listed something of the folder."""
        return [line for line in self.s3.requests(self.name) if line.startswith(f"GET /{BUCKET}?")]

    def fetched(self):
        """Names of objects that were fetched, and how often."""
        return collections.Counter(
            line.rsplit("/", 1)[1] for line in self.s3.requests(self.name)
            if line.startswith(f"GET /{BUCKET}/{self.name}/"))


# ---- CloudWatch Logs -----------------------------------------------------------------------------

Event = collections.namedtuple("Event", "stream timestamp message id")


class Logs:
    """
    FilterLogEvents and DescribeLogStreams as AWS answers them: pages with tokens that are good for
    the same question only, pages without an event but with a token, errors by name.
    """

    def __init__(self):
        self.group = "vpc-flow-logs"
        self.events = []
        self.page_size = 100
        self.empty_pages = 0
        self.calls = []
        self.tokens = {}
        self.errors = []
        self.hold_after = None
        self.lock = threading.Lock()
        self.released = threading.Event()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = owner.answer(self.headers["X-Amz-Target"].split(".")[1], body)
                octets = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # a client that was killed

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def add(self, at, message, stream="eni-0a1b2c3d-all"):
        """at: seconds since 1970, broken ones allowed."""
        self.events.append(Event(stream, round(at * 1000), message, f"{len(self.events):056d}"))
        return message

    def questions(self):
        """The FilterLogEvents calls that were answered."""
        return [body for name, body in self.calls if name == "FilterLogEvents"]

    def answer(self, name, body):
        with self.lock:
            if self.errors and self.errors[0][0] in ("*", name):
                _, code, text = self.errors.pop(0)
                return 400, {"__type": code, "message": text}
            if body["logGroupName"] != self.group:
                return 400, {"__type": "ResourceNotFoundException",
                             "message": "The specified log group does not exist."}
            self.calls.append((name, body))
            late = self.hold_after is not None and len(self.questions()) > self.hold_after
        if late:
            self.released.wait(harness.WAIT)
        if name == "DescribeLogStreams":
            return 200, self._streams()
        return self._page(body)

    def _streams(self):
        names = sorted({event.stream for event in self.events})[:1]
        return {"logStreams": [
            {"logStreamName": name, "creationTime": 1, "storedBytes": 0,
             "arn": f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:{self.group}:log-stream:{name}"}
            for name in names]}

    def _page(self, body):
        question = {k: v for k, v in sorted(body.items()) if k != "nextToken"}
        at, empty = 0, self.empty_pages
        if "nextToken" in body:
            known = self.tokens.get(body["nextToken"])
            if known is None or known[0] != question:
                return 400, {"__type": "InvalidParameterException",
                             "message": "The specified nextToken is invalid."}
            _, at, empty = known
        found = sorted((e for e in self.events if self._meant(e, body)),
                       key=lambda e: (e.timestamp, e.id))
        events = []
        if empty > 0:
            empty -= 1
        else:
            events = found[at:at + self.page_size]
            at, empty = at + len(events), self.empty_pages
        answer = {"events": [
            {"logStreamName": e.stream, "timestamp": e.timestamp, "message": e.message,
             "ingestionTime": e.timestamp + 5000, "eventId": e.id} for e in events],
            "searchedLogStreams": []}
        if at < len(found):
            token = f"token/{len(self.tokens)}+=="
            self.tokens[token] = (question, at, empty)
            answer["nextToken"] = token
        return 200, answer

    @staticmethod
    def _meant(event, body):
        return (body["startTime"] <= event.timestamp <= body["endTime"]
                and body.get("filterPattern", "") in event.message
                and event.stream in body.get("logStreamNames", [event.stream])
                and event.stream.startswith(body.get("logStreamNamePrefix", "")))


# ---- a gate in front of the listener -------------------------------------------------------------


class Gate:
    """
    Takes PUTs and hands them on to the real listener, each with a decision first: decide(n), n from
    1 on, gives "pass", a reply line without its id as in "RETRY 0 overload", "cut" (the connection
    ends at once) or "lose" (handed on, but the connection ends before its reply).
    """

    def __init__(self, listener, decide=lambda n: "pass"):
        self.listener = listener
        self.decide = decide
        self.count = 0
        self.open = 0
        self.most_open = 0
        self.lock = threading.Lock()
        gate = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                gate.serve(self.rfile, self.wfile)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request, client_address):
                pass  # a client that was killed

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = self.server.server_address

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, incoming, outgoing):
        with self.lock:
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            while line := incoming.readline().decode("ascii"):
                _, ident, length = line.split()
                reply = self.reply(ident, incoming.read(int(length)))
                if reply is None:
                    return
                outgoing.write(reply.encode() + b"\n")
        finally:
            with self.lock:
                self.open -= 1

    def reply(self, ident, payload):
        with self.lock:
            self.count += 1
            number = self.count
        what = self.decide(number)
        if what == "cut":
            return None
        if what not in ("pass", "lose"):
            word, *rest = what.split(" ")
            return " ".join([word, ident, *rest])
        with harness.Peer(self.listener) as peer:
            reply = peer.ask(ident, payload)
        return reply if what == "pass" else None
