# SPDX-License-Identifier: Apache-2.0
"""What people use instead, on the same payloads and one core: the script of 2016, and rsyslog."""
import os
import shutil
import sys
import time

import programs
from plan import LINES, MESSAGES, SINK, V2, Series, folder, ratios
from programs import Daemon

SCRIPT = os.path.join(programs.ROOT, "tests", "bench", "listener2016.py")


def others(plan, figures):
    """What people use instead, on the same payloads, a core each."""
    messages = plan.sets[V2].plain_files("json")
    size = plan.sets[V2].events
    script = {"2016 script, 1 KiB reads, appended": (),
              "2016 script, 64 KiB reads, joined": ("--joined",)}
    flows = {name: max(plan.slow_flows * 4 if options else plan.slow_flows // 2, size)
             for name, options in script.items()}

    def run(kind):
        with folder() as own:
            if kind == "vpcflowd":
                with Daemon(own, *SINK) as listener:
                    return listener.load(messages, plan.flows, way="each", connections=2,
                                         payloads=plan.payloads(V2))
            command = ["/usr/bin/python3", SCRIPT, os.path.join(own, "ready"), *script[kind]]
            with programs.Process(own, command, "ready") as listener:
                pid = listener.process.pid
                before = programs.processor_seconds(pid)
                told = programs.push(listener.port, messages, way="each", connections=2,
                                     payloads=flows[kind] // size)
                done = programs.Run(flows[kind], programs.processor_seconds(pid) - before,
                                    told["seconds"], programs.peak_memory(pid), told)
            with open(listener.out_path, "rb") as out:
                if sum(1 for _ in out) != flows[kind]:
                    sys.exit("bench: the script has not printed every flow")
            return done

    series = Series(plan.rounds, (*script, "vpcflowd"), run)
    series.show(figures, MESSAGES)
    rate = {kind: series.rate(kind) for kind in series.runs}
    for (name, limit) in zip(reversed(script), (10, 60)):
        figures.aim(f"flows/s, × {name}", "x", ratios(rate["vpcflowd"], rate[name]), limit,
                    least=True, shares=(series.share("vpcflowd"), series.share(name)))
        figures.aim(f"flows in a second of CPU, × {name}", "x",
                    ratios(series.cpu(name), series.cpu("vpcflowd")), limit, least=True)
    lines_to_csv(plan, figures)


def lines_to_csv(plan, figures):
    """rsyslog, where it is installed, as it knows lines and no messages of CloudWatch Logs."""
    files = plan.sets[V2].plain_files("lines")
    rsyslogd = shutil.which("rsyslogd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    flows = {"vpcflowd": plan.flows, "rsyslog": plan.slow_flows * (1 if plan.quick else 2)}

    def measure(listener, kind, path):
        each = plan.sets[V2].records
        times = max(1, flows[kind] // each)
        before = programs.processor_seconds(listener.process.pid)
        begin = time.monotonic()
        told = programs.push(listener.port, files, way="stream", payloads=times * len(files))
        programs.wait_size(path, told["octets"])
        seconds = time.monotonic() - begin
        return programs.Run(times * each, programs.processor_seconds(listener.process.pid) - before,
                            seconds, programs.peak_memory(listener.process.pid), told)

    def run(kind):
        with folder() as own:
            path = os.path.join(own, "flows.csv")
            if kind == "vpcflowd":
                with Daemon(own, "-o", "csv:" + path) as listener:
                    return measure(listener, kind, path)
            return measure_rsyslog(own, rsyslogd, lambda p: measure(p, kind, path))

    kinds = ["rsyslog", "vpcflowd"] if rsyslogd else ["vpcflowd"]
    Series(plan.rounds, kinds, run).show(figures, LINES)
    if not rsyslogd:
        figures.note(LINES, "rsyslog is not installed here.")


def measure_rsyslog(own, rsyslogd, measure):
    with open(os.path.join(os.path.dirname(SCRIPT), "rsyslog.conf"), encoding="utf-8") as file:
        text = file.read().replace("FOLDER", own)
    conf = os.path.join(own, "rsyslog.conf")
    with open(conf, "w", encoding="utf-8") as file:
        file.write(text)
    with programs.Process(own, [rsyslogd, "-n", "-iNONE", "-f", conf], "port") as listener:
        return measure(listener)
