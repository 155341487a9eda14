#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What `ugraft build` adds to a program's own build.

    bench/build.py BUILD --src DIR [--rounds=3] [--diff FILE --target FILE] [--json] -- COMMAND...

In turn, as often as there are rounds: COMMAND in a fresh copy of DIR ("plain"), and the same COMMAND
recorded, by `ugraft build --to 2` ("recorded"), which makes its copy itself. With --diff the patch is
made from the last recorded build as often ("patch"); --target is a file of the built tree.

Processor time (user and system, of all processes) is what to quote when the machine does other things;
wall time is what is waited for. Medians, and of the ratio the median of the rounds: those of one round
were measured one after the other. BUILD is the build directory of ugraft.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def parse():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("build")
    p.add_argument("--src", required=True)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--diff")
    p.add_argument("--target")
    p.add_argument("--json", action="store_true")
    p.add_argument("command", nargs="+")
    args = p.parse_args()
    if bool(args.diff) != bool(args.target):
        p.error("--diff and --target go together")
    return args


def timed(command, cwd=None):
    """(wall, processor) seconds of it with all its descendants, and what it wrote."""
    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        with subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - start
        out.seek(0)
        text = out.read().decode(errors="replace")
    if process.returncode:
        sys.exit(f"{' '.join(command)}: status {process.returncode}\n{text[-2000:]}")
    return (wall, usage.ru_utime + usage.ru_stime), text


def measure(args, scratch):
    ugraft, work = os.path.join(os.path.abspath(args.build), "ugraft"), os.path.join(scratch, "work")
    results = {"plain": [], "recorded": [], "patch": []}

    def plain():
        tree = os.path.join(scratch, "plain")
        subprocess.run(["cp", "-a", args.src, tree], check=True)
        results["plain"].append(timed(args.command, tree)[0])
        shutil.rmtree(tree)

    def recorded():
        shutil.rmtree(work, ignore_errors=True)
        results["recorded"].append(timed([ugraft, "build", "--src", args.src, "--work", work, "--to", "2", "--",
                                          *args.command])[0])

    for i in range(args.rounds):
        for one in (plain, recorded) if i % 2 == 0 else (recorded, plain):
            one()
    if args.diff:
        # As an installed program would be: what of the build has its build-id proves the rest.
        target = os.path.join(scratch, os.path.basename(args.target))
        shutil.copy2(os.path.join(work, "tree", args.target), target)
        for _ in range(args.rounds):
            results["patch"].append(timed([ugraft, "build", "--src", args.src, "--work", work, "--from", "3",
                                           "--diff", args.diff, "--target", target, "-o",
                                           os.path.join(scratch, "fix.ugp")])[0])
    return results


def summary(results):
    """{"plain": {"wall": .., "cpu": ..}, ..., "ratio": ..} of what was measured."""
    said = {what: {"wall": statistics.median(w for w, _ in runs), "cpu": statistics.median(c for _, c in runs),
                   "runs": runs} for what, runs in results.items() if runs}
    pairs = list(zip(results["recorded"], results["plain"]))
    said["ratio"] = {"wall": statistics.median(r[0] / p[0] for r, p in pairs),
                     "cpu": statistics.median(r[1] / p[1] for r, p in pairs),
                     "runs": [(r[0] / p[0], r[1] / p[1]) for r, p in pairs]}
    if "patch" in said:
        said["patch_of_plain"] = {k: said["patch"][k] / said["plain"][k] for k in ("wall", "cpu")}
    return said


def main():
    args = parse()
    with tempfile.TemporaryDirectory(prefix="ugraft-bench-", dir=os.environ.get("TMPDIR")) as scratch:
        said = summary(measure(args, scratch))
    said["load"] = os.getloadavg()[0]
    if args.json:
        print(json.dumps(said, indent=1))
        return 0
    for what in ("plain", "recorded", "patch"):
        if what in said:
            print(f"{what:10} {said[what]['cpu']:8.2f} s of processors {said[what]['wall']:8.2f} s")
    print(f"recorded / plain: {said['ratio']['cpu']:.3f} of processors, {said['ratio']['wall']:.3f}; rounds: "
          + ", ".join(f"{c:.3f}" for _, c in said["ratio"]["runs"]))
    if "patch_of_plain" in said:
        print(f"patch / plain: {said['patch_of_plain']['cpu']:.3f} of processors, "
              f"{said['patch_of_plain']['wall']:.3f}")
    print(f"load of the machine: {said['load']:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
