# SPDX-License-Identifier: Apache-2.0
"""IPFIX in files, datagrams and TCP sessions, as python3-ipfix, libfixbuf and tshark read it."""
import glob
import ipaddress
import json
import os
import re
import signal
import time

import pytest

import collectors
import elements
import harness
import payloads

PEN = 6871
ENI = "eni-0a1b2c3d4e5f60718"
LOSS = ("notSentFlowTotalCount", "notSentPacketTotalCount", "notSentOctetTotalCount")
AWS = ("--aws-elements", str(PEN))


def in_format(fields):
    return ["-f", elements.flow_format(fields)] if fields else []


def to_file(path, lines, *options, fields=None):
    """Converts the lines; the octets of the file then."""
    harness.read(*in_format(fields), *options, "-o", f"ipfix:{path}", stdin=payloads.plain(lines))
    return path.read_bytes()


def over_udp(start, data, *options):
    """The datagrams of a run that takes this payload."""
    with collectors.UdpSink() as sink:
        with start(*options, "-o", f"ipfix:udp://127.0.0.1:{sink.port}") as daemon:
            assert daemon.ask("a", data).startswith("ACK a ")
        sink.stop()
        return sink.datagrams


def over_tcp(start, folder, data, *options):
    """The octets of the session of a run that takes this payload."""
    with collectors.TcpCollector(folder) as collector:
        with start(*options, "-o", f"ipfix:tcp://127.0.0.1:{collector.port}") as daemon:
            assert daemon.ask("a", data).startswith("ACK a ")
        collector.stop()
        (session,) = collector.sessions()
        return session


def flows_of(octets, sessions=1):
    """The flows; python3-ipfix (of one session) and libfixbuf must agree on them."""
    found = elements.of_dump(collectors.ipfixdump(octets, sessions)[1])
    if sessions == 1:
        assert elements.of_decode(collectors.decode(octets)) == found
    return found


def options_of(octets):
    return elements.options_of(collectors.decode(octets))


def loss_of(octets):
    """What was told to be not sent, each time: [(flows, packets, octets)]."""
    return [tuple(values[name] for name in LOSS) for _, values in options_of(octets)
            if LOSS[0] in values]


# ---- one table for ipfix and ipfix-csv -----------------------------------------------------------


def check_one_table(tmp_path, data, expected, *options):
    """ipfix-csv, python3-ipfix and libfixbuf say the same of each record, and it is right."""
    binary, table = tmp_path / "binary", tmp_path / "table"
    harness.read(*options, "-o", f"ipfix:{binary}", "-o", f"ipfix-csv:{table}", stdin=data)
    assert elements.of_csv(table) == expected
    assert flows_of(binary.read_bytes()) == expected


@pytest.fixture(params=[(), ("--packet-addresses",)], ids=["interface", "packets"])
def addresses(request):
    return request.param


def test_documented_records(tmp_path, addresses):
    data, expected = b"", []
    for fields, line in elements.documented():
        data += payloads.zipped(payloads.with_header([line], fields))
        expected += elements.flows([line], fields, packet_addresses=bool(addresses))
    assert len(expected) > 20
    check_one_table(tmp_path, data, expected, *addresses)


def test_samples(tmp_path, addresses):
    data, expected = b"", []
    for path in sorted(glob.glob(os.path.join(harness.DATA, "*.json"))):
        with open(path, "rb") as file:
            octets = file.read()
        data += octets
        expected += elements.flows(payloads.messages_in(json.loads(octets)))
    assert len(expected) > 10
    check_one_table(tmp_path, data, expected, *addresses)


@pytest.mark.parametrize("name", elements.FORMATS)
def test_random_records(tmp_path, name, addresses):
    """Every family, direction, action and view, and every field that may not be there."""
    fields = elements.FORMATS[name]
    lines = elements.random_records(3000, fields)
    expected = elements.flows(lines, fields, packet_addresses=bool(addresses))
    check_one_table(tmp_path, payloads.plain(lines), expected, *in_format(fields), *addresses)


