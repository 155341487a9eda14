# SPDX-License-Identifier: GPL-2.0-or-later
"""dnsmasq, and a name server above it that answers as a fix needs it."""
import random
import socket
import struct
import threading

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
    def __init__(self, program, extra=()):
        super().__init__()
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
        answer = self.query(f"n{random.randrange(1 << 30)}.example", kind=15, timeout=3)
        if not answer and not self.query("a.test", timeout=10):
            return "answers no more"
        return f"code {answer[3] & 15}, {struct.unpack('>H', answer[6:8])[0]} records" if answer else "dropped"
