# SPDX-License-Identifier: GPL-2.0-or-later
"""A PostgreSQL server, and a session that is open all the time."""
import os
import shutil
import socket
import struct
import subprocess

from daemons import Daemon, free_port

BIN = "/usr/lib/postgresql/15/bin"


class Session:
    """The protocol of version 3, as far as simple queries need it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.stream = self.socket.makefile("rb")
        text = b"user\0postgres\0database\0postgres\0\0"
        self.socket.sendall(struct.pack(">II", len(text) + 8, 3 << 16) + text)
        self.results()

    def message(self):
        head = self.stream.read(5)
        if len(head) < 5:
            raise ConnectionResetError("the server has closed the connection")
        return head[:1], self.stream.read(struct.unpack(">I", head[1:])[0] - 4)

    def results(self):
        """Until it is ready: the first column of all rows; "ERROR: ..." """
        rows = []
        while True:
            kind, data = self.message()
            if kind == b"E":
                rows.append("ERROR: " + next(f[1:] for f in data.split(b"\0") if f[:1] == b"M").decode())
            if kind == b"E" and data.startswith(b"SFATAL\0"):
                return rows
            if kind == b"D":
                n = struct.unpack(">i", data[2:6])[0]
                rows.append(data[6:6 + n].decode() if n >= 0 else None)
            elif kind == b"Z":
                return rows

    def query(self, text):
        data = text.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack(">I", len(data) + 4) + data)
        return self.results()

    def close(self):
        self.socket.sendall(b"X\0\0\0\4")
        self.stream.close()
        self.socket.close()


class Program(Daemon):
    def __init__(self, program, setup=()):
        super().__init__()
        self.port, self.session = free_port(), None
        shutil.chown(self.dir.name, "postgres")
        subprocess.run([f"{BIN}/initdb", "-D", self.path("data"), "-U", "postgres", "-A", "trust", "--no-sync",
                        "--locale=C", "-E", "UTF8"], user="postgres", group="postgres", extra_groups=[], check=True,
                       cwd=self.dir.name, stdout=subprocess.DEVNULL)
        self.start([program, "-D", self.path("data"), "-k", self.dir.name, "-p", str(self.port), "-c", "fsync=off",
                    "-c", "listen_addresses=127.0.0.1"], user="postgres", group="postgres", extra_groups=[],
                   cwd=self.dir.name)
        self.session = Session(self.port)
        for text in setup:
            self.session.query(text)
        self.backend = int(self.session.query("SELECT pg_backend_pid()")[0])

    def new(self, text):
        """In a session of its own, which a new process serves."""
        session = Session(self.port)
        try:
            return session.query(text)
        finally:
            session.close()

    def request(self):
        return self.new("SELECT sum(n) FROM generate_series(1, 100) AS n") == ["5050"]

    def pids(self):
        """The first process, which makes the others, and that of the open session."""
        return [self.process.pid, self.backend]

    def end(self):
        if self.session:
            self.session.close()
        return super().end()

    # ---- the fixes ----

    def both(self, text):
        """What the open session says, and a new one."""
        return f"{' '.join(map(str, self.session.query(text)))} | {' '.join(map(str, self.new(text)))}"

    def foreign_schema(self):
        """May somebody put a type into a schema that is not his?"""
        make = ("SET ROLE somebody; CREATE TYPE own.r AS RANGE (subtype = int4, multirange_type_name = other.m); "
                "DROP TYPE own.r; RESET ROLE; SELECT 'made'")
        return self.both(make)

    def zone(self):
        """The end of the time in a zone whose name is that of a conversion."""
        return self.both("SET timezone = '<%%x>0'; SELECT substring(timeofday() from '[^ ]*$')")
