# SPDX-License-Identifier: Apache-2.0
"""HUP opens files anew and reads the configuration again; USR1 prints the counters."""
import json
import os
import signal

import pytest

import harness
import payloads
import traffic


def test_rotation_under_load_loses_and_doubles_nothing(start, tmp_path):
    path = tmp_path / "flows.csv"
    with start("-o", f"csv:{path}") as daemon:
        sent, got = traffic.rotate(daemon, path, rotations=8, peers=3, flows=100)
    assert sorted(got) == sorted(",".join(line.split()) for line in sent)


def test_hup_without_rotation_goes_on_in_the_same_file(start, tmp_path):
    path = tmp_path / "flows.csv"
    with start("-o", f"csv:{path}") as daemon:
        for n in range(3):
            assert daemon.ask("a", payloads.decoded(payloads.records(1))) == "ACK a 1"
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("reopened", n + 1)
    assert len(path.read_text().splitlines()) == 4


def test_a_file_that_cannot_be_opened_anew_is_kept(start, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with start("-o", f"csv:{folder}/flows") as daemon:
        moved = tmp_path / "moved"
        os.rename(folder, moved)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("ERROR output: ")
        assert daemon.ask("a", payloads.decoded(payloads.records(1))) == "ACK a 1"
    assert len((moved / "flows").read_text().splitlines()) == 2


@pytest.fixture
def reload_(tmp_path):
    path = tmp_path / "vpcflowd.json"

    def write(daemon=None, **members):
        path.write_text(json.dumps(members))
        if daemon:
            before = len(daemon.log_lines("configuration read again"))
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("configuration read again", before + 1)
        return path

    return write


def test_hup_reads_sources_again(start, reload_):
    lines = payloads.records(2)
    path = reload_(sources=[{"log-group": "*", "exporter": "10.9.9.1"}])
    with start("-c", path) as daemon:
        assert daemon.ask("a", payloads.decoded(lines[:1])) == "ACK a 1"
        reload_(daemon, sources=[{"log-group": "*", "exporter": "10.9.9.2"}])
        assert daemon.ask("b", payloads.decoded(lines[1:])) == "ACK b 1"
        assert daemon.terminate() == payloads.ftsq_lines(lines[:1], exporter="10.9.9.1") + \
            payloads.ftsq_lines(lines[1:], exporter="10.9.9.2")


def test_hup_reads_allow_again(start, reload_):
    path = reload_(allow=["127.0.0.1/32"])

    def octets():
        return payloads.decoded(payloads.records(1))

    with start("-c", path) as daemon:
        assert daemon.ask("a", octets()) == "ACK a 1"
        reload_(daemon, allow="127.0.0.2/32")
        with daemon.connect() as peer:
            assert peer.rest() == b""
        assert daemon.ask("b", octets(), source="127.0.0.2") == "ACK b 1"


def test_hup_reads_tokens_again(start, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("old\n")

    def try_token(token):
        octets = payloads.decoded(payloads.records(1))
        with daemon.connect() as peer:
            return peer.send(b"AUTH %s\n" % token).put("a", octets).reply().split()[0]

    with start("--token-file", tokens) as daemon:
        assert try_token(b"old") == "ACK"
        tokens.write_text("new\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration read again")
        assert try_token(b"old") == "REJECT"
        assert try_token(b"new") == "ACK"


@pytest.mark.parametrize("text", [
    "{", "", "[]", '{"no-such-option":1}', '{"sources":[{"exporter":"x"}]}', '{"exporter":"10.1.1.1",}',
])
def test_a_broken_configuration_is_said_and_the_old_one_stays(start, reload_, text):
    line = payloads.record()
    path = reload_(exporter="10.9.9.1")
    with start("-c", path) as daemon:
        path.write_text(text)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("old one stays")
        assert daemon.log_lines(f"ERROR config: .*{path.name}")
        assert daemon.ask("a", payloads.decoded([line])) == "ACK a 1"
        assert daemon.terminate() == payloads.ftsq_lines([line], exporter="10.9.9.1")


@pytest.mark.parametrize("framed", [True, False])
def test_peers_outlive_several_configurations(start, reload_, framed):
    """A payload begun under one configuration ends under the third one after it."""
    lines = payloads.records(30)
    whole = payloads.decoded(lines, group="/vpc/a")
    if framed:
        whole = harness.command("a", whole)
    cut = len(whole) // 3
    path = reload_(sources=[{"log-group": "/vpc/*", "exporter": "10.9.9.1"}])
    with start("-c", path) as daemon, daemon.connect() as peer:
        daemon.wait_stats(connections=1)
        for n, part in enumerate((whole[:cut], whole[cut:-1], whole[-1:])):
            reload_(daemon, sources=[{"log-group": "/vpc/*", "exporter": f"10.9.9.{n + 2}"}])
            peer.send(part)
            daemon.wait_stats(bytes_received=cut if n == 0 else len(whole) - 1 if n == 1 else 0)
        if framed:
            assert peer.reply() == "ACK a 30"
        peer.half_close()
        assert peer.rest() == b""
        daemon.wait_lines(30)
        exporters = {line.split(",")[11] for line in daemon.terminate()}
        assert exporters <= {"10.9.9.1", "10.9.9.2", "10.9.9.3", "10.9.9.4"}


def test_a_put_under_conversion_outlives_several_configurations(start, reload_):
    lines = payloads.records(80_000)
    octets = payloads.zipped(payloads.decoded(lines), 1)
    path = reload_(exporter="10.9.9.1", sources=[{"log-group": "*", "exporter": "10.9.9.1"}])
    with start("-c", path, pipe=True) as daemon, daemon.connect() as peer:
        daemon.wait_stats(connections=1)
        reload_(daemon, exporter="10.9.9.2", sources=[{"log-group": "*", "exporter": "10.9.9.1"}])
        peer.put("big", octets)
        daemon.wait_stats(flows=20_000)
        for n in 3, 4:
            reload_(daemon, exporter=f"10.9.9.{n}")
        daemon.pipe.start_reading()
        assert peer.reply() == "ACK big 80000"
        assert daemon.terminate() == payloads.ftsq_lines(lines, exporter="10.9.9.1")


@pytest.mark.parametrize("before, after", [
    ({"output": "csv"}, {"output": "csv", "fields": "srcaddr,dstaddr"}),
    ({"output": "csv", "fields": "srcaddr,dstaddr"}, {"output": "csv"}),
    ({"output": "json", "fields": "srcaddr,dstaddr"}, {"output": "json", "fields": "dstaddr,srcaddr"}),
    ({}, {"output": "csv"}), ({}, {"flow-format": "${srcaddr} ${dstaddr}"}),
    ({}, {"mtu": 1300}), ({}, {"udp-rate": 10}), ({}, {"reconnect-max": 2}),
    ({}, {"aws-elements": 1}), ({}, {"packet-addresses": True}), ({}, {"duplicate-window": 5}),
    ({}, {"spool-segment": "1M"}), ({}, {"template-refresh": 5}),
    ({"listen": "127.0.0.1:0"}, {"listen": ["127.0.0.1:0", "127.0.0.2:0"]}),
])
def test_what_hup_cannot_change_is_told(start, reload_, before, after):
    path = reload_(**before)
    with start("-c", path, listen="listen" not in before) as daemon:
        reload_(daemon, **after)
        assert len(daemon.log_lines("WARN main: .* take effect at a restart")) == 1
        reload_(daemon, **before)  # what runs
        assert len(daemon.log_lines("take effect at a restart")) == 1


def test_all_else_changes_at_hup_without_a_word(start, reload_):
    path = reload_()
    with start("-c", path) as daemon:
        reload_(daemon, **{"exporter": "10.9.9.1", "domain": 7, "allow": "127.0.0.0/8", "verbose": True,
                           "max-connections": 2000, "max-payload": "1M", "drain-timeout": 5,
                           "spool-max": "1M", "filter": "bytes > 1"})
        assert not daemon.log_lines("WARN|ERROR")


def test_usr1_prints_the_counters(served):
    octets = payloads.decoded(payloads.records(2) + [payloads.NODATA, payloads.SKIPDATA, "bad"])
    assert served.ask("a", octets) == "ACK a 2"
    s = served.stats()
    wanted = {"events": 5, "flows": 2, "nodata": 1, "skipdata": 1, "rejected": 1, "puts": 1,
              "acks": 1, "connections": 1, "output0_flows": 2, "rejected_columns": 1}
    assert {name: s.get(name) for name in wanted} == wanted
    assert s["bytes_received"] == len(harness.command("a", octets))
    assert s["output0_bytes_written"] == len(served.output())
