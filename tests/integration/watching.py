# SPDX-License-Identifier: Apache-2.0
"""
What a daemon says over HTTP, and Prometheus in Debian's package to judge it.

    with watching.Daemon(folder, "--workers", "2") as daemon:
        status, headers, body = daemon.get("/healthz")
        assert daemon.metrics()["vpcflowd_flows_total"] == 7
"""
import http.client
import json
import os
import re
import socket
import subprocess
import urllib.parse

import harness

SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


def free_port():
    """Free now; the kernel gives out others first, so nobody is likely to take it soon."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def samples(text):
    """Name with sorted labels, as name{a="b"}, to number."""
    found = {}
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        pairs = ",".join(f'{k}="{v}"' for k, v in sorted(LABEL.findall(labels or "")))
        key = f"{name}{{{pairs}}}" if pairs else name
        assert key not in found, f"twice: {key}"
        found[key] = float(value)
    return found


def families(text):
    """Name to type and meaning, in the order of the text."""
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M))
    types = dict(re.findall(r"^# TYPE (\S+) (.*)$", text, re.M))
    assert list(helps) == list(types)
    return {name: (types[name], helps[name]) for name in helps}


class Daemon(harness.Daemon):
    """As the harness's, with --http on a free port of 127.0.0.1, or at another address."""

    def __init__(self, folder, *options, at="0", **how):
        super().__init__(folder, "--http", at, *options, **how)
        self.http = None

    def __enter__(self):
        super().__enter__()
        with open(self.ready_path, encoding="ascii") as file:
            *listens, last = file.read().splitlines()
        word, address = last.split()
        assert word == "http" and listens
        host, port = address.rsplit(":", 1)
        self.http = (host.strip("[]"), int(port))
        return self

    def request(self, path, method="GET", headers=(), body=None, source=None):
        """Status, headers and body."""
        peer = http.client.HTTPConnection(*self.http, timeout=harness.WAIT,
                                          source_address=source and (source, 0))
        try:
            peer.request(method, path, body=body, headers=dict(headers))
            answer = peer.getresponse()
            return answer.status, answer.headers, answer.read().decode("utf-8")
        finally:
            peer.close()

    def get(self, path, **how):
        return self.request(path, **how)

    def scrape(self):
        status, _, body = self.request("/metrics")
        assert status == 200
        return body

    def metrics(self):
        return samples(self.scrape())

    def health(self):
        """Status, and what it says, line by line."""
        status, _, body = self.request("/healthz")
        return status, body.splitlines()

    def wait_health(self, status, *lines):
        """Once it says this; what lines begin with is enough."""

        def said():
            now, text = self.health()
            return now == status and len(text) == len(lines) and \
                all(t.startswith(line) for t, line in zip(text, lines))

        harness.wait_for(f"health {status} {lines}, not {self.health()}", said)

    def wait_metric(self, name, value):
        harness.wait_for(f"{name} {value}", lambda: self.metrics().get(name) == value)


class Prometheus:
    """A server of its own that scrapes one target every second; with rules, if there are some."""

    def __init__(self, folder, target, rules=()):
        self.folder = str(folder)
        self.port = free_port()
        self.target = target
        self.rules = [str(r) for r in rules]
        self.process = None

    def __enter__(self):
        config = os.path.join(self.folder, "prometheus.json")
        job = {"job_name": "vpcflowd", "static_configs": [{"targets": [self.target]}]}
        with open(config, "w", encoding="ascii") as file:
            # YAML has JSON in it.
            json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                       "rule_files": self.rules, "scrape_configs": [job]}, file)
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", "--log.level=warn",
             f"--storage.tsdb.path={self.folder}/prometheus",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait(harness.WAIT)

    def ask(self, path, **query):
        """What the API answers; None while it does not."""
        try:
            peer = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.WAIT)
            peer.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
            answer = json.loads(peer.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            assert self.process.poll() is None, "prometheus is gone"
            return None
        return answer["data"] if answer["status"] == "success" else None

    def value(self, query):
        """The one value of an expression; None when there is none."""
        data = self.ask("query", query=query)
        if not data or len(data["result"]) != 1:
            return None
        return float(data["result"][0]["value"][1])

    def wait_value(self, query, value):
        harness.wait_for(f"{query} {value}, not {self.value(query)}",
                         lambda: self.value(query) == value)
