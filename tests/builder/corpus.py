#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Small pairs of sources, each one question to the builder. TAP on stdout.

    corpus.py diff BUILD [CASE...]   which functions and variables differ
    corpus.py live BUILD [CASE...]   the patch, loaded into the running old program, makes it
                                     answer as the rebuilt one; its code is the rebuilt one's

Each case takes some of the compilers, levels and code models in turn; with --all, all of them.

A case is one file; -DAFTER makes it the fixed version. Its comments say what is expected:

    // expect: changed f; new g      exactly these (names are regular expressions), or: nothing
    // also: RE                      what else may differ, beside those expected
    // finding: CODE [text]          a refusal with that code; no other
    // note: CODE                    a finding that does not refuse
    // reason: NAME text             with debug information, at -O1 and above
    // run: 1 2 | 3 4                numbers asked before and after the load
    // may-refuse: text              the load may be refused with that text (no fault of ours)

[gcc,O2] behind the word: only for that compiler, these levels.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SECTIONS = ["-ffunction-sections", "-fdata-sections", "-g"]
MODELS = {
    "pie": (["-fPIE"], ["-pie"]),
    "nopie": (["-fno-pic"], ["-no-pie"]),
    "shared": (["-fPIC"], ["-shared", "-Wl,-soname,libcase.so"]),
}
LEVELS = ["O0", "O2", "O3", "Os"]
COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)]
points = failed = 0


def point(good, name, why=""):
    global points, failed
    points += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {points} - {name}", flush=True)
    if not good:
        for line in str(why).splitlines():
            print(f"# {line}", flush=True)


def run(args, **kw):
    return subprocess.run(args, capture_output=True, text=True, check=False, **kw)


def must(args, **kw):
    done = run(args, **kw)
    if done.returncode:
        raise RuntimeError(f"{' '.join(args)}: {done.stderr}")
    return done


class Case:
    def __init__(self, name):
        self.name = name
        self.path = os.path.join(HERE, "corpus", name + ".c")
        self.cxx = not os.path.exists(self.path)
        if self.cxx:
            self.path += "c"
        with open(self.path, encoding="utf-8") as f:
            self.lines = re.findall(r"^// ([a-z-]+)(?:\[([\w,]*)\])?: (.*)$", f.read(), re.M)

    def get(self, word, compiler, level):
        """The lines of that word that hold here."""
        for w, where, text in self.lines:
            where = where.split(",") if where else []
            tools = [x for x in where if x in ("gcc", "clang")]
            levels = [x for x in where if x in LEVELS]
            if w == word and (not tools or compiler in tools) and (not levels or level in levels):
                yield text


def tool(case, compiler):
    """What compiles and links the case."""
    return {"gcc": "g++", "clang": "clang++"}[compiler] if case.cxx else compiler


def compile_one(case, compiler, level, model, out, after, extra):
    # Padding between functions: a short one then has room for the jump.
    must([tool(case, compiler), "-" + level, "-falign-functions=32", *MODELS[model][0], *extra, "-w", "-c", case.path, "-o", out,
          *(["-DAFTER"] if after else [])])


def compare(expected, also, changes):
    """What is wrong with the changes found, as text; empty when nothing."""
    wrong = []
    left = [f"{c['verdict']} {c['name']}" for c in changes]
    for e in expected:
        hit = [x for x in left if re.fullmatch(e, x)]
        if not hit:
            wrong.append(f"missing: {e}")
        left = [x for x in left if x not in hit]
    wrong += [f"unexpected: {x}" for x in left
              if not any(re.fullmatch(a, x.split(" ", 1)[1]) for a in also)]
    return wrong


def check_diff(case, compiler, level, model, ugraft, tmp):
    before, after = os.path.join(tmp, "b.o"), os.path.join(tmp, "a.o")
    compile_one(case, compiler, level, model, before, False, SECTIONS)
    compile_one(case, compiler, level, model, after, True, SECTIONS)
    name = f"{case.name} {compiler} {level} {model}"
    done = run([ugraft, "diff", "--json", before, after])
    if done.returncode:
        point(False, name, done.stderr + done.stdout)
        return
    got = json.loads(done.stdout)
    here = lambda word: list(case.get(word, compiler, level))
    expected = [x.strip() for e in here("expect") for x in e.split(";") if x.strip() != "nothing"]
    wrong = compare(expected, here("also"), got["changes"])
    refusals = [f for f in got["findings"] if f["refuses"]]
    for text in here("finding"):
        code, _, what = text.partition(" ")
        if not any(f["code"] == code and what in f["what"] for f in refusals):
            wrong.append(f"missing finding: {text}")
    codes = [t.split()[0] for t in here("finding")]
    wrong += [f"unexpected finding: {f['code']} {f['what']}" for f in refusals if f["code"] not in codes]
    for code in here("note"):
        if not any(f["code"] == code and not f["refuses"] for f in got["findings"]):
            wrong.append(f"missing note: {code}")
    for text in here("reason") if level != "O0" or "always_inline" in open(case.path).read() else []:
        what, _, why = text.partition(" ")
        if not any(c["name"] == what and c["reason"] == why for c in got["changes"]):
            wrong.append(f"missing reason: {text}: {[(c['name'], c['reason']) for c in got['changes']]}")
    point(not wrong, name, "\n".join(wrong))


class Program:
    """The old or the new program, asked number by number."""

    def __init__(self, path, tmp):
        env = dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(path))
        self.p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, n):
        self.p.stdin.write(f"{n}\n")
        self.p.stdin.flush()
        answer = []
        while True:
            line = self.p.stdout.readline()
            if line in (".\n", ""):
                return answer if line else answer + ["(died)"]
            answer.append(line)

    def end(self):
        self.p.stdin.close()
        return self.p.wait(timeout=20)


