# SPDX-License-Identifier: GPL-2.0-or-later
"""cupsd, with the libcups that lies beside it."""
import base64
import os
import struct

from daemons import Daemon, free_port, talk

# All passwords are right, for it alone. Its pid is that of what runs here.
WITH_PAM = 'mount --bind "$0" /etc/pam.d && exec "$@"'


def attribute(tag, name, value):
    return struct.pack(f">BH{len(name)}sH", tag, len(name), name, len(value)) + value


class Program(Daemon):
    def __init__(self, program):
        super().__init__()
        where = os.path.dirname(program)
        self.port = free_port()
        for name in ("root", "spool", "spool/tmp", "state", "cache"):
            os.mkdir(self.path(name))
        self.write("docs/a.txt", "content\n")
        self.write("docs/private/a.txt", "secret\n")
        self.write("data/mime/mime.types", "text/plain txt\n")
        for name in ("cups", "other"):
            self.write("pam.d/" + name, "auth required pam_permit.so\naccount required pam_permit.so\n")
        places = [("ServerRoot", "root"), ("RequestRoot", "spool"), ("TempDir", "spool/tmp"), ("StateDir", "state"),
                  ("CacheDir", "cache"), ("DataDir", "data"), ("DocumentRoot", "docs"), ("ErrorLog", "error"),
                  ("AccessLog", "access"), ("PageLog", "page")]
        files = self.write("root/cups-files.conf", "User lp\nGroup lp\nSystemGroup root\nFatalErrors none\n" +
                           "".join(f"{what} {self.path(name)}\n" for what, name in places))
        conf = self.write("root/cupsd.conf", f"""
Listen 127.0.0.1:{self.port}
Browsing Off
WebInterface Yes
IdleExitTimeout 0
MaxClients 100
LogLevel warn
<Location />
Order allow,deny
Allow all
</Location>
<Location /private>
AuthType Negotiate
Require valid-user
Order allow,deny
Allow all
</Location>
""")
        self.start(["unshare", "--mount", "sh", "-c", WITH_PAM, self.path("pam.d"), os.path.join(where, "cupsd"),
                    "-f", "-c", conf, "-s", files], env=dict(os.environ, LD_LIBRARY_PATH=where))

    def http(self, line, headers=b"", body=b""):
        return talk(self.port, b"%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n%s" % (line, headers, body))

    def ipp(self, extra=b""):
        """What it says to a question for all printers: the status of IPP, else that of HTTP."""
        body = struct.pack(">BBHIB", 1, 1, 0x4002, 1, 1) + attribute(0x47, b"attributes-charset", b"utf-8")
        body += attribute(0x48, b"attributes-natural-language", b"en") + extra + b"\3"
        answer = self.http(b"POST /", b"Content-Type: application/ipp\r\nContent-Length: %d\r\n" % len(body), body)
        head, _, data = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            return "HTTP " + head.split()[1].decode()
        return f"IPP {struct.unpack('>H', data[2:4])[0]:#x}"

    def request(self):
        return self.http(b"GET /a.txt").endswith(b"\r\n\r\ncontent\n") and self.ipp() == "IPP 0x406"

    # ---- the fixes ----

    def wrong_kind(self):
        """What only Kerberos opens, with a user and a password."""
        proof = base64.b64encode(b"somebody:password")
        return self.http(b"GET /private/a.txt", b"Authorization: Basic %s\r\n" % proof).split()[1].decode()

    def extension(self):
        """An attribute whose tag is in four more bytes."""
        return self.ipp(b"\x7f\0\0\0" + attribute(0x44, b"x", b"a"))
