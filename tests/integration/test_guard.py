# SPDX-License-Identifier: Apache-2.0
"""Who gets in: tokens and what a wrong one costs, connections for each address, every limit by its option."""
import contextlib
import json
import os
import re
import signal
import socket
import time

import pytest

import harness
import payloads

FIRST, MOST = 0.25, 8.0  # seconds that the answers to failures from one address take: 0.25, 0.5, 1 …
GOOD = b"AUTH good-token\n"
BAD = b"AUTH bad-token\n"


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("good-token\n")
    return path


def octets(count=1):
    return payloads.decoded(payloads.records(count))


def hup(daemon, line="configuration read again"):
    before = len(daemon.log_lines(line))
    daemon.signal(signal.SIGHUP)
    daemon.wait_log(line, before + 1)


def timed_failure(daemon, **how):
    """How long the answer to a wrong token took."""
    with daemon.connect(**how) as peer:
        begin = time.monotonic()
        assert peer.send(BAD).reply() == "REJECT - auth"
        return time.monotonic() - begin


def is_waiting(peer):
    """Whether the peer has no answer yet."""
    peer.socket.setblocking(False)
    try:
        return peer.socket.recv(1, socket.MSG_PEEK) is None
    except BlockingIOError:
        return True
    finally:
        peer.socket.settimeout(harness.WAIT)


# ---- what a wrong token costs ------------------------------------------------------------------------


def test_each_failure_of_an_address_is_answered_later_than_the_one_before(start, tokens):
    with start("--token-file", tokens) as daemon:
        took = [timed_failure(daemon) for _ in range(3)]
        # The loop's clock stands still while it works.
        assert all(t >= 0.9 * FIRST * 2**n for n, t in enumerate(took)), took
        assert daemon.stats()["auth_failures"] == 3
        assert daemon.stats()["closed_auth"] == 3


def test_who_waits_for_a_refusal_keeps_nobody_else_waiting(start, tokens):
    """The same address with a good token, and a bad one from another, overtake all of them."""
    with start("--token-file", tokens) as daemon:
        slow = [daemon.connect() for _ in range(6)]
        for n, peer in enumerate(slow):
            peer.send(BAD)
            daemon.wait_stats(auth_failures=n + 1)
        with daemon.connect(source="127.0.0.9") as other:
            assert other.send(BAD).reply() == "REJECT - auth"
        with daemon.connect() as good:
            assert good.send(GOOD).ask("a", octets()) == "ACK a 1"
        assert all(is_waiting(peer) for peer in slow[4:]), "4 and 8 seconds are over?"
        assert daemon.stats()["connections_open"] >= 2
        for peer in slow:
            peer.close()


def test_a_good_token_makes_good_for_the_failures_before(start, tokens):
    with start("--token-file", tokens) as daemon:
        peers = [daemon.connect() for _ in range(5)]
        for n, peer in enumerate(peers):
            peer.send(BAD)
            daemon.wait_stats(auth_failures=n + 1)
        with daemon.connect() as good:
            assert good.send(GOOD).ask("a", octets()) == "ACK a 1"
        # The sixth, begun last, has the first one's time and not the 8 seconds it would have.
        timed_failure(daemon)
        assert is_waiting(peers[4]), "the fifth one's 4 seconds are over"
        for peer in peers:
            peer.close()


def failures_and_refusals(daemon):
    s = daemon.stats()
    return s["auth_failures"] + s["connections_refused_per_address"]


def test_a_refused_peer_holds_its_place_until_it_was_told(start, tokens):
    """Else it would come back at once, and be as fast as ever."""
    with start("--token-file", tokens, "--max-connections-per-address", "2") as daemon:
        for n in range(20):
            peer = daemon.connect()
            with contextlib.suppress(OSError):
                peer.send(BAD)
            harness.wait_for("a verdict", lambda: failures_and_refusals(daemon) > n)
            peer.reset()
            if daemon.stats()["connections_refused_per_address"] > 0:
                break
        assert daemon.stats()["connections_refused_per_address"] > 0
        with daemon.connect(source="127.0.0.9") as peer:
            assert peer.send(GOOD).ask("a", octets()) == "ACK a 1"
        harness.wait_for("the refused to be gone", lambda: daemon.stats()["connections_open"] == 0)
        with daemon.connect() as peer:
            assert peer.send(GOOD).ask("a", octets()) == "ACK a 1"


def test_time_limits_do_not_cut_a_refusal_short(start, tokens):
    with start("--token-file", tokens, "--payload-timeout", "1", "--idle-timeout", "1") as daemon:
        for n in range(4):
            peer = daemon.connect().send(BAD + b"PUT a 10\n12345")
            daemon.wait_stats(auth_failures=n + 1)
        assert peer.rest() == b"REJECT - auth\n"  # after two seconds


