# SPDX-License-Identifier: Apache-2.0
"""
What goes wrong, on purpose: peers that send again what was not acknowledged (as the Lambda does) to a
daemon that comes and goes, a proxy that does to a connection what networks do, and a look into the
spool's folder.

    with Restarting(folder, "--spool", ..., "-o", f"csv:{path}") as place:
        peers = Resenders(place)
        place.crash()                           # SIGKILL, and a new one on the same spool
        sent = peers.end()                      # all numbers that were sent, each acknowledged
"""
import collections
import hashlib
import os
import random
import re
import socket
import struct
import threading
import time

import harness
import sessions
import traffic

FTSQ_LINE = '10.1.2.3,40123,172.31.9.12,443,6,7,%d,0,0,1600000000,1600000060,127.0.0.1,"unknown"'
POSITION = re.compile(rb"([0-9a-f]{16}) ([0-9]{20})\n")
FRAME = re.compile(rb"PUT ([0-9a-f]{64}) ([0-9]+)\n")

Frame = collections.namedtuple("Frame", "segment offset payload")


# ---- the daemon that comes and goes --------------------------------------------------------------


class Restarting:
    """A daemon, and after its end another one with the same options. `address` is the one to ask."""

    def __init__(self, folder, *options, **how):
        self.folder, self.options, self.how = folder, options, how
        self.daemon = None
        self.address = None
        self.starts = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, exception, trace):
        self.address = None
        self.daemon.__exit__(kind, exception, trace)

    def start(self):
        self.daemon = harness.Daemon(self.folder, *self.options, **self.how)
        self.daemon.__enter__()
        self.address = self.daemon.address
        self.starts += 1

    def crash(self, before_start=lambda: None):
        """SIGKILL, and started anew once before_start() is through."""
        self.address = None
        self.daemon.crash()
        before_start()
        self.start()

    def restart(self):
        """SIGTERM, a good end, and started anew."""
        self.address = None
        self.daemon.terminate()
        self.start()


class Resenders(traffic.Peers):
    """
    Peers that PUT numbered records, some before their answers, until every one of them is
    acknowledged: what has no answer when a connection ends, and what got RETRY, is sent again.
    records: in a payload, or several such numbers, by turns.

        acked    in the order of the answers
        losses   for each connection that ended with answers missing: the flows without one
    """

    def __init__(self, place, peers=4, records=100, ahead=4, pause=0.0, most=10**9, first=0):
        self.place = place
        self.records = (records,) if isinstance(records, int) else records
        self.ahead, self.pause, self.most, self.first = ahead, pause, most, first
        self.losses = []
        self.dups = self.retries = 0
        super().__init__(peers)

    def _payloads(self, n):
        number = n * self.PEER + self.first
        for payload in range(self.most):
            if self.ending.is_set():
                return
            mine = range(number, number + self.records[(payload + n) % len(self.records)])
            number = mine.stop
            self.sent.append(mine)
            yield mine

    def _run(self, n):
        new, again = self._payloads(n), collections.deque()
        more = True
        while more or again:
            try:
                peer = harness.Peer(self.place.address, timeout=90) if self.place.address else None
            except OSError:
                peer = None
            if peer is None:
                time.sleep(0.01)
                continue
            flying = collections.deque()
            try:
                with peer:
                    more = self._connection(peer, new, again, flying)
            except OSError:
                pass
            if flying:
                self.losses.append(sum(map(len, flying)))
            again.extendleft(reversed(flying))

    def _connection(self, peer, new, again, flying):
        """False: there is nothing new any more. True: the connection ended."""
        while True:
            mine = again.popleft() if again else next(new, None)
            if mine is not None:
                flying.append(mine)
                peer.put(f"p{mine.start}", sessions.numbered(mine.start, len(mine)))
                if self.pause:
                    time.sleep(self.pause)
            while flying and (mine is None or len(flying) > self.ahead):
                if not self._answer(peer, flying, again):
                    return True
            if mine is None and not again:
                return False

    def _answer(self, peer, flying, again):
        reply = peer.reply()
        if reply is None:
            return False
        mine = flying.popleft()
        word, ident, rest = reply.split(" ", 2)
        assert ident == f"p{mine.start}", f"{reply} for p{mine.start}"
        if word == "RETRY":
            self.retries += 1
            again.append(mine)
            time.sleep(0.05)
            return True
        assert word in ("ACK", "DUP") and rest == str(len(mine)), reply
        self.dups += word == "DUP"
        self.acked.append(mine)
        return True


# ---- what came out -------------------------------------------------------------------------------


def ftsq_numbers(text):
    """The numbers of numbered records in ftsq lines, each of which is as it has to be."""
    assert not text or text.endswith("\n"), f"a line without an end: {text[-80:]!r}"
    numbers = []
    for line in text.splitlines():
        number = int(line.split(",", 7)[6])
        assert line == FTSQ_LINE % number, line
        numbers.append(number)
    return numbers


# ---- the spool's folder --------------------------------------------------------------------------


def segments(folder, suffix=".put"):
    """Paths of the segments, oldest first."""
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))
            if name.endswith(suffix)]


