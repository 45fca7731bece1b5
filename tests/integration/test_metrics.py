# SPDX-License-Identifier: Apache-2.0
"""
/metrics: what Prometheus, promtool, USR1 and the documents say of it. The alert rules that are
shipped are tried on series that are made for that.
"""
import json
import os
import re
import shutil
import ssl
import subprocess
import time

import pytest

import collectors
import harness
import payloads
import secure
import sessions
import watching

ROOT = os.path.dirname(os.path.dirname(harness.DATA))
RULES = os.path.join(ROOT, "scripts", "prometheus-alerts.yml")
DOCUMENT = os.path.join(ROOT, "listener", "watch", "README.md")
ROW = re.compile(r"\| `([a-z_]+)` \| (\w+) \| (.*?) \| (.*?) \| (.*) \|")


def promtool(*args, **how):
    done = subprocess.run(["promtool", *map(str, args)], capture_output=True, text=True, check=False,
                          timeout=60, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def busy(tmp_path_factory, certificates):
    """
    One that has every metric there is, and has seen something of everything: its scrape, and the
    counters that USR1 printed, as of the same moment.
    """
    folder = tmp_path_factory.mktemp("busy")

    class Daemon(secure.Daemon, watching.Daemon):
        """Speaks TLS, and is watched."""

    with collectors.UdpSink() as sink:
        with Daemon(folder, certificates, "-o", f"csv:{folder}/flows", "-o", "json",
                    "-o", f"ipfix:udp://127.0.0.1:{sink.port}", "--aws-elements", "35632", "-w", "2",
                    "--spool", folder / "spool") as daemon:
            lines = payloads.records(20)
            octets = payloads.zipped(payloads.decoded(
                lines + [payloads.NODATA, payloads.SKIPDATA, "too few columns", lines[0].replace(" 6 ", " x ")]))
            assert daemon.ask("a", octets) == "ACK a 20"
            assert daemon.ask("b", octets) == "DUP b 20"
            assert daemon.ask("c", b"").startswith("REJECT")
            assert daemon.ask("d", b"{").startswith("REJECT")
            harness.wait_for("an end of all connections", lambda: daemon.stats()["connections_open"] == 0)
            daemon.wait_metric("vpcflowd_connections_open", 0)
            daemon.wait_metric("vpcflowd_flows_total", 20)
            scrape, counters = settled(daemon)
            yield daemon, scrape, counters


def settled(daemon):
    """A scrape and the counters, between which nothing has changed."""
    def same():
        before = daemon.stats()
        stamp = daemon.metrics()["vpcflowd_counted_timestamp_seconds"]
        harness.wait_for("a publication",
                         lambda: daemon.metrics()["vpcflowd_counted_timestamp_seconds"] > stamp)
        scrape = daemon.scrape()
        return (scrape, before) if daemon.stats() == before else None

    return harness.wait_for("two moments that are alike", same)


# ---- what it says --------------------------------------------------------------------------------------


def test_promtool_finds_nothing(busy):
    _, scrape, _ = busy
    assert promtool("check", "metrics", input=scrape) == ""


def sources():
    text = ""
    for path in ("base", "stats.h"), ("deliver", "output.h"):
        with open(os.path.join(ROOT, "listener", *path), encoding="utf-8") as file:
            text += file.read().replace("\\\n", "\n")
    return text


def table(scrape):
    """The rows that the document has to have."""
    plain = re.findall(r'X\((\w+),\s*(COUNTER|GAUGE|SUM),\s*"(\w+)"', sources())
    outputs = re.findall(r'X\((\w+),\s*(?:EVERY|NETWORK|AWS),\s*(?:COUNTER|GAUGE),\s*"(\w+)"', sources())
    counted = {"vpcflowd_connections_closed_total": ["closed_…"]}
    for name, kind, metric in plain:
        counted.setdefault(f"vpcflowd_{metric}", []).append(name + "_…" * (kind == "SUM"))
    for name, metric in outputs:
        counted.setdefault(f"vpcflowd_output_{metric}", []).append(f"outputN_{name}")
    assert len(plain) == 29 and len(outputs) == 12
    rows = []
    for name, (kind, meaning) in watching.families(scrape).items():
        labels = []
        for line in re.findall(rf"^{name}(?:_bucket)?{{(.*)}} ", scrape, re.M):
            labels += [label for label, _ in watching.LABEL.findall(line) if label not in labels]
        rows.append((name, kind, ", ".join(labels), ", ".join(f"`{c}`" for c in counted.pop(name, [])),
                     meaning))
    assert not counted, "counters without a metric"
    return rows


def test_the_document_lists_every_metric(busy):
    """And says of each what the program says."""
    _, scrape, _ = busy
    with open(DOCUMENT, encoding="utf-8") as file:
        listed = ROW.findall(file.read())
    rows = table(scrape)
    assert [tuple(cell.strip() for cell in row) for row in listed] == rows, "\n" + "\n".join(
        f"| `{r[0]}` | " + " | ".join(r[1:]) + " |" for r in rows)


def test_the_values_are_those_of_usr1(busy):
    daemon, scrape, counters = busy
    checked = 0
    for metric, _, _, counted, _ in table(scrape):
        if not counted:
            continue
        values = [(dict(watching.LABEL.findall(labels)), value) for labels, value in
                  re.findall(rf"^{metric}(?:{{(.*)}})? (\S+)$", scrape, re.M)]
        names = [name.strip("`") for name in counted.split(", ")]
        if names[0].endswith("…"):
            names = [names[0][:-1] + labels["reason"] for labels, _ in values]
        elif names[0].startswith("outputN"):
            names = [names[0].replace("N", labels["output"]) for labels, _ in values]
        for name, (_, value) in zip(names, values, strict=True):
            assert float(value) == counters.get(name, 0), name
            checked += 1
    assert checked == len(set(counters) - {"rejected", "payloads_rejected"}) + len(absent(scrape, counters))
    assert counters["flows"] == 20 and counters["rejected"] == 2 and counters["payloads_rejected"] == 2


def absent(scrape, counters):
    """Reasons that USR1 leaves out, as nothing was lost for them."""
    found = re.findall(r'^vpcflowd_(rejected|payloads_rejected|connections_closed)_total'
                       r'{reason="(\w+)"}', scrape, re.M)
    names = [f"{family.replace('connections_', '')}_{reason}" for family, reason in found]
    return [name for name in names if name not in counters]


def test_the_law_holds_in_every_scrape(busy):
    _, scrape, _ = busy
    m = watching.samples(scrape)
    rejected = sum(n for name, n in m.items() if name.startswith("vpcflowd_rejected_total{"))
    assert m["vpcflowd_events_total"] == 24 == rejected + sum(
        m[f"vpcflowd_{name}_total"] for name in ("flows", "nodata", "skipdata"))


def test_what_usr1_does_not_say(busy, certificates):
    daemon, scrape, counters = busy
    m = watching.samples(scrape)
    version = harness.run("--version").out.split()[1]
    assert m[f'vpcflowd_build_info{{version="{version}"}}'] == 1 and m["vpcflowd_workers"] == 2
    with open(certificates.pem("server"), encoding="ascii") as file:
        pem = re.search(r"-----BEGIN.*?-----END CERTIFICATE-----", file.read(), re.S).group()
    shown = subprocess.run(["openssl", "x509", "-noout", "-enddate"], input=pem, check=True,
                           capture_output=True, text=True).stdout
    assert m['vpcflowd_certificate_expiry_timestamp_seconds{option="tls-cert"}'] == \
        ssl.cert_time_to_seconds(shown.strip().removeprefix("notAfter="))
    assert m["vpcflowd_spool_limit_bytes"] == 8 << 30 and m["vpcflowd_spool_full"] == 0
    for n in range(3):
        (up,) = [v for name, v in m.items() if name.startswith("vpcflowd_output_up") and f'output="{n}"' in name]
        assert up == 1


def test_how_long_acks_took(busy):
    _, scrape, counters = busy
    buckets = [(float(bound), float(n)) for bound, n in
               re.findall(r'^vpcflowd_ack_seconds_bucket{le="(.*)"} (\d+)$', scrape, re.M)]
    m = watching.samples(scrape)
    assert buckets == sorted(buckets) and sorted(n for _, n in buckets) == [n for _, n in buckets]
    assert buckets[-1] == (float("inf"), counters["acks"]) and counters["acks"] == 1
    assert m["vpcflowd_ack_seconds_count"] == 1
    (bound,) = [bound for bound, n in buckets if n == 1][:1]
    assert m["vpcflowd_ack_seconds_sum"] <= bound


def test_an_ack_takes_as_long_as_the_output(tmp_path):
    """It is the time that a peer waits: for who reads standard output, too."""
    with watching.Daemon(tmp_path, pipe=True) as daemon, daemon.connect() as peer:
        peer.put("a", sessions.numbered(0, 60_000))
        daemon.wait_stats(flows=20_000)
        begin = time.monotonic()
        daemon.wait_health(503, "output 0 takes no flows: ftsq")
        assert daemon.metrics()["vpcflowd_ack_seconds_count"] == 0
        waited = time.monotonic() - begin
        daemon.pipe.start_reading()
        assert peer.reply() == "ACK a 60000"
        daemon.wait_metric("vpcflowd_ack_seconds_count", 1)
        m = daemon.metrics()
        assert m["vpcflowd_ack_seconds_sum"] > waited > 1
        assert m['vpcflowd_ack_seconds_bucket{le="1"}'] == 0


def test_the_process(busy):
    daemon, _, _ = busy
    m = daemon.metrics()
    process = f"/proc/{daemon.process.pid}"
    with open(f"{process}/status", encoding="ascii") as file:
        assert m["process_threads"] == int(re.search(r"Threads:\s+(\d+)", file.read()).group(1))
    with open("/proc/stat", encoding="ascii") as file:
        booted = int(re.search(r"btime (\d+)", file.read()).group(1))
    with open(f"{process}/stat", encoding="ascii") as file:
        ticks = int(file.read().rsplit(")", 1)[1].split()[19])
    assert abs(m["process_start_time_seconds"] - (booted + ticks / os.sysconf("SC_CLK_TCK"))) < 10
    assert 0 < m["process_cpu_seconds_total"] < 1000
    assert m["process_resident_memory_bytes"] < m["process_virtual_memory_bytes"]
    harness.wait_for("no other connection", lambda: daemon.metrics()["process_open_fds"] ==
                     len(os.listdir(f"{process}/fd")) + 1)
    assert m["process_max_fds"] >= 1024


def test_a_destination_that_would_break_a_label(tmp_path):
    path = tmp_path / 'a"b\\c\td\xe4'
    with watching.Daemon(tmp_path, "-o", f"csv:{path}") as daemon:
        scrape = daemon.scrape()
        assert f'destination="{tmp_path}/a\\"b\\\\c\\\\x09d\\\\xc3\\\\xa4"' in scrape
        assert promtool("check", "metrics", input=scrape) == ""


# ---- a real Prometheus ---------------------------------------------------------------------------------


def test_prometheus_has_what_was_pushed(tmp_path):
    with watching.Daemon(tmp_path, "--workers", "2") as daemon, \
            watching.Prometheus(tmp_path, "%s:%d" % daemon.http, rules=[RULES]) as prometheus:
        total = 0
        for n in range(5):
            assert daemon.ask(f"a{n}", payloads.decoded(payloads.records(n + 1))) == f"ACK a{n} {n + 1}"
            total += n + 1
        prometheus.wait_value("vpcflowd_flows_total", total)
        assert prometheus.value("up") == 1
        assert prometheus.value(
            "vpcflowd_events_total - vpcflowd_flows_total - vpcflowd_nodata_total - "
            "vpcflowd_skipdata_total - ignoring(reason) sum without(reason) (vpcflowd_rejected_total)") == 0
        assert prometheus.value("sum(vpcflowd_output_delivered_flows_total)") == total
        groups = harness.wait_for("rules", lambda: all(
            rule["health"] == "ok" for group in prometheus.ask("rules")["groups"]
            for rule in group["rules"]) and prometheus.ask("rules")["groups"])
        assert len(groups[0]["rules"]) == len(alerts())
        meta = prometheus.ask("metadata", metric="vpcflowd_ack_seconds")
        assert meta["vpcflowd_ack_seconds"][0]["type"] == "histogram"


# ---- the alert rules -----------------------------------------------------------------------------------


def alerts():
    with open(RULES, encoding="utf-8") as file:
        return re.findall(r"- alert: (\w+)", file.read())


# Alert: series that make it fire at the time given, and one value changed, with which it does not.
FIRING = {
    "VpcflowdDown": ("5m", {"up": "0x20"}, {"up": "1x20"}),
    "VpcflowdHangs": ("5m", {"vpcflowd_counted_timestamp_seconds": "0x20"},
                      {"vpcflowd_counted_timestamp_seconds": "0+60x20"}),
    "VpcflowdOutputDown": ("10m", {"vpcflowd_output_up": "0x20"}, {"vpcflowd_output_up": "0 0 0 0 0 0 1 0x20"}),
    "VpcflowdOutputSlow": ("15m", {"vpcflowd_output_full": "1x20"},
                           {"vpcflowd_output_full": "1 0 1 1 0 1 1 0 1 1 0 1 1 0 1 1"}),
    "VpcflowdOutputUnsteady": ("20m", {"vpcflowd_output_sessions_total": "2+1x30", "vpcflowd_workers": "2x30"},
                               {"vpcflowd_output_sessions_total": "2+0.1x30", "vpcflowd_workers": "2x30"}),
    "VpcflowdFlowsLost": ("5m", {"vpcflowd_output_lost_flows_total": "0 0 0 7x10"},
                          {"vpcflowd_output_lost_flows_total": "7x10"}),
    "VpcflowdSpoolFilling": ("10m", {"vpcflowd_spool_bytes": "6x20", "vpcflowd_spool_limit_bytes": "10x20"},
                             {"vpcflowd_spool_bytes": "4x20", "vpcflowd_spool_limit_bytes": "10x20"}),
    "VpcflowdSpoolFull": ("5m", {"vpcflowd_spool_full": "1x20"}, {"vpcflowd_spool_full": "0x20"}),
    "VpcflowdSpoolDamaged": ("5m", {"vpcflowd_spool_damaged_places_total": "0 0 1x20"},
                             {"vpcflowd_spool_damaged_places_total": "1x20"}),
    "VpcflowdNothingComes": ("40m", {"vpcflowd_events_total": "5x60", "process_start_time_seconds": "0x60"},
                             {"vpcflowd_events_total": "5+1x60", "process_start_time_seconds": "0x60"}),
    "VpcflowdRecordsRejected": ("5m", {"vpcflowd_rejected_total": "0 0 1x20"},
                                {"vpcflowd_rejected_total": "1x20"}),
    "VpcflowdPayloadsRejected": ("5m", {"vpcflowd_payloads_rejected_total": "0 0 1x20"},
                                 {"vpcflowd_payloads_rejected_total": "1x20"}),
    "VpcflowdAwsLosesFlows": ("5m", {"vpcflowd_skipdata_total": "0 0 1x20"},
                              {"vpcflowd_skipdata_total": "1x20"}),
    "VpcflowdAcksSlow": ("20m", {'vpcflowd_ack_seconds_bucket{le="10"}': "0x30",
                                 'vpcflowd_ack_seconds_bucket{le="30"}': "0+5x30",
                                 'vpcflowd_ack_seconds_bucket{le="+Inf"}': "0+5x30"},
                         {'vpcflowd_ack_seconds_bucket{le="10"}': "0+5x30",
                          'vpcflowd_ack_seconds_bucket{le="30"}': "0+5x30",
                          'vpcflowd_ack_seconds_bucket{le="+Inf"}': "0+5x30"}),
    "VpcflowdPeersRefused": ("10m", {"vpcflowd_auth_failures_total": "0+5x20"},
                             {"vpcflowd_auth_failures_total": "0+0.1x20"}),
    "VpcflowdCertificateEnds": ("5m", {"vpcflowd_certificate_expiry_timestamp_seconds": "1000000x20"},
                                {"vpcflowd_certificate_expiry_timestamp_seconds": "2000000x20"}),
}


def labelled(series):
    """As a scrape gives it: with its job, and of one output."""
    name, _, labels = series.rstrip("}").partition("{")
    more = ['job="vpcflowd"', 'instance="a:1"'] + [labels] * bool(labels)
    if "output" in name:
        more.append('output="0"')
    return f"{name}{{{','.join(more)}}}"


def rule_test(name, at, series, fires):
    """One test of promtool's: in its expression only the name of the alert counts."""
    return {
        "interval": "1m",
        "input_series": [{"series": labelled(s), "values": v} for s, v in series.items()],
        "promql_expr_test": [{
            "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})', "eval_time": at,
            "exp_samples": [{"labels": "{}", "value": 1}] * fires,
        }],
    }


def test_every_alert_fires_when_it_should_and_not_else(tmp_path):
    assert sorted(FIRING) == sorted(alerts())
    promtool("check", "rules", RULES)
    tests = []
    for name, (at, firing, quiet) in FIRING.items():
        tests += [rule_test(name, at, firing, True), rule_test(name, at, quiet, False)]
    path = tmp_path / "tests.json"
    path.write_text(json.dumps({"rule_files": [RULES], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", path)


def watch_it():
    """That section of the README."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.search(r"^## Watch it$(.*?)^## ", file.read(), re.M | re.S).group(1)


def test_alerts_and_queries_go_by_metrics_that_there_are(busy, tmp_path):
    _, scrape, _ = busy
    with open(RULES, encoding="utf-8") as file:
        expressions = re.findall(r"expr: (.*)", file.read())
    queries = re.findall(r"^(.*vpcflowd_.*?) +#", watch_it(), re.M)
    assert len(expressions) == len(alerts()) and len(queries) == 5
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    (tmp_path / "queries.json").write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "queries.json")
    expressions += queries
    used = set(re.findall(r"\b(?:vpcflowd|process)_[a-z_]+", " ".join(expressions)))
    there = {re.sub(r"\{.*", "", name) for name in watching.samples(scrape)}
    assert used and not used - there


def test_the_readme_names_every_alert_and_its_configuration_is_one(tmp_path):
    text = watch_it()
    rows = "\n".join(re.findall(r"^\| (Vpcflowd.*?) \|", text, re.M))
    for row in rows.split("\n"):
        first = re.match(r"Vpcflowd(Output|Spool)?", row).group()
        rows = rows.replace(row, row.replace("…", first))
    assert sorted(re.findall(r"Vpcflowd\w+", rows)) == sorted(alerts())
    (config,) = re.findall(r"```\n(scrape_configs:.*?)```", text, re.S)
    (tmp_path / "prometheus.yml").write_text(config)
    shutil.copy(RULES, tmp_path)
    said = promtool("check", "config", tmp_path / "prometheus.yml")
    assert f"{len(alerts())} rules found" in said
