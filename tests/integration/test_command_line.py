# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, what it takes, and how it exits."""
import json
import os
import re
import subprocess

import pytest

import harness
import payloads


def test_help_names_every_option():
    result = harness.run("--help")
    for option in ("--listen", "--output", "--exporter", "--domain", "--flow-format", "--fields",
                   "--config", "--read", "--allow", "--token-file", "--ready-file",
                   "--packet-addresses", "--aws-elements", "--mtu", "--udp-rate", "--filter",
                   "--aggregate", "--top", "--by", "--check-config", "--workers", "--verbose",
                   "--quiet", "--version", "--help"):
        assert option in result.out
    assert result.err == "" and harness.run("-h").out == result.out


def test_version():
    result = harness.run("--version")
    assert re.fullmatch(r"vpcflowd \d+\.\d+\S*\n", result.out)
    assert harness.run("-V").out == result.out


def test_check_config_says_what_would_run(tmp_path):
    result = harness.run("--check-config", "-o", f"csv:{tmp_path}/c", "-x", "10.9.9.1", "-l",
                         "127.0.0.1:1")
    for word in "127.0.0.1:1", f"{tmp_path}/c", "10.9.9.1", "max-payload":
        assert word in result.out
    assert not (tmp_path / "c").exists(), "it only says"


def test_check_config_names_every_file(tmp_path, certificates):
    (tmp_path / "tokens").write_text("secret\n")
    (tmp_path / "config").write_text('{"quiet": true}')
    named = {
        "config": tmp_path / "config", "spool": tmp_path / "spool", "ready-file": tmp_path / "ready",
        "token-file": tmp_path / "tokens", "tls-cert": certificates.pem("server"),
        "tls-key": certificates.key("server"), "tls-client-ca": certificates.pem("ca"),
        "tls-ca": certificates.pem("ca"), "tls-output-cert": certificates.pem("client"),
        "tls-output-key": certificates.key("client")}
    options = [word for name, path in named.items() for word in (f"--{name}", path)]
    says = harness.run(*options, "-o", "csv:tls://localhost:1", "--check-config").lines
    assert set(says) >= {f"{name} {path}" for name, path in named.items()}
    assert not (tmp_path / "spool").exists()


def test_a_spool_is_of_no_use_with_read(tmp_path):
    """In a file that others listen with it is no mistake."""
    spool = str(tmp_path / "spool")
    config = tmp_path / "config"
    config.write_text(json.dumps({"spool": spool}))
    assert "WARN config: --spool " in harness.run("--spool", spool, "--read", "/dev/null").err
    assert "--spool" not in harness.run("-c", config, "--read", "/dev/null").err
    assert "spool " not in harness.run("-c", config, "--check-config", "--read", "/dev/null").out
    assert not os.path.exists(spool)


@pytest.mark.parametrize("options", [
    ["--no-such-option"], ["-Z"], ["--help=yes"], ["--listen"], ["stray"], ["--read"],
    ["--listen", "nonsense"], ["--listen", "127.0.0.1"], ["--listen", "127.0.0.1:65536"],
    ["--listen", "127.0.0.1:"], ["--listen", "::1:5"], ["--listen", "localhost:5"],
    ["--output", "xml"], ["--output", ""], ["--output", "csv:"], ["--output", "ftsq:udp://a:1"],
    ["-o", "csv", "-o", "json"], ["-o", "csv:f", "-o", "json:f"], ["-o", "ftsq", "-o", "ftsq:-"],
    ["--exporter", "x"], ["--exporter", "10.0.0"], ["--domain", "0"], ["--domain", "-1"],
    ["--domain", "4294967296"], ["--flow-format", ""], ["--flow-format", "${srcaddr} ${srcaddr}"],
    ["--fields", "a b a"], ["--fields", "srcaddr,srcaddr"], ["--allow", "10.0.0.0/33"],
    ["--allow", "x"], ["--allow", "10.0.0.0/"], ["--token-file", "missing"], ["--config", "missing"],
    ["--token-file", "/dev/null"], ["--max-payload", "0"], ["--max-payload", "1T"],
    ["--max-depth", "-1"], ["--max-connections", "0"], ["--idle-timeout", "x"],
    ["--idle-timeout", "0"], ["--max-columns", "129"], ["--drain-timeout", "99999999999999999999"],
])
def test_mistakes_exit_with_2(tmp_path, options):
    result = harness.run(*options, status=2, cwd=tmp_path)
    assert result.err.startswith("ERROR config: ") and result.out == ""
    assert result.err.count("\n") == 1
    if len(options) == 2 and options[0].startswith("--"):
        assert options[0] in result.err


@pytest.mark.parametrize("text, line", [
    ("{\n\n  \"exporter\": 10.0.0.1\n}", 3), ("", 1), ("[1]", 1), ("{\n\"a\":1,\n}", 3),
    ("{\n\"a\":1}}", 2), ("{\n'a':1}", 2), ("{\n\"exporter\":\"10.0.0.1\"\n", 3),
])
def test_bad_json_in_the_configuration_names_file_and_line(tmp_path, text, line):
    path = tmp_path / "bad.json"
    path.write_text(text)
    result = harness.run("--config", path, status=2)
    assert str(path) in result.err and f"line={line}\n" in result.err


