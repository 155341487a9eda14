# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that fetches with libcurl from a server in this one."""
import ctypes
import http.server
import tempfile
import threading

from daemons import Host, open_library, serve

URL, PROXY, PROXYUSERPWD, COOKIEFILE, NETRC_FILE, RESOLVE, BEARER = 10002, 10004, 10006, 10031, 10118, 10203, 10220
NETRC, FOLLOWLOCATION, HTTPAUTH, WRITEFUNCTION, COOKIELIST = 51, 52, 107, 20011, 0x40001C
AUTH_BEARER = 1 << 6


class Answers(http.server.BaseHTTPRequestHandler):
    """As a server and as a proxy; it says from which port it was asked, or what to authorize with."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", f"http://b.test:{self.server.server_port}/authorization")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = b"hello"
        if self.path == "/authorization":
            body = self.headers.get("Authorization", "none").split()[0].encode()
        elif self.path.startswith("http://"):
            body = str(self.client_address[1]).encode()
        self.send_response(200)
        if self.path == "/cookie":
            self.send_header("Set-Cookie", "a=b; domain=co.UK")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return self.wfile.write(body)

    def log_message(self, *args):
        pass


class Program(Host):
    def __init__(self, library):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_port
        super().__init__("curl", library)

    def request(self):
        return self.call("get", f"http://127.0.0.1:{self.port}/") == "0 hello"

    def end(self):
        code = super().end()
        self.server.shutdown()
        self.server.server_close()
        return code

    # ---- the fixes ----

    def public_suffix(self):
        """Is a cookie for all of co.UK taken from curl.co.UK?"""
        return self.call("cookie", str(self.port))

    def bearer_elsewhere(self):
        """With what is the host authorized that a.test redirects to, when .netrc knows it?"""
        return self.call("redirected", f"bearer {self.port} machine b.test login u password p")

    def default_elsewhere(self):
        """The same, when .netrc has a user for a.test and an empty default."""
        return self.call("redirected", f"netrc {self.port} machine a.test login u password p default")

    def two_users_of_a_proxy(self):
        """How many connections to it there are for them."""
        return self.call("proxy", str(self.port))


def main():
    lib = open_library({"curl_easy_init": "p", "curl_easy_perform": "ip", "curl_easy_cleanup": "vp",
                        "curl_slist_append": "pps", "curl_slist_free_all": "vp"})
    setopt, getinfo = lib.curl_easy_setopt, lib.curl_easy_getinfo
    taker = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)

    def handle(url):
        """(handle, what has come, what must stay)"""
        came = bytearray()

        def take(data, size, count, _):
            came.extend(ctypes.string_at(data, size * count))
            return size * count
        easy, taken = ctypes.c_void_p(lib.curl_easy_init()), taker(take)
        setopt(easy, URL, ctypes.c_char_p(url.encode()))
        setopt(easy, WRITEFUNCTION, taken)
        return easy, came, taken

    def get(url):
        easy, came, taken = handle(url)
        code = lib.curl_easy_perform(easy)
        lib.curl_easy_cleanup(easy)
        del taken
        return f"{code} {came.decode()}"

    def cookie(port):
        easy, _, taken = handle(f"http://curl.co.UK:{port}/cookie")
        names = lib.curl_slist_append(None, f"curl.co.UK:{port}:127.0.0.1".encode())
        setopt(easy, RESOLVE, ctypes.c_void_p(names))
        setopt(easy, COOKIEFILE, ctypes.c_char_p(b""))
        lib.curl_easy_perform(easy)
        cookies = ctypes.c_void_p()
        getinfo(easy, COOKIELIST, ctypes.byref(cookies))
        found = "taken" if cookies.value else "rejected"
        lib.curl_slist_free_all(cookies)
        lib.curl_easy_cleanup(easy)
        lib.curl_slist_free_all(names)
        del taken
        return found

    def redirected(text):
        how, port, netrc = text.split(" ", 2)
        easy, came, taken = handle(f"http://a.test:{port}/elsewhere")
        names = None
        for host in ("a.test", "b.test"):
            names = lib.curl_slist_append(names, f"{host}:{port}:127.0.0.1".encode())
        with tempfile.NamedTemporaryFile(prefix="ugraft-real-") as f:
            f.write(netrc.encode() + b"\n")
            f.flush()
            setopt(easy, RESOLVE, ctypes.c_void_p(names))
            setopt(easy, NETRC, ctypes.c_long(1))
            setopt(easy, NETRC_FILE, ctypes.c_char_p(f.name.encode()))
            setopt(easy, FOLLOWLOCATION, ctypes.c_long(1))
            if how == "bearer":
                setopt(easy, HTTPAUTH, ctypes.c_long(AUTH_BEARER))
                setopt(easy, BEARER, ctypes.c_char_p(b"token"))
            lib.curl_easy_perform(easy)
        lib.curl_easy_cleanup(easy)
        lib.curl_slist_free_all(names)
        del taken
        return came.decode()

    def proxy(port):
        easy, came, taken = handle("http://a.test/")
        setopt(easy, PROXY, ctypes.c_char_p(f"http://127.0.0.1:{port}".encode()))
        ports = set()
        for user in (b"one:a", b"two:b"):
            setopt(easy, PROXYUSERPWD, ctypes.c_char_p(user))
            came.clear()
            lib.curl_easy_perform(easy)
            ports.add(came.decode())
        lib.curl_easy_cleanup(easy)
        del taken
        return str(len(ports))

    serve({"get": get, "cookie": cookie, "redirected": redirected, "proxy": proxy})


if __name__ == "__main__":
    main()
