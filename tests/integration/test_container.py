# SPDX-License-Identifier: Apache-2.0
"""
The Containerfile. No container engine runs here: what it says is read, and with --long its steps are
taken in a Debian that debootstrap makes. That takes root, Debian's archive, and some minutes.
"""
import json
import os
import re
import shlex
import shutil
import subprocess

import pytest

import harness
import machine as machines
import payloads

ROOT = os.path.dirname(os.path.dirname(harness.DATA))
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "ENTRYPOINT"}


def steps():
    """Instruction and argument, in their order; lines that go on are one."""
    with open(os.path.join(ROOT, "Containerfile"), encoding="utf-8") as file:
        text = re.sub(r"(?m)^#.*\n", "", file.read()).replace("\\\n", " ")
    return [tuple(line.strip().split(None, 1)) for line in text.split("\n") if line.strip()]


def last(instruction):
    return [argument for name, argument in steps() if name == instruction][-1]


def test_it_is_made_of_debian_and_does_not_run_as_root():
    assert {name for name, _ in steps()} == KNOWN and steps()[0][0] == "FROM"
    assert {argument.split()[0] for name, argument in steps() if name == "FROM"} == {"debian:12-slim"}
    (made,) = [argument for name, argument in steps() if name == "RUN" and "useradd" in argument]
    user = last("USER")
    assert re.search(rf"useradd .*--uid [1-9]\d+ .* {user} ", made)
    names = [name for name, _ in steps()]
    assert names.index("USER") > len(names) - 1 - names[::-1].index("RUN"), "what is installed belongs to root"
    assert json.loads(last("ENTRYPOINT")) == ["/usr/sbin/vpcflowd"]
    assert f" {last('VOLUME')} " in made + " "
    assert last("EXPOSE") in harness.run("--check-config").out


def test_shells_take_its_commands():
    for name, argument in steps():
        if name == "RUN":
            subprocess.run(["sh", "-n", "-c", argument], check=True)


def test_what_is_built_elsewhere_stays_out_of_it():
    with open(os.path.join(ROOT, ".dockerignore"), encoding="utf-8") as file:
        assert {".git", "build", "**/node_modules"} <= set(file.read().split())


class Stage(machines.Machine):
    """A stage of the build, and what it is to do."""

    folder_inside, user = "/", "root"

    def take(self, name, argument, stages):
        if name == "WORKDIR":
            self.folder_inside = argument
            self.run("mkdir", "-p", argument)
        elif name == "COPY":
            self.copy(shlex.split(argument), stages)
        elif name == "RUN":
            self.run("sh", "-c", f"cd {self.folder_inside} && {argument}", seconds=1200)
        elif name == "USER":
            self.user = argument

    def copy(self, words, stages):
        source = self.shared / "copied"
        if words[0].startswith("--from="):
            other = stages[words.pop(0)[len("--from="):]]
            other.run("cp", "-a", words[0], other.shared / "copied")
            shutil.copytree(other.shared / "copied", source)
        else:
            listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True).stdout
            source.mkdir()
            packed = subprocess.run(["tar", "-c", "--null", "--files-from=-"], input=listed, cwd=ROOT, check=True,
                                    capture_output=True).stdout
            subprocess.run(["tar", "-x", "-C", source], input=packed, check=True)
        self.run("sh", "-c", 'cd "$1" && mkdir -p "$3" && cp -a "$2/." "$3"', "sh", self.folder_inside, source, words[1])
        shutil.rmtree(source)


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("debootstrap takes root, and has to be there")
    folder = tmp_path_factory.mktemp("debian") / "root"
    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", folder], check=True, capture_output=True)
    shutil.copy("/etc/resolv.conf", folder / "etc")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.long
def test_its_steps_make_what_runs(debian, tmp_path):
    stages, stage = {}, None
    try:
        for name, argument in steps():
            if name == "FROM":
                label = argument.split(" AS ")[-1]
                stage = stages[label] = Stage(tmp_path / f"stage-{len(stages)}", debian).__enter__()
            else:
                stage.take(name, argument, stages)
        assert stage.user == "vpcflowd" and len(stages) == 2
        for tool in "gcc", "cmake":
            stage.run("which", tool, status=1)
        stage.shared.chmod(0o777)
        lines = payloads.records(3)
        (program,) = json.loads(last("ENTRYPOINT"))
        with harness.Daemon(stage.shared, "--spool", last("VOLUME") + "/spool", binary=program,
                            launcher=stage.inside(user=stage.user)) as daemon:
            assert daemon.ask("a", payloads.decoded(lines)) == "ACK a 3"
            with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
                assert re.search(r"(?m)^Uid:\t20555\t", file.read())
            assert sorted(daemon.terminate()) == sorted(payloads.ftsq_lines(lines))
    finally:
        for made in stages.values():
            made.__exit__()
