# SPDX-License-Identifier: Apache-2.0
"""What nfcapd (nfdump) and nfacctd (pmacct) collect over UDP: each record, with what each shows."""
import datetime
import ipaddress
import json

import pytest

import collectors
import elements
import harness
import payloads

ENI, EGRESS_ENI = "eni-0a1b2c3d4e5f60718", "eni-0123456789abcdef0"
ICMP = (1, 58)
AWS = ("--aws-elements", "6871")
MIXED_FORMAT = payloads.DEFAULT + ["tcp-flags", "flow-direction"]
MIXED = [f"{payloads.record(**fields)} {rest}" for fields, rest in (
    ({"interface_id": ENI}, "19 ingress"),
    ({"interface_id": EGRESS_ENI, "protocol": 17, "action": "REJECT"}, "0 egress"),
    ({"interface_id": EGRESS_ENI, "srcaddr": "2001:db8::1", "dstaddr": "2001:db8::2"}, "2 egress"),
    ({"interface_id": ENI, "protocol": 1, "srcport": 0, "dstport": 0}, "- -"),
    ({"interface_id": ENI, "protocol": 58, "srcaddr": "fe80::1", "dstaddr": "ff02::2",
      "srcport": "-", "dstport": "-"}, "- egress"),
    ({"interface_id": ENI, "protocol": 47, "srcport": "-", "dstport": "-", "action": "-"}, "- -"),
    ({"interface_id": ENI, "packets": 2**33 + 1, "bytes": 2**63 + 1}, "255 -"),
    ({"interface_id": "-", "start": 1600000000123, "end": 1600000060456}, "16 ingress"),
)]


def to(collector):
    return "-o", f"ipfix:udp://127.0.0.1:{collector.port}"


def in_format(fields):
    return "-f", elements.flow_format(fields)


def give(daemon, lines, **members):
    answer = daemon.ask("a", payloads.decoded(lines, **members))
    assert answer == f"ACK a {len(lines) - sum('NODATA' in n or 'SKIPDATA' in n for n in lines)}"


def one_eni(count):
    return payloads.records(count, interface_id=ENI)


def totals_of(lines):
    values = [payloads.values_of(line) for line in lines]
    return len(lines), sum(int(v["packets"]) for v in values), sum(int(v["bytes"]) for v in values)


@pytest.fixture
def nfcapd(tmp_path):
    with collectors.Nfcapd(tmp_path / "nfcapd") as collector:
        yield collector


# ---- nfdump --------------------------------------------------------------------------------------


def milliseconds(text):
    since = datetime.datetime.fromisoformat(text) - datetime.datetime(1970, 1, 1)
    return round(since / datetime.timedelta(milliseconds=1))


def of_nfdump(one):
    """An object of nfdump's as a flow: see seen_by_nfdump()."""
    family = 4 if "src4_addr" in one else 6
    flags = one.get("tcp_flags", "." * 8)
    found = {
        f"sourceIPv{family}Address": ipaddress.ip_address(one[f"src{family}_addr"]),
        f"destinationIPv{family}Address": ipaddress.ip_address(one[f"dst{family}_addr"]),
        "sourceTransportPort": one.get("src_port", 0),
        "destinationTransportPort": one.get("dst_port", 0),
        "protocolIdentifier": one["proto"], "packetDeltaCount": one["in_packets"],
        "octetDeltaCount": one["in_bytes"], "flowStartMilliseconds": milliseconds(one["first"]),
        "flowEndMilliseconds": milliseconds(one["last"]),
        "tcpControlBits": sum(128 >> n for n, c in enumerate(flags) if c != "."),
        "flowDirection": one["direction"], "ingressInterface": one["input_snmp"],
        "egressInterface": one["output_snmp"]}
    if "src4_xlt_ip" in one:
        found["postNATSourceIPv4Address"] = ipaddress.ip_address(one["src4_xlt_ip"])
        found["postNATDestinationIPv4Address"] = ipaddress.ip_address(one["dst4_xlt_ip"])
    return found


def seen_by_nfdump(one):
    """
    What nfdump 1.7.1 has of a flow: all but the action, exporter, and IPv6 translated; ICMP without
    ports and flags; and no direction is ingress.
    """
    seen = {name: value for name, value in one.items() if name not in
            ("forwardingStatus", "firewallEvent", "exporterIPv4Address",
             "postNATSourceIPv6Address", "postNATDestinationIPv6Address")}
    if one["protocolIdentifier"] in ICMP:
        seen.update(sourceTransportPort=0, destinationTransportPort=0, tcpControlBits=0)
    return {"flowDirection": 0, **seen}


