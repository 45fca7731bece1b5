# SPDX-License-Identifier: Apache-2.0
"""
The benchmark works: a quick run of it makes every figure. What the figures are is nobody's business
here, as a test that looks at the clock fails when somebody else is busy.
"""
import csv
import os
import shutil
import subprocess
import xml.etree.ElementTree as tree

import pytest

import harness

ROOT = os.path.dirname(os.path.dirname(harness.DATA))
# Table to rows and columns, each of which must be there.
TABLES = {
    "in memory": (13, 4),
    "in memory, by payload": (8, 6),
    "in memory, built with zlib": (6, 2),
    "over loopback": (5, 5),
    "over loopback, by events a payload": (4, 3),
    "over loopback, by connections": (2, 3),
    "reader asleep, with a spool": (6, 3),
    "workers": (4, 3),
    "uncompressed messages to ftsq, one a connection": (3, 3),
    "lines to a csv file": (2 if shutil.which("rsyslogd", path="/usr/sbin") else 1, 3),
}
AIMS = 18


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Where a quick run has written, and what it has printed."""
    out = tmp_path_factory.mktemp("bench")
    done = subprocess.run(
        ["/usr/bin/python3", os.path.join(ROOT, "tests", "bench", "main.py"), "--quick", "--out", out,
         "--build", os.path.dirname(harness.BINARY)],
        check=False, timeout=240, env=harness.environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
    return out, done.stdout.decode()


def test_every_figure_is_there(quick):
    with open(quick[0] / "results.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["median"]) > 0 or row["column"] == "itself" for row in rows), rows
    aims = [row for row in rows if row["section"] == "aimed at"]
    assert len(aims) == AIMS and all(row["verdict"] in ("ok", "over", "busy") for row in aims)
    for table, (height, width) in TABLES.items():
        mine = [row for row in rows if row["section"] == table]
        assert len({row["row"] for row in mine}) == height, table
        assert len({row["column"] for row in mine}) == width, table


def test_tables_say_what_the_csv_says(quick):
    printed = "\n" + quick[1]
    markdown = (quick[0] / "speed.md").read_text(encoding="utf-8")
    for title in ["aimed at", *TABLES]:
        assert f"\n{title} " in printed and f"| {title} |" in markdown, title
    with open(quick[0] / "results.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert f"\n{row['row']} " in printed and f"| {row['row']} |" in markdown, row


def test_picture_has_every_bar(quick):
    texts = [e.text for e in tree.parse(quick[0] / "speed.svg").iter() if e.tag.endswith("tspan")]
    for bar in ("inflating alone, zlib", "gzip to ftsq", "gzip to ipfix", "2016 script, 1 KiB reads",
                "vpcflowd, gzip and ACK"):
        assert bar in [text and text.strip() for text in texts], texts


def test_script_of_2016_prints_what_vpcflowd_does(quick):
    """Both get a payload of the benchmark."""
    path = quick[0] / "payloads" / "v2-10000" / "0000.json"
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import listener2016; "
            "listener2016.print_joined(open(sys.argv[2], 'rb').read())")
    script = subprocess.run(["/usr/bin/python3", "-c", code, os.path.join(ROOT, "tests", "bench"), path],
                            check=True, timeout=60, stdout=subprocess.PIPE)
    lines = harness.read(files=[path]).lines
    assert len(lines) == 1000 and script.stdout.decode().splitlines() == lines
