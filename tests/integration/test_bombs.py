# SPDX-License-Identifier: Apache-2.0
"""
Payloads made to cost memory or time, and crowds of peers that do nothing or next to nothing, against
the build that ships. The processor's time is compared with that of good payloads in the same run; what
was measured is printed (pytest -s) and is in the JUnit file.
"""
import base64
import contextlib
import random
import re
import resource
import select
import time

import pytest

import harness
import payloads

GROWTH = 32 * harness.MIB  # the most that a bomb may make of the process
# The most time of good payloads of 15 MiB that one may cost; of one that has a million records, which
# are counted one by one, where the good one has 160,000.
TIMES, TIMES_LONG = 8, 16


def small():
    """A payload unlike every other: one that comes again would not be converted again."""
    return payloads.decoded(payloads.records(2))


@pytest.fixture
def release(start):
    def make(*options, **how):
        return start(*options, binary=harness.RELEASE, **how)

    return make


def memory(daemon, which="VmRSS"):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        return int(re.search(rf"{which}:\s+(\d+) kB", file.read()).group(1)) * 1024


def report(record_property, **figures):
    for name, value in figures.items():
        record_property(name, value)
    print("  " + "  ".join(f"{name}={value}" for name, value in figures.items()))


# ---- bombs -------------------------------------------------------------------------------------------

MILLION = 1_000_000


def event_of(octets):
    return b'{"awslogs":{"data":"' + base64.b64encode(octets) + b'"}}'


def nested(layers, octets):
    """base64 in gzip in base64 in …"""
    for _ in range(layers):
        octets = event_of(payloads.zipped(octets, 1))
    return octets


def cloudwatch(events):
    return b'{"messageType":"DATA_MESSAGE","logEvents":[' + events + b"]}"


