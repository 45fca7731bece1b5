# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the stand-in for AWS, and a way to run a script against it."""
import json
import os
import shlex
import stat
import subprocess
import sys
import time

import pytest

import cloud as stand_in

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# The harness of the integration tests runs the real listener; it wants to know which.
os.environ.setdefault("VPCFLOWD", os.path.join(ROOT, "build", "check", "vpcflowd"))
sys.path.append(os.path.join(ROOT, "tests", "integration"))

# Debian's; another in PATH may be version 1.
AWS = "/usr/bin/aws"


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.commands = [shlex.split(line) for line in self.out.splitlines() if line.startswith("aws ")]

    @property
    def last(self):
        return self.err.strip().splitlines()[-1]


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """A folder for PATH whose aws is Debian's, without the time it takes to load."""
    folder = tmp_path_factory.mktemp("bin")
    program, path = os.path.join(HERE, "warm_aws.py"), folder / "socket"
    script = folder / "aws"
    version = subprocess.run([AWS, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    script.write_text("#!/bin/sh\n"
                      f"[ \"$*\" != --version ] || exec echo {shlex.quote(version)}\n"
                      f"exec /usr/bin/python3 -SE {shlex.quote(program)} {shlex.quote(str(path))} \"$@\"\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    with subprocess.Popen(["/usr/bin/python3", program, "serve", str(path)],
                          env={"HOME": str(folder), "LC_ALL": "C.UTF-8"}) as process:
        try:
            until = time.monotonic() + 30
            while not path.exists():
                assert process.poll() is None and time.monotonic() < until, "the AWS CLI did not load"
                time.sleep(0.01)
            yield folder
        finally:
            process.kill()


@pytest.fixture
def spied(warm, tmp_path):
    """A folder for PATH whose aws, jq and zip write down their arguments, and what they wrote."""
    folder, log = tmp_path / "spied", tmp_path / "arguments"
    folder.mkdir()
    for name, program in ("aws", warm / "aws"), ("jq", "/usr/bin/jq"), ("zip", "/usr/bin/zip"):
        script = folder / name
        script.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >>{shlex.quote(str(log))}\nexec {program} \"$@\"\n")
        script.chmod(0o755)
    return folder, log


@pytest.fixture
def cloud():
    with stand_in.Cloud() as made:
        yield made


@pytest.fixture
def script(cloud, warm, tmp_path):
    """script("deploy", option..., status=0): the real script against the stand-in, its Result."""
    home = tmp_path / "home"
    home.mkdir()

    def run(name, *options, status=0, path=None, env=(), **how):
        environment = {
            "PATH": f"{path or warm}:/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": stand_in.REGION,
            "VPCFLOWD_AWS_PAUSE": "0", "VPCFLOWD": os.environ["VPCFLOWD"], **dict(env)}
        done = subprocess.run(
            [os.path.join(how.get("root", ROOT), "scripts", name), *map(str, options),
             "--endpoint-url", cloud.url],
            env={k: v for k, v in environment.items() if v is not None}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, cwd=how.get("cwd", tmp_path), check=False)
        result = Result(done)
        assert result.status == status, f"exit status {result.status}, not {status}:\n{result.err}{result.out}"
        return result

    return run


_kept = {}
_STATE = "roles", "functions", "queues", "groups", "flow_logs", "numbers"


def once(name, cloud, make):
    """Has make() bring the cloud into a state; the next time the state alone is put there."""
    if name not in _kept:
        make()
        cloud.forget()
        text = json.dumps({k: getattr(cloud, k) for k in _STATE}, default=lambda octets: {"octets": octets.hex()})
        _kept[name] = cloud.url, text
    url, text = _kept[name]
    state = json.loads(text.replace(url, cloud.url),
                       object_hook=lambda d: bytes.fromhex(d["octets"]) if "octets" in d else d)
    for key in _STATE:
        setattr(cloud, key, state[key])
    return cloud


@pytest.fixture
def deployed(script, cloud):
    """A cloud with the forwarder for flows.example.net as scripts/deploy makes it."""
    return once("deployed", cloud, lambda: script("deploy", "--host", "flows.example.net"))


@pytest.fixture
def start(tmp_path):
    """start(option...): a listening Daemon of the harness, to be used with `with`."""
    import harness
    folder = tmp_path / "daemon"
    folder.mkdir()
    return lambda *options, **how: harness.Daemon(folder, *options, **how)
