# SPDX-License-Identifier: Apache-2.0
"""--help, the manual page and the completions: one source, which is the table of options."""
import gzip
import os
import re
import shlex
import shutil
import subprocess

import pytest

import harness
import terminal

MADE = os.path.join(os.path.dirname(harness.BINARY), "scripts", "packaging")
ROOT = os.path.dirname(os.path.dirname(harness.DATA))
BASH, ZSH, PAGE = (os.path.join(MADE, name) for name in ("vpcflowd.bash", "_vpcflowd", "vpcflowd.8.gz"))


def text_of(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="ascii") as file:
        return file.read()


def made(*words, status=0):
    done = subprocess.run([os.path.join(MADE, "vpcflowd-manual"), *words], capture_output=True, text=True,
                          check=False, env=harness.environment())
    assert done.returncode == status and (status != 0 or done.stderr == ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shown():
    """--help: long option to its letter, the name of its value, what it says."""
    lines = re.split(r"\n(?= {2,6}-)", harness.run("--help").out)
    rows = [re.match(r" +(?:(-\w), )?(--[a-z-]+)(?: (\S+))?\s{2,}((?:.|\n {32})+)", line) for line in lines]
    return {row[2]: (row[1], row[3], " ".join(row[4].split())) for row in rows if row}


@pytest.fixture(scope="module")
def page():
    """The manual page as it is read, in one column that is wide enough."""
    done = subprocess.run(["man", "-l", PAGE], capture_output=True, text=True, check=True,
                          env={**os.environ, "MANWIDTH": "1000", "LC_ALL": "C"})
    assert done.stderr == ""
    return done.stdout


# ---- the manual page -----------------------------------------------------------------------------------


def test_help_is_what_all_of_this_is_compared_with(shown):
    assert len(shown) > 45 and shown["--output"][:2] == ("-o", "FORMAT[:DEST]")
    assert shown["--read"][1] is None and shown["--max-payload"][2].endswith("default 16M")
    assert set(re.findall(r"(?m)^ +(?:-\w, )?(--[a-z-]+)", harness.run("--help").out)) == set(shown)


def test_help_fits_a_terminal():
    assert max(len(line) for line in harness.run("--help").lines) <= 96


def test_the_page_has_every_option_as_help_has_it(shown, page):
    found = {}
    for line in re.findall(r"(?m)^ {7}((?:-\w, )?--[a-z-]+.*\n.*)", page):
        row = re.match(r"(?:(-\w), )?(--[a-z-]+)(?: (\S+)(?=\n|  ))?\s+(.*)", line)
        found[row[2]] = (row[1], row[3], " ".join(row[4].split()))
    assert set(found) == set(shown)
    for name, (letter, value, says) in shown.items():
        assert found[name][:2] == (letter, value), name
        assert found[name][2].startswith(says), f"{name}: {found[name][2]}"


def test_the_page_has_its_sections(page):
    assert re.findall(r"(?m)^([A-Z][A-Z ]+)$", page) == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "OUTPUT FORMATS", "FILTER", "LIMITS",
        "CONFIGURATION FILE", "SIGNALS", "EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"]
    assert "vpcflowd - AWS VPC Flow Logs to flow collectors" in page
    version = harness.run("--version").out.strip()
    assert re.search(rf"^{version} +\d{{4}}-\d\d-\d\d +VPCFLOWD\(8\)$", page, re.M)


def test_the_page_has_the_bounds_of_a_limit(page):
    says = re.search(r"--mtu COUNT\s+.*; default (\d+), from (\d+) to (\d+)\n", page)
    standard, least, greatest = map(int, says.groups())
    for value, status in (least, 0), (greatest, 0), (least - 1, 2), (greatest + 1, 2):
        harness.run("--mtu", value, "--check-config", status=status)
    assert f"mtu {standard}\n" in harness.run("--check-config").out


