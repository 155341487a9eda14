#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real security fixes in real programs.

    tests/real/run.py BUILD [--prepare|--fresh|--table] [NAME|CVE...]

For each package of fixes.json: Debian's source without the patches of the table is built once, by
`ugraft build --deb`, as Debian builds it, or with --src by a command of the table. For each fix: the
patch of that very diff is made from that build, and loaded into the stripped program, which serves
requests. It must do what the fixed one does while it is loaded, and what the vulnerable one does
before and after, and no request may fail; and the code of the patch must be that of the program
rebuilt with the fix (rebuild.py). An entry with "installed" is the program of the machine's own
package, with a small change of debs/ in place of a fix. A "diff" that is "reversed" is in the source
as it comes, and is taken out before it is built. "env" are variables of the build
(--deb-env), "parts" is a command that builds only a part of the package. Some fixes are refused,
or change nothing in that program: the table says so. What a fix says of "target", "as" and "program"
goes before what its entry says; "with" names more files of the build that lie beside the program.

--prepare only fetches and builds, --fresh builds again, --table prints what earlier runs have kept.
Sources, builds and results.json are in $UG_REAL_CACHE (/var/tmp/ugraft-real). TAP on stdout. --deb
needs root and mmdebstrap.
"""
import importlib
import json
import os
import re
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

# pylint: disable=wrong-import-position
from daemons import Load
from rebuild import Twin
from sources import CACHE, Gone, apply_patch, fetch, make_diff, must, run, unpack

points = failed = 0


def point(good, name, why=""):
    global points, failed
    points += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {points} - {name}", flush=True)
    for line in [] if good else str(why).splitlines():
        print(f"# {line}", flush=True)
    return good


def stage(place):
    """How far a working directory of the builder is."""
    try:
        with open(os.path.join(place, "stage"), encoding="ascii") as f:
            return int(f.read())
    except OSError:
        return 0


def seconds_in(notes, pattern):
    found = [float(m[1]) for n in notes if (m := re.search(pattern, n))]
    return found[0] if found else 0.0


class Package:
    """One entry of the table, and its build."""

    def __init__(self, ugraft, entry):
        self.ugraft, self.entry = ugraft, entry
        self.package = entry["package"]
        self.name = entry.get("name", self.package)
        self.installed = entry.get("installed")
        self.command, self.env, self.parts = entry.get("command"), entry.get("env", []), entry.get("parts", [])
        self.work = os.path.join(CACHE, "work", self.name)
        self.place = self.work if self.command else os.path.join(self.work, "build")
        self.source = os.path.join(CACHE, "work", self.name + ".source")
        self.twin = Twin(self, os.path.join(os.path.dirname(ugraft), "tests", "tools"))

    def prepare(self):
        """The source and the plain build."""
        os.makedirs(os.path.dirname(self.work), exist_ok=True)
        if stage(self.place) < 2 or "--fresh" in sys.argv:
            shutil.rmtree(self.work, ignore_errors=True)
            self.twin.forget()
            dropped = [] if self.installed else self.unpack()
            done = self.build("--to", "2", *([] if self.installed or self.command else ["--src", self.source]),
                              "--", *(self.command or self.parts))
            if done.returncode:
                raise RuntimeError(f"{self.name} is not built: {done.stdout}{done.stderr}")
            notes = json.loads(done.stdout)["notes"]
            with open(os.path.join(self.work, "built.json"), "w", encoding="utf-8") as f:
                json.dump({"notes": notes, "dropped": dropped}, f)

    def unpack(self):
        shutil.rmtree(self.source, ignore_errors=True)
        without = [p for fix in self.entry["fixes"] for p in fix.get("patches", [])]
        dropped = unpack(fetch(self.package, self.entry["version"], self.entry.get("files")), self.source,
                         without + self.entry.get("also_without", []))
        for fix in self.entry["fixes"]:
            if fix.get("reversed") and not apply_patch(self.source, self.diff(fix), "-R"):
                raise RuntimeError(f"{fix['diff']} cannot be taken out of {self.name}")
        return dropped

    def built(self):
        with open(os.path.join(self.work, "built.json"), encoding="utf-8") as f:
            return json.load(f)

    def build(self, *args):
        version = "" if self.installed else "=" + self.entry["version"]
        package = ["--src", self.source] if self.command else ["--deb", self.package + version, "--cache", os.path.join(CACHE, "cache")]
        env = [word for e in self.env for word in ("--deb-env", e)]
        return run([self.ugraft, "build", "--json", *package, *env, "--work", self.work, "--name", "fix", *args])

    def build_path(self):
        """Where the build saw its tree."""
        if self.command:
            return os.path.realpath(self.source)
        return next(m[1] for n in self.built()["notes"] if (m := re.search(r", at (/\S+); prepared", n)))

    def about(self, fix, what, default=None):
        return fix.get(what, self.entry.get(what, default))

    def take(self, name, to):
        """A file of the build as the package would install it."""
        path = os.path.realpath(os.path.join(self.place, "tree", name))
        victim = os.path.join(CACHE, "victims", self.name, to or os.path.basename(path))
        os.makedirs(os.path.dirname(victim), exist_ok=True)
        shutil.copy2(path, victim + ".new")
        os.rename(victim + ".new", victim)
        if self.command or self.parts:
            must(["strip", victim])
        return victim

    def program(self, fix):
        """What is patched; a library by the name it is loaded by."""
        for name in self.about(fix, "with", []):
            self.take(name, None)
        return self.installed or self.take(self.about(fix, "target"), self.about(fix, "as"))

    def diff(self, fix):
        if "diff" in fix:
            return os.path.join(HERE, fix["diff"])
        scratch = os.path.join(CACHE, "work", self.name + ".diff")
        path = os.path.join(scratch, "fix.diff")
        text = make_diff(self.source, fix["patches"], scratch,
                         *([fix["files"]] if "files" in fix else []))
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def make(self, fix, target, patch):
        """(exit status, report, seconds)"""
        if os.path.exists(patch):
            os.unlink(patch)
        started = time.monotonic()
        done = self.build("--from", "3", "--diff", self.diff(fix), "-o", patch, "--target", target,
                          *fix.get("build", []))
        if not done.stdout:
            raise RuntimeError(done.stderr)
        return done.returncode, json.loads(done.stdout), time.monotonic() - started


class Drive:
    """The program, with and without the patch. One that dies of the old behaviour is asked last."""

    def __init__(self, name, package, fix, target, patch):
        self.name, self.fix, self.patch, self.ugraft = name, fix, patch, package.ugraft
        self.fatal = fix.get("fatal", False)
        module = importlib.import_module("programs." + package.about(fix, "program"))
        self.start = lambda: module.Program(target, **fix.get("options", {}))

    def ask(self, daemon, which, what):
        """Without a question the fix is loaded, and the table says that its effect was not seen."""
        if "ask" not in self.fix:
            return
        answer, wanted = getattr(daemon, self.fix["ask"])(), self.fix[which]
        point(answer == wanted, f"{self.name}: {what}: {wanted!r}", answer)

    def call(self, what, *args):
        done = run([self.ugraft, *args])
        point(done.returncode == 0, f"{self.name}: {what}", done.stdout + done.stderr)

    def under_load(self, daemon, load):
        """Requests are answered before, while it is loaded, and after."""
        pids = [str(p) for p in daemon.pids()]
        load.more(4)
        self.call("loads under requests", "load", self.patch, *pids)
        load.more(4)
        self.ask(daemon, "after", "fixed")
        self.call("memory is as it should be", "verify", *pids)
        self.call("unloads", "unload", "fix", *pids)
        load.more(4)
        if not self.fatal:
            self.ask(daemon, "before", "as before")

    def run(self, result):
        if self.fatal:
            other = self.start()
            try:
                self.ask(other, "before", "vulnerable: another one of it")
            finally:
                other.end()
        daemon = self.start()
        try:
            if not self.fatal:
                self.ask(daemon, "before", "vulnerable before")
            with Load(daemon) as load:
                self.under_load(daemon, load)
            if self.fatal:
                self.ask(daemon, "before", "as before")
        finally:
            code = daemon.end()
        point(not load.bad, f"{self.name}: no request failed",
              f"{load.bad} of {load.count}: {load.first}")
        point(self.fatal or code == 0, f"{self.name}: ends as it should", code)
        result.update(requests=load.count, failed=load.bad)


def check_report(name, package, fix, status, report):
    """What was made is what the table says; True when there is a patch to be loaded."""
    text = json.dumps(report, indent=1)
    if "refused" in fix:
        codes = sorted({f["code"] for f in report["findings"] if f["refuses"]})
        point(status != 0 and codes == fix["refused"], f"{name}: is refused: {' '.join(fix['refused'])}", text)
        return False
    if fix.get("no_change"):
        point(status == 0 and report["no_change"], f"{name}: no change for this program", text)
        return False
    if not point(status == 0 and not report["no_change"], f"{name}: a patch is made", text):
        return False
    changed = sorted(c["name"] for c in report["changes"]
                     if c["verdict"] == "changed" and c["kind"] == "function")
    point(changed == sorted(fix["functions"]), f"{name}: these functions", changed)
    proof = package.entry.get("proof", "rebuilt identically")
    point(any(proof in n for n in report["notes"]), f"{name}: {proof}", report["notes"])
    return True


def describe(report):
    """f (why), g (why)"""
    return [f"{c['name']} ({c['reason']})" if c["verdict"] == "changed" else f"{c['name']} ({c['verdict']})"
            for c in report["changes"] if c["kind"] == "function" and c["verdict"] != "gone"]


def run_fix(package, fix):
    name = f"{package.name} {fix['cve']}"
    patch = os.path.join(CACHE, "patches", f"{package.name}-{fix['cve']}.ugp")
    os.makedirs(os.path.dirname(patch), exist_ok=True)
    result = {"package": package.name, "cve": fix["cve"]}
    before, target = (points, failed), package.program(fix)
    status, report, added = package.make(fix, target, patch)
    plain = seconds_in(package.built()["notes"], r"^built in ([\d.]+) s")
    result.update(status=status, functions=describe(report), plain=plain, added=round(added, 1),
                  percent=round(100 * added / plain) if plain else None, notes=report["notes"],
                  findings=[f"{f['code']}: {f['what']}" for f in report["findings"]])
    if check_report(name, package, fix, status, report):
        Drive(name, package, fix, target, patch).run(result)
        same, result["samecode"], why = package.twin.compare(patch, package.diff(fix), target)
        point(same, f"{name}: the code is that of the rebuilt program: {result['samecode']}", why)
    result.update(points=points - before[0], bad=failed - before[1])
    for line in [f"functions: {', '.join(result['functions'])}",
                 f"plain build {plain:.0f} s, {added:.1f} s more for the patch", *report["notes"], *result["findings"]]:
        print(f"# {name}: {line}", flush=True)
    if "requests" in result:
        print(f"# {name}: {result['requests']} requests, {result['failed']} failed", flush=True)
    keep(result)


def keep(result):
    path = os.path.join(CACHE, "results.json")
    try:
        with open(path, encoding="utf-8") as f:
            results = json.load(f)
    except FileNotFoundError:
        results = {}
    results[f"{result['package']} {result['cve']}"] = result
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(results, f, indent=1, sort_keys=True)
    os.rename(path + ".new", path)


def print_table():
    """The kept results, for a document."""
    with open(os.path.join(CACHE, "results.json"), encoding="utf-8") as f:
        results = json.load(f).values()
    print("| fix | functions | samecode | build, s | added, s | requests | failed |\n|---|---|---|---|---|---|---|")
    for r in sorted(results, key=lambda r: (r["package"], r["cve"])):
        what = ", ".join(r["functions"]) if r["status"] == 0 else "; ".join(r["findings"])
        print(f"| {r['package']} {r['cve']} | {what or 'no change'} | {r.get('samecode', '')} | {r['plain']:.0f} | {r['added']:.1f} "
              f"({r['percent']} %) | {r.get('requests', '')} | {r.get('failed', '')} |")


def wanted(entry, names):
    """The fixes of it that are asked for."""
    if not names or entry.get("name", entry["package"]) in names:
        return entry["fixes"]
    return [f for f in entry["fixes"] if f["cve"] in names]


def main():
    if len(sys.argv) < 2 or "--help" in sys.argv:
        print(__doc__.strip())
        return 0
    ugraft = os.path.join(os.path.abspath(sys.argv[1]), "ugraft")
    names = [a for a in sys.argv[2:] if not a.startswith("-")]
    if "--table" in sys.argv:
        return print_table()
    with open(os.path.join(HERE, "fixes.json"), encoding="utf-8") as f:
        entries = json.load(f)
    for entry in entries:
        fixes = wanted(entry, names)
        if not fixes:
            continue
        package = Package(ugraft, entry)
        try:
            package.prepare()
        except Gone as e:
            point(True, f"{package.name} # SKIP {e}")
            continue
        except (RuntimeError, OSError) as e:
            point(False, f"{package.name}: is built", e)
            continue
        for fix in [] if "--prepare" in sys.argv else fixes:
            try:
                run_fix(package, fix)
            except (RuntimeError, OSError) as e:
                point(False, f"{package.name} {fix['cve']}", e)
    print(f"1..{points}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
