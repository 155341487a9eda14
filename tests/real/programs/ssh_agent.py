# SPDX-License-Identifier: GPL-2.0-or-later
"""ssh-agent, and its protocol: draft-miller-ssh-agent, with OpenSSH's extensions."""
import base64
import os
import socket
import struct
import sys

from daemons import Daemon
from sources import must

SUCCESS, LIST, IDENTITIES, SIGN, SIGNED = 6, 11, 12, 13, 14
ADD_CARD, REMOVE_CARD, ADD_CARD_CONSTRAINED, EXTENSION, CONSTRAIN_EXTENSION = 20, 21, 26, 27, 255
SIGNATURE = 83  # bytes of one of ed25519

# In place of ssh-pkcs11-helper: a token with two keys. The files with their public parts are arguments.
HELPER = """#!{python}
import os
import struct
import sys
sys.path.insert(0, {where!r})
from programs.ssh_agent import ADD_CARD, IDENTITIES, SUCCESS, public, string
keys = [public(path) for path in {files!r}]
while head := os.read(0, 4):
    request = os.read(0, struct.unpack(">I", head)[0])
    if request[0] == ADD_CARD:
        listed = b"".join(string(k) + string(n) for k, n in zip(keys, (b"first", b"second")))
        answer = struct.pack(">BI", IDENTITIES, len(keys)) + listed
    else:
        answer = bytes([SUCCESS])
    os.write(1, string(answer))
"""


def string(data):
    return struct.pack(">I", len(data)) + data


def public(path):
    """The blob of an OpenSSH public key file."""
    with open(path, encoding="ascii") as f:
        return base64.b64decode(f.read().split()[1])


def make_key(path, kind="ed25519"):
    """Its public blob."""
    must(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", os.path.basename(path), "-f", path])
    return public(path + ".pub")


class Connection:
    """One client of an agent."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def receive(self, n):
        data = b""
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            if not part:
                raise OSError("the agent hung up")
            data += part
        return data

    def ask(self, kind, body=b""):
        """(kind of the answer, its body)"""
        self.socket.sendall(string(bytes([kind]) + body))
        answer = self.receive(struct.unpack(">I", self.receive(4))[0])
        return answer[0], answer[1:]

    def must(self, kind, body, wanted=SUCCESS):
        got, answer = self.ask(kind, body)
        if got != wanted:
            raise OSError(f"the agent answers {got} to {kind}")
        return answer

    def sign(self, key, data):
        """The signature as other messages have it."""
        answer = self.must(SIGN, string(key) + string(data) + struct.pack(">I", 0), SIGNED)
        return answer[4:]

    def names(self):
        """The comments of the keys it offers."""
        answer = self.must(LIST, b"", IDENTITIES)
        at, names = 4, []
        for field in range(2 * struct.unpack(">I", answer[:4])[0]):
            n = struct.unpack(">I", answer[at:at + 4])[0]
            if field % 2:
                names.append(answer[at + 4:at + 4 + n].decode())
            at += 4 + n
        return names


class Program(Daemon):
    """In the foreground, with a key that may be used everywhere."""

    def __init__(self, program):
        super().__init__()
        self.address = self.path("agent")
        self.key = make_key(self.path("key"))
        self.other = make_key(self.path("other"))
        self.provider = self.write("token.so", "")
        files = [self.path(n) + ".pub" for n in ("first", "second")]
        for path in files:
            make_key(path[:-4], "ecdsa")
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        helper = self.write("helper", HELPER.format(python=sys.executable, where=here, files=files))
        os.chmod(helper, 0o755)
        self.started = False
        self.start([program, "-D", "-a", self.address, "-P", self.path("*")],
                   env=dict(os.environ, SSH_PKCS11_HELPER=helper))
        must(["ssh-add", "-q", self.path("key")], env=dict(os.environ, SSH_AUTH_SOCK=self.address))
        self.started = True

    def request(self):
        with Connection(self.address) as agent:
            if not self.started:
                return agent.names() == []
            return "key" in agent.names() and len(agent.sign(self.key, b"data")) == SIGNATURE

    def end(self):
        """It says that it was told to end by the status 2."""
        return 0 if super().end() == 2 else 1

    # ---- the fixes ----

    def constrained_token(self):
        """Which keys of a token that was added for another host are offered to this one?"""
        def hop(name, key):
            return string(string(b"") + string(name) + string(b"") + (string(key) + b"\0" if key else b""))
        constraint = string(hop(b"", None) + hop(b"other", self.other) + string(b""))
        limits = bytes([CONSTRAIN_EXTENSION]) + string(b"restrict-destination-v00@openssh.com") + string(constraint)
        card = string(self.provider.encode()) + string(b"")
        with Connection(self.address) as agent:
            agent.must(ADD_CARD_CONSTRAINED, card + limits)
        with Connection(self.address) as agent:
            bind = string(b"session-bind@openssh.com") + string(self.key) + string(b"session")
            agent.must(EXTENSION, bind + string(agent.sign(self.key, b"session")) + b"\1")
            names = [n for n in agent.names() if n in ("first", "second")]
        with Connection(self.address) as agent:
            agent.must(REMOVE_CARD, card)
        return " ".join(names) or "none"
