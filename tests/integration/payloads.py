# SPDX-License-Identifier: Apache-2.0
"""
Payloads of every kind, and what has to come out of them, worked out here from AWS's documents and
not from the program under test.
"""
import base64
import gzip
import json
import random

DEFAULT = ("version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
           "start end action log-status").split()
TGW = ("version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id "
       "tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id "
       "tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr "
       "srcport dstport protocol packets bytes start end log-status type packets-lost-no-route "
       "packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags region "
       "flow-direction pkt-src-aws-service pkt-dst-aws-service").split()

# ---- records -------------------------------------------------------------------------------------

_number = 0


def record(**fields):
    """One version 2 record, unlike every other one of this run."""
    global _number
    _number += 1
    n = _number
    values = {
        "version": 2, "account-id": "012345678901", "interface-id": f"eni-{n:017x}",
        "srcaddr": f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", "dstaddr": "172.31.9.12",
        "srcport": 1024 + n % 60000, "dstport": 443, "protocol": 6, "packets": 1 + n % 1000,
        "bytes": 40 + n, "start": 1600000000 + n, "end": 1600000060 + n, "action": "ACCEPT",
        "log-status": "OK",
    }
    values.update({name.replace("_", "-"): value for name, value in fields.items()})
    return " ".join(str(values[name]) for name in DEFAULT)


def records(count, **fields):
    return [record(**fields) for _ in range(count)]


def noisy_records(count, seed=1):
    """Records that gzip finds little to save in."""
    rng = random.Random(seed)
    return [record(srcaddr=".".join(str(rng.randrange(1, 255)) for _ in range(4)),
                   dstaddr=".".join(str(rng.randrange(1, 255)) for _ in range(4)),
                   srcport=rng.randrange(65536), dstport=rng.randrange(65536),
                   packets=rng.randrange(1 << 40), bytes=rng.randrange(1 << 60),
                   interface_id=f"eni-{rng.getrandbits(68):017x}") for _ in range(count)]


NODATA = "2 012345678901 eni-0a1b2c3d - - - - - - - 1431280876 1431280934 - NODATA"
SKIPDATA = "2 012345678901 eni-0a1b2c3d - - - - - - - 1431280876 1431280934 - SKIPDATA"

# ---- what comes out --------------------------------------------------------------------------------


def values_of(line, fields=None):
    """Field name to text, without those that are not there."""
    names = fields or DEFAULT
    texts = line.split()
    assert len(texts) == len(names), line
    return {n: t for n, t in zip(names, texts) if t != "-"}


def seconds(text):
    n = int(text)
    return n // 1000 if n > 2**31 - 1 else n


def ftsq(line, fields=None, exporter="127.0.0.1"):
    """The line of FlowTraq's for a record; None when it gets none."""
    v = values_of(line, fields)
    if v.get("log-status") in ("NODATA", "SKIPDATA") or not ("srcaddr" in v and "dstaddr" in v):
        return None
    number = {name: int(v.get(name, "0")) for name in
              ("srcport", "dstport", "protocol", "packets", "bytes")}
    return (f"{v['srcaddr']},{number['srcport']},{v['dstaddr']},{number['dstport']},"
            f"{number['protocol']},{number['packets']},{number['bytes']},0,0,"
            f"{seconds(v.get('start', '0'))},{seconds(v.get('end', '0'))},{exporter},\"unknown\"")


def ftsq_lines(lines, fields=None, exporter="127.0.0.1"):
    made = [ftsq(line, fields, exporter) for line in lines]
    return [line for line in made if line is not None]


def messages_in(document):
    """The log messages in any JSON of AWS's, decoded with Python's own tools."""
    if document.get("messageType") == "CONTROL_MESSAGE":
        return []
    if "logEvents" in document:
        return [event["message"] for event in document["logEvents"]]
    if "message" in document:
        return [document["message"]]
    if "awslogs" in document:
        wrapped = [document["awslogs"]["data"]]
    elif "Records" in document:
        wrapped = [r["kinesis"]["data"] for r in document["Records"]]
    else:
        wrapped = [r["data"] for r in document["records"]]
    found = []
    for data in wrapped:
        octets = base64.b64decode(data, validate=True)
        if octets[:2] == b"\x1f\x8b":
            octets = gzip.decompress(octets)
        found += messages_in(json.loads(octets))
    return found


# ---- what goes in ----------------------------------------------------------------------------------


def zipped(data, level=6):
    return gzip.compress(data, level, mtime=0)


def base64_of(data):
    return base64.b64encode(data).decode()


def message(lines, group="vpc-flow-logs", owner="123456789012", **members):
    """A CloudWatch Logs message, decoded, as a dictionary."""
    events = [{"id": f"{n:056d}", "timestamp": 1432826855000 + n, "message": line}
              for n, line in enumerate(lines)]
    return {"messageType": "DATA_MESSAGE", "owner": owner, "logGroup": group,
            "logStream": "eni-0a1b2c3d-all", "subscriptionFilters": ["all"], "logEvents": events,
            **members}


