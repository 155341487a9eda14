#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Count the test points of a meson test run.

meson's own summary counts programs. Here each TAP point of each program counts, a program
without points counts as one, and a program that broke off or failed without a failing point
counts as one failure more.

    count-tests.py testlog.json     prints "passed failed skipped", then the failures
"""

import json
import re
import sys

POINT = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:-\s*)?([^#]*)(?:#\s*(\w+))?")
GOOD = ("OK", "EXPECTEDFAIL", "SKIP")


def points(output):
    """(verdict, name) of each TAP line of a program's output."""
    for line in output.splitlines():
        m = POINT.match(line)
        if not m:
            continue
        negative, _, name, directive = m.groups()
        directive = (directive or "").upper()
        if directive.startswith("SKIP"):
            yield "skipped", name.strip()
        elif negative and directive != "TODO":
            yield "failed", name.strip()
        else:
            yield "passed", name.strip()


def count_program(test, counts, failures):
    found = list(points(test.get("stdout") or ""))
    for verdict, name in found:
        counts[verdict] += 1
        if verdict == "failed":
            failures.append(f"{test['name']}: {name}")
    result = test["result"]
    if not found:
        verdict = "skipped" if result == "SKIP" else "passed" if result in GOOD else "failed"
        counts[verdict] += 1
        if verdict == "failed":
            failures.append(f"{test['name']}: {result}")
    elif result not in GOOD and not any(v == "failed" for v, _ in found):
        counts["failed"] += 1
        failures.append(f"{test['name']}: {result} (status {test.get('returncode')})")


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failures = []
    with open(sys.argv[1], encoding="utf-8") as log:
        for line in log:
            if line.strip():
                count_program(json.loads(line), counts, failures)
    print(counts["passed"], counts["failed"], counts["skipped"])
    for failure in failures:
        print(failure)


if __name__ == "__main__":
    main()
