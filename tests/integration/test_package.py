# SPDX-License-Identifier: Apache-2.0
"""The .deb that cpack makes of the release: what is in it, and what it does to a machine."""
import os
import re
import shutil
import subprocess

import pytest

import harness
import machine as machines
import payloads

ROOT = os.path.dirname(os.path.dirname(harness.DATA))
UNIT = "vpcflowd.service"
CONFIG = "/etc/vpcflowd.json"
PROGRAM = "/usr/sbin/vpcflowd"


def output(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def deb(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deb")
    output("cpack", "--config", os.path.join(os.path.dirname(harness.RELEASE), "CPackConfig.cmake"), "-B", folder)
    (path,) = folder.glob("*.deb")
    return path


@pytest.fixture(scope="module")
def newer(deb, tmp_path_factory):
    """The next version, whose configuration is another one."""
    folder = tmp_path_factory.mktemp("newer")
    output("dpkg-deb", "-R", deb, folder / "tree")
    control = folder / "tree/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^(Version: .*)$", r"\1+1", control.read_text()))
    (folder / "tree" / CONFIG[1:]).write_text('{"quiet": true}\n')
    output("dpkg-deb", "--root-owner-group", "-b", folder / "tree", folder / "newer.deb")
    return folder / "newer.deb"


@pytest.fixture
def machine(tmp_path):
    with machines.Machine(tmp_path / "machine") as made:
        yield made


def install(machine, deb, *options):
    shutil.copy(deb, machine.shared / "this.deb")
    return machine.run("dpkg", *options, "-i", machine.shared / "this.deb")


@pytest.fixture(scope="module")
def installed(deb, tmp_path_factory):
    """For those who only look at it."""
    with machines.Machine(tmp_path_factory.mktemp("installed") / "machine") as made:
        said = install(made, deb)
        assert "warning" not in said and "rror" not in said, said
        yield made


# ---- the file ----------------------------------------------------------------------------------------


