#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What durable acknowledgements cost: flows a second with and without --spool, the time from a PUT to
its ACK, and beside it what the disk itself needs for an fdatasync of as many octets.
"""
import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "integration"))

import harness  # noqa: E402
import payloads  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default=harness.RELEASE or harness.BINARY,
                        help="vpcflowd to measure (default: $VPCFLOWD_RELEASE)")
    parser.add_argument("--folder", help="where the spool is; its disk counts (default: a new "
                        "folder in $TMPDIR)")
    parser.add_argument("--output", default="ftsq:/dev/null", help="default: %(default)s")
    parser.add_argument("--connections", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--ahead", type=int, default=8,
                        help="PUTs that a peer sends before their answers (default: %(default)s)")
    parser.add_argument("--records", type=int, default=5000,
                        help="in a payload (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="of a run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3,
                        help="runs of each kind, by turns; the median counts "
                        "(default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="payloads without gzip")
    return parser.parse_args()


class Payloads:
    """Any number of payloads, no two alike, of which all but one record is packed beforehand."""

    def __init__(self, records, plain):
        self.records = records
        pack = (lambda octets: octets) if plain else payloads.zipped
        self.pack = pack
        self.body = pack(payloads.plain(payloads.noisy_records(records - 1)))
        self.lock = threading.Lock()
        self.octets = len(self.body)

    def next(self):
        with self.lock:
            line = payloads.record()
        return self.body + self.pack(payloads.plain([line]))


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def one_peer(daemon, makes, args, until, latencies):
    flying, flows = [], 0
    with daemon.connect(timeout=60) as peer:
        while flying or time.monotonic() < until:
            if len(flying) < args.ahead and time.monotonic() < until:
                peer.put("p", makes.next())
                flying.append(time.monotonic())
                continue
            word, _, count = peer.reply().split()
            assert word == "ACK", word
            latencies.append(time.monotonic() - flying.pop(0))
            flows += int(count)
    return flows


def run(args, makes, folder, options):
    latencies = []
    with harness.Daemon(folder, "-o", args.output, *options, binary=args.binary) as daemon:
        begin = time.monotonic()
        flows = harness.in_threads(args.connections, lambda n: one_peer(
            daemon, makes, args, begin + args.seconds, latencies))
        return sum(flows) / (time.monotonic() - begin), latencies


def sync_times(folder, octets, count=100):
    """Seconds of each of so many appends and their fdatasync."""
    path, times = os.path.join(folder, "sync"), []
    with open(path, "wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * octets)
            begin = time.monotonic()
            os.fdatasync(file.fileno())
            times.append(time.monotonic() - begin)
    os.unlink(path)
    return times


def line(name, rate, latencies):
    rates = f"{rate:12,.0f}" if rate else f"{'':12}"
    return (f"{name:22}{rates}{1000 * percentile(latencies, 0.5):10.1f}"
            f"{1000 * percentile(latencies, 0.99):10.1f}")


def main():
    args = arguments()
    makes = Payloads(args.records, args.plain)
    rates = {"without --spool": [], "with --spool": []}
    latencies = {name: [] for name in rates}
    with contextlib.ExitStack() as stack:
        folder = args.folder or stack.enter_context(tempfile.TemporaryDirectory())
        for turn in range(args.rounds):
            for name in rates:
                spool = os.path.join(folder, f"spool-{turn}")
                options = ("--spool", spool) if name == "with --spool" else ()
                with tempfile.TemporaryDirectory() as own:
                    rate, took = run(args, makes, own, options)
                rates[name].append(rate)
                latencies[name] += took
        sync = sync_times(folder, makes.octets)
    print(f"{args.connections} connections, {args.ahead} PUTs ahead, {args.records} records of "
          f"{makes.octets} octets a payload, {args.rounds} runs of {args.seconds:g} s")
    print(f"{'':22}{'flows/s':>12}{'p50 ms':>10}{'p99 ms':>10}")
    for name, values in rates.items():
        print(line(name, percentile(values, 0.5), latencies[name]))
    print(line("fdatasync alone", 0, sync))
    without, durable = (percentile(values, 0.5) for values in rates.values())
    print(f"durable: {100 * durable / without:.0f} % of the flows a second without")


if __name__ == "__main__":
    main()
