# SPDX-License-Identifier: GPL-2.0-or-later
"""memcached."""
from daemons import Daemon, free_port, talk


class Program(Daemon):
    def __init__(self, program, extra=()):
        super().__init__()
        self.port = free_port()
        self.start([program, "-u", "root", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", *extra])

    def request(self):
        return (talk(self.port, b"set a 0 0 1\r\nb\r\n", b"\r\n") == b"STORED\r\n" and
                talk(self.port, b"get a\r\n", b"END\r\n") == b"VALUE a 0 1\r\nb\r\nEND\r\n")

    def version(self):
        for line in talk(self.port, b"stats\r\n", b"END\r\n").decode().splitlines():
            if line.startswith("STAT version "):
                return line[13:]
        return ""

    def detail(self):
        """Are the prefixes of keys told where dumps are not allowed?"""
        return talk(self.port, b"stats detail dump\r\n", b"\r\n").decode().strip()