def test_a_refusal_does_not_hold_up_the_end(start, tokens):
    with start("--token-file", tokens) as daemon:
        peers = [daemon.connect() for _ in range(6)]
        for n, peer in enumerate(peers):
            peer.send(BAD)
            daemon.wait_stats(auth_failures=n + 1)
        begin = time.monotonic()
        daemon.terminate()
        assert time.monotonic() - begin < MOST
        for peer in peers:
            peer.close()


@pytest.mark.long
def test_no_failure_is_answered_later_than_8_seconds(start, tokens):
    with start("--token-file", tokens) as daemon:
        peers = [daemon.connect() for _ in range(12)]
        for n, peer in enumerate(peers):
            peer.send(BAD)
            daemon.wait_stats(auth_failures=n + 1)
        begin = time.monotonic()
        assert [peer.reply() for peer in peers] == ["REJECT - auth"] * 12
        assert FIRST * 2**4 < time.monotonic() - begin < 2 * MOST


# ---- rotation ----------------------------------------------------------------------------------------


def test_tokens_are_rotated_with_connections_open(start, tokens):
    tokens.write_text("old\n")
    with start("--token-file", tokens) as daemon:
        with daemon.connect() as inside, daemon.connect() as early, daemon.connect() as late:
            daemon.wait_stats(connections=3)
            assert inside.send(b"AUTH old\n").ask("a", octets()) == "ACK a 1"
            tokens.write_text("# both for a while\nnew\nold\n")
            hup(daemon)
            assert inside.ask("b", octets()) == "ACK b 1"
            assert early.send(b"AUTH new\n").ask("c", octets()) == "ACK c 1"
            tokens.write_text("new\n")
            hup(daemon)
            # Who came in with the token that is gone goes with it; connected before counts nothing.
            assert early.ask("d", octets()) == "ACK d 1"
            assert inside.put("e", octets()).rest() == b"REJECT - auth\n"
            assert late.send(b"AUTH old\n").put("f", octets()).rest() == b"REJECT - auth\n"
            assert daemon.stats()["auth_failures"] == 2
        assert len(daemon.terminate()) == 4


def test_a_token_file_that_comes_later_holds_for_connections_open(start, tmp_path, tokens):
    config = tmp_path / "config"
    config.write_text("{}")
    with start("--config", config) as daemon, daemon.connect() as peer, daemon.connect() as unframed:
        assert peer.ask("a", octets()) == "ACK a 1"
        daemon.wait_stats(connections=2)
        config.write_text(json.dumps({"token-file": str(tokens)}))
        hup(daemon)
        assert peer.put("b", octets()).rest() == b"REJECT - auth\n"
        unframed.send(octets())
        assert unframed.rest() == b""
        assert len(daemon.terminate()) == 1


def unreadable(path):
    """Makes a file that nobody can take tokens from, root neither; what the line says of it."""
    path.unlink()
    path.mkdir()
    return "Is a directory"


@pytest.mark.parametrize("spoil, why", [
    (unreadable, "Is a directory"), (lambda path: path.unlink(), "No such file or directory"),
    (lambda path: path.write_text("# none\n"), "no token in it"),
    (lambda path: path.write_text("two words\n"), "printable ASCII"),
])
def test_a_token_file_of_no_use(start, tokens, spoil, why):
    """At the start exit status 2, the option and the reason; at HUP the tokens stay as they were."""
    with start("--token-file", tokens) as daemon:
        spoil(tokens)
        hup(daemon, "the old one stays in force")
        assert daemon.log_lines(f"ERROR config: .*{why}.*--token-file {tokens}")
        with daemon.connect() as peer:
            assert peer.send(GOOD).ask("a", octets()) == "ACK a 1"
        with daemon.connect() as peer:
            assert peer.put("b", octets()).rest() == b"REJECT - auth\n"
    result = harness.run("--token-file", tokens, status=2)
    assert re.fullmatch(f"ERROR config: .*{why}.*--token-file {tokens}.*\n", result.err)


# ---- connections for each address --------------------------------------------------------------------


def test_an_address_has_so_many_connections_and_others_as_many(start):
    with start("--max-connections-per-address", "3") as daemon:
        for source in "127.0.0.1", "127.0.0.2":
            peers = [daemon.connect(source=source) for _ in range(3)]
            for n, peer in enumerate(peers):
                assert peer.ask(f"a{n}", octets()) == f"ACK a{n} 1"
            for _ in range(4):
                with daemon.connect(source=source) as peer:
                    assert peer.rest() == b""
            assert peers[0].ask("b", octets()) == "ACK b 1"
            assert len(daemon.log_lines(f"max-connections-per-address.*peer={source} limit=3")) == 1
            peers.pop().close()
            harness.wait_for("its place", lambda: daemon.stats()["connections_open"] == 2)
            assert daemon.ask("c", octets(), source=source) == "ACK c 1"
            for peer in peers:
                peer.close()
            harness.wait_for("all to go", lambda: daemon.stats()["connections_open"] == 0)
        s = daemon.stats()
        assert (s["connections_refused_per_address"], s["connections_refused"]) == (8, 0)