@pytest.mark.parametrize("aws", [(), AWS], ids=["IANA", "AWS"])
def test_nfdump_shows_every_record(start, nfcapd, aws):
    """Times, addresses, ports, flags, counters, direction, and the ENI's name on its side."""
    with start(*to(nfcapd), *in_format(MIXED_FORMAT), *aws) as daemon:
        give(daemon, MIXED)
    assert list(map(of_nfdump, nfcapd.flows())) == \
        list(map(seen_by_nfdump, elements.flows(MIXED, MIXED_FORMAT)))
    values = [payloads.values_of(line, MIXED_FORMAT) for line in MIXED]
    sides = [[v.get("interface-id", "<ingress not found>"), ""] for v in values]
    for v, names in zip(values, sides):
        if v.get("flow-direction") == "egress":
            names.reverse()
    assert nfcapd.table("%inam|%onam") == sides
    assert nfcapd.exporters() == [(1, 0, len(MIXED))]


@pytest.mark.parametrize("addresses", [(), ("--packet-addresses",)], ids=["interface", "packets"])
@pytest.mark.parametrize("name", ["v11", "tgw"])
def test_nfdump_shows_random_records(start, nfcapd, name, addresses):
    """With AWS's elements beside those it knows; packet addresses have IPv4's translated ones."""
    fields = elements.FORMATS[name]
    lines = elements.random_records(500, fields, seed=4)
    with start(*to(nfcapd), *in_format(fields), *AWS, *addresses) as daemon:
        give(daemon, lines)
    expected = elements.flows(lines, fields, packet_addresses=bool(addresses))
    assert list(map(of_nfdump, nfcapd.flows())) == list(map(seen_by_nfdump, expected))


@pytest.mark.parametrize("count", [3, 600])
def test_names_in_one_batch_are_known_to_nfdump(start, nfcapd, count):
    """They go before the first flow, where they are no errors of sequence."""
    lines = [payloads.record(interface_id=f"eni-{n + 1:017x}") for n in range(count)]
    with start(*to(nfcapd)) as daemon:
        give(daemon, lines)
    assert nfcapd.table("%in|%inam") == [[str(n + 1), f"eni-{n + 1:017x}"] for n in range(count)]
    assert nfcapd.exporters() == [(1, 0, count)]


def test_names_that_come_late_are_no_errors_either(start, nfcapd):
    """They are told together, in the end, and nfdump has no name for flows before."""
    with start(*to(nfcapd)) as daemon:
        for n in range(5):
            give(daemon, [payloads.record(interface_id=f"eni-{n + 1:017x}")])
    assert nfcapd.table("%in|%inam") == [["1", "eni-00000000000000001"]] + [
        [str(n), "<ingress not found>"] for n in range(2, 6)]
    assert nfcapd.exporters() == [(1, 0, 5)]


@pytest.mark.parametrize("rate", [(), ("--udp-rate", "40000")], ids=["at once", "paced"])
def test_nfcapd_gets_all_of_a_burst(start, nfcapd, rate):
    lines = one_eni(20_000)
    with start(*to(nfcapd), *rate) as daemon:
        give(daemon, lines)
    assert nfcapd.totals() == totals_of(lines)
    assert nfcapd.exporters() == [(1, 0, len(lines))]


def test_nfcapd_takes_domains_for_exporters(start, tmp_path, nfcapd):
    """Each with a sequence of its own, whatever the order of payloads."""
    path = tmp_path / "vpcflowd.json"
    path.write_text(json.dumps({"sources": [{"log-group": "a", "domain": 7},
                                            {"log-group": "b", "domain": 9}]}))
    with start("-c", path, *to(nfcapd)) as daemon:
        for _ in range(5):
            give(daemon, one_eni(100), group="a")
            give(daemon, one_eni(30), group="b")
    assert nfcapd.exporters() == [(7, 0, 500), (9, 0, 150)]


def test_templates_in_mid_stream_are_no_errors(start, nfcapd):
    lines = one_eni(300)
    with start(*to(nfcapd), "--template-messages", "5") as daemon:
        for n in range(0, len(lines), 10):
            give(daemon, lines[n:n + 10])
    assert list(map(of_nfdump, nfcapd.flows())) == list(map(seen_by_nfdump, elements.flows(lines)))
    assert nfcapd.exporters() == [(1, 0, len(lines))]


