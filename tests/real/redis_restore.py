# SPDX-License-Identifier: GPL-2.0-or-later
"""RESTORE of a zipmap whose value has a length in five bytes where one is due."""
import socket
import subprocess
import tempfile
import time

PAYLOAD = bytes.fromhex("090e01016bfe0400000000" "76616c31ff0900d0f9e41de4fb114c")


class Probe:
    old, new = b"+OK", b"-ERR Bad data format"

    def __init__(self, program):
        self.dir = tempfile.TemporaryDirectory(prefix="ugraft-real-")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.dir.name],
            stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.command(b"PING")
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the server does not answer")

    def command(self, *words):
        text = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(text)
            return s.recv(65536)

    def ask(self):
        answer = self.command(b"RESTORE", b"key", b"0", PAYLOAD)
        self.command(b"DEL", b"key")
        return answer.strip()

    def request(self):
        """One of the load: True when it is answered as it should."""
        return self.command(b"SET", b"a", b"b") == b"+OK\r\n" and self.command(b"GET", b"a") == b"$1\r\nb\r\n"

    def end(self):
        self.process.terminate()
        return self.process.wait(timeout=20)
