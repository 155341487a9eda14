# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that calls libcups."""
import ctypes

from daemons import Host, open_library, serve


class Program(Host):
    def __init__(self, library):
        super().__init__("cupslib", library)

    def request(self):
        return self.call("format", "localhost") == "ipp://localhost:631/a"

    # ---- the fixes ----

    def copy_nothing(self):
        """A copy into a place of no bytes: its result, and what is there."""
        return self.call("copy_nothing")


def main():
    lib = open_library({"_cups_strlcpy": "zpsz", "httpAssembleURI": "iipisssis"})

    def make_uri(host):
        text = ctypes.create_string_buffer(256)
        lib.httpAssembleURI(0, text, 256, b"ipp", None, host.encode(), 631, b"/a")
        return text.value.decode()

    def copy_nothing(_):
        text = ctypes.create_string_buffer(b"untouched")
        return f"{lib._cups_strlcpy(text, b'abc', 0)}, {text.value.decode()}"

    serve({"format": make_uri, "copy_nothing": copy_nothing})


if __name__ == "__main__":
    main()
