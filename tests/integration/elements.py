# SPDX-License-Identifier: Apache-2.0
"""
Records of every flow log format, and what IPFIX has for them (listener/encode/README.md), worked
out here and not by the program under test.

A flow is {element: number or ipaddress}; an element that its record does not have is not in it.
"""
import csv
import datetime
import ipaddress
import os
import random
import re

import harness
import payloads

V5 = payloads.DEFAULT + (
    "vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id "
    "sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction "
    "traffic-path").split()
V11 = V5 + (
    "ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id "
    "ecs-container-id ecs-second-container-id ecs-service-name ecs-task-definition-arn "
    "ecs-task-arn ecs-task-id reject-reason resource-id encryption-status instance-tag "
    "instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 interface-type "
    "next-hop-interface-id next-hop-subnet-id next-hop-az-id next-hop-vpc-id "
    "next-hop-interface-type").split()
FORMATS = {"v2": payloads.DEFAULT, "v5": V5, "v11": V11, "tgw": payloads.TGW}

# What IANA's elements say all of; the other fields are left to AWS's elements.
WITH_IANA = set("srcaddr dstaddr srcport dstport protocol packets bytes start end action tcp-flags "
                "flow-direction".split())
ACTIONS = {"ACCEPT": (64, 1), "REJECT": (130, 3)}


def flow_format(fields):
    """As AWS writes it."""
    return " ".join("${%s}" % name for name in fields)


def documented():
    """[(fields, line)]: the records in AWS's documents."""
    path = os.path.join(harness.DATA, "aws-docs-records.tsv")
    with open(path, encoding="ascii") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    return [(fields.split(), line) for _, fields, line in rows]


# ---- random records ------------------------------------------------------------------------------


def _address(rng, version):
    if version == 4:
        return str(ipaddress.IPv4Address(rng.getrandbits(32)))
    address = ipaddress.IPv6Address(rng.getrandbits(128) >> rng.choice((0, 0, 64, 127)))
    return rng.choice((address.compressed, address.exploded, "::ffff:192.0.2.1"))


def _counter(rng):
    return rng.randrange(1 << rng.choice((1, 10, 32, 33, 53, 64)))


def _time(rng):
    seconds = rng.choice((0, 2**31 - 1, 1432826855, 1600000000 + rng.randrange(10**8)))
    return seconds if rng.random() < 0.8 else 2**31 + rng.randrange(10**12)  # milliseconds


def _interface(rng, prefix):
    return rng.choice((f"{prefix}{rng.getrandbits(68):017x}", f"{prefix}{rng.getrandbits(32):08x}",
                       f"{prefix}00000000000000000", prefix + "short", prefix))


def random_record(rng, fields):
    """A record that a parser must take, with whatever AWS may put there, or leave out."""
    version = rng.choice((4, 6))

    def other():
        return rng.choice((version, version, version, 10 - version))

    made = {
        "version": lambda: rng.randrange(2, 12), "srcaddr": lambda: _address(rng, version),
        "dstaddr": lambda: _address(rng, version if rng.random() < 0.98 else 10 - version),
        "srcport": lambda: rng.getrandbits(16), "dstport": lambda: rng.getrandbits(16),
        "protocol": lambda: rng.getrandbits(8),
        "packets": lambda: _counter(rng), "bytes": lambda: _counter(rng),
        "start": lambda: _time(rng), "end": lambda: _time(rng),
        "action": lambda: rng.choice(("ACCEPT", "REJECT", "accept", "DEFER")),
        "log-status": lambda: rng.choice(("OK",) * 20 + ("NODATA", "SKIPDATA")),
        "tcp-flags": lambda: rng.getrandbits(rng.choice((5, 8, 16))),
        "interface-id": lambda: _interface(rng, "eni-"),
        "tgw-attachment-id": lambda: _interface(rng, "tgw-attach-"),
        "pkt-srcaddr": lambda: _address(rng, other()),
        "pkt-dstaddr": lambda: _address(rng, other()),
        "flow-direction": lambda: rng.choice(("ingress", "egress", "egress", "sideways")),
        "traffic-path": lambda: rng.randrange(1, 9), "encryption-status": lambda: rng.randrange(4),
    }
    values = {}
    for name in fields:
        text = str(made[name]()) if name in made else f"{name}/{rng.getrandbits(20):x}"
        values[name] = _counter(rng) if name.startswith("packets-lost") else text
        if rng.random() < (0.02 if name in ("srcaddr", "dstaddr", "log-status") else 0.1):
            values[name] = "-"
    if "pkt-srcaddr" in values and rng.random() < 0.4:
        values["pkt-srcaddr"], values["pkt-dstaddr"] = values["srcaddr"], values["dstaddr"]
    return " ".join(str(values[name]) for name in fields)


def random_records(count, fields, seed=1):
    rng = random.Random(seed)
    return [random_record(rng, fields) for _ in range(count)]


