# SPDX-License-Identifier: Apache-2.0
"""What becomes of memory between payloads, with the build that ships."""
import gzip
import re
import threading

import harness
import payloads

PEERS, ROUNDS, EVENTS = 4, 5, 8000
# Of 4 KiB each, for a payload of 1.7 MiB: a document that is mapped anew is more than 400.
PAGES_A_PAYLOAD = 200


def resident(daemon, which="VmRSS"):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        return int(re.search(which + r":\s+(\d+) kB", file.read()).group(1)) * 1024


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


def test_peers_that_have_sent_half_of_a_document_take_no_more_than_is_allowed(
        start, record_property):
    """Of gzip, a little of which becomes much at once."""
    peers, allowed = 24, 8 * harness.MIB
    octets = gzip.compress(payloads.decoded(payloads.records(30000)))
    half = octets[:len(octets) // 2]
    with start("-o", "ftsq:/dev/null", "--max-in-flight", "8M", binary=harness.RELEASE) as daemon:
        idle = resident(daemon)
        sending = [daemon.connect() for _ in range(peers)]
        threads = [threading.Thread(target=peer.send, args=(half,), daemon=True) for peer in sending]
        for thread in threads:
            thread.start()
        harness.wait_for("much of it", lambda: daemon.stats()["bytes_in_flight"] > allowed / 2)
        # More of it comes only when one of them goes.
        for peer in sending[:peers // 2]:
            peer.close()
        harness.wait_for("much of it", lambda: daemon.stats()["bytes_in_flight"] > allowed / 2)
        taken = resident(daemon, "VmHWM") - idle
        record_property("mib_taken", round(taken / harness.MIB))
        print(f"  taken={taken / harness.MIB:.1f} MiB")
        # Each has an input of 64 KiB, and there is what the heap has between.
        assert taken < allowed + peers * 64 * 1024 + 6 * harness.MIB
        for peer in sending[peers // 2:]:
            peer.close()
