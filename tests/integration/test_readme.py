# SPDX-License-Identifier: Apache-2.0
"""What the documents list is what the program has, and what they show is what it prints."""
import gzip
import os
import re
import runpy
import shlex
import subprocess

import pytest

import harness

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def test_numbers_of_aws_elements():
    rows = re.findall(r'X\(\w+, "([a-z0-9-]+)",\s*\w+,\s*(\d+)\)',
                      text_of("listener", "flow", "fields.h").split("#define DERIVED_FIELDS")[0])
    table = {int(number): name for name, number in rows if number != "0"}
    listed = re.findall(r"\b(1\d{3})\s([a-z0-9-]+)[,;.]", text_of("listener", "encode", "README.md"))
    assert len(rows) == 72 and len(table) == 60
    assert {int(number): name for number, name in listed} == table


def shown():
    """The commands in README.md that come with what they print: (command, output)."""
    found = []
    for block in re.findall(r"^```\n(\$ .*?)^```$", text_of("README.md"), re.M | re.S):
        for one in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, output = one.split("\n", 1)
            if "./build/release/vpcflowd " in command:
                found.append(pytest.param(command, output, id=command))
    return found


@pytest.mark.parametrize("command, output", shown())
def test_commands_print_what_is_shown(command, output):
    here = command.replace("./build/release/vpcflowd", shlex.quote(harness.BINARY))
    done = subprocess.run(["bash", "-c", here], cwd=ROOT, check=False, env=harness.environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert done.stdout.decode() == output


def test_commands_are_shown():
    assert len(shown()) >= 16


def test_the_hour_is_what_makes_it():
    folder = os.path.join(ROOT, "tests", "data")
    made = runpy.run_path(os.path.join(folder, "make-hour"))["text"]()
    with gzip.open(os.path.join(folder, "hour.log.gz"), "rt", encoding="ascii") as file:
        assert file.read() == made
