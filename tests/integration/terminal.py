# SPDX-License-Identifier: Apache-2.0
"""A shell at a terminal: what is typed, and what it shows."""
import os
import pty
import re
import select
import signal
import time

import harness


class Terminal:
    def __init__(self, *command):
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", LC_ALL="C", PS1="$ ")
            os.execvp(command[0], command)
        self.shown = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.file)

    def type(self, text):
        os.write(self.file, text.encode())

    def wait(self, pattern):
        """The match of what it shows from now on, or since the last match."""
        until = time.monotonic() + harness.WAIT
        while not (match := re.search(pattern, self.shown)):
            left = until - time.monotonic()
            assert left > 0, f"{pattern!r} is not shown: {self.shown!r}"
            if select.select([self.file], [], [], left)[0]:
                self.shown += os.read(self.file, 65536).decode(errors="replace").replace("\r", "")
        self.shown = self.shown[match.end():]
        return match
