# SPDX-License-Identifier: Apache-2.0
"""
Runs what is measured, each on a core of its own: the pipeline in memory, a listening vpcflowd or
something else that listens, and the load. What comes out of a run are processor seconds of the
listener, as the kernel counts them for all of its threads, seconds on the clock, and peak memory. A
run that lost a flow ends the benchmark.
"""
import collections
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness  # noqa: E402

CORES = sorted(os.sched_getaffinity(0))
MEASURED, LOADING = CORES[0], CORES[-1]
MIB = 1024 * 1024

# cpu: seconds; seconds: on the clock; memory: octets; more: what the load said
Run = collections.namedtuple("Run", "flows cpu seconds memory more")


# Engine to the folder that CMake has built in.
builds = {engine: os.path.join(ROOT, "build", "bench", engine) for engine in ("isal", "zlib")}


def binary(engine, name):
    return os.path.join(builds[engine], "" if name == "vpcflowd" else "tests/bench", name)


def pinned(core, *command):
    return ["taskset", "-c", ",".join(map(str, core if isinstance(core, list) else [core])),
            *map(str, command)]


def processor_seconds(pid):
    """Of all threads, also of those that are gone: the clock that clock_getcpuclockid(3) gives."""
    return time.clock_gettime((~pid << 3) | 2)


def peak_memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)) * 1024


# ---- in memory -----------------------------------------------------------------------------------


def pipeline(engine, sets, rounds, sample_ms, stages=()):
    """(set, stage) to nanoseconds an event, a sample a round."""
    command = [binary(engine, "bench_pipeline"), "--rounds", rounds, "--sample", sample_ms]
    for stage in stages:
        command += ["--stage", stage]
    for each in sets:
        command += ["--set", each.name, each.format(), *each.files]
    done = subprocess.run(pinned(MEASURED, *command), check=True, stdout=subprocess.PIPE)
    samples = collections.defaultdict(list)
    for line in done.stdout.decode().splitlines()[1:]:
        name, stage, _, ns = line.split(",")
        samples[name, stage].append(float(ns))
    return samples


# ---- over loopback -------------------------------------------------------------------------------


def push(port, files, core=LOADING, **options):
    """Sends, and says what came of it: name to number. options: those of bench_push."""
    command = [binary("isal", "bench_push")]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), value]
    done = subprocess.run(pinned(core, *command, port, *files), check=True, timeout=600,
                          stdout=subprocess.PIPE)
    return {name: float(value) for name, value in
            (word.split("=") for word in done.stdout.decode().split())}


class Daemon(harness.Daemon):
    """vpcflowd, listening, that takes any payloads of a set."""

    def __init__(self, folder, *options, core=MEASURED, **how):
        super().__init__(folder, "-q", *options, binary=binary("isal", "vpcflowd"),
                         launcher=pinned(core), **how)

    @property
    def port(self):
        return self.address[1]

    def load(self, files, flows, **options):
        """Pushes, until every flow has gone to the output."""
        before = processor_seconds(self.process.pid)
        told = push(self.port, files, **options)
        self.wait_stats(output0_flows=flows)
        cpu = processor_seconds(self.process.pid) - before
        if self.stats()["flows"] != flows:
            sys.exit("bench: flows were lost")
        return Run(flows, cpu, told["seconds"], self.peak_memory(), told)


class Process:
    """Another listener, which writes its port into a file once it listens."""

    def __init__(self, folder, command, port_file):
        self.port_file = os.path.join(folder, port_file)
        self.out_path = os.path.join(folder, "out")
        self.err_path = os.path.join(folder, "err")
        self.command = pinned(MEASURED, *command)
        self.process = None

    def __enter__(self):
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=err)
        harness.wait_for("port", self.address)
        return self

    def __exit__(self, *exception):
        self.process.terminate()
        self.process.wait(30)

    def address(self):
        if self.process.poll() is not None:
            with open(self.err_path, encoding="latin-1") as err:
                sys.exit(f"bench: {self.command[3]} did not start: {err.read()[-2000:]}")
        try:
            with open(self.port_file, encoding="ascii") as file:
                return file.read().strip()
        except FileNotFoundError:
            return None

    @property
    def port(self):
        return int(self.address().rsplit(":", 1)[-1])


def wait_size(path, size):
    """Until a file has so many octets; looks often, as the time counts."""
    until = time.monotonic() + 120
    while not os.path.exists(path) or os.stat(path).st_size < size:
        if time.monotonic() > until:
            sys.exit(f"bench: {path} does not get {size} octets")
        time.sleep(0.001)
