#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Measures what scripts/bench has built, and writes down what came of it: tables to standard output,
results.csv, speed.md and speed.svg into the folder --out, progress to standard error.
"""
import argparse
import datetime
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import time

import growth
import in_memory
import others
import over_loopback
import picture
import plan
import programs
from figures import Figures
from payload_sets import all_sets

DESCRIPTORS = 8192
ROOT = programs.ROOT
SECTIONS = {each.__name__: each for each in (
    in_memory.stages, in_memory.zlib, over_loopback.daemon, growth.scaling, over_loopback.workers,
    others.others)}
# Which files get which tables by --record; none named: all.
RECORDED = {
    "README.md": ("aimed at", plan.LOOPBACK, plan.MESSAGES, plan.LINES),
    "tests/bench/README.md": (),
}
MARKS = "<!-- measured by scripts/bench -->\n", "<!-- end of what was measured -->\n"


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=SECTIONS, default=[])
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "bench"))
    parser.add_argument("--build", help="what to measure, instead of the builds in build/bench; "
                        "for tests")
    args = parser.parse_args()
    if args.record and (args.quick or args.only or args.build):
        parser.error("--record takes a whole run")
    if args.build:
        programs.builds = dict.fromkeys(programs.builds, os.path.abspath(args.build))
    return args


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def machine():
    """In words, and what else was going on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        text = file.read()
    model = re.search(r"model name\s*:\s*(.+)", text)
    # What vendors put beside the name tells nobody anything.
    name = re.sub(r"\((R|TM)\)| CPU|  +", "", model.group(1)) if model else platform.machine()
    virtual = "A virtual machine: " if re.search(r"^flags.*\bhypervisor\b", text, re.M) else ""
    compiler = subprocess.run(["gcc", "-dumpfullversion"], check=True, stdout=subprocess.PIPE)
    release = platform.freedesktop_os_release()
    return (f"{virtual}{len(programs.CORES)} cores of {name}, {release['NAME']} "
            f"{release.get('VERSION_ID', '')}, gcc {compiler.stdout.decode().strip()}")


def tell(amount, loads):
    """The line below the tables."""
    if amount.quick:
        return "A quick run: these figures mean nothing.\n"
    day = datetime.date.today().strftime("%B %Y")
    return (f"{machine()}, {day}. Payloads have 10,000 version 2 events where no other number stands; "
            f"over loopback {plan.CONNECTIONS} connections send {plan.WINDOW} of them ahead of their "
            f"answers. Medians of {amount.rounds} rounds; ± is how far from it the farthest round was. "
            f"Load of the machine {loads[0]:.1f} before and {loads[1]:.1f} after.\n")


def more_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def make_sets(args):
    say("payloads")
    sets = all_sets(args.quick)
    for each in sets.values():
        each.make(os.path.join(args.out, "payloads"))
    return sets


def record(path, markdown):
    """Puts the tables in the place of those that a document has between the marks."""
    path = os.path.join(ROOT, path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    begin, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[:begin] + "\n" + markdown + "\n" + text[end:])


def write_down(args, figures, told):
    figures.write_csv(os.path.join(args.out, "results.csv"))
    with open(os.path.join(args.out, "speed.md"), "w", encoding="utf-8") as file:
        file.write(figures.markdown() + "\n" + told)
    print(figures.markdown() if args.markdown else figures.text())
    print(told)
    drawn = picture.draw(figures, args.out)
    if args.record:
        for path, only in RECORDED.items():
            record(path, figures.markdown(only) + "\n" + told)
        os.replace(drawn, os.path.join(ROOT, "tests", "bench", "speed.svg"))


def main():
    args = arguments()
    # An order to end is an exception, so that what runs meanwhile is ended as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended by TERM"))
    os.makedirs(args.out, exist_ok=True)
    more_descriptors()
    amount = plan.Plan(make_sets(args), args.quick)
    figures = Figures()
    loads = [os.getloadavg()[0]]
    for name, section in SECTIONS.items():
        if not args.only or name in args.only:
            say(section.__doc__.split("\n", 1)[0].rstrip("."))
            begin = time.monotonic()
            section(amount, figures)
            plan.say(f"{time.monotonic() - begin:.0f} s")
    loads.append(os.getloadavg()[0])
    write_down(args, figures, tell(amount, loads))


if __name__ == "__main__":
    main()