def test_exporters_of_both_families_in_one_domain(tmp_path):
    """The second family's templates come in mid-stream."""
    path = tmp_path / "config"
    path.write_text(json.dumps({"sources": [{"account": "6", "exporter": "2001:db8::6"},
                                            {"account": "4", "exporter": "192.0.2.4"}]}))
    lines = [payloads.record(account_id=n) for n in "4646"]
    octets = to_file(tmp_path / "f", lines, "-c", path)
    assert flows_of(octets) == [
        elements.flow(line, exporter="2001:db8::6" if line.split()[1] == "6" else "192.0.2.4")
        for line in lines]


# ---- tshark, and the place of every message ------------------------------------------------------

MIXED = elements.random_records(900, elements.V5, seed=2)
MIXED_OPTIONS = (*in_format(elements.V5), "--packet-addresses")


def check_with_tshark(path, messages, decode_as=collectors.AS_IPFIX):
    """tshark has nothing to complain of, decodes every set, and has every flow."""
    assert collectors.tshark_problems(path, decode_as) == []
    rows = collectors.tshark(path, ["cflow.flowset_id", "cflow.octets"], decode_as)
    assert [int(n) for row in rows for n in row["cflow.flowset_id"]] == \
        [n for message in messages for n, _ in collectors.sets(message)]
    assert [int(n) for row in rows for n in row["cflow.octets"]] == \
        [one["octetDeltaCount"] for one in elements.flows(MIXED, elements.V5)]


def check_sequence(messages):
    """The sequence number is that of data records before, in this domain (RFC 7011 section 3.1)."""
    for n, message in enumerate(messages):
        header = collectors.header(message)
        before = [d for d, _ in collectors.decode(b"".join(messages[:n]))].count(header.domain)
        assert header.sequence == before, f"message {n}"


@pytest.fixture(params=[(), AWS], ids=["IANA", "AWS"])
def aws(request):
    return request.param


def test_tshark_reads_a_file(tmp_path, aws):
    octets = to_file(tmp_path / "f", MIXED, *MIXED_OPTIONS, *aws)
    check_with_tshark(tmp_path / "f", collectors.messages(octets), None)
    check_sequence(collectors.messages(octets))


