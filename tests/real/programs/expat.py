# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that parses XML with libexpat."""
import ctypes

from daemons import Host, open_library, serve


class Program(Host):
    def __init__(self, library):
        super().__init__("expat", library)

    def request(self):
        return self.call("parse", "<a><b c='1'>text</b></a>") == "1 a b"

    def negative_length(self):
        return self.call("negative_length")

    def stop_before_start(self):
        return self.call("stop_before_start")


def main():
    lib = open_library({
        "XML_ParserCreate": "ps", "XML_ParserFree": "vp", "XML_Parse": "ipsii", "XML_GetBuffer": "ppi",
        "XML_ParseBuffer": "ipii", "XML_StopParser": "ipc", "XML_GetErrorCode": "ip",
        "XML_SetElementHandler": "vppp"})
    started = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)

    def with_parser(work):
        parser = lib.XML_ParserCreate(None)
        try:
            return work(parser)
        finally:
            lib.XML_ParserFree(parser)

    def parse(text):
        names = []
        handler = started(lambda user, name, attributes: names.append(name.decode()))

        def work(parser):
            lib.XML_SetElementHandler(parser, ctypes.cast(handler, ctypes.c_void_p), None)
            return lib.XML_Parse(parser, text.encode(), len(text), 1)
        status = with_parser(work)
        return " ".join([str(status), *names])

    def negative_length(_):
        def work(parser):
            lib.XML_GetBuffer(parser, 16)
            return f"status {lib.XML_ParseBuffer(parser, -1, 0)}, error {lib.XML_GetErrorCode(parser)}"
        return with_parser(work)

    def stop_before_start(_):
        return with_parser(lambda parser: f"status {lib.XML_StopParser(parser, 1)}")

    serve({"parse": parse, "negative_length": negative_length, "stop_before_start": stop_before_start})


if __name__ == "__main__":
    main()