def frames(folder):
    """What is in the segments, up to where each is no frame any more."""
    found = []
    for path in segments(folder):
        try:
            with open(path, "rb") as file:
                octets = file.read()
        except FileNotFoundError:  # delivered in the meantime
            continue
        at = 0
        while (m := FRAME.match(octets, at)):
            payload = octets[m.end():m.end() + int(m[2])]
            if hashlib.sha256(payload).hexdigest().encode() != m[1]:
                break
            found.append(Frame(int(os.path.basename(path)[:16], 16), at, payload))
            at = m.end() + len(payload)
    return found


def position(folder):
    """(segment, offset) that everything before was delivered of."""
    try:
        with open(os.path.join(folder, "position"), "rb") as file:
            m = POSITION.fullmatch(file.read())
    except FileNotFoundError:
        return 0, 0
    return (int(m[1], 16), int(m[2])) if m else (0, 0)


def undelivered(folder):
    """Numbers of the flows that are stored, and not noted as delivered."""
    begin = position(folder)
    return [int(line.split()[9]) for frame in frames(folder)
            if (frame.segment, frame.offset) >= begin
            for line in frame.payload.decode().splitlines()]


# ---- a network that does what networks do --------------------------------------------------------


class Fault:
    """
    What happens to one direction of a connection.

        piece    octets that are passed on at a time
        delay    seconds before each piece
        at       the octet at which `end` happens; None for never
        end      "reset" both sides, "cut": both get an end, "half": only this direction ends,
                 "stall": nothing for STALL seconds, and then it goes on
    """

    def __init__(self, piece=65536, delay=0.0, at=None, end="stall"):
        self.piece, self.delay, self.at, self.end = piece, delay, at, end


STALL = 0.3
NO_FAULT = Fault()


class Proxy:
    """
    Listens on `port` and passes connections on to target(), an address, or None: then a connection
    is reset. faults(n) gives connection n its two faults, from the client and to it. What it read and
    cannot pass on any more is gone: it reads little ahead.
    """

    def __init__(self, target, faults=lambda n: (NO_FAULT, NO_FAULT)):
        self.target, self.faults = target, faults
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = self.listener.getsockname()
        self.port = self.address[1]
        self.connections = 0
        self.faulty = 0
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in list(self.open):
            self._reset(s)

    @staticmethod
    def _connect(address):
        server = socket.socket()
        server.settimeout(harness.WAIT)
        harness.connect(server, address)
        server.settimeout(None)
        return server

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            n, self.connections = self.connections, self.connections + 1
            address = self.target()
            try:
                server = self._connect(address) if address else None
            except OSError:
                server = None
            if server is None:
                self._reset(client)
                continue
            for s in client, server:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.open.add(s)
            ended = [0]
            for fault, ends in zip(self.faults(n), ((client, server), (server, client))):
                threading.Thread(target=self._pass, args=(*ends, fault, ended), daemon=True).start()

    def _reset(self, s):
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Wakes a thread that reads it; close alone would wait for that thread.
            s.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        self._close(s)

    def _close(self, s):
        self.open.discard(s)
        s.close()

    def _pass(self, source, sink, fault, ended):
        passed = 0
        try:
            while octets := source.recv(min(fault.piece, 16384)):
                if fault.at is not None and passed + len(octets) >= fault.at:
                    keep = max(0, fault.at - passed)
                    sink.sendall(octets[:keep])
                    octets, passed = octets[keep:], passed + keep
                    end, fault = fault.end, Fault(fault.piece, fault.delay)
                    self.faulty += 1
                    if not self._happens(end, source, sink):
                        return
                if fault.delay:
                    time.sleep(fault.delay)
                sink.sendall(octets)
                passed += len(octets)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._reset(source)
            self._reset(sink)
        finally:
            ended[0] += 1
            if ended[0] == 2:
                self._close(source)
                self._close(sink)

    def _happens(self, end, source, sink):
        """Whether it goes on."""
        if end == "reset":
            self._reset(source)
            self._reset(sink)
        elif end == "cut":
            for s in source, sink:
                s.shutdown(socket.SHUT_RDWR)
        elif end == "half":
            sink.shutdown(socket.SHUT_WR)
            while source.recv(65536):  # taken, and passed on to nobody
                pass
        else:
            time.sleep(STALL)
            return True
        return False


def random_faults(seed, most=60_000, kinds=("reset", "cut", "half", "stall"), back=True, last=None):
    """
    Faults for Proxy: something happens to every connection, or only to the first so many, at a
    random octet; to what is sent back, too, or not.
    """
    rng = random.Random(seed)

    def one(room):
        piece = rng.choice((65536, 65536, 1000, 17))
        return Fault(piece=piece, at=rng.randrange(room), end=rng.choice(kinds),
                     delay=0.0005 if piece == 1000 else 0.0)

    def faults(n):
        if last is not None and n >= last:
            return NO_FAULT, NO_FAULT
        if not back:
            return one(most), NO_FAULT
        there, here = one(most), one(most // 100 + 1)
        return rng.choice(((there, NO_FAULT), (NO_FAULT, here), (there, here)))

    return faults