def test_the_configuration_that_the_page_shows_is_one(page, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(re.search(r"(?s)\n +({\n.*?\n +})\n", page.split("CONFIGURATION FILE")[1])[1])
    assert "idle-timeout 60" in harness.run("--config", config, "--check-config").out


@pytest.mark.parametrize("judge", [
    ["groff", "-ww", "-man", "-z"], ["mandoc", "-T", "lint", "-W", "style"]], ids=lambda judge: judge[0])
def test_the_page_is_faultless(judge, tmp_path):
    path = tmp_path / "vpcflowd.8"
    path.write_text(text_of(PAGE))
    done = subprocess.run([*judge, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout + done.stderr == ""


def test_what_was_made_is_what_the_program_makes():
    page = text_of(PAGE)
    date = re.search(r"\.TH VPCFLOWD 8 (\S+)", page)[1]
    assert made("roff", date) == page
    assert text_of(BASH).startswith(made("bash")) and text_of(ZSH).endswith(made("zsh"))
    for words in [], ["roff"], ["bash", "x"], ["fish"]:
        made(*words, status=2)


# ---- completions ---------------------------------------------------------------------------------------


def complete(*lines, breaks=None):
    """What bash's completion proposes, for each line; breaks: the characters that end a word."""
    script = [f". {shlex.quote(BASH)}"] + ([f"COMP_WORDBREAKS={shlex.quote(breaks)}"] if breaks else [])
    for line in lines:
        script.append(f"COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}; _vpcflowd")
        script.append('printf "%s\\n" "${COMPREPLY[@]}" --')
    done = subprocess.run(["bash", "--norc", "-c", "\n".join(script)], capture_output=True, text=True,
                          check=True, cwd=ROOT)
    assert done.stderr == ""
    return [set(found.split()) for found in re.split(r"(?m)^--\n", done.stdout)[:-1]]


def test_bash_proposes_every_option(shown):
    assert complete("vpcflowd ", "vpcflowd -", "vpcflowd --") == [set(shown)] * 3


def test_zsh_knows_every_option(shown):
    described = dict(re.findall(r"(--[a-z-]+)=?}?'?\[((?:\\.|[^\]])*)", text_of(ZSH)))
    assert set(described) == set(shown)
    for name, (letter, _, says) in shown.items():
        text = re.sub(r"\\(.)", r"\1", described[name].replace("'\\''", "'"))
        assert says.startswith(text), name
        assert letter is None or re.search(rf"{{{letter}\+?,{name}", text_of(ZSH)), name


FORMATS = {"ftsq", "csv", "json", "ipfix-csv", "ipfix"}
PROPOSED = {
    "vpcflowd --ou": {"--output"},
    "vpcflowd -q --read-": set(),
    "vpcflowd -o ": FORMATS,
    "vpcflowd --output ip": {"ipfix", "ipfix-csv"},
    "vpcflowd --output=js": {"json"},
    "vpcflowd -q -o json:READ": {"README.md"},
    "vpcflowd -o ipfix:u": {"udp://"},
    "vpcflowd -o ipfix:udp:": {"//"},
    "vpcflowd --output=csv:lis": {"listener"},
    "vpcflowd --output=csv:listener/help": set(),
    "vpcflowd -f ": {"default", "tgw"},
    "vpcflowd --fields srcp": {"srcport"},
    "vpcflowd --fields=srcaddr,dstp": {"srcaddr,dstport"},
    "vpcflowd --aggregate srcaddr,dstp": {"srcaddr,dstport"},
    "vpcflowd --by ": {"bytes", "packets", "flows"},
    "vpcflowd -c CMakeP": {"CMakePresets.json"},
    "vpcflowd --spool scri": {"scripts"},
    "vpcflowd --spool CMakeP": set(),
    "vpcflowd --exporter ": set(),
    "vpcflowd -x 1": set(),
    "vpcflowd READ": set(),
    "vpcflowd --read READ": {"README.md"},
    "vpcflowd -o json --read LICENSE SECUR": {"SECURITY.md"},
    "vpcflowd --read --quie": {"--quiet"},
}


def test_bash_proposes_values():
    assert dict(zip(PROPOSED, complete(*PROPOSED))) == PROPOSED


def test_bash_may_split_words_elsewhere():
    lines = "vpcflowd -o json:READ", "vpcflowd --output=csv:READ", "vpcflowd --output=js"
    assert complete(*lines, breaks=" ") == [{"json:README.md"}, {"--output=csv:README.md"}, {"--output=json"}]
    assert complete(*lines, breaks=" =") == [{"json:README.md"}, {"csv:README.md"}, {"json"}]


def test_bash_proposes_names_of_all_fields():
    (names,) = complete("vpcflowd --fields ")
    with open(os.path.join(ROOT, "listener/flow/fields.h"), encoding="utf-8") as file:
        assert names >= set(re.findall(r'X\(\w+, "([a-z0-9-]+)"',
                                       file.read().split("#define DERIVED_FIELDS")[0]))


# What is typed, and what comes of it: an option and its value may be one word.
TYPED = {
    "--outp\tcs\t": ["--output csv", "--output=csv"],
    "-o csv:READ\t": ["-o csv:README.md"],
    "--output=ipfix:ud\t127.0.0.1:1": ["--output=ipfix:udp://127.0.0.1:1"],
    "--fields srcp\t": ["--fields srcport"],
    "-q --che\t": ["-q --check-config"],
    "-c scripts/vpcflowd.j\t": ["-c scripts/vpcflowd.json"],
    "--read listener/man\tmai\t": ["--read listener/manual/main.c"],
}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_typed_in_a_shell(shell, tmp_path):
    if shell == "bash":
        command, begin = ["bash", "--norc", "--noprofile", "-i"], f". {shlex.quote(BASH)}"
    else:
        shutil.copy(ZSH, tmp_path)
        command = ["zsh", "-f", "-i"]
        begin = f"fpath=({shlex.quote(str(tmp_path))} $fpath); autoload -Uz compinit; compinit -D -u"
    with terminal.Terminal(*command) as shown:
        shown.type(f"cd {shlex.quote(ROOT)}; {begin}; vpcflowd() {{ echo \"got<$*>\"; }}; echo rea''dy\n")
        shown.wait(r"\nready\n")
        for keys, words in TYPED.items():
            shown.type(f"vpcflowd {keys}\n")
            assert shown.wait(r"got<([^>$]*)>")[1] in words
