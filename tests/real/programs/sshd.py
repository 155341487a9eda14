# SPDX-License-Identifier: GPL-2.0-or-later
"""
sshd that does not execute itself again for each connection (-r), so that each of them is a child of
the process that listens. Connections that are open already are patched as well. The user sshd must
exist (package openssh-server), and ssh.
"""
import base64
import os
import struct
import subprocess
import time

from daemons import Daemon, free_port
from programs import ssh_agent
from programs.ssh_agent import Connection, make_key, string
from sources import run

CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {dir}/host
AuthorizedKeysFile {dir}/authorized
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
DisableForwarding yes
MaxStartups 100
"""


def descendants(pid):
    found = [pid]
    for p in found:
        with open(f"/proc/{p}/task/{p}/children", encoding="ascii") as f:
            found.extend(map(int, f.read().split()))
    return found


class Program(Daemon):
    def __init__(self, program):
        super().__init__()
        self.port = free_port()
        self.agent = ssh_agent.Program("/usr/bin/ssh-agent")
        make_key(self.path("host"))
        make_key(self.path("key"))
        with open(self.path("key.pub"), encoding="ascii") as f:
            self.write("authorized", f.read() + self.authority())
        self.write("config", CONFIG.format(port=self.port, dir=self.dir.name))
        os.makedirs("/run/sshd", exist_ok=True)
        self.start([program, "-D", "-e", "-r", "-f", self.path("config")])
        self.live = [self.open_connection(n) for n in range(3)]
        self.unused = iter(range(3))
        self.servers = self.settled()

    def end(self):
        for client in self.live:
            client.terminate()
            client.wait()
        self.agent.end()
        return super().end()

    def ssh(self, key, *args):
        return ["ssh", "-F", "/dev/null", "-p", str(self.port), "-i", self.path(key), "-o", "IdentitiesOnly=yes",
                "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", *args, "root@127.0.0.1"]

    def environment(self):
        return dict(os.environ, SSH_AUTH_SOCK=self.agent.address)

    def run(self, args):
        """What the command says."""
        return run(args, env=self.environment(), timeout=60).stdout.strip()

    def request(self):
        return self.run([*self.ssh("key"), "echo yes"]) == "yes"

    def pids(self):
        return self.servers

    def open_connection(self, n):
        """A connection that stays, for others to open sessions in."""
        control = self.path(f"control{n}")
        client = subprocess.Popen(self.ssh("key", "-A", "-M", "-N", "-S", control), stdin=subprocess.DEVNULL,
                                  env=self.environment())
        while not os.path.exists(control):
            if client.poll() is not None:
                raise RuntimeError("ssh does not stay")
            time.sleep(0.05)
        return client

    def settled(self):
        """What listens and one for each open connection: before root is let in it has two, of which one ends."""
        for _ in range(1200):
            found = descendants(self.process.pid)
            if len(found) == 1 + len(self.live):
                return found
            time.sleep(0.05)
        raise RuntimeError(f"there are {len(found)} of sshd")

    # ---- the fixes ----

    def forwarded_agent(self):
        """Is the agent forwarded, by a new connection and by one that was open before?"""
        command = 'test -S "$SSH_AUTH_SOCK" && echo forwarded || echo refused'
        new = self.run([*self.ssh("key", "-A"), command])
        control = self.path(f"control{next(self.unused)}")  # sshd forwards it once for each
        return f"{new}, {self.run([*self.ssh('key', '-A', '-S', control), command])}"

    def authority(self):
        """The line of an authority, and a certificate of it for the principal "one,more"."""
        with open(self.agent.path("key.pub"), encoding="ascii") as f:
            line = f'cert-authority,principals="one,two" {f.read()}'
        key = make_key(self.path("holder"))
        lifetime = struct.pack(">2Q", 0, (1 << 64) - 1)
        kind = b"ssh-ed25519-cert-v01@openssh.com"
        body = (string(kind) + string(os.urandom(32)) + key[-36:] + struct.pack(">QI", 1, 1) + string(b"holder") +
                string(string(b"one,more")) + lifetime + 3 * string(b"") + string(self.agent.key))
        with Connection(self.agent.address) as agent:
            certificate = body + string(agent.sign(self.agent.key, body))
        self.write("holder-cert.pub", f"{kind.decode()} {base64.b64encode(certificate).decode()}\n")
        return line

    def two_in_one(self):
        """May the holder of that certificate come in?"""
        return "let in" if self.run([*self.ssh("holder"), "echo yes"]) == "yes" else "refused"
