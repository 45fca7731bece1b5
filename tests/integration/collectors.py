# SPDX-License-Identifier: Apache-2.0
"""
What takes or decodes IPFIX, and was not written by us.

    with Nfcapd(folder) as nfcapd:
        ...                                     # --output to udp://127.0.0.1:<nfcapd.port>
        assert len(nfcapd.flows()) == 7         # stops it: nfdump reads finished files only

nfcapd and nfacctd collect UDP. For the rest UdpSink and TcpCollector keep the octets, and tshark(),
decode() (python3-ipfix) and ipfixdump() (libfixbuf) judge them; each judges a file, too.

tshark sees a session as packets through write_pcap(), not through a capture on lo: that needs
CAP_NET_RAW, a wait until dumpcap has begun and another until it has written, and can drop packets.
What a socket has received is complete, and wrapping it in IP headers needs none of that.
"""
import collections
import errno
import io
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import warnings

import harness

Header = collections.namedtuple("Header", "version length export_time sequence domain")
FIREWALL_EVENT, FORWARDING_STATUS = 233, 89
TOOL_SECONDS = 60
TEN_YEARS = "315360000"  # nfcapd begins a file at multiples of it: at 3600 a test may see two
PORT = 4739  # of captures that are made here
AS_IPFIX = (f"udp.port=={PORT},cflow", f"tcp.port=={PORT},cflow")


