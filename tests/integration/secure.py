# SPDX-License-Identifier: Apache-2.0
"""
Certificates, and a peer that speaks TLS through Python's ssl, over octets that the test can cut.

    with secure.Daemon(folder, certificates, "--allow", "127.0.0.0/8") as daemon:
        assert daemon.ask("a1", payload) == "ACK a1 7"      # as without TLS
"""
import os
import socket
import ssl
import subprocess

import harness

MAKE = os.path.join(os.path.dirname(harness.DATA), "certificates")


class Certificates:
    """What tests/certificates makes; its head lists them."""

    def __init__(self, folder):
        self.folder = str(folder)
        subprocess.run([MAKE, self.folder], check=True, timeout=60)

    def pem(self, name):
        return os.path.join(self.folder, name + ".pem")

    def key(self, name):
        return os.path.join(self.folder, name + ".key")

    def pair(self, name):
        return self.pem(name), self.key(name)

    def listener(self, name="server", client_ca=None):
        """Options of a listener."""
        ask = ["--tls-client-ca", self.pem(client_ca)] if client_ca else []
        return ["--tls-cert", self.pem(name), "--tls-key", self.key(name), *ask]

    def client(self, shows=None, trusts="ca", newest=None):
        """A context for peers."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.pem(trusts))
        # Python takes any end for a good one.
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        if newest:
            context.maximum_version = newest
        if shows:
            context.load_cert_chain(*self.pair(shows))
        return context


class Peer(harness.Peer):
    """One connection over TLS. Ciphertext goes out in pieces of so many octets."""

    def __init__(self, address, context, name="localhost", cut=0, **how):
        super().__init__(address, **how)
        self.cut = cut
        self.notified = False  # the other side has said that it ends
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        try:
            self._drive(self.tls.do_handshake)
        except BaseException:
            self.socket.close()
            raise

    def flush(self):
        """Sends what TLS has to send."""
        super().send(self.outgoing.read(), self.cut)

    def _drive(self, work):
        while True:
            try:
                result = work()
            except ssl.SSLWantReadError:
                self.flush()
                octets = self.socket.recv(65536)
                if octets:
                    self.incoming.write(octets)
                else:
                    self.incoming.write_eof()
                continue
            except ssl.SSLError:
                self.flush()
                raise
            self.flush()
            return result

    def send(self, data, piece=0):
        """piece: octets of plaintext in a record."""
        for at in range(0, len(data), piece or len(data) or 1):
            part = data[at:at + piece] if piece else data
            while part:
                part = part[self.tls.write(part):]
            self.flush()
        return self

    def _more(self):
        try:
            octets = self._drive(lambda: self.tls.read(65536))
        except ssl.SSLZeroReturnError:
            octets = b""
        except (ssl.SSLEOFError, ConnectionResetError):
            return False
        self.notified = not octets
        self.received += octets
        return bool(octets)

    def half_close(self):
        """Says that no more comes, in TLS; the socket stays open."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()
        return self

    def cut_off(self):
        """The socket says so, and TLS does not."""
        self.socket.shutdown(socket.SHUT_WR)
        return self


class Daemon(harness.Daemon):
    """A listener that speaks TLS, and peers that do."""

    def __init__(self, folder, certificates, *options, name="server", client_ca=None, **how):
        super().__init__(folder, *certificates.listener(name, client_ca), *options, **how)
        self.context = certificates.client()

    def connect(self, **how):
        how.setdefault("context", self.context)
        return Peer(self.address, **how)

    def plain(self, **how):
        """A peer that does not."""
        return harness.Peer(self.address, **how)