def test_nfcapd_started_anew_decodes_what_comes_after_a_refresh(start, nfcapd):
    """Nobody told vpcflowd; names, too, are told again."""
    lines = one_eni(20)
    with start(*to(nfcapd), "--template-refresh", "1") as daemon:
        give(daemon, one_eni(10))
        nfcapd.kill()
        with collectors.Nfcapd(nfcapd.folder, nfcapd.port) as anew:
            harness.wait_for("options", lambda: "Add new sampler" in anew.log()[anew.began:])
            give(daemon, lines)
            daemon.terminate()
            assert anew.totals() == totals_of(lines)
            assert anew.table("%inam") == [[ENI]] * len(lines)


# ---- nfacctd -------------------------------------------------------------------------------------


def of_nfacctd(one):
    """An object of nfacctd's as a flow; it prints counters with a sign."""
    source, destination = map(ipaddress.ip_address, (one["ip_src"], one["ip_dst"]))
    found = {
        f"sourceIPv{source.version}Address": source,
        f"destinationIPv{source.version}Address": destination,
        "sourceTransportPort": one["port_src"], "destinationTransportPort": one["port_dst"],
        "protocolIdentifier": int(one["ip_proto"]), "packetDeltaCount": one["packets"] % 2**64,
        "octetDeltaCount": one["bytes"] % 2**64,
        "flowStartMilliseconds": milliseconds(one["timestamp_start"]),
        "flowEndMilliseconds": milliseconds(one["timestamp_end"]),
        "tcpControlBits": int(one["tcp_flags"]), "forwardingStatus": int(one["fwst"]),
        "firewallEvent": int(one["fwev"]), "ingressInterface": one["iface_in"],
        "egressInterface": one["iface_out"],
        "exporterIPv4Address": ipaddress.ip_address(one["peer_ip_src"])}
    if one.get("post_nat_ip_src"):
        view = [ipaddress.ip_address(one[f"post_nat_ip_{side}"]) for side in ("src", "dst")]
        found[f"postNATSourceIPv{view[0].version}Address"] = view[0]
        found[f"postNATDestinationIPv{view[0].version}Address"] = view[1]
    return found


def unordered(flows):
    """nfacctd keeps no order, knows no translated IPv6, and was not asked for the direction."""
    unseen = {"flowDirection", "postNATSourceIPv6Address", "postNATDestinationIPv6Address"}
    return sorted(({name: value for name, value in one.items() if name not in unseen}
                   for one in flows), key=lambda one: str(sorted(one.items())))


@pytest.mark.parametrize("aws", [(), AWS], ids=["IANA", "AWS"])
def test_nfacctd_shows_every_record(start, tmp_path, aws):
    """Flags, action, times and interfaces too, and which exporter each domain has."""
    path = tmp_path / "vpcflowd.json"
    path.write_text(json.dumps({"exporter": "192.0.2.1", "sources": [
        {"log-group": "b", "domain": 9, "exporter": "192.0.2.9"}]}))
    other = [f"{payloads.record(interface_id=ENI)} 24 egress" for _ in range(5)]
    with collectors.Nfacctd(tmp_path / "nfacctd") as nfacctd:
        with start("-c", path, *to(nfacctd), *in_format(MIXED_FORMAT), *aws) as daemon:
            give(daemon, MIXED)
            give(daemon, other, group="b")
        found = list(map(of_nfacctd, nfacctd.records()))
        if not aws:  # type records have texts of variable length, which it takes for gaps
            assert nfacctd.sequence_gaps() == []
    expected = elements.flows(MIXED, MIXED_FORMAT, exporter="192.0.2.1")
    expected += elements.flows(other, MIXED_FORMAT, exporter="192.0.2.9")
    assert unordered(found) == unordered(expected)


def test_nfacctd_shows_random_records_and_translated_addresses(start, tmp_path):
    """Those with times: it shows the present for a start of 0."""
    fields = elements.V5
    lines = [line for line in elements.random_records(1200, fields, seed=5)
             if (one := elements.flow(line, fields))
             and one["flowStartMilliseconds"] and one["flowEndMilliseconds"]]
    nat = collectors.Nfacctd.AGGREGATE + ",post_nat_src_host,post_nat_dst_host"
    with collectors.Nfacctd(tmp_path / "nfacctd", aggregate=nat) as nfacctd:
        with start(*to(nfacctd), *in_format(fields), "--packet-addresses") as daemon:
            give(daemon, lines)
        found = list(map(of_nfacctd, nfacctd.records()))
    assert unordered(found) == unordered(elements.flows(lines, fields, packet_addresses=True))