def link(case, compiler, level, model, tmp, after):
    """(program, what is patched)"""
    out = os.path.join(tmp, "new" if after else "old")
    os.makedirs(out, exist_ok=True)
    obj, main, exe = (os.path.join(out, x) for x in ("case.o", "main.o", "prog"))
    compile_one(case, compiler, level, model, obj, after, [])
    cflags, ldflags = MODELS["pie" if model == "shared" else model]
    must([compiler, "-" + level, *cflags, "-c", os.path.join(HERE, "main.c"), "-o", main])
    if model != "shared":
        must([tool(case, compiler), *ldflags, "-Wl,--build-id", main, obj, "-o", exe])
        return exe, exe
    lib = os.path.join(out, "libcase.so")
    must([tool(case, compiler), *MODELS[model][1], "-Wl,--build-id", obj, "-o", lib])
    must([tool(case, compiler), *ldflags, "-Wl,--build-id", main, lib, "-o", exe])
    return exe, lib


def make_patch(case, compiler, level, model, ugraft, tmp, target):
    """(patch, why it was refused or "")"""
    objects = [os.path.join(tmp, x) for x in ("b.o", "a.o")]
    for after, path in enumerate(objects):
        compile_one(case, compiler, level, model, path, after, SECTIONS)
    patch = os.path.join(tmp, "fix.ugp")
    done = run([ugraft, "build", "--before", objects[0], "--after", objects[1], "--target", target,
                "-o", patch])
    return patch, done.stderr + done.stdout if done.returncode else ""


def check_live(case, compiler, level, model, build, tmp):
    name = f"{case.name} {compiler} {level} {model}"
    ugraft, tools = os.path.join(build, "ugraft"), os.path.join(build, "tests/tools")
    victimcheck = os.path.join(tools, "victimcheck")
    first, then = ([int(x) for x in part.split()] for part in next(case.get("run", compiler, level)).split("|"))
    exe, target = link(case, compiler, level, model, tmp, False)
    fixed, rebuilt = link(case, compiler, level, model, tmp, True)
    patch, refused = make_patch(case, compiler, level, model, ugraft, tmp, target)
    if case.cxx and model == "nopie" and "explain=FAR_DATA" in refused:
        # Without PIC a type's description must be near, and may be in a library.
        point(True, f"{name} # SKIP refused: FAR_DATA")
        return
    if refused:
        raise RuntimeError(f"build: {refused}")
    done = run([os.path.join(tools, "samecode"), patch, rebuilt])
    if done.returncode:
        point(False, name, "not the code of the rebuilt program:\n" + done.stdout + done.stderr)
        return
    old, new = Program(exe, tmp), Program(fixed, tmp)
    pid = str(old.p.pid)
    try:
        for n in first:
            old.ask(n)
            new.ask(n)
        done = run([ugraft, "load", "-q", patch, pid])
        if done.returncode:
            # A function may be too short, which only the real binary can tell.
            allowed = [*case.get("may-refuse", compiler, level), "there is no way by a short jump"]
            if case.cxx and model == "nopie":
                # Tables without PIC hold 32-bit addresses of what may be in a library.
                allowed.append("does not reach")
            excuse = [t for t in allowed if t in done.stderr]
            if excuse:
                point(True, f"{name} # SKIP not loaded: {excuse[0]}")
                return
            point(False, name, "load: " + done.stderr)
            return
        wrong = []
        if run([victimcheck, "alive", pid]).returncode:
            wrong.append("not alive, or stopped, after the load")
        for n in then:
            a, b = old.ask(n), new.ask(n)
            if a != b:
                wrong.append(f"{n}: patched {a}, rebuilt {b}")
        done = run([ugraft, "verify", pid])
        if done.returncode:
            wrong.append("verify: " + done.stderr + done.stdout)
        done = run([ugraft, "unload", "-q", "fix", pid])
        if done.returncode or run([victimcheck, "alive", pid]).returncode:
            wrong.append("unload: " + done.stderr)
        if first and "(died)" in old.ask(first[0]):
            wrong.append("dead after the unload")
    finally:
        codes = old.end(), new.end()
    if codes != (0, 0):
        wrong.append(f"exit {codes}")
    point(not wrong, name, "\n".join(wrong))


def configurations(all_of_them, index):
    every = [(c, l, m) for m in MODELS for l in LEVELS for c in COMPILERS]
    if all_of_them:
        return every
    # Some for each case, another choice for the next one: all are seen.
    return [every[(index * 7 + k * 5) % len(every)] for k in range(2)]


def main():
    what, build = sys.argv[1], os.path.abspath(sys.argv[2])
    names = [a for a in sys.argv[3:] if not a.startswith("-")]
    cases = names or sorted(x.split(".")[0] for x in os.listdir(os.path.join(HERE, "corpus")))
    with tempfile.TemporaryDirectory(prefix="ugraft-corpus-") as tmp:
        for index, case in enumerate(Case(n) for n in cases):
            if what == "live" and not any(w == "run" for w, _, _ in case.lines):
                continue
            for compiler, level, model in configurations("--all" in sys.argv, index):
                try:
                    if what == "diff":
                        check_diff(case, compiler, level, model, os.path.join(build, "ugraft"), tmp)
                    else:
                        check_live(case, compiler, level, model, build, tmp)
                except RuntimeError as e:
                    point(False, f"{case.name} {compiler} {level} {model}", e)
    print(f"1..{points}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
