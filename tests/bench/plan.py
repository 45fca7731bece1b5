# SPDX-License-Identifier: Apache-2.0
"""
How much is measured, what tables and rows are called, and runs by turns. What is compared is measured
round after round, so that what the machine does meanwhile meets all of it; ratios are of one round each.
"""
import contextlib
import sys
import tempfile

from programs import MIB

FORMATS = {"ftsq": 1.6, "csv": 2.0, "json": 2.3, "ipfix": 1.6, "ipfix-csv": None}
# Stage to the one before it, whose cost is part of its own.
BEFORE = {"scan": "inflate", "events": "scan", "parse": "events", "filter": "parse",
          **{name: "parse" for name in FORMATS}}
STAGES = {
    "inflate": "inflating alone, ISA-L", "inflate-zlib": "inflating alone, zlib",
    "scan": "… and its JSON scanned", "events": "… and its events found",
    "parse": "… and records parsed", "filter": "… and three terms of a filter asked",
    **{name: f"to {name}" for name in FORMATS},
    "ftsq-unframed": "to ftsq, unframed", "ftsq-watched": "to ftsq, watched (--http)",
}
# Tables, a column, a row.
MEMORY = "in memory"
ALL = "all up to here"
KINDS = "in memory, by payload"
WITH_ZLIB = "in memory, built with zlib"
LOOPBACK = "over loopback"
ALONE = "framed, ACK, one connection"
SIZES = "over loopback, by events a payload"
CROWDS = "over loopback, by connections"
ASLEEP = "reader asleep, with a spool"
WORKERS = "workers"
MESSAGES = "uncompressed messages to ftsq, one a connection"
LINES = "lines to a csv file"
V2 = "v2-10000"  # the payloads of most tables
SINK = ("-o", "ftsq:/dev/null")
CONNECTIONS, WINDOW = 10, 8


class Plan:
    """How much is measured; sets: name to payload_sets.Set, made."""

    def __init__(self, sets, quick):
        self.sets = sets
        self.quick = quick
        self.rounds = 1 if quick else 5
        self.sample_ms = 1 if quick else 40
        self.flows = 4000 if quick else 2000000
        # What is slow gets less to do.
        self.slow_flows = 1000 if quick else 100000
        self.idle = 0.1 if quick else 2  # seconds
        self.crowds = (1, 10) if quick else (1, 10, 100, 1000)

    def payloads(self, name, flows=None):
        return (flows or self.flows) // self.sets[name].events


def say(text):
    print(f"    {text}", file=sys.stderr, flush=True)


def ratios(above, below):
    return [a / b for a, b in zip(above, below)]


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="vpcflowd-bench-") as path:
        yield path


class Series:
    """Runs of several kinds, by turns: kind to its runs, in the order of the rounds."""

    def __init__(self, rounds, kinds, run):
        self.runs = {kind: [] for kind in kinds}
        for turn in range(rounds):
            for kind in kinds:
                self.runs[kind].append(run(kind))
            say(f"round {turn + 1} of {rounds}")

    def cpu(self, kind):
        """Processor seconds for a million flows."""
        return [1e6 * run.cpu / run.flows for run in self.runs[kind]]

    def rate(self, kind):
        return [run.flows / run.seconds for run in self.runs[kind]]

    def share(self, kind, cores=1):
        """Of its cores it got this part."""
        return [run.cpu / run.seconds / cores for run in self.runs[kind]]

    def memory(self, kind):
        return [run.memory / MIB for run in self.runs[kind]]

    def told(self, kind, name):
        return [run.more[name] for run in self.runs[kind]]

    def show(self, figures, section, memory=True):
        for kind in self.runs:
            figures.add(section, kind, "per million flows", "CPU s", self.cpu(kind))
            figures.add(section, kind, "flows/s", "flows/s", self.rate(kind))
            if memory:
                figures.add(section, kind, "peak RSS", "MiB", self.memory(kind))