def test_lintian_has_no_objection(deb):
    done = subprocess.run(["lintian", "--allow-root", "--no-cfg", "--fail-on", "error,warning", deb],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_deb_has_the_version_of_the_program(deb):
    version = output("dpkg-deb", "-f", deb, "Version").strip()
    assert harness.run("--version").out == f"vpcflowd {version}\n"
    assert deb.name == f"vpcflowd_{version}_{output('dpkg', '--print-architecture').strip()}.deb"
    with open(os.path.join(ROOT, "scripts", "packaging", "changelog"), encoding="utf-8") as file:
        assert file.readline().startswith(f"vpcflowd ({version}) ")


def test_the_deb_depends_on_the_libraries_of_the_program(deb):
    depends = output("dpkg-deb", "-f", deb, "Depends")
    for library in "libuv1", "libcjson1", "libfixbuf9", "libssl3", "libmicrohttpd12", "libc6":
        assert re.search(rf"\b{library} \(>= [^)]+\)", depends), depends
    assert ("libisal2" in depends) == ("libisal" in output("ldd", harness.RELEASE))
    assert "-dev" not in depends


def test_files_belong_to_root_and_nobody_else_may_write(deb):
    for line in output("dpkg-deb", "-c", deb).splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root" and mode in ("drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"), line


# ---- installed ---------------------------------------------------------------------------------------


def test_what_is_installed_is_found(installed):
    assert installed.run("vpcflowd", "--version") == harness.run("--version").out
    assert installed.run("man", "-w", "vpcflowd") == "/usr/share/man/man8/vpcflowd.8.gz\n"
    assert installed.run("systemd-analyze", "verify", UNIT, "vpcflowd.socket") == ""
    says = installed.run("vpcflowd", "--config", CONFIG, "--check-config")
    assert "spool /var/lib/vpcflowd/spool" in says
    sample = "/usr/share/doc/vpcflowd/examples/data-v2.lambda-event.json"
    assert installed.run("vpcflowd", "-q", "--read", sample).count("\n") == 5


def test_shells_find_the_completions(installed):
    loaded = installed.run("bash", "--norc", "-c", ". /usr/share/bash-completion/bash_completion; "
                           "_completion_loader vpcflowd; complete -p vpcflowd")
    assert loaded == "complete -F _vpcflowd vpcflowd\n"
    found = installed.run("zsh", "-f", "-c", "autoload -Uz compinit; compinit -D -u; echo $_comps[vpcflowd]")
    assert found == "_vpcflowd\n"


def test_it_works_as_the_unit_starts_it(machine, deb):
    """With the state folder as systemd makes it; then a purge takes that, and nothing of others."""
    install(machine, deb)
    starts = machine.run("sed", "-n", "s/^ExecStart=//p", "/lib/systemd/system/vpcflowd.service")
    assert starts == f"{PROGRAM} --config {CONFIG}\n"
    machine.run("mkdir", "-p", "/var/lib/private/vpcflowd", "/var/lib/private/another")
    machine.run("ln", "-s", "private/vpcflowd", "/var/lib/vpcflowd")
    lines = payloads.records(3)
    with harness.Daemon(machine.shared, "--config", CONFIG, binary=PROGRAM, launcher=machine.inside()) as daemon:
        assert daemon.ask("a", payloads.decoded(lines)) == "ACK a 3"
    assert machine.run("cat", "/var/lib/private/vpcflowd/flows.csv").count("\n") == 4
    machine.write("/etc/vpcflowd.json.mine", "{}")
    machine.run("dpkg", "--remove", "vpcflowd")
    assert machine.there("/var/lib/vpcflowd/spool") and machine.there(CONFIG)
    machine.run("dpkg", "--purge", "vpcflowd")
    assert machine.new_files() == {"/etc/vpcflowd.json.mine"}
    assert not machine.there("/var/lib/private/vpcflowd") and machine.there("/var/lib/private/another")


# ---- the service -------------------------------------------------------------------------------------


def enabled(machine, unit=UNIT):
    return machine.there(f"/etc/systemd/system/multi-user.target.wants/{unit}")


def test_the_service_is_enabled_and_started(machine, deb, newer):
    install(machine, deb)
    assert enabled(machine) and "vpcflowd.socket" not in machine.run("ls", "-R", "/etc/systemd")
    assert machine.asked()[-1].endswith(f" start {UNIT}")
    install(machine, newer)
    assert enabled(machine) and machine.asked()[-1].endswith(f" restart {UNIT}")
    assert machine.run("cat", CONFIG) == '{"quiet": true}\n', "nobody had changed it"
    machine.run("dpkg", "--remove", "vpcflowd")
    asked = machine.asked()
    assert any(re.fullmatch(rf"(.* )?stop vpcflowd.socket {UNIT}", words) for words in asked)
    assert asked[-1].endswith("daemon-reload")
    install(machine, newer)
    assert enabled(machine) and machine.asked()[-1].endswith(f"start {UNIT}"), "nothing stays masked"


def test_what_was_disabled_stays_disabled(machine, deb, newer):
    install(machine, deb)
    machine.run("systemctl", "--root=/", "disable", UNIT)
    (machine.shared / "active").unlink()
    machine.asked()
    install(machine, newer)
    assert not enabled(machine)
    assert not [words for words in machine.asked() if re.search(r"\b(re)?start ", words)]


def test_a_policy_that_forbids_it_is_obeyed(machine, deb):
    machine.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    machine.run("chmod", "755", "/usr/sbin/policy-rc.d")
    install(machine, deb)
    assert enabled(machine)
    assert not [words for words in machine.asked() if re.search(r"\bstart ", words)]


def test_no_systemd_is_no_error(machine, deb):
    """Nor is a state folder that is a link of the administrator's, which a purge does not follow."""
    machine.run("rmdir", "/run/systemd/system")
    install(machine, deb)
    machine.write("/srv/flows/kept.csv", "1\n")
    machine.run("ln", "-s", "/srv/flows", "/var/lib/vpcflowd")
    machine.run("dpkg", "--purge", "vpcflowd")
    assert not [words for words in machine.asked() if "start" in words or "stop" in words]
    assert machine.new_files() == {"/srv/flows/kept.csv"}


def test_an_upgrade_keeps_a_changed_configuration(machine, deb, newer):
    install(machine, deb)
    machine.write(CONFIG, '{"verbose": true}')
    install(machine, newer, "--force-confdef", "--force-confold")
    assert machine.run("cat", CONFIG) == '{"verbose": true}' and machine.there(CONFIG + ".dpkg-dist")
    machine.run("dpkg", "--purge", "vpcflowd")
    assert machine.new_files() == set()


# ---- without a package -------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix, zsh", [
    ("/usr", "vendor-completions"), ("/usr/local", "site-functions"), ("/opt/flows", "site-functions")])
def test_every_prefix_has_the_page_and_the_completions(tmp_path, prefix, zsh):
    subprocess.run(["cmake", "--install", os.path.dirname(harness.RELEASE), "--prefix", prefix], check=True,
                   capture_output=True, env={**os.environ, "DESTDIR": str(tmp_path)})
    below = f"{tmp_path}{prefix}/share"
    for path in ("man/man8/vpcflowd.8.gz", "bash-completion/completions/vpcflowd", f"zsh/{zsh}/_vpcflowd",
                 "doc/vpcflowd/copyright", "vpcflowd/scripts/deploy", "vpcflowd/lambda/index.mjs"):
        assert os.path.getsize(f"{below}/{path}") > 0
    assert harness.run("--version", binary=f"{tmp_path}{prefix}/sbin/vpcflowd").out == harness.run("--version").out