@pytest.mark.parametrize("text, key", [
    ('{"no-such":1}', "no-such"), ('{"exporter":5.5}', "exporter"), ('{"exporter":[]}', "exporter"),
    ('{"verbose":"yes"}', "verbose"), ('{"sources":{}}', "sources"), ('{"read":true}', "read"),
    ('{"sources":[{"log-group":"a","colour":"b"}]}', "colour"), ('{"config":"x"}', "config"),
    ('{"sources":[{"vpc":"v","flow-format":"default"}]}', "sources"),
    ('{"sources":[{"log-group":"v"}]}', "sources"), ('{"sources":[5]}', "sources"),
    ('{"domain":0}', "domain"), ('{"output":["csv","json"]}', "output"),
])
def test_mistakes_in_the_configuration_name_file_and_key(tmp_path, text, key):
    path = tmp_path / "bad.json"
    path.write_text(text)
    result = harness.run("--config", path, status=2)
    assert str(path) in result.err and f'"{key}"' in result.err


def test_an_unreadable_file_is_1_and_the_others_are_converted(tmp_path):
    lines = payloads.records(1)
    (tmp_path / "good").write_bytes(payloads.plain(lines))
    (tmp_path / "folder").mkdir()
    for bad in "missing", "folder":
        result = harness.read(files=[bad, "good"], status=1, cwd=tmp_path)
        assert result.lines == payloads.ftsq_lines(lines)
        assert re.search(f"ERROR read: .*{bad}", result.err)


@pytest.mark.parametrize("read", [True, False])
def test_an_output_that_cannot_be_opened_is_1(tmp_path, read):
    options = ["--read", "-"] if read else ["--listen", "127.0.0.1:0"]
    result = harness.run("-o", "csv:missing/f", *options, status=1, cwd=tmp_path)
    assert re.search("ERROR output: .*csv:missing/f", result.err)


def test_an_address_in_use_is_1(served):
    port = served.address[1]
    result = harness.run("--listen", f"127.0.0.1:{port}", status=1)
    assert re.search(f"ERROR listen: .*127.0.0.1:{port}", result.err)


def test_a_ready_file_that_cannot_be_written_is_1(tmp_path):
    result = harness.run("-l", "127.0.0.1:0", "--ready-file", "missing/f", status=1, cwd=tmp_path)
    assert re.search("ERROR main: .*ready-file", result.err)


def test_a_ready_file_of_an_earlier_run_goes_first(tmp_path):
    """Who waits for it is not deceived by a start that fails."""
    ready = tmp_path / "ready"
    ready.write_text("127.0.0.1:9\n")
    harness.run("-l", "127.0.0.1:0", "--ready-file", ready, "-o", "csv:missing/f", status=1, cwd=tmp_path)
    assert not ready.exists()


@pytest.mark.parametrize("options", [
    ["--http", "0"], ["-l", "127.0.0.1:0"], ["--allow", "10.0.0.0/8"], ["--ready-file", "ready"], ["--spool", "s"]])
def test_what_reading_does_not_use_is_told(tmp_path, options):
    (tmp_path / "ready").write_text("another's")
    result = harness.run(*options, "--read", "-", stdin=payloads.plain(payloads.records(1)), cwd=tmp_path)
    name = {"-l": "--listen"}.get(options[0], options[0])
    assert f"WARN config: {name} is for listening, and --read does not use it" in result.err
    assert (tmp_path / "ready").read_text() == "another's"


def test_a_format_that_the_shell_has_eaten(tmp_path):
    result = harness.run("-f", " ", status=2)
    assert "no field in it" in result.err and "single quotes" in result.err
    assert "single quotes" not in harness.run("--fields", " ", status=2).err


@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_filter_has_nothing_to_point_at(nothing):
    result = harness.run("--filter", nothing, status=2)
    assert result.err.startswith("ERROR config: ") and result.err.count("\n") == 1


def test_the_ready_file_has_every_address(tmp_path, start):
    with start("--listen", "[::1]:0", "--listen", "127.0.0.2:0") as daemon:
        with open(daemon.ready_path, encoding="ascii") as file:
            addresses = file.read().splitlines()
        assert len(addresses) == 3 and addresses[1].startswith("[::1]:")
        assert not addresses[1].endswith(":0")
        port = int(addresses[2].removeprefix("127.0.0.2:"))
        with harness.Peer(("127.0.0.2", port)) as peer:
            assert peer.ask("a", payloads.decoded(payloads.records(1))) == "ACK a 1"


@pytest.mark.parametrize("to_stdout", [True, False])
@pytest.mark.parametrize("count", [1, 5000])
def test_a_full_disk_ends_read_with_1(to_stdout, count):
    data = payloads.plain(payloads.records(count))
    if to_stdout:
        with open("/dev/full", "wb") as full:
            result = harness.read(stdin=data, status=1, stdout=full)
    else:
        result = harness.read("-o", "csv:/dev/full", stdin=data, status=1)
    assert re.search(r"ERROR output: .*error=\"no space left on device\"", result.err)