@pytest.mark.parametrize("mtu, aws", [(576, ()), (1400, ()), (596, AWS), (1400, AWS)])
def test_tshark_reads_datagrams_that_fit_the_mtu(tmp_path, start, mtu, aws):
    """Each is one whole message, and there are not more of them than need be."""
    datagrams = over_udp(start, payloads.decoded(MIXED), *MIXED_OPTIONS, *aws, "--mtu", mtu)
    assert [len(collectors.messages(octets)) for octets in datagrams] == [1] * len(datagrams)
    largest = 450 if aws else 121  # a record in a set of its own
    sizes = sorted(map(len, datagrams))
    assert sizes[-1] <= mtu and sizes[len(sizes) // 2] > mtu - largest
    pcap = collectors.write_pcap(tmp_path / "pcap", datagrams=datagrams)
    check_with_tshark(pcap, datagrams)


def test_tshark_reads_a_tcp_session(tmp_path, start, aws):
    octets = over_tcp(start, tmp_path / "c", payloads.decoded(MIXED), *MIXED_OPTIONS, *aws)
    pcap = collectors.write_pcap(tmp_path / "pcap", sessions=[octets])
    check_with_tshark(pcap, collectors.messages(octets))


def test_sequence_numbers_of_datagrams(start, domains):
    """Two domains, a few messages at a time, options and templates among the flows."""
    with collectors.UdpSink() as sink:
        with start("-c", domains, "--mtu", "576", "--template-messages", "4", "-o",
                   f"ipfix:udp://127.0.0.1:{sink.port}") as daemon:
            for n in range(6):
                group = "/vpc/a" if n % 3 else "/vpc/b"
                data = payloads.decoded(payloads.records(20), group=group)
                assert daemon.ask("a", data) == "ACK a 20"
        sink.stop()
    check_sequence(sink.datagrams)
    headers = [collectors.header(octets) for octets in sink.datagrams]
    assert {header.domain for header in headers} == {7, 2**32 - 1}
    assert all(0 <= time.time() - header.export_time < 60 for header in headers)


# ---- observation domains and exporters -----------------------------------------------------------

B_EXPORTER = "2001:db8::9"


@pytest.fixture
def domains(tmp_path):
    """A configuration: log groups /vpc/a* and /vpc/b* with domains and exporters of their own."""
    path = tmp_path / "vpcflowd.json"
    path.write_text(json.dumps({"sources": [
        {"log-group": "/vpc/a*", "domain": 7, "exporter": "192.0.2.7"},
        {"log-group": "/vpc/b*", "domain": 2**32 - 1, "exporter": B_EXPORTER}]}))
    return path


def test_domain_option(tmp_path):
    octets = to_file(tmp_path / "f", payloads.records(3), "--domain", "77")
    assert {collectors.header(m).domain for m in collectors.messages(octets)} == {77}
    assert {values["observationDomainId"] for _, values in options_of(octets)} == {77}


def test_sources_have_domains_exporters_and_names_of_their_own(start, tmp_path, domains):
    """Payloads by turns: header, records and options have what belongs together."""
    sent = {"/vpc/a": [], "/vpc/b": [], "/vpc/c": []}
    with start("-c", domains, "-o", f"ipfix:{tmp_path}/f") as daemon:
        for group in list(sent) * 2:
            lines = payloads.records(5, interface_id=ENI)
            data = payloads.decoded(lines, group=group, owner="222233334444")
            assert daemon.ask("a", data) == "ACK a 5"
            sent[group] += lines
    decoded = collectors.decode(tmp_path / "f")
    for group, domain, exporter in ("/vpc/a", 7, "192.0.2.7"), \
            ("/vpc/b", 2**32 - 1, B_EXPORTER), ("/vpc/c", 1, "127.0.0.1"):
        mine = [record for record in decoded if record[0] == domain]
        assert elements.of_decode(mine) == elements.flows(sent[group], exporter=exporter)
        address = ipaddress.ip_address(exporter)
        number = elements.interface_number(ENI)
        assert [values for _, values in elements.options_of(mine)] == [
            {"observationDomainId": domain, "samplingInterval": 1},
            {"observationDomainId": domain, f"exporterIPv{address.version}Address": address},
            {"observationDomainId": domain, "observationDomainName": "222233334444/" + group},
            {"observationDomainId": domain, "ingressInterface": number,
             "interfaceDescription": ENI}]
    assert collectors.ipfixdump(tmp_path / "f")


def test_more_domains_than_are_filled_at_a_time(tmp_path):
    """Forty by turns: none gets what is another's, and each has a sequence of its own."""
    names = [f"eni-{n + 1:017x}" for n in range(40)]
    path = tmp_path / "vpcflowd.json"
    path.write_text(json.dumps({"sources": [
        {"interface": name, "domain": n + 100} for n, name in enumerate(names)]}))
    lines = [payloads.record(interface_id=name) for name in names * 50]
    octets = to_file(tmp_path / "f", lines, "-c", path)
    decoded = collectors.decode(octets)
    for n in range(40):
        mine = [record for record in decoded if record[0] == n + 100]
        assert elements.of_decode(mine) == elements.flows(lines[n::40])
    assert collectors.tshark_problems(tmp_path / "f", None) == []


def test_an_exporter_that_changes_is_told(start, tmp_path):
    """With HUP; nfacctd believes the options."""
    config, path = tmp_path / "vpcflowd.json", tmp_path / "f"
    config.write_text(json.dumps({"exporter": "192.0.2.1"}))
    with start("-c", config, "-o", f"ipfix:{path}") as daemon:
        assert daemon.ask("a", payloads.decoded(payloads.records(1))) == "ACK a 1"
        config.write_text(json.dumps({"exporter": "192.0.2.2"}))
        rotate(daemon, path, tmp_path / "old")
        daemon.wait_log("configuration read again")
        assert daemon.ask("b", payloads.decoded(payloads.records(1))) == "ACK b 1"
    told = [str(values["exporterIPv4Address"]) for _, values in collectors.decode(path)
            if "exporterIPv4Address" in values]
    assert told == ["192.0.2.2", "192.0.2.2"]  # options, and the flow


@pytest.mark.parametrize("wrong", ["0", "-1", "4294967296", "x", ""])
def test_domains_that_there_are_not(tmp_path, wrong):
    """0 is no domain of a flow's: it means that all of them are meant (RFC 7011 section 3.1)."""
    assert "domain" in harness.run("--domain", wrong, "--check-config", status=2).err
    path = tmp_path / "config"
    for members in {"domain": wrong}, {"sources": [{"log-group": "a", "domain": wrong}]}:
        path.write_text(json.dumps(members))
        assert '"domain"' in harness.run("-c", path, "--check-config", status=2).err


def name_of(tmp_path, data):
    """Of the one domain of a payload."""
    harness.read("-o", f"ipfix:{tmp_path}/f", stdin=data)
    (name,) = [values["observationDomainName"] for _, values in options_of(tmp_path / "f")
               if "observationDomainName" in values]
    return name


@pytest.mark.parametrize("group, name", [
    ("/vpc/prod", "/vpc/prod"), ("/vpc/\u00fc\n", "/vpc/???"),
    ("g" * 512, "g" * (127 - len("123456789012/"))),
], ids=["plain", "not ASCII", "long"])
def test_the_name_of_a_domain_is_text_that_fits(tmp_path, group, name):
    assert name_of(tmp_path, payloads.decoded(payloads.records(1), group=group)) == \
        "123456789012/" + name


def test_lines_name_a_domain_by_the_account_of_the_first(tmp_path):
    lines = [payloads.record(account_id=n) for n in ("111122223333", "444455556666")]
    assert name_of(tmp_path, payloads.plain(lines)) == "111122223333"


# ---- what options tell ---------------------------------------------------------------------------


@pytest.mark.parametrize("exporter", ["192.0.2.7", "2001:db8::7"])
def test_sampling_and_exporter(tmp_path, exporter):
    lines = payloads.records(2)
    octets = to_file(tmp_path / "f", lines, "-x", exporter)
    assert flows_of(octets) == elements.flows(lines, exporter=exporter)
    address = ipaddress.ip_address(exporter)
    told = [values for _, values in options_of(octets)]
    assert {"observationDomainId": 1, "samplingInterval": 1} in told
    assert {"observationDomainId": 1, f"exporterIPv{address.version}Address": address} in told


def interfaces_of(octets):
    return sorted((values["ingressInterface"], values["interfaceDescription"])
                  for _, values in options_of(octets) if "interfaceDescription" in values)


def test_interfaces_have_names(tmp_path):
    """Each is told once, whichever side it is on; what is no id has none; long ones are cut."""
    fields = payloads.DEFAULT + ["flow-direction"]
    names = [ENI, "tgw-attach-0123456789abcdef0", "eni-" + "0" * 40 + "7", "-"]
    lines = [f"{payloads.record(interface_id=name)} {side}"
             for name in names for side in ("ingress", "egress", "-")]
    octets = to_file(tmp_path / "f", lines, fields=fields)
    assert interfaces_of(octets) == sorted(
        (elements.interface_number(name), name[:31]) for name in names[:3])


def test_interfaces_that_come_later_are_told_in_the_end(start, tmp_path):
    with start("-o", f"ipfix:{tmp_path}/f") as daemon:
        for n in range(3):
            data = payloads.decoded([payloads.record(interface_id=f"eni-{n + 1:017x}")])
            assert daemon.ask("a", data) == "ACK a 1"
    assert interfaces_of(tmp_path / "f") == [(n, f"eni-{n:017x}") for n in (1, 2, 3)]
    collectors.ipfixdump(tmp_path / "f")


def test_interfaces_are_told_in_the_file_that_has_their_flows(start, tmp_path):
    """Those that came up late are told when it ends, by rotation, too."""
    path, old = tmp_path / "f", tmp_path / "old"
    with start("-o", f"ipfix:{path}") as daemon:
        for n in (1, 2):
            data = payloads.decoded([payloads.record(interface_id=f"eni-{n:017x}")])
            assert daemon.ask("a", data) == "ACK a 1"
        rotate(daemon, path, old)
    assert interfaces_of(old) == [(n, f"eni-{n:017x}") for n in (1, 2)]


# ---- what could not be sent ----------------------------------------------------------------------

NO_ADDRESS = [payloads.record(srcaddr="-", packets=7, bytes=1000),
              payloads.record(dstaddr="2001:db8::1", packets=2**40, bytes=2**50),
              payloads.record(dstaddr="-", packets="-", bytes="-")]
LOST = [payloads.SKIPDATA, payloads.NODATA, *NO_ADDRESS]  # NODATA is no loss
TOLD = (4, 7 + 2**40, 1000 + 2**50)


def test_nothing_is_told_when_nothing_is_lost(start, tmp_path):
    lines = payloads.records(3) + [payloads.NODATA]
    assert loss_of(to_file(tmp_path / "f", lines)) == []
    with start("-o", f"ipfix:{tmp_path}/g") as daemon:
        assert daemon.ask("a", payloads.decoded(lines)) == "ACK a 3"
    assert loss_of(tmp_path / "g") == []


def test_what_has_no_place_is_counted_and_told(start, tmp_path):
    """In the end at the latest; each SKIPDATA is a flow of unknown size."""
    flows = payloads.records(3)
    path = tmp_path / "f"
    with start("-o", f"ipfix:{path}", "-o", f"json:{tmp_path}/j") as daemon:
        assert daemon.ask("a", payloads.decoded(flows[:2])) == "ACK a 2"
        assert daemon.ask("b", payloads.decoded(LOST)) == f"ACK b {len(NO_ADDRESS)}"
        assert daemon.ask("c", payloads.decoded(flows[2:])) == "ACK c 1"
        s = daemon.stats()
        assert (s["output0_flows"], s["output0_no_address"], s["skipdata"]) == (3, 3, 1)
        assert (s["output1_flows"], s["output1_no_address"]) == (6, 0)
        assert loss_of(path) == [], "less than a minute after what was told before"
    assert loss_of(path) == [TOLD]
    assert flows_of(path) == elements.flows(flows)


def test_read_tells_what_has_no_place(tmp_path):
    octets = to_file(tmp_path / "f", LOST + payloads.records(2))
    assert loss_of(octets)[-1] == TOLD


@pytest.mark.parametrize("lines, told", [
    ([payloads.SKIPDATA], (1, 0, 0)), (NO_ADDRESS, (3, *TOLD[1:])),
], ids=["SKIPDATA", "no address"])
def test_a_loss_is_told_when_there_is_no_flow_at_all(tmp_path, lines, told):
    assert loss_of(to_file(tmp_path / "f", lines)) == [told]


def test_a_loss_is_told_in_the_session_that_follows(start, tmp_path):
    """Also when that has no flow."""
    path, old = tmp_path / "f", tmp_path / "old"
    with start("-o", f"ipfix:{path}") as daemon:
        assert daemon.ask("a", payloads.decoded(payloads.records(1))) == "ACK a 1"
        assert daemon.ask("b", payloads.decoded([payloads.SKIPDATA])) == "ACK b 0"
        rotate(daemon, path, old)
    assert set(loss_of(old) + loss_of(path)) == {(1, 0, 0)}


def test_a_loss_is_told_to_a_collector_that_comes_back(start):
    """Though no flow comes any more, and what was told before nobody heard."""
    port = collectors.free_udp_port()
    with start("-o", f"ipfix:udp://127.0.0.1:{port}") as daemon:
        for n in range(3):
            assert daemon.ask("a", payloads.decoded(payloads.records(5))) == "ACK a 5"
            daemon.wait_stats(output0_flows_lost=5 * n + 5)
        with collectors.UdpSink(port) as sink:
            daemon.terminate()
            sink.stop()
    assert [flows for flows, _, _ in loss_of(b"".join(sink.datagrams))] == [15]


# ---- AWS's elements ------------------------------------------------------------------------------


def aws_of(records):
    """[{name: text}] of AWS's elements in ipfixdump()'s flows."""
    return [{name: text for name, text in r["values"].items() if name.startswith("aws")}
            for r in records if "octetDeltaCount" in r["values"]]


def aws_fields(templates):
    """{name: (element, type)} of the templates of flows; all must agree."""
    found = [{f[4]: (f[1], f[2]) for f in t["fields"] if f[0] == PEN}
             for t in templates if t["scope"] == 0]
    assert found and all(one == found[0] for one in found)
    return found[0]


@pytest.mark.parametrize("tcp", [False, True], ids=["file", "tcp"])
@pytest.mark.parametrize("name", elements.FORMATS)
def test_aws_elements_say_what_aws_said(tmp_path, start, name, tcp):
    """By the names that type records gave them, `-` as no text, beside the flow as ever."""
    fields = elements.FORMATS[name]
    lines = elements.random_records(300, fields, seed=3)
    if tcp:
        octets = over_tcp(start, tmp_path / "c", payloads.decoded(lines), *in_format(fields), *AWS)
    else:
        octets = to_file(tmp_path / "f", lines, *AWS, fields=fields)
    templates, records = collectors.ipfixdump(octets)
    assert elements.of_dump(records) == elements.flows(lines, fields)
    assert aws_of(records) == [elements.aws_texts(line, fields) for line in lines
                               if elements.flow(line, fields)]
    for element, (_, kind) in aws_fields(templates).items():
        assert kind == ("uint64" if element.startswith("awsPacketsLost") else "string")


def test_aws_elements_have_the_numbers_in_the_readme(tmp_path):
    """Collectors keep them."""
    path = os.path.join(harness.DATA, "..", "..", "listener", "encode", "README.md")
    with open(path, encoding="utf-8") as file:
        text = file.read().replace("-\n", "-")
    documented = {elements.aws_name(name): int(number) for number, name in
                  re.findall(r"\b(1[01]\d\d)\s+([a-z][a-z0-9-]+)", text)}
    fields = elements.V11 + [name for name in payloads.TGW if name not in elements.V11]
    lines = elements.random_records(20, fields)
    octets = to_file(tmp_path / "f", lines, *AWS, fields=fields)
    sent = {name: n for name, (n, _) in aws_fields(collectors.ipfixdump(octets)[0]).items()}
    assert sent == documented
    assert len(sent) == len(fields) - len(elements.WITH_IANA)


def test_every_aws_element_in_the_smallest_datagrams(start):
    """With less it does not start."""
    fields = elements.V11 + [name for name in payloads.TGW if name not in elements.V11]
    lines = elements.random_records(50, fields, seed=6)
    octets = b"".join(over_udp(start, payloads.decoded(lines), *in_format(fields), *AWS, "--mtu",
                               "596"))
    assert flows_of(octets) == elements.flows(lines, fields)
    result = harness.run(*AWS, "--mtu", "595", "-o", "ipfix:udp://127.0.0.1:9", "--check-config",
                         status=2)
    assert "--mtu" in result.err and "596" in result.err


def test_fields_choose_the_aws_elements(tmp_path):
    lines = elements.random_records(50, elements.V5)
    octets = to_file(tmp_path / "f", lines, *AWS, "--fields", "vpc-id,bytes,instance-id",
                     fields=elements.V5)
    assert flows_of(octets) == elements.flows(lines, elements.V5)
    templates, records = collectors.ipfixdump(octets)
    assert aws_fields(templates) == {"awsVpcId": (1015, "string"),
                                     "awsInstanceId": (1017, "string")}
    assert aws_of(records) == [
        {name: elements.aws_texts(line, elements.V5)[name] for name in aws_fields(templates)}
        for line in lines if elements.flow(line, elements.V5)]


def test_a_header_line_chooses_the_aws_elements(tmp_path):
    lines = [line for line in elements.random_records(50, elements.V5)
             if elements.flow(line, elements.V5)]
    data = payloads.zipped(payloads.with_header(lines, elements.V5))
    harness.read(*AWS, "-o", f"ipfix:{tmp_path}/f", stdin=data)
    assert aws_of(collectors.ipfixdump(tmp_path / "f")[1]) == [
        elements.aws_texts(line, elements.V5) for line in lines]


def test_long_texts(tmp_path):
    """From 255 octets on a length has three octets; a line has at most 32 KiB."""
    lines = [payloads.record(account_id="a" * n) for n in (1, 254, 255, 256, 5000, 32000)]
    octets = to_file(tmp_path / "f", lines, *AWS)
    assert flows_of(octets) == elements.flows(lines)
    assert aws_of(collectors.ipfixdump(octets)[1]) == [
        elements.aws_texts(line, payloads.DEFAULT) for line in lines]


def test_texts_that_no_datagram_holds(start):
    """The flow arrives with those texts that fit, and what was left out is counted."""
    lines = [payloads.record(), payloads.record(account_id="a" * 1400),
             payloads.record(account_id="a" * 1000, interface_id="b" * 500),
             payloads.record(account_id="a" * 1200), payloads.record(account_id="a" * 20000)]
    with collectors.UdpSink() as sink:
        with start(*AWS, "-o", f"ipfix:udp://127.0.0.1:{sink.port}") as daemon:
            assert daemon.ask("a", payloads.decoded(lines)) == "ACK a 5"
            assert daemon.stats()["output0_texts_cut"] == 3
        sink.stop()
    assert max(map(len, sink.datagrams)) <= 1400
    octets = b"".join(sink.datagrams)
    assert flows_of(octets) == elements.flows(lines)
    expected = [elements.aws_texts(line, payloads.DEFAULT) for line in lines]
    expected[1]["awsAccountId"] = expected[2]["awsInterfaceId"] = ""
    expected[4]["awsAccountId"] = ""
    assert aws_of(collectors.ipfixdump(octets)[1]) == expected


@pytest.mark.parametrize("number", ["0", "4294967296", "29305", "aws"])
def test_enterprises_that_there_are_not(number):
    """29305 is the other direction of IANA's elements (RFC 5103)."""
    assert "aws-elements" in harness.run("--aws-elements", number, "--check-config", status=2).err


# ---- files ---------------------------------------------------------------------------------------


def rotate(daemon, path, old):
    reopened = len(daemon.log_lines("reopened"))
    path.rename(old)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reopened", reopened + 1)


def test_a_second_run_appends_a_session(tmp_path, aws):
    path = tmp_path / "f"
    lines = [payloads.records(5), payloads.records(7)]
    first = to_file(path, lines[0], *aws)
    both = to_file(path, lines[1], *aws)
    assert both[:len(first)] == first
    for octets, sent in zip((first, both[len(first):]), lines):
        assert collectors.header(octets).sequence == 0
        assert flows_of(octets) == elements.flows(sent)
    assert flows_of(both, sessions=2) == elements.flows(lines[0] + lines[1])


@pytest.mark.parametrize("left", [1, 15, 16, 17, -1])
def test_a_message_cut_short_is_removed(tmp_path, left):
    """As a crash leaves it: nothing after it could be decoded."""
    path = tmp_path / "f"
    lines = [payloads.records(5), payloads.records(7)]
    first = to_file(path, lines[0])
    last = collectors.messages(first)[-1]
    path.write_bytes(first + last[:left])
    result = harness.read("-o", f"ipfix:{path}", stdin=payloads.plain(lines[1]))
    removed = len(last[:left])
    assert re.search(f"WARN output: .*{path} octets={removed}\n", result.err)
    assert flows_of(path.read_bytes(), sessions=2) == elements.flows(lines[0] + lines[1])
    assert path.read_bytes()[:len(first)] == first


def test_a_whole_file_is_not_warned_of(tmp_path):
    for _ in range(2):
        result = harness.read("-o", f"ipfix:{tmp_path}/f",
                              stdin=payloads.plain(payloads.records(1)))
        assert "WARN" not in result.err


NETFLOW_9 = b"\0\x09\0\x01" + bytes(16)
NOT_IPFIX = {
    "text": b"srcaddr,dstaddr\n10.0.0.1,10.0.0.2\n", "one octet": b"#", "NetFlow 9": NETFLOW_9,
    "length 15": b"\0\x0a\0\x0f" + bytes(12), "zeros": bytes(100),
    "IPFIX, then text": b"\0\x0a\0\x10" + bytes(12) + b"text that goes on and on",
}


@pytest.mark.parametrize("name", NOT_IPFIX)
@pytest.mark.parametrize("listen", [False, True])
def test_a_file_of_something_else_is_refused_and_kept(tmp_path, name, listen):
    path = tmp_path / "f"
    path.write_bytes(NOT_IPFIX[name])
    how = ["--listen", "127.0.0.1:0"] if listen else ["--read", "-"]
    result = harness.run("-o", f"ipfix:{path}", *how, status=1)
    assert re.search(f"ERROR output: .*IPFIX.*{path}", result.err)
    assert path.read_bytes() == NOT_IPFIX[name]


def test_rotation_under_load_gives_files_that_decode_on_their_own(start, tmp_path):
    path, sent = tmp_path / "f", []
    files = [tmp_path / f"old-{n}" for n in range(3)] + [path]
    with start("-o", f"ipfix:{path}") as daemon, daemon.connect() as peer:
        for old in files:
            for n in range(5):
                lines = payloads.records(20)
                sent += lines
                peer.put(f"a{n}", payloads.decoded(lines))
            assert peer.reply() == "ACK a0 20"
            if old != path:
                rotate(daemon, path, old)
            for n in range(1, 5):
                assert peer.reply() == f"ACK a{n} 20"
    found = [flows_of(file.read_bytes()) for file in files]
    assert [one for flows in found for one in flows] == elements.flows(sent)
    assert all(collectors.header(file.read_bytes()).sequence == 0 for file in files)


def test_hup_without_rotation_begins_a_session_in_the_same_file(start, tmp_path):
    path = tmp_path / "f"
    lines = payloads.records(2)
    with start("-o", f"ipfix:{path}") as daemon:
        assert daemon.ask("a", payloads.decoded(lines[:1])) == "ACK a 1"
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reopened")
        assert daemon.ask("b", payloads.decoded(lines[1:])) == "ACK b 1"
    assert flows_of(path.read_bytes(), sessions=2) == elements.flows(lines)


def test_hup_keeps_the_old_file_when_the_new_one_is_something_else(start, tmp_path):
    path, old = tmp_path / "f", tmp_path / "old"
    lines = payloads.records(2)
    with start("-o", f"ipfix:{path}") as daemon:
        assert daemon.ask("a", payloads.decoded(lines[:1])) == "ACK a 1"
        path.rename(old)
        path.write_text("something else")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("ERROR output: still writing to the old file")
        assert daemon.ask("b", payloads.decoded(lines[1:])) == "ACK b 1"
    assert path.read_text() == "something else"
    assert flows_of(old.read_bytes(), sessions=2) == elements.flows(lines)


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_standard_output_is_a_file_too(tmp_path, mode):
    path = tmp_path / "f"
    lines = payloads.records(3)
    for _ in range(2):
        with open(path, mode) as out:
            harness.read("-o", "ipfix", stdin=payloads.plain(lines), stdout=out)
    runs = 1 if mode == "wb" else 2
    assert flows_of(path.read_bytes(), sessions=runs) == elements.flows(lines * runs)


def test_other_outputs_beside_it(start, tmp_path):
    """Text and two of ipfix, one to a file that has a session: each has every flow."""
    lines = payloads.records(500)
    before = to_file(tmp_path / "f", lines[:3])
    with start("-o", "ftsq", "-o", f"ipfix:{tmp_path}/f", "-o", f"csv:{tmp_path}/c", "-o",
               f"ipfix:{tmp_path}/g") as daemon:
        assert daemon.ask("a", payloads.decoded(lines)) == "ACK a 500"
        assert daemon.terminate() == payloads.ftsq_lines(lines)
    expected = elements.flows(lines)
    assert flows_of((tmp_path / "f").read_bytes()[len(before):]) == expected
    assert flows_of((tmp_path / "g").read_bytes()) == expected
    rows = (tmp_path / "c").read_text().splitlines()[1:]
    assert rows == [",".join(line.split()) for line in lines]