def test_the_limit_for_an_address_changes_at_hup(start, tmp_path):
    config = tmp_path / "config"
    config.write_text('{"max-connections-per-address": 1}')
    with start("--config", config) as daemon, daemon.connect() as holder:
        assert holder.ask("a", octets()) == "ACK a 1"
        with daemon.connect() as peer:
            assert peer.rest() == b""
        config.write_text('{"max-connections-per-address": 2}')
        hup(daemon)
        assert daemon.ask("b", octets()) == "ACK b 1"


def test_ipv6_and_ipv4_on_one_socket_are_counted_apart(start):
    with start("--listen", "[::]:0", "--max-connections-per-address", "1", listen=False) as daemon:
        port = daemon.address[1]
        with socket.create_connection(("127.0.0.1", port)) as four, \
                socket.create_connection(("::1", port)) as six:
            daemon.wait_stats(connections_open=2)
            for host in "127.0.0.1", "::1":
                with socket.create_connection((host, port), harness.WAIT) as third:
                    assert third.recv(1) == b""
            four.close()
            six.close()
        harness.wait_for("all to go", lambda: daemon.stats()["connections_open"] == 0)
        with harness.Peer(("127.0.0.1", port)) as peer:
            assert peer.ask("a", octets()) == "ACK a 1"


# ---- every limit by its option -----------------------------------------------------------------------

LINES = payloads.plain(payloads.records(2))
NESTED = b'{"messageType":"DATA_MESSAGE","x":[[]],"logEvents":[]}'

LIMITS = {
    # option: (value, payload, the answer under it, the answer by default)
    "--max-payload": ("1024", LINES * 5, "too_large", "ACK"),
    "--max-inflated": ("65536", payloads.zipped(payloads.plain(payloads.noisy_records(1000))),
                       "inflated", "ACK"),
    "--max-ratio": ("2", payloads.zipped(payloads.plain(payloads.noisy_records(1000))), "ratio",
                    "ACK"),
    "--max-depth": ("3", NESTED.replace(b"[[]]", b"[[[]]]"), "json_depth", "ACK"),
    "--max-nesting": ("1", payloads.zipped(payloads.lambda_event(payloads.records(1))), "nesting",
                      "ACK"),
    "--max-columns": ("13", payloads.with_header(payloads.records(1)), "nothing_converted", "ACK"),
}


@pytest.mark.parametrize("option", LIMITS)
def test_limits_of_a_payload(start, shared, option):
    value, payload, under, by_default = LIMITS[option]
    assert shared.ask("a", payload).split()[0] == by_default
    with start(option, value) as daemon:
        assert daemon.ask("a", payload) == f"REJECT a {under}"
        assert daemon.terminate() == []


def documented(name, heading):
    """What stands below a heading of a document at the top."""
    root = os.path.dirname(os.path.dirname(harness.DATA))
    with open(os.path.join(root, name), encoding="utf-8") as file:
        return file.read().split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("document, heading", [
    ("README.md", "Limits"), ("SECURITY.md", "What each limit defends against")])
def test_limits_are_documented_as_they_are(document, heading):
    """Name and default, as --help has them; every one in the README, those that defend in the other."""
    table = documented(document, heading)
    described = harness.run("--check-config").out
    names = re.findall(r"^  +--([a-z-]+) (?:SIZE|COUNT|TIME)\b", harness.run("--help").out, re.M)
    assert "max-connections-per-address" in names
    if document != "README.md":
        shown = re.findall(r"`--([a-z-]+)`", table)
        assert set(shown) <= set(names) and set(re.findall(r"(max-[a-z-]+|[a-z-]+-timeout)", " ".join(
            set(names) - {"reconnect-max", "drain-timeout"}))) <= set(shown)
        names = shown
    for name in names:
        value = int(re.search(rf"^{name} (\d+)$", described, re.M).group(1))
        shown = str(value or "none")
        if value and value % harness.MIB == 0:
            shown += f"|{value >> 20} MiB|{value >> 30 if value % (1 << 30) == 0 else 0} GiB"
        rows = [row for row in table.split("\n") if f"`--{name}`" in row]
        assert len(rows) == 1, name
        assert any(re.search(rf"\b(?:{shown})\b", cell) for cell in rows[0].split("|")[2:4]), \
            f"{rows[0]}: not {shown}"