def decoded(lines, **members):
    return json.dumps(message(lines, **members)).encode()


def lambda_event_of(octets):
    return json.dumps({"awslogs": {"data": base64_of(octets)}}).encode()


def lambda_event(lines, **members):
    return lambda_event_of(zipped(decoded(lines, **members)))


def kinesis_event(*batches):
    return json.dumps({"Records": [
        {"eventID": f"shardId-0:{n}", "kinesis": {"partitionKey": "p",
                                                  "data": base64_of(zipped(decoded(lines)))}}
        for n, lines in enumerate(batches)]}).encode()


def firehose_event(*batches):
    return json.dumps({"invocationId": "i", "records": [
        {"recordId": str(n), "data": base64_of(zipped(decoded(lines)))}
        for n, lines in enumerate(batches)]}).encode()


def firehose_direct(lines):
    return json.dumps({"requestId": "r", "records": [
        {"data": base64_of(json.dumps({"message": line}).encode() + b"\n")}
        for line in lines]}).encode()


def message_objects(lines):
    return b"".join(json.dumps({"message": line}).encode() + b"\n" for line in lines)


def plain(lines, end="\n"):
    return "".join(line + end for line in lines).encode()


def with_header(lines, fields=None):
    return plain([" ".join(fields or DEFAULT)] + list(lines))


def camel(name):
    special = {"srcaddr": "srcAddr", "dstaddr": "dstAddr", "srcport": "srcPort",
               "dstport": "dstPort", "pkt-srcaddr": "pktSrcAddr", "pkt-dstaddr": "pktDstAddr"}
    head, *tail = name.split("-")
    return special.get(name, head + "".join(word.capitalize() for word in tail))


def transformed(line, numbers=True):
    """The record as a log transformer leaves it: JSON in a string."""
    out = {}
    for name, text in values_of(line).items():
        is_number = numbers and text.isdecimal() and name != "account-id"
        out[camel(name)] = int(text) if is_number else text
    return json.dumps(out)


NESTED = ("lines, gzip twice", "decoded, gzip three times")


def in_every_kind():
    """Kind of payload to (its octets, the ftsq lines that must come out)."""
    kinds = {}

    def add(name, make, count=5, extra=()):
        lines = records(count) + list(extra)
        kinds[name] = (make(lines), ftsq_lines(lines))

    def halves(make):
        return lambda lines: make(lines[:2], lines[2:])

    add("decoded", decoded, extra=[NODATA, SKIPDATA])
    add("decoded, pretty-printed", lambda r: json.dumps(message(r), indent=2).encode())
    add("decoded, escaped", lambda r: decoded(r).replace(b"ACCEPT", b"\\u0041CCEPT"))
    add("decoded, line ends in messages", lambda r: decoded([line + "\r\n" for line in r]))
    add("decoded, other order and unknown keys", lambda r: json.dumps(
        {"policyLevel": "ACCOUNT_LEVEL_POLICY", "x": [1, {"y": None}],
         **dict(reversed(list(message(r).items())))}).encode())
    add("decoded, gzip", lambda r: zipped(decoded(r)))
    add("decoded, gzip in three members", lambda r: b"".join(
        zipped(part) for part in (decoded(r)[:50], decoded(r)[50:300], decoded(r)[300:])))
    add("Lambda event", lambda_event)
    add("Lambda event, gzip", lambda r: zipped(lambda_event(r)))
    add("Kinesis event", halves(kinesis_event))
    add("Firehose event", halves(firehose_event))
    add("Firehose, fed by flow logs", firehose_direct)
    add("message objects", message_objects)
    add("message objects, gzip", lambda r: zipped(message_objects(r)))
    add("lines", plain)
    add("lines, CR LF", lambda r: plain(r, "\r\n"))
    add("lines, double spaces", lambda r: plain(line.replace(" 443 ", "  443   ") for line in r))
    add("lines, no end", lambda r: plain(r)[:-1])
    add("lines, gzip", lambda r: zipped(plain(r)))
    add("lines, gzip twice", lambda r: zipped(zipped(plain(r))))
    add("decoded, gzip three times", lambda r: zipped(zipped(zipped(decoded(r)))))
    add("lines with header, gzip", lambda r: zipped(with_header(r)))
    add("lines with headers in two gzip members", lambda r: zipped(with_header(r[:2])) +
        zipped(with_header(r[2:])))
    add("transformed messages", lambda r: decoded([transformed(line) for line in r]))
    add("transformed messages, texts", lambda r: decoded([transformed(line, False) for line in r]))
    add("several, back to back", lambda r: decoded(r[:1]) + b"\n \t" + zipped(decoded(r[1:2])) +
        lambda_event(r[2:3]) + b"\r\n\r\n" + plain(r[3:4]) + zipped(plain(r[4:])))
    return kinds
