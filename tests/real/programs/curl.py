# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that fetches with libcurl from a server in this one."""
import ctypes
import http.server
import threading

from daemons import Host, open_library, serve

URL, COOKIEFILE, RESOLVE, WRITEFUNCTION, COOKIELIST = 10002, 10031, 10203, 20011, 0x40001C


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        if self.path == "/cookie":
            self.send_header("Set-Cookie", "a=b; domain=co.UK")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

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

    serve({"get": get, "cookie": cookie})


if __name__ == "__main__":
    main()
