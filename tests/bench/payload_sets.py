# SPDX-License-Identifier: Apache-2.0
"""
The benchmark's payloads: CloudWatch Logs messages, the same ones in every run. Each set is a folder of
files NNNN.gz; those that something else reads too have NNNN.json, the same without gzip, and
NNNN.lines, its records alone. Those of one format and share of IPv6 have the very same records, however
many are in a payload.
"""
import gzip
import os
import random

FIELDS = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end "
    "action log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region "
    "az-id sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction "
    "traffic-path ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn "
    "ecs-container-instance-id ecs-container-id ecs-second-container-id ecs-service-name "
    "ecs-task-definition-arn ecs-task-arn ecs-task-id reject-reason").split()
DEFAULT, VERSION_5 = FIELDS[:14], FIELDS[:29]
BEGIN = 1418530010


def custom():
    """All of them, in an order that nobody would think of."""
    fields = list(FIELDS)
    random.Random(40).shuffle(fields)
    return fields


def flow_format(fields):
    return "default" if fields == DEFAULT else " ".join("${%s}" % name for name in fields)


class Records:
    """Records of one network, from one seed; six: how many in a hundred are IPv6."""

    def __init__(self, fields, six=0):
        self.fields = fields
        self.dice = random.Random(1)
        self.six = six
        self.interfaces = [f"eni-{self.dice.randrange(16**17):017x}" for _ in range(400)]

    def address(self, net, six):
        dice = self.dice
        if six:
            tail = ":".join(f"{dice.randrange(1, 65536):x}" for _ in range(4))
            return f"2001:db8:1234:{'a100' if net == '10.1' else 'a102'}:{tail}"
        return f"{net}.{dice.randrange(256)}.{dice.randrange(256)}"

    def tail(self, number, source, destination, six):
        """The values of version 3 and later."""
        dice = self.dice
        task = f"{dice.randrange(16**32):032x}"
        arn = "arn:aws:ecs:eu-west-1:123456789010"
        return {
            "vpc-id": "vpc-0a1b2c3d4e5f60718", "subnet-id": f"subnet-{number % 12:017x}",
            "instance-id": f"i-{number % 400:017x}", "tcp-flags": dice.choice([2, 3, 18, 19]),
            "type": "IPv6" if six else "IPv4", "pkt-srcaddr": source, "pkt-dstaddr": destination,
            "region": "eu-west-1", "az-id": f"euw1-az{dice.randrange(1, 4)}",
            "sublocation-type": "-", "sublocation-id": "-",
            "pkt-src-aws-service": dice.choice(["-", "-", "AMAZON", "S3"]),
            "pkt-dst-aws-service": dice.choice(["-", "-", "EC2", "DYNAMODB"]),
            "flow-direction": dice.choice(["ingress", "egress"]),
            "traffic-path": dice.choice(["-", "1", "8"]),
            "ecs-cluster-arn": f"{arn}:cluster/shop", "ecs-cluster-name": "shop",
            "ecs-container-instance-arn": f"{arn}:container-instance/shop/{task}",
            "ecs-container-instance-id": task, "ecs-container-id": f"{task}-{number % 9999:010}",
            "ecs-second-container-id": "-", "ecs-service-name": "cart",
            "ecs-task-definition-arn": f"{arn}:task-definition/cart:7",
            "ecs-task-arn": f"{arn}:task/shop/{task}", "ecs-task-id": task, "reject-reason": "-",
        }

    def line(self, number):
        dice = self.dice
        six = dice.randrange(100) < self.six
        source, destination = self.address("10.1", six), self.address("172.31", six)
        values = {
            "version": {14: 2, 29: 5}.get(len(self.fields), 8), "account-id": "123456789010",
            "interface-id": dice.choice(self.interfaces), "srcaddr": source, "dstaddr": destination,
            "srcport": dice.randrange(1024, 65536), "dstport": dice.choice([22, 53, 80, 443, 3389]),
            "protocol": dice.choice([6, 6, 17]), "packets": dice.randrange(1, 200),
            "bytes": dice.randrange(40, 200000), "start": BEGIN + number // 500,
            "end": BEGIN + number // 500 + dice.randrange(60),
            "action": dice.choice(["ACCEPT", "ACCEPT", "REJECT"]), "log-status": "OK",
        }
        if len(self.fields) > len(DEFAULT):
            values.update(self.tail(number, source, destination, six))
        return " ".join(str(values[name]) for name in self.fields)

    def lines(self, count):
        return [self.line(number) for number in range(count)]


def escaped(line):
    return "".join(f"\\u{ord(character):04x}" for character in line)


def message(lines, dice, escape=False):
    """A message as CloudWatch Logs writes it; escape: every character of the record by its number."""
    first = dice.randrange(10**35, 10**36)
    events = ",".join(
        f'{{"id":"{first}{dice.randrange(10**20):020}","timestamp":{BEGIN * 1000 + n},'
        f'"message":"{escaped(line) if escape else line}"}}' for n, line in enumerate(lines))
    return ('{"messageType":"DATA_MESSAGE","owner":"123456789010","logGroup":"flows",'
            '"logStream":"eni-all","subscriptionFilters":["all"],"logEvents":[' + events
            + "]}").encode()


class Set:
    """name: of the folder; title: what a reader is told; events: in a payload; records: in all."""

    def __init__(self, name, title, events, records, fields=None, six=0, escape=False, plain=False):
        self.name, self.title, self.events = name, title, events
        self.records = max(events, records)
        self.fields = fields or DEFAULT
        self.six, self.escape, self.plain = six, escape, plain
        self.files = []

    def format(self):
        return flow_format(self.fields)

    def plain_files(self, kind):
        assert self.plain
        return [path[:-len("gz")] + kind for path in self.files]

    def make(self, folder):
        folder = os.path.join(folder, self.name)
        os.makedirs(folder, exist_ok=True)
        lines = Records(self.fields, self.six).lines(self.records)
        dice = random.Random(2)
        for n, at in enumerate(range(0, self.records, self.events)):
            part = lines[at:at + self.events]
            octets = message(part, dice, self.escape)
            path = os.path.join(folder, f"{n:04}")
            write(path + ".gz", gzip.compress(octets, 6, mtime=0))
            if self.plain:
                write(path + ".json", octets)
                write(path + ".lines", "".join(line + "\n" for line in part).encode())
            self.files.append(path + ".gz")


def write(path, octets):
    with open(path, "wb") as file:
        file.write(octets)


def all_sets(quick):
    """Name to set; of a quick run they are a tenth of the size. Nothing is written yet."""
    part = 10 if quick else 1

    def of_size(events, plain=False):
        return Set(f"v2-{events}", f"{events // part:,} events", events // part,
                   0 if quick else 50000, plain=plain)

    def of_kind(name, title, **how):
        return Set(name, title, 10000 // part, 0 if quick else 20000, **how)

    sets = [
        of_size(100), of_size(1000), of_size(10000, plain=True), of_size(50000),
        of_kind("ipv6", "version 2, 30 % IPv6", six=30),
        of_kind("v5", "version 5, 29 columns", fields=VERSION_5),
        of_kind("custom", "custom format, 40 columns", fields=custom()),
        of_kind("escapes", "version 2, every character escaped", escape=True),
    ]
    return {s.name: s for s in sets}