def free_udp_port():
    """Free now; the kernel gives out others first, so nobody is likely to take it soon."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _udp_queue(port):
    """Octets that wait in the socket bound to 127.0.0.1:port; None when there is none."""
    with open("/proc/net/udp", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if fields[1] == f"0100007F:{port:04X}":
                return int(fields[4].split(":")[1], 16)
    return None


def _tool(*args, stdin=None, sessions=None):
    """What a decoder prints, in UTC; it must not fail, nor miss records in that many sessions."""
    done = subprocess.run([str(a) for a in args], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=TOOL_SECONDS, check=False,
                          env=dict(os.environ, TZ="UTC"))
    err = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, f"{args[0]}: exit status {done.returncode}: {err}"
    assert sessions is None or err.count("out of sequence") < sessions, err
    return done.stdout.decode("utf-8", "replace")


class _Server:
    """A collector that runs as a process of its own, on a UDP port that is free or given."""

    def __init__(self, folder, port=0):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.port = port or free_udp_port()
        self.process = None
        self.began = 0  # where its own lines begin in the log
        self.log_path = os.path.join(self.folder, f"{type(self).__name__.lower()}.log")

    def __enter__(self):
        with open(self.log_path, "ab") as log:
            self.began = len(self.log())
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, TZ="UTC"), start_new_session=True)
        try:
            harness.wait_for("a start", lambda: self.ready() or self.gone())
            assert not self.gone(), f"it did not start:\n{self.log()}"
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *exception):
        self.kill()

    def ready(self):
        return _udp_queue(self.port) is not None

    def gone(self):
        return self.process.poll() is not None

    def kill(self):
        """SIGKILL, to its children, too (nfacctd's plugin): what is not written is lost."""
        if not self.gone():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(harness.WAIT)

    def stop(self, number=signal.SIGTERM):
        """Back once it took all datagrams sent up to now, wrote what it has, and ended well."""
        if self.gone():
            return
        harness.wait_for("queue read", lambda: not _udp_queue(self.port) or self.gone())
        self.process.send_signal(number)
        status = self.ended(number)
        assert status == 0, f"exit status {status}:\n{self.log()}"

    def ended(self, _):
        """Exit status, once it has one."""
        return self.process.wait(harness.WAIT)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()


class Nfcapd(_Server):
    """
    nfcapd. To restart it: a second one with the first one's folder and port. Each keeps its files
    in a subfolder, as two that start within a second would name their files alike; all that is
    asked is asked of the files of all of them.
    """

    def __init__(self, folder, port=0):
        super().__init__(folder, port)
        runs = sum(name.startswith("run-") for name in os.listdir(self.folder))
        self.own = os.path.join(self.folder, f"run-{runs}")
        os.mkdir(self.own)

    def command(self):
        return ["nfcapd", "-w", self.own, "-b", "127.0.0.1", "-p", str(self.port), "-t", TEN_YEARS,
                "-B", "4000000"]

    def ended(self, number):
        """
        It notes a signal and looks at the note before it waits for a datagram: one that comes just
        between the two ends nothing until the next.
        """
        for _ in range(int(harness.WAIT)):
            try:
                return self.process.wait(1)
            except subprocess.TimeoutExpired:
                self.process.send_signal(number)
        return self.process.wait(1)

    def files(self):
        """Finished ones, in order. The one being written (nfcapd.current) is none of them."""
        self.stop()
        return sorted(os.path.join(path, name) for path, _, names in os.walk(self.folder)
                      for name in names if name.startswith("nfcapd.2"))

    def flows(self):
        """nfdump's JSON objects. They have no interface names and no observation domain."""
        found = []
        for path in self.files():
            # This release prints objects one after the other, later ones an array.
            text = _tool("nfdump", "-q", "-r", path, "-o", "json").strip()
            found += json.loads(text if text[:1] == "[" else
                                "[" + re.sub(r"^\}\n+\{$", "},{", text, flags=re.M) + "]")
        return found

    def table(self, fmt):
        """Rows, for a format such as "%sa|%da|%inam"."""
        text = "".join(_tool("nfdump", "-q", "-N", "-r", path, "-o", "fmt:" + fmt)
                       for path in self.files())
        return [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]

    def exporters(self):
        """[(observation domain, sequence errors, flows)] of every file."""
        return [tuple(map(int, m)) for path in self.files() for m in re.findall(
            r"ID: +(\d+), Sequence failures: (\d+), packets: \d+, flows: (\d+)",
            _tool("nfdump", "-E", path))]

    def sequence_errors(self):
        """Messages with options data that come after the first flow record count as errors, too."""
        return sum(errors for _, errors, _ in self.exporters())

    def totals(self):
        """(flows, packets, octets)."""
        texts = [_tool("nfdump", "-I", "-r", path) for path in self.files()]
        return tuple(sum(int(re.search(rf"^{name}: (\d+)$", text, re.M)[1]) for text in texts)
                     for name in ("Flows", "Packets", "Bytes"))


class Nfacctd(_Server):
    """nfacctd with the print plugin. Records that agree in `aggregate` are added up."""

    AGGREGATE = ("src_host,dst_host,src_port,dst_port,proto,tcpflags,in_iface,out_iface,"
                 "peer_src_ip,timestamp_start,timestamp_end,fwev,fwst")

    def __init__(self, folder, aggregate=AGGREGATE, primitives=None, port=0):
        """primitives: {name: (element, octets, semantics)} on top of fwev and fwst."""
        super().__init__(folder, port)
        self.conf, self.out = (os.path.join(self.folder, n) for n in ("nfacctd.conf", "records"))
        own = os.path.join(self.folder, "primitives")
        primitives = {"fwev": (FIREWALL_EVENT, 1, "u_int"), "fwst": (FORWARDING_STATUS, 1, "u_int"),
                      **(primitives or {})}
        with open(own, "w", encoding="ascii") as file:
            for name, (element, octets, semantics) in primitives.items():
                file.write(f"name={name} field_type={element} len={octets} semantics={semantics}\n")
        lines = ("daemonize: false", "nfacctd_ip: 127.0.0.1", f"nfacctd_port: {self.port}",
                 "nfacctd_disable_checks: false", "nfacctd_pipe_size: 4000000",
                 "plugin_pipe_size: 10240000", "plugin_buffer_size: 10240", "plugins: print[p]",
                 "print_num_protos: true", f"aggregate_primitives: {own}",
                 f"aggregate[p]: {aggregate}",
                 "print_output: json", f"print_output_file: {self.out}",
                 "print_output_file_append: true", "print_refresh_time: 3600", "")
        with open(self.conf, "w", encoding="ascii") as file:
            file.write("\n".join(lines))

    def command(self):
        return ["nfacctd", "-f", self.conf]

    def ready(self):
        """A plugin that is told to end before it has set itself up loses what came."""
        log = self.log()[self.began:]
        return "waiting for NetFlow/IPFIX data" in log and "JSON: setting object handlers" in log

    def flush(self):
        """SIGINT: it purges its cache to the file, and ends. Takes two seconds."""
        self.stop(signal.SIGINT)

    def records(self):
        self.flush()
        if not os.path.exists(self.out):
            return []
        with open(self.out, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def sequence_gaps(self):
        """[(expected, received)]. Options data with variable-length strings count as gaps, too."""
        self.flush()
        return [(int(a), int(b)) for a, b in re.findall(
            r"expecting flow '(\d+)' but received '(\d+)'", self.log())]


# ---- what keeps the octets ----

class UdpSink:
    """All datagrams, in order. Reads at once, into a buffer that is as large as the kernel lets."""

    def __init__(self, port=0, host="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * harness.MIB)
        self.socket.bind((host, port))
        self.port = self.socket.getsockname()[1]
        self.datagrams = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()

    def _read(self):
        while True:
            octets, sender = self.socket.recvfrom(65536)
            if sender == self.socket.getsockname():
                return
            self.datagrams.append(octets)

    def stop(self):
        """After this `datagrams` has all that were sent before, for UDP on lo keeps the order."""
        if self.thread.is_alive():
            self.socket.sendto(b"", self.socket.getsockname())
            self.thread.join(harness.WAIT)
            assert not self.thread.is_alive(), "the sink is stuck"
            self.socket.close()

    def wait(self, count):
        """The datagrams, once there are that many."""
        harness.wait_for(f"{count} datagrams", lambda: len(self.datagrams) >= count)
        return list(self.datagrams)


def binds(listener, port):
    """A port that was free may be another connection's for a moment."""
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as e:
        if e.errno != errno.EADDRINUSE:
            raise
        return False
    return True


class TcpCollector:
    """
    Keeps each session's octets in a file of its own. A process, so that it can be killed (the
    kernel resets the sessions) or paused (their windows fill) as a whole. What was read is on disk
    at once. tls: paths of certificate and key, and of the authority of the client's certificate if
    one is demanded; it is what was within TLS that is kept then.
    """

    def __init__(self, folder, port=0, tls=()):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.port = port
        self.tls = [str(path) for path in tls]
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.kill()

    def start(self):
        """Connects succeed from here on: the socket listens before the process runs."""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            harness.wait_for("the port to be free", lambda: binds(listener, self.port))
            listener.listen(64)
            self.port = listener.getsockname()[1]
            self.process = subprocess.Popen(
                [sys.executable, os.path.abspath(__file__), self.folder, str(listener.fileno()),
                 *self.tls], stdin=subprocess.DEVNULL, pass_fds=[listener.fileno()])

    def kill(self):
        """What it has not read is lost, and the kernel resets the sessions."""
        self.process.kill()  # a paused one, too
        self.process.wait(harness.WAIT)

    def stop(self):
        """An orderly end, with a FIN to each session; what had arrived is on disk."""
        self.process.terminate()
        status = self.process.wait(harness.WAIT)
        assert status == 0, f"exit status {status}"

    def restart(self):
        """Killed, and back on the same port; new sessions are counted on."""
        self.kill()
        self.start()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def sessions(self):
        """The octets of every session up to now, in the order of their connects."""
        count = sum(name.startswith("session-") for name in os.listdir(self.folder))
        found = []
        for n in range(count):
            with open(os.path.join(self.folder, f"session-{n}"), "rb") as file:
                found.append(file.read())
        return found

    def wait_sessions(self, count, octets=0):
        """The sessions, once there are that many and the last has that many octets."""
        def there():
            found = self.sessions()
            return found if len(found) >= count and len(found[count - 1]) >= octets else None

        return harness.wait_for(f"session {count} with {octets} octets", there)


def _collect(folder, descriptor, *tls):
    """The process of a TcpCollector, until SIGTERM and the end of what was accepted."""
    opened = {}
    context = _server_context(*tls) if tls else None

    def on_term(*_):
        for session in list(opened.values()):
            try:
                # keep() reads what is left, and ends; SSLSocket's own would read it undecrypted.
                socket.socket.shutdown(session, socket.SHUT_RDWR)
            except OSError:
                pass  # has ended
        sys.exit(0)

    def keep(session, path):
        # A kill resets the session also when all was read; a proper end does not.
        session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if context:
            try:
                session = opened[path] = context.wrap_socket(session, server_side=True)
            except OSError:
                return  # the client has told why
        with session, open(path, "wb", buffering=0) as file:
            try:
                while octets := session.recv(65536):
                    file.write(octets)
                session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
            except OSError:
                pass  # a reset, with or without TLS

    signal.signal(signal.SIGTERM, on_term)
    listener = socket.socket(fileno=descriptor)
    count = sum(name.startswith("session-") for name in os.listdir(folder))
    while True:
        session, _ = listener.accept()
        path = os.path.join(folder, f"session-{count}")
        opened[path] = session
        with open(path, "wb"):
            count += 1  # here, so that sessions() sees them in order and without a hole
        threading.Thread(target=keep, args=(session, path)).start()


def _server_context(cert, key, client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


# ---- messages ----

def messages(octets):
    """The IPFIX messages of a session, a file or a datagram. Nothing may be left over."""
    found, at = [], 0
    while at < len(octets):
        assert len(octets) - at >= 16, f"{len(octets) - at} octets are no message header, at {at}"
        version, length = struct.unpack_from("!HH", octets, at)
        assert version == 10, f"version {version} at {at}"
        assert 16 <= length <= len(octets) - at, f"message length {length} at {at}"
        found.append(octets[at:at + length])
        at += length
    return found


def header(message):
    return Header(*struct.unpack_from("!HHIII", message))


def sets(message):
    """[(set id, octets behind the set header)]"""
    found, at = [], 16
    while at < len(message):
        ident, length = struct.unpack_from("!HH", message, at)
        assert 4 <= length <= len(message) - at, f"set length {length} at {at}"
        found.append((ident, message[at + 4:at + length]))
        at += length
    return found


# ---- decoders ----

def _octets(source):
    if isinstance(source, (bytes, bytearray)):
        return bytes(source)
    with open(source, "rb") as file:
        return file.read()


def decode(source):
    """
    Octets or a file, of one session, as python3-ipfix has them: [(domain, {element: value})],
    options data, too. An element of an enterprise is _ipfix_PEN_ID, and bytes. It would loop for
    ever on a withdrawn template, and on one that begins with a variable-length element.
    """
    import ipfix.ie  # here, so that everything else works without it
    import ipfix.reader
    ipfix.ie.clear_infomodel()  # it keeps the length an unknown element had when first seen
    ipfix.ie.use_iana_default()
    octets = _octets(source)
    for message in messages(octets):
        for ident, body in sets(message):
            if ident in (2, 3):
                first = 4 if ident == 2 else 6
                assert body[2:4] != b"\0\0", "a template is withdrawn"
                assert body[first + 2:first + 4] != b"\xff\xff", "begins with variable length"
    reader = ipfix.reader.from_stream(io.BytesIO(octets))

    def unknown(_, data):
        raise AssertionError(f"no template for set {bytes(data[:2]).hex()}")

    reader.msg.unknown_data_set_hook = unknown
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [(reader.msg.odid, record) for record in reader.namedict_iterator()]


def ipfixdump(source, sessions=1):
    """
    Octets or a file as libfixbuf has them: (templates, records). A template is {"id", "scope",
    "fields": [(enterprise, id, type, length, name)]}; a record {"template", "domain", "values":
    {name: text}}. Elements of an enterprise have the names that type records before their template
    gave them, or else _alienInformationElement. A gap in the sequence numbers fails, but for one
    at each further session of a file. ipfixDump reads files only, and no sockets.
    """
    text = _tool("ipfixDump", "--rfc5610", stdin=_octets(source), sessions=sessions)
    templates, records, into, domain = [], [], None, 0
    for line in text.splitlines():
        if "observation domain id:" in line:
            domain = int(line.rsplit(":", 1)[1])
        elif re.match(r"--- (options )?template record", line):
            into = {"id": 0, "scope": 0, "fields": []}
            templates.append(into)
        elif line.startswith("--- data record"):
            into = {"template": 0, "domain": domain, "values": {}}
            records.append(into)
        elif (m := re.match(r"\ttid: +(\d+) .*scope: +(\d+)", line)):
            into["id"], into["scope"] = map(int, m.groups())
        elif (m := re.match(r"\tcount: *\d+ +tid: +(\d+)", line)):
            into["template"] = int(m[1])
        elif (m := re.match(r"\tent: +(\d+) +id: +(\d+) +type: (\S+) +len: +(\d+) +(\(S\) )?(\S+)",
                            line)):
            into["fields"].append((int(m[1]), int(m[2]), m[3], int(m[4]), m[6]))
        elif (m := re.match(r"\t\([\d/]+\)(?: \(S\))? +(\S+) : (?:\(len: \d+\) ?)?(.*)", line)):
            into["values"][m[1]] = m[2]
    return templates, records


# ---- tshark ----

def _ipv4(protocol, body):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0,
                       b"\x7f\0\0\x01", b"\x7f\0\0\x01")
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xffff) + (total >> 16)
    return head[:10] + struct.pack("!H", ~total & 0xffff) + head[12:] + body


def write_pcap(path, datagrams=(), sessions=(), port=PORT):
    """
    A capture, link type raw IP, of UDP datagrams and of TCP sessions (bytes each), all to `port`.
    A session comes from a port of its own, in segments that end as messages do where they can:
    tshark keeps one verdict on sequence numbers for a packet, and not for a message.
    """
    packets = [_ipv4(17, struct.pack("!HHHH", 40000, port, 8 + len(octets), 0) + octets)
               for octets in datagrams]
    for n, octets in enumerate(sessions):
        at = 0
        segments = [(2, b"")]
        for message in messages(octets):
            segments += [(0x18, message[i:i + 60000]) for i in range(0, len(message), 60000)]
        for flags, part in segments + [(0x11, b"")]:
            packets.append(_ipv4(6, struct.pack("!HHIIBBHHH", 40001 + n, port, at,
                                                int(flags != 2), 0x50, flags, 65535, 0, 0) + part))
            at += len(part) or 1
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 101))
        for n, packet in enumerate(packets):
            file.write(struct.pack("<IIII", n, 0, len(packet), len(packet)) + packet)
    return path


def tshark(path, fields, decode_as=AS_IPFIX, display_filter="cflow"):
    """
    One dict for each packet, or message of a file (RFC 5655, no decode_as needed): field to list
    of texts. A field absent from one record leaves no gap in the list.
    """
    args = [a for d in decode_as or () for a in ("-d", d)]
    args += [a for f in fields for a in ("-e", f)]
    text = _tool("tshark", "-2", "-r", path, "-Y", display_filter, "-T", "fields", *args,
                 "-E", "separator=/t", "-E", "aggregator=|")
    return [{field: cell.split("|") if cell else [] for field, cell in
             zip(fields, line.split("\t"))} for line in text.split("\n")[:-1]]


def tshark_problems(path, decode_as=AS_IPFIX):
    """
    "packet: text" for what tshark finds malformed, without a template or out of sequence (which a
    second session in one file is, too). It passes over a message cut short: see messages(), sets().
    """
    assert tshark(path, ["frame.number"], decode_as), "tshark found no IPFIX"
    return [f"{row['frame.number'][0]}: {text}"
            for row in tshark(path, ["frame.number", "_ws.expert.message"], decode_as,
                              "cflow && _ws.expert")
            for text in row["_ws.expert.message"]]


if __name__ == "__main__":
    _collect(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
