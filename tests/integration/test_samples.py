# SPDX-License-Identifier: Apache-2.0
"""AWS's own samples: every way in gives the same lines, and those that Python works out."""
import glob
import gzip
import json
import os

import pytest

import harness
import payloads

SAMPLES = sorted(glob.glob(os.path.join(harness.DATA, "*.json")))


def sample(path):
    with open(path, "rb") as file:
        octets = file.read()
    return octets, payloads.ftsq_lines(payloads.messages_in(json.loads(octets)))


def test_there_are_samples():
    assert len(SAMPLES) >= 5


@pytest.mark.parametrize("path", SAMPLES, ids=os.path.basename)
def test_every_way_in_gives_the_same_lines(served, path):
    octets, expected = sample(path)
    assert harness.read(files=[path]).lines == expected
    assert harness.read(stdin=octets).lines == expected
    assert harness.read(stdin=gzip.compress(octets)).lines == expected
    served.push(octets)
    assert served.ask("sample", octets) == f"ACK sample {len(expected)}"
    assert served.terminate() == expected + expected


def test_all_samples_in_one_run():
    expected = [line for path in SAMPLES for line in sample(path)[1]]
    result = harness.read(files=SAMPLES)
    assert result.lines == expected
    assert result.summary["flows"] == len(expected)
    assert result.summary["files"] == len(SAMPLES)


def test_documented_records_of_every_format(tmp_path):
    with open(os.path.join(harness.DATA, "aws-docs-records.tsv"), encoding="ascii") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    assert len(rows) > 20
    data = b""
    expected = []
    for _, fields, line in rows:
        data += gzip.compress(payloads.with_header([line], fields.split()))
        expected += payloads.ftsq_lines([line], fields.split())
    assert harness.read(stdin=data).lines == expected
