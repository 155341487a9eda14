# SPDX-License-Identifier: GPL-2.0-or-later
"""
libcrypto in nginx, master and worker: Debian's nginx with Debian's Lua module. The load is new TLS
connections; what a message gets decrypted to is asked of the worker, which calls the library.
"""
import os
import socket
import ssl
import subprocess

from daemons import free_port
from programs import nginx
from sources import packages

LUA = ("libnginx-mod-http-lua", "libnginx-mod-http-ndk", "lua-resty-core", "lua-resty-lrucache", "libluajit2-5.1-2")
KEY, KEY_ID = "000102030405060708090a0b0c0d0e0f", "c0fee0"

DECLARE = """
	require("ffi").cdef[[
		void *BIO_new_mem_buf(const void *data, int n);
		const void *BIO_s_mem(void);
		void *BIO_new(const void *type);
		int BIO_read(void *bio, void *data, int n);
		int BIO_free(void *bio);
		void *d2i_CMS_bio(void *bio, void **cms);
		void CMS_ContentInfo_free(void *cms);
		int CMS_decrypt_set1_key(void *cms, const char *key, size_t n, const char *id, size_t id_n);
		int CMS_decrypt(void *cms, void *key, void *cert, void *dcont, void *out, unsigned int flags);
		unsigned long ERR_get_error(void);
		const char *ERR_reason_error_string(unsigned long e);
		void ERR_clear_error(void);
	]]
"""
# Decrypts what a client sends, with a key both know.
DECRYPT = """
	local ffi = require "ffi"
	local C = ffi.C
	local function bytes(hex)
		return (hex:gsub("..", function (c) return string.char(tonumber(c, 16)) end))
	end
	ngx.req.read_body()
	local body = ngx.req.get_body_data()
	local data, out = C.BIO_new_mem_buf(body, #body), C.BIO_new(C.BIO_s_mem())
	local cms = C.d2i_CMS_bio(data, nil)
	local key, id = bytes("KEY"), bytes("ID")
	C.ERR_clear_error()
	if C.CMS_decrypt_set1_key(cms, key, #key, id, #id) == 1 and C.CMS_decrypt(cms, nil, nil, nil, out, 0) == 1 then
		local text = ffi.new("char[256]")
		local n = C.BIO_read(out, text, 256)
		ngx.print("decrypted: ", ffi.string(text, n > 0 and n or 0))
	else
		ngx.print("rejected: ", ffi.string(C.ERR_reason_error_string(C.ERR_get_error())))
	end
	C.ERR_clear_error()
	C.CMS_ContentInfo_free(cms)
	C.BIO_free(data)
	C.BIO_free(out)
""".replace("KEY", KEY).replace("ID", KEY_ID)


def openssl(*args, **kw):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, **kw).stdout


def parts(der):
    """What a value of ASN.1 consists of."""
    found = []
    while der:
        n, head = der[1], 2
        if n > 127:
            head += n - 128
            n = int.from_bytes(der[2:head], "big")
        found.append(der[:head + n])
        der = der[head + n:]
    return found


def content(der):
    """Of one value, without its tag and length."""
    return der[2 + (der[1] - 128 if der[1] > 127 else 0):]


def value(tag, *inner):
    data = b"".join(inner)
    n = len(data).to_bytes(2, "big")
    return bytes([tag, 0x82]) + n + data


def forged():
    """An encrypted message that nobody has authenticated, as one of the authenticated kind."""
    message = openssl("cms", "-encrypt", "-outform", "DER", "-noindef", "-aes-128-cbc", "-secretkey", KEY,
                      "-secretkeyid", KEY_ID, input=b"pay")
    _, wrapped = parts(content(message))
    _, recipients, encrypted = parts(content(content(wrapped)))
    kind = bytes.fromhex("060b2a864886f70d0109100117")     # id-smime-ct-authEnvelopedData
    version, mac = b"\x02\x01\x00", b"\x04\x10" + bytes(16)
    return value(0x30, kind, value(0xa0, value(0x30, version, recipients, encrypted, mac)))


class Program(nginx.Program):
    def __init__(self, library):
        self.tls_port = free_port()
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.message = forged()
        root = packages(*LUA)
        libraries = [os.path.dirname(os.path.abspath(library)), f"{root}/usr/lib/x86_64-linux-gnu"]
        super().__init__(
            "/usr/sbin/nginx", env=dict(os.environ, LD_LIBRARY_PATH=":".join(libraries)),
            main="".join(f"load_module {root}/usr/lib/nginx/modules/{m}_module.so;" for m in ("ndk_http", "ngx_http_lua")),
            http=f"lua_package_path '{root}/usr/share/lua/5.1/?.lua;;'; init_by_lua_block {{ {DECLARE} }}",
            server=f"""
		listen 127.0.0.1:{self.tls_port} ssl; ssl_certificate DIR/cert; ssl_certificate_key DIR/key;
		location /decrypt {{ content_by_lua_block {{ {DECRYPT} }} }}""")

    def prepare(self):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", self.path("key"),
                "-out", self.path("cert"))

    def ask_tls(self, data):
        """A new connection, and all of the answer."""
        with socket.create_connection(("127.0.0.1", self.tls_port), timeout=60) as plain, \
                self.tls.wrap_socket(plain) as s:
            s.sendall(data)
            answer = b""
            while part := s.recv(65536):
                answer += part
        return answer

    def request(self):
        answer = self.ask_tls(b"GET /a HTTP/1.0\r\n\r\n")
        return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\ncontent\n")

    # ---- the fixes ----

    def forged_message(self):
        answer = self.ask_tls(b"POST /decrypt HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(self.message) + self.message)
        return answer.split(b"\r\n\r\n", 1)[1].decode()
