# SPDX-License-Identifier: Apache-2.0
"""
Runs a program under what a unit file allows, as far as that needs no systemd: its system calls,
address families, and memory that is never writable and executable at once. As a command:

    sandbox.py UNIT PROGRAM ARGUMENT...

systemd makes the same of these lines with the same library, libseccomp (systemd.exec(5)). What is
not allowed fails with EPERM, an address family with EAFNOSUPPORT.
"""
import ctypes
import os
import socket
import subprocess
import sys

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EPERM, EAFNOSUPPORT = 1, 97
EQUAL, MASKED = 4, 7  # enum scmp_compare
WRITE, EXECUTE = 2, 4  # PROT_


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp"""
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64),
                ("b", ctypes.c_uint64)]


def settings(path):
    """The unit's lines, name to values."""
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith("#"):
                found.setdefault(name, []).append(value)
    return found


def expand(names):
    """System calls, with those of groups such as @system-service."""
    calls = set()
    for name in names:
        if not name.startswith("@"):
            calls.add(name)
            continue
        shown = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name],
                               capture_output=True, text=True, check=True).stdout
        calls |= expand(line.strip() for line in shown.split("\n")[1:]
                        if line.strip() and not line.strip().startswith("#"))
    return calls


def allowed_calls(unit):
    calls = set()
    for line in unit["SystemCallFilter"]:
        names = line.removeprefix("~").split()
        calls = calls - expand(names) if line.startswith("~") else calls | expand(names)
    return calls


def load(unit):
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p

    def rule(action, call, *compares):
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # not of this machine's
        array = (Compare * len(compares))(*compares)
        assert library.seccomp_rule_add_array(ctypes.c_void_p(context), action, number,
                                              len(compares), array) == 0, call

    def done():
        assert library.seccomp_load(ctypes.c_void_p(context)) == 0, "no seccomp here"
        library.seccomp_release(ctypes.c_void_p(context))

    calls = allowed_calls(unit)
    # Filters add up: of several the strictest counts.
    context = library.seccomp_init(ALLOW)
    both = WRITE | EXECUTE
    rule(ERRNO | EPERM, "mmap", Compare(2, MASKED, both, both))
    for call in "mprotect", "pkey_mprotect":
        rule(ERRNO | EPERM, call, Compare(2, MASKED, EXECUTE, EXECUTE))
    families = set(getattr(socket, name) for name in unit["RestrictAddressFamilies"][0].split())
    for family in range(64):
        if family not in families:
            rule(ERRNO | EAFNOSUPPORT, "socket", Compare(0, EQUAL, family, 0))
    done()
    context = library.seccomp_init(ERRNO | EPERM)
    for call in sorted(calls):
        rule(ALLOW, call)
    done()


if __name__ == "__main__":
    load(settings(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
