#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real security fixes, end to end: tests/real/run.py BUILD [CVE...]

For each line of fixes.json: the Debian source package without that patch is built and started;
`ugraft build --src` makes a patch of that very diff; it is loaded under requests and unloaded
again. The program must answer as the fixed one while it is loaded, as the vulnerable one
before and after, and no request may fail. Sources come from the configured Debian mirror and
are kept in $UG_REAL_CACHE (/var/tmp/ugraft-real). TAP on stdout. Minutes a fix: not in CI.
"""
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("UG_REAL_CACHE", "/var/tmp/ugraft-real")
points = failed = 0


def point(good, name, why=""):
    global points, failed
    points += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {points} - {name}", flush=True)
    for line in [] if good else str(why).splitlines():
        print(f"# {line}", flush=True)
    return good


def must(args, **kw):
    done = subprocess.run(args, capture_output=True, text=True, check=False, **kw)
    if done.returncode:
        raise RuntimeError(f"{' '.join(args)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def mirrors():
    """deb-src lines for what apt is configured with, without touching its configuration."""
    mirror = {}
    for line in must(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)"]).stdout.splitlines():
        uri, suite = line.split()[:2]
        mirror[(uri, suite)] = f"deb-src {uri} {suite} main\n"
    return mirror.values()


def fetch(package):
    """The unpacked source, as its patches leave it."""
    base = os.path.join(CACHE, package)
    found = [e.path for e in os.scandir(base) if e.is_dir()] if os.path.isdir(base) else []
    if found:
        return found[0]
    apt = os.path.join(CACHE, "apt")
    os.makedirs(os.path.join(apt, "lists", "partial"), exist_ok=True)
    os.makedirs(base, exist_ok=True)
    with open(os.path.join(apt, "sources.list"), "w", encoding="utf-8") as f:
        f.writelines(mirrors())
    options = ["-o", f"Dir::Etc::SourceList={apt}/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null",
               "-o", f"Dir::State::Lists={apt}/lists", "-o", f"Dir::Cache={apt}", "-q"]
    must(["apt-get", *options, "update"])
    must(["apt-get", *options, "source", package], cwd=base)
    return next(e.path for e in os.scandir(base) if e.is_dir())


def part_of_diff(text, files):
    """The hunks for files of that pattern."""
    parts = re.split(r"(?m)^(?=--- \S)", text)
    keep = [p for p in parts if (m := re.match(r"--- \S+.*\n\+\+\+ [^/\s]+/(\S+)", p)) and re.search(files, m[1])]
    return "".join(re.sub(r"(?ms)^diff --git .*", "", p) for p in keep)


def prepare(fix, work):
    """(tree without the fix, the fix as a diff)"""
    tree, diff = os.path.join(work, "tree"), os.path.join(work, "fix.diff")
    source = fetch(fix["package"])
    shutil.copytree(source, tree, symlinks=True)
    with open(os.path.join(source, "debian/patches", fix["patch"]), encoding="utf-8") as f:
        text = part_of_diff(f.read(), fix["files"])
    with open(diff, "w", encoding="utf-8") as f:
        f.write(text)
    must(["patch", "-R", "-s", "-f", "-p1", "-d", tree, "-i", diff])
    shutil.rmtree(os.path.join(tree, ".pc"), ignore_errors=True)
    return tree, diff


def build_program(fix, tree, work, env):
    """In the tree's own path, so that the rebuilt one can be identical; the tree stays clean."""
    clean = tree + ".clean"
    shutil.copytree(tree, clean, symlinks=True)
    started = time.monotonic()
    must(fix["build"], cwd=tree, env=env)
    seconds = time.monotonic() - started
    program = os.path.join(work, os.path.basename(fix["target"]))
    shutil.copy2(os.path.join(tree, fix["target"]), program)
    shutil.rmtree(tree)
    os.rename(clean, tree)
    return program, seconds


class Load(threading.Thread):
    def __init__(self, probe):
        super().__init__()
        self.probe, self.stop, self.count, self.bad = probe, False, 0, 0

    def run(self):
        while not self.stop:
            self.count += 1
            try:
                self.bad += not self.probe.request()
            except OSError:
                self.bad += 1


def drive(fix, name, ugraft, program, patch):
    sys.path.insert(0, HERE)
    probe = importlib.import_module(fix["probe"][:-3]).Probe(program)
    load = Load(probe)
    pid = str(probe.process.pid)
    try:
        point(probe.ask().startswith(probe.old), f"{name}: vulnerable before")
        load.start()
        done = subprocess.run([ugraft, "load", patch, pid], capture_output=True, text=True, check=False)
        point(done.returncode == 0, f"{name}: loads under requests", done.stderr)
        point(probe.ask().startswith(probe.new), f"{name}: fixed", probe.ask())
        done = subprocess.run([ugraft, "unload", "fix", pid], capture_output=True, text=True, check=False)
        point(done.returncode == 0, f"{name}: unloads", done.stderr)
        point(probe.ask().startswith(probe.old), f"{name}: as before", probe.ask())
    finally:
        load.stop = True
        if load.ident:
            load.join()
        code = probe.end()
    point(load.count > 10 and not load.bad, f"{name}: no request failed", f"{load.bad} of {load.count}")
    point(code == 0, f"{name}: ends as it should", code)


def run_fix(fix, ugraft, work):
    name = f"{fix['package']} {fix['patch'].split('.')[0]}"
    env = dict(os.environ, SOURCE_DATE_EPOCH="1700000000")
    tree, diff = prepare(fix, work)
    program, plain = build_program(fix, tree, work, env)
    patch = os.path.join(work, "fix.ugp")
    started = time.monotonic()
    done = subprocess.run([ugraft, "build", "--json", "--src", tree, "--diff", diff, "--target", program,
                           "-o", patch, "--", *fix["build"]], capture_output=True, text=True, env=env,
                          check=False)
    seconds = time.monotonic() - started
    if not point(done.returncode == 0, f"{name}: a patch is made", done.stdout + done.stderr):
        return
    report = json.loads(done.stdout)
    changed = sorted(c["name"] for c in report["changes"]
                     if c["verdict"] == "changed" and c["kind"] == "function")
    point(changed == fix["functions"], f"{name}: these functions", changed)
    point(any("identically" in n for n in report["notes"]), f"{name}: rebuilt identically", report["notes"])
    print(f"# {name}: plain build {plain:.0f} s, patch {seconds:.0f} s, {len(changed)} functions", flush=True)
    for text in report["notes"]:
        print(f"#   {text}", flush=True)
    drive(fix, name, ugraft, program, patch)


def main():
    ugraft = os.path.join(os.path.abspath(sys.argv[1]), "ugraft")
    with open(os.path.join(HERE, "fixes.json"), encoding="utf-8") as f:
        fixes = [x for x in json.load(f) if not sys.argv[2:] or x["patch"].split(".")[0] in sys.argv[2:]]
    for fix in fixes:
        work = os.path.join(CACHE, "work")
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        try:
            run_fix(fix, ugraft, work)
        except (RuntimeError, OSError) as e:
            point(False, f"{fix['package']} {fix['patch']}", e)
    print(f"1..{points}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
