# SPDX-License-Identifier: Apache-2.0
"""What the documents list is what the program has."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def test_numbers_of_aws_elements():
    rows = re.findall(r'X\(\w+, "([a-z0-9-]+)",\s*\w+,\s*(\d+)\)',
                      text_of("listener", "flow", "fields.h"))
    table = {int(number): name for name, number in rows if number != "0"}
    listed = re.findall(r"\b(1\d{3})\s([a-z0-9-]+)[,;.]", text_of("listener", "encode", "README.md"))
    assert len(rows) == 72 and len(table) == 60
    assert {int(number): name for number, name in listed} == table
