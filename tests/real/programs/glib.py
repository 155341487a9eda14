# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that uses libglib and libgio; which of them is patched, the table says."""
import ctypes
import os

from daemons import Host, open_library, serve


class Program(Host):
    def __init__(self, library):
        super().__init__("glib", library)

    def request(self):
        """Upper case, and what a stream on that memory has at its begin."""
        return self.call("upper", "stra\u00dfe 1") == "STRASSE 1" and self.call("peek", "0 3") == "3 abc"

    # ---- the fixes ----

    def dot_after_iota(self):
        """The marks that follow a subscript iota, in upper case."""
        return " ".join(f"{ord(c):04X}" for c in self.call("upper", "\u0345\u0307"))

    def peek_beyond(self):
        """A place and a count whose sum is less than the place."""
        return "nothing" if self.call("peek", f"5 {2**64 - 1}") == "0" else "beyond the end"


def main():
    here = os.path.dirname(os.environ["UG_HOSTED"])

    def load(name, signatures):
        path = os.path.join(here, name)
        os.environ["UG_HOSTED"] = path if os.path.exists(path) else name
        return open_library(signatures)
    glib = load("libglib-2.0.so.0", {"g_utf8_strup": "psl", "g_free": "vp"})
    gobject = load("libgobject-2.0.so.0", {"g_object_unref": "vp"})
    gio = load("libgio-2.0.so.0", {
        "g_memory_input_stream_new_from_data": "pslp", "g_buffered_input_stream_new": "pp",
        "g_buffered_input_stream_fill": "lplpp", "g_buffered_input_stream_peek": "zppzz"})

    def upper(text):
        data = text.encode()
        pointer = glib.g_utf8_strup(data, len(data))
        answer = ctypes.string_at(pointer).decode()
        glib.g_free(pointer)
        return answer

    def peek(text):
        offset, count = map(int, text.split())
        memory = gio.g_memory_input_stream_new_from_data(b"abcdefgh", 8, None)
        stream = gio.g_buffered_input_stream_new(memory)
        gio.g_buffered_input_stream_fill(stream, 8, None, None)
        buffer = ctypes.create_string_buffer(64)
        got = gio.g_buffered_input_stream_peek(stream, buffer, offset, count)
        gobject.g_object_unref(stream)
        gobject.g_object_unref(memory)
        return f"{got} {buffer.value.decode()}".rstrip()

    serve({"upper": upper, "peek": peek})


if __name__ == "__main__":
    main()
