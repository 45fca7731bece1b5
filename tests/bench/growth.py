# SPDX-License-Identifier: Apache-2.0
"""How the daemon's costs grow: with the size of payloads, with connections, and with what waits."""
import contextlib
import os
import subprocess
import time

import programs
from plan import (ASLEEP, CONNECTIONS, CROWDS, SINK, SIZES, V2, WINDOW, Series, folder, ratios)
from programs import Daemon, MIB


def scaling(plan, figures):
    """With the size of payloads, connections, and what waits."""
    sizes = ["v2-100", "v2-1000", V2, "v2-50000"]

    def of_size(name):
        flows = max(plan.flows, plan.sets[name].records)
        with folder() as own, Daemon(own, *SINK) as listener:
            return listener.load(plan.sets[name].files, flows, connections=CONNECTIONS,
                                 window=WINDOW, payloads=plan.payloads(name, flows))

    series = Series(plan.rounds, sizes, of_size)
    title = {name: plan.sets[name].title for name in sizes}
    series.runs = {title[name]: runs for name, runs in series.runs.items()}
    series.show(figures, SIZES)
    figures.aim("100 events a payload, × 10,000, CPU over loopback", "x",
                ratios(series.cpu(title["v2-100"]), series.cpu(title[V2])), 1.5)

    def crowd(count):
        room = ["--max-connections", 4096, "--max-connections-per-address", 4096]
        with folder() as own, Daemon(own, *SINK, *room) as listener:
            return listener.load(plan.sets["v2-1000"].files, plan.flows, connections=count,
                                 window=WINDOW, payloads=plan.payloads("v2-1000"))

    series = Series(plan.rounds, plan.crowds, crowd)
    series.runs = {f"{count:,}": runs for count, runs in series.runs.items()}
    series.show(figures, CROWDS)
    backlog(plan, figures)


class Backlog:
    """A spool fills up while who reads the output sleeps; then all of it is read."""

    STEPS = 5

    def __init__(self, plan):
        self.plan = plan
        self.flows = plan.flows // 4 if not plan.quick else plan.flows // 2
        self.payloads = plan.payloads(V2, self.flows)

    def run(self, _):
        """CPU seconds for a million flows: of each step's taking, and of the delivery of all."""
        files, steps = self.plan.sets[V2].files, self.STEPS
        with folder() as own, Daemon(own, "--spool", os.path.join(own, "spool"), "-o", "ftsq:-",
                                     pipe=True) as listener:
            cpu = [programs.processor_seconds(listener.process.pid)]
            for step in range(steps):
                programs.push(listener.port, files, payloads=self.payloads, window=WINDOW,
                              number=step * self.payloads, connections=CONNECTIONS)
                cpu.append(programs.processor_seconds(listener.process.pid))
            begin = time.monotonic()
            reader = subprocess.Popen(programs.pinned(programs.LOADING, "cat"),
                                      stdin=listener.pipe.read_end, stdout=subprocess.DEVNULL)
            listener.wait_stats(output0_flows=steps * self.flows)
            took = time.monotonic() - begin
            cpu.append(programs.processor_seconds(listener.process.pid))
            peak = listener.peak_memory()
            listener.terminate()
            reader.wait(60)
        costs = [1e6 * (b - a) / self.flows for a, b in zip(cpu, cpu[1:])]
        costs[-1] /= steps
        return costs, steps * self.flows / took, peak / MIB


def asleep(plan):
    """CPU milliseconds in a second of waiting for a reader that sleeps, with peers that wait too."""
    with folder() as own, Daemon(own, "-o", "ftsq:-", pipe=True) as listener:
        octets = b"".join(open(path, "rb").read() for path in plan.sets[V2].files)
        with contextlib.ExitStack() as stack:
            for _ in range(CONNECTIONS):
                peer = stack.enter_context(listener.connect())
                peer.socket.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    peer.socket.send(octets)
            settle(listener.process.pid)
            before = programs.processor_seconds(listener.process.pid)
            time.sleep(plan.idle)
            spent = programs.processor_seconds(listener.process.pid) - before
        listener.pipe.start_reading()
    return 1000 * spent / plan.idle


def settle(pid):
    """Until a process has had nothing to do for a while, or ten seconds."""
    before, quiet = -1.0, 0
    for _ in range(500):
        now = programs.processor_seconds(pid)
        quiet = quiet + 1 if now == before else 0
        if quiet == 5:
            return
        before = now
        time.sleep(0.02)


def backlog(plan, figures):
    work = Backlog(plan)
    runs = Series(plan.rounds, ["backlog"], work.run).runs["backlog"]
    for step in range(work.STEPS):
        waiting = step * work.flows / 1e6
        figures.add(ASLEEP, f"taking, while {waiting:g} million flows wait", "per million flows",
                    "CPU s", [costs[step] for costs, _, _ in runs])
    row = f"delivering the {work.STEPS * work.flows / 1e6:g} million afterwards"
    figures.add(ASLEEP, row, "per million flows", "CPU s", [costs[-1] for costs, _, _ in runs])
    figures.add(ASLEEP, row, "flows/s", "flows/s", [rate for _, rate, _ in runs])
    figures.add(ASLEEP, row, "peak RSS", "MiB", [peak for _, _, peak in runs])
    idle = asleep(plan)
    figures.note(ASLEEP, f"Without a spool, with a reader that sleeps and {CONNECTIONS} peers that "
                 f"wait: {idle:.1f} ms of CPU in a second.")