def test_a_full_disk_makes_a_server_wait(start):
    with start("-o", "ftsq:/dev/full", "--drain-timeout", "1", status=1) as daemon:
        with daemon.connect() as peer:
            peer.put("a", payloads.decoded(payloads.records(1)))
            assert peer.line() == "WAIT a"
            assert len(daemon.log_lines("WARN output: .*full")) == 1
            daemon.terminate()
            assert b"ACK" not in peer.rest()


def test_read_status_is_1_when_a_record_was_rejected():
    lines = payloads.records(2)
    result = harness.read(stdin=payloads.plain([lines[0], "bad", lines[1]]), status=1)
    assert result.lines == payloads.ftsq_lines(lines)
    assert harness.read(stdin=payloads.plain([payloads.NODATA, payloads.SKIPDATA])).lines == []
    assert harness.read(stdin=b"").lines == []


def test_quiet_logs_errors_only_and_verbose_every_connection(start):
    assert harness.read("-q", stdin=payloads.plain(["bad"]), status=1).err == ""
    with start("-v") as daemon:
        daemon.push(payloads.decoded(payloads.records(1)))
        daemon.wait_log("DEBUG peer: .*127.0.0.1")


def test_read_leaves_its_input_to_others_as_it_was():
    """A pipe shared with another process must not be left non-blocking."""
    read_end, write_end = os.pipe()
    os.write(write_end, payloads.plain(payloads.records(1)))
    os.close(write_end)
    done = subprocess.run([harness.BINARY, "--read", "-"], stdin=read_end, check=False, timeout=60,
                          capture_output=True, env=harness.environment())
    assert done.returncode == 0 and os.get_blocking(read_end)
    os.close(read_end)


# ---- what a person would otherwise find out too late --------------------------------------------------
def test_csv_under_another_header_is_refused(tmp_path):
    """Records would stand under the wrong columns."""
    sample = tmp_path / "lines"
    sample.write_text("2 10.0.0.1 7\n")
    how = ["-f", "version srcaddr bytes", "-o", f"csv:{tmp_path}/flows"]
    harness.run(*how, "--fields", "srcaddr", "--read", str(sample))
    refused = harness.run(*how, "--fields", "bytes", "--read", str(sample), status=1)
    assert "begins with another header" in refused.err and "--fields" in refused.err
    harness.run(*how, "--fields", "srcaddr", "--read", str(sample))
    assert (tmp_path / "flows").read_text() == "srcaddr\n10.0.0.1\n10.0.0.1\n"


def test_columns_that_do_not_show_are_told(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("version srcaddr\n2 10.0.0.1\n")
    second.write_text("version srcaddr vpc-id tcp-flags\n3 10.0.0.2 vpc-1 2\n")
    result = harness.run("-o", "csv", "--read", str(first), str(second))
    assert result.out == "version,srcaddr\n2,10.0.0.1\n3,10.0.0.2\n"
    assert "--fields" in result.err and "fields=2" in result.err
    asked = harness.run("-o", "csv", "--fields", "srcaddr", "--read", str(first), str(second))
    assert "fields=2" not in asked.err, "who asked for some columns knows of the others"


def test_records_left_out_are_told(tmp_path):
    sample = tmp_path / "lines"
    sample.write_text("2 10.0.0.1 7\n")
    result = harness.run("-f", "version srcaddr bytes", "--read", str(sample))
    assert result.out == ""
    assert "without both addresses" in result.err and "output=ftsq records=1" in result.err


def test_files_that_were_read_are_counted(tmp_path):
    sample = tmp_path / "empty"
    sample.write_text("")
    result = harness.run("--read", str(sample), str(tmp_path / "missing"), str(sample), status=1)
    assert "files=2 of=3" in result.err


def test_what_is_no_flow_log_at_all_is_told_as_such(tmp_path):
    sample = tmp_path / "program"
    sample.write_bytes(b"\x7fELF\x02\x01\x01\x00\x00")
    result = harness.run("--read", str(sample), status=1)
    assert "neither gzip nor JSON nor text" in result.err and "--flow-format" not in result.err


def test_fields_without_an_output_for_them_is_told():
    assert "--fields" in harness.run("--fields", "srcaddr", "--read", "/dev/null").err


def test_ipfix_is_not_written_to_a_terminal():
    """Its octets would garble it; text is what one wants to see there."""
    try:
        master, terminal = os.openpty()
    except OSError:
        pytest.skip("no terminals here")
    try:
        sample = os.path.join(harness.DATA, "data-v2.decoded.json")
        result = harness.run("-o", "ipfix", "--read", sample, stdout=terminal, status=1)
        assert "binary" in result.err and "ipfix-csv" in result.err
        os.set_blocking(master, False)
        with pytest.raises(BlockingIOError):
            os.read(master, 1)
    finally:
        os.close(master)
        os.close(terminal)
