#!/usr/bin/env python3
"""Count the cases of the tests that Meson ran last in the build folders given: N passed, N failed, N skipped.

A program that ends badly (by a signal, at its time limit, with too few cases) without a failed case is one failure. What a
program with failures said about them is printed here: Meson keeps it to itself."""
import json
import re
import sys

CASE = re.compile(r"(not )?ok\b\s*\d*\s*-?\s*([^#]*)(?:# *(SKIP|TODO)\b\s*(.*))?", re.IGNORECASE)

passed = failed = skipped = 0
for build in sys.argv[1:]:
    with open(f"{build}/meson-logs/testlog.json", encoding="utf-8") as log:
        for test in map(json.loads, log):
            cases = [match for match in map(CASE.match, test.get("stdout", "").splitlines()) if match]
            bad = [match for match in cases if match[1]]
            skips = [match for match in cases if match[3] and not match[1]]
            told = False  # comments below a failed case belong to it
            for line in test.get("stdout", "").splitlines() if bad else []:
                match = CASE.match(line)
                told = bool(match and match[1]) or told and line.startswith("#")
                if told:
                    print(line if line.startswith("#") else f"failed: {test['name']}: {match[2].strip()}")
            for match in skips:
                print(f"skipped: {test['name']}: {match[2].strip()}: {match[4]}")
            passed += len(cases) - len(bad) - len(skips)
            failed += len(bad)
            skipped += len(skips)
            if test["result"] not in ("OK", "SKIP") and not bad:
                print(f"failed: {test['name']}: {test['result']}, status {test['returncode']}, after {len(cases)} cases")
                failed += 1
            elif test["result"] == "SKIP" and not cases:
                print(f"skipped: {test['name']}: all of it")
                skipped += 1
            elif not cases:
                passed += 1
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed or passed == 0 else 0)
