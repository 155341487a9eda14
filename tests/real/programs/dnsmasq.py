# SPDX-License-Identifier: GPL-2.0-or-later
"""dnsmasq, and a name server above it that answers as a fix needs it."""
import hashlib
import random
import socket
import struct
import subprocess
import threading
import time

from daemons import Daemon, free_port

ADDRESS = bytes([192, 0, 2, 1])


def encode_name(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


def skip_name(packet, at):
    while packet[at]:
        if packet[at] & 0xC0:
            return at + 2
        at += packet[at] + 1
    return at + 1


def record(owner, kind, data, ttl=300):
    return owner + struct.pack(">2HIH", kind, 1, ttl, len(data)) + data


class Zone:
    """A signed zone (dnsmasq wants the root): its key is made by openssl, in a file."""

    def __init__(self, name, path):
        self.name, self.path = encode_name(name), path
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
        public = self.openssl("pkey", "-in", path, "-pubout", "-outform", "DER")[-64:]
        self.key = struct.pack(">H2B", 257, 3, 13) + public
        self.tag = sum(b << 8 if i % 2 == 0 else b for i, b in enumerate(self.key))
        self.tag = (self.tag + (self.tag >> 16)) & 0xffff
        self.anchor = f"{name},{self.tag},13,2,{hashlib.sha256(self.name + self.key).hexdigest()}"

    @staticmethod
    def openssl(*args, **kw):
        return subprocess.run(["openssl", *args], check=True, capture_output=True, **kw).stdout

    def signed(self, owner, kind, data):
        """A record and its signature."""
        labels, at = 0, 0
        while owner[at]:
            labels, at = labels + 1, at + owner[at] + 1
        now = int(time.time())
        head = struct.pack(">H2B3IH", kind, 13, labels, 300, now + 86400, now - 86400, self.tag) + self.name
        der = self.openssl("dgst", "-sha256", "-sign", self.path, input=head + record(owner, kind, data))
        r = der[4:4 + der[3]]
        numbers = [r, der[6 + len(r):]]
        return record(owner, kind, data) + \
            record(owner, 46, head + b"".join(n[-32:].rjust(32, b"\0") for n in numbers))

    def answer(self, query, denial):
        """Its key when that is asked for; else that there is no such record, and so says an NSEC record."""
        at = skip_name(query, 12)
        owner, kind = query[12:at], struct.unpack(">H", query[at:at + 2])[0]
        if kind == 48:
            return query[:2] + struct.pack(">5H", 0x8180, 1, 2, 0, 0) + query[12:at + 4] + \
                self.signed(self.name, 48, self.key)
        return query[:2] + struct.pack(">5H", 0x8180, 1, 0, 2, 0) + query[12:at + 4] + self.signed(owner, 47, denial)


class Upstream(threading.Thread):
    """answer(query) makes the whole reply from what it is asked."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.answer = lambda query: None
        self.start()

    def run(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(65536)
            except OSError:
                return
            reply = self.answer(query)
            if reply:
                self.socket.sendto(reply, peer)


class Program(Daemon):
    def __init__(self, program, extra=(), signed=False):
        super().__init__()
        self.zone = Zone(".", self.path("key")) if signed else None
        extra = [*extra, "--dnssec", f"--trust-anchor={self.zone.anchor}"] if signed else extra
        self.port = free_port()
        self.upstream = Upstream()
        self.start([program, "-k", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-resolv", "--no-hosts",
                    "--bind-interfaces", "--listen-address=127.0.0.1", f"--port={self.port}",
                    f"--server=127.0.0.1#{self.upstream.port}", "--host-record=a.test,192.0.2.1,300", *extra])

    def query(self, name, kind=1, timeout=60):
        """The reply; b"" : none in time."""
        ident = random.randrange(65536)
        packet = struct.pack(">6H", ident, 0x100, 1, 0, 0, 0) + encode_name(name) + struct.pack(">2H", kind, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(timeout)
            s.connect(("127.0.0.1", self.port))
            s.send(packet)
            try:
                answer = s.recv(65536)
            except TimeoutError:
                return b""
        return answer if answer[:2] == packet[:2] else b""

    def request(self):
        answer = self.query("a.test")
        return len(answer) > 12 and struct.unpack(">H", answer[6:8])[0] == 1 and answer[-4:] == ADDRESS

    def end(self):
        code = super().end()
        self.upstream.socket.close()
        return code

    # ---- the fixes ----

    def ttl(self):
        return str(struct.unpack(">I", self.query("a.test")[-10:-6])[0])

    def reply_for(self, query, answer, additional=b""):
        """To what was asked, with one record and options."""
        at = skip_name(query, 12) + 4
        head = query[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 1 if additional else 0)
        return head + query[12:at] + b"\xc0\x0c" + answer + additional

    def ask_once(self):
        """Another name each time: nothing of it is in the cache."""
        return self.query(f"n{random.randrange(1 << 30)}.example", timeout=3)

    def other_subnet(self):
        """A reply that says it is for clients in 10.9.8.0/24."""
        address = struct.pack(">2HIH", 1, 1, 60, 4) + bytes([192, 0, 2, 9])
        option = struct.pack(">2HH2B", 8, 7, 1, 24, 24) + bytes([10, 9, 8])
        opt = b"\0" + struct.pack(">2HIH", 41, 1232, 0, len(option)) + option
        self.upstream.answer = lambda query: self.reply_for(query, address, opt)
        return "taken" if bytes([192, 0, 2, 9]) in self.ask_once() else "dropped"

    def lying_length(self):
        """An MX record whose name goes on behind its end: does it answer anything after that?"""
        record = struct.pack(">2HIH", 15, 1, 60, 3) + b"\0\5" + encode_name("mail.example")
        self.upstream.answer = lambda query: self.reply_for(query, record)
        return self.outcome(15)

    def outcome(self, kind=1):
        """Of a new name."""
        answer = self.query(f"n{random.randrange(1 << 30)}.example", kind, timeout=15)
        if not answer and not self.query("a.test", timeout=10):
            return "answers no more"
        return f"code {answer[3] & 15}, {struct.unpack('>H', answer[6:8])[0]} records" if answer else "dropped"

    def empty_window(self):
        """A record that denies others with a window of no length: the next one is where it is itself."""
        self.upstream.answer = lambda query: self.zone.answer(query, encode_name("zz.example") + b"\1\0")
        return self.outcome()
