# SPDX-License-Identifier: GPL-2.0-or-later
"""What the programs under programs/ share: a daemon on loopback, its load, a library's host.

A program of the table is a class Program(path, **options) there. It has request() (one of the load:
True when it is answered as it should), pids() (what is patched), end() and, for each fix, a method
that is named in the table and returns what the program did, as a word.
"""
import ctypes
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def talk(port, data, end=None, timeout=60):
    """Send it, and read until that end, or all."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        s.sendall(data)
        answer = b""
        while end is None or not answer.endswith(end):
            part = s.recv(65536)
            if not part:
                break
            answer += part
        return answer


class Daemon:
    """A process in a directory of its own, which any user may enter."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="ugraft-real-", ignore_cleanup_errors=True)
        os.chmod(self.dir.name, 0o755)
        self.process = None

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def read(self, name):
        try:
            with open(self.path(name), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return b""

    def start(self, args, **kw):
        """Returns when request() is answered."""
        with open(self.path("output"), "wb") as out:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **kw)
        for _ in range(600):
            try:
                if self.process.poll() is None and self.request():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        self.process.kill()
        self.process.wait()
        raise RuntimeError(f"{args[0]} does not answer: {self.read('output')[-2000:]!r}")

    def request(self):
        raise NotImplementedError

    def pids(self):
        return [self.process.pid]

    def family(self):
        """The daemon and its children."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [pid, *map(int, f.read().split())]

    def died(self, seconds=60):
        try:
            return self.process.wait(timeout=seconds) < 0
        except subprocess.TimeoutExpired:
            return False

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()  # the old behaviour may be a loop without an end
            code = self.process.wait()
        self.dir.cleanup()
        return code


class Host(Daemon):
    """
    A process that has loaded a library and calls it when it is asked: programs/NAME.py itself, or the
    program `args`, started with the library's directory in its search path. It answers each line with one.
    """

    def __init__(self, module, library, args=None):
        super().__init__()
        self.lock = threading.Lock()
        where = os.path.dirname(os.path.abspath(library))
        env = dict(os.environ, LD_LIBRARY_PATH=where, UG_HOSTED=os.path.abspath(library),
                   PYTHONPATH=os.path.dirname(os.path.abspath(__file__)))
        with open(self.path("output"), "wb") as out:
            self.process = subprocess.Popen(args or [sys.executable, "-m", f"programs.{module}"],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, env=env,
                                            text=True)
        if not self.request():
            raise RuntimeError(f"{library} does not work: {self.read('output')[-2000:]!r}")

    def call(self, what, text=""):
        """The answer; "died"."""
        with self.lock:
            try:
                self.process.stdin.write(f"{what} {text}\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except BrokenPipeError:
                line = ""
        if line:
            return line.rstrip("\n")
        self.process.wait(timeout=60)
        return "died"

    def end(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=60)
        self.dir.cleanup()
        return code


def open_library(signatures):
    """The library of this host; each function's result and arguments: "p" pointer, "s" string, ..."""
    kinds = {"p": ctypes.c_void_p, "s": ctypes.c_char_p, "i": ctypes.c_int, "c": ctypes.c_ubyte,
             "z": ctypes.c_size_t, "l": ctypes.c_long, "v": None}
    lib = ctypes.CDLL(os.environ["UG_HOSTED"])
    for name, text in signatures.items():
        function = getattr(lib, name)
        function.restype = kinds[text[0]]
        function.argtypes = [kinds[c] for c in text[1:]]
    return lib


def serve(functions):
    """The loop of the process that hosts a library."""
    for line in sys.stdin:
        name, _, text = line.rstrip("\n").partition(" ")
        print(functions[name](text), flush=True)


class Load:
    """Requests from two threads for as long as it is entered; nobody else looks at the counts then."""

    def __init__(self, daemon):
        self.daemon, self.stop, self.lock = daemon, False, threading.Lock()
        self.count, self.bad, self.first = 0, 0, ""
        self.threads = [threading.Thread(target=self.work) for _ in range(2)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for t in self.threads:
            t.join()

    def more(self, n):
        """Returns when so many more have been answered."""
        wanted = self.count + n
        for _ in range(1200):
            if self.count >= wanted:
                return
            time.sleep(0.1)
        raise RuntimeError("requests are answered no longer")

    def work(self):
        while not self.stop:
            try:
                why = "" if self.daemon.request() else "a wrong answer"
            except OSError as e:
                why = str(e)
            with self.lock:
                self.count += 1
                self.bad += why != ""
                self.first = self.first or why
