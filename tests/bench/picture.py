# SPDX-License-Identifier: Apache-2.0
"""
The README's picture: what gnuplot draws of the figures, as SVG. Its ink follows the reader's choice of
a light or a dark page, which gnuplot cannot say, so it draws in one colour that is exchanged here.
"""
import os
import subprocess

import plan

HERE = os.path.dirname(os.path.abspath(__file__))
STYLE = """<style>
svg { color: #1f2328; }
@media (prefers-color-scheme: dark) { svg { color: #e6edf3; } }
</style>
"""
# As gnuplot writes its black.
BLACK = ("'black'", '"black"')
FORMATS = ("ftsq", "csv", "json", "ipfix")
LISTENERS = (
    (plan.MESSAGES, "2016 script, 1 KiB reads, appended", "2016 script, 1 KiB reads"),
    (plan.MESSAGES, "2016 script, 64 KiB reads, joined", "2016 script, 64 KiB reads"),
    (plan.MESSAGES, "vpcflowd", "vpcflowd, the same to ftsq"),
    (plan.LINES, "rsyslog", "rsyslog, lines to csv"),
    (plan.LINES, "vpcflowd", "vpcflowd, the same to csv"),
    (plan.LOOPBACK, "framed, ACK, spool",
     "vpcflowd, gzip, ACK and spool"),
    (plan.LOOPBACK, "framed, ACK",
     "vpcflowd, gzip and ACK"),
)


def stage_rows(figures):
    """Name and nanoseconds of inflating, JSON, parsing and encoding: a line a bar."""
    def median(stage, column="itself"):
        return figures.find(plan.MEMORY, plan.STAGES[stage], column).median

    for engine in "inflate-zlib", "inflate":
        yield f'"{plan.STAGES[engine]}"', median(engine, plan.ALL), 0, 0, 0
    for name in FORMATS:
        yield (f'"gzip {plan.STAGES[name]}"', median("inflate", plan.ALL),
               median("scan") + median("events"), median("parse"), median(name))


def listener_rows(figures):
    for section, row, name in LISTENERS:
        figure = figures.find(section, row, "flows/s")
        if figure:
            yield f'"{name}"', figure.median / 1e6


def draw(figures, out):
    """Writes speed.svg; its path, or None when not all that it shows was measured."""
    if not {plan.MEMORY, plan.LOOPBACK, plan.MESSAGES} <= set(figures.sections()):
        return None
    for name, rows in ("stages", stage_rows(figures)), ("listeners", listener_rows(figures)):
        with open(os.path.join(out, name + ".dat"), "w", encoding="utf-8") as file:
            for row in rows:
                file.write(" ".join(map(str, row)) + "\n")
    path = os.path.join(out, "speed.svg")
    subprocess.run(["gnuplot", "-e", f"folder='{out}'", os.path.join(HERE, "speed.gnuplot")],
                   check=True)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for black in BLACK:
        text = text.replace(black, black.replace("black", "currentColor"))
    title = "<title>How fast vpcflowd is: CPU time an event, and flows a second</title>"
    text = text.replace("<title>Gnuplot</title>", STYLE + title, 1)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
