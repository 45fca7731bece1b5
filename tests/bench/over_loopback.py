# SPDX-License-Identifier: Apache-2.0
"""The daemon over loopback, on one core, with the load on another: each way in, and with workers."""
import os
import shutil
import statistics
import subprocess
import sys
import time

import programs
import secure
from plan import ALONE, CONNECTIONS, LOOPBACK, SINK, V2, WINDOW, WORKERS, Series, folder, ratios
from programs import Daemon


def daemon(plan, figures):
    """The daemon over loopback, a core for it and one for the load."""
    with folder() as place:
        certificates = secure.Certificates(os.path.join(place, "certificates"))
        ways = {
            "unframed": ({"way": "stream"}, ()),
            ALONE: ({"connections": 1}, ()),
            "framed, ACK": ({}, ()),
            "framed, ACK, spool": ({}, ("--spool", os.path.join(place, "spool"))),
            "framed, ACK, TLS": ({"tls_ca": certificates.pem("ca")}, certificates.listener()),
        }
        memory = {"ftsq": [], "ftsq-unframed": []}

        def run(kind):
            if kind == "unframed":
                # Beside it, in the same round, what the same costs without a daemon.
                got = programs.pipeline("isal", [plan.sets[V2]], 1, plan.sample_ms, memory)
                for stage, samples in memory.items():
                    samples += got[V2, stage]
            options, settings = ways[kind]
            with folder() as own, Daemon(own, *SINK, *settings) as listener:
                done = listener.load(plan.sets[V2].files, plan.flows, payloads=plan.payloads(V2),
                                     **{"connections": CONNECTIONS, "window": WINDOW, **options})
            shutil.rmtree(os.path.join(place, "spool"), ignore_errors=True)
            return done

        series = Series(plan.rounds, ways, run)
        show_daemon(figures, series, memory, sync_times(place, plan))


def show_daemon(figures, series, memory, sync):
    series.show(figures, LOOPBACK)
    for kind in list(series.runs)[1:]:
        figures.add(LOOPBACK, kind, "PUT to ACK, half within", "ms", series.told(kind, "p50_ms"))
        figures.add(LOOPBACK, kind, "99 % within", "ms", series.told(kind, "p99_ms"))
    framed = series.cpu("framed, ACK")
    spooled = ratios(series.rate("framed, ACK, spool"), series.rate("framed, ACK"))
    load = max(run.more["own_seconds"] / run.seconds
               for runs in series.runs.values() for run in runs)
    sync = [1000 * s for s in sorted(sync)]
    figures.note(LOOPBACK, f"With a spool {100 * statistics.median(spooled):.0f} % of the flows a "
                 f"second without. An fdatasync of as many octets as a payload has takes the disk "
                 f"{sync[len(sync) // 2]:.1f} ms, 99 % of them at most "
                 f"{sync[len(sync) * 99 // 100]:.1f} ms. The load took at most {100 * load:.0f} % of "
                 f"its core.")
    for kind, peers in (ALONE, "one connection"), ("framed, ACK", f"{CONNECTIONS} connections"):
        figures.aim(f"daemon's CPU a flow, framed with ACK, {peers}, × its pipeline in memory", "x",
                    [1000 * c / m for c, m in zip(series.cpu(kind), memory["ftsq"])], 1.3)
    figures.aim("unframed, × framed, CPU over loopback", "x",
                ratios(series.cpu("unframed"), framed), 1.1)
    figures.aim("peak RSS at full load, one worker (the largest of these ways)", "MiB",
                [max(s) for s in zip(*(series.memory(kind) for kind in series.runs))], 64)


def sync_times(place, plan):
    """Seconds of appends as large as a payload, and their fdatasync."""
    octets = os.stat(plan.sets[V2].files[0]).st_size
    path, times = os.path.join(place, "sync"), []
    with open(path, "wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * octets)
            begin = time.monotonic()
            os.fdatasync(file.fileno())
            times.append(time.monotonic() - begin)
    return times


def workers(plan, figures):
    """One worker on one core, two on two."""
    files = plan.sets[V2].files
    cores = programs.CORES[:2]
    many = plan.flows * (1 if plan.quick else 3)

    def read(count):
        times = many // plan.sets[V2].records or 1
        command = [programs.binary("isal", "vpcflowd"), "-q", "--workers", count, *SINK, "--read"]
        begin = time.monotonic()
        process = subprocess.Popen(programs.pinned(cores[:count], *command, *files * times))
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit("bench: --read failed")
        # Its peak memory would be that of this process, which it was forked from.
        return programs.Run(times * plan.sets[V2].records, usage.ru_utime + usage.ru_stime,
                            seconds, 0, {})

    series = Series(plan.rounds, (1, 2), read)
    one, two = series.rate(1), series.rate(2)
    shares = series.share(1, 1), series.share(2, 2)
    series.runs = {f"--read, {count} on as many cores": runs for count, runs in series.runs.items()}
    series.show(figures, WORKERS, memory=False)
    figures.aim("two workers on two cores, --read, × one on one", "x", ratios(two, one), 1.85,
                least=True, shares=shares)

    def listen(count):
        with folder() as own, Daemon(own, *SINK, "--workers", count, core=cores) as listener:
            return listener.load(files, plan.flows, core=cores, connections=4 * CONNECTIONS,
                                 window=WINDOW, payloads=plan.payloads(V2))

    series = Series(plan.rounds, (1, 2), listen)
    series.runs = {f"framed with ACK, {count}, and the load, on two cores": runs
                   for count, runs in series.runs.items()}
    series.show(figures, WORKERS)
