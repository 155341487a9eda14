# SPDX-License-Identifier: GPL-2.0-or-later
"""redis-server."""
import os
import socket
import struct

from daemons import Daemon, free_port

# A zipmap whose value has a length in five bytes where one is due.
ZIPMAP = bytes.fromhex("090e01016bfe0400000000" "76616c31ff0900d0f9e41de4fb114c")
# A stream with one entry, pending for two consumers of a group.
NACK = bytes.fromhex(
    "0f01100000000000000001000000000000000025250000000a00010100010101856669656c64060001020100"
    "01000185" "76616c7565060401ff0101000107" "6d7967726f7570" "0100010000000000000001000000000000"
    "00004a79898f9f010000" "010209" "636f6e73756d657241" "4a79898f9f0100000100000000000000010000"
    "00000000000009" "636f6e73756d657242" "5479898f9f01000001000000000000000100000000000000000900"
    "f6ea7b6cb8b8d8b4")


class Program(Daemon):
    def __init__(self, program, cluster=False, password="", huge=False):
        super().__init__()
        self.port = free_port() if not cluster else self.port_with_bus()
        self.password = password.encode()
        args = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.dir.name,
                "--logfile", self.path("log"), "--busy-reply-threshold", "0"]
        args += ["--cluster-enabled", "yes"] if cluster else []
        args += ["--requirepass", password] if password else []
        # Gigabytes in pages of 4 KiB would take minutes.
        args += ["--disable-thp", "no"] if huge else []
        env = dict(os.environ, MALLOC_CONF="thp:always") if huge else None
        # The name it is started by says what it is: all three are one file.
        self.start(["redis-server", *args], executable=program, env=env)

    @staticmethod
    def port_with_bus():
        """The bus of a cluster listens 10000 above."""
        while (port := free_port()) > 55535:
            pass
        return port

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=600)
        if self.password:
            s.sendall(self.words(b"AUTH", self.password))
            s.recv(65536)
        return s

    @staticmethod
    def words(*words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

    def command(self, *words):
        """The first part of an answer; "died"."""
        try:
            with self.connect() as s:
                s.sendall(self.words(*words))
                answer = s.recv(65536)
        except ConnectionResetError:
            answer = b""
        return answer.decode(errors="replace").strip() if answer or not self.died() else "died"

    def request(self):
        return self.command(b"PING") == "+PONG" and self.command(b"ECHO", b"abc") == "$3\r\nabc"

    def restored(self, payload):
        answer = self.command(b"RESTORE", b"key", b"0", payload)
        self.command(b"DEL", b"key")
        return answer

    # ---- the fixes ----

    def ping(self):
        return self.command(b"PING")

    def zipmap(self):
        return self.restored(ZIPMAP)

    def shared_nack(self):
        return self.restored(NACK)

    def acl(self):
        return self.command(b"ACL", b"SETUSER", b"somebody", b"%")

    def crlf(self):
        return self.command(b"FUNCTION", b"LIST", b"X\r\n+INJECTED").replace("\r\n", "|")

    def unread_replies(self):
        """Does a client that has not said who it is get all the answers it does not read?"""
        due = 2000 * len(b"-NOAUTH Authentication required.\r\n")
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as s:
            try:
                s.sendall(b"GET a\r\n" * 2000)
                got = 0
                while got < due and (part := s.recv(65536)):
                    got += len(part)
            except ConnectionResetError:
                return "closed"
        return "all" if got >= due else "closed"

    def gossip(self):
        """A MEET of a cluster's bus that counts more nodes than it has."""
        body = struct.pack(">HHHHQQQ", 1, self.port, 2, 100, 1, 1, 0) + b"a" * 40 + bytes(2048 + 40 + 46)
        body += struct.pack(">H", 0) + bytes(30) + struct.pack(">HHHB", 0, self.port + 10000, 1, 0) + bytes(3)
        before = self.read("log").count(b"gossip count 100")
        with socket.create_connection(("127.0.0.1", self.port + 10000), timeout=60) as s:
            s.sendall(b"RCmb" + struct.pack(">I", len(body) + 8) + body)
            s.settimeout(2)
            try:
                s.recv(1)
            except TimeoutError:
                pass
        return "rejected" if self.read("log").count(b"gossip count 100") > before else "silent"

    def unpack(self):
        answer = self.command(b"EVAL", b"return {unpack({1,2,3}, -2, 2147483647)}", b"0")
        return "too many results" if "too many results" in answer else answer

    def long_bracket(self):
        """A string between brackets with 1 GiB of '=', which the parser gets in pieces; its length."""
        return self.command(b"EVAL", b"""
local s, n = string.rep('=', 1024 * 1024), 0
return #load(function()
	n = n + 1
	return n == 1 and 'return [' or n <= 1025 and s or n == 1026 and '[x]' or n <= 2050 and s or n == 2051 and ']' or nil
end)()""", b"0")
