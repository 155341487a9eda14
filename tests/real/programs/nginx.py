# SPDX-License-Identifier: GPL-2.0-or-later
"""nginx, master and worker."""
import os
import socket
import struct
import threading
import time

from daemons import Daemon, free_port, talk


class Upstream(threading.Thread):
    """A server behind it: speak(connection) serves one."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.speak = lambda connection: None
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                try:
                    self.speak(connection)
                except OSError:
                    pass


def atom(name, *parts):
    """Of an MP4 file; numbers have four bytes."""
    data = b"".join(p if isinstance(p, bytes) else struct.pack(">I", p) for p in parts)
    return struct.pack(">I", 8 + len(data)) + name + data


def film():
    """Ten samples of a second, in a track whose table of chunks is empty."""
    table = atom(b"stbl", atom(b"stts", 0, 1, 10, 1000), atom(b"stsc", 0, 1, 1, 1, 1), atom(b"stco", 0, 0),
                 atom(b"free", 0))
    track = atom(b"mdia", atom(b"mdhd", 0, 0, 0, 1000, 10000, 0), atom(b"minf", table))
    return atom(b"moov", atom(b"trak", track)) + atom(b"mdat", bytes(100))


class Program(Daemon):
    """
    `server`, `http`, `main`: lines of its configuration; DIR is the daemon's directory, UPSTREAM a
    server. `kw`: how the process is made.
    """

    def __init__(self, program, server="", http="", main="", **kw):
        super().__init__()
        self.port = free_port()
        self.upstream = Upstream()
        os.mkdir(self.path("logs"))
        self.write("html/a", "content\n")
        self.write("html/film.mp4", film())
        self.prepare()
        temps = " ".join(f"{name}_temp_path {self.path(name)};" for name in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.write("nginx.conf", f"""
{main}
daemon off; worker_processes 1; pid {self.path("pid")}; error_log {self.path("logs/error")} info;
events {{ worker_connections 512; }}
http {{
	access_log off; {temps}
	{http}
	server {{ listen 127.0.0.1:{self.port}; root {self.path("html")}; {server} }}
}}
""".replace("DIR", self.dir.name).replace("UPSTREAM", f"127.0.0.1:{self.upstream.port}"))
        self.start([program, "-p", self.dir.name, "-c", self.path("nginx.conf"), "-e", self.path("logs/error")],
                   **kw)

    def prepare(self):
        """What its configuration names."""

    def get(self, path, headers=b""):
        return talk(self.port, b"GET %s HTTP/1.0\r\n%s\r\n" % (path, headers))

    def request(self):
        answer = self.get(b"/a")
        return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\ncontent\n")

    def pids(self):
        """The master as well: it makes new workers."""
        return self.family()

    def end(self):
        code = super().end()
        self.upstream.socket.close()
        return code

    # ---- the fixes ----

    @staticmethod
    def status(answer):
        return answer.split()[1].decode() if answer else "no answer"

    def forbidden(self):
        return self.status(self.get(b"/forbidden"))

    def premature(self):
        """
        Does a client see what somebody has sent before the handshake with a TLS server? It is
        parsed only when it is there before nginx has come to the handshake: many at once.
        """
        evil = b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\ninjected"
        self.upstream.speak = lambda connection: connection.sendall(evil)
        for _ in range(40):
            clients = [socket.create_connection(("127.0.0.1", self.port), timeout=60) for _ in range(60)]
            for c in clients:
                c.sendall(b"GET /tls HTTP/1.0\r\n\r\n")
            answers = [c.recv(65536) for c in clients]
            for c in clients:
                c.close()
            if any(b"injected" in a for a in answers):
                return "injected"
        return "rejected"

    def capture_after_arguments(self):
        return self.get(b"/set/a+b").split(b"\r\n\r\n")[1].decode()

    def overlapping_captures(self):
        """Is a client sent to what was written? Where it was written to the wrong place the worker dies."""
        answer = self.get(b"/twice/" + b"+" * 3000)
        wanted = b"\r\nLocation: http://127.0.0.1/" + b"+" * 6000 + b"\r\n"
        return "whole" if wanted in answer else "broken"

    def empty_chunks(self):
        """The status of a film from its middle. Where nothing is left to be sent the answer ends before it begins."""
        return self.status(self.get(b"/film.mp4?start=0.5"))

    def short_destination(self):
        """The status of a COPY to a place shorter than the location. The old worker dies of it."""
        return self.status(talk(self.port, b"COPY /files/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                                           b"Destination: /files\r\n\r\n"))

    def split_character(self):
        """
        A character of three bytes that come one by one, in another character set. One that is
        thought to have four is taken back too far, to the byte before the buffer.
        """
        def speak(connection):
            connection.recv(65536)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<")
            for byte in b"\xe2\x82\xac>":
                time.sleep(0.1)
                connection.sendall(bytes([byte]))
        self.upstream.speak = speak
        return self.get(b"/recode").split(b"\r\n\r\n", 1)[1].hex()
