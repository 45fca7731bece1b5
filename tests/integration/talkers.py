# SPDX-License-Identifier: Apache-2.0
"""
Traffic as it is in a VPC, seeded: a few talk most, scanners are refused everywhere, and each log
group has interfaces of its own. As a script it takes the picture of the page in README.md, which
needs what the page shows, fifteen minutes of it:

    VPCFLOWD=$PWD/build/release/vpcflowd python3 tests/integration/talkers.py 1000 listener/watch/page.png
"""
import math
import os
import random
import socket
import sys
import tempfile
import threading
import time

import browser
import payloads
import watching

GROUPS = ["/vpc/production/flow-logs", "/vpc/staging/flow-logs", "/vpc/shared-services",
          "/vpc/data-platform", "/aws/transit-gateway/hub"]
SERVERS = ["10.20.1.15", "10.20.1.16", "10.20.4.80", "10.20.7.9", "10.31.0.12", "2001:db8:20::443",
           "10.31.2.200", "10.44.8.25", "10.44.8.26", "10.52.16.4"]
SCANNED = [22, 3389, 23, 445, 1433, 3306, 6379, 8080, 5900, 5432, 2375, 9200]


class Traffic:
    def __init__(self, seed=1):
        self.rng = random.Random(seed)
        self.clients = [f"10.{self.rng.randrange(60, 64)}.{self.rng.randrange(256)}."
                        f"{self.rng.randrange(1, 255)}" for _ in range(3000)]
        outside = [f"{net}.{host}" for net in ("192.0.2", "198.51.100", "203.0.113")
                   for host in range(1, 255)]  # for documentation (RFC 5737)
        self.scanners = self.rng.sample(outside, 150)
        self.interfaces = {group: [f"eni-0{self.rng.getrandbits(64):016x}" for _ in range(9)]
                           for group in GROUPS}

    def skewed(self, of):
        """The first of them most often, as by Zipf's law."""
        return of[min(int(self.rng.paretovariate(0.9)) - 1, len(of) - 1)]

    def accepted(self, interface):
        ends = [self.skewed(SERVERS), self.skewed(self.clients)]
        answer = self.rng.random() < 0.6
        packets = min(int(self.rng.paretovariate(1.1) * 4), 3000)
        return payloads.record(
            interface_id=interface, srcaddr=ends[not answer], dstaddr=ends[answer], packets=packets,
            bytes=packets * self.rng.randrange(200 if answer else 60, 1400 if answer else 300),
            dstport=self.rng.choice([443, 443, 80, 5432, 53]))

    def refused(self, interface):
        return payloads.record(
            interface_id=interface, srcaddr=self.skewed(self.scanners),
            dstaddr=self.rng.choice(SERVERS), dstport=self.skewed(SCANNED), packets=1,
            bytes=self.rng.choice([40, 44, 60]), action="REJECT")

    def payload(self, flows, refusals):
        """Of one interface, as a log stream is; zipped."""
        group = self.skewed(GROUPS)
        interface = self.skewed(self.interfaces[group])
        lines = [self.refused(interface) if self.rng.random() < refusals else self.accepted(interface)
                 for _ in range(flows)]
        return payloads.zipped(payloads.decoded(lines, group=group))


def push(daemon, traffic, seconds):
    """A few payloads every second, in waves, with a scan now and then."""
    begun = time.monotonic()
    with daemon.connect() as peer:
        n = 0
        while (now := time.monotonic() - begun) < seconds:
            wave = 1 + 0.5 * math.sin(now / 70) + 0.2 * math.sin(now / 11)
            scan = 0.45 if 400 < now < 470 or 690 < now < 720 else 0.07
            for _ in range(3):
                n += 1
                flows = int(350 * wave * traffic.rng.uniform(0.8, 1.2))
                reply = peer.ask(f"p{n}", traffic.payload(flows, scan))
                assert reply.startswith("ACK"), reply
            time.sleep(max(0, begun + int(now) + 1 - time.monotonic()))


def swallow(listener):
    """A collector that reads all that comes and makes nothing of it."""
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=lambda p=peer: all(iter(lambda: p.recv(65536), b"")), daemon=True).start()


def main(seconds, picture):
    picture = os.path.abspath(picture)
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        os.chdir(folder)
        threading.Thread(target=swallow, args=[listener], daemon=True).start()
        options = ("-o", f"ipfix:tcp://127.0.0.1:{listener.getsockname()[1]}", "-o", "csv:flows.csv",
                   "--spool", "spool", "--workers", "2")
        with watching.Daemon(folder, *options) as daemon, browser.Browser(folder) as page:
            push(daemon, Traffic(), seconds)
            page.show(1120, 900, "light")
            page.open("http://%s:%d/" % daemon.http)
            page.settle()
            page.picture(picture)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
