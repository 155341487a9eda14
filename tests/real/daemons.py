# SPDX-License-Identifier: GPL-2.0-or-later
"""Daemons as their Debian packages install them: how to start one, ask it, and load it.

A probe has old and new (what ask() answers before and while the patch is loaded), request() (one
of the load: True when it is answered as it should), pids() and end().
"""
import os
import random
import socket
import struct
import subprocess
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daemon:
    def __init__(self, args, **kw):
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, **kw)
        for _ in range(400):
            try:
                if self.request():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        self.process.kill()
        raise RuntimeError(f"{args[0]} does not answer")

    def request(self):
        raise NotImplementedError

    def pids(self):
        return [self.process.pid]

    def end(self):
        self.process.terminate()
        return self.process.wait(timeout=60)


class Memcached(Daemon):
    """The version among the statistics."""
    old, new = b"1.6.18", b"1.6.18 (patched)"

    def __init__(self, program):
        self.port = free_port()
        super().__init__([program, "-u", "root", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0"])

    def command(self, text, end):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as s:
            s.sendall(text)
            answer = b""
            while not answer.endswith(end):
                part = s.recv(65536)
                if not part:
                    break
                answer += part
            return answer

    def ask(self):
        for line in self.command(b"stats\r\n", b"END\r\n").splitlines():
            if line.startswith(b"STAT version "):
                return line[13:]
        return b""

    def request(self):
        return (self.command(b"set a 0 0 1\r\nb\r\n", b"\r\n") == b"STORED\r\n" and
                self.command(b"get a\r\n", b"END\r\n") == b"VALUE a 0 1\r\nb\r\nEND\r\n")


class Redis(Daemon):
    """What PING answers."""
    old, new = b"+PONG", b"+PATCHED"

    def __init__(self, program):
        self.port = free_port()
        self.dir = tempfile.TemporaryDirectory(prefix="ugraft-real-")
        super().__init__([program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                          "--dir", self.dir.name])

    def command(self, *words):
        text = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as s:
            s.sendall(text)
            return s.recv(65536)

    def ask(self):
        return self.command(b"PING").strip()

    def request(self):
        return (self.command(b"SET", b"a", b"b") == b"+OK\r\n" and
                self.command(b"GET", b"a") == b"$1\r\nb\r\n")


class Dnsmasq(Daemon):
    """The time to live of a record of its own."""
    old, new = b"300", b"307"

    def __init__(self, program):
        self.port = free_port()
        super().__init__([program, "-k", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-resolv",
                          "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1",
                          f"--port={self.port}", "--host-record=a.test,192.0.2.1,300"])

    def query(self):
        ident = random.randrange(65536)
        packet = struct.pack(">6H", ident, 0x100, 1, 0, 0, 0) + b"\1a\4test\0" + struct.pack(">2H", 1, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(60)
            s.connect(("127.0.0.1", self.port))
            s.send(packet)
            answer = s.recv(4096)
        if answer[:2] != packet[:2] or struct.unpack(">H", answer[6:8])[0] != 1:
            return None, None
        return struct.unpack(">I", answer[-10:-6])[0], answer[-4:]

    def ask(self):
        return str(self.query()[0]).encode()

    def request(self):
        return self.query()[1] == bytes([192, 0, 2, 1])


class Nginx(Daemon):
    """A file that is not there, and then must not be seen."""
    old, new = b"404", b"403"

    def __init__(self, program):
        self.port = free_port()
        self.dir = tempfile.TemporaryDirectory(prefix="ugraft-real-")
        os.chmod(self.dir.name, 0o755)
        for name in ("logs", "html"):
            os.mkdir(os.path.join(self.dir.name, name))
        self.write("html/a", "content\n")
        self.write("nginx.conf", f"""
daemon off; worker_processes 1; pid {self.dir.name}/pid; error_log {self.dir.name}/logs/error;
events {{ worker_connections 64; }}
http {{
	access_log off; client_body_temp_path {self.dir.name}/c; proxy_temp_path {self.dir.name}/p;
	fastcgi_temp_path {self.dir.name}/f; uwsgi_temp_path {self.dir.name}/u; scgi_temp_path {self.dir.name}/s;
	server {{ listen 127.0.0.1:{self.port}; root {self.dir.name}/html; }}
}}
""")
        super().__init__([program, "-p", self.dir.name, "-c", f"{self.dir.name}/nginx.conf", "-e",
                          f"{self.dir.name}/logs/error"])

    def write(self, name, text):
        with open(os.path.join(self.dir.name, name), "w", encoding="utf-8") as f:
            f.write(text)

    def get(self, path):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as s:
            s.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path)
            answer = b""
            while part := s.recv(65536):
                answer += part
        return answer

    def ask(self):
        return self.get(b"/forbidden").split()[1]

    def request(self):
        answer = self.get(b"/a")
        return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\ncontent\n")

    def pids(self):
        """The master as well: it makes new workers."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as f:
            return [self.process.pid, *map(int, f.read().split())]
