# SPDX-License-Identifier: Apache-2.0
"""What becomes of memory between payloads, with the build that ships."""
import re

import harness
import payloads

PEERS, ROUNDS, EVENTS = 4, 5, 8000
# Of 4 KiB each, for a payload of 1.7 MiB: a document that is mapped anew is more than 400.
PAGES_A_PAYLOAD = 200


def resident(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024


def pages_mapped(daemon):
    """Minor faults, proc(5)."""
    with open(f"/proc/{daemon.process.pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[7])


def push_by_turns(daemon, octets):
    """From several peers, each of which sends a part of its payload when it has its turn."""
    before = daemon.stats()["flows"]
    piece = len(octets) // 8 + 1
    peers = [daemon.connect() for _ in range(PEERS)]
    for at in range(0, len(octets), piece):
        for peer in peers:
            peer.send(octets[at:at + piece])
    for peer in peers:
        peer.half_close()
        assert peer.rest() == b""
        peer.close()
    daemon.wait_stats(flows=before + PEERS * EVENTS)


def test_the_next_payload_has_the_memory_of_the_last_and_when_none_comes_the_kernel_has_it(
        start, record_property):
    octets = payloads.decoded(payloads.records(EVENTS))
    with start("-o", "ftsq:/dev/null", binary=harness.RELEASE) as daemon:
        idle = resident(daemon)
        push_by_turns(daemon, octets)
        before = pages_mapped(daemon)
        for _ in range(ROUNDS):
            push_by_turns(daemon, octets)
        mapped = (pages_mapped(daemon) - before) / (PEERS * ROUNDS)
        record_property("pages_a_payload", round(mapped))
        print(f"  pages_a_payload={mapped:.0f}")
        assert mapped < PAGES_A_PAYLOAD
        # Less than the document of one: all have gone.
        harness.wait_for("memory to be given back", lambda: resident(daemon) < idle + 3 * harness.MIB)