# ---- what IPFIX has for them ---------------------------------------------------------------------


def status(line, fields):
    return payloads.values_of(line, fields).get("log-status")


def interface_number(ident):
    digits = re.search("[0-9a-f]{8}$", ident)
    return int(digits[0], 16) or 1 if digits else 1


def milliseconds(text):
    return int(text) if int(text) > 2**31 - 1 else int(text) * 1000


def _addresses(v, source, destination):
    """Of the interface where the record has none of these."""
    return tuple(ipaddress.ip_address(v.get(name, v[fallback])) for name, fallback in
                 ((source, "srcaddr"), (destination, "dstaddr")))


def flow(line, fields=None, exporter="127.0.0.1", packet_addresses=False):
    """The flow of a record; None when it is none, or has not two addresses of one family."""
    v = payloads.values_of(line, fields)
    if v.get("log-status") in ("NODATA", "SKIPDATA") or not {"srcaddr", "dstaddr"} <= set(v):
        return None
    view = main = _addresses(v, "srcaddr", "dstaddr")
    if len({a.version for a in view}) > 1:
        return None
    packets = _addresses(v, "pkt-srcaddr", "pkt-dstaddr")
    if packet_addresses and {a.version for a in packets} == {view[0].version}:
        main = packets
    family = view[0].version
    forwarding, event = ACTIONS.get(v.get("action"), (0, 0))
    interface = interface_number(v.get("interface-id", v.get("tgw-attachment-id", "")))
    direction = v.get("flow-direction")
    e = {
        f"sourceIPv{family}Address": main[0], f"destinationIPv{family}Address": main[1],
        "sourceTransportPort": int(v.get("srcport", 0)),
        "destinationTransportPort": int(v.get("dstport", 0)),
        "protocolIdentifier": int(v.get("protocol", 0)),
        "packetDeltaCount": int(v.get("packets", 0)), "octetDeltaCount": int(v.get("bytes", 0)),
        "flowStartMilliseconds": milliseconds(v.get("start", "0")),
        "flowEndMilliseconds": milliseconds(v.get("end", "0")),
        "tcpControlBits": int(v.get("tcp-flags", 0)) & 255,
        "forwardingStatus": forwarding, "firewallEvent": event,
        "ingressInterface": 0 if direction == "egress" else interface,
        "egressInterface": interface if direction == "egress" else 0,
    }
    if direction in ("ingress", "egress"):
        e["flowDirection"] = int(direction == "egress")
    exporter = ipaddress.ip_address(exporter)
    e[f"exporterIPv{exporter.version}Address"] = exporter
    if main != view:
        e[f"postNATSourceIPv{family}Address"] = view[0]
        e[f"postNATDestinationIPv{family}Address"] = view[1]
    return e


def flows(lines, fields=None, **how):
    made = [flow(line, fields, **how) for line in lines]
    return [one for one in made if one is not None]


def aws_name(field):
    return "aws" + "".join(word.capitalize() for word in field.split("-"))


def aws_texts(line, fields):
    """{name of AWS's element: text} of a record; quantities are numbers in text."""
    v = payloads.values_of(line, fields)
    return {aws_name(name): v.get(name, "0" if name.startswith("packets-lost") else "")
            for name in fields if name not in WITH_IANA}


# ---- what others say they are --------------------------------------------------------------------


def _value(name, value):
    if name.endswith("Milliseconds"):
        if isinstance(value, str) and not value.isdecimal():
            value = datetime.datetime.fromisoformat(value)
        if isinstance(value, datetime.datetime):
            since = value.replace(tzinfo=None) - datetime.datetime(1970, 1, 1)
            value = round(since / datetime.timedelta(milliseconds=1))
        return int(value)
    return ipaddress.ip_address(value) if name.endswith("Address") else int(value)


def _flow_of(values):
    return {name: _value(name, value) for name, value in values.items()
            if not name.startswith(("aws", "_"))}


def of_csv(path):
    """The rows of ipfix-csv."""
    with open(path, encoding="ascii", newline="") as file:
        return [_flow_of({name: text for name, text in row.items() if text})
                for row in csv.DictReader(file, strict=True)]


def of_decode(records):
    """The flows among what collectors.decode() gives."""
    return [_flow_of(values) for _, values in records if "octetDeltaCount" in values]


def of_dump(records):
    """The flows among what collectors.ipfixdump() gives."""
    return [_flow_of(r["values"]) for r in records if "octetDeltaCount" in r["values"]]


def options_of(records):
    """[(domain, {element: value})]: the options of decode(), without types and NUL padding."""
    return [(domain, {name: value.rstrip("\0") if isinstance(value, str) else value
                      for name, value in values.items()}) for domain, values in records
            if not {"octetDeltaCount", "privateEnterpriseNumber"} & set(values)]
