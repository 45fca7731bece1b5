# SPDX-License-Identifier: Apache-2.0
"""Payloads as large as they come."""
import csv

import pytest

import harness
import payloads


@pytest.fixture(scope="module")
def large():
    """Records, and their CloudWatch message as more than a mebibyte of gzip."""
    lines = payloads.noisy_records(40_000)
    octets = payloads.zipped(payloads.decoded(lines), 1)
    assert len(octets) > harness.MIB
    return lines, octets


def test_framed_and_unframed_to_several_outputs(start, tmp_path, large):
    lines, octets = large
    with start("-o", "ftsq", "-o", f"csv:{tmp_path}/c", "-o", f"json:{tmp_path}/j", "-o",
               f"ipfix-csv:{tmp_path}/i") as daemon:
        daemon.push(octets, 60_000)
        assert daemon.ask("big", octets) == f"ACK big {len(lines)}"
        assert daemon.stats()["flows"] == 2 * len(lines)
        assert daemon.terminate() == payloads.ftsq_lines(lines) * 2
    with open(tmp_path / "c", encoding="ascii", newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == 2 * len(lines)
    for name, count in ("j", 2 * len(lines)), ("i", 2 * len(lines) + 1):
        with open(tmp_path / name, encoding="ascii") as file:
            assert sum(1 for _ in file) == count


def test_lambda_event_of_the_largest_size(served, large):
    lines, octets = large
    event = payloads.lambda_event_of(octets)
    assert served.ask("big", event) == f"ACK big {len(lines)}"
    served.push(event)
    assert served.terminate() == payloads.ftsq_lines(lines) * 2


def test_read_of_a_large_s3_object(large):
    lines, _ = large
    object_ = payloads.zipped(payloads.with_header(lines), 1)
    assert harness.read(stdin=object_).lines == payloads.ftsq_lines(lines)


def test_plain_lines_stream_beyond_the_limit_of_a_payload(start, large):
    lines, _ = large
    octets = payloads.plain(lines)
    with start("--max-payload", "1M", "--max-inflated", "1M", "--max-in-flight", "1M") as daemon:
        assert len(octets) > 2 * harness.MIB
        daemon.push(octets)
        daemon.push(payloads.zipped(octets, 1))
        assert daemon.terminate() == payloads.ftsq_lines(lines) * 2
