# SPDX-License-Identifier: Apache-2.0
"""
Records that carry a number, and which numbers a transport session brought. Written for millions of
records, so it knows only what it needs; collectors.py has real decoders.
"""
import struct

import collectors
import payloads

COLUMNS = ",".join(name.replace("-", "_") for name in payloads.DEFAULT)
OCTETS, LOST_FLOWS = 1, 166  # elements
LINE = ("2 012345678901 eni-0a1b2c3d4e5f60718 10.1.2.3 172.31.9.12 40123 443 6 7 %d 1600000000 "
        "1600000060 ACCEPT OK")
CSV_LINE = LINE.replace(" ", ",")


def numbered(first, count):
    """A payload of plain lines: a record for each number, which is its octets."""
    return "".join(LINE % n + "\n" for n in range(first, first + count)).encode()


class Session:
    """
    One transport session of IPFIX, message by message. Fails on whatever a collector that has seen
    nothing but this session could not decode, and on a sequence number that is not the count of
    data records before it.

        numbers    of the flow records, in order
        flows      how many of them each message has
        options    other data records: {element: number}
        templates  (place of the message, domain, template) of each template told
    """

    def __init__(self, octets=b"", torn=False, late=False):
        """
        torn: the session was broken off, so that its last message may not be whole.
        late: its beginning was missed, so that the first sequence number may be any.
        """
        self.numbers = []
        self.flows = []
        self.options = []
        self.templates = []
        self.messages = 0
        self._late = late
        self._next = {}    # domain to sequence number
        self._layout = {}  # (domain, set id) to (2 or 3, [(element, octets)])
        for message in collectors.messages(octets[:whole(octets)] if torn else octets):
            self.take(message)

    def take(self, message):
        header = collectors.header(message)
        before = len(self.numbers)
        first = header.sequence if self._late else 0
        expected = self._next.setdefault(header.domain, first)
        assert header.sequence == expected, \
            f"message {self.messages}: sequence {header.sequence}, not {expected}"
        for ident, body in collectors.sets(message):
            if ident in (2, 3):
                self._take_template(header.domain, ident, body)
            else:
                layout = self._layout.get((header.domain, ident))
                assert layout, f"message {self.messages}: no template {ident}"
                self._next[header.domain] += self._take_data(body, layout)
        self.messages += 1
        self.flows.append(len(self.numbers) - before)

    def _take_template(self, domain, set_id, body):
        ident, count = struct.unpack_from("!HH", body)
        assert count > 0, "a template is withdrawn"
        at, fields = 4 if set_id == 2 else 6, []
        for _ in range(count):
            element, octets = struct.unpack_from("!HH", body, at)
            assert octets < 65535, "not for records of variable length"
            at += 4
            if element & 0x8000:
                at += 4
            fields.append((element, octets))
        self._layout[domain, ident] = (set_id, fields)
        self.templates.append((self.messages, domain, ident))
        if len(body) - at >= 4:
            self._take_template(domain, set_id, body[at:])

    def _take_data(self, body, layout):
        set_id, fields = layout
        size = sum(octets for _, octets in fields)
        assert body and len(body) % size == 0, "a set that is not made of whole records"
        if set_id == 2:
            at = 0
            for element, octets in fields:
                if element == OCTETS:
                    break
                at += octets
            assert octets == 8
            self.numbers += [n for n, in struct.iter_unpack(f"!{at}xQ{size - at - 8}x", body)]
        else:
            for start in range(0, len(body), size):
                values, at = {}, start
                for element, octets in fields:
                    values[element] = int.from_bytes(body[at:at + octets], "big")
                    at += octets
                self.options.append(values)
        return len(body) // size

    def lost(self):
        """The flows that were told to have been lost (RFC 7011 section 4.3), as told last."""
        told = [record[LOST_FLOWS] for record in self.options if LOST_FLOWS in record]
        return told[-1] if told else 0


def whole(octets):
    """Where the last whole message ends."""
    at = 0
    while len(octets) - at >= 16:
        version, length = struct.unpack_from("!HH", octets, at)
        assert version == 10 and length >= 16, f"no message at {at}"
        if length > len(octets) - at:
            break
        at += length
    return at


def ipfix_numbers(octets, torn=False):
    """The numbers of a session's flows, in order."""
    return Session(octets, torn).numbers


def csv_numbers(octets, torn=False):
    """
    The same of a session of csv: a header, whole lines that are as they have to be, and nothing
    else; torn: the session was broken off, so that its last line may not be whole.
    """
    text = octets.decode("ascii")
    lines = text.split("\n")
    rest = lines.pop()
    assert torn or not rest, f"a line without an end: {rest!r}"
    if not lines:
        assert COLUMNS.startswith(rest), rest
        return []
    assert lines[0] == COLUMNS, lines[0]
    numbers = []
    for line in lines[1:]:
        fields = line.split(",")
        assert len(fields) == 14, line
        number = int(fields[9])
        assert line == CSV_LINE % number, line
        numbers.append(number)
    return numbers


NUMBERS = {"ipfix": ipfix_numbers, "csv": csv_numbers}
