#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What Debian packages have installed, patched: tests/real/installed.py BUILD [PACKAGE...]

For each line of installed.json: `ugraft build --deb` makes a patch for the installed, stripped program
of a package; the program is started as it is installed, the patch is loaded under requests and
unloaded again. The answer must be the new one while it is loaded, the old one before and after,
and no request may fail. Builds are kept in $UG_REAL_CACHE (/var/tmp/ugraft-real) and gone on
with. "PACKAGE=VERSION:FILE" takes FILE, of a package that was unpacked by hand. TAP on stdout.
Needs root and mmdebstrap. Many minutes: not in CI.
"""
import importlib
import json
import os
import subprocess
import sys
import threading

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


def run(*args):
    return subprocess.run(args, capture_output=True, text=True, check=False)


def build(ugraft, entry, package, target, patch):
    work = os.path.join(CACHE, "deb-" + entry["package"])
    args = [ugraft, "build", "--json", "--deb", package, "--diff", os.path.join(HERE, "debs", entry["diff"]),
            "--cache", os.path.join(CACHE, "cache"), "--work", work, "--name", "fix", "-o", patch]
    if target:
        args += ["--target", target]
    try:
        with open(os.path.join(work, "build", "stage"), encoding="ascii") as f:
            args += ["--from", "3"] if f.read().strip() == "2" else []
    except OSError:
        pass
    return run(*args)


def drive(name, entry, ugraft, program, patch):
    probe = getattr(importlib.import_module("daemons"), entry["probe"])(program)
    load = Load(probe)
    pids = [str(p) for p in probe.pids()]
    try:
        point(probe.ask() == probe.old, f"{name}: the old answer before")
        load.start()
        done = run(ugraft, "load", patch, *pids)
        point(done.returncode == 0, f"{name}: loads under requests", done.stdout + done.stderr)
        point(probe.ask() == probe.new, f"{name}: the new answer", probe.ask())
        done = run(ugraft, "unload", "fix", *pids)
        point(done.returncode == 0, f"{name}: unloads", done.stdout + done.stderr)
        point(probe.ask() == probe.old, f"{name}: as before", probe.ask())
    finally:
        load.stop = True
        if load.ident:
            load.join()
        code = probe.end()
    point(load.count > 10 and not load.bad, f"{name}: no request failed", f"{load.bad} of {load.count}")
    point(code == 0, f"{name}: ends as it should", code)
    print(f"# {name}: {load.count} requests", flush=True)


def run_entry(entry, ugraft, package, target):
    name = entry["package"]
    patch = os.path.join(CACHE, f"deb-{name}.ugp")
    program = target or entry["program"]
    with open(os.path.realpath(program), "rb") as f:
        point(b".symtab" not in f.read(), f"{name}: the program is stripped")
    done = build(ugraft, entry, package, target, patch)
    if not point(done.returncode == 0, f"{name}: a patch is made", done.stdout + done.stderr):
        return
    report = json.loads(done.stdout)
    changed = sorted(c["name"] for c in report["changes"]
                     if c["verdict"] == "changed" and c["kind"] == "function")
    point(changed == entry["functions"] or not entry["functions"], f"{name}: these functions", changed)
    point(any(entry["proof"] in n for n in report["notes"]), f"{name}: {entry['proof']}", report["notes"])
    print(f"# {name}: {' '.join(changed)}", flush=True)
    for text in report["notes"]:
        print(f"#   {text}", flush=True)
    drive(name, entry, ugraft, program, patch)


def main():
    sys.path.insert(0, HERE)
    ugraft = os.path.join(os.path.abspath(sys.argv[1]), "ugraft")
    asked = dict((a.split("=")[0].split(":")[0], a) for a in sys.argv[2:])
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(HERE, "installed.json"), encoding="utf-8") as f:
        entries = [e for e in json.load(f) if not asked or e["package"] in asked]
    for entry in entries:
        package, _, target = asked.get(entry["package"], entry["package"]).partition(":")
        try:
            run_entry(entry, ugraft, package, target)
        except (RuntimeError, OSError, subprocess.SubprocessError) as e:
            point(False, entry["package"], e)
    print(f"1..{points}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
