# SPDX-License-Identifier: GPL-2.0-or-later
"""A C++ process that writes and parses EBML with libebml; compiled here, with the headers of the build."""
import os

from daemons import Host
from sources import CACHE, must


class Program(Host):
    def __init__(self, library):
        where, name = os.path.dirname(library), os.path.basename(os.path.dirname(library))
        tree, source = os.path.join(CACHE, "work", name, "tree"), os.path.join(os.path.dirname(__file__), "ebml_host.cc")
        program = os.path.join(where, "host")
        if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
            must(["g++", "-O1", "-I", tree, source, library, "-o", program])
        super().__init__(None, library, [program])

    def request(self):
        return self.call("parse", "a document") == "a document" and self.call("missing") == "caught 2"

    def overflow(self):
        return self.call("overflow")
