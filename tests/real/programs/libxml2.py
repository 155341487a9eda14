# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that reads XML with libxml2."""
import ctypes
import os
import tempfile

from daemons import Host, open_library, serve

SAX1 = 512
START_ELEMENT = 14  # which member of xmlSAXHandler


class Program(Host):
    def __init__(self, library):
        super().__init__("libxml2", library)

    def request(self):
        return self.call("read", "<a><b c='1'>text</b></a>") == "text"

    # ---- the fixes ----

    def child_axis(self):
        """Does the pattern child::b match <b/> in <a/>?"""
        return self.call("child_axis")

    def own_handler(self):
        """The elements that a handler of the old interface is told of."""
        return self.call("own_handler", "<a><b/></a>")

    def empty_strings(self):
        """How many empty strings a dictionary holds after two of them were looked up."""
        return self.call("empty_strings")

    def catalog_of_itself(self):
        return self.call("catalog_of_itself")


def main():
    lib = open_library({
        "xmlReadMemory": "psissi", "xmlFreeDoc": "vp", "xmlDocGetRootElement": "pp", "xmlNodeGetContent": "pp",
        "xmlFirstElementChild": "pp", "xmlPatterncompile": "pspip", "xmlPatternMatch": "ipp", "xmlFreePattern": "vp",
        "xmlCreatePushParserCtxt": "pppsis", "xmlCtxtUseOptions": "ipi", "xmlParseChunk": "ipsii",
        "xmlFreeParserCtxt": "vp", "xmlDictCreate": "p", "xmlDictLookup": "ppsi", "xmlDictFree": "vp",
        "xmlLoadACatalog": "ps", "xmlFreeCatalog": "vp"})
    free = ctypes.CFUNCTYPE(None, ctypes.c_void_p).in_dll(lib, "xmlFree")
    started = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)

    def with_document(text, work):
        doc = lib.xmlReadMemory(text.encode(), len(text), b"a.xml", None, 0)
        try:
            return work(lib.xmlDocGetRootElement(doc))
        finally:
            lib.xmlFreeDoc(doc)

    def content(node):
        pointer = lib.xmlNodeGetContent(node)
        text = ctypes.string_at(pointer).decode()
        free(pointer)
        return text

    def child_axis(_):
        def work(root):
            pattern = lib.xmlPatterncompile(b"child::b", None, 0, None)
            matches = lib.xmlPatternMatch(pattern, lib.xmlFirstElementChild(root))
            lib.xmlFreePattern(pattern)
            return "matches" if matches == 1 else "does not match"
        return with_document("<a><b/></a>", work)

    def own_handler(text):
        names = []
        handler = started(lambda user, name, attributes: names.append(name.decode()))
        table = (ctypes.c_void_p * 32)()
        table[START_ELEMENT] = ctypes.cast(handler, ctypes.c_void_p)
        parser = lib.xmlCreatePushParserCtxt(table, None, None, 0, None)
        lib.xmlCtxtUseOptions(parser, SAX1)
        lib.xmlParseChunk(parser, text.encode(), len(text), 1)
        lib.xmlFreeParserCtxt(parser)
        return " ".join(names) or "none"

    def empty_strings(_):
        words = lib.xmlDictCreate()
        found = {lib.xmlDictLookup(words, text, 0) for text in (b"x", b"y")}
        lib.xmlDictFree(words)
        return str(len(found))

    def catalog_of_itself(_):
        with tempfile.TemporaryDirectory(prefix="ugraft-real-") as where:
            path = os.path.join(where, "a.sgml")
            with open(path, "w", encoding="ascii") as f:
                f.write("CATALOG a.sgml\n")
            catalog = lib.xmlLoadACatalog(path.encode())
            lib.xmlFreeCatalog(catalog)
            return "read" if catalog else "refused"

    serve({"read": lambda text: with_document(text, content), "child_axis": child_axis, "own_handler": own_handler,
           "empty_strings": empty_strings, "catalog_of_itself": catalog_of_itself})


if __name__ == "__main__":
    main()
