# SPDX-License-Identifier: Apache-2.0
"""
This machine once more, to install packages on: an overlay over its root in a mount namespace, and
commands that run in there. All of it is in memory, and gone when it is left.

    with Machine(folder) as machine:
        machine.run("dpkg", "-i", machine.shared / "x.deb")     # the same files in there and here

No systemd runs in there. What a package asks of it is written down; units are enabled, disabled and
masked as ever, which takes files alone, and started by nobody.
"""
import os
import subprocess

import pytest

SETUP = r"""
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$3,upperdir=$1/upper,workdir=$1/work" "$1/root"
for folder in proc sys dev; do mount --rbind "/$folder" "$1/root/$folder"; done
mkdir -p "$1/root$2"
mount --bind "$2" "$1/root$2"
cd "$1/root"
rm -f usr/sbin/policy-rc.d var/lib/man-db/auto-update
grep -lsr path-exclude etc/dpkg/dpkg.cfg.d | xargs -r rm
[ ! -e bin/systemctl ] || {
mkdir -p run/systemd/system
cp --remove-destination bin/systemctl "$2/systemctl-itself"
cat >"$2/systemctl" <<EOT
#!/bin/sh
echo "\$*" >>"$2/asked"
case \$* in
*--root=/*) exec "$2/systemctl-itself" "\$@" ;;
*is-enabled*) exec "$2/systemctl-itself" --root=/ is-enabled vpcflowd.service ;;
*is-active*) [ -e "$2/active" ] ;;
*start*) : >"$2/active" ;;
*stop*) rm -f "$2/active" ;;
esac
EOT
chmod 755 "$2/systemctl"
cp --remove-destination "$2/systemctl" bin/systemctl
}
echo ready
exec cat
"""


class Machine:
    """lower: what it is made of, if not of this machine's root."""

    def __init__(self, folder, lower="/"):
        self.lower = lower
        self.folder = folder
        (folder / "mounts").mkdir(parents=True)
        (folder / "shared").mkdir()
        self.shared = folder / "shared"

    def __enter__(self):
        if os.geteuid() != 0:
            pytest.skip("installs a package, which takes root")
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", SETUP, "sh",
             self.folder / "mounts", self.shared, self.lower],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.holder.stdout.readline() != b"ready\n":
            why = self.holder.communicate()[1].decode()
            pytest.skip(f"no overlay over the root here: {why}")
        return self

    def __exit__(self, *_):
        self.holder.communicate()

    def inside(self, *command, user="root"):
        """The command that runs this one in there."""
        return ["nsenter", "--target", str(self.holder.pid), "--mount", "chroot", f"--userspec={user}",
                f"{self.folder}/mounts/root", *map(str, command)]

    def run(self, *command, status=0, seconds=120):
        """What it printed, on both outputs."""
        done = subprocess.run(self.inside(*command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=seconds,
                              env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"})
        assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def write(self, path, text):
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"', "sh", path, text)

    def there(self, path):
        return self.run("sh", "-c", '[ -e "$1" ] || [ -L "$1" ] && echo yes || true', "sh", path) == "yes\n"

    def new_files(self):
        """Files in there that are not on this machine itself, but for what man keeps for itself."""
        upper = f"{self.folder}/mounts/upper"
        found = subprocess.run(
            ["nsenter", "--target", str(self.holder.pid), "--mount", "find", upper, "(", "-type", "f", "-o",
             "-type", "l", ")", "-printf", "/%P\n"], capture_output=True, text=True, check=True).stdout
        return {path for path in found.split("\n")
                if path and not path.startswith("/var/cache/man/") and not os.path.lexists(path)}

    def asked(self):
        """What systemctl was asked for since the last time."""
        path = self.shared / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines
