# SPDX-License-Identifier: GPL-2.0-or-later
"""Dovecot's IMAP as Debian has installed it, with the libraries that lie beside the program."""
import itertools
import os
import shutil
import socket

from daemons import Daemon, free_port


class Session:
    """A connection; each command is answered by a line that begins with its tag."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.stream = self.socket.makefile("rb")
        self.line()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def line(self):
        line = self.stream.readline()
        if not line:
            raise ConnectionResetError("the server has closed the connection")
        return line.rstrip(b"\r\n").decode()

    def send(self, text):
        self.socket.sendall(text.encode() + b"\r\n")

    def command(self, text):
        """All lines of the answer, the last without the tag."""
        self.send("a " + text)
        lines = [self.line()]
        while not lines[-1].startswith("a "):
            lines.append(self.line())
        return [*lines[:-1], lines[-1][2:]]


class Program(Daemon):
    """
    All processes that have the library are patched. One serves all who are not logged in, and one all who
    are; Debian's configuration has one for each session.
    """

    def __init__(self, program):
        super().__init__()
        where, self.library = os.path.dirname(program), program
        self.port, self.names = free_port(), itertools.count()
        for name in ("lib", "mail"):
            os.mkdir(self.path(name))
        for name in [n for n in os.listdir(where) if ".so." in n]:
            os.symlink(os.path.join(where, name), self.path("lib/" + name.split(".so.")[0] + ".so.0"))
        shutil.chown(self.path("mail"), "nobody", "nogroup")
        conf = self.write("dovecot.conf", f"""
base_dir = {self.path("run")}
state_dir = {self.path("state")}
log_path = {self.path("log")}
import_environment = LD_LIBRARY_PATH={self.path("lib")}
listen = 127.0.0.1
protocols = imap
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{self.path("mail")}
passdb {{
 driver = static
 args = nopassword=y
}}
userdb {{
 driver = static
 args = uid=nobody gid=nogroup home={self.path("mail")}
}}
service imap-login {{
 service_count = 0
 process_min_avail = 1
 process_limit = 1
 inet_listener imap {{
  port = {self.port}
 }}
}}
service imap {{
 service_count = 0
 client_limit = 100
 process_min_avail = 1
 process_limit = 1
}}
""")
        self.start(["/usr/sbin/dovecot", "-F", "-c", conf], env=dict(os.environ, LD_LIBRARY_PATH=self.path("lib")))

    def session(self):
        session = Session(self.port)
        session.command("LOGIN somebody secret")
        return session

    def request(self):
        with self.session() as s:
            return s.command("SELECT INBOX")[-1].startswith("OK ") and s.command("LOGOUT")[-1].startswith("OK ")

    def pids(self):
        return [pid for pid in self.family() if self.library in self.maps(pid)]

    @staticmethod
    def maps(pid):
        with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
            return f.read()

    # ---- the fixes ----

    def parameters(self):
        """So many of the 200 parameters of a message's type are told."""
        text = "Content-Type: text/plain" + "".join(f";\r\n a{i}=b{i}" for i in range(200)) + "\r\n\r\nx"
        with self.session() as s:
            name = f"box{next(self.names)}"
            s.command(f"CREATE {name}")
            s.command(f"APPEND {name} {{{len(text)}+}}\r\n{text}")
            s.command(f"SELECT {name}")
            return str(" ".join(s.command("FETCH 1 BODYSTRUCTURE")).count('" "b'))

    def open_lists(self):
        """What is wrong with too many of them? Nobody is logged in."""
        with Session(self.port) as s:
            return s.command("LOGIN ((((")[-1]

    def two_words(self):
        """A proof and something that is none."""
        with Session(self.port) as s:
            s.send("a AUTHENTICATE PLAIN")
            s.line()
            s.send("AGEAYg==\tx")
            return s.line()
