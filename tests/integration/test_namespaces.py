# SPDX-License-Identifier: Apache-2.0
"""
What takes a network of one's own: names with several addresses, a route that goes away, a machine
that runs out of ports. Each case runs this file once more in new namespaces (unshare(1)), where it
may do as it likes; where that is not allowed, as for others than root, it is skipped.
"""
import os
import subprocess
import sys
import time

import pytest

import collectors
import harness
import payloads
import sessions


def shell(command):
    subprocess.run(command, shell=True, check=True)


def second_address(folder):
    """Nobody listens at the name's first address: the second gets everything, and nothing is lost."""
    hosts = os.path.join(folder, "hosts")
    with open(hosts, "w", encoding="ascii") as file:
        file.write("127.0.0.2 two.test\n127.0.0.3 two.test\n127.0.0.1 localhost\n")
    shell(f"mount --bind {hosts} /etc/hosts")
    order = [a[4][0] for a in collectors.socket.getaddrinfo("two.test", 9, type=2)]
    assert sorted(order) == ["127.0.0.2", "127.0.0.3"]
    with collectors.UdpSink(host=order[1]) as sink:
        with harness.Daemon(folder, "-o", f"ipfix:udp://two.test:{sink.port}") as daemon:
            for n in range(3):
                assert daemon.ask("a", sessions.numbered(10 * n, 10)) == "ACK a 10"
            assert daemon.stats()["output0_flows_lost"] == 0
            daemon.terminate()
            sink.stop()
        assert sessions.Session(b"".join(sink.datagrams)).numbers == list(range(30))


def route_goes(folder):
    """What this machine cannot send is held, not acknowledged, and sent when it can again."""
    link_up = ("ip link set d0 up && "
               "ip neigh replace 10.99.0.2 lladdr 02:00:00:00:00:02 dev d0 nud permanent")
    shell("ip link add d0 type veth peer name d1 && ip link set d1 up && "
          "ip addr add 10.99.0.1/24 dev d0 && " + link_up)
    with harness.Daemon(folder, "-o", "ipfix:udp://10.99.0.2:4739") as daemon:
        with daemon.connect() as peer:
            assert peer.ask("a", payloads.decoded(payloads.records(3))) == "ACK a 3"
            shell("ip link set d0 down")
            peer.put("b", payloads.decoded(payloads.records(4)))
            daemon.wait_log("WARN output: cannot send, trying again")
            assert peer.line() == "WAIT b"
            assert daemon.stats()["acks"] == 1
            shell(link_up)
            assert peer.reply() == "ACK b 4"
            assert peer.ask("c", payloads.decoded(payloads.records(5))) == "ACK c 5"
            daemon.wait_log("sending again")
        assert len(daemon.log_lines("WARN output")) == 1
        counters = daemon.stats()
        assert counters["output0_flows_lost"] == 0 and counters["output0_sessions"] >= 2


def ports(first, last):
    """Those that a connect may be given."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
        file.write(f"{first} {last}")


def starts(collector):
    """Not while a connect of the daemon's has the port."""
    try:
        collector.start()
    except OSError:
        return False
    return True


def nobody_but_oneself(folder):
    """A connect to a local port may be given that very port: it is nobody, and nothing is taken."""
    ports(40000, 40999)
    with collectors.TcpCollector(os.path.join(folder, "sessions"), port=40001) as collector:
        with harness.Daemon(folder, "-o", "csv:tcp://127.0.0.1:40001", "--reconnect-max",
                            "1") as daemon, daemon.connect() as peer:
            assert peer.ask("a", sessions.numbered(0, 10)) == "ACK a 10"
            time.sleep(2.5)  # longer than what was acknowledged is kept
            collector.kill()
            daemon.wait_log("connection lost")
            ports(40001, 40001)
            peer.put("b", sessions.numbered(10, 10))
            for _ in range(2):
                assert peer.line() == "WAIT b"
            assert len(daemon.log_lines("INFO output: connected")) == 1
            ports(40000, 40999)
            harness.wait_for("the port", lambda: starts(collector))
            assert peer.reply() == "ACK b 10"


CASES = {case.__name__: case for case in (second_address, route_goes, nobody_but_oneself)}


def may_unshare():
    done = subprocess.run(["unshare", "-n", "-m", "ip", "link", "set", "lo", "up"], check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


@pytest.mark.parametrize("case", CASES)
def test_in_a_network_of_its_own(case, tmp_path):
    if not may_unshare() or not os.path.exists("/etc/hosts"):
        pytest.skip("no namespaces here, or no /etc/hosts to replace")
    done = subprocess.run(["unshare", "-n", "-m", sys.executable, os.path.abspath(__file__), case,
                           str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")


if __name__ == "__main__":
    shell("ip link set lo up")
    CASES[sys.argv[1]](sys.argv[2])
