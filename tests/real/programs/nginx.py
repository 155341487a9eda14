# SPDX-License-Identifier: GPL-2.0-or-later
"""nginx, master and worker."""
import os
import socket
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


class Program(Daemon):
    """`server`, `http`: lines of its configuration; DIR is the daemon's directory, UPSTREAM a server."""

    def __init__(self, program, server="", http=""):
        super().__init__()
        self.port = free_port()
        self.upstream = Upstream()
        os.mkdir(self.path("logs"))
        self.write("html/a", "content\n")
        temps = " ".join(f"{name}_temp_path {self.path(name)};" for name in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.write("nginx.conf", f"""
daemon off; worker_processes 1; pid {self.path("pid")}; error_log {self.path("logs/error")} info;
events {{ worker_connections 512; }}
http {{
	access_log off; {temps}
	{http}
	server {{ listen 127.0.0.1:{self.port}; root {self.path("html")}; {server} }}
}}
""".replace("DIR", self.dir.name).replace("UPSTREAM", f"127.0.0.1:{self.upstream.port}"))
        self.start([program, "-p", self.dir.name, "-c", self.path("nginx.conf"), "-e", self.path("logs/error")])

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

    def forbidden(self):
        return self.get(b"/forbidden").split()[1].decode()

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

    def short_destination(self):
        """The status of a COPY to a place shorter than the location."""
        answer = talk(self.port, b"COPY /files/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nDestination: /files\r\n\r\n")
        return answer.split()[1].decode()

    def split_character(self):
        """A character of three bytes that come one by one, in another character set."""
        def speak(connection):
            connection.recv(65536)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<")
            for byte in b"\xe2\x82\xac>":
                time.sleep(0.1)
                connection.sendall(bytes([byte]))
        self.upstream.speak = speak
        return self.get(b"/recode").split(b"\r\n\r\n", 1)[1].hex()