BOMBS = {
    # what: (how it is made, the answers it may get, whether it takes long enough to be overtaken)
    "1000:1 gzip": (lambda: payloads.zipped(b" " * 100_000_000, 9), "ratio", False),
    "1000:1 gzip of JSON": (lambda: payloads.zipped(b'{"a":"' + b"x" * 50_000_000 + b'"}'), "ratio", False),
    "1000:1 gzip in an event": (lambda: event_of(payloads.zipped(b" " * 50_000_000)), "ratio", False),
    "40 MB of [": (lambda: b"[" * 40_000_000, "too_large", False),
    "16 MiB of [": (lambda: b"[" * (16 * harness.MIB), "nothing_converted", False),
    "16 MiB of [ in JSON": (lambda: b'{"logEvents":' + b"[" * 16_700_000, "json_depth", False),
    "40 MB of [, gzip": (lambda: payloads.zipped(b"[" * 40_000_000), "ratio", False),
    "40 MB of [, gzip, in JSON": (lambda: payloads.zipped(b'{"a":' + b"[" * 40_000_000), "json_depth", False),
    "16 MiB of one string": (lambda: b'{"a":"' + b"x" * 16_700_000, "json_cut", False),
    "16 MiB of numbers": (lambda: b'{"a":[' + b"1," * 8_300_000 + b"1]}", "json_shape", False),
    "10^6 events of an octet": (lambda: cloudwatch(b",".join([b'{"message":"x"}'] * MILLION)),
                                "nothing_converted", True),
    "16 MiB of tiny plain events": (
        lambda: cloudwatch(b",".join([b'{"id":"","timestamp":0,"message":""}'] * 450_000)),
        "nothing_converted", True),
    "10^6 events that are none": (lambda: cloudwatch(b",".join([b"1"] * MILLION)), "nothing_converted", True),
    "10^6 lines of an octet": (lambda: b"x\n" * MILLION, "nothing_converted", True),
    "10^6 messages of an octet": (lambda: b'{"message":"x"}\n' * MILLION, "nothing_converted", True),
    "10^6 messages of an octet, gzip": (lambda: payloads.zipped(b'{"message":"x"}\n' * MILLION), "ratio", False),
    "10^6 records of an octet": (lambda: b'{"records":[' + b",".join([b'{"data":"eA=="}'] * MILLION) + b"]}",
                                 "inflated", False),
    "10^6 empty documents": (lambda: cloudwatch(b"") * (16_700_000 // len(cloudwatch(b""))), "inflated", False),
    "base64 in gzip, 8 times": (lambda: nested(8, small()), "nesting", False),
    "base64 in gzip in base64, large": (lambda: nested(2, payloads.decoded(payloads.noisy_records(20_000))),
                                        "nesting", False),
    "16 MiB of base64": (lambda: event_of(random.Random(1).randbytes(12_500_000)), "json|gzip|nothing_converted",
                         False),
}


FAST = ("1000:1 gzip", "40 MB of [", "40 MB of [, gzip", "10^6 events of an octet",
        "16 MiB of tiny plain events", "10^6 lines of an octet", "10^6 messages of an octet",
        "base64 in gzip, 8 times", "base64 in gzip in base64, large")


def spent(daemon):
    """Seconds that it had a processor."""
    with open(f"/proc/{daemon.process.pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def good_time(daemon):
    """What the cheapest of three good payloads of 15 MiB takes of a processor."""
    took = []
    with daemon.connect() as peer:
        for n in range(3):
            lines = payloads.plain(payloads.records(200))
            octets = lines * (15 * harness.MIB // len(lines))
            begin = spent(daemon)
            assert peer.ask(f"g{n}", octets).startswith("ACK ")
            took.append(spent(daemon) - begin)
    return min(took)


@pytest.mark.parametrize("what", [
    pytest.param(what, marks=[] if what in FAST else pytest.mark.long) for what in BOMBS])
def test_a_bomb_costs_its_peer_and_nobody_else(release, record_property, what):
    make, verdict, long = BOMBS[what]
    octets = make()
    with release("-o", "ftsq:/dev/null") as daemon, daemon.connect() as bomber, daemon.connect() as other:
        assert other.ask("warm", small()) == "ACK warm 2"
        before = memory(daemon)
        took, first = [], []
        for n in range(3):
            whole = harness.command(f"b{n}", octets)
            begin = spent(daemon)
            # All but the end, so that conversion and the small PUT begin together.
            bomber.send(whole[:-1]).send(whole[-1:])
            other.put(f"s{n}", small())
            ready, _, _ = select.select([bomber.socket, other.socket], [], [], harness.WAIT)
            first.append(other.socket in ready)
            assert other.reply() == f"ACK s{n} 2"
            assert re.fullmatch(f"REJECT b{n} ({verdict})", bomber.reply())
            took.append(spent(daemon) - begin)
        growth = memory(daemon, "VmHWM") - before
        assert growth <= GROWTH, f"{growth / harness.MIB:.1f} MiB more"
        assert not long or all(first), "the small one had to wait for the end of the large one"
        good = good_time(daemon)
    report(record_property, bomb=what.replace(" ", "-"), cpu_ms=round(min(took) * 1e3, 1),
           good_ms=round(good * 1e3, 1), growth_mib=round(growth / harness.MIB, 1))
    assert min(took) < (TIMES_LONG if long else TIMES) * good


def test_bombs_side_by_side(release, record_property):
    """Several at once have their places one after another, and share --max-in-flight."""
    octets = harness.command("b", BOMBS["10^6 events of an octet"][0]())
    with release("-o", "ftsq:/dev/null") as daemon, daemon.connect() as other:
        before = memory(daemon)

        def work(n):
            if n > 0:
                with daemon.connect() as peer:
                    return peer.send(octets).reply()
            answers = [other.ask(f"s{i}", small()) for i in range(20)]
            return answers == [f"ACK s{i} 2" for i in range(20)]

        assert harness.in_threads(4, work) == [True] + ["REJECT b nothing_converted"] * 3
        growth = memory(daemon, "VmHWM") - before
        report(record_property, growth_mib=round(growth / harness.MIB, 1))
        assert growth < (64 + 32) * harness.MIB


# ---- peers that do nothing ---------------------------------------------------------------------------


@pytest.fixture
def many(release):
    """many(count, option…): a daemon for so many peers, and descriptors here for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def make(count, *options):
        if hard < count + 500:
            pytest.skip(f"no {count} descriptors here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
        return release("--max-connections", count + 100, "--max-connections-per-address", count + 100,
                       *options)

    yield make
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def peers_of(daemon, count):
    """A backlog at a time, as the kernel would drop the rest and try again a second later."""
    peers = []
    try:
        while len(peers) < count:
            peers += [daemon.connect() for _ in range(min(500, count - len(peers)))]
            daemon.wait_stats(connections_open=len(peers))
        yield peers
    finally:
        for peer in peers:
            peer.close()


@pytest.mark.parametrize("used", [False, True], ids=["silent from the start", "after a payload"])
@pytest.mark.parametrize("count", [1500, pytest.param(10_000, marks=pytest.mark.long)])
def test_an_idle_peer_costs_at_most_4_kib(many, record_property, count, used):
    with many(count, "--first-byte-timeout", "600") as daemon:
        with daemon.connect() as peer:
            assert peer.ask("warm", small()) == "ACK warm 2"
            before = memory(daemon)
            with peers_of(daemon, count) as peers:
                for p in peers if used else ():
                    assert p.ask("a", small()) == "ACK a 2"
                each = (memory(daemon) - before) / count
                report(record_property, peers=count, octets_each=round(each))
                assert each <= 4096
                assert peer.ask("b", small()) == "ACK b 2"
            harness.wait_for("them to go", lambda: daemon.stats()["connections_open"] == 1)


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.long)])
def test_slow_peers_are_gone_on_time_and_others_notice_nothing(many, record_property, count):
    """An octet a second each, of a PUT, a command, JSON and lines."""
    begun = [b"PUT a 100000\n", b"PUT ab", b'{"messageType":"', b"2 123456789012 eni-1 "]
    seconds = 2
    with many(count, "--payload-timeout", seconds) as daemon, daemon.connect() as healthy:
        assert healthy.ask("warm", small()) == "ACK warm 2"
        with peers_of(daemon, count) as peers:
            begin = time.monotonic()
            for n, p in enumerate(peers):
                p.send(begun[n % len(begun)])
            worst, asked = 0, 0

            def gone():
                nonlocal worst, asked
                at = time.monotonic()
                assert healthy.ask("h", small()) == "ACK h 2"
                worst, asked = max(worst, time.monotonic() - at), asked + 1
                return daemon.stats().get("closed_slow", 0)

            closed, due = gone(), begin + 1
            while closed < count and time.monotonic() < begin + 15:
                if time.monotonic() >= due:
                    due += 1
                    for p in peers:
                        with contextlib.suppress(OSError):
                            p.socket.send(b"1")
                closed = gone()
                assert closed == 0 or time.monotonic() - begin >= seconds, "too early"
            took = time.monotonic() - begin
        report(record_property, peers=count, gone_after_s=round(took, 2), healthy_asked=asked,
               healthy_worst_ms=round(worst * 1e3, 1))
        assert closed == count, f"{closed} of {count} gone after {took:.1f} s"
        assert healthy.ask("last", small()) == "ACK last 2"
